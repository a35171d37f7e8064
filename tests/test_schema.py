"""Schemas: what each mode takes of them, what they say of values."""

from __future__ import annotations

import json
from typing import Any

import anthropic.lib._parse._transform as anthropic_sdk
import openai.lib._pydantic as openai_sdk
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.schema import (
    ANTHROPIC,
    GEMINI,
    MISTRAL,
    OPENAI,
    PLAIN,
    SchemaRules,
    fit_schema,
    mismatch,
    without_added_nulls,
)
from llmwire.schema.faults import faults
from llmwire.schema.values import allows_null
from llmwire.testing.schema import sample

RULES = {"openai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI, "mistral": MISTRAL}


def obj(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> Any:
    needed = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": needed, **more}


def closed(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> Any:
    return obj(properties, required, additionalProperties=False, **more)


STRING: Any = {"type": "string"}
INTEGER: Any = {"type": "integer"}

FITTED: list[tuple[str, Any, SchemaRules, Any]] = [
    ("closed", obj({"a": STRING}), OPENAI, closed({"a": STRING})),
    ("closed", obj({"a": STRING}), ANTHROPIC, closed({"a": STRING})),
    ("closed", obj({"a": STRING}), MISTRAL, closed({"a": STRING})),
    ("not closed", obj({"a": STRING}), GEMINI, obj({"a": STRING})),
    ("plain", obj({"a": {}}, title="T"), PLAIN, obj({"a": {}}, title="T")),
    (
        "optional is nullable",
        obj({"a": STRING, "b": {"enum": ["x", 1]}, "c": {"anyOf": [STRING, INTEGER]}}, ["a"]),
        OPENAI,
        closed({
            "a": STRING,
            "b": {"enum": ["x", 1, None], "type": ["integer", "string", "null"]},
            "c": {"anyOf": [STRING, INTEGER, {"type": "null"}]},
        }),
    ),
    (
        "optional objects, arrays and constants are nullable",
        obj({"a": obj({}), "b": {"type": "array", "items": STRING}, "c": {"const": 1}}, []),
        OPENAI,
        closed({
            "a": {"anyOf": [closed({}), {"type": "null"}]},
            "b": {"anyOf": [{"type": "array", "items": STRING}, {"type": "null"}]},
            "c": {"anyOf": [{"const": 1, "type": "integer"}, {"type": "null"}]},
        }),
    ),
    (
        "what is nullable already stays",
        obj({"a": {"type": ["string", "null"]}, "b": {"enum": [None]}}, []),
        OPENAI,
        closed({"a": {"type": ["string", "null"]}, "b": {"enum": [None], "type": "null"}}),
    ),
    ("optional stays", obj({"a": STRING}, []), ANTHROPIC, closed({"a": STRING}, [])),
    (
        "checks are kept or described",
        obj({"a": {"type": "string", "minLength": 2, "pattern": "^a", "description": "An a."}}),
        OPENAI,
        closed({"a": {"type": "string", "pattern": "^a", "description": "An a. (minLength: 2)"}}),
    ),
    (
        "checks are described",
        obj({"a": {"type": "integer", "minimum": 1, "maximum": 3}}),
        ANTHROPIC,
        closed({"a": {"type": "integer", "description": "(minimum: 1, maximum: 3)"}}),
    ),
    (
        "patterns that look around are described",
        obj({"a": {"type": "string", "pattern": "^(?!b)(?:a)"}}),
        OPENAI,
        closed({"a": {"type": "string", "description": '(pattern: "^(?!b)(?:a)")'}}),
    ),
    (
        "formats",
        obj({"a": {"type": "string", "format": "uri"}, "b": {"type": "string", "format": "date"}}),
        OPENAI,
        closed({
            "a": {"type": "string", "description": '(format: "uri")'},
            "b": {"type": "string", "format": "date"},
        }),
    ),
    (
        "few items",
        obj({
            "a": {"type": "array", "items": STRING, "minItems": 1},
            "b": {"type": "array", "items": STRING, "minItems": 2},
        }),
        ANTHROPIC,
        closed({
            "a": {"type": "array", "items": STRING, "minItems": 1},
            "b": {"type": "array", "items": STRING, "description": "(minItems: 2)"},
        }),
    ),
    (
        "tuples",
        obj({"a": {"type": "array", "prefixItems": [STRING, INTEGER, STRING], "items": False}}),
        OPENAI,
        closed({
            "a": {
                "type": "array",
                "description": 'items in this order: [{"type":"string"},{"type":"integer"},'
                '{"type":"string"}]'.join("()"),
                "items": {"anyOf": [STRING, INTEGER]},
            }
        }),
    ),
    (
        "tuples stay",
        obj({"a": {"prefixItems": [STRING, INTEGER], "items": STRING}}),
        GEMINI,
        obj({"a": {"prefixItems": [STRING, INTEGER], "items": STRING}}),
    ),
    (
        "constants",
        obj({"a": {"const": "x"}, "b": {"enum": [1, 2.5]}}),
        GEMINI,
        obj({"a": {"enum": ["x"]}, "b": {"enum": [1, 2.5]}}),
    ),
    (
        "one of",
        obj({"a": {"oneOf": [STRING, INTEGER]}}),
        OPENAI,
        closed({"a": {"anyOf": [STRING, INTEGER]}}),
    ),
    (
        "all of",
        obj({"a": {"allOf": [obj({"x": STRING}), obj({"y": INTEGER}), True]}}),
        ANTHROPIC,
        closed({"a": closed({"x": STRING, "y": INTEGER})}),
    ),
    (
        "neighbours of a reference",
        obj({"a": {"$ref": "#/$defs/A", "description": "why"}, "b": {"$ref": "#/$defs/A"}})
        | {"$defs": {"A": obj({"x": STRING})}},
        OPENAI,
        closed({"a": {"description": "why", **closed({"x": STRING})}, "b": {"$ref": "#/$defs/A"}})
        | {"$defs": {"A": closed({"x": STRING})}},
    ),
    (
        "a reference at the root, and old definitions",
        {"$ref": "#/definitions/A", "definitions": {"A": obj({"x": STRING}), "B": STRING}},
        ANTHROPIC,
        closed({"x": STRING}),
    ),
    (
        "itself",
        {"$ref": "#/$defs/N", "$defs": {"N": obj({"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}})}},
        OPENAI,
        closed({"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}})
        | {"$defs": {"N": closed({"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}})}},
    ),
    (
        "free keys where they are taken",
        obj({"a": {"type": "object", "additionalProperties": INTEGER}}),
        MISTRAL,
        closed({"a": {"type": "object", "additionalProperties": INTEGER}}),
    ),
    (
        "remarks",
        obj({"a": {"type": "string", "$comment": "x", "default": None}}, **{"$schema": "s"}),
        OPENAI,
        closed({"a": STRING}),
    ),
    ("names of properties", obj({"minLength": STRING}), OPENAI, closed({"minLength": STRING})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "rules", "expected"), [c[1:] for c in FITTED], ids=[c[0] for c in FITTED]
)
def test_a_schema_in_the_words_of_a_mode(schema: Any, rules: SchemaRules, expected: Any) -> None:
    before = json.dumps(schema)
    got = fit_schema(schema, rules, "s")
    assert got.schema is not None, got.why_not
    without_order = {k: v for k, v in got.schema.items() if k != "required"}
    assert without_order == {k: v for k, v in expected.items() if k != "required"}
    assert got.schema == expected or set(got.schema["required"]) == set(expected["required"])
    assert list(faults(got.schema, rules)) == []
    assert json.dumps(schema) == before, "the caller's schema was changed"


def test_every_change_of_meaning_is_a_record() -> None:
    schema = obj(
        {"a": {"type": "string", "minLength": 1}, "b": {"oneOf": [STRING]}, "c": STRING},
        ["a", "b"],
        **{"$id": "x"},
    )
    got = fit_schema(schema, OPENAI, "output.schema")
    assert [(a.path, a.action, a.before or a.after) for a in got.adaptations] == [
        ("output.schema.properties.b.oneOf", "substituted", None),
        ("output.schema", "substituted", ["output.schema"]),
        ("output.schema", "substituted", ["output.schema.properties.c"]),
        ("output.schema", "moved", {"output.schema.properties.a.minLength": 1}),
        ("output.schema", "dropped", {"output.schema.$id": "x"}),
    ]
    assert fit_schema(got.schema or {}, OPENAI, "output.schema").adaptations == ()


INEXPRESSIBLE: list[tuple[Any, SchemaRules, str]] = [
    (obj({"a": {}}), OPENAI, "s.properties.a: a value of any kind"),
    (obj({"a": {"type": "array"}}), OPENAI, "s.properties.a.items: a value of any kind"),
    (obj({"a": {"type": "object"}}), ANTHROPIC, "s.properties.a: an object with free keys"),
    (obj({}, additionalProperties=STRING), OPENAI, "s: an object with free keys"),
    (obj({}, patternProperties={"a": STRING}), OPENAI, "s: an object with free keys"),
    (obj({"a": {"$ref": "#/$defs/No"}}), OPENAI, "'#/$defs/No' refers to nothing"),
    (obj({"a": {"$ref": "https://x/y"}}), OPENAI, "refers to nothing"),
    (obj({"a": False}), OPENAI, "s.properties.a: False is no schema"),
    (obj({"a": {"$ref": "#"}}), ANTHROPIC, "a schema that contains itself"),
    (obj({"a": {"allOf": [STRING, INTEGER]}}), OPENAI, "two words on type"),
    (obj({"a": {"anyOf": [STRING], "oneOf": [STRING]}}), OPENAI, "anyOf beside oneOf"),
]


@pytest.mark.parametrize(("schema", "rules", "why"), INEXPRESSIBLE)
def test_what_a_mode_has_no_words_for(schema: Any, rules: SchemaRules, why: str) -> None:
    got = fit_schema(schema, rules, "s")
    assert got.schema is None and got.adaptations == ()
    assert why in got.why_not


def test_too_deep_is_no_crash() -> None:
    deep: Any = STRING
    for _ in range(3000):
        deep = {"type": "array", "items": deep}
    with pytest.raises(RecursionError):
        json.dumps(deep)
    # msgspec refuses to write it, as it does the request itself: the backend says so.
    with pytest.raises(RecursionError):
        fit_schema(obj({"a": deep}), OPENAI, "s")


# --- properties ---------------------------------------------------------------------------------

leaves = st.sampled_from([
    STRING,
    INTEGER,
    {"type": "number", "minimum": 0, "maximum": 9},
    {"type": "boolean"},
    {"type": ["string", "null"]},
    {"enum": ["red", "green"]},
    {"const": 4},
    {"type": "string", "minLength": 2, "maxLength": 30},
    {"type": "string", "format": "date", "default": "2026-01-31"},
    {"type": "integer", "multipleOf": 5, "description": "fives"},
    {"$ref": "#/$defs/Leaf"},
    {"$ref": "#/$defs/Tree"},
])  # fmt: skip


def _object(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b", "c", "type", "required"])
    return st.dictionaries(names, inner, max_size=4).flatmap(
        lambda p: (
            st.lists(st.sampled_from(sorted(p)), unique=True).map(lambda r: obj(p, r))
            if p
            else st.just(obj({}))
        )
    )


def _more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _object(inner),
        inner.map(lambda s: {"type": "array", "items": s, "minItems": 1}),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda s: {"type": "array", "prefixItems": s, "items": False, "minItems": len(s)}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda s: {"anyOf": s}),
        st.lists(inner, min_size=1, max_size=3).map(lambda s: {"oneOf": s}),
    )


schemas = _object(st.recursive(leaves, _more, max_leaves=8)).map(
    lambda s: {
        **s,
        "$defs": {
            "Leaf": obj({"v": INTEGER, "w": STRING}, ["v"]),
            "Tree": obj({"kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}, []),
        },
    }
)


@pytest.mark.parametrize("name", RULES)
@given(schema=schemas)
def test_what_is_fitted_is_accepted_and_means_no_less(name: str, schema: Any) -> None:
    """The service takes it; what fits the original fits it, its absent keys as nulls; and what
    the model writes by it is, its nulls taken away, as the original says, constraints apart."""
    rules = RULES[name]
    got = fit_schema(schema, rules, "s")
    if got.schema is None:
        assert got.why_not
        assert name in ("openai", "anthropic", "mistral", "gemini")
        return
    assert list(faults(got.schema, rules)) == []
    assert fit_schema(got.schema, rules, "s").schema is not None
    value = sample(got.schema)
    assert mismatch(value, got.schema) is None
    cleaned = without_added_nulls(value, schema)
    assert cleaned is value or rules.all_required
    assert all(k in cleaned for k in schema["required"])


@given(schema=schemas)
def test_a_sample_fits_its_schema(schema: Any) -> None:
    one_of_is_any_of = json.loads(json.dumps(schema).replace('"oneOf"', '"anyOf"'))
    assert mismatch(sample(one_of_is_any_of), one_of_is_any_of) is None


# --- values -------------------------------------------------------------------------------------

VALUES: list[tuple[Any, Any, str | None]] = [
    (STRING, "a", None),
    (STRING, 1, "$"),
    (INTEGER, 1.0, None),
    (INTEGER, 1.5, "$"),
    ({"type": "number"}, 1, None),
    (INTEGER, True, "$"),
    ({"type": ["string", "null"]}, None, None),
    ({"enum": [1, "a"]}, "a", None),
    ({"enum": [1]}, True, "$"),
    ({"const": {"a": 1}}, {"a": 1}, None),
    ({"const": 1}, 2, "$"),
    (obj({"a": obj({"b": STRING})}), {"a": {"b": 1}}, "$.a.b"),
    (obj({"a": STRING}), {}, "$"),
    (obj({"a": STRING}, []), {"b": 1}, None),
    (closed({"a": STRING}, []), {"b": 1}, "$.b"),
    ({"additionalProperties": STRING}, {"b": 1}, "$.b"),
    ({"patternProperties": {"^x": STRING}, "additionalProperties": False}, {"x1": "a"}, None),
    ({"patternProperties": {"^x": STRING}}, {"x1": 1}, "$.x1"),
    ({"propertyNames": {"maxLength": 2}}, {"abc": 1}, "$.abc"),
    ({"items": INTEGER}, [1, 2, "x"], "$[2]"),
    ({"prefixItems": [STRING], "items": False}, ["a", 1], "$[1]"),
    ({"minItems": 2}, [1], "$"),
    ({"maxItems": 1}, [1, 2], "$"),
    ({"uniqueItems": True}, [1, True, 2], None),
    ({"uniqueItems": True}, [1, 2, 1], "$"),
    ({"minProperties": 1}, {}, "$"),
    ({"maxProperties": 0}, {"a": 1}, "$"),
    ({"minLength": 2}, "a", "$"),
    ({"maxLength": 2}, "abc", "$"),
    ({"pattern": "^a+$"}, "ab", "$"),
    ({"pattern": "(?broken"}, "ab", None),
    ({"minimum": 2}, 1, "$"),
    ({"minimum": 2}, "text", None),
    ({"maximum": 2}, 3, "$"),
    ({"exclusiveMinimum": 2}, 2, "$"),
    ({"exclusiveMaximum": 2}, 2, "$"),
    ({"multipleOf": 0.1}, 0.3, None),
    ({"multipleOf": 2}, 3, "$"),
    ({"anyOf": [STRING, obj({"a": STRING})]}, {"a": 1}, "$.a"),
    ({"oneOf": [STRING, {"minLength": 1}]}, "a", "$"),
    ({"oneOf": [STRING, INTEGER]}, "a", None),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 3, "$"),
    ({"not": STRING}, "a", "$"),
    ({"if": STRING, "then": {"minLength": 2}, "else": {"minimum": 1}}, "a", "$"),
    ({"if": STRING, "then": {"minLength": 2}, "else": {"minimum": 1}}, 1, None),
    ({"$ref": "#/$defs/A", "$defs": {"A": STRING}}, 1, "$"),
    ({"$ref": "#/elsewhere"}, 1, None),
    ({"$ref": "#"}, 1, "$"),
    (True, 1, None),
    (False, 1, "$"),
]


@pytest.mark.parametrize(("schema", "value", "where"), VALUES)
def test_whether_a_value_fits(schema: Any, value: Any, where: str | None) -> None:
    found = mismatch(value, schema)
    assert (found[0] if found else None) == where
    assert found is None or found[1]


DEFS: Any = {"$defs": {"Leaf": obj({"v": INTEGER}, [])}}
NULLS: list[tuple[Any, Any, Any]] = [
    (obj({"a": STRING}, []), {"a": None}, {}),
    (obj({"a": STRING}), {"a": None}, {"a": None}),
    (obj({"a": {"type": ["string", "null"]}}, []), {"a": None}, {"a": None}),
    (obj({"a": {}}, []), {"a": None, "b": None}, {"a": None, "b": None}),
    (obj({"a": obj({"b": STRING}, [])}), {"a": {"b": None}}, {"a": {}}),
    (obj({"a": {"items": obj({"b": STRING}, [])}}), {"a": [{"b": None}]}, {"a": [{}]}),
    (obj({"a": {"prefixItems": [obj({"b": STRING}, [])]}}), {"a": [{"b": None}, 2]}, {"a": [{}, 2]}),
    (obj({"a": {"$ref": "#/$defs/Leaf"}}, []) | DEFS, {"a": {"v": None}}, {"a": {}}),
    (obj({"a": {"$ref": "#/$defs/Leaf"}}, []) | DEFS, {"a": None}, {}),
    (
        obj({"a": {"anyOf": [
            obj({"t": {"const": "x"}, "b": STRING}, ["t"]),
            obj({"t": {"const": "y"}, "b": {"type": "null"}}, ["t"]),
        ]}}),
        {"a": {"t": "y", "b": None}},
        {"a": {"t": "y", "b": None}},
    ),
    (
        obj({"a": {"anyOf": [{"$ref": "#/$defs/Leaf"}, STRING]}}) | DEFS,
        {"a": {"v": None}},
        {"a": {}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "expected"), NULLS)
def test_nulls_that_only_say_not_given(schema: Any, value: Any, expected: Any) -> None:
    before = json.dumps(value)
    got = without_added_nulls(value, schema)
    assert got == expected
    assert (got is value) == (expected == value)
    assert json.dumps(value) == before


def test_what_allows_null() -> None:
    assert allows_null(True) and allows_null({}) and allows_null({"minimum": 1})
    assert not allows_null({"$ref": "#/$defs/A"})
    root = {"$defs": {"A": {"type": ["null"]}}}
    assert allows_null({"$ref": "#/$defs/A"}, root)
    assert not allows_null(False) and not allows_null({"properties": {}})


# --- a second opinion ---------------------------------------------------------------------------


class Inner(pydantic.BaseModel):
    n: int = pydantic.Field(ge=1)
    note: str | None = None


class Outer(pydantic.BaseModel):
    """What is asked for."""

    name: str = pydantic.Field(description="its name", min_length=1)
    inner: Inner = pydantic.Field(description="what is in it")
    many: list[Inner]
    either: Inner | int
    kids: list[Outer]


def test_what_the_vendors_own_helpers_make_is_accepted() -> None:
    """Theirs is the form that their services take; ours has the same shape."""
    strict = openai_sdk.to_strict_json_schema(Inner)
    assert list(faults(strict, OPENAI)) == []
    ours = fit_schema(Outer.model_json_schema(), OPENAI, "s").schema
    theirs = openai_sdk.to_strict_json_schema(Outer)
    assert ours is not None
    assert ours["properties"].keys() == theirs["$defs"]["Outer"]["properties"].keys()
    assert sorted(ours["required"]) == sorted(theirs["$defs"]["Outer"]["required"])
    assert ours["properties"]["inner"]["description"] == "what is in it"
    assert "$ref" not in ours["properties"]["inner"]

    made = anthropic_sdk.transform_schema(Inner)
    assert list(faults(made, ANTHROPIC)) == []
    fitted = fit_schema(Inner.model_json_schema(), ANTHROPIC, "s").schema
    assert fitted is not None and list(faults(fitted, ANTHROPIC)) == []
    assert fitted["properties"].keys() == made["properties"].keys()
    assert fit_schema(Outer.model_json_schema(), ANTHROPIC, "s").schema is None


REFUSED: list[tuple[Any, SchemaRules, str]] = [
    ({"type": "array", "items": STRING}, OPENAI, "object"),
    (obj({"a": STRING}), OPENAI, "additionalProperties"),
    (closed({"a": STRING}, []), OPENAI, "Missing 'a'"),
    (closed({"a": obj({})}), OPENAI, "additionalProperties"),
    (closed({"a": {"description": "x"}}), OPENAI, "'type'"),
    (closed({"a": {"type": "array"}}), OPENAI, "items"),
    (closed({"a": {"type": "string", "minLength": 1}}), OPENAI, "'minLength'"),
    (closed({"a": {"oneOf": [STRING]}}), OPENAI, "'oneOf'"),
    (closed({"a": {"$ref": "#/$defs/A", "title": "x"}}) | {"$defs": {"A": STRING}}, OPENAI, "$ref"),
    (closed({"a": {"$ref": "#/$defs/A"}}), OPENAI, "resolved"),
    (closed({"a": 1}), OPENAI, "not a schema"),
    (closed({"a": {"anyOf": [obj({})]}}), ANTHROPIC, "additionalProperties"),
    (closed({"a": {"type": "array", "items": {"$ref": "#"}}}), ANTHROPIC, "recursive"),
    (closed({"a": {"type": "array", "prefixItems": [STRING]}}), ANTHROPIC, "'prefixItems'"),
    (obj({"a": {"const": 1}}), GEMINI, "'const'"),
]


@pytest.mark.parametrize(("schema", "rules", "what"), REFUSED)
def test_what_a_service_refuses(schema: Any, rules: SchemaRules, what: str) -> None:
    assert any(what in said for _, said in faults(schema, rules)), list(faults(schema, rules))
