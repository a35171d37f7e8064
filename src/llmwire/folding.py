"""How deltas become parts and chunks become a reply: the algebra behind `LLMChunk + LLMChunk`.

Joining goes through the parts of the right side in order. A delta that does not `start` continues
the last open delta with its index and kind, wherever that stands; everything else is appended.
A delta that has both its start and its end is no delta any more: it is replaced by the part. This
makes the joining associative, which a property test holds.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from .types import (
    NOTHING,
    Adaptation,
    FunctionCall,
    IncompleteReason,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Retry,
    StopInfo,
    TextPart,
    ToolCall,
    load_json,
    new_message,
)


class Rope:
    """Text under construction: a list shared by all sums that grew from one another.

    A sum sees the first `length` pieces. Extending the newest sum appends; extending an older
    one copies. So adding chunk after chunk is linear, and no sum ever changes.
    """

    __slots__ = ("_length", "_pieces")

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces
        self._length = len(pieces)

    def extended(self, text: str) -> Rope:
        pieces, n = self._pieces, self._length
        if len(pieces) == n:
            pieces.append(text)
            # Another thread may have appended between the two lines: then ours is not at n.
            if pieces[n] is text:
                rope = _new_rope(Rope)
                rope._pieces = pieces
                rope._length = n + 1
                return rope
        return Rope([*pieces[:n], text])

    def __str__(self) -> str:
        return "".join(self._pieces[: self._length])

    def __repr__(self) -> str:
        return repr(str(self))

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | Rope) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


_struct_new: Any = msgspec.StructMeta.__call__
_new_rope = object.__new__


def _grown(body: Any, text: Any) -> Any:
    """Two texts as one; each is a string or a rope."""
    if not text:
        return body
    if not body:
        return text
    left = body if type(body) is Rope else Rope([body])
    return left.extended(str(text))


def join_deltas(a: PartDelta, b: PartDelta) -> PartDelta:
    """One delta for two neighbours of the same part."""
    return PartDelta(
        a.index,
        a.kind,
        _grown(a.body, b.body),
        a.start,
        b.end,
        b.id or a.id,
        a.name or b.name,
        a.signature if b.signature is None else b.signature,
        a.data if b.data is None else b.data,
        a.reasoning_kind if b.reasoning_kind == "full" else b.reasoning_kind,
        a.tool_kind if b.tool_kind == "function" else b.tool_kind,
        a.incomplete if b.incomplete is None else b.incomplete,
        a.citations + b.citations,
        a.native if b.native is None else b.native,
    )


def close_delta(d: PartDelta, cut: IncompleteReason | None = None) -> Part | None:
    """The part that a delta amounts to; None if it holds nothing.

    `cut` says why the end never came; a tool call is then incomplete whatever its text says.
    """
    text = d.text
    if d.kind == "text":
        return TextPart(text, d.citations, d.native) if text or d.citations else None
    if d.kind == "refusal":
        return RefusalPart(text, d.native) if text else None
    if d.kind == "reasoning":
        if not (text or d.signature is not None or d.data is not None):
            return None
        return ReasoningPart(text, d.reasoning_kind, d.signature, d.data, d.native)
    reason = d.incomplete or cut
    if reason is None and d.tool_kind == "function" and not is_json_object(text):
        reason = "invalid_json"
    if reason is not None:
        return IncompleteToolCall(d.id or None, d.name, text, reason, d.native)
    return ToolCall(d.id or None, FunctionCall(d.name, text), d.tool_kind, d.native)


def is_json_object(text: str) -> bool:
    """Whether text is a JSON object; no text at all counts as the empty one."""
    if not text.strip():
        return True
    try:
        return isinstance(load_json(text), dict)
    except ValueError:
        return False


def piece_of(chunk: LLMChunk) -> PartDelta | None:
    """The delta of a chunk that is only more text of some part; None for any other chunk.

    Nearly every chunk of a stream is such a piece, and both ways of adding up take it without
    making anything that is thrown away again.
    """
    message = chunk.message
    parts = message.parts
    if len(parts) != 1:
        return None
    part = parts[0]
    if (
        type(part) is not PartDelta
        or part.start
        or part.end
        or type(part.body) is not str
        or part.id is not None
        or part.name
        or part.signature is not None
        or part.data is not None
        or part.reasoning_kind != "full"
        or part.tool_kind != "function"
        or part.incomplete is not None
        or part.citations
        or part.native is not None
        or message.name is not None
        or chunk.usage is not None
        or chunk.stop is not None
        or chunk.response_id is not None
        or chunk.model is not None
        or chunk.correlation_id is not None
        or chunk.adaptations
        or chunk.output is not None
        or chunk.retries
    ):
        return None
    return part


def joined(a: LLMChunk, b: LLMChunk) -> LLMChunk:
    """`a + b`. Raises `ValueError` if both have content of different roles."""
    piece = piece_of(b)
    if piece is not None:
        message = a.message
        parts = message.parts
        last = parts[-1] if parts else None
        if (
            type(last) is PartDelta
            and last.kind == piece.kind
            and last.index == piece.index
            and not last.end
            and message.role == b.message.role
            and (len(parts) == 1 or _only_last_takes(parts))
        ):
            longer = _longer(last, piece.body)
            parts = (longer,) if len(parts) == 1 else (*parts[:-1], longer)
            return LLMChunk(
                _struct_new(LLMMessage, message.role, parts, message.name),
                a.usage,
                a.stop,
                a.response_id,
                a.model,
                a.correlation_id,
                a.adaptations,
                a.output,
                a.retries,
            )
    builder = ChunkBuilder()
    builder.add(a)
    builder.add(b)
    return builder.result()


def _only_last_takes(parts: tuple[Part, ...]) -> bool:
    """Whether the last delta is the only one that its next piece can go to, and the parts before
    it are in normal form: then only the last one changes."""
    last = cast(PartDelta, parts[-1])
    taken = {(last.index, last.kind)}
    for part in parts[:-1]:
        if type(part) is PartDelta:
            key = part.index, part.kind
            if part.end or key in taken:
                return False
            taken.add(key)
    return True


def _longer(d: PartDelta, text: str) -> PartDelta:
    """The delta with more text: what `join_deltas` makes of it and a piece."""
    body: Any = d.body
    body = body.extended(text) if type(body) is Rope else _grown(body, text)
    return PartDelta(
        d.index,
        d.kind,
        body,
        d.start,
        d.end,
        d.id,
        d.name,
        d.signature,
        d.data,
        d.reasoning_kind,
        d.tool_kind,
        d.incomplete,
        d.citations,
        d.native,
    )


class ChunkBuilder:
    """Collects chunks; `result` is their sum so far. For one reply, then thrown away."""

    __slots__ = (
        "_adaptations",
        "_correlation_id",
        "_message",
        "_model",
        "_open",
        "_output",
        "_parts",
        "_response_id",
        "_retries",
        "_stop",
        "_tail",
        "_tail_at",
        "_tail_index",
        "_tail_kind",
        "_usage",
    )

    def __init__(self) -> None:
        self._message = NOTHING
        self._parts: list[Part | None] = []
        self._open: dict[tuple[int, str], list[int]] = {}
        self._tail: list[str] = []  # text for the part at _tail_at, not joined to it yet
        self._tail_at = -1
        self._tail_index = -1
        self._tail_kind = ""  # "": no part is open at the tail
        self._usage: LLMUsage | None = None
        self._stop: StopInfo | None = None
        self._response_id: str | None = None
        self._model: str | None = None
        self._correlation_id: str | None = None
        self._adaptations: list[Adaptation] = []
        self._output: Any = None
        self._retries: list[Retry] = []

    def add(self, chunk: LLMChunk) -> None:
        """Joins a chunk to the right. Raises `ValueError` if the roles differ."""
        piece = piece_of(chunk)
        if (
            piece is not None
            and piece.kind == self._tail_kind
            and piece.index == self._tail_index
            and chunk.message.role == self._message.role
        ):
            self._tail.append(piece.body)
            return
        message = chunk.message
        if message.parts or message != NOTHING:
            self._add_message(message)
        if chunk.usage is not None:
            self._usage = chunk.usage if self._usage is None else self._usage.merged(chunk.usage)
        if chunk.stop is not None:
            self._stop = chunk.stop
        if chunk.response_id is not None:
            self._response_id = chunk.response_id
        if chunk.model is not None:
            self._model = chunk.model
        if chunk.correlation_id is not None:
            self._correlation_id = chunk.correlation_id
        if chunk.adaptations:
            self._adaptations.extend(chunk.adaptations)
        if chunk.output is not None:
            self._output = chunk.output
        if chunk.retries:
            self._retries.extend(chunk.retries)

    def _join_tail(self) -> None:
        if self._tail:
            last = cast(PartDelta, self._parts[self._tail_at])
            self._parts[self._tail_at] = _longer(last, "".join(self._tail))
            self._tail = []

    def _add_message(self, message: LLMMessage) -> None:
        self._join_tail()
        ours = self._message
        if self._parts or ours != NOTHING:
            if ours.role != message.role:
                raise ValueError(f"can't join a {message.role} message to one of {ours.role}")
            if ours.name and message.name and ours.name != message.name:
                raise ValueError(f"can't join {message.name!r}'s message to {ours.name!r}'s")
            if message.name and not ours.name:
                self._message = new_message(ours.role, (), message.name)
        else:
            self._message = new_message(message.role, (), message.name)
        parts, open_ = self._parts, self._open
        for part in message.parts:
            self._tail_kind = ""
            if type(part) is not PartDelta:
                parts.append(part)
                continue
            opened = open_.setdefault((part.index, part.kind), [])
            if opened and not part.start:
                at = opened[-1]
                part = join_deltas(cast(PartDelta, parts[at]), part)
                if part.end:
                    opened.pop()
            else:
                at = len(parts)
                parts.append(part)
                if not part.end:
                    opened.append(at)
            if not part.end:
                self._tail_at, self._tail_index, self._tail_kind = at, part.index, part.kind
            parts[at] = close_delta(part) if part.start and part.end else part

    def result(self) -> LLMChunk:
        """The sum of what was added so far; later additions do not change it."""
        self._join_tail()
        message = self._message
        return LLMChunk(
            new_message(message.role, tuple(p for p in self._parts if p is not None), message.name),
            self._usage,
            self._stop,
            self._response_id,
            self._model,
            self._correlation_id,
            tuple(self._adaptations),
            self._output,
            tuple(self._retries),
        )


def close_open_parts(chunk: LLMChunk, reason: IncompleteReason = "cut") -> LLMChunk:
    """A reply that ended early, as a value: open texts closed, open tool calls incomplete."""
    parts = chunk.message.parts
    if not any(type(p) is PartDelta for p in parts):
        return chunk
    closed = (close_delta(p, reason) if type(p) is PartDelta else p for p in parts)
    message = chunk.message.with_parts(p for p in closed if p is not None)
    usage = chunk.usage
    return LLMChunk(
        message,
        usage,
        chunk.stop,
        chunk.response_id,
        chunk.model,
        chunk.correlation_id,
        chunk.adaptations,
        chunk.output,
        chunk.retries,
    )
