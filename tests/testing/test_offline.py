"""The offline model: what it says, calls, thinks, counts; values that fit schemas."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.config import ModelConfig
from llmwire.output import instruction
from llmwire.request import LLMRequest, OutputFormat
from llmwire.testing import Reply, estimate_tokens, offline_count, offline_reply
from llmwire.testing.schema import Hints, sample
from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    BytesSource,
    ImagePart,
    IncompleteToolCall,
    LLMMessage,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    load_json,
)


def tool(name: str, properties: dict[str, Any], required: list[str] | None = None) -> AvailableTool:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required is not None:
        schema["required"] = required
    return AvailableTool(AvailableFunction(name, f"The tool {name}", schema))


WEATHER = tool(
    "get_weather",
    {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "note": {"type": "string"},
    },
    ["city", "unit", "days"],
)
ECHO = tool("echo", {"text": {"type": "string"}}, ["text"])
TOOLS = (WEATHER, ECHO)


def request(*messages: LLMMessage | str, **fields: Any) -> LLMRequest:
    turns = tuple(LLMMessage("user", m) if isinstance(m, str) else m for m in messages)
    return LLMRequest(model=ModelConfig("offline", "local"), messages=turns, **fields)


def says(*messages: LLMMessage | str, **fields: Any) -> str:
    asked = request(*messages, **fields)
    reply = offline_reply(asked).whole(asked)
    assert all(isinstance(p, TextPart) for p in reply.message.parts)
    return reply.text


def calls(*messages: LLMMessage | str, **fields: Any) -> list[tuple[str, Any]]:
    asked = request(*messages, **fields)
    reply = offline_reply(asked).whole(asked)
    if reply.tool_calls:
        assert reply.stop == StopInfo("tool_calls")
    return [(c.name, c.parsed) for c in reply.tool_calls]


# --- words --------------------------------------------------------------------------------------


def test_says_what_it_was_asked_and_what_it_is() -> None:
    text = says(LLMMessage("system", "Be brief."), "First", LLMMessage("assistant", "Yes?"), "Why?")
    assert 'You asked: "Why?"' in text
    assert "no language model" in text
    assert "4 messages" in text and "no tools" in text


def test_names_its_tools_and_quotes_long_texts_in_part() -> None:
    text = says("x" * 10_000, tools=TOOLS)
    assert "get_weather, echo" in text and "1 message." in text
    assert len(text) < 1000 and "9500 characters more" in text


def test_answers_where_nothing_was_said() -> None:
    assert "nothing in words" in says()
    assert "nothing in words" in says(LLMMessage("user", ""), LLMMessage("assistant", "prefill"))


def test_same_request_same_reply() -> None:
    asked = request("call echo with hi", tools=TOOLS, thinking="high")
    assert offline_reply(asked) == offline_reply(asked)


# --- calls --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("call get_weather", {"city": "city", "unit": "celsius", "days": 1}),
        ("get_weather for New York", {"city": "New York", "unit": "celsius", "days": 1}),
        ("get_weather 'Köln' in Fahrenheit", {"city": "Köln", "unit": "fahrenheit", "days": 1}),
        ("use get_weather, 3 days in Paris", {"city": "Paris", "unit": "celsius", "days": 3}),
        ("get_weather 99 days", {"city": "city", "unit": "celsius", "days": 1}),
        ("get_weather city=Rome days: 2", {"city": "Rome", "unit": "celsius", "days": 2}),
        (
            'get_weather note="a b", city is Oslo.',
            {"city": "Oslo", "unit": "celsius", "days": 1, "note": "a b"},
        ),
    ],
)
def test_calls_a_named_tool_with_what_the_text_says(text: str, arguments: dict[str, Any]) -> None:
    assert calls(text, tools=TOOLS) == [("get_weather", arguments)]


def test_fills_a_lone_string() -> None:
    assert calls("call echo with hello world", tools=TOOLS) == [("echo", {"text": "hello world"})]
    assert calls("echo: one\ntwo", tools=TOOLS) == [("echo", {"text": "one\ntwo"})]


def test_several_names_are_several_calls_in_order() -> None:
    text = 'echo "hi" and then get_weather in Rome'
    assert [n for n, _ in calls(text, tools=TOOLS)] == ["echo", "get_weather"]
    assert [n for n, _ in calls(text, tools=TOOLS, parallel_tool_calls=False)] == ["echo"]
    asked = request("echo echo", tools=(ECHO, tool("echo2", {}), tool("ech", {})))
    assert len(offline_reply(asked).parts) == 1


def test_forced_choices() -> None:
    assert calls("hello", tools=TOOLS) == []
    assert [n for n, _ in calls("hello", tools=TOOLS, tool_choice="any")] == ["get_weather"]
    assert [n for n, _ in calls("echo", tools=TOOLS, tool_choice="required")] == ["echo"]
    assert calls("hello", tools=TOOLS, tool_choice=ECHO) == [("echo", {"text": "hello"})]
    assert calls("call echo", tools=TOOLS, tool_choice="none") == []
    assert calls("call echo", tool_choice="required") == []


def test_passes_on_tool_results() -> None:
    turns = [
        LLMMessage("user", "call get_weather and echo"),
        LLMMessage("assistant", tool_calls=[ToolCall("1"), ToolCall("2")]),
        LLMMessage("tool", "18 degrees", tool_call_id="1", name="get_weather"),
        LLMMessage("tool", parts=[ToolResultPart("2", "no echo", is_error=True)]),
    ]
    text = "get_weather answered: 18 degrees\nthe tool failed: no echo"
    assert says(*turns, tools=TOOLS) == text
    # Messages puts both results into one user turn.
    both = [p for t in turns[2:] for p in t.parts]
    assert says(*turns[:2], LLMMessage("user", parts=both), tools=TOOLS) == text
    # What the user says after the results is what is answered.
    assert 'You asked: "Thanks"' not in text
    assert calls(*turns, "now echo 'x'", tools=TOOLS) == [("echo", {"text": "x"})]
    assert [n for n, _ in calls(*turns, tools=TOOLS, tool_choice="any")] == ["get_weather", "echo"]


def test_names_the_tool_of_a_result_by_its_call() -> None:
    call = offline_reply(request("echo 'x'", tools=TOOLS)).parts
    result = LLMMessage("tool", "x", tool_call_id=call[0].id)
    assert says("echo 'x'", LLMMessage("assistant", parts=call), result) == "echo answered: x"


# --- thinking, forms, limits --------------------------------------------------------------------


def test_thinks_first_and_signs() -> None:
    asked = request("call echo", tools=TOOLS, thinking="low")
    thought, call = offline_reply(asked).parts
    assert isinstance(thought, ReasoningPart) and isinstance(call, ToolCall)
    assert "I call echo" in thought.text
    assert thought.signature is not None and len(thought.signature) == 44
    other = offline_reply(request("call echo now", tools=TOOLS, thinking="low")).parts[0]
    assert isinstance(other, ReasoningPart) and other.signature != thought.signature


SHAPE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def test_json_that_fits_the_asked_schema() -> None:
    form = OutputFormat(SHAPE)
    assert json.loads(says("name is Ann, age 7", output=form)) == {"name": "Ann", "age": 7}


def test_json_that_the_prompt_asks_for() -> None:
    """What a client says to a server without a schema mode."""
    for words, expected in (
        (instruction(SHAPE), {"name": "Ann", "age": 7}),
        (f"Be brief.\n\n{instruction(SHAPE)}\n\nBe kind.", {"name": "Ann", "age": 7}),
    ):
        assert json.loads(says(LLMMessage("system", words), "name is Ann, age 7")) == expected
    assert "hi" in json.loads(says(LLMMessage("system", instruction(None)), "hi"))["answer"]
    broken = instruction({}).replace("{}", "{")
    assert says(LLMMessage("system", broken), "hi").startswith("You asked")


def test_any_json_object() -> None:
    assert "hi" in json.loads(says("hi", output=OutputFormat()))["answer"]


def test_usage_is_counted_as_documented() -> None:
    assert [estimate_tokens(t) for t in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
    image = ImagePart(BytesSource(b"x", "image/png"))
    asked = request(LLMMessage("user", parts=[TextPart("abcd"), image]), thinking="low")
    assert offline_count(asked) == 3 + 1 + 300
    reply = offline_reply(asked)
    usage = reply.whole(asked).usage
    assert usage is not None
    thought, text = reply.parts
    assert usage.input_total == 304
    assert usage.reasoning == estimate_tokens(thought.text)
    assert usage.output_total == usage.reasoning + estimate_tokens(text.text)


@given(st.integers(0, 80), st.sampled_from(["hi", "call echo with abc", "get_weather echo"]))
def test_max_tokens_cuts_and_says_so(limit: int, text: str) -> None:
    free = request(text, tools=TOOLS, thinking="low")
    asked = request(text, tools=TOOLS, thinking="low", max_tokens=limit)
    whole, cut = offline_reply(free).whole(free), offline_reply(asked).whole(asked)
    assert whole.usage is not None and cut.usage is not None
    assert whole.usage.output_total is not None and cut.usage.output_total is not None
    if whole.usage.output_total <= limit:
        assert cut == whole
        return
    assert cut.stop == StopInfo("length")
    assert cut.usage.output_total <= max(limit, 0) + 3  # a cut call still has its whole name
    assert whole.text.startswith(cut.text) and whole.reasoning.startswith(cut.reasoning)
    assert all(c in whole.tool_calls for c in cut.tool_calls)


def test_cut_call_is_incomplete_and_a_cut_thought_unsigned() -> None:
    (call,) = offline_reply(request("call echo with a long text", tools=TOOLS, max_tokens=3)).parts
    assert isinstance(call, IncompleteToolCall) and call.reason == "length"
    (thought,) = offline_reply(request("hi", thinking="low", max_tokens=3)).parts
    assert thought == ReasoningPart("The user say")


def test_stop_sequences() -> None:
    asked = request("hi", stop=("language", "no "))
    reply = offline_reply(asked)
    assert reply.parts[0].text.endswith("offline model: ")
    assert reply.stop == StopInfo("stop_sequence", details={"stop_sequence": "no "})


@given(st.text(), st.text(max_size=5))
def test_any_text_is_answered(text: str, name: str) -> None:
    tools = (tool(name, {"text": {"type": "string"}}), WEATHER)
    asked = request(text, tools=tools, thinking="low")
    assert isinstance(offline_reply(asked), Reply)


# --- schemas ------------------------------------------------------------------------------------


def fits(value: Any, schema: Any, root: Any = None) -> bool:
    """A validator of its own for the keywords that the strategies below use."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        at = root
        for step in schema["$ref"][2:].split("/"):
            at = at[step]
        if not fits(value, at, root):
            return False
    kinds = schema.get("type")
    names = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "null": value is None,
        "array": isinstance(value, list),
        "object": isinstance(value, dict),
    }
    if kinds and not any(names[k] for k in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    checks = [
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        "allOf" not in schema or all(fits(value, s, root) for s in schema["allOf"]),
        "anyOf" not in schema or any(fits(value, s, root) for s in schema["anyOf"]),
        "oneOf" not in schema or any(fits(value, s, root) for s in schema["oneOf"]),
    ]
    if names["number"]:
        step = schema.get("multipleOf", 0)
        checks += [
            schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf),
            schema.get("exclusiveMinimum", -math.inf) < value,
            value < schema.get("exclusiveMaximum", math.inf),
            not step or math.isclose(value / step, round(value / step), abs_tol=1e-9),
        ]
    if names["string"]:
        checks += [
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf),
            re.search(schema.get("pattern", ""), value) is not None,
        ]
    if names["array"]:
        prefix = schema.get("prefixItems", [])
        checks += [
            schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf),
            all(fits(v, s, root) for v, s in zip(value, prefix, strict=False)),
            all(fits(v, schema.get("items", True), root) for v in value[len(prefix) :]),
            not schema.get("uniqueItems") or all(v not in value[:i] for i, v in enumerate(value)),
        ]
    if names["object"]:
        properties = schema.get("properties", {})
        more = schema.get("additionalProperties", True)
        checks += [
            all(n in value for n in schema.get("required", [])),
            all(fits(v, properties.get(n, more), root) for n, v in value.items()),
            len(value) >= schema.get("minProperties", 0),
        ]
    return all(checks)


