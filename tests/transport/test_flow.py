"""Slow readers, large requests, clocks and cancellation: memory stays bounded, no socket stays."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from pathlib import Path

import pytest
import trustme
from peers import OK, Peer, Played, body_of, fetch, outgoing, read_request, saying, until

from llmwire.errors import TimeoutError_, TransportError
from llmwire.transport import HTTPTransport
from llmwire.transport.connection import HIGH_WATER

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_slow_reader_bounds_memory() -> None:
    size = 32 * 2**20
    sent = 0

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        nonlocal sent
        while True:
            await peer.hear(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(0, size, 65536):
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        response = await transport.send(outgoing(peer.url))
        connection = response._connection
        await until(lambda: connection._paused)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert connection._unread <= HIGH_WATER + 2**19
        assert sent < size  # the rest waits on the server's side
        total = 0
        while block := await response.read():
            total += len(block)
            assert connection._unread <= HIGH_WATER + 2**19
            await asyncio.sleep(0)
        assert total == size
        response.close()
        assert await body_of(await transport.send(outgoing(peer.url))) == b"x" * size
        assert peer.accepted == 1
        await transport.close()


async def test_leaving_a_whole_but_unread_answer_keeps_a_working_connection() -> None:
    body = b"x" * (HIGH_WATER + 2**18)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    transport = HTTPTransport()
    async with Peer(saying(answer, OK)) as peer:
        response = await transport.send(outgoing(peer.url))
        await until(lambda: response._connection._paused or response._connection.whole)
        response.close()  # unread, and perhaps paused
        assert await fetch(transport, peer.url) == b"hello"
        await transport.close()


async def test_a_connection_that_rests_reads_again() -> None:
    size = HIGH_WATER + 1
    played = Played()
    task = asyncio.create_task(played.connection.exchange(b"x", b"", kept=False))
    await asyncio.sleep(0)
    played.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    await task
    assert played.socket.paused and played.connection.is_reusable()
    played.connection.rest()
    assert not played.socket.paused and not played.connection.take()


async def test_a_large_request_to_a_server_that_reads_slowly() -> None:
    got = bytearray()

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while len(got) < len(body):
            got.extend(await reader.read(100_000))
            await asyncio.sleep(0.001)
        writer.write(OK)
        await reader.read()

    body = bytes(range(256)) * 40_000  # 10 MB
    transport = HTTPTransport()
    async with Peer(handler) as peer:
        assert await fetch(transport, peer.url, body) == b"hello"
        assert got == body
        await transport.close()


@pytest.mark.parametrize("end", ["leaves", "stays"])
async def test_an_answer_before_the_request_was_sent(end: str) -> None:
    """A 413 comes without the body having been read; such a connection is not used again."""

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()
        if end == "stays":
            await peer.go.wait()

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        for accepted in (1, 2):
            response = await transport.send(outgoing(peer.url, b"x" * 30_000_000))
            assert response.status == 413
            assert await body_of(response) == b"hello"
            response.close()
            assert peer.accepted == accepted
        peer.go.set()
        await until(lambda: peer.open == 0)
        await transport.close()


# --- clocks and cancellation --------------------------------------------------------------------


async def open_sockets() -> int:
    for _ in range(3):
        await asyncio.sleep(0)
    return sum("socket:" in str(p.readlink()) for p in fds() if p.is_symlink())


def fds() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())


async def test_the_connect_clock() -> None:
    """A backlog that is full: the kernel drops what knocks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        transport = HTTPTransport()
        with pytest.raises(TimeoutError_) as caught:
            await transport.send(outgoing(f"http://127.0.0.1:{port}/", connect=0.05))
        error = caught.value
        assert (error.clock, error.kind, error.seconds) == ("connect", "connect", 0.05)
        assert error.retryable
        for sock in fill:
            sock.close()
        await transport.close()


def tls_pair() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return server, client


