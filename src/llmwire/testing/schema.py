"""Values that fit a JSON Schema, with what a text obviously says filled in.

Deterministic: the smallest sensible value. Understood: types, properties and required, items and
prefixItems, enum, const, default, examples, bounds and multipleOf, lengths, the usual formats,
anyOf, oneOf, allOf, local $ref. Not understood: not, if/then/else, patternProperties; a `pattern`
is met only if a simple candidate happens to match it.

https://json-schema.org/draft/2020-12/json-schema-validation (2026-11)
"""

from __future__ import annotations

import math
import re
from typing import Any

from ..types import JSON

_MAX_DEPTH = 24  # a schema that requires itself has no finite value; then null
_WHOLE_TEXT = frozenset(
    ("text", "query", "q", "prompt", "question", "message", "input", "content", "request", "task")
)
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/a",
    "regex": ".*",
}
_FORMAT_IN_TEXT = {
    "date": r"\b\d{4}-\d\d-\d\d\b",
    "date-time": r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"https?://[^\s\"'<>]+[^\s\"'<>.,;:!?)]",
    "url": r"https?://[^\s\"'<>]+[^\s\"'<>.,;:!?)]",
    "ipv4": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    "uuid": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
}
_CANDIDATES = ("a", "A", "1", "abc", "ABC", "123", "a1", "a-b", "abc123", "AB", "AB12", "0000")


class Hints:
    """What a text gives away; each number, quotation and name is used once."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        number = r"(?<![\w.:/-])-?\d+(?:\.\d+)?(?!\w|[.:/-]\d)"
        self.numbers = [float(n) if "." in n else int(n) for n in re.findall(number, text)]
        quoted = r"\"([^\"\n]+)\"|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)|“([^”\n]+)”"
        self.quoted = ["".join(m) for m in re.findall(quoted, text)]
        name = r"[A-Z\u00c0-\u00de][\w'-]*"
        self.names = re.findall(
            rf"\b(?:in|at|for|to|from|of|near|about)\s+({name}(?:\s+{name})*)", text
        )
        self.rest = ""
        """What follows the tool's name, as in `call echo with hello`."""

    def named(self, name: str) -> str | None:
        """The value in `name=value`, `name: value` or `name is value`."""
        words = r"[\s_-]?".join(map(re.escape, re.split(r"[_\s-]+", name)))
        m = re.search(
            rf"(?<!\w){words}(?:\s*[=:]\s*|\s+is\s+)(?:\"([^\"]*)\"|'([^']*)'|`([^`]*)`|([^\s,;]+))",
            self.text,
            re.IGNORECASE,
        )
        if m is None:
            return None
        value = next(g for g in m.groups() if g is not None)
        return value.rstrip(".!?") if m[4] is not None else value

    def mentions(self, word: str) -> bool:
        pattern = rf"(?<!\w){re.escape(word)}(?!\w)"
        return bool(word) and re.search(pattern, self.text, re.IGNORECASE) is not None


def sample(schema: JSON, hints: Hints | None = None) -> JSON:
    """A value that fits the schema. The same schema and hints give the same value."""
    return _Sampler(schema, hints or Hints()).value(schema, "value", 0)


