"""Server-sent events: WHATWG's grammar on bytes, cut anywhere."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.errors import TransportError
from llmwire.sse import Frame, SSEDecoder


def frames(*pieces: bytes, **options: Any) -> list[Frame]:
    decoder = SSEDecoder(**options)
    out = [f for p in pieces for f in decoder.feed(p)]
    return out + list(decoder.finish())


def data(*pieces: bytes) -> list[bytes]:
    return [f.data for f in frames(*pieces)]


CASES: list[tuple[str, bytes, list[Frame]]] = [
    ("LF", b"data: a\n\ndata: b\n\n", [Frame(b"a"), Frame(b"b")]),
    ("CRLF", b"data: a\r\n\r\ndata: b\r\n\r\n", [Frame(b"a"), Frame(b"b")]),
    ("CR", b"data: a\r\rdata: b\r\r", [Frame(b"a"), Frame(b"b")]),
    ("mixed ends", b"data: a\r\n\ndata: b\n\rdata: c\r\r\n", [Frame(b"a"), Frame(b"b"), Frame(b"c")]),
    ("event type", b"event: ping\ndata: {}\n\ndata: a\n\n", [Frame(b"{}", "ping"), Frame(b"a")]),
    ("type after data", b"data: a\nevent: x\n\n", [Frame(b"a", "x")]),
    ("type without data", b"event: x\n\ndata: a\n\n", [Frame(b"a")]),
    ("no space", b"data:a\n\nevent:x\ndata:b\n\n", [Frame(b"a"), Frame(b"b", "x")]),
    ("one space only", b"data:  a\n\n", [Frame(b" a")]),
    ("several data lines", b"data: a\ndata: b\ndata:\n\n", [Frame(b"a\nb\n")]),
    ("data without colon", b"data\n\n", [Frame(b"")]),
    ("data without colon, twice", b"data\ndata\n\n", [Frame(b"\n")]),
    ("empty data", b"data: \n\ndata: a\n\n", [Frame(b""), Frame(b"a")]),
    ("comments", b": hi\n\n:\n\ndata: a\n: b: c\n\n", [Frame(b"a")]),
    ("other fields", b"id: 1\nretry: 5\nfoo\nfoo: bar\ndatax: 1\ndata: a\n\n", [Frame(b"a")]),
    ("BOM", b"\xef\xbb\xbfdata: a\n\n", [Frame(b"a")]),
    ("BOM alone in its line", b"\xef\xbb\xbf\ndata: a\n\n", [Frame(b"a")]),
    ("a second BOM is no BOM", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Frame(b"a")]),
    ("a BOM after a blank line is none", b"\n\xef\xbb\xbfdata: b\n\n", []),
    ("no final blank line", b"data: a\n\ndata: b\n", [Frame(b"a"), Frame(b"b")]),
    ("no final line end", b"data: a\n\ndata: b", [Frame(b"a"), Frame(b"b")]),
    ("nothing", b"", []),
    ("blank lines", b"\n\r\n\r\r\n\n", []),
    ("only line ends that str knows", "data: a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
     [Frame("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg".encode())]),
    ("a stray JSON line", b'data: a\n\n{"error": {"message": "m"}}\n',
     [Frame(b"a"), Frame(b'{"error": {"message": "m"}}', stray=True)]),
    ("a stray JSON line without end", b'{"error": "m"}', [Frame(b'{"error": "m"}', stray=True)]),
    ("a stray list", b'[{"error": "m"}]\n', [Frame(b'[{"error": "m"}]', stray=True)]),
    ("stray JSON of several lines", b'data: a\n\n[{\n  "error": {\n  "id": 1\n  }\n}]\n\nafter\n',
     [Frame(b"a"), *(Frame(line, stray=True) for line in
                     (b"[{", b'  "error": {', b'  "id": 1', b"  }", b"}]"))]),
    ("fields among stray lines", b"{\nid: 1\nretry: 2\n: c\ndata: a\n\n",
     [Frame(b"{", stray=True), Frame(b"a")]),
    ("stray HTML", b"<html>\ndata: a\n\n", [Frame(b"<html>", stray=True), Frame(b"a")]),
    ("stray after a BOM", b"\xef\xbb\xbf{}\n", [Frame(b"{}", stray=True)]),
    ("done", b"data: [DONE]\n\n", [Frame(b"[DONE]")]),
    ("bytes that are no UTF-8", b"data: \xff\xfe\nevent: \xff\n\n", [Frame(b"\xff\xfe", "\ufffd")]),
    ("NUL", b"data: a\x00b\n\n", [Frame(b"a\x00b")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "wanted"), CASES, ids=[c[0] for c in CASES])
def test_grammar(name: str, raw: bytes, wanted: list[Frame]) -> None:
    assert frames(raw) == wanted


@pytest.mark.parametrize(("name", "raw", "wanted"), CASES, ids=[c[0] for c in CASES])
def test_grammar_byte_by_byte_and_at_every_cut(name: str, raw: bytes, wanted: list[Frame]) -> None:
    assert frames(*(raw[i : i + 1] for i in range(len(raw)))) == wanted
    for i in range(len(raw)):
        assert frames(raw[:i], raw[i:]) == wanted
        assert frames(raw[:i], b"", raw[i:]) == wanted


PIECES = [
    b"data: ", b"data:", b"data", b"event: ", b"event:x", b":", b": keep-alive", b"id: 1", b"a", b" ",
    b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\xef\xbb\xbf", b'{"a":1}', b"<p>", b"[1]",
    "\u2028".encode(), "\x85".encode(), b"\xe2\x80", b"[DONE]",
]  # fmt: skip
bodies = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join) | st.binary(max_size=40)

SHAPES = (
    b"event: x\ndata: a\n\ndata: b\n\n",
    b"event: x\n\nevent: y\ndata: 1\ndata: 2\n\ndata: 3\n\n",
    b"data: a\n\nevent: x\ndata: b\n\n: c\n\ndata: d\n\n",
    b"event: x\ndata: a\n\nevent: y\ndata: b\n\nid: 1\ndata: c\n",
)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("body", [*SHAPES, *(body for _, body, _ in CASES)])
def test_every_cut_of_every_shape(body: bytes, end: bytes) -> None:
    """In two at every place, and byte by byte; through `feed`, and through `take` first."""
    body = body.replace(b"\n", end) if b"\r" not in body else body
    wanted = frames(body)
    splits = [[body[:i], body[i:]] for i in range(len(body) + 1)]
    for pieces in [*splits, [body[i : i + 1] for i in range(len(body))]]:
        assert frames(*pieces) == wanted, pieces
        assert frames_of_blocks(pieces) == wanted, pieces


def frames_of_blocks(pieces: list[bytes]) -> list[Frame]:
    """What the decoders do: `take` where it can, else `feed`."""
    decoder, got = SSEDecoder(), []
    for piece in pieces:
        taken = decoder.take(piece)
        if taken is None:
            got += decoder.feed(piece)
        else:
            block, rest = taken
            assert block.endswith(b"\n\n") and b"\r" not in block
            for event in re.findall(rb"(?s).*?\n\n", block):
                got += decoder.feed(event)
                assert decoder.idle
            got += decoder.rest(rest)
    return got + list(decoder.finish())


@given(st.data())
def test_idle_means_that_an_event_begins(data: st.DataObject) -> None:
    """Where it is idle, a fresh decoder reads the rest as this one does."""
    body = data.draw(bodies)
    at = data.draw(st.integers(0, len(body)))
    decoder = SSEDecoder()
    list(decoder.feed(body[:at]))
    if decoder.idle:
        fresh = SSEDecoder()
        list(fresh.feed(b"\n"))  # no BOM comes after the beginning
        rest = [*decoder.feed(body[at:]), *decoder.finish()]
        assert rest == [*fresh.feed(body[at:]), *fresh.finish()]


@given(bodies, st.lists(st.integers(0, 300), max_size=12))
def test_cutting_changes_nothing(body: bytes, cuts: list[int]) -> None:
    whole = SSEDecoder()
    wanted = [*whole.feed(body), *whole.finish()]
    at = [0, *sorted(min(c, len(body)) for c in cuts), len(body)]
    cut = SSEDecoder()
    got = [f for a, b in itertools.pairwise(at) for f in cut.feed(body[a:b])]
    assert got + list(cut.finish()) == wanted
    assert cut.comments == whole.comments


@given(bodies)
def test_line_ends_are_all_the_same(body: bytes) -> None:
    text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    wanted = frames(text)
    assert frames(text.replace(b"\n", b"\r\n")) == wanted
    assert frames(text.replace(b"\n", b"\r")) == wanted


@given(bodies)
def test_it_reads_as_the_standard_says(body: bytes) -> None:
    """A second implementation, from the standard's text, whole and slow."""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    wanted: list[tuple[bytes, str]] = []
    lines: list[bytes] = []
    event = ""
    for line in [*text.split(b"\n"), b""]:  # the end flushes what the standard would discard
        if not line:
            if lines:
                wanted.append((b"\n".join(lines), event))
            lines, event = [], ""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            event = value.decode("utf-8", "replace")
    got = [(f.data, f.event) for f in frames(body) if not f.stray]
    assert [(d, e.strip()) for d, e in got] == [(d, e.strip()) for d, e in wanted]


