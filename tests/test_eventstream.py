"""AWS's binary frames: what botocore reads we read, and a wrong bit is never an event."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from llmwire.errors import BackendError, DecodeError, TransportError
from llmwire.eventstream import (
    MAX_HEADERS_BYTES,
    MAX_PAYLOAD_BYTES,
    UUID,
    BinaryFrame,
    BinaryFrameDecoder,
    SizedInt,
    Timestamp,
    encode_frame,
    event_frame,
    parse_headers,
)

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
int64 = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(
    st.booleans(),
    int64,
    st.integers(-128, 127).map(lambda n: SizedInt(n, 1)),
    st.integers(-(2**15), 2**15 - 1).map(lambda n: SizedInt(n, 2)),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: SizedInt(n, 4)),
    st.binary(max_size=20),
    st.text(st.characters(codec="utf-8"), max_size=20),
    int64.map(Timestamp),
    st.binary(min_size=16, max_size=16).map(UUID),
)
headers = st.dictionaries(names, values, max_size=5)
frames = st.lists(st.tuples(st.binary(max_size=60), headers), min_size=1, max_size=4)


def decode(pieces: Iterable[bytes]) -> list[BinaryFrame]:
    decoder = BinaryFrameDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def plain(value: Any) -> Any:
    """A header's value as botocore gives it."""
    if isinstance(value, SizedInt):
        return value.value
    if isinstance(value, Timestamp):
        return value.ms
    return value.value if isinstance(value, UUID) else value


@given(frames, st.lists(st.integers(0, 10_000), max_size=8))
def test_what_is_written_is_read_at_any_cut(said: Any, places: list[int]) -> None:
    data = b"".join(encode_frame(payload, named) for payload, named in said)
    read = decode(cut_at(data, places))
    assert [(f.data, f.headers) for f in read] == said
    assert [{k: type(v) for k, v in f.headers.items()} for f in read] == [
        {k: type(v) for k, v in named.items()} for _, named in said
    ]
    assert decode(data[i : i + 1] for i in range(len(data))) == read


@given(frames)
def test_botocore_reads_the_same(said: Any) -> None:
    data = b"".join(encode_frame(payload, named) for payload, named in said)
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    theirs = [(event.payload, event.headers) for event in buffer]
    assert theirs == [(p, {k: plain(v) for k, v in named.items()}) for p, named in said]


def test_every_type_of_header() -> None:
    """Written by hand after the format's description."""
    raw = b"".join(
        bytes((len(name),)) + name + body
        for name, body in (
            (b"yes", b"\x00"),
            (b"no", b"\x01"),
            (b"byte", b"\x02\xff"),
            (b"short", b"\x03" + struct.pack(">h", -300)),
            (b"int", b"\x04" + struct.pack(">i", -70_000)),
            (b"long", b"\x05" + struct.pack(">q", -(2**40))),
            (b"bytes", b"\x06\x00\x03\x00\x01\x02"),
            (b"text", b"\x07\x00\x02\xc3\xa9"),
            (b"when", b"\x08" + struct.pack(">q", 1_764_000_000_000)),
            (b"uuid", b"\x09" + uuid.UUID(int=7).bytes),
        )
    )
    assert parse_headers(raw) == {
        "yes": True,
        "no": False,
        "byte": SizedInt(-1, 1),
        "short": SizedInt(-300, 2),
        "int": SizedInt(-70_000, 4),
        "long": -(2**40),
        "bytes": b"\x00\x01\x02",
        "text": "é",
        "when": Timestamp(1_764_000_000_000),
        "uuid": UUID(uuid.UUID(int=7).bytes),
    }


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_wrong_bit_never_decodes(payload: bytes, data: st.DataObject) -> None:
    frame = event_frame("contentBlockDelta", payload)
    wrong = bytearray(frame)
    at = data.draw(st.integers(0, len(frame) - 1))
    wrong[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DecodeError):
        decode([bytes(wrong)])


