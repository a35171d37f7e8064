"""Proxies that the environment names: a small real one, and what it can do wrong."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from peers import OK, PLANTED, Peer, fetch, outgoing, saying, until

from llmwire.errors import ConfigError, TransportError
from llmwire.transport import HTTPTransport
from llmwire.transport.network import tls_context as cached

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
AUTHORITY = trustme.CA()


def server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1", "localhost", "api.example").configure_cert(context)
    return context


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The tests' authority, as SSL_CERT_FILE: an https proxy needs it too."""
    pem = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(pem))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    cached.cache_clear()
    yield
    cached.cache_clear()


async def pump(reader: Reader, writer: Writer) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def proxying(peer: Peer, reader: Reader, writer: Writer) -> None:
    """A forward proxy: CONNECT makes a tunnel, an absolute address is fetched."""
    head = await reader.readuntil(b"\r\n\r\n")
    peer.heads.append(head)
    method, target = head.split(b" ")[:2]
    if method == b"CONNECT":
        port = int(target.rpartition(b":")[2])
    else:
        port = int(target.split(b"/")[2].rpartition(b":")[2])
    there, back = await asyncio.open_connection("127.0.0.1", port)
    try:
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        else:
            back.write(head)
        await asyncio.gather(pump(reader, back), pump(there, writer))
    finally:
        back.close()


def answering(answer: bytes) -> object:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        peer.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        if answer:
            await reader.read()

    return handler


@pytest.mark.parametrize("secure_proxy", [False, True], ids=["http proxy", "https proxy"])
async def test_a_tunnel(monkeypatch: pytest.MonkeyPatch, secure_proxy: bool) -> None:
    context = server_side() if secure_proxy else None
    async with Peer(proxying, tls=context) as proxy, Peer(saying(OK), tls=server_side()) as server:
        kind = "https" if secure_proxy else "http"
        monkeypatch.setenv("https_proxy", f"{kind}://127.0.0.1:{proxy.port}")
        transport = HTTPTransport()
        url = f"https://api.example:{server.port}/v1?x=1"  # a name that only the proxy finds
        for _ in range(3):
            assert await fetch(transport, url) == b"hello"
        assert (proxy.accepted, server.accepted, len(server.heads)) == (1, 1, 3)
        place = b"api.example:%d" % server.port
        assert proxy.heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (place, place)]
        assert server.heads[0].startswith(b"POST /v1?x=1 HTTP/1.1\r\nHost: " + place + b"\r\n")
        assert b"sk-secret" in server.heads[0]
        await transport.close()
        await until(lambda: proxy.open == 0 and server.open == 0)


@pytest.mark.parametrize("secure_proxy", [False, True], ids=["http proxy", "https proxy"])
async def test_plain_http_is_forwarded(monkeypatch: pytest.MonkeyPatch, secure_proxy: bool) -> None:
    context = server_side() if secure_proxy else None
    async with Peer(proxying, tls=context) as proxy, Peer(saying(OK)) as server:
        kind = "https" if secure_proxy else "http"
        monkeypatch.setenv("http_proxy", f"{kind}://ann:p%40ss@127.0.0.1:{proxy.port}")
        transport = HTTPTransport()
        for _ in range(2):
            assert await fetch(transport, server.url) == b"hello"
        assert proxy.accepted == 1
        place = b"127.0.0.1:%d" % server.port
        assert proxy.heads[0].startswith(b"POST http://" + place + b"/v1/chat HTTP/1.1\r\n")
        assert b"\r\nHost: " + place + b"\r\n" in proxy.heads[0]
        auth = base64.b64encode(b"ann:p@ss")
        assert b"\r\nProxy-Authorization: Basic " + auth + b"\r\n" in proxy.heads[0]
        await transport.close()


