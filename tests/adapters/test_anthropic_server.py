"""The server's half of the Messages wire: what it refuses, and what Anthropic's own SDK hears."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.adapters.anthropic import AnthropicAdapter, AnthropicServer
from llmwire.config import ModelConfig
from llmwire.errors import (
    AuthenticationError,
    BackendError,
    ConflictError,
    ContextTooLongError,
    HistoryRejectedError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    RequestTooLargeError,
    ServerError,
    StreamOverloadedError,
    TimeoutError_,
    TransportError,
)
from llmwire.request import LLMRequest
from llmwire.types import (
    FunctionCall,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    Role,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)

SERVER = AnthropicServer()
HEADERS = {"anthropic-version": "2023-06-01"}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
HI = {"role": "user", "content": "hi"}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
DONE = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}


def hear(headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"model": "claude-haiku-4-5", "max_tokens": 2000, "messages": [HI], **fields}
    sent = {k: v for k, v in body.items() if v is not ...}
    return SERVER.parse_request(
        "POST", "/v1/messages", headers or HEADERS, json.dumps(sent).encode()
    )


def talk(*contents: Any) -> list[dict[str, Any]]:
    """Messages of user and assistant in turn."""
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]


# --- what is heard ---------------------------------------------------------------------------------


def test_paths() -> None:
    for path in ("/v1/messages", "/anthropic/v1/messages?beta=true", "/v1/messages/count_tokens"):
        assert SERVER.matches("POST", path)
    for method, path in (("GET", "/v1/messages"), ("POST", "/v1/messages/batches"), ("POST", "/")):
        assert not SERVER.matches(method, path)


def test_counting_needs_no_limit() -> None:
    body = b'{"model":"claude-x","messages":[{"role":"user","content":"hi"}]}'
    heard = SERVER.parse_request("POST", "/v1/messages/count_tokens", HEADERS, body)
    assert heard.count
    assert json.loads(SERVER.prepare_count(7, heard)) == {"input_tokens": 7}


def test_a_request_is_heard_whole() -> None:
    request = hear(
        system=[{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        messages=talk(
            [{"type": "text", "text": "look"}],
            [{"type": "thinking", "thinking": "h", "signature": "s"}, USE],
            [DONE, {"type": "text", "text": "go on"}],
        ),
        tools=[{**TOOL, "description": "d"}, {"type": "web_search_20260318", "name": "web_search"}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1500},
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        stream=True,
        novel_setting=1,
    ).request
    own = Native("anthropic")
    assert request.messages == (
        new_message(Role.system, (TextPart("one"), TextPart("two"))),
        new_message(Role.user, (TextPart("look"),)),
        new_message(
            Role.assistant,
            (
                ReasoningPart("h", signature="s", native=own),
                ToolCall("t1", FunctionCall("look", "{}")),
            ),
        ),
        new_message(Role.tool, (ToolResultPart("t1", "ok"),)),
        new_message(Role.user, (TextPart("go on"),)),
    )
    assert (request.model.name, request.max_tokens, request.stream) == (
        "claude-haiku-4-5",
        2000,
        True,
    )
    assert (request.thinking, request.stop, request.metadata) == (
        "minimal",
        ("END",),
        {"user_id": "u"},
    )
    assert request.parallel_tool_calls is False
    assert [t.function.name for t in request.tools] == ["look"]


def test_a_later_system_message_is_heard_as_one() -> None:
    messages = [HI, {"role": "system", "content": "be kind"}]
    assert hear(messages=messages).request.messages[1].role is Role.system


def test_neighbours_of_one_role_are_one_turn() -> None:
    messages = [
        HI,
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [DONE]},
        HI,
    ]
    heard = hear(messages=messages, tools=[TOOL]).request.messages
    assert [m.role.value for m in heard] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize(
    ("model", "fields", "level"),
    [
        ("claude-opus-5-5", {"thinking": {"type": "adaptive"}}, "medium"),
        ("claude-opus-5-5", {}, "medium"),
        ("claude-sonnet-5", {"output_config": {"effort": "low"}}, "low"),
        ("claude-opus-4-7", {}, "off"),
        ("claude-opus-4-7", {"thinking": {"type": "adaptive"}}, "high"),
        (
            "claude-opus-5-5",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            "max",
        ),
        ("claude-haiku-5-5", {"thinking": {"type": "disabled"}}, "off"),
        ("claude-haiku-4-5", {}, "off"),
    ],
)
def test_levels_of_thinking(model: str, fields: dict[str, Any], level: str) -> None:
    assert hear(model=model, **fields).request.thinking == level


@pytest.mark.parametrize("form", ["output_config", "output_format"])
def test_the_form_of_the_text_at_both_of_its_places(form: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    asked = {"type": "json_schema", "schema": schema}
    fields = {form: {"format": asked} if form == "output_config" else asked}
    output = hear(model="claude-opus-5-5", **fields).request.output
    assert output is not None and output.schema == schema


# --- what is refused -------------------------------------------------------------------------------

THINK = {"type": "enabled", "budget_tokens": 1024}
THOUGHT = {"type": "thinking", "thinking": "h", "signature": "s"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": ...}, "model: Field required"),
    ({"max_tokens": ...}, "max_tokens: Field required"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": -1}, "greater than or equal to 0"),
    ({"messages": ...}, "messages: Field required"),
    ({"messages": []}, "at least one message is required"),
    ({"messages": [{"role": "user"}]}, "content: Field required"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 'Unexpected role "robot"'),
    ({"messages": [{"role": "system", "content": "x"}, HI]}, 'must use the "user" role'),
    ({"messages": [{"role": "assistant", "content": "x"}, HI]}, 'must use the "user" role'),
    ({"messages": [{"role": "user", "content": 7}]}, "valid list"),
    ({"messages": [{"role": "user", "content": []}]}, "must have non-empty content"),
    ({"messages": talk("")}, "text content blocks must be non-empty"),
    ({"messages": talk([{"type": "text", "text": " \n"}])}, "non-whitespace text"),
    ({"system": ""}, "system: text content blocks must be non-empty"),
    ({"system": [{"type": "image"}]}, "system"),
    ({"messages": talk([{"text": "x"}])}, "messages.0.content.0.type: Field required"),
    ({"messages": talk("hi", "so ")}, "cannot end with trailing whitespace"),
    ({"messages": talk("hi", "so"), "model": "claude-opus-4-6"}, "does not support assistant message prefill"),
    ({"messages": talk("hi", [THOUGHT], "hi")}, "final block in an assistant message cannot be"),
    ({"stop_sequences": [" "]}, "stop_sequences.0"),
    ({"tool_choice": {"type": "auto"}}, "only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "'x' not found"),
    ({"tools": [TOOL, TOOL]}, "must be unique"),
    ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "should match pattern"),
    ({"tools": [{"name": "a"}]}, "input_schema: Field required"),
    ({"tools": [{"name": "a", "input_schema": {}}]}, "input_schema.type: Field required"),
    ({"tools": [{"name": "a", "input_schema": {"type": "array"}}]}, "should be 'object'"),
    ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than `thinking.budget_tokens`"),
    ({"thinking": {"type": "adaptive"}}, '"thinking.type.adaptive" is not supported for this model'),
    ({"thinking": {"type": "disabled"}, "model": "claude-opus-5-5"}, '"thinking.type.disabled" is not'),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "model": "claude-opus-4-7"}, '"thinking.type.enabled" is not'),
    ({"thinking": {"type": "sometimes"}}, "does not match"),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}, "model": "claude-opus-5"}, "effort"),
    ({"output_config": {"effort": "low"}}, "not supported for this model"),
    ({"thinking": THINK, "tools": [TOOL], "tool_choice": {"type": "any"}}, "forces tool use"),
    ({"model": "claude-opus-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}}, "tool_choice"),
    ({"thinking": THINK, "temperature": 0.5}, "thinking is enabled"),
    ({"temperature": 1.5}, "range: 0..1"),
    ({"model": "claude-opus-4-7", "temperature": 1.0}, "temperature"),
    (
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5},
        "maximum of 4 blocks with cache_control",
    ),
    (
        {"messages": talk([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}}])},
        "base64",
    ),
    (
        {"messages": talk("hi", [USE], [{**DONE, "is_error": True, "content": [
            {"type": "image", "source": {"type": "url", "url": "u"}}]}])},
        'all content must be type "text" if "is_error" is true',
    ),
    ({"messages": talk("hi", [{"type": "image", "source": {"type": "url", "url": "u"}}], "x")}, "not permitted"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), REFUSED, ids=[w for _, w in REFUSED])
def test_requests_that_the_api_refuses(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError) as e:
        hear(**fields)
    assert words in e.value.message
    assert (e.value.status, e.value.type) == (400, "invalid_request_error")
    status, headers, body = SERVER.prepare_error(e.value)
    assert status == 400 and headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"] == e.value.message


HISTORIES: list[tuple[dict[str, Any], str]] = [
    (
        {"messages": talk("hi", [USE], "and?")},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1.",
    ),
    ({"messages": talk("hi", [USE])}, "without `tool_result` blocks"),
    (
        {"messages": talk("hi", [USE], [{"type": "text", "text": "x"}, DONE])},
        "without `tool_result` blocks",  # results come first
    ),
    ({"messages": talk([DONE])}, "unexpected `tool_use_id` found in `tool_result` blocks: t1"),
    ({"messages": talk("hi", [USE], [DONE, DONE])}, "each tool_use must have a single result"),
    ({"messages": talk("hi", [USE], [DONE], [USE], [DONE])}, "ids must be unique"),
    (
        {"messages": talk("hi", [{**USE, "id": "a:b"}], [{**DONE, "tool_use_id": "a:b"}])},
        "should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
    ),
    (
        {
            "messages": talk(
                "hi", [{"type": "thinking", "thinking": "h"}, {"type": "text", "text": "x"}], "hi"
            )
        },
        "signature: Field required",
    ),
    (
        {"messages": talk("hi", [USE], [DONE]), "thinking": THINK, "tools": [TOOL]},
        "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
    ),
    (
        {"messages": talk("hi", [THOUGHT, USE], [DONE]), "tools": [TOOL]},
        "When thinking is disabled, an `assistant` message in the final position",
    ),
]


@pytest.mark.parametrize(("fields", "words"), HISTORIES, ids=[w for _, w in HISTORIES])
def test_histories_that_the_api_refuses(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(HistoryRejectedError) as e:
        hear(**fields)
    assert words in e.value.message
    assert e.value.status == 400


def test_what_interleaved_thinking_allows() -> None:
    headers = {**HEADERS, "anthropic-beta": "interleaved-thinking-2025-05-14"}
    thinking = {"type": "enabled", "budget_tokens": 9000}
    assert hear(headers, thinking=thinking, tools=[TOOL]).request.thinking == "low"


def test_the_newer_version_takes_no_sampling() -> None:
    with pytest.raises(InvalidRequestError, match="temperature"):
        hear({"anthropic-version": "2026-10-21"}, temperature=1.0)
    assert hear(temperature=1.0).request.temperature == 1.0


def test_an_unknown_model_is_taken_at_its_word() -> None:
    request = hear(
        model="kimi-k3",
        temperature=0.7,
        thinking={"type": "disabled"},
        tools=[TOOL],
        tool_choice={"type": "any"},
    ).request
    assert (request.temperature, request.tool_choice) == (0.7, "required")


def test_headers_that_the_api_refuses() -> None:
    with pytest.raises(InvalidRequestError, match="anthropic-version"):
        hear({"x": "y"})
    with pytest.raises(AuthenticationError, match="not both"):
        hear({**HEADERS, "X-Api-Key": "k", "Authorization": "Bearer k"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'{"messages":' + b"[" * 90_000,
        json.dumps({"max_tokens": 1, "model": "x", "messages": talk([{"type": "novel"}])})
        .encode()
        .replace(b"novel", b"\\q"),
    ],
)
def test_bodies_that_are_none(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        SERVER.parse_request("POST", "/v1/messages", HEADERS, body)


FULL: dict[str, Any] = {
    "model": "claude-opus-4-5",
    "max_tokens": 4000,
    "system": [{"type": "text", "text": "be", "cache_control": {"type": "ephemeral"}}],
    "messages": talk(
        [
            {"type": "text", "text": "x", "citations": None},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "cA=="},
            },
            {"type": "document", "title": "t", "source": {"type": "text", "data": "x"}},
        ],
        [THOUGHT, {"type": "redacted_thinking", "data": "d"}, {"type": "compaction"}, USE],
        [{**DONE, "content": [{"type": "text", "text": "ok"}]}, {"type": "text", "text": "on"}],
    ),
    "tools": [{**TOOL, "description": "d", "strict": True}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": THINK,
    "stop_sequences": ["a"],
    "stream": True,
    "metadata": {"user_id": "u"},
}
values = st.sampled_from(
    [None, True, -1, 1.5, 10**30, "", "x", "\ud800", [], {}, [[]], {"type": "text"}]
)


def places(node: Any) -> list[tuple[Any, Any]]:
    found = []
    for key in node if isinstance(node, dict) else range(len(node)):
        found.append((node, key))
        if isinstance(node[key], dict | list):
            found += places(node[key])
    return found


@given(st.integers(0, len(places(FULL)) - 1), values)
def test_no_request_makes_an_exception_of_another_kind(place: int, value: Any) -> None:
    broken = json.loads(json.dumps(FULL))
    node, key = places(broken)[place]
    node[key] = value
    try:
        heard = SERVER.parse_request("POST", "/v1/messages", HEADERS, json.dumps(broken).encode())
    except BackendError as e:
        assert e.status == 400 and str(e)
    else:
        SERVER.prepare_response(LLMChunk(), heard)


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (AuthenticationError("x"), 401, "authentication_error"),
        (PermissionDeniedError("x"), 403, "permission_error"),
        (ModelNotFoundError("x"), 404, "not_found_error"),
        (ConflictError("x"), 409, "conflict_error"),
        (RequestTooLargeError("x"), 413, "request_too_large"),
        (QuotaError("x"), 402, "billing_error"),
        (QuotaError("x", status=429), 429, "rate_limit_error"),
        (RateLimitError("x", retry_after=1.5), 429, "rate_limit_error"),
        (OverloadedError("x"), 529, "overloaded_error"),
        (StreamOverloadedError("x", status=200), 529, "overloaded_error"),
        (ContextTooLongError("x"), 400, "invalid_request_error"),
        (TimeoutError_("x"), 504, "timeout_error"),
        (ServerError("x", status=503), 503, "api_error"),
        (TransportError("x"), 500, "api_error"),
        (InvalidRequestError("x", status=422, type="novel"), 422, "invalid_request_error"),
    ],
)
def test_errors_have_their_status_and_type(error: BackendError, status: int, kind: str) -> None:
    got, headers, body = SERVER.prepare_error(error)
    assert (got, json.loads(body)) == (
        status,
        {"type": "error", "error": {"type": kind, "message": "x"}},
    )
    assert headers.get("retry-after") == ("1.5" if error.retry_after else None)


def test_errors_tell_the_providers_words_and_the_request() -> None:
    error = OverloadedError("acme: Busy", provider_message="Busy", request_id="req_1")
    _, headers, body = SERVER.prepare_error(error)
    assert json.loads(body)["error"]["message"] == "Busy"
    assert headers["request-id"] == json.loads(body)["request_id"] == "req_1"


def test_an_error_in_a_stream_is_heard_by_the_other_half() -> None:
    event = SERVER.prepare_stream_error(OverloadedError("Busy"))
    decoder = AnthropicAdapter().stream_decoder(LLMRequest(model=ModelConfig("m"), messages=()))
    with pytest.raises(StreamOverloadedError, match="Busy"):
        list(decoder.feed(event))


# --- Anthropic's SDK -------------------------------------------------------------------------------

OWN = Native("anthropic")
REPLY = LLMChunk(
    new_message(
        Role.assistant,
        (
            ReasoningPart("let me see", signature="s1", native=OWN),
            TextPart("It says ", ({"type": "char_location", "cited_text": "x", "document_index": 0,
                                   "document_title": None, "start_char_index": 0,
                                   "end_char_index": 1},), OWN),
            ReasoningPart(kind="redacted", data="blob", native=OWN),
            OpaquePart("server_tool_use", '{"type":"server_tool_use","id":"s","name":"web_search",'
                                          '"input":{"query":"q"}}', OWN),
            ToolCall("t1", FunctionCall("look", '{"a":{"b":[1]}}')),
            ToolCall("t2", FunctionCall("look", "")),
        ),
    ),
    LLMUsage(input_total=9, input_uncached=7, cache_read=2, output_total=5, reasoning=3),
    StopInfo("tool_calls", "tool_use"),
)  # fmt: skip


def sdk(
    answer: Callable[[Any], httpx2.Response],
) -> anthropic.Anthropic:
    def handle(request: httpx2.Request) -> httpx2.Response:
        heard = SERVER.parse_request(
            request.method, request.url.path, request.headers, request.content
        )
        return answer(heard)

    client = httpx2.Client(transport=httpx2.MockTransport(handle))
    return anthropic.Anthropic(api_key="k", http_client=client, max_retries=0)


ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hi"}],
}


def check_message(message: Any) -> None:
    kinds = [b.type for b in message.content]
    assert kinds == [
        "thinking", "text", "redacted_thinking", "server_tool_use", "tool_use", "tool_use",
    ]  # fmt: skip
    thinking, text, redacted, server, call, bare = message.content
    assert (thinking.thinking, thinking.signature) == ("let me see", "s1")
    assert text.text == "It says " and text.citations[0].cited_text == "x"
    assert redacted.data == "blob"
    assert server.input == {"query": "q"}
    assert (call.id, call.name, call.input) == ("t1", "look", {"a": {"b": [1]}})
    assert (bare.id, bare.input) == ("t2", {})
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (7, 5)
    assert message.usage.cache_read_input_tokens == 2
    assert message.role == "assistant" and message.id.startswith("msg_")
    assert message.model == "claude-haiku-4-5"


def test_the_sdk_reads_whole_answers() -> None:
    client = sdk(lambda heard: httpx2.Response(
        200, headers={"content-type": "application/json"},
        content=SERVER.prepare_response(REPLY, heard)))  # fmt: skip
    check_message(client.messages.create(**ASK))


def streaming(*chunks: LLMChunk) -> anthropic.Anthropic:
    return sdk(lambda heard: httpx2.Response(
        200, headers={"content-type": "text/event-stream"},
        content=b"".join(SERVER.prepare_stream(chunks, heard))))  # fmt: skip


def test_the_sdk_reads_streams() -> None:
    with streaming(REPLY).messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == "It says "
        check_message(stream.get_final_message())


def test_the_sdk_reads_streams_of_pieces() -> None:
    def piece(*parts: Part, **fields: Any) -> LLMChunk:
        return LLMChunk(new_message(Role.assistant, parts), **fields)

    client = streaming(
        piece(response_id="msg_9", model="claude-z"),
        piece(PartDelta(0, "reasoning", "hm", True)),
        piece(PartDelta(0, "reasoning", "m", signature="s"), PartDelta(0, "reasoning", end=True)),
        piece(
            PartDelta(1, "text", "a", True),
            PartDelta(2, "tool_call", '{"x"', True, id="t", name="look"),
        ),
        piece(PartDelta(1, "text", "b", end=True)),
        piece(PartDelta(2, "tool_call", ":1}", end=True)),
        piece(usage=LLMUsage(input_total=3, output_total=4)),
        piece(stop=StopInfo("tool_calls")),
    )
    with client.messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    assert (message.id, message.model, message.stop_reason) == ("msg_9", "claude-z", "tool_use")
    thinking, text, call = message.content
    assert (thinking.thinking, thinking.signature) == ("hmm", "s")  # type: ignore[union-attr]
    assert text.text == "ab"  # type: ignore[union-attr]
    assert call.input == {"x": 1}  # type: ignore[union-attr]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 4)


def test_the_sdk_reads_a_call_that_was_cut_off() -> None:
    cut = IncompleteToolCall("t", "look", '{"a": "b', "length")
    reply = LLMChunk(new_message(Role.assistant, (cut,)), stop=StopInfo("length"))
    with streaming(reply).messages.stream(**ASK) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert message.content[0].type == "tool_use"


def test_the_sdk_counts_and_raises() -> None:
    client = sdk(lambda heard: httpx2.Response(
        200, headers={"content-type": "application/json"},
        content=SERVER.prepare_count(12, heard)))  # fmt: skip
    count = client.messages.count_tokens(model="claude-haiku-4-5", messages=ASK["messages"])
    assert count.input_tokens == 12

    def overloaded(heard: Any) -> httpx2.Response:
        error = RateLimitError("Slow down", retry_after=3, request_id="req_1")
        status, headers, body = SERVER.prepare_error(error)
        return httpx2.Response(status, headers=headers, content=body)

    with pytest.raises(anthropic.RateLimitError, match="Slow down") as e:
        sdk(overloaded).messages.create(**ASK)
    assert e.value.request_id == "req_1"


def test_the_sdk_raises_an_error_inside_a_stream() -> None:
    def answer(heard: Any) -> httpx2.Response:
        events = list(SERVER.prepare_stream([LLMChunk(REPLY.message)], heard))
        body = b"".join(events[:4]) + SERVER.prepare_stream_error(OverloadedError("Busy"))
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    with (
        pytest.raises(anthropic.APIStatusError, match="Busy"),
        sdk(answer).messages.stream(**ASK) as stream,
    ):
        stream.get_final_message()
