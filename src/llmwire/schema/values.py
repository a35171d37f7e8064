"""What a schema says of a value, in the vocabulary of draft 2020-12 that people write.

https://json-schema.org/draft/2020-12/json-schema-validation (2026-11). Not read: `format`,
`dependentSchemas`, `unevaluated...`, references to other documents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from ..plain import JSON
from .rules import Schema

_MAX_DEPTH = 200  # of references and values; a schema that refers to itself alone ends here


def resolve(root: JSON, ref: JSON) -> JSON:
    """What a local reference (`#/$defs/Name`) names; None if it names nothing here."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return None
    at = root
    for step in ref[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict) and step in at:
            at = at[step]
        elif isinstance(at, list) and step.isdigit() and int(step) < len(at):
            at = at[int(step)]
        else:
            return None
    return at


def kinds_of(schema: Schema) -> list[str]:
    """The types that a schema names, or that its keywords imply."""
    kinds = schema.get("type")
    if kinds is None:
        implied = (("object", "properties"), ("array", "items"), ("array", "prefixItems"))
        return [kind for kind, key in implied if key in schema]
    return list(kinds) if isinstance(kinds, list) else [kinds]


def kind_of(value: JSON) -> str:
    """The type of a value, `integer` for whole numbers."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    kinds = (
        (bool, "boolean"),
        (int, "integer"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), "null")


def allows_null(schema: JSON, root: JSON = None) -> bool:
    """Whether null fits. References are followed in `root`; without it they count as not null."""
    if schema is True or schema == {}:
        return True
    if not isinstance(schema, dict):
        return False
    if "$ref" in schema:
        return root is not None and mismatch(None, schema, root) is None
    if "enum" in schema:
        return None in schema["enum"]
    if "const" in schema:
        return schema["const"] is None
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return any(allows_null(s, root) for s in schema[key])
    kinds = kinds_of(schema)
    return not kinds or "null" in kinds


def without_added_nulls(value: JSON, schema: JSON, root: JSON = None) -> JSON:
    """The value without the nulls that only say "not given".

    Where a mode wants every property, an absent one comes as null. A null goes if by the schema,
    as it was before it was fitted, its property need not be there and can't be null. The same
    object comes back if there is nothing to take away.
    """
    root = schema if root is None else root
    if not isinstance(schema, dict) or not isinstance(value, dict | list):
        return value
    if "$ref" in schema:
        return without_added_nulls(value, resolve(root, schema["$ref"]), root)
    for key in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(key) or ():
            if _is_meant(value, branch, root):
                value = without_added_nulls(value, branch, root)
    if isinstance(value, list):
        prefix, items = schema.get("prefixItems") or [], schema.get("items")
        kinds = [*prefix, *[items] * max(0, len(value) - len(prefix))]
        cleaned = [without_added_nulls(v, s, root) for v, s in zip(value, kinds, strict=False)]
        changed = any(a is not b for a, b in zip(cleaned, value, strict=True))
        return cleaned if changed else value
    properties, required = schema.get("properties") or {}, schema.get("required") or ()
    out: Schema = {}
    for name, inner in value.items():
        its = properties.get(name)
        if (
            inner is None
            and its is not None
            and name not in required
            and not allows_null(its, root)
        ):
            continue
        out[name] = without_added_nulls(inner, its, root)
    same = len(out) == len(value) and all(out[k] is v for k, v in value.items())
    return value if same else out


def _is_meant(value: JSON, schema: JSON, root: JSON) -> bool:
    """Whether a value is of this branch: its kind, its keys and its tags are the branch's."""
    for _ in range(_MAX_DEPTH):
        if not isinstance(schema, dict) or "$ref" not in schema:
            break
        schema = resolve(root, schema["$ref"])
    if not isinstance(schema, dict):
        return False
    kinds, properties = kinds_of(schema), schema.get("properties")
    if kinds and kind_of(value) not in kinds:
        return False
    if not isinstance(value, dict) or properties is None:
        return True
    if not set(schema.get("required") or ()) <= set(value):
        return False
    tagged = ((value[n], s) for n, s in properties.items() if n in value and isinstance(s, dict))
    return not any(
        found is not None and found not in s.get("enum", [s.get("const", found)])
        for found, s in tagged
    )


