"""The vocabulary: constructor and views, plain forms, equality, usage."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    load_json,
    to_builtins,
    to_json,
)
from strategies import HALF, chunks, messages, parts, usages

CALL = ToolCall("c", FunctionCall("f", '{"a": 1}'))

# --- constructor and views --------------------------------------------------------------------


def test_the_simple_case() -> None:
    message = LLMMessage("user", "Hello")
    assert message.role is Role.user
    assert message.parts == (TextPart("Hello"),)
    assert (message.content, message.text) == ("Hello", "Hello")
    assert message == LLMMessage(Role.user, [TextPart("Hello")])
    assert message == LLMMessage(Role.user, parts=[TextPart("Hello")])


def test_flat_fields_become_parts_in_order() -> None:
    message = LLMMessage(
        "assistant", "text", reasoning_content="why", reasoning_signature="sig", tool_calls=[CALL]
    )
    assert message.parts == (ReasoningPart("why", signature="sig"), TextPart("text"), CALL)
    assert message.reasoning_content == "why"
    assert message.reasoning_signature == "sig"
    assert message.content == "text"
    assert message.tool_calls == (CALL,)


def test_tool_messages() -> None:
    message = LLMMessage("tool", "42", tool_call_id="c", name="f")
    assert message.parts == (ToolResultPart("c", "42", "f"),)
    assert (message.content, message.tool_call_id, message.name) == ("42", "c", "f")
    assert LLMMessage("tool", tool_call_id="c").parts == (ToolResultPart("c", ""),)
    image = ImagePart(BytesSource(b"x", "image/png"))
    rich = LLMMessage("tool", [TextPart("a"), image, TextPart("b")], tool_call_id="c")
    assert rich.parts == (ToolResultPart("c", (TextPart("a"), image, TextPart("b"))),)
    assert rich.content == "a\nb"


def test_empty_and_absent_differ() -> None:
    assert LLMMessage("assistant").parts == ()
    assert LLMMessage("assistant").content is None
    assert LLMMessage("assistant").text == ""
    assert LLMMessage("assistant", "").parts == (TextPart(""),)
    assert LLMMessage("assistant", "").content == ""
    assert LLMMessage("assistant", reasoning_content="").reasoning_content == ""
    assert LLMMessage("assistant", reasoning_signature="s").parts == (
        ReasoningPart("", signature="s"),
    )
    empty = LLMMessage("assistant", tool_calls=[])
    assert (empty.reasoning_content, empty.reasoning_signature, empty.refusal) == (None, None, None)
    assert (empty.tool_calls, empty.tool_call_id) == ((), None)


def test_views_read_deltas_too() -> None:
    message = LLMMessage(
        "assistant",
        [PartDelta(0, "reasoning", "r", signature="s"), PartDelta(1, "text", "t"),
         PartDelta(2, "refusal", "n"), PartDelta(3, "tool_call", "{}", id="c")],
    )  # fmt: skip
    assert (message.reasoning_content, message.content, message.refusal) == ("r", "t", "n")
    assert message.reasoning_signature == "s"
    assert message.tool_calls == ()


def test_incomplete_calls_are_no_calls() -> None:
    cut = IncompleteToolCall("c", "f", '{"a', "length")
    message = LLMMessage("assistant", [cut, CALL])
    assert message.tool_calls == (CALL,)
    assert message.incomplete_tool_calls == (cut,)
    assert not isinstance(cut, ToolCall)


@pytest.mark.parametrize("role", ["", "System", "function", None, 3])
def test_unknown_roles_are_refused(role: Any) -> None:
    with pytest.raises(ValueError, match="Role"):
        LLMMessage(role, "x")


def test_arguments_are_parsed_when_asked() -> None:
    assert CALL.parsed == {"a": 1}
    assert (CALL.name, CALL.arguments) == ("f", '{"a": 1}')
    assert ToolCall("c").parsed == {}
    assert ToolCall("c", FunctionCall("f", "SELECT 1"), "custom").parsed == "SELECT 1"
    assert ToolCall("c", FunctionCall("f", '{"a": "\\ud83d"}')).parsed == {"a": HALF}
    with pytest.raises(ValueError, match="arguments of 'f'"):
        ToolCall("c", FunctionCall("f", "{")).parsed  # noqa: B018


# --- plain forms ------------------------------------------------------------------------------


@given(messages)
def test_messages_survive_dict_and_json(message: LLMMessage) -> None:
    plain = message.to_dict()
    assert LLMMessage.from_dict(plain) == message
    assert LLMMessage.from_json(message.to_json()) == message
    assert LLMMessage.from_json(message.to_json().decode()) == message
    assert LLMMessage.from_json(json.dumps(plain)) == message


@given(parts)
def test_every_part_survives(part: Part) -> None:
    plain = to_builtins(part)
    assert isinstance(plain["type"], str)
    assert msgspec.convert(plain, Part) == part
    assert msgspec.convert(load_json(to_json(part)), Part) == part


@given(chunks)
def test_chunks_survive(chunk: LLMChunk) -> None:
    assert msgspec.convert(to_builtins(chunk), LLMChunk) == chunk


def test_every_part_has_its_own_tag() -> None:
    tags = [cls.__struct_config__.tag for cls in Part.__args__]  # type: ignore[attr-defined]
    assert len(tags) == len(set(tags)) == 12


def test_plain_forms_are_small() -> None:
    assert LLMMessage("user", "hi").to_dict() == {
        "role": "user", "parts": [{"type": "text", "text": "hi"}],
    }  # fmt: skip
    assert to_builtins(LLMChunk()) == {}
    assert to_json(LLMMessage("user", HALF)) == (
        b'{"role":"user","parts":[{"type":"text","text":"\\ud83d"}]}'
    )


FLAT: list[tuple[dict[str, Any], LLMMessage]] = [
    ({"role": "user", "content": "hi"}, LLMMessage("user", "hi")),
    ({"role": "user", "content": "hi", "name": "ann"}, LLMMessage("user", "hi", name="ann")),
    ({"role": "user", "content": [{"type": "text", "text": "hi"}]}, LLMMessage("user", "hi")),
    ({"role": "assistant", "content": None, "tool_calls": [
        {"id": "c", "type": "function", "index": 0,
         "function": {"name": "f", "arguments": '{"a": 1}'}}]},
     LLMMessage("assistant", tool_calls=[CALL])),
    ({"role": "assistant", "content": "x", "tool_calls": None}, LLMMessage("assistant", "x")),
    ({"role": "assistant", "tool_calls": [
        {"id": "c", "type": "custom", "custom": {"name": "f", "input": "SELECT 1"}}]},
     LLMMessage("assistant", [ToolCall("c", FunctionCall("f", "SELECT 1"), "custom")])),
    ({"role": "assistant", "content": "x", "reasoning_content": "r", "reasoning_signature": "s"},
     LLMMessage("assistant", "x", reasoning_content="r", reasoning_signature="s")),
    ({"role": "assistant", "content": None, "refusal": "no"},
     LLMMessage("assistant", [RefusalPart("no")])),
    ({"role": "assistant", "content": "x", "refusal": None}, LLMMessage("assistant", "x")),
    ({"role": "tool", "content": "42", "tool_call_id": "c"}, LLMMessage("tool", "42", tool_call_id="c")),
    ({"role": "tool", "content": "", "tool_call_id": "c", "name": "f"},
     LLMMessage("tool", "", tool_call_id="c", name="f")),
    ({"role": "assistant"}, LLMMessage("assistant")),
    ({"role": "assistant", "parts": [{"type": "text", "text": "a"}]}, LLMMessage("assistant", "a")),
]  # fmt: skip


@pytest.mark.parametrize(("flat", "message"), FLAT)
def test_flat_dicts(flat: dict[str, Any], message: LLMMessage) -> None:
    before = copy.deepcopy(flat)
    assert LLMMessage.from_dict(flat) == message
    assert flat == before


MISFITS: list[tuple[Any, str]] = [
    (None, "NoneType"), ([], "list"), ("x", "str"), ({}, "role"),
    ({"content": "x"}, "at role"), ({"role": "x", "content": "x"}, "at role"),
    ({"role": "user", "content": 3}, "at content"),
    ({"role": "user", "content": [{"type": "nonsense"}]}, r"at content\[0\]"),
    ({"role": "user", "content": [{"type": "text"}]}, r"at content\[0\]"),
    ({"role": "user", "content": ["x"]}, r"at content\[0\]"),
    ({"role": "assistant", "tool_calls": ["x"]}, r"at tool_calls\[0\]"),
    ({"role": "assistant", "tool_calls": [{}, {"function": {"arguments": {}}}]}, r"tool_calls\[0\]|tool_calls\[1\]"),
    ({"role": "assistant", "tool_calls": [{"function": {"arguments": 3}}]},
     r"at tool_calls\[0\].function.arguments"),
    ({"role": "assistant", "tool_calls": [{"type": "custom"}]}, r"at tool_calls\[0\].custom"),
    ({"role": "user", "parts": [{"type": "text", "text": "a"}, {"type": "text", "text": 3}]},
     r"at parts\[1\].text"),
    ({"role": "user", "parts": "x"}, "at parts"), ({"role": 3, "parts": []}, "at role"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "where"), MISFITS)
def test_what_does_not_fit_is_named(data: Any, where: str) -> None:
    with pytest.raises(ValueError, match=f"not a message: .*{where}"):
        LLMMessage.from_dict(data)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"\xff", '{"role": "user"} x', b"[" * 100_000]
)
def test_json_that_is_no_message(raw: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        LLMMessage.from_json(raw)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), lambda v: st.lists(v, max_size=2)
       | st.dictionaries(st.sampled_from(["role", "content", "parts", "tool_calls", "type", "text",
                                          "function", "user", "custom"]), v, max_size=3), max_leaves=8))  # fmt: skip
def test_odd_dicts_give_only_value_errors(data: Any) -> None:
    try:
        LLMMessage.from_dict(data)
    except ValueError as e:
        assert str(e)


@pytest.mark.parametrize(
    ("text", "value"),
    [("{}", {}), ('"\\ud83d"', HALF), ("1e3", 1000.0), (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
     ("9" * 30, int("9" * 30))],
)  # fmt: skip
def test_json_that_is_json(text: str | bytes, value: Any) -> None:
    assert load_json(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "NaN", "[Infinity]", "-Infinity", "{} {}", "[" * 100_000, b"\xff", "{'a':1}", "9" * 5000],
)
def test_json_that_is_none(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        load_json(text)


# --- values -----------------------------------------------------------------------------------


@given(messages)
def test_equal_without_identity(message: LLMMessage) -> None:
    for same in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):
        assert same == message
    assert LLMMessage(message.role, parts=message.parts, name=message.name) == message
    assert message.with_parts(message.parts) == message
    other = message.with_parts((*message.parts, TextPart("more")))
    assert other != message


@pytest.mark.parametrize(
    "value",
    [LLMMessage("user", "x"), TextPart("x"), CALL, LLMChunk(), LLMUsage(), StopInfo("stop"),
     PartDelta(0), OpaquePart("x"), AvailableTool(AvailableFunction("f"))],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_values_are_immutable(value: Any) -> None:
    for name in value.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(value, name, None)
    with pytest.raises(AttributeError):
        value.new = 1


def test_constructors_keep_the_callers_lists() -> None:
    calls, given_parts = [CALL], [TextPart("a")]
    message = LLMMessage("assistant", given_parts, tool_calls=calls)
    calls.clear()
    given_parts.clear()
    assert message.parts == (TextPart("a"), CALL)


# --- usage ------------------------------------------------------------------------------------


def test_reports_on_one_reply_replace_each_other() -> None:
    first = LLMUsage(10, 1, cache_read=4, provenance="partial", raw={"a": 1})
    last = LLMUsage(None, 20, reasoning=0, raw=None)
    assert first.merged(last) == LLMUsage(10, 20, cache_read=4, reasoning=0, raw={"a": 1})
    assert (first.prompt_tokens, first.completion_tokens) == (10, 1)


@given(usages, usages, usages)
def test_merging_is_associative(a: LLMUsage, b: LLMUsage, c: LLMUsage) -> None:
    assert a.merged(b).merged(c) == a.merged(b.merged(c))
    assert a.merged(a) == a


@given(usages, usages, usages)
def test_adding_two_calls(a: LLMUsage, b: LLMUsage, c: LLMUsage) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    total = a + b
    for name in ("input_total", "output_total", "cache_read", "reasoning"):
        x, y, z = (getattr(u, name) for u in (a, b, total))
        assert z == (None if x is None or y is None else x + y)
    assert total.raw is None


def test_unknown_is_not_zero() -> None:
    assert (LLMUsage(1, 2) + LLMUsage(1)).output_total is None
    assert LLMUsage() != LLMUsage(0, 0)
    assert LLMUsage(provenance="estimated") + LLMUsage() == LLMUsage(provenance="estimated")
    assert LLMUsage().__add__(3) is NotImplemented  # type: ignore[arg-type]
