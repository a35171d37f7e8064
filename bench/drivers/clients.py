"""The least on top of an HTTP client: its blocks of bytes into the reader that `raw` has."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..wires import Turn
from .base import Driver, Place
from .readers import Asked, asked, body_of, longer, reader, text_of

_PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
_HEADERS = {"content-type": "application/json", "authorization": "Bearer none"}


class _Client(Driver):
    def __init__(self) -> None:
        self._session: Any = None

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        return asked(style, list(turns), tools)

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return longer(asked, style, list(turns))


class Aiohttp(_Client):
    package = "aiohttp"

    def _client(self) -> Any:
        if self._session is None:
            aiohttp: Any = importlib.import_module("aiohttp")
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self._session

    def _post(self, place: Place, asked: Asked, stream: bool) -> Any:
        body = body_of(place.style, asked, stream)
        url = place.url + _PATHS[place.style]
        return self._client().post(url, data=body, headers=_HEADERS)

    async def stream(self, place: Place, asked: Asked) -> str:
        read = reader(place.style)
        async with self._post(place, asked, True) as response:
            async for data in response.content.iter_any():
                read.feed(data)
        return "".join(read.texts)

    gather = stream

    async def call(self, place: Place, asked: Asked) -> str:
        async with self._post(place, asked, False) as response:
            return text_of(place.style, await response.read())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Httpx2(_Client):
    package = "httpx2"

    def _client(self) -> Any:
        if self._session is None:
            httpx2: Any = importlib.import_module("httpx2")
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
            self._session = httpx2.AsyncClient(limits=limits, timeout=None)
        return self._session

    async def stream(self, place: Place, asked: Asked) -> str:
        body = body_of(place.style, asked, True)
        url = place.url + _PATHS[place.style]
        read = reader(place.style)
        async with self._client().stream("POST", url, content=body, headers=_HEADERS) as response:
            async for data in response.aiter_bytes():
                read.feed(data)
        return "".join(read.texts)

    gather = stream

    async def call(self, place: Place, asked: Asked) -> str:
        body = body_of(place.style, asked, False)
        url = place.url + _PATHS[place.style]
        response = await self._client().post(url, content=body, headers=_HEADERS)
        return text_of(place.style, response.content)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.aclose()


def make(option: str) -> Driver:
    return Aiohttp() if option == "aiohttp" else Httpx2()
