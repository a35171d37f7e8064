"""Connections that are kept: one answer a request, and no socket left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from peers import OK, PLANTED, Peer, body_of, fetch, outgoing, read_request, saying, until

from llmwire.errors import TransportError
from llmwire.testing import LocalServer, Reply
from llmwire.transport import HTTPTransport, connection, lean
from llmwire.transport.address import address_of
from llmwire.transport.dial import dial

ASK = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def reset(writer: Writer) -> None:
    """Ends the connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def idle_of(transport: HTTPTransport) -> list[connection.Connection]:
    pool = transport._pools.known()
    return [] if pool is None else [c for idle in pool._idle.values() for c in idle]


async def test_a_connection_is_used_again_the_last_first() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        for _ in range(5):
            assert await fetch(transport, peer.url) == b"hello"
        assert (peer.accepted, len(peer.heads)) == (1, 5)
        responses = [await transport.send(outgoing(peer.url)) for _ in range(3)]
        assert peer.accepted == 3
        for response in responses:
            await body_of(response)
            response.close()
        last = idle_of(transport)[-1]
        assert len(idle_of(transport)) == 3
        response = await transport.send(outgoing(peer.url))
        assert response._connection is last
        await body_of(response)
        response.close()
        await transport.close()
        await until(lambda: peer.open == 0)


async def test_origins_do_not_share_connections() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK)) as one, Peer(saying(OK)) as two:
        for _ in range(2):
            await fetch(transport, one.url)
            await fetch(transport, two.url)
            await fetch(transport, one.url.replace("127.0.0.1", "localhost"))
        assert (one.accepted, two.accepted) == (2, 1)
        await transport.close()


@pytest.mark.parametrize("answer", [
    OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    OK.replace(b"1.1", b"1.0"),
])  # fmt: skip
async def test_close_is_honoured(answer: bytes) -> None:
    transport = HTTPTransport()
    async with Peer(saying(answer)) as peer:
        await fetch(transport, peer.url)
        await until(lambda: peer.open == 0)
        await fetch(transport, peer.url)
        assert peer.accepted == 2
        await transport.close()


async def test_an_answer_read_in_part_is_not_kept() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK.replace(b": 5", b": 6"))) as peer:
        response = await transport.send(outgoing(peer.url))
        assert await response.read() == b"hello"
        response.close()
        response.close()
        await until(lambda: peer.open == 0)
        assert not idle_of(transport)
        await transport.close()


async def test_an_answer_that_is_dropped_closes_its_connection() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK.replace(b": 5", b": 6"))) as peer:
        response = await transport.send(outgoing(peer.url))
        del response
        gc.collect()
        await until(lambda: peer.open == 0)
        response = await transport.send(outgoing(peer.url))
        thread = threading.Thread(target=response.close)  # as the collector may, in any thread
        thread.start()
        thread.join()
        await until(lambda: peer.open == 0)
        await transport.close()


# --- answers that nobody asked for --------------------------------------------------------------


async def test_a_second_answer_in_the_same_write() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK + PLANTED, OK)) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        assert await fetch(transport, peer.url) == b"hello"
        assert peer.accepted == 2
        await transport.close()


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 50])
async def test_a_second_answer_a_moment_later(turns: int) -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        while True:
            await peer.hear(reader)
            writer.write(OK)
            for _ in range(turns):
                await asyncio.sleep(0)
            writer.write(PLANTED)

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        for _ in range(5):
            response = await transport.send(outgoing(peer.url))
            assert await body_of(response) == b"hello"
            link = response._connection
            await until(lambda link=link: link._surplus)
            response.close()
        assert peer.accepted == 5
        await transport.close()


async def test_a_second_answer_while_the_connection_rests() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(OK)
        await peer.go.wait()
        writer.write(PLANTED)
        await reader.read()

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        assert len(idle_of(transport)) == 1
        peer.go.set()
        await until(lambda: not idle_of(transport) and peer.open == 0)
        assert await fetch(transport, peer.url) == b"hello"
        await transport.close()


