"""From server-sent events to chunks: the ordinary event's short way, and the way of all others.

An event is ordinary if it only continues the part that came last: its data go through one typed
decoder and become one chunk, without an `Event` or a writer between. How such an event looks, the
state of the reply says: after every other event, a wire says it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from ..errors import BackendError
from ..sse import Frame, SSEDecoder
from ..types import DeltaKind, LLMChunk, LLMMessage, PartDelta, Role

NOT_AN_EVENT = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises for bytes that do not fit."""

Piece: TypeAlias = Callable[[bytes], LLMChunk | None]
"""The chunk of an ordinary event's data; None for any other data. Never raises."""

_struct_new: Any = msgspec.StructMeta.__call__
_assistant = Role.assistant


def piece_chunk(index: int, kind: DeltaKind, body: str) -> LLMChunk:
    """An assistant's chunk with more text of one part, and nothing else (hot path)."""
    return LLMChunk(_struct_new(LLMMessage, _assistant, (PartDelta(index, kind, body),)))


class EventStreamDecoder:
    """The half of a `StreamDecoder` that all wires of server-sent events share.

    A wire has `_on_frame` and `_finish`, and says by `_set_piece` how ordinary events look. However
    the bytes are cut, every event is tried as an ordinary one first.
    """

    __slots__ = ("_expected", "_head", "_piece", "_pings", "_sse", "done", "keepalives")

    def __init__(self) -> None:
        self.done = False
        self.keepalives = 0
        self._sse = SSEDecoder()
        self._pings = 0
        self._expected = ""
        self._head = b"data:"
        self._piece: Piece | None = None

    def _set_piece(self, piece: Piece | None, event: str = "") -> None:
        """From now on `piece` reads the ordinary events, whose type is `event`. None: no more."""
        self._piece = piece
        if event != self._expected:
            self._expected = event
            self._head = b"event: %b\ndata:" % event.encode() if event else b"data:"

    def feed(self, data: bytes) -> Iterable[LLMChunk]:
        """As `StreamDecoder.feed`."""
        piece = self._piece
        tried = False
        if piece is not None and self._sse.idle and data.startswith(self._head):
            payload = data[len(self._head) : -2]
            if data[-1] == data[-2] == 10 and 10 not in payload and 13 not in payload:
                chunk = piece(payload)
                if chunk is not None:
                    return (chunk,)
                tried = True
        out: list[LLMChunk] = []
        try:
            self._read(data, out, tried)
        except BackendError as e:
            return before_fault(out, e)
        return out

    def finish(self) -> Iterator[LLMChunk]:
        """As `StreamDecoder.finish`."""
        out: list[LLMChunk] = []
        try:
            if not self.done:
                self._finish(out)
        except BackendError:
            yield from out
            raise
        yield from out

    def _read(self, data: bytes, out: list[LLMChunk], tried: bool) -> None:
        """Bytes of any kind. `tried`: they are one event, and no ordinary one."""
        sse = self._sse
        taken = None if self.done else sse.take(data)
        if taken is None:
            self._on_frames(sse.feed(data), out)
        else:
            self._on_block(taken[0], out, tried)
            self._on_frames(sse.rest(taken[1]), out)
        self.keepalives = sse.comments + self._pings

    def _on_block(self, block: bytes, out: list[LLMChunk], tried: bool) -> None:
        """Whole events, their lines ended by LF."""
        at, size = 0, len(block)
        while at < size and not self.done:
            piece, head = self._piece, self._head
            length = len(head)
            while piece is not None and not tried and block.startswith(head, at):
                end = block.find(b"\n", at + length)
                if block[end + 1] != 10:
                    break
                chunk = piece(block[at + length : end])
                if chunk is None:
                    tried = True
                else:
                    out.append(chunk)
                    at = end + 2
            if at < size:
                end = block.find(b"\n\n", at) + 2
                if end < 2:  # a blank line too many
                    end = size
                self._on_frames(self._sse.feed(block[at:end]), out, tried)
                at, tried = end, False

    def _on_frames(self, frames: Iterable[Frame], out: list[LLMChunk], tried: bool = False) -> None:
        for frame in frames:
            if self.done:
                return
            piece = self._piece
            if (
                piece is not None
                and not tried
                and frame.event == self._expected
                and not frame.stray
            ):
                chunk = piece(frame.data)
                if chunk is not None:
                    out.append(chunk)
                    continue
            self._on_frame(frame, out)

    def _on_frame(self, frame: Frame, out: list[LLMChunk]) -> None:
        """An event of any kind: its chunks go into `out`, those before a fault included."""
        raise NotImplementedError

    def _finish(self, out: list[LLMChunk]) -> None:
        """The end of the bytes, where it comes before the reply was known to be whole."""
        raise NotImplementedError


def before_fault(chunks: list[LLMChunk], error: BackendError) -> Iterator[LLMChunk]:
    """The chunks and then the error; raised at once if there are none."""
    if not chunks:
        raise error
    return _told(chunks, error)


def _told(chunks: list[LLMChunk], error: BackendError) -> Iterator[LLMChunk]:
    yield from chunks
    raise error
