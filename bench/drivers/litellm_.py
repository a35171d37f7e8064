"""LiteLLM's `acompletion`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..wires import Turn, chat_messages
from .base import Driver, Place
from .openai_sdk import delta_text

Asked = tuple[list[dict[str, Any]], list[dict[str, Any]]]


class LiteLLM(Driver):
    package = "litellm"

    def __init__(self) -> None:
        self._litellm: Any = importlib.import_module("litellm")

    async def _ask(self, place: Place, asked: Asked, stream: bool) -> Any:
        options: dict[str, Any] = {"tools": asked[1]} if asked[1] else {}
        return await self._litellm.acompletion(
            model="openai/bench-1",
            messages=asked[0],
            api_base=f"{place.url}/v1",
            api_key="none",
            stream=stream,
            **options,
        )

    async def stream(self, place: Place, asked: Asked) -> str:
        texts = []
        async for chunk in await self._ask(place, asked, True):
            texts.append(delta_text(chunk))
        return "".join(texts)

    async def gather(self, place: Place, asked: Asked) -> str:
        chunks = [chunk async for chunk in await self._ask(place, asked, True)]
        whole = self._litellm.stream_chunk_builder(chunks, messages=asked[0])
        return str(whole.choices[0].message.content)

    async def call(self, place: Place, asked: Asked) -> str:
        answer = await self._ask(place, asked, False)
        return str(answer.choices[0].message.content)

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        return chat_messages(list(turns)), tools

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return asked[0] + chat_messages(list(turns)), asked[1]


def make(option: str) -> Driver:
    return LiteLLM()
