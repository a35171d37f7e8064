"""The limit: an `asyncio.Protocol` that reads where the bytes arrive and wakes its user once a
packet. Right for these bytes only; it checks nothing, so nothing that checks can be as cheap."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..wires import Turn
from .base import Driver, Place
from .readers import Asked, Reader, asked, body_of, longer, reader, text_of

_PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


class Connection(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self._reader: Reader | None = None
        self._head: bytes | None = b""
        self._blocks: list[bytes] = []
        self._missing = 0
        self._tail = b""
        self._whole = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._head = None
            if self._reader is None:
                length = head.lower().partition(b"content-length:")[2]
                self._missing = int(length.partition(b"\r\n")[0])
        if self._reader is not None:
            self._reader.feed(data)
            self._tail = data[-5:] if len(data) > 4 else (self._tail + data)[-5:]
            self._whole = self._reader.done and self._tail == b"0\r\n\r\n"
        else:
            self._blocks.append(data)
            self._missing -= len(data)
            if self._missing:
                return
            self._whole = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def stream(self, head: str, body: bytes, reader: Reader) -> str:
        self._reader, self._head, self._whole = reader, b"", False
        self._transport.write(head.encode() + body)
        texts: list[str] = []
        while True:
            if not reader.texts and not self._whole:
                self._waiter = self._loop.create_future()
                await self._waiter
            arrived, reader.texts = reader.texts, []
            for text in arrived:  # a user looks at each
                texts.append(str(text))
            if self._whole and not reader.texts:
                return "".join(texts)

    async def call(self, head: str, body: bytes) -> bytes:
        self._reader, self._head, self._whole, self._blocks = None, b"", False, []
        if len(body) < 65536:
            self._transport.write(head.encode() + body)
        else:  # a write more is cheaper than a copy
            self._transport.write(head.encode())
            self._transport.write(body)
        self._waiter = self._loop.create_future()
        await self._waiter
        return b"".join(self._blocks)

    def close(self) -> None:
        self._transport.abort()


class Raw(Driver):
    package = "msgspec"

    def __init__(self) -> None:
        self._idle: dict[str, list[Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def _connection(self, origin: str) -> Connection:
        idle = self._idle.setdefault(origin, [])
        if idle:
            return idle.pop()
        parts = urlsplit(origin)
        if parts.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        tls = self._tls if parts.scheme == "https" else None
        loop = asyncio.get_running_loop()
        return (
            await loop.create_connection(Connection, parts.hostname or "", parts.port or 0, ssl=tls)
        )[1]

    def _head(self, place: Place, body: bytes) -> str:
        return (
            f"POST /{place.style}/{place.what}{_PATHS[place.style]} HTTP/1.1\r\n"
            "host: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer none\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )

    async def stream(self, place: Place, asked: Asked) -> str:
        body = body_of(place.style, asked, True)
        connection = await self._connection(place.origin)
        text = await connection.stream(self._head(place, body), body, reader(place.style))
        self._idle[place.origin].append(connection)
        return text

    gather = stream
    add_up = stream

    async def call(self, place: Place, asked: Asked) -> str:
        body = body_of(place.style, asked, False)
        connection = await self._connection(place.origin)
        answer = await connection.call(self._head(place, body), body)
        self._idle[place.origin].append(connection)
        return text_of(place.style, answer)

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        return asked(style, list(turns), tools)

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return longer(asked, style, list(turns))

    def decoder(self, style: str) -> Callable[[Sequence[bytes]], str]:
        def decode(pieces: Sequence[bytes]) -> str:
            read = reader(style)
            for piece in pieces:
                read.feed(piece)
            return "".join(read.texts)

        return decode

    def parser(self, style: str) -> Callable[[bytes], str]:
        return lambda body: text_of(style, body)

    async def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()


def make(option: str) -> Driver:
    return Raw()
