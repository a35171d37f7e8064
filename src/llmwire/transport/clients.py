"""Clients that users bring, wrapped thinly: aiohttp, httpx, httpx2. Imported at first use."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any

from .foreign import foreign_error
from .network import MAX_HEADER_BYTES, env_proxy, keepalive_socket, tls_context
from .seam import Outgoing, TransportResponse

if TYPE_CHECKING:
    import aiohttp


class AiohttpTransport:
    """The default. Each event loop that uses it gets a pool of its own, closed with the loop."""

    def __init__(self, session: aiohttp.ClientSession | None = None) -> None:
        self._given = session
        self._lock = threading.Lock()
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = (
            weakref.WeakKeyDictionary()
        )

    async def send(self, request: Outgoing) -> TransportResponse:
        import aiohttp

        session = self._given or await self._pooled()
        try:
            response = await session.request(
                request.method,
                _url(request.url),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                proxy=None if self._given else env_proxy(request.url),
                ssl=tls_context() if request.url.startswith("https:") and not self._given else True,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.connect_timeout),
            )
        except Exception as e:
            raise foreign_error(e, request.connect_timeout, "send") from e
        return _AiohttpResponse(response)

    async def _pooled(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        with self._lock:
            pool = self._pools.get(loop)
            if pool is None or pool.session.closed:
                pool = self._pools[loop] = _Pool()
        if pool.guard is None:
            pool.guard = _close_with_loop(pool.session)
            await pool.guard.__anext__()
        return pool.session

    async def close(self) -> None:
        """Closes the pools: this loop's now, those of other loops as soon as they turn."""
        here = asyncio.get_running_loop()
        with self._lock:
            pools = list(self._pools.items())
            self._pools = weakref.WeakKeyDictionary()
        for loop, pool in pools:
            if loop is here:
                await pool.close()
            elif not loop.is_closed():
                asyncio.run_coroutine_threadsafe(pool.close(), loop)


class _Pool:
    __slots__ = ("__weakref__", "guard", "session")

    def __init__(self) -> None:
        import aiohttp

        self.guard: AsyncGenerator[None, None] | None = None
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # a cap would make calls wait in silence; the caller sets concurrency
                keepalive_timeout=30,
                socket_factory=keepalive_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )

    async def close(self) -> None:
        await self.session.close()
        if self.guard is not None:
            await self.guard.aclose()


async def _close_with_loop(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """Closes the session when its loop shuts down: asyncio closes open generators then.

    This is what lets a backend be used without entering it and leave no socket behind.
    """
    try:
        yield
    finally:
        await session.close()


def _url(url: str) -> Any:
    from yarl import URL

    return URL(url, encoded=True)  # what we built is what goes out


class _AiohttpResponse:
    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except Exception as e:
            raise foreign_error(e, None, "stream") from e

    def close(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class HttpxTransport:
    """Wraps an `httpx.AsyncClient` or `httpx2.AsyncClient`; its owner closes it."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(self, request: Outgoing) -> TransportResponse:
        try:
            built = self._client.build_request(
                request.method,
                request.url,
                headers=dict(request.headers),
                content=request.body,
                timeout=(request.connect_timeout, None, None, None),
            )
            response = await self._client.send(built, stream=True, follow_redirects=False)
        except Exception as e:
            raise foreign_error(e, request.connect_timeout, "send") from e
        return _HttpxResponse(response)


class _HttpxResponse:
    __slots__ = ("_blocks", "_response", "headers", "status")

    def __init__(self, response: Any) -> None:
        self._response = response
        self._blocks = response.aiter_bytes()
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = {k.lower(): v for k, v in response.headers.items()}

    async def read(self) -> bytes:
        try:
            while not (block := await anext(self._blocks, None)):
                if block is None:
                    return b""
            return bytes(block)
        except Exception as e:
            raise foreign_error(e, None, "stream") from e

    def close(self) -> None:
        # httpx closes only by awaiting; a task of its own does it on the next turn of the loop.
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if not self._response.is_closed:
            task = loop.create_task(self._close())
            _closing.add(task)
            task.add_done_callback(_closing.discard)

    async def _close(self) -> None:
        await self._blocks.aclose()
        await self._response.aclose()


_closing: set[asyncio.Task[None]] = set()