BOUNDS = st.integers(-50, 50)


def _between(low: str, high: str, kind: str) -> Any:
    def made(pair: tuple[int, int]) -> dict[str, Any]:
        return {"type": kind, low: min(pair), high: max(pair) + 2}

    return st.tuples(BOUNDS, BOUNDS).map(made)


LEAVES: Any = st.one_of(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "boolean"},
            {"type": "null"},
            {"type": "integer"},
            {"type": ["null", "number"]},
            {"const": [1, {"a": None}]},
            {"enum": ["red", "green", 3, None]},
            {"type": "string", "enum": ["on", "off"]},
            {"type": "string", "pattern": "^[A-Z]+$"},
            {"type": "string", "format": "date"},
            {"type": "string", "default": "x"},
            {"type": "integer", "default": 5, "description": "with a default"},
            {"type": "integer", "multipleOf": 7, "minimum": 10},
            {"type": "number", "multipleOf": 0.25, "exclusiveMinimum": 0},
            {"$ref": "#/$defs/leaf"},
            {"$ref": "#/$defs/tree"},
            {},
            True,
        ]
    ),
    _between("minimum", "maximum", "integer"),
    _between("exclusiveMinimum", "exclusiveMaximum", "integer"),
    _between("exclusiveMinimum", "exclusiveMaximum", "number"),
    _between("minimum", "maximum", "number"),
    st.tuples(st.integers(0, 9), st.integers(0, 9)).map(
        lambda p: {"type": "string", "minLength": min(p), "maxLength": max(p)}
    ),
)
NAMES = st.sampled_from(["city", "days", "name", "colour", "a b", "x-y", "ünï"])


