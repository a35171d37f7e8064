"""One connection of the server: reads requests, sends answers, breaks where a fault says."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from typing import Protocol, cast

from .answer import Answer, has_header
from .http1 import LAST_CHUNK, HTTPError, HTTPRequest, RequestParser, chunk_bytes, head_bytes

_MAX_READ_AHEAD = 1024 * 1024  # bytes of later requests that are read while one is answered
_LINGER = 1.0  # seconds a refused client gets to read the refusal before the connection goes
_SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes not yet sent
_BREATH = 16  # events sent before other connections get a turn


class Owner(Protocol):
    """What a connection needs of its server; not for the server's users."""

    max_head: int
    max_body: int

    def _opened(self, connection: Connection) -> None: ...

    def _closed(self, connection: Connection) -> None: ...

    def _answer(self, request: HTTPRequest) -> Answer: ...

    def _refusal(self, error: HTTPError, target: str) -> Answer: ...


class Connection(asyncio.Protocol):
    """Serves one client until either side has had enough. TCP_NODELAY is asyncio's default."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = RequestParser(owner.max_head, owner.max_body)
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None  # waits for bytes
        self._writable: asyncio.Future[None] | None = None  # waits for room
        self._eof = False
        self._stalled = False
        self._refused = False

    # --- called by the event loop -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # What was written is in the kernel before we go on: a fault then cuts where it says.
        self._transport.set_write_buffer_limits(0)
        self._owner._opened(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._parser.feed(data)
        if self._parser.buffered > _MAX_READ_AHEAD and self._wake is None:
            self._transport.pause_reading()
        self._notify()

    def eof_received(self) -> bool:
        self._eof = True
        self._notify()
        if self._stalled:
            self._transport.close()
        return True  # a client may close its side and still read

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner._closed(self)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # --- our side -----------------------------------------------------------------------------

    def abort(self) -> asyncio.Task[None] | None:
        """Drops the connection; gives the task that then comes to its end."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _serve(self) -> None:
        try:
            while (request := await self._next_request()) is not None:
                answer = self._owner._answer(request)
                if not await self._play(answer, request):
                    break
        except HTTPError as e:
            await self._refuse(e)
        except ConnectionError:
            pass
        finally:
            self._transport.close()

    async def _next_request(self) -> HTTPRequest | None:
        """The next request; None when the client has no more."""
        continued = False
        while True:
            request = self._parser.next()
            if request is not None:
                return request
            if self._eof:
                return None
            if self._parser.wants_continue and not continued:
                continued = True
                await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._wake = asyncio.get_running_loop().create_future()
            self._transport.resume_reading()
            try:
                await self._wake
            finally:
                self._wake = None

    async def _refuse(self, error: HTTPError) -> None:
        """Says why, and lets a client that is still sending read it."""
        answer = self._owner._refusal(error, self._parser.target)
        self._refused = True
        body = answer.events[0]
        headers = (*answer.headers, ("content-length", str(len(body))), ("connection", "close"))
        try:
            await self._write(head_bytes(answer.status, headers) + body)
            self._transport.write_eof()
            self._wake = asyncio.get_running_loop().create_future()
            self._transport.resume_reading()
            if not self._eof:
                await asyncio.wait([self._wake], timeout=_LINGER)
        except ConnectionError:
            pass

    async def _write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(data)
        if self._writable is not None:
            await self._writable

    async def _play(self, answer: Answer, request: HTTPRequest) -> bool:
        """Sends an answer. False: the connection can't be used any more."""
        reply = answer.reply
        fault = reply.fault
        await self._pause(reply.delay)
        if fault is not None and fault.at_once:
            return await self._break(answer)
        if answer.raw is not None:
            whole = await self._send_body(answer, (answer.raw,), lambda data: data)
            if not whole and fault is not None:
                return await self._break(answer)
            return False
        keep = request.keep_alive and not self._eof
        headers = list(answer.headers)
        frame: Callable[[bytes], bytes] = chunk_bytes
        if has_header(headers, "content-length") or has_header(headers, "transfer-encoding"):
            keep, frame = False, bytes  # scripted framing, as it was said; it may lie
        elif not (
            answer.stream
            or reply.pings
            or (fault is not None and fault.kind in ("end", "error", "ping"))
        ):
            frame = bytes
            headers.append(("content-length", str(sum(map(len, answer.events)))))
        elif request.http10:
            keep, frame = False, bytes
        else:
            headers.append(("transfer-encoding", "chunked"))
        if has_header(headers, "connection"):
            keep = keep and ("connection", "close") not in [(n.lower(), v) for n, v in headers]
        elif not keep:
            headers.append(("connection", "close"))
        head = head_bytes(answer.status, headers)
        if request.method == "HEAD":
            await self._write(head)
            return keep
        plain = fault is None and not (reply.first_delay or reply.split or reply.gzip)
        if frame is bytes and plain and len(answer.events) == 1:
            await self._write(head + answer.events[0])
            return keep
        await self._write(head)
        await self._pause(reply.first_delay)
        for _ in range(reply.pings):
            await self._write(frame(answer.ping))
            await self._pause(reply.between)
        if not await self._send_body(answer, answer.events, frame):
            return await self._break(answer, frame) and keep
        if frame is chunk_bytes:
            await self._write(LAST_CHUNK)
        return keep

    async def _send_body(
        self, answer: Answer, events: tuple[bytes, ...], frame: Callable[[bytes], bytes]
    ) -> bool:
        """Sends events up to the fault. True: there is no fault, all was sent."""
        reply = answer.reply
        fault = reply.fault
        limit, room = None, None
        if fault is not None:
            room = fault.bytes
            if room is None:
                limit = fault.events or 0
                if limit < 0:
                    limit = max(0, len(events) + limit)
        squeeze = zlib.compressobj(wbits=31) if reply.gzip and answer.raw is None else None
        for n, event in enumerate(events[:limit]):
            if n:
                await self._pause(reply.between)
                if not n % _BREATH:
                    await asyncio.sleep(0)
            data = event
            if squeeze is not None:
                data = squeeze.compress(event) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            room = await self._send(data, room, reply.split, frame)
            if room == 0:
                break
        if squeeze is not None and fault is None:
            await self._send(squeeze.flush(), None, reply.split, frame)
        return fault is None

    async def _pause(self, seconds: float) -> None:
        """A scripted wait; a client that leaves meanwhile is let go at once."""
        if seconds > 0:
            self._stalled = True
            await asyncio.sleep(seconds)
            self._stalled = False

    async def _send(
        self, data: bytes, room: int | None, split: int | None, frame: Callable[[bytes], bytes]
    ) -> int | None:
        """Sends data as far as there is room; gives the room that is left."""
        data = data if room is None else data[:room]
        size = split or len(data) or 1
        for at in range(0, len(data), size):
            await self._write(frame(data[at : at + size]))
            if split:
                await asyncio.sleep(0)
        return None if room is None else room - len(data)

    async def _break(self, answer: Answer, frame: Callable[[bytes], bytes] | None = None) -> bool:
        """Does what the fault says. True: the answer has its end, the connection may go on."""
        fault = answer.reply.fault
        assert fault is not None
        if fault.kind == "reset":
            sock: socket.socket = self._transport.get_extra_info("socket")
            await _sent(sock)
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        elif fault.kind in ("stall", "ping"):
            self._stalled = True
            while not self._eof:
                if fault.kind == "ping" and frame is not None:
                    await self._write(frame(answer.ping))
                    await asyncio.sleep(fault.every)
                else:
                    await asyncio.get_running_loop().create_future()
        elif frame is not None and fault.kind in ("end", "error"):
            if fault.kind == "error":
                await self._write(frame(answer.error_event))
            if frame is chunk_bytes:
                await self._write(LAST_CHUNK)
                return True
        return False


async def _sent(sock: socket.socket) -> None:
    """Waits until the kernel has sent what was written: a reset throws away what it has not."""
    if sys.platform != "linux":
        await asyncio.sleep(0.05)
        return
    import fcntl

    unsent = bytearray(4)
    for _ in range(1000):  # a client that does not read must not hold us for ever
        fcntl.ioctl(sock.fileno(), _SIOCOUTQNSD, unsent)
        if not int.from_bytes(unsent, sys.byteorder):
            return
        await asyncio.sleep(0.001)
