"""The clients that users may bring, as a default: `pytest --transport httpx2` runs the suite on one.

A client belongs to one event loop, so each loop gets its own, closed with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from llmwire.transport import Outgoing, TransportResponse, transport_for
from llmwire.transport.pools import Pools


def _aiohttp() -> Any:
    import aiohttp

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=True)


def _httpx() -> Any:
    import httpx

    return httpx.AsyncClient(timeout=None)


def _httpx2() -> Any:
    import httpx2

    return httpx2.AsyncClient(timeout=None)


class _Client:
    """One loop's client."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._client = make()
        self.transport = transport_for(self._client)

    async def close(self) -> None:
        close: Callable[[], Awaitable[None]] = getattr(self._client, "aclose", None) or (
            self._client.close
        )
        await close()
        await asyncio.sleep(0)

    def close_now(self) -> None:
        task = asyncio.get_running_loop().create_task(self.close())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()


class Everywhere:
    """Stands in for the backend's own transport."""

    make: Callable[[], Any]

    def __init__(self) -> None:
        self._pools: Pools[_Client] = Pools(lambda: _Client(type(self).make))

    async def send(self, request: Outgoing) -> TransportResponse:
        return await (await self._pools.here()).transport.send(request)

    async def close(self) -> None:
        await self._pools.close()


class OnAiohttp(Everywhere):
    make = staticmethod(_aiohttp)


class OnHttpx(Everywhere):
    make = staticmethod(_httpx)


class OnHttpx2(Everywhere):
    make = staticmethod(_httpx2)


TRANSPORTS: dict[str, type[Everywhere]] = {
    "aiohttp": OnAiohttp,
    "httpx": OnHttpx,
    "httpx2": OnHttpx2,
}
