"""The backend over a scripted transport: what comes in at each byte, what comes out."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from dataclasses import replace

import msgspec
import pytest

from contract.cases import (
    CONTENT_FIRST,
    QUESTION,
    REPLIES,
    TOOLS,
    WHOLE_CALLS,
    WIRES,
    model,
    provider,
    request,
)
from contract.support import events_of, heard, ping_of, shown
from llmwire import (
    BackendError,
    ConfigError,
    DecodeError,
    GenericBackend,
    IncompleteStreamError,
    IncompleteToolCall,
    LLMMessage,
    ModelConfig,
    OverloadedError,
    ProviderConfig,
    QuotaError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    StreamError,
    TimeoutError_,
    Timeouts,
    ToolCall,
    TransportError,
    UnsupportedError,
)
from llmwire.adapters import ADAPTERS, SERVER_HALVES
from scripted import JSON, SSE, Answer, ScriptedTransport

each_wire = pytest.mark.parametrize("wire", WIRES)
QUICK = RetryPolicy(base=0.0)


def stream_events(wire: str, case: str = "text") -> list[bytes]:
    return events_of(REPLIES[case], heard(request(wire, stream=True), provider(wire)), wire)


def whole_body(wire: str, case: str = "text") -> bytes:
    return SERVER_HALVES[wire].prepare_response(REPLIES[case], heard(request(wire), provider(wire)))


def backend_for(
    wire: str, *answers: Answer, **options: object
) -> tuple[GenericBackend, ScriptedTransport]:
    transport = ScriptedTransport(*answers)
    options.setdefault("retry", QUICK)
    return GenericBackend(provider=provider(wire), client=transport, **options), transport


async def collect(
    backend: GenericBackend, wire: str, **options: object
) -> tuple[list, BackendError | None, object]:
    stream = backend.complete_streaming(model=model(wire), messages=[QUESTION], **options)
    chunks = []
    try:
        async with stream:
            async for chunk in stream:
                chunks.append(chunk)
    except BackendError as e:
        return chunks, e, stream
    return chunks, None, stream


# --- forms of answers ---


@each_wire
async def test_whole_and_streamed(wire: str) -> None:
    backend, _ = backend_for(
        wire, Answer(stream_events(wire)), Answer([whole_body(wire)], headers=JSON)
    )
    chunks, error, stream = await collect(backend, wire)
    assert error is None and stream.complete
    assert "".join(c.text for c in chunks) == "Hello, world."
    reply = await backend.complete(model=model(wire), messages=[QUESTION])
    assert reply.message == stream.result.message
    assert (reply.stop, reply.usage) == (stream.result.stop, stream.result.usage)


@each_wire
@pytest.mark.parametrize("label", ["application/json", "text/event-stream", "text/plain", ""])
async def test_a_document_for_a_stream_and_a_stream_for_a_document(wire: str, label: str) -> None:
    headers = {"content-type": label} if label else {}
    body, events = whole_body(wire), stream_events(wire)
    backend, _ = backend_for(
        wire,
        Answer([body[:1], body[1:]], headers=headers),
        Answer(
            [b"".join(events)[i : i + 1] for i in range(len(b"".join(events)))], headers=headers
        ),
    )
    chunks, error, _ = await collect(backend, wire)
    assert error is None
    assert "".join(c.text for c in chunks) == "Hello, world."
    reply = await backend.complete(model=model(wire), messages=[QUESTION])
    assert reply.text == "Hello, world."


@each_wire
async def test_an_html_page_keeps_its_title(wire: str) -> None:
    page = b"<!doctype html><html><head><title>Sign in to Proxy</title></head></html>"
    backend, _ = backend_for(wire, Answer([page], headers={"content-type": "text/html"}))
    with pytest.raises(DecodeError, match="Sign in to Proxy"):
        await backend.complete(model=model(wire), messages=[QUESTION])


@each_wire
async def test_an_empty_answer_is_incomplete(wire: str) -> None:
    for headers in (JSON, SSE, {}):
        backend, _ = backend_for(wire, *[Answer([], headers=headers)] * 3)
        with pytest.raises(IncompleteStreamError):
            await backend.complete(model=model(wire), messages=[QUESTION])


@each_wire
async def test_a_redirect_is_not_followed(wire: str) -> None:
    backend, transport = backend_for(
        wire, Answer([], status=307, headers={"location": "http://elsewhere/"})
    )
    with pytest.raises(BackendError) as caught:
        await backend.complete(model=model(wire), messages=[QUESTION])
    assert caught.value.status == 307
    assert len(transport.sent) == 1


# --- partial replies and retries ---


@each_wire
async def test_a_cut_stream_keeps_what_had_come(wire: str) -> None:
    events = stream_events(wire, "long_text")
    backend, transport = backend_for(wire, Answer(events[: len(events) // 2]))
    chunks, error, stream = await collect(backend, wire)
    assert isinstance(error, IncompleteStreamError)
    assert error.partial is not None
    text = "".join(c.text for c in chunks)
    assert text and error.partial.text == text == stream.result.text
    assert not stream.complete
    assert len(transport.sent) == 1  # content was delivered: nothing is repeated
    assert transport.responses[0].closed
    if error.partial.usage is not None:
        assert error.partial.usage.provenance == "partial"


@each_wire
async def test_chunks_before_an_error_in_the_same_packet_are_delivered(wire: str) -> None:
    events = stream_events(wire, "long_text")
    told = SERVER_HALVES[wire].prepare_stream_error(
        OverloadedError("busy", type="overloaded_error", status=529, provider_message="busy")
    )
    backend, transport = backend_for(wire, Answer([b"".join(events[:9]) + told]))
    chunks, error, _ = await collect(backend, wire)
    assert chunks and "".join(c.text for c in chunks)
    assert isinstance(error, StreamError) and isinstance(error, OverloadedError)
    assert error.partial.text == "".join(c.text for c in chunks)
    assert len(transport.sent) == 1


@pytest.mark.parametrize("wire", [w for w in WIRES if w not in WHOLE_CALLS])
async def test_a_cut_tool_call_is_incomplete_in_the_partial(wire: str) -> None:
    events = stream_events(wire, "tool_call")
    called = (i for i, e in enumerate(events) if b"weather" in shown(e) and b'"tools"' not in e)
    at = next(called)
    whole = wire.endswith("gemini")  # a call comes in one event, and has ended with it
    backend, _ = backend_for(wire, Answer(events[: at + (1 if whole else 2)]))
    _, error, _ = await collect(backend, wire)
    assert error is not None and error.partial is not None
    (part,) = error.partial.message.parts
    if whole:
        assert isinstance(part, ToolCall)
    else:
        assert isinstance(part, IncompleteToolCall) and part.reason == "cut"


@each_wire
async def test_failures_before_content_are_retried(wire: str) -> None:
    told = SERVER_HALVES[wire].prepare_stream_error(
        OverloadedError("busy", type="overloaded_error", status=529, provider_message="busy")
    )
    opening = stream_events(wire)[: wire not in CONTENT_FIRST]
    if wire.endswith("gemini"):  # content comes with the first event
        opening = [b'data: {"usageMetadata":{"promptTokenCount":1}}\n\n']
    for first in (
        Answer([b'{"error":{"message":"oops"}}'], status=500, headers=JSON),
        Answer(refuse=TransportError("reset", kind="read")),
        Answer([told]),
        Answer(opening),
        Answer([TransportError("gone", kind="read")]),
    ):
        backend, transport = backend_for(wire, first, Answer(stream_events(wire)))
        chunks, error, _ = await collect(backend, wire)
        assert error is None, first
        assert "".join(c.text for c in chunks) == "Hello, world."
        assert len(transport.sent) == 2
        assert all(r.closed or r.at_end for r in transport.responses)


@each_wire
async def test_retries_end(wire: str) -> None:
    answers = [Answer([b"{}"], status=503, headers=JSON) for _ in range(9)]
    backend, transport = backend_for(wire, *answers)
    with pytest.raises(OverloadedError):
        await backend.complete(model=model(wire), messages=[QUESTION])
    assert len(transport.sent) == QUICK.max_attempts


@each_wire
async def test_quota_is_never_retried(wire: str) -> None:
    body = b'{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"pay"}}'
    backend, transport = backend_for(wire, Answer([body], status=429, headers=JSON))
    with pytest.raises(QuotaError):
        await backend.complete(model=model(wire), messages=[QUESTION])
    assert len(transport.sent) == 1


async def test_retry_after_beyond_the_deadline_raises_at_once() -> None:
    body = b'{"error":{"message":"slow"}}'
    backend, transport = backend_for(
        "openai",
        Answer([body], status=429, headers={**JSON, "retry-after": "30"}),
        timeouts=Timeouts(total=5.0),
    )
    with pytest.raises(RateLimitError) as caught:
        await backend.complete(model=model("openai"), messages=[QUESTION])
    assert caught.value.retry_after == 30.0
    assert len(transport.sent) == 1


async def test_an_error_says_where_it_was() -> None:
    backend, _ = backend_for(
        "openai",
        Answer([b'{"error":{"message":"bad thing"}}'], status=400,
               headers={**JSON, "x-request-id": "req_7"}),
    )  # fmt: skip
    with pytest.raises(BackendError) as caught:
        await backend.complete(model=model("openai"), messages=[QUESTION], tools=TOOLS)
    error = caught.value
    assert (error.provider, error.model, error.api) == ("openai-provider", "local-model", "openai")
    assert error.request_id == "req_7" and error.endpoint == "/chat/completions"
    assert error.payload_summary is not None
    assert error.payload_summary.message_count == 1 and error.payload_summary.has_tools
    assert "bad thing" in str(error) and "req_7" in str(error)


# --- clocks ---


@each_wire
@pytest.mark.parametrize(
    ("clock", "answer"),
    [
        ("headers", Answer(delay=30.0)),
        ("first_content", Answer([b": hello\n\n", 0.01, b": hello\n\n", 30.0])),
        ("total", Answer(delay=30.0)),
    ],
)
async def test_clocks(wire: str, clock: str, answer: Answer) -> None:
    limits = Timeouts(**{clock: 0.08})
    ours = [ping_of(wire) if isinstance(p, bytes) else p for p in answer.pieces]
    answer = replace(answer, pieces=ours)
    backend, transport = backend_for(
        wire, answer, timeouts=limits, retry=RetryPolicy(max_attempts=1)
    )
    _, error, _ = await collect(backend, wire)
    assert isinstance(error, TimeoutError_)
    assert error.clock == clock and error.seconds == 0.08
    if clock == "first_content":
        assert error.keepalives == 2 and error.bytes_received > 0
        assert transport.responses[0].closed


@each_wire
async def test_keepalives_do_not_keep_a_dead_stream_alive(wire: str) -> None:
    events = stream_events(wire, "long_text")
    drip = [x for _ in range(200) for x in (0.02, ping_of(wire))]
    backend, transport = backend_for(
        wire, Answer([*events[:8], *drip]), timeouts=Timeouts(idle=0.1)
    )
    chunks, error, _ = await collect(backend, wire)
    assert chunks and isinstance(error, TimeoutError_) and error.clock == "idle"
    assert error.keepalives >= 2
    assert error.partial is not None and error.partial.text
    assert transport.responses[0].closed


async def test_a_slow_reader_is_not_a_slow_server() -> None:
    events = stream_events("openai", "long_text")
    backend, _ = backend_for("openai", Answer(events), timeouts=Timeouts(idle=0.05))
    stream = backend.complete_streaming(model=model("openai"), messages=[QUESTION])
    async for chunk in stream:
        if chunk.text == "word ":
            await asyncio.sleep(0.07)
            break
    rest = [c async for c in stream]
    assert rest and stream.complete


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    backend, transport = backend_for("openai", Answer([*stream_events("openai")[:2], 30.0]))
    stream = backend.complete_streaming(model=model("openai"), messages=[QUESTION])

    async def read() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transport.responses[0].closed
    assert len(transport.sent) == 1


async def test_asyncio_timeout_around_a_call() -> None:
    backend, transport = backend_for("openai", Answer([30.0]))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await backend.complete(model=model("openai"), messages=[QUESTION])
    assert transport.responses[0].closed


# --- leaving early ---


@each_wire
async def test_break_inside_async_with_closes_at_once(wire: str) -> None:
    backend, transport = backend_for(wire, Answer(stream_events(wire, "long_text")))
    async with backend.complete_streaming(model=model(wire), messages=[QUESTION]) as stream:
        async for _ in stream:
            break
    assert transport.responses[0].closed
    assert not stream.complete and stream.result.message.role == "assistant"
    assert [c async for c in stream] == []


async def test_break_out_of_a_plain_loop_closes_when_collected() -> None:
    backend, transport = backend_for("openai", Answer(stream_events("openai", "long_text")))
    async for _ in backend.complete_streaming(model=model("openai"), messages=[QUESTION]):
        break
    gc.collect()
    assert transport.responses[0].closed


async def test_an_exception_in_the_consumer_closes() -> None:
    backend, transport = backend_for("openai", Answer(stream_events("openai", "long_text")))
    with pytest.raises(ZeroDivisionError):
        async with backend.complete_streaming(model=model("openai"), messages=[QUESTION]) as stream:
            async for _ in stream:
                1 / 0  # noqa: B018
    assert transport.responses[0].closed


async def test_a_server_that_never_ends_a_whole_reply_does_not_hold_us() -> None:
    events = stream_events("anthropic")
    backend, transport = backend_for("anthropic", Answer([*events, 30.0]))
    start = time.monotonic()
    chunks, error, _ = await collect(backend, "anthropic")
    assert error is None and "".join(c.text for c in chunks) == "Hello, world."
    assert time.monotonic() - start < 10  # the script would sleep 30 s
    assert transport.responses[0].closed


# --- requests ---


async def test_key_is_read_per_call_and_named_when_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = msgspec.structs.replace(provider("openai"), api_key_env_var="ACME_API_KEY")
    transport = ScriptedTransport(*[Answer(stream_events("openai")) for _ in range(3)])
    backend = GenericBackend(provider=ours, client=transport)
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="ACME_API_KEY"):
        await backend.complete(model="m", messages=[QUESTION])
    assert transport.sent == []
    for key in ("first", "second"):
        monkeypatch.setenv("ACME_API_KEY", key)
        await backend.complete(model="m", messages=[QUESTION])
        assert transport.sent[-1].headers["authorization"] == f"Bearer {key}"
    for bad in ("with\nnewline", "euro€"):
        monkeypatch.setenv("ACME_API_KEY", bad)
        with pytest.raises(ConfigError, match="ACME_API_KEY") as caught:
            await backend.complete(model="m", messages=[QUESTION])
        assert bad not in str(caught.value) and bad not in repr(caught.value)


async def test_extra_headers_replace_ours_whatever_their_case() -> None:
    ours = msgspec.structs.replace(
        provider("anthropic"), extra_headers={"USER-AGENT": "mine/1", "X-Team": "a"}
    )
    transport = ScriptedTransport(Answer(stream_events("anthropic")))
    backend = GenericBackend(provider=ours, client=transport)
    await backend.complete(
        model=model("anthropic"),
        messages=[QUESTION],
        extra_headers={
            "x-team": "b",
            "Anthropic-Version": "2023-06-01",
            "authorization": "Bearer x",
        },
    )
    headers = transport.sent[0].headers
    names = [n.lower() for n in headers]
    assert len(names) == len(set(names))
    assert headers["user-agent"] == "mine/1" and headers["x-team"] == "b"
    assert headers["anthropic-version"] == "2023-06-01"
    assert "x-api-key" not in headers


async def test_a_header_that_smuggles_is_refused_before_any_io() -> None:
    backend, transport = backend_for("openai")
    for bad in ({"X-A": "b\r\nX-C: d"}, {"X A": "b"}, {"X-A": "\udce9"}):
        with pytest.raises(ConfigError) as caught:
            await backend.complete(model="m", messages=[QUESTION], extra_headers=bad)
        assert "X-C" not in str(caught.value)
    assert transport.sent == []


async def test_the_reply_says_what_was_adapted_and_by_which_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend, _ = backend_for(
        "anthropic", Answer(stream_events("anthropic"), headers={**SSE, "request-id": "req_1"})
    )
    reply = await backend.complete(model=model("anthropic"), messages=[QUESTION], seed=7)
    assert reply.correlation_id == "req_1"
    assert [a.path for a in reply.adaptations] == ["seed"]


async def test_bad_input_is_refused_before_any_io() -> None:
    backend, transport = backend_for("openai")
    with pytest.raises(UnsupportedError, match=r"messages\[1\]"):
        await backend.complete(model="m", messages=[QUESTION, 3])
    with pytest.raises(UnsupportedError, match="messages"):
        await backend.complete(model="m", messages=[])
    with pytest.raises(TypeError, match="temprature"):
        await backend.complete(model="m", messages=[QUESTION], temprature=1)
    with pytest.raises(ConfigError, match="api_style"):
        GenericBackend(provider=ProviderConfig("x", "http://h", api_style="cobol"))
    with pytest.raises(ConfigError, match="client="):
        GenericBackend(provider=provider("openai"), client=object())
    with pytest.raises(ConfigError, match="api_base"):
        await GenericBackend(provider=ProviderConfig("x")).complete(model="m", messages=[QUESTION])
    assert transport.sent == []


@each_wire
async def test_call_options_reach_the_wire(wire: str) -> None:
    backend, transport = backend_for(wire, Answer([whole_body(wire)], headers=JSON))
    await backend.complete(
        model=ModelConfig(model(wire).name, temperature=0.9),
        messages=[QUESTION],
        max_tokens=333,
        extra_body={"x_extra": [1]},
    )
    body = json.loads(transport.sent[0].body)
    settings = {**body, **body.get("options", {}), **body.get("generationConfig", {})}
    settings |= body.get("inferenceConfig", {})
    assert settings["temperature"] == 0.9 and body["x_extra"] == [1]
    limits = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
    assert 333 in [settings.get(name) for name in (*limits, "num_predict", "maxTokens")]


# --- counting ---


async def test_counting_by_the_endpoint() -> None:
    backend, transport = backend_for("anthropic", Answer([b'{"input_tokens":42}'], headers=JSON))
    count = await backend.count_tokens(model=model("anthropic"), messages=[QUESTION], tools=TOOLS)
    assert count == 42 and count.method == "endpoint"
    assert transport.sent[0].url.endswith("/v1/messages/count_tokens")
    assert "max_tokens" not in json.loads(transport.sent[0].body)


async def test_counting_falls_back_to_a_probe() -> None:
    backend, transport = backend_for(
        "anthropic",
        Answer([b"{}"], status=404, headers=JSON),
        Answer([whole_body("anthropic")], headers=JSON),
    )
    count = await backend.count_tokens(
        model=model("anthropic"), messages=[QUESTION], thinking="high"
    )
    assert count == 12 and count.method == "probe"
    body = json.loads(transport.sent[1].body)
    assert body["max_tokens"] == 16 and body["messages"][-1]["role"] == "user"
    assert body.get("thinking", {}).get("type") != "enabled"


@pytest.mark.parametrize("wire", ["openai", "reasoning"])
async def test_counting_by_a_probe(wire: str) -> None:
    tool_turns = [QUESTION, LLMMessage("assistant", parts=REPLIES["tool_call"].message.parts),
                  LLMMessage("tool", "sun", tool_call_id="call00001")]  # fmt: skip
    backend, transport = backend_for(wire, Answer([whole_body(wire)], headers=JSON))
    count = await backend.count_tokens(model=model(wire), messages=tool_turns)
    assert count == 12 and count.method == "probe"
    body = json.loads(transport.sent[0].body)
    assert body["messages"][-1]["role"] == "tool"  # nothing was appended
    assert "stream" not in body


async def test_counting_without_usage_is_an_error() -> None:
    body = msgspec.json.encode(
        {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    )
    backend, _ = backend_for("openai", Answer([body], headers=JSON))
    with pytest.raises(DecodeError, match="no usage"):
        await backend.count_tokens(model="m", messages=[QUESTION])


def test_errors_of_the_decoder_are_the_wires_own() -> None:
    """A server error with a stack trace page is a ServerError on every wire."""
    for wire in WIRES:
        error = ADAPTERS[wire].parse_error(502, {}, b"<html><title>502 Bad Gateway</title>")
        assert isinstance(error, ServerError) and "502 Bad Gateway" in str(error)
