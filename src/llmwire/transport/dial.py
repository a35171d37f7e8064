"""From a route to a connected protocol: names, happy eyeballs, proxies, TLS."""

from __future__ import annotations

import asyncio
import collections
import itertools
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from ..errors import TransportError
from .address import Route
from .network import keep_alive, tls_context

P = TypeVar("P", bound=asyncio.Protocol)
AddrInfo = tuple[Any, Any, int, str, Any]  # as `socket.getaddrinfo` gives it

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds before the next address of a host is tried beside the first (RFC 8305, section 8)."""

_HANDSHAKE_SECONDS = 600.0  # the clock of the whole dialling is the caller's

MAX_PROXY_HEAD_BYTES = 64 * 1024
"""A bound on a proxy's answer to CONNECT."""


async def dial(
    route: Route, protocol: Callable[[], P], tls: ssl.SSLContext | None, timeout: float | None
) -> P:
    """A connected protocol. Raises what asyncio raises, and `TransportError` for proxies."""
    async with asyncio.timeout(timeout):
        if route.proxy is not None:
            plain = await _through_proxy(route)
        elif isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            secure = (tls or tls_context()) if route.scheme == "https" else None
            return await _opened_at_once(route.host, route.port, protocol, secure)
        else:
            plain = await _opened(route.host, route.port)
        try:
            plain.check()
            made = protocol()
            if route.scheme == "https":
                await _secured(plain.transport, made, tls or tls_context(), route.host)
            else:
                plain.transport.set_protocol(made)
                made.connection_made(plain.transport)
        except BaseException:
            plain.transport.abort()
            raise
        return made


async def _through_proxy(route: Route) -> _Plain:
    assert route.proxy is not None
    scheme, host, port = route.proxy
    try:
        plain = await _opened(host, port)
        if scheme == "https":
            try:
                plain.check()
                secure = _Plain()
                await _secured(plain.transport, secure, tls_context(), host)
            except BaseException:
                plain.transport.abort()
                raise
            plain = secure
    except OSError as e:
        raise TransportError(
            f"the proxy {host}:{port} can't be reached: {e}", kind="proxy", phase="connect"
        ) from e
    if not route.forward:
        try:
            await plain.ask_for_tunnel(route)
        except BaseException:
            plain.transport.abort()
            raise
    return plain


async def _opened(host: str, port: int) -> _Plain:
    sock = await _socket_to(_literal(host, port) or await _addresses(host, port))
    loop = asyncio.get_running_loop()
    # Shielded: event loops differ in who closes the socket when this is cancelled. It does not
    # wait for the network.
    opening = asyncio.ensure_future(loop.create_connection(_Plain, sock=sock))
    try:
        _, plain = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_abort)
        raise
    return plain


def _abort(opening: asyncio.Future[tuple[asyncio.Transport, _Plain]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()


async def _opened_at_once(
    host: str, port: int, protocol: Callable[[], P], tls: ssl.SSLContext | None
) -> P:
    """In fewer steps, where the event loop is asyncio's own: it closes what it was given."""
    sock = await _socket_to(_literal(host, port) or await _addresses(host, port))
    loop = asyncio.get_running_loop()
    try:
        if tls is None:
            return (await loop.create_connection(protocol, sock=sock))[1]
        _, made = await loop.create_connection(
            protocol,
            sock=sock,
            ssl=tls,
            server_hostname=host.rstrip("."),  # certificates name hosts without the root's dot
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
        )
        return made
    except BaseException:
        sock.close()  # asyncio does too, a turn later
        raise


async def _secured(
    transport: asyncio.Transport, protocol: asyncio.Protocol, tls: ssl.SSLContext, host: str
) -> None:
    secure = await asyncio.get_running_loop().start_tls(
        transport,
        protocol,
        tls,
        server_hostname=host.rstrip("."),  # certificates name hosts without the root's dot
        ssl_handshake_timeout=_HANDSHAKE_SECONDS,
    )
    if secure is None:
        raise ConnectionResetError("the connection closed before it was secure")
    protocol.connection_made(secure)


@lru_cache(maxsize=256)
def _literal(host: str, port: int) -> tuple[AddrInfo, ...]:
    """The address that `host` spells out; nothing for a name."""
    try:
        return tuple(
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        )
    except socket.gaierror:
        return ()


async def _addresses(host: str, port: int) -> Sequence[AddrInfo]:
    """The addresses of a host, its families taking turns (RFC 8305, section 4)."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    first = [info for info in found if info[0] == found[0][0]]
    other = [info for info in found if info[0] != found[0][0]]
    pairs = itertools.zip_longest(first, other)
    return [info for pair in pairs for info in pair if info is not None]


async def _socket_to(addresses: Sequence[AddrInfo]) -> socket.socket:
    """The first socket that connects; each next address is tried a moment after the last.

    asyncio has the same (`happy_eyeballs_delay`), but loses the socket when it is cancelled at
    the moment of connecting.
    """
    if len(addresses) == 1:
        return await _connected(addresses[0])
    todo = collections.deque(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    errors: list[BaseException] = []
    try:
        while todo or running:
            if todo:
                running.add(asyncio.create_task(_connected(todo.popleft())))
            done, _ = await asyncio.wait(
                running,
                timeout=HAPPY_EYEBALLS_DELAY if todo else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                running.discard(task)
                error = task.exception()
                if error is None:
                    running |= done - {task}
                    return task.result()
                errors.append(error)
        raise errors[0]
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close_socket)


def _close_socket(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connected(address: AddrInfo) -> socket.socket:
    family, kind, proto, _, place = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        keep_alive(sock)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


class _Plain(asyncio.Protocol):
    """Holds a connection on which nothing was said yet, but perhaps a proxy asked for a tunnel."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = b""
        self._asked = False
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._asked or self._answer.done():
            self.transport.abort()  # nobody asked for anything
        elif b"\r\n\r\n" in self._data or len(self._data) > MAX_PROXY_HEAD_BYTES:
            self._answer.set_result(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_result(self._data)

    def check(self) -> None:
        """Raises `TransportError` if the connection is of no use already."""
        if self.transport.is_closing():
            raise TransportError(
                "the server spoke, or closed the connection, before it was asked",
                kind="connect",
                phase="connect",
            )

    async def ask_for_tunnel(self, route: Route) -> None:
        """Raises `TransportError` with the proxy's own words unless it opens the tunnel."""
        host = f"[{route.host}]" if ":" in route.host else route.host
        auth = f"Proxy-Authorization: {route.proxy_auth}\r\n" if route.proxy_auth else ""
        place = f"{host}:{route.port}"
        self.transport.write(
            f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{auth}\r\n".encode("latin-1")
        )
        self._asked = True
        answer = await self._answer
        line = answer.partition(b"\r\n")[0].decode("latin-1")
        words = line.split(" ", 2)
        status = words[1] if len(words) > 1 and words[0].startswith("HTTP/1.") else ""
        if not (len(status) == 3 and status.startswith("2") and b"\r\n\r\n" in answer):
            hint = ". The proxy wants credentials" if status == "407" else ""
            raise TransportError(
                f"the proxy refused to connect to {place}: "
                f"{line[:200] or 'it closed the connection'}{hint}",
                kind="proxy",
                phase="connect",
                retryable=not status.startswith("4") or status == "429",
            )
        if answer.partition(b"\r\n\r\n")[2]:
            raise TransportError(
                "the proxy sent bytes before the tunnel began", kind="proxy", phase="connect"
            )
