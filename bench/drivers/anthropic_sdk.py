"""The anthropic SDK, asynchronous, on its own client."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..wires import Turn, messages_api, messages_tools
from .base import Driver, Place

Asked = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class Anthropic(Driver):
    package = "anthropic"

    def __init__(self) -> None:
        self._sdk: Any = importlib.import_module("anthropic")
        self._clients: dict[Place, Any] = {}

    def _messages(self, place: Place) -> Any:
        if place not in self._clients:
            client = self._sdk.AsyncAnthropic(base_url=place.url, api_key="none")
            self._clients[place] = client
        return self._clients[place].messages

    def _options(self, asked: Asked) -> dict[str, Any]:
        options: dict[str, Any] = {"model": "bench-1", "max_tokens": 4096, "messages": asked[0]}
        if asked[1]:
            options["tools"] = asked[1]
        return options

    async def stream(self, place: Place, asked: Asked) -> str:
        texts = []
        async for event in await self._messages(place).create(**self._options(asked), stream=True):
            if event.type == "content_block_delta":
                delta = event.delta
                if delta.type == "text_delta":
                    texts.append(delta.text)
                elif delta.type == "input_json_delta":
                    texts.append(delta.partial_json)
                elif delta.type == "thinking_delta":
                    texts.append(delta.thinking)
        return "".join(texts)

    async def gather(self, place: Place, asked: Asked) -> str:
        async with self._messages(place).stream(**self._options(asked)) as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_message()
            return "".join(block.text for block in final.content)

    async def call(self, place: Place, asked: Asked) -> str:
        answer = await self._messages(place).create(**self._options(asked))
        return "".join(block.text for block in answer.content)

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        return messages_api(list(turns)), messages_tools(tools)

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return asked[0] + messages_api(list(turns)), asked[1]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def make(option: str) -> Driver:
    return Anthropic()
