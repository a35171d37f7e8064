"""AWS's event stream: binary frames to events, and back. Wire reference 6.3.

https://smithy.io/2.0/aws/amazon-eventstream.html (2026-11). A frame is, big-endian:

    total length u32 | length of headers u32 | CRC32 of these 8 bytes u32
    headers: length of name u8, name, type u8, value
    payload
    CRC32 of all before it u32

Both checksums are verified: a frame with a wrong bit in it is a `DecodeError`, never an event. What
the end of the bytes cuts off is no frame; whether the reply was whole is the wire's question.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias
from zlib import crc32

from .errors import DecodeError, TransportError

CONTENT_TYPE = "application/vnd.amazon.eventstream"

MAX_HEADERS_BYTES = 128 * 1024
"""A bound on one frame's headers: the format's own."""
MAX_PAYLOAD_BYTES = 24 * 1024 * 1024
"""A bound on one frame's payload: the format's own. Source: botocore 1.44.8's eventstream."""

_PRELUDE = struct.Struct(">III")
_U32 = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + _U32.size
_KNOWN_HEADERS = 64  # different sets of headers that one stream's decoder remembers; real ones: 6


class Timestamp(NamedTuple):
    """Milliseconds since 1970."""

    ms: int


class UUID(NamedTuple):
    """Sixteen bytes that name something."""

    value: bytes


class SizedInt(NamedTuple):
    """A number that says how many bytes it takes: 1, 2 or 4. A plain `int` takes 8."""

    value: int
    size: int


HeaderValue: TypeAlias = bool | int | SizedInt | bytes | str | Timestamp | UUID

_INTEGERS = {2: (">b", 1), 3: (">h", 2), 4: (">i", 4), 5: (">q", 8)}
_SIZES = {size: kind for kind, (_, size) in _INTEGERS.items()}


class BinaryFrame(NamedTuple):
    """One frame. `kind` is its `:message-type` (event, exception, error), `event` what it is of
    that kind: its `:event-type`, `:exception-type` or `:error-code`."""

    data: bytes
    event: str
    kind: str
    headers: Mapping[str, HeaderValue]


_new_frame: Any = tuple.__new__  # half the cost of calling the class
_EVENT_HEADER = {"event": ":event-type", "exception": ":exception-type", "error": ":error-code"}


class BinaryFrameDecoder:
    """Turns bytes, cut anywhere, into frames. For one stream, then thrown away."""

    __slots__ = ("_known", "_need", "_offset", "_pending", "_pending_size")

    def __init__(self) -> None:
        self._pending: list[bytes] = []  # pieces of a frame whose end has not come
        self._pending_size = 0
        self._need = _OVERHEAD  # bytes of that frame without which there is nothing to do
        self._offset = 0  # of that frame in the stream, for errors
        # Most frames have the very same headers: their bytes are read once.
        self._known: dict[bytes, tuple[str, str, Mapping[str, HeaderValue]]] = {}

    def feed(self, data: bytes) -> Iterator[BinaryFrame]:
        """Frames that these bytes complete.

        Raises `DecodeError`, with the frame's offset in the stream, for a wrong checksum, length
        or header, and `TransportError` for a frame that is larger than the format allows. What
        follows is not read then.
        """
        if self._pending_size + len(data) < self._need:
            self._hold(data)
            return
        if self._pending:
            data = b"".join((*self._pending, data))
            self._pending.clear()
            self._pending_size = 0
        at, end = 0, len(data)
        while end - at >= _OVERHEAD:
            total, headers_size, check = _PRELUDE.unpack_from(data, at)
            if crc32(data[at : at + 8]) != check:
                raise self._broken("the checksum of a frame's lengths is wrong")
            self._check_sizes(total, headers_size)
            stop = at + total
            if stop > end:
                self._need = total
                break
            if crc32(memoryview(data)[at : stop - 4]) != _U32.unpack_from(data, stop - 4)[0]:
                raise self._broken("a frame's checksum is wrong")
            start = at + _PRELUDE.size + headers_size
            named = data[at + _PRELUDE.size : start]
            known = self._known.get(named)
            if known is None:
                known = self._read_headers(named)
            event, kind, headers = known
            self._offset += total
            at = stop
            yield _new_frame(BinaryFrame, (data[start : stop - 4], event, kind, headers))
        else:
            self._need = _OVERHEAD
        if at < end:
            self._hold(data[at:])

    def _hold(self, data: bytes) -> None:
        if data:
            self._pending.append(data)
            self._pending_size += len(data)

    def _check_sizes(self, total: int, headers_size: int) -> None:
        payload = total - headers_size - _OVERHEAD
        if payload < 0:
            raise self._broken("a frame's lengths contradict each other")
        if headers_size > MAX_HEADERS_BYTES or payload > MAX_PAYLOAD_BYTES:
            raise TransportError(
                f"one frame of the stream has {total:,} bytes, more than the format allows",
                kind="limit",
                phase="stream",
                retryable=False,
            )

    def _read_headers(self, data: bytes) -> tuple[str, str, Mapping[str, HeaderValue]]:
        try:
            headers = parse_headers(data)
        except ValueError as e:
            raise self._broken(f"a frame's headers can't be read: {e}") from None
        kind = str(headers.get(":message-type", "event"))
        event = str(headers.get(_EVENT_HEADER.get(kind, ":event-type"), ""))
        if len(self._known) < _KNOWN_HEADERS:
            self._known[data] = (event, kind, headers)
        return event, kind, headers

    def _broken(self, what: str) -> DecodeError:
        return DecodeError(
            f"the bytes are no event stream: {what}", offset=self._offset, phase="stream"
        )