@given(st.binary(max_size=200))
def test_only_our_errors_leave(data: bytes) -> None:
    try:
        decode([data])
    except BackendError as e:
        assert isinstance(e, DecodeError | TransportError)


def test_frames_before_a_fault_come_out_and_its_place_is_told() -> None:
    good, bad = event_frame("a", b"1"), bytearray(event_frame("b", b"2"))
    bad[-1] ^= 1
    decoder = BinaryFrameDecoder()
    got = decoder.feed(good + good + bytes(bad))
    assert [next(got).event, next(got).event] == ["a", "a"]
    with pytest.raises(DecodeError, match="checksum is wrong") as caught:
        next(got)
    assert caught.value.offset == 2 * len(good)


def test_a_truncated_frame_is_no_frame_and_no_error() -> None:
    frame = event_frame("a", b"12345")
    for end in range(len(frame)):
        assert decode([frame[:end]]) == []


def with_lengths(total: int, named: int, rest: bytes = b"") -> bytes:
    prelude = struct.pack(">II", total, named)
    frame = prelude + struct.pack(">I", crc32(prelude)) + rest
    return frame + struct.pack(">I", crc32(frame))


@pytest.mark.parametrize(("total", "named"), [(15, 0), (0, 0), (16, 1), (20, 2**32 - 1)])
def test_lengths_that_contradict_each_other(total: int, named: int) -> None:
    with pytest.raises(DecodeError, match="contradict"):
        decode([with_lengths(total, named)])


@pytest.mark.parametrize(
    ("total", "named"),
    [
        (16 + MAX_PAYLOAD_BYTES + 1, 0),
        (2**32 - 1, 0),
        (16 + MAX_HEADERS_BYTES + 1, MAX_HEADERS_BYTES + 1),
    ],
)
def test_a_frame_beyond_the_formats_bounds_is_refused_at_once(total: int, named: int) -> None:
    with pytest.raises(TransportError) as caught:
        decode([with_lengths(total, named)])
    assert caught.value.kind == "limit" and not caught.value.retryable


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00",  # a name without letters
        b"\x01",
        b"\x01a",
        b"\x01a\x0a",  # a type that is none
        b"\x01a\x04\x00",
        b"\x01a\x07\x00\x05abc",
        b"\x01a\x07\x00\x01\xff",
        b"\x01a\x00\x01a\x01",  # the same name twice
    ],
)
def test_headers_that_can_not_be_read(raw: bytes) -> None:
    frame = with_lengths(16 + len(raw), len(raw), raw)
    with pytest.raises(DecodeError, match="headers"):
        decode([frame])


@pytest.mark.parametrize(
    "named",
    [
        {"": "x"},
        {"n" * 256: "x"},
        {"a": "x" * 65_536},
        {"a": 2**63},
        {"a": SizedInt(128, 1)},
        {"a": SizedInt(1, 3)},
        {"a": UUID(b"short")},
        {str(i): "x" * 65_000 for i in range(3)},
    ],
)
def test_headers_that_can_not_be_written(named: Any) -> None:
    with pytest.raises(ValueError):
        encode_frame(b"", named)


def test_kinds_of_frames() -> None:
    told = decode(
        [
            event_frame("metadata", b"{}"),
            event_frame("throttlingException", b"{}", "exception"),
            event_frame("InternalFailure", b"", "error"),
            encode_frame(b"", {}),
        ]
    )
    assert [(f.kind, f.event) for f in told] == [
        ("event", "metadata"),
        ("exception", "throttlingException"),
        ("error", "InternalFailure"),
        ("event", ""),
    ]


def test_many_different_headers_are_not_all_remembered() -> None:
    decoder = BinaryFrameDecoder()
    sent = [encode_frame(b"", {":event-type": str(i)}) for i in range(500)]
    assert [f.event for data in sent for f in decoder.feed(data)] == [str(i) for i in range(500)]
    assert len(decoder._known) < 100
