"""What a reply is on the wire: the server's mouth. The inverse of `decode`."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Raw

from ...errors import UnsupportedError
from ...eventstream import event_frame
from ...folding import close_open_parts, is_json_object
from ...types import (
    JSON,
    BytesSource,
    CompactionPart,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    StopReason,
    TextPart,
    ToolCall,
    accumulate,
)
from ..anthropic.say import StreamWriter, id_of
from ..base import ServerRequest, canonical_json
from . import media
from .blocks import API, STOP_REASONS, read_block, usage_of
from .wire import FIELDS

_WORDS: dict[StopReason, str] = {
    **{reason: word for word, reason in reversed(STOP_REASONS.items())},
    "refusal": "content_filtered",
}


def wire_usage(usage: LLMUsage | None) -> dict[str, JSON] | None:
    """The usage object; None where nobody counted, which is not the same as zero."""
    if usage is None:
        return None
    if usage.raw and usage_of(usage.raw, _tier(usage)) == usage:
        return usage.raw
    fresh = usage.input_uncached
    if fresh is None and usage.input_total is not None:
        fresh = usage.input_total - (usage.cache_read or 0) - (usage.cache_write or 0)
    known = {
        "inputTokens": fresh,
        "outputTokens": usage.output_total,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    }
    out: dict[str, JSON] = {name: count for name, count in known.items() if count is not None}
    if usage.input_total is not None and usage.output_total is not None:
        out["totalTokens"] = usage.input_total + usage.output_total
    lifetimes = (("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h))
    details = [{"ttl": ttl, "inputTokens": n} for ttl, n in lifetimes if n is not None]
    if details:
        out["cacheDetails"] = details
    return out


def _tier(usage: LLMUsage) -> JSON:
    return None if usage.service_tier is None else {"type": usage.service_tier}


def stop_fields(stop: StopInfo | None, calls: bool) -> tuple[dict[str, JSON], JSON]:
    """stopReason with what belongs to it; and the trace, which comes with the usage."""
    if stop is None:
        stop = StopInfo("tool_calls" if calls else "stop")
    word = stop.raw
    if word is None or (STOP_REASONS.get(word) != stop.reason and stop.reason != "other"):
        word = _WORDS.get(stop.reason, "end_turn")
    details = stop.details or {}
    fields: dict[str, JSON] = {"stopReason": word}
    if "additionalModelResponseFields" in details:
        fields["additionalModelResponseFields"] = details["additionalModelResponseFields"]
    return fields, details.get("trace")


def report(
    usage: LLMUsage | None, trace: JSON, model: str | None, heard: ServerRequest
) -> dict[str, JSON]:
    """What is said of a reply besides its content. A model other than the one that was asked can
    only be told as a router's choice."""
    out: dict[str, JSON] = {"metrics": {"latencyMs": 0}}
    found = wire_usage(usage)
    if found is not None:
        out["usage"] = found
    if usage is not None and usage.service_tier is not None:
        out["serviceTier"] = _tier(usage)
    if model is not None and model != heard.request.model.name:
        trace = {**(trace or {}), "promptRouter": {"invokedModelId": model}}
    if trace:
        out["trace"] = trace
    return out


# --- whole ------------------------------------------------------------------------------------


def block_of(part: Part, call_id: str, path: str) -> Any:
    """A part as a whole block. Raises `UnsupportedError` for what no reply here can hold."""
    if isinstance(part, TextPart) and part.citations:
        cited: dict[str, Any] = {"citations": list(part.citations)}
        if part.text:
            cited["content"] = [{"text": part.text}]
        return {"citationsContent": cited}
    if isinstance(part, TextPart | RefusalPart):
        return {"text": part.text}
    if isinstance(part, CompactionPart):
        return {"text": part.summary or ""}
    if isinstance(part, ReasoningPart):
        if part.data is not None:
            return {"reasoningContent": {"redactedContent": part.data}}
        said = {"text": part.text}
        if part.signature is not None:
            said["signature"] = part.signature
        return {"reasoningContent": {"reasoningText": said}}
    if isinstance(part, ToolCall | IncompleteToolCall):
        whole = part.arguments.strip() and is_json_object(part.arguments)
        value: Any = Raw(part.arguments.encode()) if whole else {}
        return {"toolUse": {"input": value, "name": part.name, "toolUseId": part.id or call_id}}
    if isinstance(part, OpaquePart):
        return Raw(part.data.encode())
    if isinstance(part, ImagePart) and isinstance(part.source, BytesSource):
        word = media.IMAGE.get(part.source.media_type)
        if word is not None:
            data = base64.b64encode(part.source.data).decode()
            return {"image": {"format": word, "source": {"bytes": data}}}
    raise UnsupportedError(
        f"{path}: a reply of Converse can't hold {type(part).__name__}",
        path=path,
        api=API,
        phase="prepare",
    )


