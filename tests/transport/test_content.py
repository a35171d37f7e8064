"""Content codings, and what goes wrong with them."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import Peer, body_of, cut, fetch, outgoing, saying

from llmwire.errors import DecodeError
from llmwire.transport import HTTPTransport
from llmwire.transport.content import STEP, inflater_for

TEXT = b"data: {}\n\n" * 100


def bare(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


CODED = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "loud": (" GZIP ", gzip.compress(TEXT)),
    "members": ("gzip", gzip.compress(TEXT[:300]) + gzip.compress(b"") + gzip.compress(TEXT[300:])),
    "padded": ("gzip", gzip.compress(TEXT) + b"\0" * 9),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "bare deflate": ("deflate", bare(TEXT)),
    "identity": ("identity", TEXT),
    "none": ("", TEXT),
}


def inflated(coding: str, pieces: list[bytes]) -> bytes:
    inflater = inflater_for(coding)
    out = b""
    if inflater is None:
        return b"".join(pieces)
    for piece in pieces:
        out += inflater.step(piece)
        while inflater.tail:
            out += inflater.step(inflater.tail)
    inflater.finish()
    return out


def answer(coding: str, body: bytes, status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("case", CODED)
@given(places=st.lists(st.integers(0, 2000), max_size=20))
def test_codings_however_they_are_cut(case: str, places: list[int]) -> None:
    coding, data = CODED[case]
    assert inflated(coding, cut(data, places)) == TEXT
    assert inflated(coding, [data[i : i + 1] for i in range(len(data))]) == TEXT


@pytest.mark.parametrize("case", [c for c in CODED if c not in ("identity", "none")])
def test_no_prefix_is_a_success(case: str) -> None:
    coding, data = CODED[case]
    ends = {len(data), 0}
    if case in ("members", "padded"):
        whole = len(gzip.compress(TEXT[:300])), len(gzip.compress(TEXT))
        ends |= {whole[0], whole[0] + len(gzip.compress(b"")), *range(whole[1], len(data))}
    for at in set(range(len(data))) - ends:
        with pytest.raises(DecodeError, match="too early"):
            inflated(coding, [data[:at]])


@given(data=st.binary(max_size=100), coding=st.sampled_from(["gzip", "deflate"]))
def test_garbage(data: bytes, coding: str) -> None:
    try:
        inflated(coding, [data])
    except DecodeError as e:
        assert "content coding" in str(e)


@pytest.mark.parametrize("case", CODED)
async def test_over_a_socket(case: str) -> None:
    coding, data = CODED[case]
    pieces = [answer(coding, data)[i : i + 7] for i in range(0, len(answer(coding, data)), 7)]
    transport = HTTPTransport()
    async with Peer(saying(pieces)) as peer:
        for _ in range(2):
            assert await fetch(transport, peer.url) == TEXT
        assert peer.accepted == 1
        assert b"\r\nAccept-Encoding: gzip, deflate\r\n" in peer.heads[0]
        await transport.close()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT)[:-1]),
        ("gzip", b"\x1f\x8b" + b"x" * 50),
        ("gzip", gzip.compress(TEXT) + b"x"),
        ("deflate", zlib.compress(TEXT) + b"x"),
        ("deflate", b"\xff" * 20),
        ("br", b"xx"),
        ("gzip, gzip", gzip.compress(gzip.compress(TEXT))),
    ],
)
async def test_broken_codings_over_a_socket(coding: str, body: bytes) -> None:
    transport = HTTPTransport()
    async with Peer(saying(answer(coding, body))) as peer:
        for _ in range(2):
            response = await transport.send(outgoing(peer.url))
            assert response.status == 200
            with pytest.raises(DecodeError):
                await body_of(response)
            response.close()
        await transport.close()


async def test_an_empty_body_needs_no_coding() -> None:
    transport = HTTPTransport()
    async with Peer(saying(answer("gzip", b""))) as peer:
        assert await fetch(transport, peer.url) == b""
        await transport.close()


async def test_a_bomb_comes_a_piece_at_a_time() -> None:
    size = 200 * 2**20
    deflate = zlib.compressobj(9, wbits=31)
    bomb = b"".join(deflate.compress(bytes(2**20)) for _ in range(200)) + deflate.flush()
    assert len(bomb) < size / 900
    transport = HTTPTransport()
    async with Peer(saying(answer("gzip", bomb))) as peer:
        response = await transport.send(outgoing(peer.url))
        total = 0
        while block := await response.read():
            assert len(block) <= STEP
            total += len(block)
        assert total == size
        response.close()
        await transport.close()


async def test_streams_ask_for_no_coding() -> None:
    transport = HTTPTransport()
    async with Peer(saying(answer("", b"x"))) as peer:
        for headers in ({"Accept": "text/event-stream"}, {"accept-encoding": "br"}):
            response = await transport.send(outgoing(peer.url, headers=headers))
            await body_of(response)
            response.close()
        assert b"\r\nAccept-Encoding: identity\r\n" in peer.heads[0]
        assert peer.heads[1].lower().count(b"accept-encoding") == 1
        assert b"\r\nAccept-Encoding: br\r\n" in peer.heads[1]
        await transport.close()
