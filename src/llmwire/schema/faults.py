"""What a service with given rules refuses in a schema: the server's side of `fit`."""

from __future__ import annotations

from collections.abc import Iterator

from ..plain import JSON
from .rules import STRUCTURE, Schema, SchemaRules
from .values import kinds_of, resolve


def faults(schema: JSON, rules: SchemaRules) -> Iterator[tuple[str, str]]:
    """The places that are refused, as OpenAI names them, each with what is wrong there."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        yield "()", "schema must be a JSON Schema of 'type: \"object\"'"
        return
    yield from _faults(schema, rules, (), schema, frozenset())


def _faults(
    schema: JSON, rules: SchemaRules, at: tuple[str, ...], root: Schema, inside: frozenset[str]
) -> Iterator[tuple[str, str]]:
    place = str(at)
    if not isinstance(schema, dict):
        if rules.typed or not isinstance(schema, bool):
            yield place, "is not a schema"
        return
    ref = schema.get("$ref")
    if isinstance(ref, str):
        if len(schema) > 1 and not rules.combined:
            yield place, "$ref cannot have keywords beside it"
        if not isinstance(resolve(root, ref), dict):
            yield place, f"reference {ref!r} can't be resolved"
        elif ref not in inside:
            yield from _faults(resolve(root, ref), rules, at, root, inside | {ref})
        elif not rules.recursive:
            yield place, "recursive schemas are not supported"
        return
    if rules.typed and not schema.keys() & {"type", "anyOf"}:
        yield place, "schema must have a 'type' key"
    unknown = [k for k, v in schema.items() if k not in STRUCTURE and not rules.check(k, v)]
    unknown += [] if rules.combined else [k for k in ("allOf", "oneOf") if k in schema]
    unknown += [] if rules.tuples else [k for k in ("prefixItems",) if k in schema]
    unknown += [] if rules.consts else [k for k in ("const",) if k in schema]
    yield from ((place, f"'{key}' is not permitted") for key in unknown)
    kinds, properties = kinds_of(schema), schema.get("properties") or {}
    if "object" in kinds and rules.typed and schema.get("additionalProperties") is not False:
        yield place, "'additionalProperties' is required to be supplied and to be false"
    missing = [n for n in properties if n not in (schema.get("required") or ())]
    if rules.all_required and missing:
        yield (
            place,
            (
                "'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{missing[0]}'."
            ),
        )
    if "array" in kinds and rules.typed and not isinstance(schema.get("items"), dict):
        yield place, "array schema missing items"
    for name, inner in properties.items():
        yield from _faults(inner, rules, (*at, "properties", name), root, inside)
    if "items" in schema:
        yield from _faults(schema["items"], rules, (*at, "items"), root, inside)
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for i, inner in enumerate(schema.get(key) or ()):
            yield from _faults(inner, rules, (*at, key, str(i)), root, inside)