async def test_the_proxys_credentials_stay_with_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(proxying) as proxy, Peer(saying(OK), tls=server_side()) as server:
        monkeypatch.setenv("https_proxy", f"http://ann:p%40ss@127.0.0.1:{proxy.port}")
        transport = HTTPTransport()
        assert await fetch(transport, server.url) == b"hello"
        auth = base64.b64encode(b"ann:p@ss")
        assert b"\r\nProxy-Authorization: Basic " + auth + b"\r\n" in proxy.heads[0]
        assert b"sk-secret" not in proxy.heads[0]
        assert b"Proxy" not in server.heads[0] and auth not in server.heads[0]
        await transport.close()


async def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(answering(b"")) as proxy, Peer(saying(OK)) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", f"x.example,127.0.0.1:{server.port}")
        transport = HTTPTransport()
        assert await fetch(transport, server.url) == b"hello"
        monkeypatch.delenv("no_proxy")
        assert await fetch(transport, server.url) == b"hello"  # the address is known by now
        other = HTTPTransport(proxies=False)
        assert await fetch(other, server.url) == b"hello"
        assert proxy.accepted == 0
        await other.close()
        await transport.close()


REFUSALS = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nno!\n", False),
    "403": (b"HTTP/1.1 403 Forbidden\r\n\r\n", False),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", True),
    "garbage": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", True),
    "half a head": (b"HTTP/1.1 200 Connection established\r\n", True),
    "nothing": (b"", True),
    "endless": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, True),
    "early bytes": (b"HTTP/1.1 200 OK\r\n\r\n" + PLANTED, True),
    "early byte": (b"HTTP/1.1 200 OK\r\n\r\nx", True),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_proxy_that_makes_no_tunnel(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    answer, retryable = REFUSALS[case]

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        peer.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        if case not in ("half a head", "nothing"):
            await reader.read()

    async with Peer(handler) as proxy:
        monkeypatch.setenv("https_proxy", f"http://ann:hunter2@127.0.0.1:{proxy.port}")
        transport = HTTPTransport()
        with pytest.raises(TransportError) as caught:
            await fetch(transport, "https://api.example/v1")
        error = caught.value
        assert (error.kind, error.phase, error.retryable) == ("proxy", "connect", retryable)
        assert case not in ("407", "403", "502") or case in str(error)
        assert "hunter2" not in str(error)
        await until(lambda: proxy.open == 0)
        assert proxy.accepted == 1
        await transport.close()


async def test_a_certificate_inside_the_tunnel_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Peer(proxying) as proxy, Peer(saying(OK), tls=server_side()) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        transport = HTTPTransport()
        with pytest.raises(TransportError) as caught:
            await fetch(transport, f"https://other.example:{server.port}/v1")
        assert caught.value.kind == "tls" and not server.heads
        await until(lambda: proxy.open == 0 and server.open == 0)
        await transport.close()


async def test_a_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    transport = HTTPTransport()
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://ann:hunter2@127.0.0.1:{port}")
        with pytest.raises(TransportError, match=f"proxy 127.0.0.1:{port}") as caught:
            await fetch(transport, f"{scheme}://api.example/v1")
        assert caught.value.kind == "proxy" and caught.value.retryable
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1080", "ftp://x", "http://", "http://h:99999", "http://h:x"]
)
async def test_proxies_that_can_not_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(ConfigError, match="environment"):
        await HTTPTransport().send(outgoing("https://api.example/v1"))


async def test_cancelling_inside_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the proxy thinks, and in the handshake: no socket stays."""

    async def silent(peer: Peer, reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if peer.accepted == 2:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read(1)
        peer.go.set()
        await reader.read()

    async with Peer(silent) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        transport = HTTPTransport()
        for accepted in (1, 2):
            task = asyncio.create_task(fetch(transport, "https://api.example/v1"))
            await until(lambda n=accepted: proxy.accepted == n)
            if accepted == 2:
                await proxy.go.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: proxy.open == 0)
            proxy.go.clear()
        await transport.close()
