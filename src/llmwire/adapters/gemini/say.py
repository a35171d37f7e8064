"""The server's mouth: from replies to answers and events. The inverse of `reply`.

Calls come whole, as AI Studio sends them, and the first one signed where the service signs it; a
thought that is signed comes in one piece with its signature, as clients keep a signed part apart.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import UnsupportedError
from ...folding import close_delta, close_open_parts, is_json_object, join_deltas
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
    FilePart,
    ImagePart,
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
from ..base import ServerRequest, canonical_json, spliced_object
from .models import API, UNKNOWN, traits_of
from .usage import STOP_WORDS, usage_of

_WORDS: dict[StopReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "stop_sequence": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "PROHIBITED_CONTENT",
    "continuation": "CONTINUATION",
    "malformed_tool_call": "MALFORMED_FUNCTION_CALL",
}
_SOURCES = ("groundingMetadata", "urlContextMetadata")


def id_of(heard: ServerRequest) -> str:
    """An id made from the request: the same question gets the same one."""
    seed = canonical_json([heard.body, heard.request.model.name])
    return hashlib.sha256(seed).hexdigest()[:23]


# --- parts ------------------------------------------------------------------------------------


def _extras(native: Native | None) -> dict[str, JSON]:
    if native is not None and native.api == API and isinstance(native.payload, dict):
        return native.payload
    return {}


def parts_of(part: Part, path: str) -> list[Any]:
    """A part as this wire's. Raises `UnsupportedError` for what no reply here can hold."""
    extras = _extras(getattr(part, "native", None))
    if isinstance(part, TextPart | RefusalPart):
        return [{"text": part.text, **extras}] if part.text or extras else []
    if isinstance(part, ReasoningPart):
        signed = {} if part.signature is None else {"thoughtSignature": part.signature}
        return [{"text": part.text, "thought": True, **signed, **extras}]
    if isinstance(part, ToolCall):
        arguments: Any = {"input": part.arguments}
        if part.kind == "function":
            arguments = spliced_object(part.arguments) if part.arguments.strip() else {}
        return [{"functionCall": {**_head(part), "args": arguments}, **extras}]
    if isinstance(part, IncompleteToolCall):
        # A call that is no JSON is told by the finish reason alone; one that was cut off stays open.
        if part.reason == "invalid_json":
            return []
        return [{"functionCall": {**_head(part), "willContinue": True}, **extras}]
    if isinstance(part, OpaquePart):
        return [spliced_object(part.data)]
    if isinstance(part, ImagePart | AudioPart | FilePart) and isinstance(part.source, BytesSource):
        data = b64encode(part.source.data).decode()
        return [{"inlineData": {"mimeType": part.source.media_type, "data": data}, **extras}]
    raise UnsupportedError(
        f"{path}: a reply of generateContent can't hold {type(part).__name__}",
        path=path,
        api=API,
        phase="prepare",
    )


def _head(call: ToolCall | IncompleteToolCall) -> dict[str, JSON]:
    head: dict[str, JSON] = {} if call.id is None else {"id": call.id}
    return {**head, "name": call.name}


def _sources_of(citations: Iterable[dict[str, JSON]]) -> dict[str, JSON]:
    """Citations where a candidate has them."""
    out: dict[str, JSON] = {}
    quoted = []
    for citation in citations:
        name = next((n for n in _SOURCES if set(citation) == {n}), None)
        if name is None:
            quoted.append(citation)
        else:
            out[name] = citation[name]
    return {**out, "citationMetadata": {"citations": quoted}} if quoted else out


# --- usage and stop ---------------------------------------------------------------------------


def wire_usage(usage: LLMUsage) -> dict[str, JSON]:
    """usageMetadata; what nobody counted is not there."""
    if usage.raw and usage_of(usage.raw, "reported") == usage:
        return usage.raw
    candidates = usage.output_total
    if candidates is not None and usage.reasoning:
        candidates = max(0, candidates - usage.reasoning)
    counts = {
        "promptTokenCount": usage.input_total,
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": candidates,
        "thoughtsTokenCount": usage.reasoning,
    }
    if usage.input_total is not None and usage.output_total is not None:
        counts["totalTokenCount"] = usage.input_total + usage.output_total
    return {name: n for name, n in counts.items() if n is not None}