@given(bodies, st.lists(st.integers(0, 300), max_size=12), st.integers(0, 30))
def test_the_limit_does_not_depend_on_the_cuts(body: bytes, cuts: list[int], limit: int) -> None:
    at = [0, *sorted(min(c, len(body)) for c in cuts), len(body)]
    results = []
    for pieces in ([body], [body[a:b] for a, b in itertools.pairwise(at)]):
        try:
            results.append(frames(*pieces, limit=limit))
        except TransportError as e:
            results.append(str(e))
    assert results[0] == results[1]


def test_comments_are_counted() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b": a\n\n: b\n:\ndata: x\n\n")) == [Frame(b"x")]
    assert decoder.comments == 3


def test_frames_come_as_soon_as_they_are_whole() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: a\n")) == []
    assert list(decoder.feed(b"\n")) == [Frame(b"a")]
    assert list(decoder.feed(b"data: b\r\n\r")) == [Frame(b"b")]
    assert list(decoder.feed(b"\ndata: c\r\r")) == [Frame(b"c")]
    assert list(decoder.finish()) == []


def test_finish_leaves_nothing_behind() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: a")) == []
    assert list(decoder.finish()) == [Frame(b"a")]
    assert list(decoder.finish()) == []


# --- limits and growth ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [[b"data: " + b"x" * 200], [b"data: ", b"x" * 60, b"x" * 60], [b"data: xxxx\n"] * 30,
     [b"data: xxxx\n" * 30], [b"x"] * 101, [b":" + b"x" * 200]],
)  # fmt: skip
def test_an_event_without_end_is_stopped(pieces: list[bytes]) -> None:
    with pytest.raises(TransportError) as caught:
        frames(*pieces, limit=100)
    assert (caught.value.kind, caught.value.retryable) == ("limit", False)
    assert "100 bytes" in caught.value.message