def mismatch(
    value: JSON, schema: JSON, root: JSON = None, path: str = "$", depth: int = 0
) -> tuple[str, str] | None:
    """Where a value does not fit, and why; None if it fits. What is not read holds."""
    root = schema if root is None else root
    if schema is False or depth > _MAX_DEPTH:
        return path, "no value fits here"
    if not isinstance(schema, dict):
        return None

    def below(inner: JSON, its: JSON, where: str = path) -> tuple[str, str] | None:
        return mismatch(inner, its, root, where, depth + 1)

    if "$ref" in schema:
        target = resolve(root, schema["$ref"])
        if target is not None and (found := below(value, target)):
            return found
    kinds = schema.get("type")
    if kinds is not None:
        kinds = kinds if isinstance(kinds, list) else [kinds]
        kind = kind_of(value)
        if kind not in kinds and not (kind == "integer" and "number" in kinds):
            return path, f"expected {' or '.join(map(str, kinds))}, got {kind}"
    if "enum" in schema and not any(_same(value, v) for v in schema["enum"]):
        return path, f"{value!r} is none of {', '.join(map(repr, schema['enum']))}"
    if "const" in schema and not _same(value, schema["const"]):
        return path, f"expected {schema['const']!r}, got {value!r}"
    for key, check in _CHECKS.items():
        if key in schema and (what := check(value, schema[key])):
            return path, what
    for branch in schema.get("allOf") or ():
        if found := below(value, branch):
            return found
    for key in ("anyOf", "oneOf"):
        if key in schema:
            faults = [below(value, branch) for branch in schema[key]]
            fitting = faults.count(None)
            if not fitting:
                deepest = max((f for f in faults if f), key=lambda f: len(f[0]), default=None)
                return deepest or (path, "fits no alternative")
            if key == "oneOf" and fitting > 1:
                return path, "fits more than one of the alternatives"
    if "not" in schema and below(value, schema["not"]) is None:
        return path, "fits what it must not be"
    if "if" in schema:
        branch = schema.get("else" if below(value, schema["if"]) else "then", True)
        if found := below(value, branch):
            return found
    for where, inner, its in _inside(value, schema, path):
        if found := below(inner, its, where):
            return found
    if isinstance(value, dict):
        missing = [n for n in schema.get("required") or () if n not in value]
        if missing:
            return path, f"{missing[0]!r} is missing"
    return None


def _inside(value: JSON, schema: Schema, path: str) -> Iterable[tuple[str, JSON, JSON]]:
    """The values in a value, each with its place and its schema."""
    if isinstance(value, list):
        prefix = schema.get("prefixItems") or []
        for i, inner in enumerate(value):
            yield f"{path}[{i}]", inner, prefix[i] if i < len(prefix) else schema.get("items", True)
    elif isinstance(value, dict):
        properties = schema.get("properties") or {}
        patterns = schema.get("patternProperties") or {}
        for name, inner in value.items():
            where = f"{path}.{name}"
            known = [its for pattern, its in patterns.items() if _found(pattern, name)]
            if name in properties:
                known.append(properties[name])
            for its in known or [schema.get("additionalProperties", True)]:
                yield where, inner, its
            if "propertyNames" in schema:
                yield where, name, schema["propertyNames"]


def _same(a: JSON, b: JSON) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _found(pattern: JSON, text: str) -> bool:
    try:
        return re.search(str(pattern), text) is not None
    except re.error:  # another dialect of regular expressions
        return True


def _number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bound(word: str, fits: Callable[[Any, Any], bool], size: str = "") -> Any:
    """A check of a number, or of the length of a string, an array or an object."""
    kinds: Any = {"characters": str, "items": list, "keys": dict}.get(size)

    def check(value: JSON, limit: JSON) -> str:
        if not _number(limit) or not (isinstance(value, kinds) if kinds else _number(value)):
            return ""
        found = len(value) if kinds else value
        return "" if fits(found, limit) else f"{found} {size or 'is'} not {word} {limit}".strip()

    return check


def _multiple(value: Any, step: Any) -> bool:
    return not step or math.isclose(value / step, round(value / step), abs_tol=1e-9)


def _unique(value: JSON, wanted: JSON) -> str:
    if wanted is not True or not isinstance(value, list):
        return ""
    twice = any(_same(a, b) for i, a in enumerate(value) for b in value[:i])
    return "an item stands there twice" if twice else ""


def _pattern(value: JSON, pattern: JSON) -> str:
    fits = not isinstance(value, str) or _found(pattern, value)
    return "" if fits else f"{value!r} does not match {pattern!r}"


_CHECKS: dict[str, Callable[[JSON, JSON], str]] = {
    "minimum": _bound("at least", lambda a, b: a >= b),
    "maximum": _bound("at most", lambda a, b: a <= b),
    "exclusiveMinimum": _bound("above", lambda a, b: a > b),
    "exclusiveMaximum": _bound("below", lambda a, b: a < b),
    "multipleOf": _bound("a multiple of", _multiple),
    "minLength": _bound("at least", lambda a, b: a >= b, "characters"),
    "maxLength": _bound("at most", lambda a, b: a <= b, "characters"),
    "minItems": _bound("at least", lambda a, b: a >= b, "items"),
    "maxItems": _bound("at most", lambda a, b: a <= b, "items"),
    "minProperties": _bound("at least", lambda a, b: a >= b, "keys"),
    "maxProperties": _bound("at most", lambda a, b: a <= b, "keys"),
    "uniqueItems": _unique,
    "pattern": _pattern,
}