def stop_fields(stop: StopInfo | None, broken: IncompleteToolCall | None) -> dict[str, JSON]:
    """finishReason and what belongs to it."""
    stop = stop or StopInfo("stop")
    word = stop.raw
    if word is None or (STOP_WORDS.get(word) != stop.reason and stop.reason != "other"):
        word = _WORDS.get(stop.reason, "OTHER")
    details = stop.details or {}
    fields: dict[str, JSON] = {"finishReason": word}
    for name in ("finishMessage", "continuationToken", "safetyRatings"):
        if name in details:
            fields[name] = details[name]
    if broken is not None and word == "STOP":
        said = f"Malformed function call: {broken.name}({broken.arguments})"
        fields |= {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": said}
    return fields


# --- answers ----------------------------------------------------------------------------------


class AnswerWriter:
    """Says one reply: `chunk` by chunk, then `end`. Each gives the events that are ready."""

    def __init__(self, heard: ServerRequest) -> None:
        self._heard = heard
        self._head: dict[str, JSON] = {}
        self._usage: LLMUsage | None = None
        self._stop: StopInfo | None = None
        self._broken: IncompleteToolCall | None = None
        self._queue: list[Part | list[PartDelta]] = []  # in the order in which they began
        self._open: dict[tuple[int, str], list[PartDelta]] = {}
        self._count = 0
        traits = traits_of(heard.request.model.name)
        self._sign = traits.gemini3 and traits is not UNKNOWN  # the next call

    def chunk(self, chunk: LLMChunk) -> Iterator[dict[str, JSON]]:
        if chunk.usage is not None:
            self._usage = chunk.usage if self._usage is None else self._usage.merged(chunk.usage)
        self._stop = chunk.stop or self._stop
        if not self._head:
            self._head = {
                "modelVersion": chunk.model or self._heard.request.model.name,
                "responseId": chunk.response_id or id_of(self._heard),
            }
        for part in chunk.message.parts:
            self._take(part)
        yield from self._flush()

    def end(self) -> Iterator[dict[str, JSON]]:
        self._open.clear()
        yield from self._flush(last=True)
        details = (self._stop.details if self._stop is not None else None) or {}
        if blocked := details.get("promptFeedback"):
            yield {"promptFeedback": blocked, **self._beside()}
        else:
            yield self._event({"text": ""}, stop_fields(self._stop, self._broken))

    def _take(self, part: Part) -> None:
        if not isinstance(part, PartDelta):
            self._queue.append(part)
            return
        key = (part.index, part.kind)
        pieces = self._open.get(key)
        if pieces is None or part.start:
            pieces = self._open[key] = []
            self._queue.append(pieces)
        pieces.append(part)
        if part.end:
            del self._open[key]

    def _flush(self, last: bool = False) -> Iterator[dict[str, JSON]]:
        """Says what is at the head of the queue, as far as it has come."""
        while self._queue:
            head = self._queue[0]
            if not isinstance(head, list):
                yield from self._say(head)
            elif self._open.get((head[0].index, head[0].kind)) is head and not last:
                if head[0].kind in ("text", "refusal") and not _extras(head[0].native):
                    yield from self._pieces(head, keep=1)
                return
            else:
                yield from self._whole(head)
            self._queue.pop(0)

    def _pieces(self, pieces: list[PartDelta], keep: int) -> Iterator[dict[str, JSON]]:
        """The texts that came; `keep` pieces stay, to know the part by, without their text."""
        for piece in pieces:
            if piece.text or piece.citations:
                yield self._event({"text": piece.text}, _sources_of(piece.citations))
        bare = PartDelta(pieces[0].index, pieces[0].kind, start=True)
        pieces[:] = [bare][:keep]

    def _whole(self, pieces: list[PartDelta]) -> Iterator[dict[str, JSON]]:
        first = pieces[0]
        joined = first
        for piece in pieces[1:]:
            joined = join_deltas(joined, piece)
        if first.kind in ("text", "refusal") and not _extras(joined.native):
            yield from self._pieces(pieces, keep=0)
        elif first.kind == "reasoning" and joined.signature is None:
            for piece in pieces:
                if piece.text:
                    yield self._event({"text": piece.text, "thought": True})
        else:
            part = close_delta(joined, None if joined.end else "cut")
            if part is not None:
                yield from self._say(part)

    def _say(self, part: Part) -> Iterator[dict[str, JSON]]:
        self._count += 1
        custom = isinstance(part, ToolCall) and part.kind == "custom"
        if isinstance(part, ToolCall) and not custom and not is_json_object(part.arguments):
            part = IncompleteToolCall(part.id, part.name, part.arguments, "invalid_json")
        if isinstance(part, IncompleteToolCall) and part.reason == "invalid_json":
            self._broken = part
        sources = _sources_of(part.citations) if isinstance(part, TextPart) else {}
        said = parts_of(part, f"message.parts[{self._count - 1}]")
        if isinstance(part, ToolCall) and self._sign:
            self._sign = False
            said[0].setdefault("thoughtSignature", self._signature(part))
        if sources and not said:
            said = [{"text": ""}]
        for one in said:
            yield self._event(one, sources)

    def _signature(self, call: ToolCall) -> str:
        seal = f"{self._heard.request.model.name} {call.name} {call.arguments}"
        return b64encode(hashlib.sha256(seal.encode("utf-8", "replace")).digest()).decode()

    def _event(self, part: Any, more: dict[str, JSON] | None = None) -> dict[str, JSON]:
        content = {"parts": [part], "role": "model"}
        candidate = {"content": content, **(more or {}), "index": 0}
        return {"candidates": [candidate], **self._beside()}

    def _beside(self) -> dict[str, JSON]:
        usage = {} if self._usage is None else {"usageMetadata": wire_usage(self._usage)}
        return {**usage, **self._head}


def whole_answer(reply: LLMChunk, heard: ServerRequest) -> dict[str, JSON]:
    """All events of a reply as one."""
    writer = AnswerWriter(heard)
    said = [*writer.chunk(close_open_parts(accumulate((reply,)))), *writer.end()]
    parts: list[JSON] = []
    candidate: dict[str, JSON] = {}
    if "candidates" not in said[-1]:
        return said[-1]
    for event in said:
        found = event["candidates"][0]
        parts += found.pop("content")["parts"]
        candidate |= found
    parts.pop()  # the last event's, which is empty
    content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    return {**said[-1], "candidates": [{"content": content, **candidate}]}


def events_of(chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[dict[str, JSON]]:
    writer = AnswerWriter(heard)
    for chunk in chunks:
        yield from writer.chunk(chunk)
    yield from writer.end()
