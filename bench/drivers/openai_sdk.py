"""The openai SDK, asynchronous, on its own client."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..wires import Turn, chat_messages
from .base import Driver, Place

Asked = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class OpenAI(Driver):
    package = "openai"

    def __init__(self) -> None:
        self._sdk: Any = importlib.import_module("openai")
        self._clients: dict[Place, Any] = {}

    def _completions(self, place: Place) -> Any:
        if place not in self._clients:
            base = f"{place.url}/v1"
            self._clients[place] = self._sdk.AsyncOpenAI(base_url=base, api_key="none")
        return self._clients[place].chat.completions

    def _options(self, asked: Asked) -> dict[str, Any]:
        options: dict[str, Any] = {"model": "bench-1", "messages": asked[0]}
        if asked[1]:
            options["tools"] = asked[1]
        return options

    async def stream(self, place: Place, asked: Asked) -> str:
        texts = []
        options = self._options(asked)
        async for chunk in await self._completions(place).create(**options, stream=True):
            texts.append(delta_text(chunk))
        return "".join(texts)

    async def gather(self, place: Place, asked: Asked) -> str:
        async with self._completions(place).stream(**self._options(asked)) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_completion()
            return str(final.choices[0].message.content)

    async def call(self, place: Place, asked: Asked) -> str:
        answer = await self._completions(place).create(**self._options(asked))
        return str(answer.choices[0].message.content)

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        return chat_messages(list(turns)), tools

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return asked[0] + chat_messages(list(turns)), asked[1]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def delta_text(chunk: Any) -> str:
    """What a chunk in the form of Chat Completions adds."""
    if not chunk.choices:
        return ""
    delta = chunk.choices[0].delta
    if delta.tool_calls:
        return "".join(call.function.arguments or "" for call in delta.tool_calls)
    return (getattr(delta, "reasoning_content", None) or "") + (delta.content or "")


def make(option: str) -> Driver:
    return OpenAI()
