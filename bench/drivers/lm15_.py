"""lm15's asynchronous providers, on its own transport."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..wires import Turn, chat_messages
from .base import Driver, Place


class LM15(Driver):
    package = "lm15"

    def __init__(self) -> None:
        self._lm15: Any = importlib.import_module("lm15")
        self._providers: dict[Place, Any] = {}

    def _provider(self, place: Place) -> Any:
        if place not in self._providers:
            lm15, base = self._lm15, f"{place.url}/v1"
            chosen = lm15.AsyncOpenAIChatLM if place.style == "openai" else lm15.AsyncAnthropicLM
            self._providers[place] = chosen(api_key="none", base_url=base)
        return self._providers[place]

    async def stream(self, place: Place, asked: Any) -> str:
        texts = []
        async for event in self._provider(place).stream(asked):
            if event.type == "delta":
                delta = event.delta
                if delta.type == "tool_call":
                    texts.append(delta.input)
                elif delta.type in ("text", "thinking"):
                    texts.append(delta.text)
        return "".join(texts)

    async def gather(self, place: Place, asked: Any) -> str:
        events = self._provider(place).stream(asked)
        return str((await self._lm15.amaterialize_response(events, asked)).text)

    async def call(self, place: Place, asked: Any) -> str:
        return str((await self._provider(place).complete(asked)).text)

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Any:
        body: dict[str, Any] = {"model": "bench-1", "messages": chat_messages(list(turns))}
        if tools:
            body["tools"] = tools
        provider = self._lm15.AsyncOpenAIChatLM(api_key="none", base_url="http://127.0.0.1")
        return provider.request_from_openai_chat(body)

    def extended(self, asked: Any, style: str, turns: Sequence[Turn]) -> Any:
        replace = importlib.import_module("dataclasses").replace
        more = self.conversation(style, turns, []).messages
        return replace(asked, messages=(*asked.messages, *more))


def make(option: str) -> Driver:
    return LM15()