def _objects(inner: Any) -> Any:
    def made(properties: dict[str, Any], keep: bool, least: int, closed: bool) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if keep:
            schema["required"] = sorted(properties)[1:]
        if closed:
            schema["additionalProperties"] = False
        else:
            schema["minProperties"] = least
        return schema

    shapes = st.dictionaries(NAMES, inner, max_size=3)
    return st.builds(made, shapes, st.booleans(), st.integers(0, 4), st.booleans())


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        _objects(inner),
        st.builds(
            lambda s, n: {"type": "array", "items": s, "minItems": n}, inner, BOUNDS.map(abs)
        ),
        st.builds(lambda s: {"type": "array", "prefixItems": s, "items": False}, st.lists(inner)),
        st.builds(lambda s: {"anyOf": s}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda s: {"oneOf": [{"type": "null"}, s]}, inner),
        st.builds(lambda s: {"allOf": [s, {"description": "also"}]}, inner),
    ),
    max_leaves=8,
)
DEFS = {
    "leaf": {"type": "string", "minLength": 3},
    "tree": {
        "type": "object",
        "properties": {
            "label": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
        },
        "required": ["label", "next", "children"],
    },
}
TEXTS = st.sampled_from(
    ["", "3 days in Paris", "city=Rome days: -4.5 name is 'Q'", 'red GREEN 12 "ABC" 2026-11-24']
)


