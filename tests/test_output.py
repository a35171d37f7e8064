"""Structured output: forms from types, values from texts, and what each wire is asked."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

import llmwire.sync
from contract.cases import QUESTION, TOOLS, WIRES, model, provider, request
from contract.support import heard
from llmwire.adapters import ADAPTERS
from llmwire.backend import GenericBackend
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.connection import Connection
from llmwire.errors import BackendError, DecodeError, OutputError
from llmwire.history import Log
from llmwire.output import finished, instructed, instruction, output_format, plan_output
from llmwire.request import LLMRequest, OutputFormat
from llmwire.schema import ANTHROPIC, OPENAI, PLAIN
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.typed import Misfit, schema_of, value_of
from llmwire.types import (
    FunctionCall,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    OpaquePart,
    RefusalPart,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
)


class Colour(enum.Enum):
    red = "red"
    green = "green"


class Point(msgspec.Struct):
    """A place."""

    x: int
    y: Annotated[int, msgspec.Meta(ge=0)]
    label: str = "here"


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


@dataclasses.dataclass
class Person:
    name: str
    colour: Colour
    born: datetime.date
    boss: Person | None = None


class Movie(TypedDict, total=False):
    title: str
    year: int


class City(pydantic.BaseModel):
    name: str
    people: int = pydantic.Field(ge=0)
    parts: list[City] = []


PERSON = {"name": "Ann", "colour": "red", "born": "2001-02-03"}

TYPES: list[tuple[Any, Any, Any]] = [
    # asked, what the model writes, the value
    (Point, {"x": 1, "y": 2}, Point(1, 2)),
    (Point, {"x": 1, "y": 2, "label": None}, Point(1, 2)),
    (Person, PERSON, Person("Ann", Colour.red, datetime.date(2001, 2, 3))),
    (Movie, {"title": "M"}, {"title": "M"}),
    (City, {"name": "Rome", "people": 3}, City(name="Rome", people=3)),
    (City, {"name": "Rome", "people": 3, "parts": None}, City(name="Rome", people=3)),
    (list[Point], {"value": [{"x": 1, "y": 2}]}, [Point(1, 2)]),
    (list[City], {"value": [{"name": "A", "people": 1}]}, [City(name="A", people=1)]),
    (dict[str, City], {"a": {"name": "A", "people": 1}}, {"a": City(name="A", people=1)}),
    (Circle | Square, {"value": {"type": "Square", "side": 2}}, Square(2.0)),
    (Point | None, {"value": None}, None),
    (tuple[int, str], {"value": [1, "a"]}, (1, "a")),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (int, {"value": 7}, 7),
    (Literal["yes", "no"], {"value": "no"}, "no"),
    (Decimal, {"value": "1.10"}, Decimal("1.10")),
    (Colour, {"value": "green"}, Colour.green),
    ("json", {"any": [1]}, {"any": [1]}),
    ({"type": "object", "required": ["a"]}, {"a": 1}, {"a": 1}),
    ({"type": "array", "items": {"type": "integer"}}, {"value": [1, 2]}, [1, 2]),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}, {"a": 1}, {"a": 1}),
    (OutputFormat({"type": "object"}, "mine"), {"a": 1}, {"a": 1}),
]


def whole(text: str, stop: str = "stop", **more: Any) -> LLMChunk:
    parts = (TextPart(text),) if text else ()
    return LLMChunk(LLMMessage("assistant", parts=parts), stop=StopInfo(stop), **more)


def asking(asked: Any, **fields: Any) -> LLMRequest:
    form = output_format(asked)
    return LLMRequest(model=ModelConfig("m"), messages=(QUESTION,), output=form, **fields)


# --- types and values ---------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "written", "expected"), TYPES, ids=lambda v: str(v)[:30])
def test_a_text_becomes_the_value_that_was_asked_for(
    asked: Any, written: Any, expected: Any
) -> None:
    for text in (json.dumps(written), f" \n{json.dumps(written, indent=1)}\n"):
        got = finished(asking(asked), whole(text))
        assert got.output == expected
        assert type(got.output) is type(expected)
        assert got.text == text, "the text itself stays"


def test_a_form_has_an_object_at_its_root_and_a_name_that_wires_take() -> None:
    for asked, _, _ in TYPES:
        form = output_format(asked)
        assert form is not None and form.name.replace("_", "").replace("-", "").isalnum()
        if form.schema is not None:
            at = form.schema
            while "$ref" in at:
                at = form.schema["$defs"][at["$ref"].rpartition("/")[2]]
            assert at["type"] == "object"
    assert output_format(list[Point]).name == "list"
    assert output_format({"title": "A b/c!", "type": "object"}).name == "A_b_c_"
    assert output_format({"title": "x" * 99, "type": "object"}).name == "x" * 64
    assert output_format(None) is None


def test_the_same_type_is_read_once() -> None:
    assert output_format(Point) is output_format(Point)
    assert output_format(list[Point]).wrapped and not output_format(Point).wrapped


@pytest.mark.parametrize(
    "asked", ["text", "JSON", object, 3, complex, lambda: None, list[object()]]
)
def test_what_is_no_type_is_a_type_error(asked: Any) -> None:
    with pytest.raises(TypeError):
        output_format(asked)


def test_a_type_that_has_no_hash() -> None:
    annotated = Annotated[int, msgspec.Meta(extra_json_schema={"title": "n"}), []]
    with pytest.raises(TypeError, match="unhashable"):
        hash(annotated)
    assert finished(asking(annotated), whole('{"value": 3}')).output == 3


def test_digits_and_surrogates_survive() -> None:
    assert finished(asking(list[Decimal]), whole('{"value": [0.10000000000000000001]}')).output == [
        Decimal("0.10000000000000000001")
    ]
    assert finished(asking(list[str]), whole('{"value": ["\\ud83d"]}')).output == ["\ud83d"]
    assert finished(asking(Movie), whole('{"title": "\\ud83d"}')).output == {"title": "\ud83d"}
    assert finished(asking(Movie), whole('{"title": "a", "year": null}')).output == {"title": "a"}
    assert finished(asking(Movie), whole('{"title": "\\ud83d", "year": null}')).output == {
        "title": "\ud83d"
    }


def test_models_inside_other_types_share_no_names() -> None:
    schema = schema_of(tuple[City, Point])
    assert set(schema["$defs"]) == {"City_City", "Point"}
    assert schema["$defs"]["City_City"]["properties"]["parts"]["items"] == {
        "$ref": "#/$defs/City_City"
    }


MISFITS: list[tuple[Any, str, str, str]] = [
    (Point, '{"x": "1", "y": 2}', "$.x", "int"),
    (Point, '{"x": 1, "y": -2}', "$.y", ">= 0"),
    (Point, '{"x": 1}', "$", "y"),
    (Point, "[1]", "$", "object"),
    (list[Point], '{"value": [{"x": 1}]}', "$[0]", "y"),
    (list[Point], '[{"x": 1, "y": 2}]', "$", "object"),
    (list[Point], '{"values": []}', "$", "'value'"),
    (City, '{"name": "A", "people": -1}', "$.people", "greater than or equal to 0"),
    (City, '{"name": "A", "people": 1, "parts": [{"name": 1}]}', "$.parts[0].name", "string"),
    (list[City], '{"value": [{"name": "A", "people": -1}]}', "$[0].people", "greater"),
    ({"type": "object", "properties": {"a": {"minLength": 2}}}, '{"a": "x"}', "$.a", "at least 2"),
    ({"type": "array", "items": {"type": "integer"}}, '{"value": [1, "x"]}', "$.value[1]", "string"),
    ("json", "[]", "$", "object"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "text", "path", "what"), MISFITS)
def test_what_does_not_fit_says_where(asked: Any, text: str, path: str, what: str) -> None:
    reply = whole(text)
    with pytest.raises(OutputError) as caught:
        finished(asking(asked), reply)
    error = caught.value
    assert (error.reason, error.path, error.text) == ("mismatch", path, text)
    assert what in str(error) and path in str(error)
    assert error.partial == reply
    assert not error.retryable and not isinstance(error, DecodeError)


def test_a_validation_that_breaks_is_a_misfit_too() -> None:
    class Broken(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            raise KeyError("a")

    with pytest.raises(OutputError) as caught:
        finished(asking(Broken), whole('{"a": 1}'))
    assert caught.value.reason == "mismatch"
    with pytest.raises(Misfit):
        value_of(object, b"{}")


NO_JSON = [
    "Here you are: {}",
    '{"a": 1',
    '{"a": NaN}',
    "{'a': 1}",
    "```json\n{}\n```\nor\n```json\n{}\n```",
    "// yes",
]


@pytest.mark.parametrize("text", NO_JSON)
def test_nothing_is_repaired(text: str) -> None:
    with pytest.raises(OutputError) as caught:
        finished(asking("json"), whole(text))
    assert (caught.value.reason, caught.value.text) == ("invalid_json", text)


def test_a_code_fence_is_taken_off() -> None:
    for text in (
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}\n```\n',
        'Here it is:\n\n```json\n{"a": 1}\n```\nAnything else?',
    ):
        assert finished(asking("json"), whole(text)).output == {"a": 1}
    inside = {"code": "```python\n{}\n```"}
    assert finished(asking("json"), whole(json.dumps(inside))).output == inside


def test_remarks_between_server_tools_do_not_count() -> None:
    parts = (TextPart("I search."), OpaquePart("server_tool_use"), TextPart('{"x": 1, "y": 2}'))
    reply = LLMChunk(LLMMessage("assistant", parts=parts), stop=StopInfo("stop"))
    assert finished(asking(Point), reply).output == Point(1, 2)
    split = (TextPart('{"x": 1,'), TextPart(' "y": 2}'))
    reply = LLMChunk(LLMMessage("assistant", parts=split), stop=StopInfo("stop"))
    assert finished(asking(Point), reply).output == Point(1, 2)


# --- replies that have no output ----------------------------------------------------------------

CALL = ToolCall("c1", FunctionCall("now", "{}"))
POINT = '{"x": 1, "y": 2}'


@pytest.mark.parametrize("reason", ["pause", "continuation", "compaction"])
def test_a_reply_to_be_continued_has_none_yet(reason: str) -> None:
    assert finished(asking(Point), whole("Let me", reason)).output is None


def test_a_call_is_no_output_and_no_error() -> None:
    for stop in ("tool_calls", "stop", "length"):
        reply = LLMChunk(LLMMessage("assistant", parts=(CALL,)), stop=StopInfo(stop))
        assert finished(asking(Point), reply) == reply


@pytest.mark.parametrize(
    "reason",
    ["length", "context_window", "refusal", "content_filter", "error", "cancelled",
     "malformed_tool_call"],
)  # fmt: skip
def test_a_reply_that_stopped_early_says_so(reason: str) -> None:
    for text in ('{"x": 1', POINT, ""):
        with pytest.raises(OutputError) as caught:
            finished(asking(Point), whole(text, reason))
        assert (caught.value.reason, caught.value.text) == (reason, text)


def test_a_refusal_is_quoted() -> None:
    parts = (RefusalPart("I would rather not."),)
    reply = LLMChunk(LLMMessage("assistant", parts=parts), stop=StopInfo("stop"))
    with pytest.raises(OutputError, match="I would rather not") as caught:
        finished(asking(Point), reply)
    assert caught.value.reason == "refusal"


def test_half_a_call_and_no_text_are_errors() -> None:
    half = IncompleteToolCall("c1", "now", "{", "invalid_json")
    reply = LLMChunk(LLMMessage("assistant", parts=(half,)), stop=StopInfo("stop"))
    with pytest.raises(OutputError) as caught:
        finished(asking(Point), reply)
    assert caught.value.reason == "malformed_tool_call"
    with pytest.raises(OutputError) as caught:
        finished(asking(Point), whole(" \n"))
    assert caught.value.reason == "empty"


def test_without_a_form_nothing_is_read() -> None:
    reply = whole("Hello", "length")
    assert finished(asking(None), reply) is reply


@pytest.mark.parametrize("stop", ["stop", "stop_sequence", "other"])
def test_the_word_for_the_end_does_not_matter(stop: str) -> None:
    assert finished(asking(Point), whole(POINT, stop)).output == Point(1, 2)
    assert finished(asking(Point), LLMChunk(LLMMessage("assistant", POINT))).output == Point(1, 2)


# --- what wires are asked -----------------------------------------------------------------------


def planned(asked: Any, rules: Any, object_mode: bool = True) -> Any:
    log = Log()
    plan = plan_output(output_format(asked), rules, log, object_mode=object_mode)
    assert plan is not None
    return plan, [(a.action, a.path) for a in log.entries]


FREE = {"type": "object", "properties": {"a": {"type": "object"}}}


def test_how_a_wire_asks() -> None:
    point = schema_of(Point)
    plan, log = planned(Point, OPENAI)
    assert (plan.mode, plan.strict, plan.instruction) == ("schema", True, "")
    assert plan.schema["required"] == ["x", "y", "label"]
    assert [place for _, place in log] == ["output.schema"] * 3

    plan, log = planned(Point, PLAIN)
    assert (plan.mode, plan.schema, plan.strict, log) == ("schema", point, True, [])

    plan, log = planned(FREE, OPENAI)  # taken as advice
    assert (plan.mode, plan.schema, plan.strict) == ("schema", FREE, False)
    assert log == [("substituted", "output.strict")]

    plan, log = planned(FREE, ANTHROPIC, False)  # it takes no advice
    assert (plan.mode, plan.schema) == ("text", None)
    assert plan.instruction.endswith(json.dumps(FREE, separators=(",", ":")))
    assert log == [("substituted", "output.schema")]

    plan, log = planned(Point, None)
    assert (plan.mode, log) == ("object", [("substituted", "output.schema")])
    assert json.dumps(point, separators=(",", ":")) in plan.instruction

    loose = OutputFormat(point, "p", strict=False)
    plan, log = planned(loose, OPENAI)
    assert (plan.mode, plan.schema, plan.strict, log) == ("schema", point, False, [])

    plan, log = planned("json", OPENAI)
    assert (plan.mode, log) == ("object", [("added", "output")])
    plan, log = planned("json", None, False)
    assert (plan.mode, log) == ("text", [("substituted", "output")])
    assert plan.instruction == instruction(None)


def test_instructions_can_be_read_back() -> None:
    schema = schema_of(Point)
    assert instructed(instruction(schema)) == OutputFormat(schema)
    assert instructed(f"Be brief.\n{instruction(schema)}\n{{}}") == OutputFormat(schema)
    assert instructed(instruction(None)) == OutputFormat()
    assert instructed("Answer in JSON.") is None
    assert instructed(instruction(schema)[:-5]) is None


def body_of(wire: str, asked: LLMRequest, ours: ProviderConfig | None = None) -> Any:
    prepared = ADAPTERS[wire].prepare_request(asked, ours or provider(wire))
    return json.loads(prepared.body), prepared.adaptations


def test_chat_completions_are_asked_by_response_format() -> None:
    form = output_format(Point)
    body, _ = body_of("openai", request("openai", output=form))
    assert body["response_format"]["type"] == "json_schema"
    inner = body["response_format"]["json_schema"]
    assert (inner["name"], inner["strict"], inner["schema"]["required"]) == (
        "Point", True, ["x", "y", "label"],
    )  # fmt: skip
    assert body["messages"][0]["role"] == "user"
    body, _ = body_of("openai", request("openai", output=output_format("json")))
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0] == {"role": "system", "content": instruction(None)}


def test_mistral_gets_its_schema_whole() -> None:
    body, _ = body_of("reasoning", request("reasoning", output=output_format(Point)))
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["x", "y"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["y"] == {"type": "integer", "minimum": 0}


@pytest.mark.parametrize("word", ["json_object", "prompt"])
def test_servers_without_a_schema_mode_are_asked_in_words(word: Any) -> None:
    ours = ProviderConfig("p", "http://127.0.0.1:1/v1", dialect=Dialect(json_schema=word))
    for messages, place in (
        ((QUESTION,), 0),
        ((LLMMessage("system", "Be brief."), QUESTION), 0),
        ((LLMMessage("developer", [TextPart("Be"), TextPart("brief.")]), QUESTION), 0),
    ):
        asked = request("openai", messages, output=output_format(Point))
        body, log = body_of("openai", asked, ours)
        assert body.get("response_format") == (
            {"type": "json_object"} if word == "json_object" else None
        )
        assert body["messages"][place]["role"] == "system"
        assert body["messages"][place]["content"].endswith(instruction(schema_of(Point)))
        assert [a.path for a in log if a.path.startswith("output")] == ["output.schema"]
        assert len(body["messages"]) == 2


def test_old_models_are_asked_in_words() -> None:
    for name, has in (("gpt-4-turbo", False), ("gpt-3.5-turbo", False), ("gpt-4", False),
                      ("gpt-4o", True), ("gpt-4.1-mini", True), ("gpt-5.2", True)):  # fmt: skip
        asked = msgspec.structs.replace(
            request("openai", output=output_format(Point)), model=ModelConfig(name)
        )
        body, _ = body_of("openai", asked)
        assert (body["response_format"]["type"] == "json_schema") is has, name
    for name, has in (("claude-opus-4-1", True), ("claude-sonnet-4-0", False),
                      ("claude-3-7-sonnet", False), ("claude-haiku-4-5", True),
                      ("claude-opus-4-20250514", False), ("claude-sonnet-5-5", True),
                      ("kimi-k3", False)):  # fmt: skip
        asked = msgspec.structs.replace(
            request("anthropic", output=output_format(Point)), model=ModelConfig(name)
        )
        body, _ = body_of("anthropic", asked)
        assert ("format" in body.get("output_config", {})) is has, name
        assert ("system" in body) is not has, name


def test_claude_is_asked_by_output_config() -> None:
    asked = request("anthropic", output=output_format(Point), thinking="high")
    body, _ = body_of("anthropic", asked)
    assert body["output_config"]["effort"] == "high"
    assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
    assert body["output_config"]["format"]["schema"]["required"] == ["x", "y"]
    native = ProviderConfig(
        "p", "http://127.0.0.1:1", api_style="anthropic", dialect=Dialect(json_schema="plain")
    )
    other = msgspec.structs.replace(asked, model=ModelConfig("kimi-k3"))
    body, _ = body_of("anthropic", other, native)
    assert body["output_config"]["format"]["schema"] == schema_of(Point)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("asked", [Point, Circle | Square, list[City], Person, "json", FREE])
def test_a_request_that_goes_out_is_heard(wire: str, asked: Any) -> None:
    """The strict server takes it, and hears the form; or the prompt says it."""
    form = output_format(asked)
    got = heard(request(wire, output=form), provider(wire)).request
    prompts = "\n".join(m.text for m in got.messages if m.role in ("system", "developer"))
    said = got.output if got.output and got.output.schema else instructed(prompts) or got.output
    assert said is not None
    assert (said.schema is None) == (form.schema is None)
    # And what is heard can be said again.
    again = msgspec.structs.replace(got, model=model(wire))
    assert heard(again, provider(wire)).request.output == got.output


ELSEWHERE = ("gemini", "vertex-gemini", "ollama", "bedrock-converse")
"""They know no strict tools, or hold them in other places (tested with their adapters)."""


@pytest.mark.parametrize("wire", [w for w in WIRES if w not in ELSEWHERE])
def test_strict_tools_are_fitted(wire: str) -> None:
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string", "minLength": 1}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    function = msgspec.structs.replace(TOOLS[0].function, parameters=parameters, strict=True)
    free = msgspec.structs.replace(function, name="free", parameters=FREE)
    tools = tuple(msgspec.structs.replace(TOOLS[0], function=f) for f in (function, free))
    body, log = body_of(wire, request(wire, tools=tools))
    first, second = (t.get("function", t) for t in body["tools"])
    assert first["strict"] is True
    schema = first.get("parameters") or first["input_schema"]
    assert schema["additionalProperties"] is False
    assert (schema["required"] == ["city", "days"]) == wire.startswith("openai")
    paths = {a.path for a in log}
    assert "tools[0].function.parameters" in paths
    if wire != "reasoning":  # Mistral takes free keys
        assert second["strict"] is False
        assert (second.get("parameters") or second["input_schema"]) == FREE
        assert "tools[1].function.strict" in paths


# --- through the whole ---------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["some-model", "claude-sonnet-5", "gpt-5.2", "claude-sonnet-4-0"])
@pytest.mark.parametrize("asked", [Point, list[City], Circle | Square, "json"])
async def test_the_offline_model_answers_in_form(wire: str, name: str, asked: Any) -> None:
    with LocalServer() as server:
        async with GenericBackend(provider=server.provider(wire)) as backend:
            reply = await backend.complete(model=name, messages="x is 4", output=asked)
            stream = backend.complete_streaming(model=name, messages="x is 4", output=asked)
            pieces = [chunk.output async for chunk in stream]
    assert reply.output is not None
    assert stream.result.output == reply.output
    assert set(pieces) == {None}, "only the whole reply has it"
    assert asked is not Point or reply.output.x == 4


async def test_errors_come_after_all_chunks() -> None:
    with LocalServer() as server:
        server.reply("not json", Reply("cut", stop="length"), Reply(refusal="no", stop="refusal"))
        async with GenericBackend(provider=server.provider("openai")) as backend:
            stream = backend.complete_streaming(model="m", messages="hi", output=Point)
            texts: list[str] = []
            with pytest.raises(OutputError) as caught:
                async for chunk in stream:
                    texts.append(chunk.text)
            assert "".join(texts) == "not json"
            assert stream.result.text == "not json" and stream.result.output is None
            assert not stream.complete
            error = caught.value
            assert (error.reason, error.model, error.provider) == (
                "invalid_json", "m", backend.provider.name,
            )  # fmt: skip
            assert error.partial is not None and error.partial.usage is not None
            for reason in ("length", "refusal"):
                with pytest.raises(OutputError) as caught:
                    await backend.complete(model="m", messages="hi", output=Point)
                assert caught.value.reason == reason


async def test_a_tool_loop_ends_in_the_output() -> None:
    with LocalServer() as server:
        server.reply(Reply(tool_calls=[("now", {})]), POINT)
        async with GenericBackend(provider=server.provider("anthropic")) as backend:
            history = [QUESTION]
            reply = await backend.complete(
                model="claude-sonnet-5", messages=history, tools=TOOLS, output=Point
            )
            assert reply.output is None and reply.tool_calls
            result = ToolResultPart(reply.tool_calls[0].id or "", "noon")
            history += [reply.message, LLMMessage("tool", [result])]
            reply = await backend.complete(
                model="claude-sonnet-5", messages=history, tools=TOOLS, output=Point
            )
            assert reply.output == Point(1, 2)


async def test_a_cut_stream_is_what_it_was() -> None:
    with LocalServer() as server:
        server.reply(Reply(POINT, fault=Fault("end", events=2)))
        async with GenericBackend(provider=server.provider("openai")) as backend:
            with pytest.raises(BackendError) as caught:
                async for _ in backend.complete_streaming(model="m", messages="h", output=Point):
                    pass
    assert not isinstance(caught.value, OutputError)


async def test_counting_counts_the_form_and_reads_no_value() -> None:
    with LocalServer() as server:
        async with GenericBackend(provider=server.provider("anthropic")) as backend:
            found = await backend.count_tokens(model="claude-sonnet-5", messages="hi", output=Point)
            assert (found.method, found > 0) == ("endpoint", True)
        async with GenericBackend(provider=server.provider("openai")) as backend:
            found = await backend.count_tokens(model="m", messages="hi", output=Point)
            assert (found.method, found > 0) == ("probe", True)


def test_the_same_through_connect_and_without_await() -> None:
    with (
        LocalServer() as server,
        llmwire.sync.GenericBackend(provider=server.provider("openai")) as backend,
    ):
        reply = backend.complete(model="m", messages="x is 4", output=Point)
        assert isinstance(reply.output, Point)
        stream = backend.complete_streaming(model="m", messages="x is 4", output=Point)
        assert [c.output for c in stream if c.output] == []
        assert stream.result.output == reply.output


async def test_the_same_through_a_connection() -> None:
    with LocalServer() as server:
        backend = GenericBackend(provider=server.provider("openai"))
        async with Connection(backend, ModelConfig("m")) as connection:
            reply = await connection.complete("x is 4", output=Point)
            assert reply.output.x == 4
            stream = connection.complete_streaming("x is 4", output=Point)
            async for _ in stream:
                pass
            assert stream.result.output == reply.output


async def test_an_unfit_type_fails_before_anything_is_sent() -> None:
    with LocalServer() as server:
        async with GenericBackend(provider=server.provider("openai")) as backend:
            with pytest.raises(TypeError, match="output"):
                await backend.complete(model="m", messages="hi", output=object)
        assert not server.requests
