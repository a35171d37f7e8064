"""llmwire, on its own transport or on a client that a user brings."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llmwire.adapters import ADAPTERS
from llmwire.backend import GenericBackend
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.request import LLMRequest
from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    FunctionCall,
    LLMChunk,
    LLMMessage,
    ToolCall,
)

from ..wires import Turn
from .base import Driver, Place

MODEL = ModelConfig("bench-1")


class Asked(NamedTuple):
    messages: list[LLMMessage]
    tools: list[AvailableTool]


def _all_of(chunk: LLMChunk) -> str:
    calls = "".join(call.arguments for call in chunk.tool_calls)
    return chunk.reasoning + chunk.text + calls


class Ours(Driver):
    package = "llmwire"

    def __init__(self, option: str) -> None:
        self._option = option
        self._client: Any = None
        self._backends: dict[Place, GenericBackend] = {}

    def _transport(self) -> Any:
        """None is the default: llmwire's own, made by the backend."""
        if self._client is None and self._option == "aiohttp":
            aiohttp: Any = importlib.import_module("aiohttp")
            self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        elif self._client is None and self._option == "httpx2":
            httpx2: Any = importlib.import_module("httpx2")
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
            self._client = httpx2.AsyncClient(limits=limits, timeout=None)
        return self._client

    def _backend(self, place: Place) -> GenericBackend:
        backend = self._backends.get(place)
        if backend is None:
            base = place.url + ("/v1" if place.style == "openai" else "")
            provider = ProviderConfig("bench", base, api_style=place.style)
            backend = GenericBackend(provider=provider, client=self._transport())
            self._backends[place] = backend
        return backend

    def _streaming(self, place: Place, asked: Asked) -> Any:
        return self._backend(place).complete_streaming(
            model=MODEL, messages=asked.messages, tools=asked.tools
        )

    async def stream(self, place: Place, asked: Asked) -> str:
        texts = []
        async with self._streaming(place, asked) as stream:
            async for chunk in stream:
                texts.append(chunk.text)
            result: LLMChunk = stream.result
        seen = "".join(texts)
        if seen != result.text:
            return f"the chunks say {seen[:60]!r}, their sum {result.text[:60]!r}"
        return _all_of(result)

    async def gather(self, place: Place, asked: Asked) -> str:
        async with self._streaming(place, asked) as stream:
            async for _ in stream:
                pass
            return _all_of(stream.result)

    async def add_up(self, place: Place, asked: Asked) -> str:
        total = LLMChunk()
        async with self._streaming(place, asked) as stream:
            async for chunk in stream:
                total = total + chunk
        return _all_of(total)

    async def call(self, place: Place, asked: Asked) -> str:
        reply = await self._backend(place).complete(
            model=MODEL, messages=asked.messages, tools=asked.tools
        )
        return reply.text

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        functions = [AvailableFunction(**tool["function"]) for tool in tools]
        return Asked([_message(turn) for turn in turns], [AvailableTool(f) for f in functions])

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return Asked([*asked.messages, *map(_message, turns)], asked.tools)

    def decoder(self, style: str) -> Callable[[Sequence[bytes]], str]:
        adapter = ADAPTERS[style]
        provider = ProviderConfig("bench", "http://127.0.0.1", api_style=style)
        request = LLMRequest(model=MODEL, messages=(LLMMessage("user", "hi"),), stream=True)

        def decode(pieces: Sequence[bytes]) -> str:
            decoder = adapter.stream_decoder(request, provider)
            texts = []
            for piece in pieces:
                for chunk in decoder.feed(piece):
                    texts.append(chunk.text)
            for chunk in decoder.finish():
                texts.append(chunk.text)
            return "".join(texts)

        return decode

    def parser(self, style: str) -> Callable[[bytes], str]:
        adapter = ADAPTERS[style]
        provider = ProviderConfig("bench", "http://127.0.0.1", api_style=style)
        request = LLMRequest(model=MODEL, messages=(LLMMessage("user", "hi"),))
        return lambda body: adapter.parse_response(body, request, provider).text

    async def close(self) -> None:
        for backend in self._backends.values():
            await backend.close()
        if self._client is not None:
            await (self._client.close() if self._option == "aiohttp" else self._client.aclose())


def _message(turn: Turn) -> LLMMessage:
    if turn.role == "tool" and turn.call:
        return LLMMessage("tool", turn.text, tool_call_id=turn.call[0], name="search")
    if turn.call:
        call = ToolCall(turn.call[0], FunctionCall("search", turn.call[1]))
        return LLMMessage("assistant", turn.text or None, tool_calls=[call])
    return LLMMessage(turn.role, turn.text)


def make(option: str) -> Driver:
    return Ours(option)
