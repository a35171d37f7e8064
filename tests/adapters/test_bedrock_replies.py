"""Replies of Converse: whole and streamed, what is kept as it is, and how a stream may end."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.base import ServerRequest, chunk_of
from llmwire.adapters.bedrock import BedrockConverseAdapter, BedrockConverseServer
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    ContextTooLongError,
    DecodeError,
    IncompleteStreamError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    ServerError,
    StreamError,
    StreamInvalidRequestError,
    StreamOverloadedError,
    StreamRateLimitError,
    StreamServerError,
)
from llmwire.eventstream import encode_frame, event_frame
from llmwire.folding import close_open_parts
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.types import (
    BytesSource,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    PartDelta,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    accumulate,
)

CLIENT, SERVER = BedrockConverseAdapter(), BedrockConverseServer()
PROVIDER = ProviderConfig("b", "https://bedrock.example", api_style="bedrock-converse")
STRICT = replace(PROVIDERS["bedrock"], region="us-east-1", name="b")
ASKED = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "hi"),))
OWN = Native("bedrock-converse", "b", "m")
USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}


def ev(event: str, **fields: Any) -> bytes:
    return event_frame(event, json.dumps({"p": "abc", **fields}).encode())


def start(index: int, **block: Any) -> bytes:
    return ev("contentBlockStart", contentBlockIndex=index, start=block)


def delta(index: int, **piece: Any) -> bytes:
    return ev("contentBlockDelta", contentBlockIndex=index, delta=piece)


def stop(index: int) -> bytes:
    return ev("contentBlockStop", contentBlockIndex=index)


BEGIN = ev("messageStart", role="assistant")


def end(reason: str = "end_turn", **fields: Any) -> bytes:
    return ev("messageStop", stopReason=reason, **fields)


META = ev("metadata", usage=USAGE, metrics={"latencyMs": 1})


def streamed(
    *events: bytes, provider: ProviderConfig = PROVIDER
) -> tuple[LLMChunk, BackendError | None]:
    decoder = CLIENT.stream_decoder(replace(ASKED, stream=True), provider)
    chunks: list[LLMChunk] = []
    try:
        chunks.extend(c for e in events for c in decoder.feed(e))
        chunks.extend(decoder.finish())
    except BackendError as e:
        return close_open_parts(accumulate(chunks)), e
    return accumulate(chunks), None


def read(*events: bytes) -> LLMChunk:
    reply, error = streamed(BEGIN, *events, end(), META)
    assert error is None, repr(error)
    return reply


def whole(*content: Any, **fields: Any) -> LLMChunk:
    body = {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 1},
        **fields,
    }
    return CLIENT.parse_response(json.dumps(body).encode(), ASKED, PROVIDER)


CITATION = {"title": "facts", "location": {"documentChar": {"documentIndex": 0}}}
SERVER_CALL = {"name": "nova_code", "toolUseId": "t1", "type": "server_tool_use"}
SERVER_RESULT = {"status": "success", "toolUseId": "t1", "type": "nova_code_result"}

SAME: dict[str, tuple[list[Any], list[bytes], list[Any]]] = {
    "text": (
        [{"text": "Hello."}],
        [delta(0, text="Hel"), delta(0, text=""), delta(0, text="lo."), stop(0)],
        [TextPart("Hello.")],
    ),
    "empty text": ([{"text": ""}], [delta(0, text=""), stop(0)], []),
    "reasoning": (
        [{"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}],
        [
            delta(0, reasoningContent={"text": "H"}),
            delta(0, reasoningContent={"text": "m."}),
            delta(0, reasoningContent={"signature": "c2"}),
            delta(0, reasoningContent={"signature": "ln"}),
            stop(0),
        ],
        [ReasoningPart("Hm.", signature="c2ln", native=OWN)],
    ),
    "signature alone": (
        [{"reasoningContent": {"reasoningText": {"text": "", "signature": "c2ln"}}}],
        [delta(0, reasoningContent={"signature": "c2ln"}), stop(0)],
        [ReasoningPart("", signature="c2ln", native=OWN)],
    ),
    "redacted": (
        [{"reasoningContent": {"redactedContent": base64.b64encode(b"hidden").decode()}}],
        [
            delta(0, reasoningContent={"redactedContent": base64.b64encode(b"hid").decode()}),
            delta(0, reasoningContent={"redactedContent": base64.b64encode(b"den").decode()}),
            stop(0),
        ],
        [ReasoningPart(kind="redacted", data="aGlkZGVu", native=OWN)],
    ),
    "citations": (
        [
            {
                "citationsContent": {
                    "citations": [CITATION],
                    "content": [{"text": "Ruby"}, {"text": "."}],
                }
            }
        ],
        [delta(0, citation=CITATION), delta(0, text="Ruby"), delta(0, text="."), stop(0)],
        [TextPart("Ruby.", (CITATION,), OWN)],
    ),
    "bare citations": (
        [{"citationsContent": {"citations": [CITATION, CITATION]}}, {"citationsContent": {}}],
        [delta(0, citation=CITATION), delta(0, citation=CITATION), stop(0)],
        [TextPart("", (CITATION, CITATION), OWN)],
    ),
    "call": (
        [{"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}}],
        [
            start(0, toolUse={"toolUseId": "c1", "name": "f"}),
            delta(0, toolUse={"input": ""}),
            delta(0, toolUse={"input": '{"a":'}),
            delta(0, toolUse={"input": " 1}"}),
            stop(0),
        ],
        [ToolCall("c1", FunctionCall("f", '{"a": 1}'))],
    ),
    "call without input": (
        [{"toolUse": {"toolUseId": "c1", "name": "f", "input": {}, "type": "tool_use"}}],
        [start(0, toolUse={"toolUseId": "c1", "name": "f", "type": "tool_use"}), stop(0)],
        [ToolCall("c1", FunctionCall("f", "{}"))],
    ),
    "server tool": (
        [
            {"toolUse": {"input": {"q": "x"}, **SERVER_CALL}},
            {"toolResult": {"content": [{"text": "a"}, {"json": {"b": 1}}], **SERVER_RESULT}},
        ],
        [
            start(0, toolUse=SERVER_CALL),
            delta(0, toolUse={"input": '{"q": "x"}'}),
            stop(0),
            start(1, toolResult=SERVER_RESULT),
            delta(1, toolResult=[{"text": "a"}]),
            delta(1, toolResult=[{"json": {"b": 1}}]),
            stop(1),
        ],
        [],
    ),
    "picture": (
        [{"image": {"format": "png", "source": {"bytes": base64.b64encode(b"\x89PNGx").decode()}}}],
        [
            start(0, image={"format": "png"}),
            delta(0, image={"source": {"bytes": base64.b64encode(b"\x89PN").decode()}}),
            delta(0, image={"source": {"bytes": base64.b64encode(b"Gx").decode()}}),
            stop(0),
        ],
        [ImagePart(BytesSource(b"\x89PNGx", "image/png"), native=OWN)],
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_whole_and_streamed_mean_the_same(case: str) -> None:
    content, events, parts = SAME[case]
    reply, other = whole(*content), read(*events)
    if parts or case == "empty text":
        assert list(reply.message.parts) == parts
    assert reply.usage == other.usage == LLMUsage(3, 2, 3, raw=USAGE)
    assert reply.stop == other.stop == StopInfo("stop", "end_turn")
    if case != "server tool":
        assert other.message == reply.message
        return
    # The same blocks; in a stream their keys come in the order in which AWS writes whole ones.
    assert [json.loads(p.data) for p in other.message.parts] == content  # type: ignore[union-attr]
    assert [(p.kind, p.native) for p in other.message.parts] == [  # type: ignore[union-attr]
        ("toolUse", OWN), ("toolResult", OWN),
    ]  # fmt: skip
    assert [json.loads(p.data) for p in reply.message.parts] == content  # type: ignore[union-attr]


@pytest.mark.parametrize("case", SAME)
def test_own_replies_go_back_as_they_came(case: str) -> None:
    """What is said again is heard as the same parts."""
    content, events, _ = SAME[case]
    for reply in (whole(*content), read(*events)):
        if not reply.message.parts or case == "picture":
            continue
        sender = replace(PROVIDER, name="b")
        back = replace(ASKED, messages=(*ASKED.messages, reply.message, *ASKED.messages))
        made = CLIENT.prepare_request(back, sender)
        said = json.loads(made.body)["messages"][1]["content"]
        again = whole(*said)
        assert [p for p in again.message.parts if not isinstance(p, OpaquePart)] == [
            p for p in reply.message.parts if not isinstance(p, OpaquePart)
        ]
        assert made.adaptations == () or case.startswith("call")
        for part in reply.message.parts:
            if isinstance(part, OpaquePart):
                assert part.data.encode() in made.body


def test_blocks_that_nobody_knows_are_kept() -> None:
    reply = whole({"text": "a"}, {"hologram": {"x": [1, 2.50]}}, {"video": {"format": "mp4"}})
    assert reply.message.parts[1:] == (
        OpaquePart("hologram", '{"hologram": {"x": [1, 2.5]}}', OWN),
        OpaquePart("video", '{"video": {"format": "mp4"}}', OWN),
    )


def test_unknown_deltas_and_starts_are_skipped() -> None:
    reply = read(
        start(0, hologram={}),
        delta(0, hologram={}),
        ev("contentBlockDelta", contentBlockIndex=0),
        ev("contentBlockStart", contentBlockIndex=0),
        delta(1, text="a"),
        stop(1),
        stop(7),
    )
    assert reply.message.parts == (TextPart("a"),)


def test_a_block_that_nobody_closed_ends_with_the_message() -> None:
    call = start(1, toolUse={"toolUseId": "c", "name": "f"})
    reply = read(delta(0, text="a"), call, delta(1, toolUse={"input": "{}"}))
    assert reply.message.parts == (TextPart("a"), ToolCall("c", FunctionCall("f", "{}")))


def test_surrogates_in_the_json() -> None:
    odd = b'{"contentBlockIndex":0,"delta":{"text":"a\\ud83d"}}'
    reply = read(event_frame("contentBlockDelta", odd), delta(0, text="b"), stop(0))
    assert reply.text == "a\ufffdb"


# --- what a call may be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
    ],
)
def test_a_call_that_the_end_cut_is_incomplete(word: str, reason: str) -> None:
    block = {"toolUseId": "c", "name": "f"}
    events = [start(0, toolUse=block), delta(0, toolUse={"input": '{"a": 1}'}), stop(0)]
    reply, _ = streamed(BEGIN, *events, end(word), META)
    other = whole({"toolUse": {**block, "input": {"a": 1}}}, stopReason=word)
    assert reply.message == other.message
    assert reply.message.parts == (IncompleteToolCall("c", "f", '{"a": 1}', reason),)  # type: ignore[arg-type]


def test_only_the_last_call_is_cut() -> None:
    reply, _ = streamed(
        BEGIN,
        *(
            e
            for i in range(2)
            for e in (start(i, toolUse={"toolUseId": f"c{i}", "name": "f"}), stop(i))
        ),
        end("max_tokens"),
        META,
    )
    first, last = reply.message.parts
    assert isinstance(first, ToolCall) and isinstance(last, IncompleteToolCall)


def test_a_server_tools_input_that_is_cut_leaves_a_record() -> None:
    reply = read(start(0, toolUse=SERVER_CALL), delta(0, toolUse={"input": '{"q":'}), stop(0))
    assert [(a.action, a.path) for a in reply.adaptations] == [("dropped", "content[0].input")]


# --- usage and stop -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (None, None),
        ({}, None),
        (
            {
                "inputTokens": 10, "outputTokens": 5, "totalTokens": 75,
                "cacheReadInputTokens": 20, "cacheWriteInputTokens": 40,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}],
            },
            LLMUsage(70, 5, 10, 20, 40, 10, 30),
        ),
        ({"inputTokens": None, "outputTokens": 5}, LLMUsage(None, 5)),
        ({"inputTokens": "many", "cacheDetails": [3, {}]}, LLMUsage()),
    ],
)  # fmt: skip
def test_usage(raw: Any, usage: LLMUsage | None) -> None:
    got = whole({"text": "a"}, usage=raw).usage
    assert got == (None if usage is None else replace(usage, raw=got and got.raw))
    assert streamed(BEGIN, end(), ev("metadata", usage=raw))[0].usage == got


def test_the_tier_that_answered() -> None:
    usage = {"inputTokens": 1, "outputTokens": 2}
    for tier, word in (({"type": "flex"}, "flex"), (None, None), ("flex", None), ({}, None)):
        got = whole({"text": "a"}, usage=usage, serviceTier=tier)
        assert got.usage is not None and got.usage.service_tier == word
        event = ev("metadata", usage=usage, serviceTier=tier)
        assert streamed(BEGIN, end(), event)[0].usage == got.usage
        told = json.loads(SERVER.prepare_response(got, ServerRequest(ASKED)))
        assert told.get("serviceTier") == (word and {"type": word})
        assert told["usage"] == usage


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "malformed_tool_call"),
        ("malformed_tool_use", "malformed_tool_call"),
        ("model_context_window_exceeded", "context_window"),
        ("moonlight", "other"),
    ],
)
def test_stop_reasons(word: str, reason: str) -> None:
    for reply in (whole({"text": "a"}, stopReason=word), streamed(BEGIN, end(word), META)[0]):
        assert reply.stop == StopInfo(reason, word)  # type: ignore[arg-type]


def test_what_stands_beside_the_reply() -> None:
    trace = {"guardrail": {"x": 1}, "promptRouter": {"invokedModelId": "arn:other"}}
    fields = {"stop_sequence": "E"}
    events = (end("end_turn", additionalModelResponseFields=fields), ev("metadata", trace=trace))
    for reply in (
        whole({"text": "a"}, trace=trace, additionalModelResponseFields=fields),
        streamed(BEGIN, *events)[0],
    ):
        assert reply.stop is not None
        told = {"guardrail": {"x": 1}}  # the router's choice is the reply's model
        assert reply.stop.details == {"additionalModelResponseFields": fields, "trace": told}
        assert reply.model == "arn:other"


# --- the end ------------------------------------------------------------------------------------

REPLY = (BEGIN, delta(0, text="Hello"), stop(0), end(), META)


def test_metadata_ends_a_stream_and_what_follows_is_not_read() -> None:
    decoder = CLIENT.stream_decoder(ASKED, PROVIDER)
    chunks = [c for e in REPLY for c in decoder.feed(e)]
    assert decoder.done
    assert list(decoder.feed(b"anything")) == [] and list(decoder.finish()) == []
    assert accumulate(chunks).text == "Hello"


def test_without_metadata_a_stream_is_whole_unless_it_is_known_to_come() -> None:
    reply, error = streamed(*REPLY[:-1])
    assert error is None and reply.usage is None and reply.text == "Hello"
    reply, error = streamed(*REPLY[:-1], provider=STRICT)
    assert isinstance(error, IncompleteStreamError) and "usage is missing" in str(error)
    assert reply.text == "Hello"
    assert streamed(*REPLY, provider=STRICT)[1] is None


@pytest.mark.parametrize("n", range(4))
def test_a_stream_that_ends_early(n: int) -> None:
    for tail in (b"", REPLY[n][:-3]):
        _, error = streamed(*REPLY[:n], tail)
        assert isinstance(error, IncompleteStreamError)
        assert ("before it began" in str(error)) is (n == 0)


def test_metadata_before_the_end_is_not_the_end() -> None:
    _, error = streamed(BEGIN, META)
    assert isinstance(error, IncompleteStreamError)


def test_unknown_events_are_counted_as_signs_of_life() -> None:
    decoder = CLIENT.stream_decoder(ASKED, PROVIDER)
    list(decoder.feed(BEGIN + ev("news") + ev("initial-response") + delta(0, text="a")))
    assert decoder.keepalives == 2


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("internalServerException", StreamServerError),
        ("modelStreamErrorException", StreamServerError),
        ("modelTimeoutException", StreamServerError),
        ("validationException", StreamInvalidRequestError),
        ("throttlingException", StreamRateLimitError),
        ("serviceUnavailableException", StreamOverloadedError),
    ],
)
def test_exceptions_inside_a_stream(name: str, kind: type[BackendError]) -> None:
    told = event_frame(name, b'{"message":"no luck","originalStatusCode":500}', "exception")
    reply, error = streamed(*REPLY[:2], told)
    assert type(error) is kind and isinstance(error, StreamError)
    assert (error.provider_message, error.type, error.status) == ("no luck", name, 200)
    assert reply.text == "Hello"


def test_a_prompt_that_is_too_long_is_told_inside_a_stream_too() -> None:
    said = b'{"message":"Input is too long for requested model."}'
    _, error = streamed(BEGIN, event_frame("validationException", said, "exception"))
    assert isinstance(error, ContextTooLongError)


def test_error_frames_and_odd_exceptions() -> None:
    told = encode_frame(
        b"", {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "oops"}
    )
    _, error = streamed(BEGIN, told)
    assert isinstance(error, StreamServerError)
    assert (error.type, error.provider_message) == ("InternalFailure", "oops")
    for body in (b"", b"plain words", b"[1]", b'{"Message":"x"}', b"\xff"):
        _, error = streamed(BEGIN, event_frame("throttlingException", body, "exception"))
        assert isinstance(error, RateLimitError), body


@pytest.mark.parametrize(
    ("status", "kind_word", "message", "kind"),
    [
        (429, "ThrottlingException", "Too many tokens, please wait before trying again.", RateLimitError),
        (429, "ModelNotReadyException", "not ready", RateLimitError),
        (400, "ServiceQuotaExceededException", "exceeds the service quota", QuotaError),
        (503, "ServiceUnavailableException", "busy", OverloadedError),
        (424, "ModelErrorException", "the model failed", ServerError),
        (408, "ModelTimeoutException", "took too long", ServerError),
    ],
)  # fmt: skip
def test_error_answers(status: int, kind_word: str, message: str, kind: type[BackendError]) -> None:
    headers = {"x-amzn-ErrorType": f"{kind_word}:http://internal", "x-amzn-RequestId": "r-1"}
    body = json.dumps({"message": message}).encode()
    error = CLIENT.parse_error(status, headers, body, ASKED, PROVIDER)
    assert type(error) is kind
    assert (error.type, error.request_id) == (kind_word, "r-1")
    shape = json.dumps({"__type": f"com.amazon#{kind_word}", "Message": message}).encode()
    assert type(CLIENT.parse_error(status, {}, shape, ASKED, PROVIDER)) is kind


@pytest.mark.parametrize(
    "body",
    [
        b'{"message":"Slow down","__type":"ThrottlingException"}',
        b'{"Output":{"__type":"ThrottlingException","message":"Slow down"},"Version":"1.0"}',
    ],
)
def test_an_error_for_an_answer(body: bytes) -> None:
    with pytest.raises(StreamRateLimitError, match="Slow down"):
        CLIENT.parse_response(body, ASKED, PROVIDER)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b'{"choices":[]}', b"<html>", b'{"output":{"message":3}}',
        b'{"output":{"message":{"content":[{}]}}}', b'{"output":{"message":{"content":[{"text":3}]}}}',
        b'{"output":{"message":{"content":[{"toolUse":{"name":[]}}]}}}',
    ],
)  # fmt: skip
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(DecodeError):
        CLIENT.parse_response(body, ASKED, PROVIDER)


@pytest.mark.parametrize(
    "event",
    [
        event_frame("contentBlockDelta", b""),
        event_frame("contentBlockDelta", b"[]"),
        event_frame("contentBlockDelta", b'{"delta":{"text":3}}'),
        delta(3, toolUse={"input": "{}"}),
    ],
)
def test_events_that_do_not_fit(event: bytes) -> None:
    _, error = streamed(BEGIN, event)
    assert isinstance(error, DecodeError)


@pytest.mark.parametrize(
    "second", [{"reasoningContent": {"text": "b"}}, {"toolResult": []}, {"toolUse": {"input": "{"}}]
)
def test_a_block_has_one_kind(second: Any) -> None:
    _, error = streamed(BEGIN, delta(0, text="a"), delta(0, **second))
    assert isinstance(error, DecodeError) and "content block 0" in str(error)


def test_a_stream_for_a_whole_answer_is_understood() -> None:
    assert CLIENT.parse_response(b"".join(REPLY), ASKED, PROVIDER).text == "Hello"


def test_the_fast_path_is_for_the_open_text_only() -> None:
    """Texts of other blocks begin parts of their own."""
    reply = read(delta(0, text="a"), delta(1, text="b"), delta(0, text="c"), stop(0), stop(1))
    assert reply.message.parts == (TextPart("ac"), TextPart("b"))


# --- what the server says -----------------------------------------------------------------------


def test_a_reply_is_said_as_it_was_heard() -> None:
    """Everything that one half can hear the other can say, whole and streamed."""
    heard = SERVER.parse_request(
        "POST", "/model/m/converse", {}, b'{"messages":[{"role":"user","content":[{"text":"x"}]}]}'
    )
    for content, events, _ in SAME.values():
        reply = read(*events) if events else whole(*content)
        said = CLIENT.parse_response(SERVER.prepare_response(reply, heard), ASKED, PROVIDER)
        spoken, error = streamed(*SERVER.prepare_stream([reply], heard))
        assert error is None
        assert said.message == spoken.message == reply.message
        assert said.usage == spoken.usage == reply.usage
        assert said.stop == spoken.stop == reply.stop


def test_a_stream_that_is_said_in_pieces() -> None:
    heard = SERVER.parse_request(
        "POST", "/model/m/converse", {}, b'{"messages":[{"role":"user","content":[{"text":"x"}]}]}'
    )
    pieces = [
        chunk_of([PartDelta(0, "tool_call", start=True, id="c", name="f")]),
        chunk_of([PartDelta(1, "text", "beside", start=True)]),
        chunk_of([PartDelta(0, "tool_call", "{}", end=True)]),
        chunk_of([PartDelta(1, "text", " it", end=True)]),
        chunk_of(stop=StopInfo("length"), usage=LLMUsage(9, 1), model="other"),
    ]
    reply, error = streamed(*SERVER.prepare_stream(pieces, heard))
    assert error is None
    assert reply.message.parts == (ToolCall("c", FunctionCall("f", "{}")), TextPart("beside it"))
    assert reply.stop == StopInfo("length", "max_tokens")
    assert reply.model == "other" and reply.usage is not None and reply.usage.input_total == 9
