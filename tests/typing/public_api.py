"""Typical uses, for the type checker only: this file is never run. A worse type is a break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_type

import llmwire
from llmwire import (
    ADAPTERS,
    PROVIDERS,
    AnthropicAdapter,
    APIAdapter,
    AvailableFunction,
    AvailableTool,
    BackendError,
    BytesSource,
    ContextTooLongError,
    Cost,
    Dialect,
    GenericBackend,
    HistoryCheck,
    ImagePart,
    IncompleteStreamError,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMRequest,
    LLMUsage,
    ModelConfig,
    OpenAIAdapter,
    Prices,
    ProviderConfig,
    RateLimitError,
    ReasoningAdapter,
    ReplyStream,
    ResponsesAdapter,
    RetryPolicy,
    StopInfo,
    StreamDecoder,
    StreamError,
    TextPart,
    Timeouts,
    TokenCount,
    TokenCounter,
    ToolCall,
    VertexAnthropicAdapter,
    accumulate,
    check_history,
    cost_of,
    facts_of,
    library_prices,
    merge_consecutive_user_messages,
    prices_of,
    repaired_after,
    tool,
)

provider = ProviderConfig(
    "local",
    "http://127.0.0.1:8000/v1",
    api_key_env_var="LOCAL_API_KEY",
    timeouts=Timeouts(idle=60),
    dialect=Dialect(max_tokens_field="max_tokens"),
)
model = ModelConfig("qwen3", "local", thinking="low", input_price=0.0, output_price=0.0)
look_up = AvailableTool(AvailableFunction("look_up", "Looks a word up.", {"type": "object"}))
picture = ImagePart(BytesSource(b"...", "image/png"), detail="low")
messages = [
    LLMMessage("system", "Be brief."),
    LLMMessage("user", [TextPart("What is this?"), picture]),
]


@tool
def add(a: int, b: int = 0) -> int:
    """Adds."""
    return a + b


@tool(name="wait", strict=True)
async def wait_a_little(seconds: float) -> str:
    return f"{seconds}"


async def functions(call: ToolCall) -> None:
    assert_type(add(1, b=2), int)
    assert_type(add.run(call), int)
    assert_type(await wait_a_little.run(call), str)
    assert_type(add.definition, AvailableTool)
    add("one")  # pyright: ignore[reportArgumentType]


async def calls() -> None:
    async with GenericBackend(provider=provider, retry=RetryPolicy()) as backend:
        assert_type(backend, GenericBackend)
        reply = await backend.complete(
            model=model,
            messages=messages,
            temperature=0.2,
            tools=[look_up, add],
            max_tokens=None,
            tool_choice="auto",
            extra_headers=None,
            metadata={"team": "search"},
        )
        assert_type(reply, LLMChunk)
        async with backend.complete_streaming(model="qwen3", messages=messages) as stream:
            assert_type(stream, ReplyStream)
            async for chunk in stream:
                assert_type(chunk, LLMChunk)
                assert_type(chunk.text, str)
            assert_type(stream.result, LLMChunk)
        async for chunk in backend.complete_streaming(model=model, messages=messages):
            assert_type(chunk, LLMChunk)
        tokens = await backend.count_tokens(model=model, messages=messages, tool_choice=look_up)
        assert_type(tokens, TokenCount)
        total: int = tokens
        print(total)
        # Wrong arguments are found by the checker, not by the server.
        await backend.complete(model=model, messages=messages, temprature=1)  # pyright: ignore[reportCallIssue]
        await backend.complete(model=model, messages=messages, tool_choice="must")  # pyright: ignore[reportArgumentType]


async def bound() -> None:
    async with llmwire.connect("anthropic:claude-haiku") as connection:
        reply = await connection.complete("Hello", thinking="high")
        assert_type(reply.text, str)


def values(reply: LLMChunk) -> None:
    assert_type(reply.message, LLMMessage)
    assert_type(reply.usage, LLMUsage | None)
    assert_type(reply.stop, StopInfo | None)
    assert_type(reply.tool_calls, tuple[ToolCall, ...])
    assert_type(reply.message.incomplete_tool_calls, tuple[IncompleteToolCall, ...])
    assert_type(reply.message.content, str | None)
    if reply.usage is not None:
        assert_type(reply.usage.input_total, int | None)
        assert_type(reply.usage + reply.usage, LLMUsage)
    assert_type(reply + reply, LLMChunk)
    assert_type(accumulate([reply]), LLMChunk)
    assert_type(LLMMessage.from_json(reply.message.to_json()), LLMMessage)
    assert_type(merge_consecutive_user_messages([reply.message]), list[LLMMessage])
    reply.text = "other"  # pyright: ignore[reportAttributeAccessIssue]


def errors(error: BackendError) -> None:
    assert_type(error.retry_after, float | None)
    assert_type(error.retryable, bool)
    assert_type(error.partial, LLMChunk | None)
    assert_type(error.status, int | None)
    if isinstance(error, ContextTooLongError):
        assert_type(error.limit, int | None)
    if isinstance(error, RateLimitError) and isinstance(error, StreamError):
        print("too fast, in the middle of the stream", error.code)
    if isinstance(error, IncompleteStreamError):
        assert_type(error.is_context_too_long, bool)


def codecs(request: LLMRequest) -> None:
    adapters: list[APIAdapter] = [
        OpenAIAdapter(),
        AnthropicAdapter(),
        VertexAnthropicAdapter(),
        ReasoningAdapter(),
        ResponsesAdapter(),
    ]
    assert_type(ADAPTERS, Mapping[str, APIAdapter])
    assert_type(PROVIDERS, dict[str, ProviderConfig])
    for adapter in adapters:
        prepared = adapter.prepare_request(request, PROVIDERS["openai"])
        assert_type(prepared.body, bytes)
        decoder: StreamDecoder = adapter.stream_decoder(request)
        for chunk in decoder.feed(b"data: {}"):
            assert_type(chunk, LLMChunk)
        if isinstance(adapter, TokenCounter):
            assert_type(adapter.parse_count(b"{}", request), int)


async def costs_and_checks(backend: GenericBackend, request: LLMRequest, reply: LLMChunk) -> None:
    cost = cost_of(reply.usage, request.model, prices_of(request.model, backend.provider))
    assert_type(cost.total, float | None)
    assert_type(cost + cost, Cost)
    assert_type(library_prices("m", backend.provider), Prices | None)
    assert_type(facts_of("m", "openai").vision, bool | None)
    check = check_history(request.messages, backend.provider, request.model)
    assert_type(check, HistoryCheck)
    assert_type(check.messages, tuple[LLMMessage, ...])
    repaired = repaired_after(request, BackendError("no"))
    if repaired is not None:
        assert_type(repaired.request, LLMRequest)