def test_a_second_answer_that_the_loop_has_not_seen_yet() -> None:
    """It waits in the socket while the loop is busy: the next call still does not get it."""
    planted = threading.Event()
    accepted = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            accepted.append(sock)
            sock.recv(65536)
            sock.sendall(OK)
            if len(accepted) == 1:
                planted.wait(10)
                sock.sendall(PLANTED)
                planted.clear()

    async def main() -> None:
        transport = HTTPTransport()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert await fetch(transport, url) == b"hello"
        planted.set()
        deadline = time.monotonic() + 10
        while planted.is_set():  # and the loop does not turn
            assert time.monotonic() < deadline
        assert len(idle_of(transport)) == 1
        assert await fetch(transport, url) == b"hello"
        assert len(accepted) == 2
        await transport.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        asyncio.run(main())
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for sock in accepted:
        sock.close()


async def test_a_server_that_speaks_first() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        writer.write(PLANTED)
        await reader.read()

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        pool = await transport._pools.here()
        route = address_of(peer.url).route
        with pytest.raises(TransportError) as caught:
            made = await dial(route, lambda: connection.Connection(pool, route), None, 5)
            await until(lambda: made._surplus or made._poll_says())
            await made.exchange(b"", b"", kept=False)
        assert "before it was asked" in str(caught.value)
        await until(lambda: peer.open == 0)
        await transport.close()


# --- stale connections --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_server_that_closed_while_the_connection_rested(how: str) -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(OK)
        await writer.drain()
        if how == "rst":
            await peer.go.wait()
            reset(writer)

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        for _ in range(4):
            peer.go.clear()
            assert await fetch(transport, peer.url) == b"hello"
            peer.go.set()  # sometimes seen by us before the next request, sometimes not
        assert peer.accepted == 4 and len(peer.heads) == 4
        await transport.close()


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_server_that_closes_when_it_sees_the_request(how: str) -> None:
    """As one does whose own limit ran out at that moment. It is tried again, once."""

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(OK)
        await peer.hear(reader)
        if how == "rst":
            reset(writer)

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        for _ in range(3):
            assert await fetch(transport, peer.url) == b"hello"
        assert (peer.accepted, len(peer.heads)) == (3, 5)
        await transport.close()


async def test_it_is_not_tried_twice() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        if peer.accepted <= 2:
            writer.write(OK)
            await peer.hear(reader)

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        responses = [await transport.send(outgoing(peer.url)) for _ in range(2)]
        for response in responses:  # two are kept; each will fail
            await body_of(response)
            response.close()
        with pytest.raises(TransportError, match="without an answer") as caught:
            await fetch(transport, peer.url)
        assert (peer.accepted, len(peer.heads)) == (3, 4)
        assert caught.value.retryable and caught.value.kind == "read"
        await transport.close()


async def test_it_is_not_tried_again_after_a_byte() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(OK)
        await peer.hear(reader)
        writer.write(b"H")

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        with pytest.raises(TransportError):
            await fetch(transport, peer.url)
        assert (peer.accepted, len(peer.heads)) == (1, 2)
        await transport.close()


