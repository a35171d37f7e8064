"""The server's voice: replies as JSON lines.

Nothing here has a clock: the times that the real server measures are left out, and `created_at`
is the epoch. Source: wire reference 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import UnsupportedError
from ...types import (
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    TextPart,
    ToolCall,
)
from ..base import ServerRequest, canonical_json, spliced_object
from ..openai.say import made_id
from .wire import METRICS

EPOCH = "1970-01-01T00:00:00Z"


def whole(reply: LLMChunk, heard: ServerRequest) -> bytes:
    """Raises `UnsupportedError` for parts that no reply of this wire can hold."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls = 0
    for i, part in enumerate(reply.message.parts):
        for piece in _pieces(part, heard, calls, f"parts[{i}]"):
            for key, value in piece.items():
                message[key] = message[key] + value if key in message else value
        calls += isinstance(part, ToolCall | IncompleteToolCall)
    head = _head(reply, heard)
    return canonical_json({**head, "message": message, **_last(reply.stop, reply.usage)})


def lines(chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
    """Raises as `whole` does."""
    stop: StopInfo | None = None
    usage: LLMUsage | None = None
    head: dict[str, Any] | None = None
    open_calls: dict[int, list[PartDelta]] = {}
    calls = 0

    def line(piece: dict[str, Any], last: dict[str, Any] | None = None) -> bytes:
        message = {"role": "assistant", "content": "", **piece}
        return one_line({**(head or {}), "message": message, **(last or {"done": False})})

    for chunk in chunks:
        head = head or _head(chunk, heard)
        stop = chunk.stop or stop
        if chunk.usage is not None:
            usage = chunk.usage if usage is None else usage.merged(chunk.usage)
        for i, part in enumerate(chunk.message.parts):
            if isinstance(part, PartDelta) and part.kind == "tool_call":
                # Calls are said whole.
                open_calls.setdefault(part.index, []).append(part)
                if part.end:
                    yield line(_joined(open_calls.pop(part.index), heard, calls))
                    calls += 1
                continue
            for piece in _pieces(part, heard, calls, f"parts[{i}]"):
                yield line(piece)
            calls += isinstance(part, ToolCall | IncompleteToolCall)
    for deltas in open_calls.values():
        yield line(_joined(deltas, heard, calls))
        calls += 1
    head = head or _head(LLMChunk(), heard)
    yield line({}, _last(stop, usage))


def one_line(value: dict[str, Any]) -> bytes:
    """JSON on one line: text that is spliced in may have line ends between its tokens."""
    return canonical_json(value).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


def _head(chunk: LLMChunk, heard: ServerRequest) -> dict[str, Any]:
    return {"model": chunk.model or heard.request.model.name, "created_at": EPOCH}


def _last(stop: StopInfo | None, usage: LLMUsage | None) -> dict[str, Any]:
    word = "length" if stop is not None and stop.reason in ("length", "context_window") else "stop"
    if stop is not None and stop.reason == "other" and stop.raw is not None:
        word = stop.raw
    out: dict[str, Any] = {"done": True, "done_reason": word}
    if usage is not None:
        told = {"prompt_eval_count": usage.input_total, "eval_count": usage.output_total}
        raw = usage.raw if usage.raw is not None and "eval_count" in usage.raw else told
        out.update((k, raw[k]) for k in METRICS if raw.get(k) is not None)
    return out


def _pieces(part: Part, heard: ServerRequest, number: int, path: str) -> list[dict[str, Any]]:
    if isinstance(part, TextPart | RefusalPart):
        return [{"content": part.text}] if part.text else []
    if isinstance(part, ReasoningPart):
        return [{"thinking": part.text}] if part.text else []
    if isinstance(part, PartDelta):
        name = "thinking" if part.kind == "reasoning" else "content"
        return [{name: part.text}] if part.text else []
    if isinstance(part, ToolCall | IncompleteToolCall):
        return [_call(part.id, part.name, part.arguments, heard, number)]
    kind = type(part).__name__.removesuffix("Part")
    raise UnsupportedError(
        f"{path}: a reply of Ollama's can't hold a part of kind {kind}", path=path
    )


def _joined(deltas: list[PartDelta], heard: ServerRequest, number: int) -> dict[str, Any]:
    call_id = next((d.id for d in deltas if d.id), None)
    name = next((d.name for d in deltas if d.name), "")
    return _call(call_id, name, "".join(d.text for d in deltas), heard, number)


def _call(
    call_id: str | None, name: str, text: str, heard: ServerRequest, number: int
) -> dict[str, Any]:
    """Text that is no JSON object is said as it is: the client has to bear it."""
    spliced = spliced_object(text) if text.strip() else {}
    arguments = text if spliced is None else spliced
    function = {"index": number, "name": name, "arguments": arguments}
    return {
        "tool_calls": [
            {"id": call_id or f"call_{made_id(heard, number)[:8]}", "function": function}
        ]
    }
