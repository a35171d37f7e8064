"""HTTP/1.1 on asyncio and llhttp (`httptools`), and no more of it than replies need.

Bytes are parsed where they arrive; a reader waits on one future. A connection goes back to its
pool only after exactly one answer: bytes that nobody asked for end it, so that no call is ever
given another's answer.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ..errors import BackendError, ConfigError, DecodeError, TransportError
from .dial import Route, dial, route_to
from .foreign import foreign_error
from .pools import Pools
from .seam import Outgoing, TransportResponse

if TYPE_CHECKING:
    import httptools

MAX_HEAD_BYTES = 256 * 1024
"""A bound on status line and headers. Real ones stay below 32 KiB, cookies and policies included;
this stops a server that never ends them."""

HIGH_WATER = 1024 * 1024
"""Unread bytes from which on a connection stops reading, until its reader has caught up."""

IDLE_SECONDS = 50.0
"""How long an unused connection is kept. Load balancers close theirs after 60 s and more."""

INFLATE_STEP = 1024 * 1024
"""The most that one step of decompression gives: a bomb is met a piece at a time."""


class HTTPTransport:
    """The default. Each event loop that uses it gets a pool of its own, closed with the loop.

    `tls` replaces the system's trust store (for private authorities or client certificates);
    `proxies=False` ignores the proxy variables of the environment.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, proxies: bool = True) -> None:
        self._tls = tls
        self._proxies = proxies
        self._pools: Pools[Pool] = Pools(Pool)

    async def send(self, request: Outgoing) -> TransportResponse:
        """Sends and waits for the headers.

        A kept connection that turns out to be closed, without a byte of an answer, is replaced
        once: the server let go of it before it saw the request.
        """
        pool = await self._pools.here()
        route = route_to(request.url, self._proxies)
        kept = pool.take(route)
        if kept is not None:
            try:
                return await kept.exchange(request, route)
            except StaleConnectionError:
                pass
        try:
            fresh = await dial(route, lambda: Connection(pool), self._tls, request.connect_timeout)
        except Exception as e:
            raise foreign_error(e, request.connect_timeout, "connect") from e
        try:
            return await fresh.exchange(request, route)
        except StaleConnectionError as e:
            raise TransportError(
                "the server closed the connection without an answer", kind="read", phase="headers"
            ) from e

    async def close(self) -> None:
        """Closes all connections: this loop's now, those of other loops as soon as they turn."""
        await self._pools.close()


class StaleConnectionError(Exception):
    """The connection ended before a byte of the answer. Never leaves this module."""


class Pool:
    """The connections of one event loop, the most recently used first."""

    def __init__(self) -> None:
        self._idle: dict[Route, list[Connection]] = {}
        self._all: set[Connection] = set()

    def take(self, route: Route) -> Connection | None:
        idle = self._idle.get(route)
        while idle:
            connection = idle.pop()
            if connection.is_fit():
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection, route: Route) -> None:
        self._idle.setdefault(route, []).append(connection)

    def opened(self, connection: Connection) -> None:
        self._all.add(connection)

    def closed(self, connection: Connection) -> None:
        self._all.discard(connection)
        idle = self._idle.get(connection.route) if connection.route else None
        if idle and connection in idle:
            idle.remove(connection)

    async def close(self) -> None:
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # the sockets are closed on the loop's next turn


