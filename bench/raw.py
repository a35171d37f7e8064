"""The limit: asyncio's streams, a split by lines, one typed decode an event. Right for these
bytes only; it checks nothing, so nothing that checks can be as cheap."""

from __future__ import annotations

import asyncio

import msgspec

from .wires import Wire


class RawClient:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def _send(self, path: str, body: bytes) -> asyncio.StreamReader:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        return self._reader

    async def stream(self, wire: Wire, path: str) -> str:
        reader = await self._send(path, msgspec.json.encode(wire.raw_request("hi")))
        await reader.readuntil(b"\r\n\r\n")
        parser = wire.raw_reader()
        tail = b""
        while True:
            data = await reader.read(65536)
            # Each event is one HTTP chunk, so the lines with chunk sizes are merely other lines.
            parser.feed(data)
            tail = (tail + data)[-5:]
            if parser.done and tail == b"0\r\n\r\n":
                return "".join(parser.texts)

    async def call(self, wire: Wire, path: str) -> str:
        reader = await self._send(path, msgspec.json.encode(wire.raw_request("hi")))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return wire.raw_answer(await reader.readexactly(length))

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()
