"""From an address to a connected socket: names, happy eyeballs, proxies, TLS."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError, TransportError
from .network import env_proxy, keep_alive, tls_context

P = TypeVar("P", bound=asyncio.Protocol)

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds before the next address of a host is tried beside the first (RFC 8305, section 8)."""

MAX_PROXY_HEAD_BYTES = 64 * 1024
"""A bound on a proxy's answer to CONNECT."""


class Route(NamedTuple):
    """How a server is reached; connections on equal routes are interchangeable."""

    scheme: str
    host: str
    port: int
    proxy: tuple[str, str, int] | None = None
    """Scheme, host and port of the proxy, if one stands in between."""
    proxy_auth: str = ""

    @property
    def forward(self) -> bool:
        """Whether the proxy is asked to forward requests; with TLS it opens a tunnel instead."""
        return self.proxy is not None and self.scheme == "http"

    def __repr__(self) -> str:
        return f"Route({self.scheme}://{self.host}:{self.port})"


def route_to(url: str, proxies: bool = True) -> Route:
    """The route to a URL. Raises `ConfigError` for a proxy we can't use."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = env_proxy(url) if proxies else None
    if proxy is None:
        return Route(parts.scheme, host, port)
    via = urlsplit(proxy)
    if via.scheme not in ("http", "https") or not via.hostname:
        raise ConfigError(
            f"the environment names a proxy of kind {via.scheme!r}; only http and https proxies "
            "are supported. Unset the variable, or name the host in NO_PROXY."
        )
    auth = ""
    if via.username is not None:
        pair = f"{unquote(via.username)}:{unquote(via.password or '')}"
        auth = "Basic " + base64.b64encode(pair.encode()).decode()
    default = 443 if via.scheme == "https" else 80
    return Route(parts.scheme, host, port, (via.scheme, via.hostname, via.port or default), auth)


async def dial(
    route: Route, protocol: Callable[[], P], tls: ssl.SSLContext | None, timeout: float | None
) -> P:
    """A connected protocol. Raises what asyncio raises, and `TransportError` for proxies."""
    async with asyncio.timeout(timeout):
        if route.proxy is None:
            context = (tls or tls_context()) if route.scheme == "https" else None
            return await _connect(route.host, route.port, protocol, context)
        scheme, host, port = route.proxy
        outer = tls_context() if scheme == "https" else None
        try:
            if route.forward:
                return await _connect(host, port, protocol, outer)
            tunnel = await _connect(host, port, _Tunnel, outer)
        except OSError as e:
            raise TransportError(
                f"the proxy {host}:{port} can't be reached: {e}", kind="proxy", phase="connect"
            ) from e
        try:
            await tunnel.open(route)
            made = protocol()
            loop = asyncio.get_running_loop()
            transport = await loop.start_tls(
                tunnel.transport, made, tls or tls_context(), server_hostname=route.host
            )
            if transport is None:
                raise ConnectionResetError("the proxy closed the tunnel")
            made.connection_made(transport)
        except BaseException:
            tunnel.transport.abort()
            raise
        return made


async def _connect(
    host: str, port: int, protocol: Callable[[], P], tls: ssl.SSLContext | None
) -> P:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_connection(
        protocol, host, port, ssl=tls, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY
    )
    sock = transport.get_extra_info("socket")
    if sock is not None:
        keep_alive(sock)
    return made


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel."""

    def __init__(self) -> None:
        self.transport: Any = None
        self._data = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        ended = b"\r\n\r\n" in self._data or len(self._data) > MAX_PROXY_HEAD_BYTES
        if ended and not self._answer.done():
            self._answer.set_result(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_result(self._data)

    async def open(self, route: Route) -> None:
        """Raises `TransportError` with the proxy's own words unless it opens the tunnel."""
        host = f"[{route.host}]" if ":" in route.host else route.host
        auth = f"Proxy-Authorization: {route.proxy_auth}\r\n" if route.proxy_auth else ""
        place = f"{host}:{route.port}"
        self.transport.write(
            f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{auth}\r\n".encode("latin-1")
        )
        answer = await self._answer
        line = answer.partition(b"\r\n")[0].decode("latin-1")
        words = line.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or words[1] != "200":
            raise TransportError(
                f"the proxy refused to connect to {place}: {line or 'it closed the connection'}",
                kind="proxy",
                phase="connect",
                retryable=words[1:2] in (["502"], ["503"], ["504"]),
            )
        if answer.partition(b"\r\n\r\n")[2]:
            raise TransportError(
                "the proxy sent bytes before the tunnel began", kind="proxy", phase="connect"
            )
