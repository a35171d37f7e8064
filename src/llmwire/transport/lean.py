"""The default transport: HTTP/1.1, and no more of it than replies need."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping

from ..errors import BackendError, TransportError
from .address import Address, Route, address_of, head_of
from .connection import Connection
from .content import Inflater, inflater_for
from .dial import dial
from .foreign import foreign_error
from .pools import Pools
from .seam import Outgoing, TransportResponse

IDLE_SECONDS = 50.0
"""How long an unused connection is kept. Load balancers close theirs after 60 s and more."""

MAX_ADDRESSES = 256
"""How many URLs are remembered taken apart; a backend has a handful."""


class HTTPTransport:
    """The default. Each event loop that uses it gets a pool of its own, closed with the loop.

    `tls` replaces the system's trust store (for private authorities or client certificates);
    `proxies=False` ignores the proxy variables of the environment, which are otherwise read when
    an address is first used.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, *, proxies: bool = True) -> None:
        self._tls = tls
        self._proxies = proxies
        self._pools: Pools[Pool] = Pools(Pool)
        self._addresses: dict[str, Address] = {}

    async def send(self, request: Outgoing) -> TransportResponse:
        """Sends and waits for the headers.

        A kept connection that turns out to be closed, without a byte of an answer, is replaced
        once: the server let go of it before it saw the request. Raises `TransportError`, and
        `ConfigError` for an address or headers that HTTP can't say.
        """
        address = self._addresses.get(request.url) or self._address(request.url)
        head = head_of(request, address)
        pool = self._pools.known() or await self._pools.here()
        route = address.route
        connection = pool.take(route)
        if connection is not None:
            try:
                await connection.exchange(head, request.body, kept=True)
                return Response(connection, pool)
            except BackendError:
                if not connection.was_stale:
                    raise
        try:
            connection = await dial(
                route, lambda: Connection(pool, route), self._tls, request.connect_timeout
            )
        except BackendError:
            raise
        except Exception as e:
            raise foreign_error(e, request.connect_timeout, "connect") from e
        await connection.exchange(head, request.body, kept=False)
        return Response(connection, pool)

    async def close(self) -> None:
        """Closes all connections: this loop's now, those of other loops as soon as they turn.

        Replies that still come end in a `TransportError` of kind `closed`. The transport can be
        used again.
        """
        self._addresses.clear()
        await self._pools.close()

    def _address(self, url: str) -> Address:
        if len(self._addresses) >= MAX_ADDRESSES:
            self._addresses.clear()
        address = self._addresses[url] = address_of(url, self._proxies)
        return address


class Pool:
    """The connections of one event loop, the most recently used first."""

    def __init__(self) -> None:
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Route, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self, route: Route) -> Connection | None:
        idle = self._idle.get(route)
        while idle:
            connection = idle.pop()
            if self._loop.time() - connection.used_at < IDLE_SECONDS and connection.is_fit():
                return connection
            connection.abort()
        return None

    def give(self, connection: Connection) -> None:
        """Keeps a connection whose answer was read, if it is fit for another; else closes it.

        The garbage collector may drop an answer in any thread.
        """
        if not self._is_here():
            with contextlib.suppress(RuntimeError):  # its loop is closed, and its sockets with it
                self._loop.call_soon_threadsafe(self.give, connection)
            return
        if not connection.is_reusable():
            connection.abort()
            return
        connection.rest()
        self._idle.setdefault(connection.route, []).append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_SECONDS / 2, self._sweep)

    def _is_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def opened(self, connection: Connection) -> None:
        self._all.add(connection)

    def lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        idle = self._idle.get(connection.route)
        if idle and connection in idle:
            idle.remove(connection)

    def close_now(self) -> None:
        self.closed = True
        for connection in list(self._all):
            connection.shut()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def close(self) -> None:
        self.close_now()
        for _ in range(2):  # the sockets are closed on the loop's next turn; TLS takes another
            await asyncio.sleep(0)

    def _sweep(self) -> None:
        """Closes what was not used for long; a burst's connections are not kept for ever."""
        self._sweeper = None
        oldest = self._loop.time() - IDLE_SECONDS
        for route, idle in list(self._idle.items()):
            fresh = [c for c in idle if c.used_at > oldest]
            for connection in idle[: len(idle) - len(fresh)]:  # the oldest stand first
                connection.abort()
            if fresh:
                self._idle[route] = fresh
            else:
                del self._idle[route]
        if self._idle:
            self._sweeper = self._loop.call_later(IDLE_SECONDS / 2, self._sweep)


class Response:
    """An answer over a `Connection`; see `TransportResponse`."""

    __slots__ = ("_connection", "_inflater", "_pool", "direct", "headers", "status")

    def __init__(self, connection: Connection, pool: Pool) -> None:
        self._connection: Connection | None = connection
        self._pool = pool
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers
        self._inflater: Inflater | None = None
        self.direct = "content-encoding" not in self.headers

    @property
    def at_end(self) -> bool:
        connection = self._connection
        return connection is not None and connection.whole and not connection.has_bytes()

    def take(self) -> bytes:
        return b"" if self._connection is None else self._connection.take()

    def deliver(self, sink: Callable[[bytes], bool]) -> None:
        connection = self._connection
        if connection is not None:
            if data := connection.take():
                sink(data)
            connection.sink = sink

    def news(self) -> asyncio.Future[None] | None:
        connection = self._connection
        if connection is None:
            raise _closed()
        if connection.whole:
            return None
        if connection.error is not None:
            raise connection.failure("stream")
        connection.caught_up()
        return connection.news()

    async def read(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise _closed()
        if not self.direct:
            return await self._read_inflated(connection)
        while not (data := connection.take()):
            if connection.whole:
                return b""
            if connection.error is not None:
                raise connection.failure("stream")
            await connection.news()
        return data

    async def _read_inflated(self, connection: Connection) -> bytes:
        inflater = self._inflater
        if inflater is None:
            inflater = self._inflater = inflater_for(self.headers["content-encoding"])
        while True:
            if inflater is not None and inflater.tail:
                data = inflater.tail
            else:
                while not (data := connection.take()):
                    if connection.whole:
                        if inflater is not None:
                            inflater.finish()
                        return b""
                    if connection.error is not None:
                        raise connection.failure("stream")
                    await connection.news()
            if inflater is None:
                return data
            if out := inflater.step(data):
                return out

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give(connection)

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()


def _closed() -> TransportError:
    return TransportError("the answer was closed", kind="closed", retryable=False)
