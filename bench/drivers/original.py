"""The published package whose backend llmwire grew out of."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..wires import Turn
from .base import Driver, Place

Asked = tuple[list[Any], list[Any]]


class Original(Driver):
    package = "mistral-vibe"

    def __init__(self) -> None:
        self._types: Any = importlib.import_module("vibe.core.types")
        self._config: Any = importlib.import_module("vibe.core.config")
        self._generic: Any = importlib.import_module("vibe.core.llm.backend.generic")
        self._httpx: Any = importlib.import_module("httpx")
        self._client: Any = None
        self._backends: dict[Place, Any] = {}
        self._model = self._config.ModelConfig(name="bench-1", provider="bench", alias="bench")

    def _backend(self, place: Place) -> Any:
        if self._client is None:  # its own client takes at most ten connections
            limits = self._httpx.Limits(max_connections=None, max_keepalive_connections=None)
            self._client = self._httpx.AsyncClient(limits=limits, timeout=720.0)
        if place not in self._backends:
            base = place.url + ("/v1" if place.style == "openai" else "")
            provider = self._config.ProviderConfig(
                name="bench", api_base=base, api_style=place.style
            )
            backend = self._generic.GenericBackend(provider=provider, client=self._client)
            self._backends[place] = backend
        return self._backends[place]

    def _streaming(self, place: Place, asked: Asked) -> Any:
        return self._backend(place).complete_streaming(
            model=self._model, messages=asked[0], tools=asked[1] or None
        )

    async def stream(self, place: Place, asked: Asked) -> str:
        texts = []
        async for chunk in self._streaming(place, asked):
            texts.append(self._text(chunk.message))
        return "".join(texts)

    async def gather(self, place: Place, asked: Asked) -> str:
        total: Any = None
        async for chunk in self._streaming(place, asked):
            total = chunk if total is None else total + chunk
        return self._text(total.message)

    add_up = gather

    async def call(self, place: Place, asked: Asked) -> str:
        chunk = await self._backend(place).complete(
            model=self._model, messages=asked[0], tools=asked[1] or None
        )
        return str(chunk.message.content)

    def _text(self, message: Any) -> str:
        calls = "".join(call.function.arguments or "" for call in message.tool_calls or ())
        return (message.reasoning_content or "") + (message.content or "") + calls

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        available = [self._types.AvailableTool(**tool) for tool in tools]
        return [self._message(turn) for turn in turns], available

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return [*asked[0], *map(self._message, turns)], asked[1]

    def _message(self, turn: Turn) -> Any:
        types = self._types
        if turn.role == "tool" and turn.call:
            return types.LLMMessage(role="tool", content=turn.text, tool_call_id=turn.call[0])
        calls = None
        if turn.call:
            function = types.FunctionCall(name="search", arguments=turn.call[1])
            calls = [types.ToolCall(id=turn.call[0], index=0, function=function)]
        return types.LLMMessage(role=turn.role, content=turn.text, tool_calls=calls)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def make(option: str) -> Driver:
    return Original()
