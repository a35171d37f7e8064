"""What the transport is tested against: servers that say any bytes, and a socket that is none."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from llmwire.errors import BackendError
from llmwire.transport import HTTPTransport, Outgoing
from llmwire.transport.address import Route
from llmwire.transport.connection import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
PLANTED = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nPLANTED"

Handler = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def outgoing(
    url: str,
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    connect: float | None = 10.0,
) -> Outgoing:
    return Outgoing("POST", url, headers or {"Authorization": "Bearer sk-secret"}, body, connect)


async def body_of(response: Any) -> bytes:
    blocks = []
    while block := await response.read():
        blocks.append(block)
    return b"".join(blocks)


async def fetch(transport: HTTPTransport, url: str, body: bytes = b"{}") -> bytes:
    """One whole exchange."""
    response = await transport.send(outgoing(url, body))
    try:
        return await body_of(response)
    finally:
        response.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for something that another task or thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of the next request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
    return head, await reader.readexactly(length)


class Peer:
    """A server on loopback that treats each connection as `handler` says."""

    def __init__(
        self, handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.open = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.go = asyncio.Event()
        """For handlers that wait for the test."""

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(
            self._serve, self._host, 0, ssl=self._tls, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]
        name = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{'https' if self._tls else 'http'}://{name}:{self.port}/v1/chat"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open += 1
        try:
            await self._handler(self, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test ended
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort() if self._tls else writer.close()

    async def hear(self, reader: asyncio.StreamReader) -> None:
        head, body = await read_request(reader)
        self.heads.append(head)
        self.bodies.append(body)


def saying(*answers: bytes | Sequence[bytes], end: bool = False) -> Handler:
    """Answers requests in turn, the last answer for ever; pieces leave one by one.

    With `end` the connection is closed after each answer.
    """

    async def handler(
        peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await peer.hear(reader)
            answer = answers[min(len(peer.heads), len(answers)) - 1]
            for piece in [answer] if isinstance(answer, bytes) else answer:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if end:
                return

    return handler


class FakeSocket(asyncio.Transport):
    """Where a `Connection` writes when there is no socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.paused = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False


class Owner:
    closed = False

    def opened(self, connection: Connection) -> None:
        pass

    def lost(self, connection: Connection) -> None:
        pass


class Played:
    """What became of an exchange over a fake socket."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.socket = FakeSocket()
        self.connection = Connection(self.owner, Route("http", "h", 80))
        self.connection.connection_made(self.socket)
        self.body = b""
        self.error: BackendError | None = None
        self.done = False

    async def run(self) -> None:
        connection = self.connection
        try:
            await connection.exchange(b"POST / HTTP/1.1\r\n\r\n", b"", kept=False)
            while True:
                data = connection.take()
                self.body += data
                if not data:
                    if connection.whole:
                        break
                    if connection.error is not None:
                        raise connection.failure("stream")
                    await connection.news()
        except BackendError as e:
            self.error = e
        self.done = True

    def feed(self, data: bytes) -> bool:
        """As the event loop would: nothing more once the socket is closed."""
        if self.socket.closed:
            return False
        self.connection.data_received(data)
        return True

    def end(self, how: str = "eof") -> None:
        """`eof`: a polite end; `reset`: a rude one."""
        if how == "eof" and not self.socket.closed:
            self.connection.eof_received()
        self.connection.connection_lost(ConnectionResetError() if how == "reset" else None)


async def play(pieces: Sequence[bytes], end: str = "eof") -> Played:
    """An exchange whose answer is these pieces; `end` as in `Played.end`, or `open`."""
    played = Played()
    task = asyncio.create_task(played.run())
    await asyncio.sleep(0)
    for piece in pieces:
        played.feed(piece)
    if end != "open":
        played.end(end)
    for _ in range(4):
        await asyncio.sleep(0)
    if not played.done:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return played


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    at = sorted({p % (len(data) + 1) for p in places} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(at)]
