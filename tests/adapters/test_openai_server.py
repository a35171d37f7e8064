"""The server's half of Chat Completions: what it hears, what it refuses, what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.adapters.base import ServerRequest, chunk_of
from llmwire.adapters.openai import OpenAIAdapter, OpenAIServer
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import (
    AuthenticationError,
    BackendError,
    ConflictError,
    ContentFilterError,
    ContextTooLongError,
    HistoryRejectedError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
    StreamError,
)
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    accumulate,
)

CLIENT, SERVER = OpenAIAdapter(), OpenAIServer()
PROVIDER = ProviderConfig("p", "http://127.0.0.1:1/v1", dialect=Dialect(metadata=True))
USER = {"role": "user", "content": "q"}
TOOL = AvailableTool(
    AvailableFunction("f", "does", {"type": "object", "properties": {"a": {"type": "integer"}}})
)
TOOL_ENTRY = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL_ENTRY = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
ASSISTANT = {"role": "assistant", "tool_calls": [CALL_ENTRY]}


def hear(body: Any) -> ServerRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return SERVER.parse_request("POST", "/v1/chat/completions", {}, raw)


def call(call_id: str | None, name: str = "f", arguments: str = '{"a":1}', **more: Any) -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments), **more)


def heard(**asked: Any) -> ServerRequest:
    asked.setdefault("messages", (LLMMessage("user", "q"),))
    request = LLMRequest(model=ModelConfig("m", temperature=None), **asked)
    return hear(CLIENT.prepare_request(request, PROVIDER).body)


@pytest.mark.parametrize(
    ("method", "path", "ours"),
    [
        ("POST", "/v1/chat/completions", True),
        ("POST", "/openai/v1/chat/completions?api-version=1", True),
        ("GET", "/v1/chat/completions", False),
        ("POST", "/v1/messages", False),
    ],
)
def test_matches(method: str, path: str, ours: bool) -> None:
    assert SERVER.matches(method, path) is ours


# --- hearing ---


def test_settings_are_heard_as_they_were_asked() -> None:
    asked: dict[str, Any] = {
        "temperature": 0.5, "tools": (TOOL,), "max_tokens": 9, "tool_choice": TOOL, "stream": True,
        "thinking": "high", "top_p": 0.25, "top_k": 3, "stop": ("a", "b"), "seed": 7,
        "parallel_tool_calls": False, "metadata": {"k": "v"},
        "extra_body": {"logprobs": True}, "output": OutputFormat({
            "type": "object", "properties": {}, "required": [], "additionalProperties": False,
        }, "form"),
    }  # fmt: skip
    got = heard(**asked)
    assert {k: getattr(got.request, k) for k in asked} == asked
    assert got.include_usage is True
    assert heard().include_usage is False


def test_histories_are_heard_as_they_were_sent() -> None:
    png = ImagePart(BytesSource(b"png", "image/png"), "low")
    messages = (
        LLMMessage("system", "s"),
        LLMMessage(
            "user",
            [
                TextPart("q"),
                png,
                ImagePart(UrlSource("https://h/i.png")),
                AudioPart(BytesSource(b"mp3", "audio/mp3"), "mp3"),
                FilePart(BytesSource(b"pdf", "application/pdf"), "a.pdf"),
                FilePart(FileSource("f1")),
                OpaquePart("video_url", '{"type":"video_url","video_url":{"url":"https://h"}}'),
            ],
            name="ann",
        ),
        LLMMessage(
            "assistant",
            [ReasoningPart("hm"), TextPart("a"), call("c1"), call("c2", "sql", "SELECT", kind="custom")],
        ),
        LLMMessage("tool", parts=(ToolResultPart("c1", "one"),)),
        LLMMessage("tool", parts=(ToolResultPart("c2", "two"),)),
        LLMMessage("assistant", [RefusalPart("no")]),
        LLMMessage("user", "more"),
    )  # fmt: skip
    assert heard(messages=messages).request.messages == messages


def test_state_of_the_issuer_is_heard() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "signature": "s"}]
    extra = {"google": {"thought_signature": "t"}}
    got = hear({"model": "m", "messages": [
        USER,
        {**ASSISTANT, "content": None, "reasoning_details": details,
         "tool_calls": [{**CALL_ENTRY, "extra_content": extra}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
    ]})  # fmt: skip
    thought, said = got.request.messages[1].parts
    assert isinstance(thought, ReasoningPart) and thought.text == "hm"
    assert thought.native is not None and thought.native.payload["details"] == details
    assert said == call("c1", native=Native("openai", payload={"extra_content": extra}))
    assert got.request.messages[2].parts == (ToolResultPart("c1", "r"),)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ({"reasoning_effort": "none"}, "off"),
        ({"reasoning_effort": "xhigh"}, "xhigh"),
        ({"reasoning": {"effort": "low"}}, "low"),
        ({"thinking": {"type": "enabled"}}, "medium"),
        ({"thinking": {"type": "enabled"}, "reasoning_effort": "max"}, "max"),
        ({"thinking": {"type": "disabled"}}, "off"),
        ({"enable_thinking": True}, "medium"),
        ({}, "off"),
    ],
)
def test_levels_of_thinking(said: dict[str, Any], level: str) -> None:
    assert hear({"model": "m", "messages": [USER], **said}).request.thinking == level


def test_other_forms_are_heard() -> None:
    got = hear({"model": "m", "messages": [USER], "max_completion_tokens": 5, "stop": "x",
                "tools": [TOOL_ENTRY], "tool_choice": "required"}).request  # fmt: skip
    assert (got.max_tokens, got.stop, got.tool_choice) == (5, ("x",), "required")


# --- refusing ---

RESULT = {"role": "tool", "tool_call_id": "c1", "content": "r"}
OK: dict[str, Any] = {"model": "m", "messages": [USER]}
REFUSED: list[tuple[Any, str, bool]] = [
    (b"{", "could not parse the JSON body", False),
    (b"[]", "expected an object", False),
    ({"messages": [USER]}, "you must provide a model parameter", False),
    ({"model": "m"}, "Missing required parameter: 'messages'.", False),
    ({"model": "m", "messages": "q"}, "expected an array of objects", False),
    ({"model": "m", "messages": []}, "Invalid 'messages': empty array.", False),
    ({"model": "m", "messages": [{"role": "robot", "content": "x"}]}, "Supported values are", False),
    ({"model": "m", "messages": ["hi"]}, "Invalid value", False),
    ({"model": "m", "messages": [{"role": "user", "content": None}]}, "got null", False),
    ({"model": "m", "messages": [{"role": "assistant"}]}, "got null", False),
    ({"model": "m", "messages": [{"role": "assistant", "tool_calls": []}]}, "empty array", False),
    ({"model": "m", "messages": [USER, ASSISTANT]}, "did not have response messages: c1", True),
    ({"model": "m", "messages": [ASSISTANT, USER, RESULT]}, "must be followed by tool messages", True),
    ({"model": "m", "messages": [USER, RESULT]}, "preceeding message with 'tool_calls'", True),
    ({"model": "m", "messages": [ASSISTANT, RESULT, RESULT]}, "preceeding message", True),
    ({"model": "m", "messages": [ASSISTANT, {"role": "tool", "content": "r"}]}, "tool_call_id", False),
    ({**OK, "stream_options": {"include_usage": True}}, "only allowed when 'stream'", False),
    ({**OK, "tool_choice": "auto"}, "only allowed when 'tools' are specified", False),
    ({**OK, "parallel_tool_calls": True}, "only allowed when 'tools' are specified", False),
    ({**OK, "tools": [TOOL_ENTRY], "tool_choice": "any"}, "Supported values are: 'none', 'auto'", False),
    (
        {**OK, "tools": [TOOL_ENTRY], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "Tool choice 'g' not found",
        False,
    ),
    ({**OK, "model": "o3", "max_tokens": 5}, "Use 'max_completion_tokens' instead.", False),
    ({**OK, "model": "gpt-5", "temperature": 0.5}, "'temperature' does not support 0.5", False),
    ({**OK, "model": "gpt-5.5", "temperature": 0.5}, "'temperature' does not support 0.5", False),
    (
        {**OK, "model": "gpt-5.2", "temperature": 0.5, "reasoning_effort": "low"},
        "'temperature' does not support 0.5",
        False,
    ),
    ({**OK, "reasoning_effort": "enormous"}, "Invalid value: 'enormous'", False),
    ({**OK, "temperature": "warm"}, "Invalid request", False),
    ({**OK, "tools": [{"type": "function"}]}, "Invalid request", False),
    (
        {**OK, "model": "gpt-4o", "messages": [{**ASSISTANT, "tool_calls": [{**CALL_ENTRY, "id": "x" * 41}]}]},
        "maximum length 40",
        True,
    ),
    (
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "Invalid image URL",
        False,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words", "history"), REFUSED)
def test_refusals_in_the_services_words(body: Any, words: str, history: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        hear(body)
    error = caught.value
    assert words in (error.provider_message or "")
    assert error.status == 400
    assert isinstance(error, HistoryRejectedError) is history
    status, _, told = SERVER.prepare_error(error)
    assert status == 400 and words in json.loads(told)["error"]["message"]


@pytest.mark.parametrize(
    ("model", "effort"), [("gpt-5.1", None), ("gpt-5.4-mini", None), ("gpt-5.5", "none")]
)
def test_models_that_do_not_reason_are_sampled(model: str, effort: str | None) -> None:
    heard = hear({**OK, "model": model, "temperature": 0.5, "reasoning_effort": effort})
    assert heard.request.temperature == 0.5


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda x: st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "messages", "role", "content", "tools", "tool_calls", "type",
                             "function", "id", "text", "stop", "image_url", "tool_choice"]),
            x, max_size=5,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_odd_requests_are_heard_or_refused(value: Any) -> None:
    for body in (value, {"model": "m", "messages": value}, {**OK, "tools": value}, {**OK, "stop": value},
                 {"model": "m", "messages": [{"role": "user", "content": value}]},
                 {"model": "m", "messages": [{"role": "assistant", "tool_calls": value}]}):  # fmt: skip
        try:
            hear(body)
        except BackendError as e:
            assert isinstance(e, InvalidRequestError)


# --- saying ---


def field(name: str = "reasoning_content") -> Native:
    return Native("openai", "p", "m", {"field": name})


RAW = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
       "prompt_tokens_details": {"cached_tokens": 4},
       "completion_tokens_details": {"reasoning_tokens": 2}}  # fmt: skip
STOPPED = StopInfo("stop", "stop")
CALLED = StopInfo("tool_calls", "tool_calls")
REPLIES: list[tuple[tuple[Part, ...], StopInfo]] = [
    ((TextPart("hello\u2028"),), STOPPED),
    ((ReasoningPart("hm", native=field()), TextPart("a")), STOPPED),
    ((RefusalPart("no", Native("openai", "p", "m")),), StopInfo("refusal", "stop")),
    ((TextPart("a"), call("c1"), call("c2", "g", "{}")), CALLED),
    ((call("c1", "sql", "SELECT", kind="custom"),), CALLED),
    ((TextPart("a"), IncompleteToolCall("c1", "f", '{"a', "length")), StopInfo("length", "length")),
    ((IncompleteToolCall("c1", "f", "[1]", "invalid_json"),), CALLED),
    ((TextPart("see", ({"type": "url_citation"},)),), STOPPED),
    ((TextPart("a"),), StopInfo("other", "moonlight")),
    ((TextPart("a"),), StopInfo("content_filter", "content_filter")),
    ((ReasoningPart("", "encrypted", data="d", native=Native("openai", "p", "m", {
        "field": "reasoning_details",
        "details": [{"type": "reasoning.encrypted", "data": "d", "index": 0}]})),
      TextPart("a")), STOPPED),
    ((TextPart("a"), OpaquePart("reference", '{"type":"reference","ids":[1]}',
                                Native("openai", "p", "m")), TextPart("b")), STOPPED),
    ((TextPart("a"), ImagePart(BytesSource(b"png", "image/png"), native=Native("openai", "p", "m"))),
     STOPPED),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "stop"), REPLIES)
def test_what_is_said_is_heard(parts: tuple[Part, ...], stop: StopInfo) -> None:
    """decode(encode(reply)) == reply, whole and streamed."""
    usage = LLMUsage(9, 5, 5, 4, reasoning=2, raw=RAW)
    reply = LLMChunk(LLMMessage("assistant", parts=parts), usage, stop, "r1", "m-1")
    asked = heard(stream=True)
    body = SERVER.prepare_response(reply, asked)
    assert CLIENT.parse_response(body, asked.request, PROVIDER) == reply
    pieces = [chunk_of([p], response_id="r1", model="m-1") for p in parts]
    events = list(SERVER.prepare_stream([*pieces, chunk_of(stop=stop, usage=usage)], asked))
    assert events[-1] == b"data: [DONE]\n\n"
    decoder = CLIENT.stream_decoder(asked.request, PROVIDER)
    chunks = [*decoder.feed(b"".join(events)), *decoder.finish()]
    assert accumulate(chunks) == reply


def test_usage_in_a_stream_only_when_asked_for() -> None:
    chunks = [chunk_of([TextPart("a")], usage=LLMUsage(1, 2))]
    asked = heard(stream=True)
    with_usage = list(SERVER.prepare_stream(chunks, asked))
    assert json.loads(with_usage[-2][6:])["choices"] == []
    assert json.loads(with_usage[-2][6:])["usage"]["total_tokens"] == 3
    without = list(SERVER.prepare_stream(chunks, replace(asked, include_usage=False)))
    assert b'"usage"' not in b"".join(without)


def test_calls_streamed_side_by_side_keep_their_places() -> None:
    def bit(index: int, body: str, **more: Any) -> LLMChunk:
        return chunk_of([PartDelta(index, "tool_call", body, **more)])

    chunks = [
        bit(3, '{"a"', start=True, id="c1", name="f"),
        bit(5, '{"b"', start=True, name="g"),
        bit(3, ":1}"),
        bit(5, ":2}", id="c2"),
        bit(3, "", end=True),
        bit(5, "", end=True),
        chunk_of([call("c3")]),
    ]
    asked = heard(stream=True)
    data = b"".join(SERVER.prepare_stream(chunks, asked))
    decoder = CLIENT.stream_decoder(asked.request, PROVIDER)
    reply = accumulate([*decoder.feed(data), *decoder.finish()])
    names = [(c.name, c.arguments) for c in reply.tool_calls]
    assert names == [("f", '{"a":1}'), ("g", '{"b":2}'), ("f", '{"a":1}')]
    assert reply.stop == CALLED


def test_missing_ids_are_made_from_the_request_alone() -> None:
    reply = LLMChunk(LLMMessage("assistant", parts=(call(None), call(None))))
    one, two = (SERVER.prepare_response(reply, heard()) for _ in range(2))
    assert one == two
    told = json.loads(one)
    assert told["created"] == 0 and told["id"].startswith("chatcmpl-")
    first, second = (c["id"] for c in told["choices"][0]["message"]["tool_calls"])
    assert first.startswith("call_") and first != second
    other = json.loads(SERVER.prepare_response(reply, heard(seed=1)))
    assert other["id"] != told["id"]


@pytest.mark.parametrize(
    ("reason", "raw", "word"),
    [
        ("stop", "end_turn", "stop"),
        ("tool_calls", "tool_use", "tool_calls"),
        ("length", "max_tokens", "length"),
        ("context_window", None, "length"),
        ("stop_sequence", "stop_sequence", "stop"),
        ("pause", "pause_turn", "stop"),
        ("refusal", "stop", "stop"),
    ],
)
def test_words_of_other_wires_are_not_said(reason: Any, raw: str | None, word: str) -> None:
    reply = LLMChunk(LLMMessage("assistant", "a"), stop=StopInfo(reason, raw))
    told = json.loads(SERVER.prepare_response(reply, heard()))
    assert told["choices"][0]["finish_reason"] == word


@pytest.mark.parametrize(
    "kind",
    [
        AuthenticationError, PermissionDeniedError, RateLimitError, QuotaError, OverloadedError,
        ServerError, ConflictError, ModelNotFoundError, InvalidRequestError, ContextTooLongError,
        ContentFilterError,
    ],
)  # fmt: skip
def test_errors_come_back_as_what_they_were(kind: type[BackendError]) -> None:
    said = kind("it went wrong", retry_after=3.0)
    status, headers, body = SERVER.prepare_error(said)
    error = CLIENT.parse_error(status, headers, body, heard().request, PROVIDER)
    assert isinstance(error, kind)
    assert error.provider_message == "it went wrong"
    assert error.retry_after == 3.0
    decoder = CLIENT.stream_decoder(heard().request, PROVIDER)
    with pytest.raises(kind) as caught:
        list(decoder.feed(SERVER.prepare_stream_error(said)))
    assert isinstance(caught.value, StreamError)


def test_an_errors_own_words_go_first() -> None:
    said = RateLimitError("ours", type="t", code="c", status=418, provider_message="theirs")
    status, _, body = SERVER.prepare_error(said)
    assert status == 418
    told = {"message": "theirs", "type": "t", "param": None, "code": "c"}
    assert json.loads(body) == {"error": told}