async def test_the_connect_clock_covers_the_handshake() -> None:
    async def silent(peer: Peer, reader: Reader, writer: Writer) -> None:
        await reader.read()

    transport = HTTPTransport()
    async with Peer(silent) as peer:
        url = peer.url.replace("http:", "https:")
        with pytest.raises(TimeoutError_) as caught:
            await transport.send(outgoing(url, connect=0.05))
        assert caught.value.clock == "connect"
        await until(lambda: peer.open == 0)


PHASES = ("dial", "handshake", "headers", "body")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_leaving_at_each_phase_leaves_no_socket(phase: str, how: str) -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        if phase == "handshake":
            await reader.read(1)
            peer.go.set()
            await reader.read()
        if phase == "dial":
            await reader.read()
        await read_request(reader)
        peer.go.set()
        if phase == "body":
            writer.write(CHUNKED + b"5\r\nhello\r\n")
        await reader.read()

    async def call() -> None:
        response = await transport.send(outgoing(url))
        try:
            await body_of(response)
        finally:
            response.close()

    before = await open_sockets() if sys.platform == "linux" else 0
    server, client = tls_pair()
    transport = HTTPTransport(tls=client)
    async with Peer(handler, tls=server if phase in ("headers", "body") else None) as peer:
        url = peer.url.replace("http:", "https:") if phase == "handshake" else peer.url
        for turns in range(12 if phase == "dial" else 3):
            task = asyncio.create_task(call())
            if phase == "dial":
                for _ in range(turns):
                    await asyncio.sleep(0)
            else:
                await peer.go.wait()
                await asyncio.sleep(0.002 * turns)
            if how == "cancel":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await task
            peer.go.clear()
            await until(lambda: peer.open == 0)
        pool = transport._pools.known()
        await until(lambda: pool is None or not pool._all)
        await transport.close()
    if sys.platform == "linux":
        for _ in range(200):
            if await open_sockets() <= before:
                break
            await asyncio.sleep(0.01)
        assert await open_sockets() <= before


async def test_cancelling_at_any_turn_of_the_loop() -> None:
    """From the first turn to the last: a cancelled call never leaves a connection open."""
    server, client = tls_pair()
    for context in (None, server):
        transport = HTTPTransport(tls=client)
        async with Peer(saying(OK), tls=context) as peer:
            turns = finished = 0
            while finished < 3:
                task = asyncio.create_task(fetch(transport, peer.url))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if task.done():
                    finished += 1
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                pool = transport._pools.known()
                if pool is not None:
                    idle = sum(map(len, pool._idle.values()))
                    await until(lambda n=idle: peer.open == n)
                    await transport.close()
                    await until(lambda: peer.open == 0)
                turns += 1
            await transport.close()


async def test_a_call_inside_a_timeout_ends_with_it() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        await reader.read()

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await fetch(transport, peer.url)
        await until(lambda: peer.open == 0)
        await transport.close()


async def test_a_chunk_makes_no_task_and_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(CHUNKED)
        for _ in range(50):
            await peer.go.wait()
            peer.go.clear()
            writer.write(b"1\r\nx\r\n")
        writer.write(b"0\r\n\r\n")
        await reader.read()

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        response = await transport.send(outgoing(peer.url))
        loop = asyncio.get_running_loop()

        def refuse(*args: object, **kwargs: object) -> None:
            raise AssertionError("a task or a timer")

        with monkeypatch.context() as patched:
            for name in ("create_task", "call_later", "call_at"):
                patched.setattr(loop, name, refuse)
            got = b""
            while len(got) < 50:
                peer.go.set()
                got += await response.read()
            assert got == b"x" * 50
            assert await response.read() == b""
        response.close()
        await transport.close()


async def test_the_network_breaks_while_the_request_is_sent() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        with pytest.raises(TransportError) as caught:
            await fetch(transport, peer.url, b"x" * 30_000_000)
        assert caught.value.kind in ("read", "write") and caught.value.retryable
        assert peer.accepted == 1
        await transport.close()
