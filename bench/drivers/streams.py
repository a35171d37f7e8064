"""The same least reader on asyncio's streams, as one would write it by hand."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from .base import Driver, Place
from .raw import Raw
from .readers import Asked, body_of, reader, text_of

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Streams(Raw):
    def __init__(self) -> None:
        super().__init__()
        self._free: dict[str, list[Pair]] = {}

    async def _send(self, place: Place, body: bytes) -> Pair:
        free = self._free.setdefault(place.origin, [])
        if free:
            pair = free.pop()
        else:
            parts = urlsplit(place.origin)
            if parts.scheme == "https" and self._tls is None:
                self._tls = ssl.create_default_context()
            tls = self._tls if parts.scheme == "https" else None
            pair = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
        pair[1].write(self._head(place, body).encode() + body)
        return pair

    async def stream(self, place: Place, asked: Asked) -> str:
        pair = await self._send(place, body_of(place.style, asked, True))
        await pair[0].readuntil(b"\r\n\r\n")
        read, tail = reader(place.style), b""
        while not (read.done and tail == b"0\r\n\r\n"):
            data = await pair[0].read(65536)
            read.feed(data)
            tail = (tail + data)[-5:]
        self._free[place.origin].append(pair)
        return "".join(read.texts)

    gather = stream
    add_up = stream

    async def call(self, place: Place, asked: Asked) -> str:
        pair = await self._send(place, body_of(place.style, asked, False))
        head = await pair[0].readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = await pair[0].readexactly(length)
        self._free[place.origin].append(pair)
        return text_of(place.style, answer)

    async def close(self) -> None:
        for pairs in self._free.values():
            for _, writer in pairs:
                writer.transport.abort()


def make(option: str) -> Driver:
    return Streams()