def test_the_limit_is_for_one_event() -> None:
    assert len(frames(*([b"data: " + b"x" * 80 + b"\n\n"] * 50), limit=100)) == 50
    assert len(frames(b"data: xxxxxxxx\n\n" * 50, limit=100)) == 50
    assert frames(*([b": keep-alive\n\n"] * 50), limit=100) == []
    assert frames(*([b": keep-alive\n"] * 50), limit=100) == []


def test_one_huge_line_is_joined_once() -> None:
    """30 MB in one line, as an image in base64 comes, in 64 KiB pieces."""
    piece = b"x" * 65536
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: ")) == []
    for _ in range(460):
        assert list(decoder.feed(piece)) == []
        # Kept as it came: nothing is joined before the line ends.
        assert decoder._pending[-1] is piece
    (frame,) = decoder.feed(b"\n\n")
    assert len(frame.data) == 460 * 65536


def test_single_bytes_are_not_joined_again_and_again() -> None:
    decoder = SSEDecoder()
    for _ in range(50_000):
        assert list(decoder.feed(b"x")) == []
    assert sum(map(len, decoder._pending)) == 50_000
    assert len(decoder._pending) == 50_000


def test_many_events_in_one_piece() -> None:
    body = b"".join(b"data: %s\n\n" % json.dumps({"n": n}).encode() for n in range(5000))
    assert [json.loads(d)["n"] for d in data(body)] == list(range(5000))


_EVENTS = st.sampled_from([
    b"data: {}\n\n", b"event: x\ndata: [1]\n\n", b": ping\n\n", b"data: a\ndata: b\n\n", b"\n",
    b"event: y\n\n", b"data: c\r\n\r\n", b"data:d\n\n", b"id: 7\ndata: e\n\n", b'{"error":1}\n',
    b'[{\n  "error": 1\n}]\n', b'  "code": 2\n',
    b"event: z\ndata: 1\ndata: 2\n\n", b"data: \n\n", b"data: f", b"\xef\xbb\xbf",
])  # fmt: skip


@given(st.lists(_EVENTS, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_ordinary_blocks_read_as_feed_reads_them(events: list[bytes], places: list[int]) -> None:
    """Whichever way each packet takes, the frames are those of the general way."""
    body = b"".join(events)
    wanted = frames(body)
    edges = [0, *sorted({p % (len(body) + 1) for p in places}), len(body)]
    assert frames_of_blocks([body[a:b] for a, b in itertools.pairwise(edges)]) == wanted
