"""Where one answer begins and ends, for every way HTTP has of saying so."""

from __future__ import annotations

import asyncio

import pytest
from peers import OK, PLANTED, Peer, body_of, cut, fetch, outgoing, play, saying

from llmwire.errors import BackendError, TransportError
from llmwire.transport import HTTPTransport
from llmwire.transport.connection import MAX_HEAD_BYTES

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "length": (OK, b"hello"),
    "length 0": (HEAD + b"Content-Length: 0\r\n\r\n", b""),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "odd reason": (b"HTTP/1.1 200 \xc3\xa4 \r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "chunked, loud": (
        HEAD + b"TRANSFER-ENCODING: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    "extensions": (CHUNKED + b'5;a=1;b="x y"\r\nhello\r\n0;z\r\n\r\n', b"hello"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 9\r\nContent-Type: x\r\n\r\n", b"hello"),
    "leading zeros": (CHUNKED + b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hello"),
    "interims": (
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\nContent-Type: text/html\r\n\r\n" * 3 + OK,
        b"hello",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b""),
    "1.0 with length": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "close with length": (HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "leading lines": (b"\r\n" + OK, b"hello"),
}
TO_THE_END = {
    "1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "1.1": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "close": HEAD + b"Connection: close\r\n\r\nhello",
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\nhello",
}
RUBBISH = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "smtp": b"220 mail.example ESMTP\r\n",
    "http/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80",
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "version 0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "version 11.1": b"HTTP/11.1 200 OK\r\n\r\n",
    "tls alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "html": b"<html><title>Login</title></html>",
    "a request": b"POST /v1 HTTP/1.1\r\n\r\n",
    "status 20": b"HTTP/1.1 20 OK\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "status abc": b"HTTP/1.1 abc OK\r\n\r\n",
    "status -1": b"HTTP/1.1 -1 OK\r\n\r\n",
    "nul": b"\0" * 40,
    "no colon": HEAD + b"what is this\r\n\r\n",
    "space before colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "no name": HEAD + b": x\r\n\r\n",
    "nul in value": HEAD + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    "folded": HEAD + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    "folded length": HEAD + b"Content-Length: 5\r\n 0\r\n\r\nhello",
    "bare cr": HEAD + b"X: a\rContent-Length: 5\r\n\r\nhello",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "equal lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "length -1": HEAD + b"Content-Length: -1\r\n\r\nhello",
    "length +5": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "length 0x5": HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "length empty": HEAD + b"Content-Length:\r\n\r\nhello",
    "length huge": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "length and chunked": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "unknown coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunk size overflow": CHUNKED + b"FFFFFFFFFFFFFFFFFFFF\r\nhello\r\n",
    "chunk size g": CHUNKED + b"g\r\nhello\r\n0\r\n\r\n",
    "chunk size -5": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "chunk size 0x5": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size none": CHUNKED + b"\r\nhello\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "switch": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "switch, silent": b"HTTP/1.1 101 Switching\r\n\r\n" + OK,
}


@pytest.mark.parametrize("case", WHOLE)
async def test_a_whole_answer_however_it_is_cut(case: str) -> None:
    data, body = WHOLE[case]
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        played = await play(pieces, "open")
        assert played.done and played.error is None, played.error
        assert played.body == body
    for at in range(1, len(data)):
        played = await play(cut(data, [at]), "open")
        assert (played.done, played.error, played.body) == (True, None, body)


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.parametrize("end", ["eof", "reset"])
async def test_no_prefix_of_a_framed_answer_is_a_success(case: str, end: str) -> None:
    data, _ = WHOLE[case]
    for at in range(len(data)):
        played = await play([data[:at]] if at else [], end)
        assert isinstance(played.error, TransportError), (at, data[:at])
        assert played.error.kind == "read"
        assert not played.connection.is_reusable()


@pytest.mark.parametrize("case", TO_THE_END)
async def test_a_body_to_the_end_of_the_connection(case: str) -> None:
    data = TO_THE_END[case]
    played = await play([data])
    assert (played.error, played.body) == (None, b"hello")
    assert not played.connection.is_reusable()
    assert not (await play([data], "open")).done
    assert (await play([data], "reset")).error is not None


@pytest.mark.parametrize("case", RUBBISH)
async def test_what_is_no_answer_is_an_error(case: str) -> None:
    data = RUBBISH[case]
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        played = await play(pieces)
        assert isinstance(played.error, TransportError), played.body
        assert played.socket.closed and not played.connection.is_reusable()


async def test_rubbish_says_what_to_do() -> None:
    played = await play([RUBBISH["tls alert"]])
    assert "https://" in str(played.error) and not played.error.retryable
    assert "not HTTP/1.1" in str((await play([RUBBISH["ssh"]])).error)


async def test_trailers_change_nothing() -> None:
    data = CHUNKED[:-2] + b"Content-Type: a/b\r\n\r\n5\r\nhello\r\n0\r\nContent-Type: c/d\r\n\r\n"
    played = await play([data], "open")
    assert played.connection.headers["content-type"] == "a/b"
    assert set(played.connection.headers) == {"transfer-encoding", "content-type"}


