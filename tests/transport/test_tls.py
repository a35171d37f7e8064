"""TLS: who is trusted, what is said when someone is not, and ends without goodbye."""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from peers import OK, PLANTED, Peer, Played, body_of, fetch, outgoing, saying, until

from llmwire.errors import TransportError
from llmwire.transport import HTTPTransport, tls_context
from llmwire.transport.network import tls_context as cached

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
AUTHORITY = trustme.CA()
SYSTEM_FILE = os.path.isfile(ssl.get_default_verify_paths().openssl_cafile)


def server_side(*names: str, ca: trustme.CA = AUTHORITY, **options: object) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names or ("127.0.0.1", "localhost"), **options).configure_cert(context)
    return context


def trusting(ca: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    cached.cache_clear()
    yield
    cached.cache_clear()


async def failure(
    transport: HTTPTransport, context: ssl.SSLContext | None, host: str = "127.0.0.1"
) -> TransportError:
    async with Peer(saying(OK), tls=context) as peer:
        with pytest.raises(TransportError) as caught:
            await fetch(transport, peer.url.replace("127.0.0.1", host).replace("http:", "https:"))
        assert not peer.heads, "the request went out"
        await until(lambda: peer.open == 0)
        await transport.close()
    return caught.value


async def test_a_private_authority() -> None:
    transport = HTTPTransport(tls=trusting())
    async with Peer(saying(OK), tls=server_side()) as peer:
        for _ in range(3):
            assert await fetch(transport, peer.url) == b"hello"
        assert peer.accepted == 1
        await transport.close()
        await until(lambda: peer.open == 0)


async def test_ssl_cert_file_is_added_to_the_systems_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    system = len(tls_context().get_ca_certs())
    cached.cache_clear()
    pem = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(pem))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    transport = HTTPTransport()
    async with Peer(saying(OK), tls=server_side()) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        await transport.close()
    if SYSTEM_FILE:
        assert len(tls_context().get_ca_certs()) == system + 1


async def test_nobody_trusts_a_private_authority_by_itself() -> None:
    error = await failure(HTTPTransport(), server_side())
    assert error.kind == "tls" and not error.retryable and error.phase == "connect"
    assert "CA" in str(error)


async def test_a_wrong_name() -> None:
    error = await failure(HTTPTransport(tls=trusting()), server_side("other.example"))
    assert error.kind == "tls" and not error.retryable
    assert "127.0.0.1" in str(error)
    error = await failure(HTTPTransport(tls=trusting()), server_side("127.0.0.1"), "localhost")
    assert error.kind == "tls" and "localhost" in str(error)


async def test_an_expired_certificate() -> None:
    past = datetime.datetime(2020, 1, 1)
    context = server_side("127.0.0.1", not_before=past, not_after=datetime.datetime(2021, 1, 1))
    error = await failure(HTTPTransport(tls=trusting()), context)
    assert error.kind == "tls" and not error.retryable
    assert "expired" in str(error) and "clock" in str(error)


async def test_a_foreign_authority() -> None:
    error = await failure(HTTPTransport(tls=trusting()), server_side(ca=trustme.CA()))
    assert error.kind == "tls" and not error.retryable


async def test_plain_http_on_a_tls_port_and_the_reverse() -> None:
    async def plain(peer: Peer, reader: Reader, writer: Writer) -> None:
        await reader.read(5)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await writer.drain()

    transport = HTTPTransport(tls=trusting())
    async with Peer(plain) as peer:
        with pytest.raises(TransportError, match="http://") as caught:
            await fetch(transport, peer.url.replace("http:", "https:"))
        assert caught.value.kind == "tls" and not caught.value.retryable
    async with Peer(saying(OK), tls=server_side()) as peer:
        with pytest.raises(TransportError) as caught:
            await fetch(transport, peer.url.replace("https:", "http:"))
        assert caught.value.kind in ("read", "connect")
        await transport.close()


async def test_client_certificates() -> None:
    context = server_side()
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    ours = trusting()
    AUTHORITY.issue_cert("me@example.org").configure_cert(ours)
    transport = HTTPTransport(tls=ours)
    async with Peer(saying(OK), tls=context) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        await transport.close()
    # Since TLS 1.3 the client learns of the refusal when it reads.
    played = Played()
    task = asyncio.create_task(played.run())
    await asyncio.sleep(0)
    refusal = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] certificate required")
    played.connection.connection_lost(refusal)
    await task
    assert isinstance(played.error, TransportError) and played.error.kind == "tls"
    async with Peer(saying(OK), tls=context) as peer:
        transport = HTTPTransport(tls=trusting())
        with pytest.raises(TransportError):
            await fetch(transport, peer.url)
        assert not peer.heads
        await transport.close()


@pytest.mark.parametrize("polite", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        OK.replace(b": 5", b": 6"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
    ids=["end", "length", "chunked"],
)
async def test_an_end_without_goodbye(answer: bytes, polite: bool) -> None:
    """Over TLS, a body to the end of the connection needs close_notify: anyone can cut TCP."""

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(answer)
        await writer.drain()
        await peer.go.wait()
        if polite:
            writer.close()
            await writer.wait_closed()

    transport = HTTPTransport(tls=trusting())
    async with Peer(handler, tls=server_side()) as peer:
        response = await transport.send(outgoing(peer.url))
        assert await response.read() == b"hello"
        peer.go.set()
        if polite and b"\r\n\r\nhello" in answer and b"Length" not in answer:
            assert await response.read() == b""
        else:
            with pytest.raises(TransportError) as caught:
                await response.read()
            assert caught.value.kind == "read" and caught.value.retryable
        response.close()
        await transport.close()
        await until(lambda: peer.open == 0)


async def test_a_planted_answer_over_tls() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(OK + PLANTED if len(peer.heads) == 1 else OK)
        if len(peer.heads) == 2:
            await peer.go.wait()
            writer.write(PLANTED)
        await reader.read()

    transport = HTTPTransport(tls=trusting())
    async with Peer(handler, tls=server_side()) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        assert await fetch(transport, peer.url) == b"hello"
        assert peer.accepted == 2
        peer.go.set()
        await until(lambda: peer.open == 0)
        assert await fetch(transport, peer.url) == b"hello"
        assert peer.accepted == 3
        await transport.close()


async def test_stale_over_tls() -> None:
    transport = HTTPTransport(tls=trusting())
    async with Peer(saying(OK, end=True), tls=server_side()) as peer:
        for _ in range(3):
            assert await fetch(transport, peer.url) == b"hello"
        assert peer.accepted == 3
        await transport.close()


async def test_a_large_exchange_over_tls() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        while True:
            await peer.hear(reader)
            body = peer.bodies[-1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()

    transport = HTTPTransport(tls=trusting())
    sent = bytes(range(256)) * 16384  # 4 MiB
    async with Peer(handler, tls=server_side()) as peer:
        for _ in range(2):
            response = await transport.send(outgoing(peer.url, sent))
            assert await body_of(response) == sent
            response.close()
        assert peer.accepted == 1
        await transport.close()