@given(SCHEMAS, TEXTS)
def test_samples_fit_their_schemas(schema: Any, text: str) -> None:
    root = {"type": "object", "properties": {"it": schema}, "required": ["it"], "$defs": DEFS}
    value = sample(root, Hints(text))
    assert fits(value, root), (value, schema)
    assert sample(root, Hints(text)) == value
    assert load_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": True}, ["a", "b"]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 0}, []),
        ({"type": "string", "format": "email"}, "user@example.com"),
        ({"type": "string", "examples": ["like this"]}, "like this"),
        ({"$ref": "#/$defs/missing"}, "value"),
        ({"$ref": "elsewhere.json"}, "value"),
        ({"properties": {"a": {"type": "null"}}}, {"a": None}),
        ({"minimum": 3}, 3),
        (False, None),
    ],
)  # fmt: skip
def test_samples(schema: Any, value: Any) -> None:
    assert sample(schema) == value


def test_schema_that_requires_itself_comes_to_an_end() -> None:
    endless: dict[str, Any] = {"type": "object", "required": ["a"]}
    endless["properties"] = {"a": {"$ref": "#"}}
    assert isinstance(sample(endless), dict)
    assert sample({"$ref": "#"}) is not None


@pytest.mark.parametrize("junk", [None, 3, "x", [], {"type": 7}, {"type": []}, {"enum": "ab"},
                                  {"properties": []}, {"required": "a"}, {"anyOf": {}},
                                  {"allOf": [1]}, {"items": [1]}, {"minimum": "a"},
                                  {"minLength": None}, {"$ref": 1}, {"pattern": "("}])  # fmt: skip
def test_junk_in_a_schema_is_survived(junk: Any) -> None:
    schema = {"type": "object", "properties": {"a": junk}, "required": ["a"]}
    asked = request("call it", tools=(AvailableTool(AvailableFunction("it", "", schema)),))
    assert isinstance(offline_reply(asked), Reply)