async def test_headers() -> None:
    data = (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-b:\r\nx-c:  padded \t\r\nX-a: 2\r\n"
        b"x-latin: \xe4\r\nContent-Length: 0\r\n\r\n"
    )
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        headers = (await play(pieces, "open")).connection.headers
        assert headers == {
            "x-a": "1, 2",
            "x-b": "",
            "x-c": "padded",
            "x-latin": "\xe4",
            "content-length": "0",
        }
    played = await play([b"HTTP/1.1 103 H\r\nX-Early: 1\r\n\r\n" + OK], "open")
    assert "x-early" not in played.connection.headers


ENDLESS = {
    "one header": (HEAD + b"X: ", b"a" * 1000),
    "many headers": (HEAD, b"X-Again: yes\r\n"),
    "a status line": (b"HTTP/1.1 200 ", b"O" * 1000),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "empty lines": (b"", b"\r\n" * 100),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"X-Again: yes\r\n"),
    "one trailer": (CHUNKED + b"5\r\nhello\r\n0\r\nX: ", b"a" * 1000),
    "an extension": (CHUNKED + b"5;a=", b"a" * 1000),
    "a chunk size": (CHUNKED, b"0" * 1000),
}


@pytest.mark.parametrize("case", ENDLESS)
async def test_what_never_ends_is_bounded(case: str) -> None:
    begin, more = ENDLESS[case]
    pieces = [begin] if begin else []
    played = await play(pieces + [more * 20] * (2 * MAX_HEAD_BYTES // (len(more) * 20)), "open")
    assert played.error is not None
    assert isinstance(played.error, TransportError) and played.error.kind in ("limit", "read")
    if case in ("one header", "many headers", "trailers", "interim answers"):
        assert played.error.kind == "limit" and not played.error.retryable


async def test_large_headers_below_the_bound_are_fine() -> None:
    big = b"a" * (MAX_HEAD_BYTES - 4096)
    played = await play([HEAD + b"X: " + big + b"\r\nContent-Length: 5\r\n\r\nhello"], "open")
    assert played.body == b"hello" and len(played.connection.headers["x"]) == len(big)


@pytest.mark.parametrize("case", WHOLE)
async def test_a_second_answer_in_the_same_write_is_dropped(case: str) -> None:
    data, body = WHOLE[case]
    both = data + PLANTED
    for at in range(len(data), len(both)):
        played = await play(cut(both, [at]), "open")
        assert (played.error, played.body) == (None, body)
        assert played.socket.closed and not played.connection.is_reusable()
    played = await play([both], "open")
    assert (played.error, played.body) == (None, body)
    assert not played.connection.is_reusable()
    assert played.connection.status == int(data.split(b"HTTP/1.")[-1][2:5])


@pytest.mark.parametrize("rest", [b"x", b"HTTP/1.1", b"\x00", PLANTED[:-1], b"\r\nx"])
async def test_any_rest_after_an_answer_is_dropped(rest: bytes) -> None:
    played = await play([OK + rest], "open")
    assert (played.error, played.body) == (None, b"hello")
    assert not played.connection.is_reusable()


async def test_reuse_is_for_answers_that_allow_it() -> None:
    reusable = {
        case for case, (data, _) in WHOLE.items()
        if (await play([data], "open")).connection.is_reusable()
    }  # fmt: skip
    assert set(WHOLE) - reusable == {"1.0 with length", "close with length"}


# --- over sockets -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WHOLE)
async def test_whole_answers_over_a_socket(case: str) -> None:
    data, body = WHOLE[case]
    pieces = [data[i : i + 1] for i in range(len(data))]
    transport = HTTPTransport()
    async with Peer(saying(pieces)) as peer:
        assert await fetch(transport, peer.url) == body
        await transport.close()


@pytest.mark.parametrize("case", TO_THE_END)
async def test_bodies_to_the_end_over_a_socket(case: str) -> None:
    transport = HTTPTransport()
    async with Peer(saying(TO_THE_END[case], end=True)) as peer:
        assert await fetch(transport, peer.url) == b"hello"
        assert await fetch(transport, peer.url) == b"hello"
        assert peer.accepted == 2
        await transport.close()


@pytest.mark.parametrize("case", RUBBISH)
async def test_rubbish_over_a_socket(case: str) -> None:
    transport = HTTPTransport()
    async with Peer(saying(RUBBISH[case], end=True)) as peer:
        with pytest.raises(BackendError):
            await fetch(transport, peer.url)
        await transport.close()


async def test_a_length_too_large_or_too_small() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK.replace(b": 5", b": 6"), end=True)) as peer:
        response = await transport.send(outgoing(peer.url))
        assert await response.read() == b"hello"
        with pytest.raises(TransportError, match="in the middle"):
            await body_of(response)
        response.close()
    async with Peer(saying(OK.replace(b": 5", b": 4"))) as peer:
        assert await fetch(transport, peer.url) == b"hell"
        assert await fetch(transport, peer.url) == b"hell"
        assert peer.accepted == 2
    await transport.close()


async def test_a_reset_in_the_middle() -> None:
    async def handler(
        peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await peer.hear(reader)
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await peer.go.wait()
        reset(writer)

    transport = HTTPTransport()
    async with Peer(handler) as peer:
        response = await transport.send(outgoing(peer.url))
        assert await response.read() == b"hello"
        peer.go.set()
        with pytest.raises(TransportError) as caught:
            await response.read()
        assert caught.value.kind == "read" and caught.value.retryable
        with pytest.raises(TransportError):
            await response.read()
        response.close()
        with pytest.raises(TransportError) as closed:
            await response.read()
        assert closed.value.kind == "closed"
    await transport.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST."""
    import socket
    import struct

    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