def parse_headers(data: bytes) -> dict[str, HeaderValue]:
    """The headers of a frame. Raises `ValueError` for bytes that are none."""
    out: dict[str, HeaderValue] = {}
    at, end = 0, len(data)

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        if at > end:
            raise ValueError("they end too early")
        return data[at - size : at]

    while at < end:
        name = take(take(1)[0]).decode()
        if not name or name in out:
            raise ValueError(f"a second header {name!r}" if name else "a header without a name")
        kind = take(1)[0]
        value: HeaderValue
        if kind < 2:
            value = kind == 0
        elif kind in _INTEGERS:
            form, size = _INTEGERS[kind]
            (number,) = struct.unpack(form, take(size))
            value = number if size == 8 else SizedInt(number, size)
        elif kind == 6:
            value = take(int.from_bytes(take(2), "big"))
        elif kind == 7:
            value = take(int.from_bytes(take(2), "big")).decode()
        elif kind == 8:
            value = Timestamp(int.from_bytes(take(8), "big", signed=True))
        elif kind == 9:
            value = UUID(take(16))
        else:
            raise ValueError(f"a value of type {kind}")
        out[name] = value
    return out


def encode_frame(payload: bytes, headers: Mapping[str, HeaderValue]) -> bytes:
    """A frame with these headers; the decoder gives both back.

    Raises `ValueError` for a name or value that is longer than the format allows.
    """
    named = b"".join(_header(name, value) for name, value in headers.items())
    total = _OVERHEAD + len(named) + len(payload)
    if len(named) > MAX_HEADERS_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a frame can't have {total:,} bytes")
    prelude = struct.pack(">II", total, len(named))
    frame = b"".join((prelude, _U32.pack(crc32(prelude)), named, payload))
    return frame + _U32.pack(crc32(frame))


def _header(name: str, value: HeaderValue) -> bytes:
    raw = name.encode()
    if not 0 < len(raw) < 256:
        raise ValueError(f"{name!r} can't be the name of a header")
    head = bytes((len(raw),)) + raw
    try:
        if isinstance(value, bool):
            return head + (b"\x00" if value else b"\x01")
        if isinstance(value, int):
            return head + struct.pack(">Bq", 5, value)
        if isinstance(value, SizedInt):
            kind = _SIZES[value.size]
            return head + bytes((kind,)) + struct.pack(_INTEGERS[kind][0], value.value)
        if isinstance(value, Timestamp):
            return head + struct.pack(">Bq", 8, value.ms)
        if isinstance(value, UUID):
            if len(value.value) != 16:
                raise ValueError(f"the value of header {name!r} must have 16 bytes")
            return head + b"\x09" + value.value
        kind, body = (7, value.encode()) if isinstance(value, str) else (6, value)
        return head + struct.pack(">BH", kind, len(body)) + body
    except (struct.error, KeyError) as e:
        raise ValueError(f"the value of header {name!r} does not fit: {e}") from None


def event_frame(event: str, payload: bytes, kind: str = "event") -> bytes:
    """A frame as AWS writes them: JSON, with the headers that say what it is."""
    return encode_frame(
        payload,
        {
            _EVENT_HEADER[kind]: event,
            ":content-type": "application/json",
            ":message-type": kind,
        },
    )
