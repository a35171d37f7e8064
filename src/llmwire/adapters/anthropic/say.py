"""What a reply is on the wire: the server's mouth. The inverse of `decode`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Raw

from ...errors import UnsupportedError
from ...folding import close_open_parts, is_json_object
from ...types import (
    JSON,
    CompactionPart,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    StopReason,
    TextPart,
    ToolCall,
    accumulate,
)
from ..base import ServerRequest, canonical_json
from . import blocks
from .blocks import API, STOP_REASONS

_WORDS: dict[StopReason, str] = {
    **{reason: word for word, reason in reversed(STOP_REASONS.items())},
    "content_filter": "refusal",
}
_DETAILS_BESIDE = ("context_management", "input_transformations")


def id_of(prefix: str, heard: ServerRequest, n: int = 0) -> str:
    """An id made from the request: the same question gets the same one."""
    seed = canonical_json([heard.body, heard.request.model.name, n])
    return prefix + hashlib.sha256(seed).hexdigest()[:24]


# --- blocks -----------------------------------------------------------------------------------


def _extras(native: Native | None) -> dict[str, JSON]:
    if native is not None and native.api == API and isinstance(native.payload, dict):
        return native.payload
    return {}


def call_head(part: Any, call_id: str) -> dict[str, Any]:
    head: dict[str, Any] = {"type": "tool_use", "id": part.id or call_id, "name": part.name}
    return {**head, "input": {}, **_extras(part.native)}


def raw_block(part: OpaquePart | CompactionPart) -> Any:
    """A block that is said as it was heard."""
    if isinstance(part, OpaquePart):
        return Raw(part.data)
    if part.native is not None and isinstance(part.native.payload, str):
        return Raw(part.native.payload)
    return {"type": "compaction", "content": part.summary}


def block_of(part: Part, call_id: str, path: str) -> Any:
    """A part as a whole block. Raises `UnsupportedError` for what no reply here can hold."""
    if isinstance(part, TextPart):
        block: dict[str, Any] = {"type": "text", "text": part.text}
        return {**block, "citations": list(part.citations)} if part.citations else block
    if isinstance(part, RefusalPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ReasoningPart):
        if part.kind in ("redacted", "encrypted") and part.data is not None:
            return {"type": "redacted_thinking", "data": part.data}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    if isinstance(part, ToolCall | IncompleteToolCall):
        head = call_head(part, call_id)
        if part.arguments.strip() and is_json_object(part.arguments):
            head["input"] = Raw(part.arguments)
        return head
    if isinstance(part, OpaquePart | CompactionPart):
        return raw_block(part)
    raise UnsupportedError(
        f"{path}: a reply of the Messages API can't hold {type(part).__name__}",
        path=path,
        api=API,
        phase="prepare",
    )


# --- usage and stop ---------------------------------------------------------------------------


def wire_usage(usage: LLMUsage | None) -> dict[str, JSON]:
    """The usage object; null where nobody counted, which is not the same as zero."""
    if usage is None:
        return {"input_tokens": None, "output_tokens": None}
    if usage.raw:
        own = blocks.usage_of(usage.raw, usage.provenance == "partial")
        if own == usage:
            return usage.raw
    fresh = usage.input_uncached
    if fresh is None and usage.input_total is not None:
        fresh = usage.input_total - (usage.cache_read or 0) - (usage.cache_write or 0)
    out: dict[str, JSON] = {"input_tokens": fresh}
    if usage.cache_write is not None:
        out["cache_creation_input_tokens"] = usage.cache_write
    if usage.cache_read is not None:
        out["cache_read_input_tokens"] = usage.cache_read
    lifetimes = {
        "ephemeral_5m_input_tokens": usage.cache_write_5m,
        "ephemeral_1h_input_tokens": usage.cache_write_1h,
    }
    if any(n is not None for n in lifetimes.values()):
        out["cache_creation"] = {name: n for name, n in lifetimes.items() if n is not None}
    out["output_tokens"] = usage.output_total
    if usage.reasoning is not None:
        out["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.server_tool_calls is not None:
        out["server_tool_use"] = usage.server_tool_calls
    if usage.service_tier is not None:
        out["service_tier"] = usage.service_tier
    return out


def stop_fields(stop: StopInfo | None, calls: bool) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """stop_reason and what belongs to it; and what stands beside it."""
    if stop is None:
        stop = StopInfo("tool_calls" if calls else "stop")
    word = stop.raw
    if word is None or (STOP_REASONS.get(word) != stop.reason and stop.reason != "other"):
        word = _WORDS.get(stop.reason, "end_turn")
    details = dict(stop.details or {})
    fields: dict[str, JSON] = {
        "stop_reason": word,
        "stop_sequence": details.pop("stop_sequence", None),
    }
    if "container" in details:
        fields["container"] = details.pop("container")
    beside = {name: details.pop(name) for name in _DETAILS_BESIDE if name in details}
    if details:
        fields["stop_details"] = details
    return fields, beside


# --- whole ------------------------------------------------------------------------------------


def whole_body(reply: LLMChunk, heard: ServerRequest) -> bytes:
    reply = close_open_parts(accumulate((reply,)))
    content = [
        block_of(part, id_of("toolu_", heard, i), f"message.parts[{i}]")
        for i, part in enumerate(reply.message.parts)
    ]
    calls = bool(reply.message.tool_calls)
    fields, beside = stop_fields(reply.stop, calls)
    return canonical_json(
        {
            "id": reply.response_id or id_of("msg_", heard),
            "type": "message",
            "role": "assistant",
            "model": reply.model or heard.request.model.name,
            "content": content,
            **fields,
            **beside,
            "usage": wire_usage(reply.usage),
        }
    )


# --- stream -----------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> bytes:
    data = canonical_json({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


class _Part:
    """A part on its way out: what has come of it and was not said yet."""

    __slots__ = ("call_id", "data", "ended", "kind", "pending", "said", "signature", "tool")

    def __init__(self, kind: str, call_id: str) -> None:
        self.kind = kind
        self.call_id = call_id
        self.pending: list[PartDelta] = []
        self.ended = False
        self.said = False  # whether its block has been started
        self.signature: str | None = None
        self.data: str | None = None
        self.tool: PartDelta | None = None


class StreamWriter:
    """Says a reply as events: one block at a time, in the order in which the parts began.

    Pieces of a part that runs beside the current one wait until that has ended.
    """

    def __init__(self, heard: ServerRequest) -> None:
        self._heard = heard
        self._queue: list[tuple[int, _Part | Part]] = []
        self._open: dict[tuple[int, str], _Part] = {}
        self._index = -1
        self._count = 0
        self._begun = False
        self._calls = False
        self._usage: LLMUsage | None = None
        self._stop: StopInfo | None = None

    def write(self, chunk: LLMChunk) -> Iterator[bytes]:
        if chunk.usage is not None:
            self._usage = chunk.usage if self._usage is None else self._usage.merged(chunk.usage)
        if chunk.stop is not None:
            self._stop = chunk.stop
        if not self._begun:
            yield self._message_start(chunk)
        for part in chunk.message.parts:
            self._take(part)
        yield from self._flush()

    def finish(self) -> Iterator[bytes]:
        if not self._begun:
            yield self._message_start(LLMChunk())
        for _, part in self._queue:
            if isinstance(part, _Part):
                part.ended = True
        yield from self._flush()
        fields, beside = stop_fields(self._stop, self._calls)
        yield event("message_delta", delta=fields, usage=wire_usage(self._usage), **beside)
        yield event("message_stop")

    def _message_start(self, chunk: LLMChunk) -> bytes:
        self._begun = True
        return event(
            "message_start",
            message={
                "id": chunk.response_id or id_of("msg_", self._heard),
                "type": "message",
                "role": "assistant",
                "model": chunk.model or self._heard.request.model.name,
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": wire_usage(self._usage),
            },
        )

    def _take(self, part: Part) -> None:
        if not isinstance(part, PartDelta):
            self._queue.append((self._count, part))
            self._count += 1
            return
        key = (part.index, part.kind)
        current = self._open.get(key)
        if current is None or part.start:
            current = self._open[key] = _Part(part.kind, id_of("toolu_", self._heard, self._count))
            self._queue.append((self._count, current))
            self._count += 1
        current.pending.append(part)
        if part.end:
            current.ended = True
            del self._open[key]

    def _flush(self) -> Iterator[bytes]:
        while self._queue:
            n, head = self._queue[0]
            if not isinstance(head, _Part):
                yield from self._whole(n, head)
            else:
                for piece in head.pending:
                    yield from self._piece(head, piece)
                head.pending.clear()
                if not head.ended:
                    return
                yield from self._end(head)
            self._queue.pop(0)

    def _start(self, block: Any) -> bytes:
        self._index += 1
        return event("content_block_start", index=self._index, content_block=block)

    def _delta(self, kind: str, **fields: Any) -> bytes:
        return event("content_block_delta", index=self._index, delta={"type": kind, **fields})

    def _stop_block(self) -> bytes:
        return event("content_block_stop", index=self._index)

    def _whole(self, n: int, part: Part) -> Iterator[bytes]:
        if isinstance(part, OpaquePart | CompactionPart):
            yield self._start(raw_block(part))
            yield self._stop_block()
            return
        if isinstance(part, ReasoningPart) and part.data is not None:
            yield self._start(block_of(part, "", ""))
            yield self._stop_block()
            return
        whole = _Part("text", id_of("toolu_", self._heard, n))
        if isinstance(part, TextPart):
            piece = PartDelta(0, "text", part.text, citations=part.citations)
        elif isinstance(part, RefusalPart):
            piece = PartDelta(0, "text", part.text)
        elif isinstance(part, ReasoningPart):
            whole.kind = "reasoning"
            piece = PartDelta(0, "reasoning", part.text, signature=part.signature)
        elif isinstance(part, ToolCall | IncompleteToolCall):
            whole.kind = "tool_call"
            piece = PartDelta(
                0, "tool_call", part.arguments, id=part.id, name=part.name, native=part.native
            )
        else:
            block_of(part, "", f"message.parts[{n}]")  # raises
            return
        yield from self._piece(whole, piece)
        yield from self._end(whole)

    def _piece(self, part: _Part, piece: PartDelta) -> Iterator[bytes]:
        if part.kind == "tool_call":
            yield from self._call_piece(part, piece)
            return
        text = piece.text
        if part.kind == "reasoning":
            part.signature = piece.signature or part.signature
            part.data = piece.data if piece.data is not None else part.data
            if text:
                if not part.said:
                    yield self._start({"type": "thinking", "thinking": "", "signature": ""})
                    part.said = True
                yield self._delta("thinking_delta", thinking=text)
            return
        if (text or piece.citations) and not part.said:
            yield self._start({"type": "text", "text": ""})
            part.said = True
        if text:
            yield self._delta("text_delta", text=text)
        for citation in piece.citations:
            yield self._delta("citations_delta", citation=citation)

    def _call_piece(self, part: _Part, piece: PartDelta) -> Iterator[bytes]:
        if not part.said:
            part.tool = piece if part.tool is None else _joined(part.tool, piece)
            if not (part.tool.name and part.tool.id):
                return  # some wires tell the id or the name later
            piece = part.tool
            yield self._call_start(part, part.tool)
        if piece.text:
            yield self._delta("input_json_delta", partial_json=piece.text)

    def _call_start(self, part: _Part, head: PartDelta) -> bytes:
        part.said = True
        self._calls = True
        return self._start(call_head(head, part.call_id))

    def _end(self, part: _Part) -> Iterator[bytes]:
        if part.kind == "tool_call" and not part.said and part.tool is not None:
            yield self._call_start(part, part.tool)
            if part.tool.text:
                yield self._delta("input_json_delta", partial_json=part.tool.text)
        elif part.kind == "reasoning":
            if not part.said and part.data is not None:
                yield self._start({"type": "redacted_thinking", "data": part.data})
                part.said = True
            elif part.signature is not None:
                if not part.said:
                    yield self._start({"type": "thinking", "thinking": "", "signature": ""})
                    part.said = True
                yield self._delta("signature_delta", signature=part.signature)
        if part.said:
            yield self._stop_block()


def _joined(a: PartDelta, b: PartDelta) -> PartDelta:
    return PartDelta(
        a.index,
        "tool_call",
        a.text + b.text,
        id=a.id or b.id,
        name=a.name or b.name,
        native=a.native or b.native,
    )


def stream_body(chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
    writer = StreamWriter(heard)
    for chunk in chunks:
        yield from writer.write(chunk)
    yield from writer.finish()
