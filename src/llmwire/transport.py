"""Bytes to a server and back: the one seam between us and the network.

`Transport` is a protocol of one method, so that tests and recordings plug in there. The default
sits on aiohttp, imported at first use; clients that users bring are wrapped. Exceptions of those
libraries become ours in this file and nowhere else. No redirect is followed, ever: a key belongs
to one origin.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import (  # type: ignore[attr-defined]
    getproxies_environment,
    proxy_bypass_environment,
)

from msgspec import Struct

from .error_builder import BackendErrorBuilder
from .errors import BackendError, ConfigError, DecodeError, TimeoutError_

if TYPE_CHECKING:
    import aiohttp

MAX_HEADER_BYTES = 64 * 1024
"""A bound on one header line. Servers with long cookies or policy headers stay below 32 KiB."""


class Outgoing(Struct, frozen=True):
    """A request with everything on it, credentials included. Never logged, never in an error."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    connect_timeout: float | None = None
    """Seconds for reaching the server."""

    def __repr__(self) -> str:
        return f"Outgoing({self.method} {self.url}, {len(self.body)} bytes)"


class TransportResponse(Protocol):
    """An answer whose body is still coming."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""

    async def read(self) -> bytes:
        """The next bytes of the body, content coding removed; b"" at its end.

        Raises `TransportError`.
        """
        ...

    def close(self) -> None:
        """Ends the exchange at once: the socket closes unless the body was read to its end."""
        ...


class Transport(Protocol):
    """Carries one request to a server. Tests, recordings and clients of one's own plug in here."""

    async def send(self, request: Outgoing) -> TransportResponse:
        """Sends and waits for the status line and headers. Raises `TransportError`."""
        ...


# --- our own: aiohttp, one pool per event loop --------------------------------------------------


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
                socket_factory=_keepalive_socket,
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


def _keepalive_socket(addr_info: Any) -> socket.socket:
    """A socket with TCP keep-alive: streams are silent for minutes, and NATs forget."""
    family, kind, proto, *_ = addr_info
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return sock


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


# --- a client of the user's ---------------------------------------------------------------------


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


def transport_for(client: Any) -> Transport:
    """The transport around a client that the user brings.

    Raises `ConfigError` if it is none of those we know.
    """
    for cls in type(client).__mro__:
        library = cls.__module__.partition(".")[0]
        if library == "aiohttp" and cls.__name__ == "ClientSession":
            return AiohttpTransport(client)
        if library in ("httpx", "httpx2") and cls.__name__ == "AsyncClient":
            return HttpxTransport(client)
        if library in ("httpx", "httpx2") and cls.__name__ == "Client":
            break
    else:
        if asyncio.iscoroutinefunction(getattr(client, "send", None)):
            transport: Transport = client
            return transport
    raise ConfigError(
        f"client= takes an httpx.AsyncClient, httpx2.AsyncClient, aiohttp.ClientSession or a "
        f"Transport, not {type(client).__module__}.{type(client).__qualname__}"
    )


# --- the environment ----------------------------------------------------------------------------


def env_proxy(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for this address."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(parts.netloc.rpartition("@")[2], proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


@lru_cache(maxsize=1)
def tls_context() -> ssl.SSLContext:
    """The system's trust store, with what SSL_CERT_FILE and SSL_CERT_DIR name added to it."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        # OpenSSL reads the variables instead of its own paths; both are wanted.
        if os.path.isfile(paths.openssl_cafile):
            context.load_verify_locations(cafile=paths.openssl_cafile)
        if os.path.isdir(paths.openssl_capath):
            context.load_verify_locations(capath=paths.openssl_capath)
    return context


# --- foreign exceptions -------------------------------------------------------------------------

# Class name anywhere in the exception's ancestry -> where it broke; the first row that fits.
# aiohttp, httpx and httpx2 by name, so that none of them has to be imported.
_KINDS = (
    ("ClientConnectorDNSError", "dns"),
    ("gaierror", "dns"),
    ("ClientConnectorCertificateError", "tls"),
    ("ClientSSLError", "tls"),
    ("ClientConnectorSSLError", "tls"),
    ("SSLError", "tls"),
    ("CertificateError", "tls"),
    ("ClientProxyConnectionError", "proxy"),
    ("ClientHttpProxyError", "proxy"),
    ("ProxyError", "proxy"),
    ("ClientConnectorError", "connect"),
    ("ConnectError", "connect"),
    ("ConnectionRefusedError", "connect"),
    ("WriteError", "write"),
    ("BrokenPipeError", "write"),
    ("ClientConnectionResetError", "write"),
)
_CONNECT_TIMEOUTS = ("ConnectTimeout", "ConnectionTimeoutError", "PoolTimeout")
_BAD_ADDRESS = (
    "InvalidURL",
    "InvalidUrlClientError",
    "UnsupportedProtocol",
    "NonHttpUrlClientError",
)
_BAD_BYTES = ("ContentEncodingError", "DecodingError")


def foreign_error(e: Exception, connect_timeout: float | None, phase: Any) -> BackendError:
    """Our error for an exception of an HTTP library, the socket or TLS. `e` becomes its cause."""
    if isinstance(e, BackendError):
        return e
    chain = _causes(e)
    names = [c.__name__ for x in chain for c in type(x).__mro__]
    if any(n in names for n in _CONNECT_TIMEOUTS):
        return TimeoutError_(
            f"no connection within {connect_timeout:g} s: the server can't be reached"
            if connect_timeout is not None
            else "no connection: the attempt timed out",
            clock="connect",
            seconds=connect_timeout,
            kind="connect",
            phase="connect",
        )
    if any(n in names for n in _BAD_ADDRESS):
        return ConfigError(f"the address can't be used: {type(e).__name__}")
    if any(n in names for n in _BAD_BYTES):
        return DecodeError(f"the body's content coding is broken: {e}", phase=phase)
    if isinstance(e, UnicodeError | ValueError | TypeError) and phase == "send":
        # What the library says of a bad header can quote its value: a key must not leak.
        return ConfigError("the request can't be written as HTTP: a header or the address is bad")
    kind = next((kind for name, kind in _KINDS if name in names), "read")
    if kind == "connect" and any(isinstance(x, ssl.SSLError) for x in chain):
        kind = "tls"
    if kind == "connect" and any(isinstance(x, socket.gaierror) for x in chain):
        kind = "dns"
    if kind in ("dns", "connect", "tls", "proxy"):
        phase = "connect"
    return BackendErrorBuilder.build_request_error(e, kind=kind, phase=phase)


def _causes(e: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while e is not None and e not in chain and len(chain) < 8:
        chain.append(e)
        e = e.__cause__ or e.__context__ or getattr(e, "os_error", None)
    return chain
