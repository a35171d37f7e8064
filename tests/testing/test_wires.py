"""Our own adapters against the server, every wire format: what one half says the other hears."""

from __future__ import annotations

import http.client
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.support import ping_of
from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.adapters.base import PreparedRequest, TokenCounter
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import (
    AuthenticationError,
    ConfigError,
    IncompleteStreamError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RateLimitError,
    StreamError,
)
from llmwire.request import LLMRequest
from llmwire.testing import Fault, LocalServer, Reply, offline_count
from llmwire.testing.answer import answer_with
from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    ReasoningPart,
    TextPart,
    ToolCall,
    accumulate,
)

STYLES = sorted(ADAPTERS)
WEATHER = AvailableTool(
    AvailableFunction(
        "get_weather",
        "The weather",
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    )
)


def send(prepared: PreparedRequest) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(prepared.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(prepared.method, path, prepared.body, dict(prepared.headers))
        response = connection.getresponse()
        return response.status, {n.lower(): v for n, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def ask(server: LocalServer, style: str, *messages: LLMMessage | str, **fields: Any) -> LLMChunk:
    """One call through the adapter of a style; errors are raised."""
    provider = server.provider(style)
    fields.setdefault("max_tokens", 4000)
    request = LLMRequest(
        model=ModelConfig(
            "claude-sonnet-4-6" if "anthropic" in style or "bedrock" in style else "offline"
        ),
        messages=tuple(LLMMessage("user", m) if isinstance(m, str) else m for m in messages),
        **fields,
    )
    adapter = ADAPTERS[style]
    status, headers, body = send(adapter.prepare_request(request, provider))
    if status >= 400:
        raise adapter.parse_error(status, headers, body, request, provider)
    if not request.stream:
        return adapter.parse_response(body, request, provider)
    decoder = adapter.stream_decoder(request, provider)
    return accumulate([*decoder.feed(body), *decoder.finish()])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_scripted_reply_is_heard_as_it_was_said(style: str, stream: bool) -> None:
    usage = LLMUsage(input_total=10, input_uncached=6, cache_read=4, cache_write=0, output_total=5)
    reply = Reply(
        "Hello, you!",
        reasoning="Let me think about it.",
        signature="c2ln",
        tool_calls=[("get_weather", {"city": "Köln", "days": 2}), ("get_weather", {})],
        usage=usage,
        model="offline-1",
        chunk_size=3,
        pings=2,
    )
    with LocalServer() as server:
        server.reply(reply)
        heard = ask(server, style, "hi", stream=stream, tools=(WEATHER,), thinking="low")
    assert heard.text == "Hello, you!"
    assert heard.reasoning == "Let me think about it."
    assert [c.parsed for c in heard.tool_calls] == [{"city": "Köln", "days": 2}, {}]
    assert heard.stop is not None and heard.stop.reason == "tool_calls"
    assert heard.model == "offline-1"
    assert heard.usage is not None
    totals = (heard.usage.input_total, heard.usage.cache_read, heard.usage.output_total)
    assert totals == (10, None if style == "ollama" else 4, 5)
    thoughts = [p for p in heard.message.parts if isinstance(p, ReasoningPart)]
    signed = None if style in ("openai", "ollama") else "c2ln"  # these have no place for it
    assert [p.signature or p.data for p in thoughts] == [signed]


@pytest.mark.parametrize("style", ["openai", "reasoning", "gemini"])  # Messages has always some
def test_unreported_usage_stays_unknown(style: str) -> None:
    with LocalServer() as server:
        server.reply(Reply("Hi", usage=None), Reply("Hi", usage=None))
        for stream in (False, True):
            assert ask(server, style, "hi", stream=stream).usage is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_call_result_answer_with_the_offline_model(style: str, stream: bool) -> None:
    with LocalServer() as server:
        question = LLMMessage("user", "Call get_weather for Paris, 3 days")
        options: dict[str, Any] = {"stream": stream, "tools": (WEATHER,), "thinking": "low"}
        first = ask(server, style, question, **options)
        (call,) = first.tool_calls
        assert call.parsed == {"city": "Paris", "days": 3}
        assert "I call get_weather" in first.reasoning
        result = LLMMessage("tool", "18 degrees", tool_call_id=call.id, name="get_weather")
        second = ask(server, style, question, first.message, result, **options)
        assert second.text == "get_weather answered: 18 degrees"
        heard = server.requests
    assert [h.style for h in heard] == [style, style]
    assert heard[0].asked.stream is stream
    assert [t.function for t in heard[0].asked.tools] == [WEATHER.function]


COUNTING = [s for s in STYLES if s.endswith(("anthropic", "gemini", "converse"))]


@pytest.mark.parametrize("style", COUNTING)
def test_counting(style: str) -> None:
    adapter = ADAPTERS[style]
    assert isinstance(adapter, TokenCounter)
    request = LLMRequest(
        model=ModelConfig("claude-sonnet-4-6"), messages=(LLMMessage("user", "hello"),)
    )
    with LocalServer() as server:
        prepared = adapter.prepare_count(request, server.provider(style))
        assert prepared is not None
        status, _, body = send(prepared)
        assert (status, adapter.parse_count(body, request)) == (200, offline_count(request))
        server.reply_count(77)
        assert adapter.parse_count(send(prepared)[2], request) == 77
        assert server.requests[0].request is not None and server.requests[0].request.count


@pytest.mark.parametrize("style", STYLES)
def test_errors(style: str) -> None:
    with LocalServer() as server:
        server.reply(RateLimitError("Slow down", retry_after=3), OverloadedError("Busy"))
        with pytest.raises(RateLimitError, match="Slow down") as caught:
            ask(server, style, "hi")
        assert caught.value.retry_after == 3
        assert caught.value.request_id == "req_00000001"
        with pytest.raises(OverloadedError, match="Busy"):
            ask(server, style, "hi", stream=True)
        server.require_key = "another"
        with pytest.raises(AuthenticationError):
            ask(server, style, "hi")


@pytest.mark.parametrize("style", STYLES)
def test_errors_in_the_wires_own_form(style: str) -> None:
    provider_path = {
        "openai": "/openai/v1/chat/completions",
        "anthropic": "/anthropic/v1/messages",
        "openai-responses": "/openai/v1/responses",
        "reasoning": "/reasoning/v1/chat/completions",
        "vertex-anthropic": "/vertex/projects/p/locations/l/publishers/anthropic/models/m:rawPredict",
        "gemini": "/gemini/v1beta/models/m:generateContent",
        "vertex-gemini": "/vertex-gemini/v1/publishers/google/models/m:generateContent",
        "ollama": "/ollama/api/chat",
        "bedrock-converse": "/bedrock/model/m/converse",
        "bedrock-anthropic": "/bedrock-anthropic/model/m/invoke",
    }[style]
    adapter = ADAPTERS[style]
    with LocalServer() as server:

        def error(method: str, path: str, body: bytes = b"") -> Any:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request(method, path, body)
            response = connection.getresponse()
            got = adapter.parse_error(response.status, dict(response.getheaders()), response.read())
            connection.close()
            return got

        wrong_method = error("GET", provider_path)
        assert wrong_method.status == 405
        assert wrong_method.provider_message == "GET is not allowed here, only POST"
        lost = error("POST", re.split("/v1|/model|/api", provider_path)[0] + "/nowhere")
        assert isinstance(lost, NotFoundError) and "there is nothing at" in lost.message
        broken = error("POST", provider_path, b"{")
        assert isinstance(broken, InvalidRequestError) and broken.status == 400
        assert broken.provider_message
        assert [h.request for h in server.requests] == [None, None, None]


@pytest.mark.parametrize("style", STYLES)
def test_faults_inside_a_stream(style: str) -> None:
    with LocalServer() as server:
        error = RateLimitError("Slow down")
        server.reply(
            Reply("Hello, you!", chunk_size=2, fault=Fault("error", events=4, error=error)),
            Reply("Hello, you!", chunk_size=2, fault=Fault("end", events=-3)),
            Reply("Hello, you!", chunk_size=2, split=1),
        )
        with pytest.raises(RateLimitError, match="Slow down") as caught:
            ask(server, style, "hi", stream=True)
        assert isinstance(caught.value, StreamError)
        with pytest.raises(IncompleteStreamError):
            ask(server, style, "hi", stream=True)
        assert ask(server, style, "hi", stream=True).text == "Hello, you!"


@pytest.mark.parametrize("style", STYLES)
def test_keepalives_are_taken_for_what_they_are(style: str) -> None:
    with LocalServer() as server:
        server.reply(Reply("Hi", pings=5))
        provider = server.provider(style)
        request = LLMRequest(
            model=ModelConfig("claude-sonnet-4-6"),
            messages=(LLMMessage("user", "hi"),),
            max_tokens=9,
            stream=True,
        )
        _, _, body = send(ADAPTERS[style].prepare_request(request, provider))
        decoder = ADAPTERS[style].stream_decoder(request, provider)
        ping = ping_of(style)
        at = body.rindex(ping) + len(ping) if ping in body else 0
        at = at or body.index(b"\n\n", body.rindex(b"ping")) + 2
        chunks = list(decoder.feed(body[:at]))
        assert decoder.keepalives == 5
        assert accumulate([*chunks, *decoder.feed(body[at:]), *decoder.finish()]).text == "Hi"


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
PARTS = st.one_of(
    TEXTS.filter(bool).map(lambda t: Reply(t)),
    TEXTS.filter(bool).map(lambda t: Reply(reasoning=t, signature="c2ln")),
    st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda d: Reply(tool_calls=[("f", d)])),
).map(lambda reply: reply.all_parts(LLMRequest(model=ModelConfig("m"), messages=()))[0])
# What a whole answer of the wire has no order for: the fields of a chat message.
ORDER: dict[str, Any] = {
    "openai": lambda p: (ReasoningPart, TextPart, ToolCall).index(type(p)),
    "ollama": lambda p: (ReasoningPart, TextPart, ToolCall).index(type(p)),
    "reasoning": lambda p: isinstance(p, ToolCall),
}


@settings(max_examples=25)
@given(st.lists(PARTS, max_size=5), st.integers(1, 20), st.integers(1, 90))
@pytest.mark.parametrize("style", STYLES)
def test_whole_and_streamed_mean_the_same(style: str, parts: Any, size: int, cut: int) -> None:
    parts = [replace(p, id=f"call{i:05}") if isinstance(p, ToolCall) else p
             for i, p in enumerate(sorted(parts, key=ORDER.get(style, lambda p: 0)))]  # fmt: skip
    adapter, half = ADAPTERS[style], SERVER_HALVES[style]
    provider = ProviderConfig("p", "http://127.0.0.1:1/v1", api_style=style, project_id="x",
                              region="global")  # fmt: skip
    request = LLMRequest(model=ModelConfig("claude-sonnet-4-6"),
                         messages=(LLMMessage("user", "hi"),), max_tokens=4000)  # fmt: skip
    reply = Reply(parts=parts, chunk_size=size)

    def said(request: LLMRequest) -> bytes:
        prepared = adapter.prepare_request(request, provider)
        heard = half.parse_request("POST", prepared.endpoint, prepared.headers, prepared.body)
        return b"".join(answer_with(reply, half, heard).events)

    whole = adapter.parse_response(said(request), request, provider)
    request = replace(request, stream=True)
    decoder, body = adapter.stream_decoder(request, provider), said(request)
    chunks = [c for i in range(0, len(body), cut) for c in decoder.feed(body[i : i + cut])]
    streamed = accumulate([*chunks, *decoder.finish()])
    assert (streamed.message, streamed.stop) == (whole.message, whole.stop)
    assert streamed.usage == whole.usage
    assert whole.text == "".join(p.text for p in parts if isinstance(p, TextPart))
    calls = [replace(c, native=None) for c in whole.tool_calls]
    assert calls == [p for p in parts if isinstance(p, ToolCall)]


def test_providers_point_here_and_unknown_ones_are_refused() -> None:
    with LocalServer() as server:
        assert {server.provider(s).api_style for s in STYLES} == set(STYLES)
        assert all(server.provider(s).api_base.startswith(server.url) for s in STYLES)
        mine = server.provider("openai", name="mine", api_key_env_var="MY_KEY")
        assert (mine.name, mine.api_key_env_var) == ("mine", "MY_KEY")
        with pytest.raises(ConfigError, match="unknown style 'telegraph'"):
            server.provider("telegraph")