async def test_it_is_not_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that thought about the request before it went may have billed it."""
    monkeypatch.setattr(connection, "STALE_SECONDS", 0.0)

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(OK)
        await peer.hear(reader)

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        with pytest.raises(TransportError, match="without an answer"):
            await fetch(transport, peer.url)
        await transport.close()


async def test_connections_that_rest_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        await fetch(transport, peer.url)
        monkeypatch.setattr(lean, "IDLE_SECONDS", 0.0)
        await fetch(transport, peer.url)
        assert peer.accepted == 2
        await until(lambda: peer.open == 1)
        await transport.close()


async def test_connections_nobody_needs_any_more_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lean, "IDLE_SECONDS", 0.05)
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        await asyncio.gather(*(fetch(transport, peer.url) for _ in range(10)))
        assert peer.accepted > 1
        await until(lambda: peer.open == 0)
        pool = transport._pools.known()
        assert pool is not None and not pool._all and not pool._idle and pool._sweeper is None
        await transport.close()


# --- closing ------------------------------------------------------------------------------------


async def test_close_ends_what_runs() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        head, _ = await read_request(reader)
        if b"/silent" not in head:
            writer.write(OK.replace(b": 5", b": 500"))
        await reader.read()

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        response = await transport.send(outgoing(peer.url))
        assert await response.read() == b"hello"
        reading = asyncio.create_task(response.read())
        waiting = asyncio.create_task(fetch(transport, peer.url + "/silent"))
        await until(lambda: peer.open == 2)
        await asyncio.sleep(0.02)
        await transport.close()
        for task in (reading, waiting):
            with pytest.raises(TransportError) as caught:
                await task
            assert caught.value.kind == "closed" and not caught.value.retryable
        await until(lambda: peer.open == 0)
        response.close()
        assert await (await transport.send(outgoing(peer.url))).read() == b"hello"
        await transport.close()


async def test_close_while_dialling() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        task = asyncio.create_task(fetch(transport, peer.url))
        await asyncio.sleep(0)
        await transport.close()
        with pytest.raises(TransportError) as caught:
            await task
        assert caught.value.kind == "closed"
        await until(lambda: peer.open == 0)


async def test_a_transport_that_is_dropped_closes_its_connections() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        await fetch(transport, peer.url)
        assert peer.open == 1
        del transport
        gc.collect()
        await until(lambda: peer.open == 0)


def test_loops_one_after_another_without_closing(llmwire_server: LocalServer) -> None:
    transport = HTTPTransport()
    url = llmwire_server.url + "/v1/chat/completions"
    for _ in range(3):
        llmwire_server.reply(Reply(raw=OK), Reply(body=b"{}", status=200))
        assert asyncio.run(fetch(transport, url, ASK)) == b"hello"
        assert asyncio.run(fetch(transport, url, ASK)) == b"{}"
        llmwire_server.wait_for_connections(0)
    assert not transport._pools._pools


def test_close_reaches_other_loops(llmwire_server: LocalServer) -> None:
    transport = HTTPTransport()
    url = llmwire_server.url + "/v1/chat/completions"
    ready, done = threading.Event(), threading.Event()
    errors: list[BaseException] = []

    async def elsewhere() -> None:
        llmwire_server.reply(Reply("x", first_delay=30))
        response = await transport.send(outgoing(url, ASK))
        ready.set()
        try:
            await response.read()
        except BaseException as e:
            errors.append(e)
        done.set()

    thread = threading.Thread(target=asyncio.run, args=(elsewhere(),))
    thread.start()
    assert ready.wait(10)
    asyncio.run(transport.close())
    assert done.wait(10)
    thread.join()
    assert isinstance(errors[0], TransportError) and errors[0].kind == "closed"


def test_many_threads(llmwire_server: LocalServer) -> None:
    transport = HTTPTransport()
    llmwire_server.default = lambda request: Reply(body=b"[]", status=200)
    url = llmwire_server.url + "/v1/chat/completions"
    got: list[bytes] = []

    async def work() -> None:
        for _ in range(10):
            got.extend(await asyncio.gather(*(fetch(transport, url, ASK) for _ in range(3))))

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"[]"] * 120
    llmwire_server.wait_for_connections(0)


PROGRAM = """
import asyncio, os, sys
from llmwire.transport import HTTPTransport, Outgoing

def request():
    return Outgoing("POST", sys.argv[1], {}, sys.argv[2].encode(), 5.0)

async def fetch(transport):
    response = await transport.send(request())
    body = b""
    while block := await response.read():
        body += block
    response.close()
    return body

transport = HTTPTransport()
"""
QUIET = PROGRAM + "for _ in range(3): print(asyncio.run(fetch(transport)).decode())"
UNREAD = (
    PROGRAM
    + """
async def main():
    for _ in range(3):
        response = await transport.send(request())
        print((await response.read()).decode())
asyncio.run(main())
"""
)
FORK = (
    PROGRAM
    + """
async def main():
    print(await fetch(transport), flush=True)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            asyncio.events._set_running_loop(None)
            print(asyncio.run(child()), flush=True)
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, status
    print(await fetch(transport))
    await transport.close()

async def child():
    out = await fetch(transport)
    await transport.close()
    return out

asyncio.run(main())
"""
)


def run(program: str, url: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, url, ASK.decode()],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(Path(lean.__file__).parents[2])},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("program", [QUIET, UNREAD], ids=["read", "unread"])
def test_no_warning_in_development_mode(llmwire_server: LocalServer, program: str) -> None:
    llmwire_server.default = lambda request: Reply(body=b"[]", status=200)
    assert run(program, llmwire_server.url + "/v1/chat/completions") == ["[]"] * 3
    llmwire_server.wait_for_connections(0)


def test_a_forked_child_makes_its_own_connections(llmwire_server: LocalServer) -> None:
    llmwire_server.default = lambda request: Reply(body=b"[]", status=200)
    url = llmwire_server.url + "/v1/chat/completions"
    assert run(FORK, url) == ["b'[]'"] * 3
    # The parent's first and second call share a connection, which the child did not use or end.
    assert llmwire_server.accepted_connections == 2
    llmwire_server.wait_for_connections(0)
