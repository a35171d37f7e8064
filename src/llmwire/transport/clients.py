"""Clients that users bring, wrapped thinly: aiohttp, httpx, httpx2. Their owners close them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .foreign import foreign_error
from .seam import Outgoing, TransportResponse

if TYPE_CHECKING:
    import aiohttp


class AiohttpTransport:
    """Wraps an `aiohttp.ClientSession`, with the proxies, authorities and limits that it has."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, request: Outgoing) -> TransportResponse:
        import aiohttp

        try:
            response = await self._session.request(
                request.method,
                _url(request.url),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.connect_timeout),
            )
        except Exception as e:
            raise foreign_error(e, request.connect_timeout, "send") from e
        return _AiohttpResponse(response)


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
    """Wraps an `httpx.AsyncClient` or `httpx2.AsyncClient`."""

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
