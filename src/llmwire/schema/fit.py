"""One schema in the words that a provider's schema mode knows.

What a mode can't check stands in the description, for the model to read, and is checked when the
reply is decoded. Every change of meaning is a record.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec import Struct

from ..plain import JSON, load_json
from ..usage import Adaptation
from .rules import PLAIN, STRUCTURE, Schema, SchemaRules
from .values import allows_null, kind_of, kinds_of, resolve


class FittedSchema(Struct, frozen=True):
    """A schema that the rules take, or why there is none."""

    schema: Schema | None
    adaptations: tuple[Adaptation, ...] = ()
    why_not: str = ""


def fit_schema(schema: Schema, rules: SchemaRules, path: str) -> FittedSchema:
    """The schema as `rules` take it; `path` is where the caller gave it.

    The same schema gives the same result, which nobody may change. `schema` stays as it is.
    """
    if rules == PLAIN:
        return FittedSchema(schema)
    return _fitted(msgspec.json.encode(schema), rules, path)


@lru_cache(maxsize=128)
def _fitted(text: bytes, rules: SchemaRules, path: str) -> FittedSchema:
    fitter = _Fitter(load_json(text), rules, path)
    try:
        return FittedSchema(fitter.whole(), fitter.records())
    except _Inexpressible as e:
        return FittedSchema(None, why_not=str(e))
    except RecursionError:
        return FittedSchema(None, why_not=f"{path}: nested too deeply")


class _Inexpressible(Exception):
    """The rules have no words for a place of the schema."""


_DEFINITIONS = ("$defs", "definitions")
_REMARKS = frozenset((
    "$schema", "$id", "$comment", "$anchor", "discriminator", "deprecated", "readOnly",
    "writeOnly", "xml", "externalDocs",
))  # fmt: skip
_NULL: Schema = {"type": "null"}


class _Fitter:
    """One rewrite of one schema."""

    def __init__(self, root: Schema, rules: SchemaRules, path: str) -> None:
        self.root = root
        self.rules = rules
        self.base = path
        self.log: list[Adaptation] = []
        self.closed: list[str] = []
        self.nullable: list[str] = []
        self.moved: dict[str, JSON] = {}
        self.dropped: dict[str, JSON] = {}
        self.names: dict[str, str] = {}  # reference -> name among the definitions
        self.defs: dict[str, Schema] = {}
        self.inside: list[str] = []  # the references that lead to the place being fitted

    def whole(self) -> Schema:
        root = self.root
        for _ in range(64):
            if "$ref" not in root or not root.keys() <= {"$ref", "$schema", *_DEFINITIONS}:
                break
            root = self.target(root["$ref"])
        out = self.fit(root, self.base)
        return {**out, "$defs": self.defs} if self.defs else out

    def records(self) -> tuple[Adaptation, ...]:
        """One record a kind of change, with all its places."""
        out = list(self.log)
        if self.closed:
            why = "the schema mode wants objects without further keys"
            out.append(Adaptation(self.base, "substituted", why, None, self.closed))
        if self.nullable:
            why = "the schema mode wants every key: what may be missing may be null instead"
            out.append(Adaptation(self.base, "substituted", why, None, self.nullable))
        if self.moved:
            why = "the schema mode does not know these: they stand in descriptions"
            out.append(Adaptation(self.base, "moved", why, self.moved))
        if self.dropped:
            why = "the schema mode does not take these"
            out.append(Adaptation(self.base, "dropped", why, self.dropped))
        return tuple(out)

    def substituted(self, path: str, why: str, before: JSON = None) -> None:
        self.log.append(Adaptation(path, "substituted", why, before))

    # --- one place ---

    def fit(self, schema: JSON, path: str) -> Schema:
        if schema is True:
            schema = {}
        if not isinstance(schema, dict):
            raise _Inexpressible(f"{path}: {schema!r} is no schema of a value")
        if not self.rules.combined:
            schema = self.joined(schema, path)
        if "$ref" in schema:
            return self.reference(schema, path)
        out: Schema = {k: schema[k] for k in ("title", "description", "type") if k in schema}
        self.narrow(schema, out)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                out[key] = [self.fit(s, f"{path}.{key}[{i}]") for i, s in enumerate(schema[key])]
        kinds = kinds_of(schema)
        if "object" in kinds:
            self.object(schema, out, path)
        if "array" in kinds:
            self.array(schema, out, path)
        if self.rules.typed and not out.keys() & {"type", "anyOf"}:
            if not kinds:
                raise _Inexpressible(f"{path}: a value of any kind")
            out["type"] = kinds[0]
        self.checks(schema, out, path)
        return out

    def narrow(self, schema: Schema, out: Schema) -> None:
        """The values that are listed."""
        if "enum" in schema:
            out["enum"] = schema["enum"]
        elif "const" in schema and self.rules.consts:
            out["const"] = schema["const"]
        elif "const" in schema:
            out["enum"] = [schema["const"]]
        if self.rules.typed and "type" not in out and out.keys() & {"enum", "const"}:
            kinds = sorted({kind_of(v) for v in out.get("enum", [out.get("const")])})
            out["type"] = kinds[0] if len(kinds) == 1 else kinds

    def checks(self, schema: Schema, out: Schema, path: str) -> None:
        """Every other keyword: kept, or for the model to read."""
        moved: list[str] = []
        for key, value in schema.items():
            if key in STRUCTURE:
                continue
            if self.rules.check(key, value):
                out[key] = value
            elif key in _REMARKS:
                self.dropped[f"{path}.{key}"] = value
            elif key != "default" or value is not None:  # null says no more than its absence
                self.moved[f"{path}.{key}"] = value
                moved.append(f"{key}: {msgspec.json.encode(value).decode()}")
        if moved:
            _remark(out, ", ".join(moved))

    def object(self, schema: Schema, out: Schema, path: str) -> None:
        rules = self.rules
        properties, more = schema.get("properties"), schema.get("additionalProperties")
        free = isinstance(more, dict) or "patternProperties" in schema
        free = free or (properties is None and more is not False)
        if free and rules.typed:
            raise _Inexpressible(f"{path}: an object with free keys")
        made: Schema = {}
        required = list(schema.get("required") or ())
        for name, inner in (properties or {}).items():
            place = f"{path}.properties.{name}"
            made[name] = self.fit(inner, place)
            if rules.all_required and name not in required:
                self.nullable.append(place)
                made[name] = _nullable(made[name])
        if properties is not None or (rules.closed and not free):
            out["properties"] = made
        if rules.all_required:
            required = list(made)
        if required or "required" in schema or rules.all_required:
            out["required"] = required
        if rules.closed and not free:
            if more is not False:
                self.closed.append(path)
            out["additionalProperties"] = False
        elif isinstance(more, dict):
            out["additionalProperties"] = self.fit(more, f"{path}.additionalProperties")
        elif more is not None:
            out["additionalProperties"] = more

    def array(self, schema: Schema, out: Schema, path: str) -> None:
        prefix, items = schema.get("prefixItems"), schema.get("items")
        if prefix is None:
            if items is not None or self.rules.typed:
                out["items"] = self.fit({} if items is None else items, f"{path}.items")
            return
        fitted = [self.fit(s, f"{path}.prefixItems[{i}]") for i, s in enumerate(prefix)]
        rest = [self.fit(items, f"{path}.items")] if isinstance(items, dict) else []
        if self.rules.tuples:
            out["prefixItems"] = fitted
            if items is not None:
                out["items"] = rest[0] if rest else items
            return
        why = "the schema mode knows no items of a kind of their own: each may be any of them"
        self.substituted(f"{path}.prefixItems", why, prefix)
        _remark(out, "items in this order: " + msgspec.json.encode(prefix).decode())
        fitted += rest
        kinds = [s for i, s in enumerate(fitted) if s not in fitted[:i]]
        out["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}

    # --- references and combinations ---

    def reference(self, schema: Schema, path: str) -> Schema:
        """The reference, and its target among the definitions."""
        ref = schema["$ref"]
        if ref in self.inside and not self.rules.recursive:
            raise _Inexpressible(f"{path}: a schema that contains itself")
        if ref not in self.names:
            name = (
                re.sub(r"[^A-Za-z0-9_.-]", "_", str(ref).rpartition("/")[2].lstrip("#")) or "root"
            )
            while name in self.names.values():
                name += "_"
            self.names[ref] = name
            self.inside.append(ref)
            self.defs[name] = {}  # its place: before what it refers to
            self.defs[name] = self.fit(self.target(ref), f"{self.base}.$defs.{name}")
            self.inside.pop()
        rest = {k: v for k, v in schema.items() if k != "$ref" and k not in _DEFINITIONS}
        return {**rest, "$ref": f"#/$defs/{self.names[ref]}"}

    def target(self, ref: JSON) -> Schema:
        found = resolve(self.root, ref)
        if not isinstance(found, dict):
            raise _Inexpressible(f"{self.base}: {ref!r} refers to nothing in the schema")
        return found

    def joined(self, schema: Schema, path: str) -> Schema:
        """The same without `allOf` and `oneOf`, and without neighbours of a `$ref`."""
        for _ in range(64):
            rest = {k: v for k, v in schema.items() if k not in _DEFINITIONS}
            if "$ref" in rest and len(rest) > 1:
                ref = rest.pop("$ref")
                if self.contains_itself(ref):
                    self.dropped |= {f"{path}.{key}": value for key, value in rest.items()}
                    return {"$ref": ref}
                schema = _both(self.target(ref), rest, path)
            elif rest.get("allOf"):
                for branch in rest.pop("allOf"):
                    rest = _both(rest, self.spelled(branch) if rest else branch, path)
                schema = rest
            elif "oneOf" in rest:
                if "anyOf" in rest:
                    raise _Inexpressible(f"{path}: anyOf beside oneOf")
                self.substituted(f"{path}.oneOf", "the schema mode has anyOf only")
                rest["anyOf"] = rest.pop("oneOf")
                schema = rest
            else:
                return rest
        raise _Inexpressible(f"{path}: a reference to itself")

    def spelled(self, schema: JSON) -> JSON:
        """The schema without a reference at its root, where that comes to an end."""
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        if self.contains_itself(schema["$ref"]):
            return schema
        return self.spelled(_both(self.target(schema["$ref"]), rest, self.base))

    def contains_itself(self, ref: JSON) -> bool:
        """Whether the references below `ref` lead back to it."""
        seen: set[str] = set()
        todo: list[JSON] = [self.target(ref)]
        while todo:
            at = todo.pop()
            if isinstance(at, dict):
                inner = at.get("$ref")
                if inner == ref:
                    return True
                if isinstance(inner, str) and inner not in seen:
                    seen.add(inner)
                    todo.append(self.target(inner))
                todo += [v for k, v in at.items() if k not in _DEFINITIONS]
            elif isinstance(at, list):
                todo += at
        return False


def _both(a: Schema, b: JSON, path: str) -> Schema:
    """One schema for the values that fit both."""
    if b is True:
        return a
    if not isinstance(b, dict):
        raise _Inexpressible(f"{path}: {b!r} is no schema of a value")
    out = {k: v for k, v in a.items() if k not in _DEFINITIONS}
    for key, value in b.items():
        ours: JSON = out.get(key)
        if key not in out or ours == value or key in ("title", "description", "default"):
            out[key] = value
        elif key == "properties":
            joined = {n: _both(ours[n], s, path) if n in ours else s for n, s in value.items()}
            out[key] = {**ours, **joined}
        elif key == "required":
            out[key] = list(dict.fromkeys([*ours, *value]))
        elif key == "additionalProperties" and ours in (True, {}):
            out[key] = value
        elif key != "additionalProperties" or value not in (True, {}):
            raise _Inexpressible(f"{path}: two words on {key}")
    return out


def _nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    if allows_null(schema):
        return schema
    kinds = kinds_of(schema)
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], _NULL]}
    if not kinds or "const" in schema or {"object", "array"} & set(kinds):
        return {"anyOf": [schema, _NULL]}
    out = {**schema, "type": [*kinds, "null"]}
    if "enum" in schema:
        out["enum"] = [*schema["enum"], None]
    return out


def _remark(out: Schema, text: str) -> None:
    said = out.get("description")
    out["description"] = f"{said} ({text})" if said else f"({text})"