class Connection(asyncio.Protocol):
    """One connection and the answer that is coming over it.

    The parser calls `on_*`; the event loop calls what `asyncio.Protocol` names; the rest is ours.
    """

    __slots__ = (
        "_answered",
        "_blocks",
        "_broken",
        "_complete",
        "_head_bytes",
        "_interim",
        "_loop",
        "_parser",
        "_paused",
        "_pool",
        "_reusable",
        "_surplus",
        "_transport",
        "_unread",
        "_until_eof",
        "_used_at",
        "_waiter",
        "headers",
        "route",
        "status",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._broken: BaseException | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._used_at = 0.0
        self._surplus = False
        self._complete = True
        self._paused = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.route: Route | None = None

    # --- the event loop's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Called a second time when TLS starts inside a proxy's tunnel.
        self._transport = cast(asyncio.Transport, transport)
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._complete:
            self._surplus = True  # nobody asked for these
            self.abort()
            return
        if not self._answered:
            self._head_bytes += len(data)
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except Exception as e:
            if self._complete:
                self._surplus = True
            else:
                self._fail(_unreadable(e))
            return
        if not self._answered and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(
                TransportError(
                    f"the answer's headers are larger than {MAX_HEAD_BYTES:,} bytes",
                    kind="limit",
                    phase="headers",
                    retryable=False,
                )
            )
        elif self._unread > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False  # the transport closes: connection_lost follows

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.closed(self)
        if self._complete:
            return
        if self._answered and self._until_eof and exc is None:
            self._complete = True
            self._wake()
            return
        if exc is None:
            exc = ConnectionResetError("the server closed the connection in the middle")
        self._fail(exc)

    # --- the parser's side ---

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._complete:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self._complete:
            return
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._interim:
            self.headers = {}
            return
        self.status = status
        self._answered = True
        has_length = "content-length" in self.headers
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._until_eof = not (has_length or chunked)
        # Asked here: after the end of the message llhttp has forgotten.
        self._reusable = self._parser.should_keep_alive() and not self._until_eof
        self._wake()

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._blocks.append(body)
            self._unread += len(body)
            if self._waiter is not None:
                self._wake()

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        self._complete = True
        self._wake()

    # --- our side ---

    async def exchange(self, request: Outgoing, route: Route) -> TransportResponse:
        """Sends a request and waits for the headers of its answer."""
        import httptools

        self.route = route
        self._parser = httptools.HttpResponseParser(self)
        self._blocks: list[bytes] = []
        self._unread = 0
        self._head_bytes = 0
        self._answered = self._interim = self._until_eof = self._paused = False
        self._complete = False
        self.status = 0
        self.headers = {}
        transport = self._transport
        assert transport is not None
        head = _head_of(request, route)
        if len(request.body) < 65536:
            transport.write(head + request.body)
        else:
            transport.write(head)
            transport.write(request.body)
        try:
            while not self._answered:
                await self._wait()
        except BaseException as e:
            unseen = self._head_bytes == 0 and isinstance(e, OSError)
            self.abort()
            if unseen:
                raise StaleConnectionError from e
            if isinstance(e, Exception):
                raise foreign_error(e, request.connect_timeout, "headers") from e
            raise
        return Response(self)

    async def read(self) -> bytes:
        """The bytes that have come, b"" at the end of the body."""
        while not self._blocks:
            if self._complete:
                return b""
            await self._wait()
        blocks = self._blocks
        data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        self._blocks = []
        self._unread = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def finished(self) -> None:
        """The reader has had enough: the connection is kept if its answer was whole."""
        transport, route = self._transport, self.route
        if (
            self._complete
            and not self._surplus
            and self._broken is None
            and transport is not None
            and not transport.is_closing()
            and self._reusable
            and route is not None
        ):
            self._parser = None
            self._used_at = self._loop.time()
            self._pool.give(self, route)
        else:
            self.abort()

    def is_fit(self) -> bool:
        """Whether a kept connection can still be used."""
        transport = self._transport
        return (
            transport is not None
            and not transport.is_closing()
            and not self._surplus
            and self._loop.time() - self._used_at < IDLE_SECONDS
        )

    def abort(self) -> None:
        """Closes the socket now; what was not sent is dropped."""
        self._complete = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    async def _wait(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._broken is not None and not self._blocks:
            raise self._broken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: BaseException) -> None:
        self._broken = error
        self._wake()
        if self._transport is not None:
            self._transport.abort()


class Response:
    """An answer over a `Connection`; see `TransportResponse`."""

    __slots__ = ("_connection", "_inflate", "_tail", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self._inflate = _inflater(self.headers.get("content-encoding", ""))
        self._tail = b""

    async def read(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise TransportError("the answer was closed", kind="closed", retryable=False)
        try:
            if self._inflate is None:
                return await connection.read()
            return await self._read_inflated(connection)
        except BackendError:
            raise
        except Exception as e:
            raise foreign_error(e, None, "stream") from e

    async def _read_inflated(self, connection: Connection) -> bytes:
        inflate = self._inflate
        assert inflate is not None
        while True:
            data = self._tail or await connection.read()
            if not data:
                if not inflate.eof:
                    raise DecodeError("the compressed body ends too early", phase="stream")
                return b""
            try:
                out: bytes = inflate.decompress(data, INFLATE_STEP)
            except zlib.error as e:
                raise DecodeError(
                    f"the body's content coding is broken: {e}", phase="stream"
                ) from e
            self._tail = inflate.unconsumed_tail
            if out:
                return out
            if inflate.eof:
                self._tail = b""

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finished()


def _inflater(coding: str) -> Any:
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return _Inflate(coding == "deflate")
    raise DecodeError(f"the body comes in a coding nobody asked for: {coding!r}", phase="response")


class _Inflate:
    """zlib, for gzip (several members too), deflate and what some servers call deflate."""

    def __init__(self, deflate: bool) -> None:
        self._deflate = deflate
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS if deflate else zlib.MAX_WBITS | 16)
        self._begun = False
        self.unconsumed_tail = b""

    @property
    def eof(self) -> bool:
        return self._zlib.eof or not self._begun

    def decompress(self, data: bytes, limit: int) -> bytes:
        if self._zlib.eof:
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            out = self._zlib.decompress(data, limit)
        except zlib.error:
            if self._begun or not self._deflate:
                raise
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)  # raw, as old IIS sends it
            out = self._zlib.decompress(data, limit)
        self._begun = True
        self.unconsumed_tail = self._zlib.unconsumed_tail or self._zlib.unused_data
        return out


def _unreadable(e: Exception) -> BaseException:
    return TransportError(
        f"the server's answer is not HTTP/1.1: {e or type(e).__name__}",
        kind="read",
        phase="headers",
    )


def _head_of(request: Outgoing, route: Route) -> bytes:
    parts = urlsplit(request.url)
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    if route.forward:
        target = f"{parts.scheme}://{parts.netloc}{target}"
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    names = set()
    for name, value in request.headers.items():
        names.add(name.lower())
        if name.lower() not in ("host", "content-length", "transfer-encoding", "connection"):
            lines.append(f"{name}: {value}")
    if "accept-encoding" not in names:
        wants_stream = request.headers.get("accept") == "text/event-stream"
        lines.append(f"Accept-Encoding: {'identity' if wants_stream else 'gzip, deflate'}")
    if route.forward and route.proxy_auth:
        lines.append(f"Proxy-Authorization: {route.proxy_auth}")
    lines.append(f"Content-Length: {len(request.body)}\r\n\r\n")
    try:
        return "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigError(
            "the request can't be written as HTTP: its address is not ASCII"
        ) from None