class _Sampler:
    def __init__(self, root: JSON, hints: Hints) -> None:
        self.root = root
        self.hints = hints

    def value(self, schema: JSON, name: str, depth: int, nth: int = 0) -> JSON:
        """`nth` asks for another value than those before it (unique items)."""
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return None if schema is not True else name
        schema = _sound(self.resolved(schema, depth))
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.choice(schema["enum"], nth)
        kind = self.kind(schema)
        if kind not in ("object", "array"):
            said = self.said(schema, kind, name) if nth == 0 else None
            if said is not None:
                return said
        if nth == 0:
            if "default" in schema and self.fits_type(schema["default"], kind):
                return schema["default"]
            examples = schema.get("examples")
            if isinstance(examples, list) and examples and self.fits_type(examples[0], kind):
                return examples[0]
        if kind == "object":
            return self.object(schema, depth)
        if kind == "array":
            return self.array(schema, name, depth)
        if kind in ("integer", "number"):
            return self.number(schema, kind, nth)
        if kind == "boolean":
            return nth == 0
        return None if kind == "null" else self.string(schema, name, nth)

    def resolved(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with references, allOf and the first usable alternative merged in."""
        for _ in range(_MAX_DEPTH):
            ref = schema.get("$ref")
            if isinstance(ref, str):
                rest = {k: v for k, v in schema.items() if k != "$ref"}
                target = self.lookup(ref)
                schema = _merged(target, rest) if isinstance(target, dict) else rest
            elif schema.get("allOf"):
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                for branch in schema["allOf"]:
                    if isinstance(branch, dict):
                        rest = _merged(rest, branch)
                schema = rest
            elif "anyOf" in schema or "oneOf" in schema:
                key = "anyOf" if "anyOf" in schema else "oneOf"
                rest = {k: v for k, v in schema.items() if k != key}
                schema = _merged(rest, self.alternative(schema[key], depth))
            else:
                break
        return schema

    def lookup(self, ref: str) -> JSON:
        """The target of a local reference; {} (anything) for what can't be found."""
        if not ref.startswith("#"):
            return {}
        at = self.root
        for step in ref[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(at, dict) and step in at:
                at = at[step]
            elif isinstance(at, list) and step.isdigit() and int(step) < len(at):
                at = at[int(step)]
            else:
                return {}
        return at

    def alternative(self, branches: JSON, depth: int) -> dict[str, Any]:
        """The first branch; deep inside (a recursive schema), the simplest, to come to an end."""
        found = [b for b in branches if isinstance(b, dict)] if isinstance(branches, list) else []
        real = [b for b in found if b.get("type") != "null" and b.get("const", 0) is not None]
        if depth > _MAX_DEPTH // 4:
            flat = [b for b in found if self.kind(b) not in ("object", "array") and "$ref" not in b]
            return (flat or found or [{}])[0]
        return (real or found or [{}])[0]

    def kind(self, schema: dict[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null"), "null")
        if isinstance(kind, str):
            return kind
        for keys, implied in (
            (("properties", "required", "additionalProperties", "minProperties"), "object"),
            (("items", "prefixItems", "minItems", "contains"), "array"),
            (
                ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
                "number",
            ),
        ):
            if any(k in schema for k in keys):
                return implied
        return "string"

    def fits_type(self, value: JSON, kind: str) -> bool:
        if isinstance(value, bool):
            return kind == "boolean"
        types: dict[str, Any] = {
            "string": str,
            "integer": int,
            "number": int | float,
            "object": dict,
            "array": list,
        }
        return isinstance(value, types.get(kind, type(None)))

    def choice(self, values: list[JSON], nth: int) -> JSON:
        mentioned = [v for v in values if isinstance(v, str) and self.hints.mentions(v)]
        if nth == 0 and mentioned:
            return mentioned[0]
        return values[nth % len(values)]

    def said(self, schema: dict[str, Any], kind: str, name: str) -> JSON:
        """What the text says for a value of this name and type; None if nothing is obvious."""
        named = self.hints.named(name)
        if kind in ("integer", "number"):
            if named is not None and re.fullmatch(r"-?\d+(\.\d+)?", named):
                number: float = float(named) if "." in named else int(named)
                return number if self.in_range(schema, kind, number) else None
            for i, number in enumerate(self.hints.numbers):
                if self.in_range(schema, kind, number):
                    del self.hints.numbers[i]
                    return number
            return None
        if kind == "boolean":
            words = {
                "true": True,
                "yes": True,
                "on": True,
                "false": False,
                "no": False,
                "off": False,
            }
            return words.get(named.lower()) if named is not None else None
        if kind != "string":
            return None
        if named is not None:
            return named if self.allowed(schema, named) else None
        shape = _FORMAT_IN_TEXT.get(schema.get("format", ""))
        if shape is not None:
            found = re.search(shape, self.hints.text)
            return found[0] if found and self.allowed(schema, found[0]) else None
        if "default" in schema or "format" in schema:
            return None
        for candidates in (self.hints.quoted, self.hints.names):
            for i, text in enumerate(candidates):
                if self.allowed(schema, text):
                    del candidates[i]
                    return text
        if self.hints.rest and self.allowed(schema, self.hints.rest):
            rest, self.hints.rest = self.hints.rest, ""
            return rest
        if name.lower() in _WHOLE_TEXT and self.allowed(schema, self.hints.text):
            return self.hints.text or None
        return None

    def allowed(self, schema: dict[str, Any], text: str) -> bool:
        low, high = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        return low <= len(text) <= high and _matches(schema.get("pattern"), text)

    def in_range(self, schema: dict[str, Any], kind: str, number: float) -> bool:
        low, high = _bounds(schema, kind)
        step = schema.get("multipleOf")
        if kind == "integer" and number != int(number):
            return False
        if not low <= number <= high:
            return False
        if number in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            return False
        return not step or math.isclose(number / step, round(number / step), abs_tol=1e-9)

    def number(self, schema: dict[str, Any], kind: str, nth: int) -> float:
        low, high = _bounds(schema, kind)
        step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
        start: float = min(max(1, low), high)
        if step:
            start = math.ceil(start / step) * step
            if start > high:
                start = math.floor(high / step) * step
            start += nth * step
        elif start in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            start = _inside(low, high, start)
        if not step and nth:
            start += nth / 1024 if start + nth > high else nth
        return int(start) if start == int(start) else start

    def string(self, schema: dict[str, Any], name: str, nth: int) -> str:
        if "format" in schema and schema["format"] in _FORMATS and nth == 0:
            return _FORMATS[schema["format"]]
        text = name if nth == 0 else f"{name}{nth + 1}"
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        text = (text * (low // max(1, len(text)) + 1))[: max(low, len(text))]
        text = text if high is None else text[:high]
        if not self.allowed(schema, text):
            text = next((c for c in _CANDIDATES if self.allowed(schema, c)), text)
        return text

    def array(self, schema: dict[str, Any], name: str, depth: int) -> list[JSON]:
        prefix = schema.get("prefixItems") or []
        out = [self.value(s, f"{name}{i + 1}", depth + 1) for i, s in enumerate(prefix)]
        items = schema.get("items", schema.get("contains", {} if prefix else True))
        few = 0 if prefix or depth > _MAX_DEPTH // 4 else 1
        wanted = max(schema.get("minItems", 0), few + len(prefix))
        wanted = min(wanted, schema.get("maxItems", wanted))
        if items is False:
            return out
        singular = name[:-1] if name.endswith("s") and len(name) > 1 else name
        for nth in range(wanted - len(out)):
            unique = nth if schema.get("uniqueItems") else 0
            out.append(self.value(items, singular, depth + 1, unique))
        return out[:wanted]

    def object(self, schema: dict[str, Any], depth: int) -> dict[str, JSON]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        required = schema.get("required")
        # Without a list of what is required nothing is; then show what there is.
        wanted = list(required) if isinstance(required, list) else list(properties)
        if not isinstance(required, list) and depth > _MAX_DEPTH // 4:
            wanted = []
        wanted += [n for n in properties if n not in wanted and self.hints.named(n) is not None]
        for name in list(wanted):
            wanted += schema.get("dependentRequired", {}).get(name, [])
        for name in properties:
            if len(set(wanted)) >= schema.get("minProperties", 0):
                break
            wanted.append(name)
        order = [n for n in properties if n in wanted]
        order += [n for n in dict.fromkeys(wanted) if n not in properties]
        more = schema.get("additionalProperties", True)
        for i in range(schema.get("minProperties", 0) - len(order)):
            order.append(f"key{i + 1}")
        return {n: self.value(properties.get(n, more), n, depth + 1) for n in order}


_NUMBERS = (int, float)
_SHAPES: dict[str, type | tuple[type, ...]] = {
    "enum": list,
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "exclusiveMinimum": _NUMBERS,
    "exclusiveMaximum": _NUMBERS,
    "multipleOf": _NUMBERS,
    "minLength": int,
    "maxLength": int,
    "minItems": int,
    "maxItems": int,
    "minProperties": int,
    "prefixItems": list,
    "properties": dict,
    "dependentRequired": dict,
    "required": list,
    "format": str,
}


def _sound(schema: dict[str, Any]) -> dict[str, Any]:
    """Without keywords whose value is of a wrong type: a real server would have refused them."""
    return {
        k: v
        for k, v in schema.items()
        if k not in _SHAPES or (isinstance(v, _SHAPES[k]) and not isinstance(v, bool))
    }


def _merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Both schemas at once, as far as keywords can be joined; else b's word counts."""
    out = {**a, **b}
    for key in ("properties", "$defs", "dependentRequired"):
        if isinstance(a.get(key), dict) and isinstance(b.get(key), dict):
            out[key] = {**a[key], **b[key]}
    if isinstance(a.get("required"), list) and isinstance(b.get("required"), list):
        out["required"] = list(dict.fromkeys([*a["required"], *b["required"]]))
    if isinstance(a.get("enum"), list) and isinstance(b.get("enum"), list):
        out["enum"] = [v for v in a["enum"] if v in b["enum"]] or b["enum"]
    a, b = _sound(a), _sound(b)
    for key, pick in (("minimum", max), ("maximum", min), ("minLength", max), ("maxLength", min)):
        if key in a and key in b:
            out[key] = pick(a[key], b[key])
    return out


def _bounds(schema: dict[str, Any], kind: str) -> tuple[float, float]:
    low: float = schema.get("minimum", -math.inf)
    high: float = schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None:
        low = max(low, math.floor(above) + 1 if kind == "integer" else above)
    if below is not None:
        high = min(high, math.ceil(below) - 1 if kind == "integer" else below)
    return low, high


def _inside(low: float, high: float, start: float) -> float:
    """A number strictly between the bounds."""
    if math.isfinite(low) and math.isfinite(high):
        return (low + high) / 2
    return start + 1 if math.isinf(high) else start - 1


def _matches(pattern: JSON, text: str) -> bool:
    if not isinstance(pattern, str):
        return True
    try:
        return re.search(pattern, text) is not None
    except re.error:  # another dialect of regular expressions
        return True
