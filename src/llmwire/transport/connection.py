"""One HTTP/1.1 connection on asyncio and llhttp (`httptools`).

Bytes are parsed where they arrive; a reader waits on one future. An answer belongs to the request
that was sent last, and to no other: bytes that nobody asked for end the connection.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import BackendError, Phase, TransportError
from .address import Route
from .foreign import foreign_error

if TYPE_CHECKING:
    import httptools

MAX_HEAD_BYTES = 256 * 1024
"""A bound on what comes without a byte of body: status line and headers, interim answers, chunk
extensions, trailers. Real heads stay below 32 KiB, cookies and policies included; this stops a
server that never ends them."""

HIGH_WATER = 1024 * 1024
"""Unread bytes from which on a connection stops reading, until its reader has caught up."""

STALE_SECONDS = 2.0
"""How soon after the request a kept connection's end still says that the server had closed it
before: it shows within a round trip. A server that took longer may have done what was asked."""

_JOINED_BYTES = 64 * 1024  # below this, joining head and body costs less than a second send


@lru_cache(maxsize=1024)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


class ConnectionOwner(Protocol):
    """Knows all connections of one event loop."""

    closed: bool

    def opened(self, connection: Connection) -> None: ...
    def lost(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """A connection and the answer that is coming over it.

    The parser calls `on_*`; the event loop calls what `asyncio.Protocol` names; the rest is ours.
    `error` says why the answer will not become whole. Bytes of the body are for the `sink`, right
    where they arrive, once there is one; until then they wait to be taken.
    """

    __slots__ = (
        "_blocks", "_busy", "_closing", "_end", "_interim", "_keep", "_loop", "_overhead",
        "_owner", "_parser", "_paused", "_poll", "_sent_at", "_surplus", "_tls", "_transport",
        "_unread", "_until_eof", "_waiter", "answered", "error", "headers", "on_body", "route",
        "sink", "status", "used_at", "whole",
    )  # fmt: skip

    def __init__(self, owner: ConnectionOwner, route: Route) -> None:
        self._owner = owner
        self.route = route
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._poll: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self._closing = self._surplus = self._busy = self._paused = False
        self.error: Exception | None = None
        self.answered = False
        """The status and headers of the answer are here."""
        self.whole = False
        """The answer is here to its last byte."""
        self.used_at = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}
        self._blocks: list[bytes] = []
        self.on_body = self._blocks.append  # the parser calls it; no frame of Python's between
        self._end = 0
        self.sink: Callable[[bytes], bool] | None = None
        """Takes the body's bytes; says whether its reader is to be woken."""
        self._unread = self._overhead = 0
        self._interim = self._keep = self._until_eof = False
        self._sent_at = 0.0
        self._tls: Any = None

    # --- the event loop's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._tls = transport.get_extra_info("ssl_object")
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0 and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)
        self._owner.opened(self)
        if self._owner.closed:
            self.shut()
        elif self._surplus or self._closing:  # it spoke inside a proxy's tunnel, too early
            self.abort()

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self._surplus = True  # nobody asked for these
            self.abort()
            return
        self._overhead += len(data)
        assert self._parser is not None
        before = len(self._blocks)
        try:
            self._parser.feed_data(data)
        except Exception as e:
            self._unreadable(e, data)
        if len(self._blocks) > before:
            self._on_blocks(len(data))
        elif self._overhead > MAX_HEAD_BYTES:
            self._fail(
                TransportError(
                    f"the server sent {MAX_HEAD_BYTES:,} bytes of headers and no body",
                    kind="limit",
                    phase="stream" if self.answered else "headers",
                    retryable=False,
                )
            )

    def _on_blocks(self, size: int) -> None:
        """A packet of so many bytes had pieces of the body in it."""
        blocks = self._blocks
        if self._surplus and self.whole:
            del blocks[self._end :]  # of an answer that nobody asked for
            if not blocks:
                return
        self._overhead = 0
        self._unread += size
        sink = self.sink
        if sink is not None:
            data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
            blocks.clear()
            if sink(data):
                self._wake()
        elif self._waiter is not None:
            self._wake()
        if self._unread > HIGH_WATER and not (self._paused or self._closing):
            self._paused = True
            cast(asyncio.Transport, self._transport).pause_reading()

    def eof_received(self) -> None:
        if not self._busy:
            return
        if self.answered and self._until_eof and self._ended_on_purpose():
            self._busy = False
            self.whole = True
            self._wake()
        else:
            self._fail(_cut(self.answered))

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._owner.lost(self)
        if self._busy:
            self._fail(exc or _cut(self.answered))
        self._parser = None

    # --- the parser's side ---

    def on_message_begin(self) -> None:
        if not self._busy:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.answered or not self._busy:
            return  # a trailer may not change what was decided, or it is another's
        key, text = _lower(name), value.decode("latin-1").rstrip(" \t")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        parser = self._parser
        if not self._busy or parser is None:
            return
        status = parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim = True
            self.headers = {}
            return
        headers = self.headers
        coding = ""
        if "transfer-encoding" in headers:
            coding = headers["transfer-encoding"].strip().lower()
        version = parser.get_http_version()
        if status < 200 or version not in ("1.1", "1.0"):
            self._unreadable(ValueError(f"HTTP/{version} with status {status}"))
        elif coding not in ("", "chunked", "identity"):
            self._unreadable(ValueError(f"unknown transfer coding {coding[:40]!r}"))
        else:
            self.status = status
            self.answered = True
            self._keep = parser.should_keep_alive()
            self._until_eof = coding != "chunked" and "content-length" not in headers
            self._wake()

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._busy:
            self._busy = False
            self.whole = True
            self._end = len(self._blocks)
            self._wake()

    # --- our side ---

    async def exchange(self, head: bytes, body: bytes, *, kept: bool) -> None:
        """Sends a request and waits for the status and headers of its answer.

        Raises `TransportError`; the connection is then closed, as it is when this is cancelled.
        """
        self.whole = self.answered = self._interim = False
        self._blocks.clear()
        self.sink = None
        self._unread = self._overhead = self.status = 0
        self.headers = {}
        self._sent_at = self._loop.time()
        transport = self._transport
        if self._surplus or self._closing or transport is None or self._spoke_first(kept):
            self._fail(
                TransportError(
                    "the server spoke, or closed the connection, before it was asked",
                    kind="read",
                    phase="headers",
                )
            )
            raise self.failure("headers")
        if self._parser is None:
            import httptools

            self._parser = httptools.HttpResponseParser(self)
        self._busy = True
        try:
            if len(body) < _JOINED_BYTES:
                transport.write(head + body)
            else:
                transport.write(head)
                transport.write(body)
            while not self.answered:
                if self.error is not None:
                    raise self.failure("headers")
                await self.news()
        except BaseException:
            self.abort()
            raise

    def take(self) -> bytes:
        """The bytes of the body that have come; b"" for none."""
        blocks = self._blocks
        if not blocks:
            return b""
        data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
        blocks.clear()
        self.caught_up()
        return data

    def has_bytes(self) -> bool:
        return bool(self._blocks)

    def caught_up(self) -> None:
        """The reader has seen all that came: more may come."""
        self._unread = 0
        if self._paused:
            self._resume()

    def news(self) -> asyncio.Future[None]:
        """Ends at the next change: bytes, the end of the answer, an error."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def failure(self, phase: Phase) -> BackendError:
        """What to raise for `error`."""
        assert self.error is not None
        if isinstance(self.error, BackendError):
            return self.error
        return foreign_error(self.error, None, phase)

    @property
    def was_stale(self) -> bool:
        """Whether a failed exchange never reached the server: it had closed the connection."""
        return (
            isinstance(self.error, OSError)
            and not self.answered
            and not self._overhead
            and self._loop.time() - self._sent_at < STALE_SECONDS
        )

    def is_reusable(self) -> bool:
        """Whether, after an answer, the next request may go over this connection."""
        transport = self._transport
        return (
            self.whole
            and self._keep
            and not self._surplus
            and not self._closing
            and not self._owner.closed
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()  # answered before the request was out
        )

    def rest(self) -> None:
        """Waits for the next request."""
        self._blocks.clear()
        self.sink = None
        self.caught_up()
        self.used_at = self._loop.time()

    def is_fit(self) -> bool:
        """Whether a resting connection can still be used.

        Looks at the socket itself: an end, or bytes nobody asked for, may wait there unread.
        """
        transport = self._transport
        return not (
            self._closing
            or self._surplus
            or transport is None
            or transport.is_closing()
            or self._poll_says()
        )

    def abort(self) -> None:
        """Closes the socket now; what was not sent is dropped."""
        self._busy = False
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def shut(self) -> None:
        """Closes the socket because we are told to; whoever reads is told so too."""
        if self.error is None:
            self._fail(
                TransportError(
                    "the connection was closed on our side", kind="closed", retryable=False
                )
            )

    # --- inside ---

    def _poll_says(self) -> bool:
        return self._poll is not None and bool(self._poll.poll(0))

    def _spoke_first(self, kept: bool) -> bool:
        # A kept one was looked at a moment ago. Over TLS session tickets may come at any time.
        return not kept and self._transport is not None and self._tls is None and self._poll_says()

    def _ended_on_purpose(self) -> bool:
        """Without TLS no one can tell; with it, an end without goodbye may be an attack's."""
        if self._tls is None:
            return True
        try:
            return not self._tls.read(1)
        except ssl.SSLZeroReturnError:
            return True
        except (OSError, ValueError):
            return False

    def _resume(self) -> None:
        self._paused = False
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.whole:
            self.error = self.error or error
        self.abort()
        self._wake()

    def _unreadable(self, e: Exception, data: bytes = b"") -> None:
        if not self._busy:
            self._surplus = True  # the answer was whole; what followed is not ours
            self.abort()
            return
        hint = ""
        if not self.answered and data[:2] == b"\x15\x03":
            hint = ". It speaks TLS: use https:// in the address"
        error = TransportError(
            f"the server's answer is not HTTP/1.1: {e or type(e).__name__}{hint}",
            kind="read",
            phase="stream" if self.answered else "headers",
            retryable=not hint,
        )
        error.__cause__ = e
        self._fail(error)


def _cut(answered: bool) -> ConnectionResetError:
    where = "in the middle of the answer" if answered else "without an answer"
    return ConnectionResetError(f"the server closed the connection {where}")
