"""Answers made and mutated by Hypothesis: the framed body, or an error of the tree, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import PLANTED, Played, cut, play

from llmwire.errors import BackendError, TransportError


class Made(NamedTuple):
    """An answer, and what it says."""

    data: bytes
    status: int
    body: bytes
    framed: bool
    """Its end is told by itself, not by the end of the connection."""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


tokens = st.text("abcxyz-", min_size=1, max_size=8).map(lambda s: b"X-" + s.encode())
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12).map(str.encode)
places = st.lists(st.integers(0, 4000), max_size=12)
bodies = st.binary(max_size=60) | st.sampled_from([PLANTED, b"0\r\n\r\n", b"\r\n\r\n", b"\r\n"])


@st.composite
def answers(draw: st.DrawFn) -> Made:
    body = draw(bodies)
    status = draw(st.sampled_from([200, 201, 204, 206, 304, 301, 400, 404, 413, 429, 500, 529]))
    headers = draw(st.lists(st.tuples(tokens, values), max_size=4))
    how = draw(st.sampled_from(["length", "chunked", "end"]))
    version = b"HTTP/1.1" if how == "chunked" else draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]))
    trailers = b""
    if status in (204, 304):
        how, body = "none", b""
    payload = body
    if how == "length":
        headers.append((b"Content-Length", b"%d" % len(body)))
    elif how == "chunked":
        headers.append((b"Transfer-Encoding", b"chunked"))
        ext = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b"']))
        trailers = draw(st.sampled_from([b"", b"X-T: 1\r\n", b"Content-Type: x/y\r\n"]))
        pieces = [p for p in cut(body, draw(places)) if p]
        payload = b"".join(b"%x%b\r\n%b\r\n" % (len(p), ext, p) for p in pieces)
        payload += b"0\r\n" + trailers + b"\r\n"
    if draw(st.booleans()):
        close = draw(st.sampled_from([b"close", b"keep-alive"]))
        headers.append((b"Connection", close))
    headers = draw(st.permutations(headers))
    early = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    head = b"%b %d %b\r\n" % (version, status, draw(st.sampled_from([b"OK", b"", b"Not good"])))
    head += b"".join(b"%b: %b\r\n" % h for h in headers) + b"\r\n"
    return Made(early + head + payload, status, body, how != "end")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An answer that something went wrong with."""
    made = draw(answers())
    data = bytearray(made.data + draw(st.sampled_from([b"", PLANTED])))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 6)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at:end] = draw(st.binary(max_size=4))
        elif kind == 1:
            bits = b"\r\n \t:;,0123456789abcdefx\x00\xff"
            data[at:at] = bytes(draw(st.lists(st.sampled_from(bits), max_size=4)))
        elif kind == 2:
            data[at:at] = data[at:end]
        else:
            lines = bytes(data).split(b"\r\n")
            i = draw(st.integers(0, len(lines) - 1))
            extra = draw(
                st.sampled_from(
                    [
                        b"Content-Length: 3",
                        b"Content-Length: 70",
                        b"Transfer-Encoding: chunked",
                        b"Transfer-Encoding: gzip",
                        b"Connection: close",
                        b"Upgrade: h2c\r\nConnection: upgrade",
                        b"HTTP/1.1 200 OK",
                        b" folded",
                        b"",
                    ]
                )
            )
            lines.insert(i, extra)
            data = bytearray(b"\r\n".join(lines))
    return bytes(data)


def read_by_h11(data: bytes) -> tuple[int, bytes] | None:
    """Status and body as another parser understands them; None: it refuses the answer."""
    them = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    them.send(h11.Request(method="POST", target="/", headers=[("Host", "h")]))
    them.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        them.receive_data(data)
        them.receive_data(b"")
        while True:
            event = them.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


def check_law(played: Played) -> None:
    """It came to an end, one way or the other."""
    assert played.done, "a reader waits for ever"
    if played.error is not None:
        assert isinstance(played.error, TransportError)
        assert played.socket.closed or played.connection._closing
        assert not played.connection.is_reusable()
    if played.connection._waiter is not None:
        assert played.connection._waiter.done()


@given(made=answers(), places=places, end=st.sampled_from(["open", "eof", "reset"]))
def test_an_answer_is_what_it_says(
    runner: asyncio.Runner, made: Made, places: list[int], end: str
) -> None:
    if not made.framed and end == "open":
        end = "eof"
    played = runner.run(play(cut(made.data, places), end))
    check_law(played)
    if made.framed or end == "eof":
        assert played.error is None
        assert (played.connection.status, played.body) == (made.status, made.body)
    else:
        assert played.error is not None
        assert made.body.startswith(played.body)


@given(
    made=answers(), places=places, at=st.integers(0, 4000), end=st.sampled_from(["eof", "reset"])
)
def test_a_cut_answer_is_no_answer(
    runner: asyncio.Runner, made: Made, places: list[int], at: int, end: str
) -> None:
    data = made.data[: at % max(1, len(made.data))]
    played = runner.run(play(cut(data, places), end))
    check_law(played)
    assert made.body.startswith(played.body)
    if made.framed:
        assert isinstance(played.error, BackendError)


@given(made=answers().filter(lambda m: m.framed), second=answers(), places=places)
def test_a_second_answer_is_never_delivered(
    runner: asyncio.Runner, made: Made, second: Made, places: list[int]
) -> None:
    played = runner.run(play(cut(made.data + second.data, places), "open"))
    check_law(played)
    assert (played.error, played.body) == (None, made.body)
    assert played.connection.status == made.status
    assert not played.connection.is_reusable()


@settings(max_examples=400)
@given(
    data=mutated() | st.binary(max_size=200), places=places, end=st.sampled_from(["eof", "reset"])
)
def test_mutations(runner: asyncio.Runner, data: bytes, places: list[int], end: str) -> None:
    played = runner.run(play(cut(data, places), end))
    check_law(played)
    other = runner.run(play([data], end))
    check_law(other)
    assert (played.body, played.error is None) == (other.body, other.error is None)
    if played.error is None:
        theirs = read_by_h11(data)
        assert theirs is None or theirs == (played.connection.status, played.body)


@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_bytes_that_nobody_asked_for(runner: asyncio.Runner, pieces: list[bytes]) -> None:
    """Before any request: the connection is closed, and a request over it fails at once."""

    async def run() -> Played:
        played = Played()
        for piece in pieces:
            if piece:
                played.feed(piece)
        await asyncio.wait_for(played.run(), 5) if any(pieces) else None
        return played

    played = runner.run(run())
    assert played.socket.closed == any(pieces)
    if any(pieces):
        assert isinstance(played.error, TransportError) and not played.socket.written