def whole_body(reply: LLMChunk, heard: ServerRequest) -> bytes:
    reply = close_open_parts(accumulate((reply,)))
    content = [
        block_of(part, id_of("tooluse_", heard, i), f"message.parts[{i}]")
        for i, part in enumerate(reply.message.parts)
    ]
    fields, trace = stop_fields(reply.stop, bool(reply.message.tool_calls))
    return canonical_json(
        {
            "output": {"message": {"content": content, "role": "assistant"}},
            **fields,
            **report(reply.usage, trace, reply.model, heard),
        }
    )


# --- stream -----------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> bytes:
    return event_frame(kind, canonical_json(fields))


class ConverseWriter(StreamWriter):
    """Says a reply as events, one block at a time, as the Messages server does; the words differ."""

    def __init__(self, heard: ServerRequest) -> None:
        super().__init__(heard)
        self._model: str | None = None

    def write(self, chunk: LLMChunk) -> Iterator[bytes]:
        self._model = chunk.model or self._model
        return (frame for frame in super().write(chunk) if frame)

    def finish(self) -> Iterator[bytes]:
        if not self._begun:
            yield self._message_start(LLMChunk())
        for _, part in self._queue:
            if not isinstance(part, tuple) and hasattr(part, "ended"):
                part.ended = True
        yield from (frame for frame in self._flush() if frame)
        fields, trace = stop_fields(self._stop, self._calls)
        yield event("messageStop", **fields)
        yield event("metadata", **report(self._usage, trace, self._model, self._heard))

    def _message_start(self, chunk: LLMChunk) -> bytes:
        self._begun = True
        return event("messageStart", role="assistant")

    def _whole(self, n: int, part: Part) -> Iterator[bytes]:
        if isinstance(part, OpaquePart | ImagePart):
            yield from self._block(part, n)
        elif isinstance(part, CompactionPart):
            yield from super()._whole(n, TextPart(part.summary or ""))
        else:
            yield from super()._whole(n, part)

    def _block(self, part: OpaquePart | ImagePart, n: int) -> Iterator[bytes]:
        """A block that is said as it is: what AWS ran itself, or a picture."""
        said = block_of(part, "", f"message.parts[{n}]")
        kind, raw = read_block(said if isinstance(said, Raw) else canonical_json(said))
        inner: dict[str, Any] = FIELDS.decode(raw)
        self._index += 1
        if kind == "toolUse":
            text = bytes(inner.pop("input", b"{}")).decode()
            delta: JSON = {"toolUse": {"input": text}}
        elif kind == "toolResult":
            delta = {"toolResult": inner.pop("content", [])}
        elif kind == "image":
            delta = {"image": {"source": inner.pop("source")}}
        else:
            raise UnsupportedError(
                f"message.parts[{n}]: a stream of Converse can't hold {kind}",
                path=f"message.parts[{n}]",
                api=API,
                phase="prepare",
            )
        yield event("contentBlockStart", contentBlockIndex=self._index, start={kind: inner})
        yield self._said(delta)
        yield self._stop_block()

    def _start(self, block: Any) -> bytes:
        """Only calls have a start; texts and reasoning begin with their first delta."""
        self._index += 1
        kind = block["type"]
        if kind == "tool_use":
            call = {"name": block["name"], "toolUseId": block["id"]}
            return event(
                "contentBlockStart", contentBlockIndex=self._index, start={"toolUse": call}
            )
        if kind == "redacted_thinking":
            return self._said({"reasoningContent": {"redactedContent": block["data"]}})
        return b""

    def _delta(self, kind: str, **fields: Any) -> bytes:
        if kind == "text_delta":
            return self._said({"text": fields["text"]})
        if kind == "citations_delta":
            return self._said({"citation": fields["citation"]})
        if kind == "input_json_delta":
            return self._said({"toolUse": {"input": fields["partial_json"]}})
        name, text = ("text", "thinking") if kind == "thinking_delta" else ("signature",) * 2
        return self._said({"reasoningContent": {name: fields[text]}})

    def _said(self, delta: JSON) -> bytes:
        return event("contentBlockDelta", contentBlockIndex=self._index, delta=delta)

    def _stop_block(self) -> bytes:
        return event("contentBlockStop", contentBlockIndex=self._index)


def stream_body(chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
    writer = ConverseWriter(heard)
    for chunk in chunks:
        yield from writer.write(chunk)
    yield from writer.finish()
