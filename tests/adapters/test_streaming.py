"""The half that all decoders of server-sent events share: each event is read once, in its order,
the ordinary ones the short way, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.adapters.base import chunk_of
from llmwire.adapters.streaming import EventStreamDecoder, piece_chunk
from llmwire.errors import BackendError, DecodeError
from llmwire.sse import Frame, SSEDecoder
from llmwire.types import LLMChunk, PartDelta

END, FAULT, SWITCH = b"end", b"fault", b"switch"


class Echo(EventStreamDecoder):
    """Ordinary is what begins with a plus, under the type that the last `switch` named."""

    def __init__(self, event: str) -> None:
        super().__init__()
        self._set_piece(self._ordinary, event)
        self.seen: list[Frame] = []
        self.short = 0

    def _ordinary(self, data: bytes) -> LLMChunk | None:
        if not data.strip().startswith(b"+"):
            return None
        self.short += 1
        return piece_chunk(0, "text", data.strip().decode("latin-1"))

    def _on_frame(self, frame: Frame, out: list[LLMChunk]) -> None:
        data = frame.data.strip()
        out.append(chunk_of([PartDelta(0, "text", f"{frame.event}|{data.decode('latin-1')}")]))
        if data == FAULT:
            raise DecodeError("as asked")
        if data == END:
            self.done = True
        if data.startswith(SWITCH):
            self._set_piece(self._ordinary, frame.event)

    def _finish(self, out: list[LLMChunk]) -> None:
        self._on_frames(self._sse.finish(), out)


def wanted(body: bytes, event: str) -> tuple[list[str], bool]:
    """What is to come out, by the frames of the framing alone; whether a fault ends it."""
    sse, out = SSEDecoder(), []
    for frame in [*sse.feed(body), *sse.finish()]:
        data = frame.data.strip()
        text = data.decode("latin-1")
        ordinary = frame.event == event and data.startswith(b"+") and not frame.stray
        out.append(text if ordinary else f"{frame.event}|{text}")
        if data == FAULT:
            return out, True
        if data == END:
            break
        if data.startswith(SWITCH):
            event = frame.event
    return out, False


def got(pieces: list[bytes], event: str) -> tuple[list[str], bool]:
    decoder, out = Echo(event), []
    try:
        for piece in pieces:
            for chunk in decoder.feed(piece):
                out.append(chunk.text)
        for chunk in decoder.finish():
            out.append(chunk.text)
    except BackendError:
        return out, True
    return out, False


LINES = [
    b"data: +a", b"data:+b", b"data: other", b"data: ", b"event: x", b"event: y", b"id: 1",
    b": note", b"data: end", b"data: fault", b"data: switch", b"{", b"", b"", b"",
]  # fmt: skip
BODIES = (
    b"data: +a\n\ndata: +b\n\n",
    b"event: x\ndata: +a\n\nevent: x\ndata: +b\n\n",
    b"data: +a\nevent: x\n\ndata: +b\ndata: +c\n\ndata: +d\nid: 1\n\n",
    b"event: y\ndata: +a\n\ndata: +b\n\nevent: x\ndata: switch\n\nevent: x\ndata: +c\n\ndata: +d\n\n",
    b": note\n\n\n\ndata: +a\n\n\ndata: other\n\ndata: +b\n\n\n",
    b"data: +a\n\ndata: fault\n\ndata: +b\n\n",
    b"data: +a\n\ndata: end\n\ndata: fault\n\n",
    b"data: +a\n\ndata: +b",
    b"\xef\xbb\xbfdata: +a\n\n\xef\xbb\xbfdata: +b\n\n",
    b"data: +a\n\n{\n\ndata: +b\n\n",
)


@pytest.mark.parametrize("event", ["", "x"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("body", BODIES)
def test_every_cut(body: bytes, end: bytes, event: str) -> None:
    body = body.replace(b"\n", end)
    expected = wanted(body, event)
    assert got([body], event) == expected
    assert got([body[i : i + 1] for i in range(len(body))], event) == expected
    for i in range(len(body)):
        assert got([body[:i], body[i:]], event) == expected, i


@given(
    st.lists(st.sampled_from(LINES), max_size=30).map(b"\n".join),
    st.lists(st.integers(0, 300), max_size=8),
    st.sampled_from(["", "x"]),
)
def test_any_lines_and_any_cuts(body: bytes, places: list[int], event: str) -> None:
    edges = [0, *sorted(p % (len(body) + 1) for p in places), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    assert got(pieces, event) == wanted(body, event)


def test_what_came_before_a_fault_comes_out_before_it() -> None:
    texts = []
    with pytest.raises(DecodeError):
        for chunk in Echo("").feed(b"data: +a\n\ndata: fault\n\n"):
            texts.append(chunk.text)
    assert texts == ["+a", "|fault"]


def test_an_ordinary_event_never_meets_the_general_way() -> None:
    decoder = Echo("x")
    event = b"event: x\ndata: +a\n\n"
    for data in (event, event * 3, event + event[:9], event[9:], event.replace(b"\n", b"\r\n")):
        assert [c.text for c in decoder.feed(data)] == ["+a"] * data.count(b"+")
    assert decoder.short == 7
