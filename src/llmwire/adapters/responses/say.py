"""The server's voice: replies as the Responses API says them, whole and as events.

Nothing here has a clock or chance in it: `created_at` is 0, and ids that a reply lacks are made
from the request. Each part becomes one item. Text of reasoning is said as `reasoning_text` where
its kind is `full`, and as a summary else. Wire reference 2.3 (2026-11-22).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Any, ClassVar

from ...errors import UnsupportedError
from ...folding import close_delta
from ...types import (
    JSON,
    BytesSource,
    CompactionPart,
    DeltaKind,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    StopReason,
    TextPart,
    ToolCall,
    load_json,
)
from ..base import ServerRequest, canonical_json
from ..openai.say import made_id
from .items import API
from .usage import INCOMPLETE

_WORDS: dict[StopReason, str] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
    "pause": "max_messages",
}
"""Why a reply is incomplete; other stops are no incompleteness on this wire."""


def whole(reply: LLMChunk, heard: ServerRequest) -> bytes:
    """The body of a whole answer. Raises `UnsupportedError` for parts that it can't hold."""
    talk = _Talk(heard)
    for _ in chain(talk.said(reply), talk.closing()):
        pass
    return canonical_json(talk.finished())


def events(chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
    """The events of a streamed answer, in the order in which the API sends them."""
    talk = _Talk(heard)
    for chunk in chunks:
        yield from talk.said(chunk)
    yield from talk.opening()
    yield from talk.closing()
    response = talk.finished()
    yield talk.event(f"response.{response['status']}", response=response)


def frame(kind: str, value: JSON) -> bytes:
    return f"event: {kind}\ndata: ".encode() + canonical_json(value) + b"\n\n"


def usage(usage: LLMUsage) -> dict[str, JSON]:
    """The provider's own object where it was in this form, else one that says the same."""
    if usage.raw is not None and "input_tokens_details" in usage.raw:
        return usage.raw
    out: dict[str, JSON] = {}
    if usage.input_total is not None:
        out["input_tokens"] = usage.input_total
    lifetimes = {"ttl_30m_tokens": usage.cache_write_30m, "ttl_12h_tokens": usage.cache_write_12h}
    details: dict[str, JSON] = {
        "cached_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "cache_write_tokens_details": {k: v for k, v in lifetimes.items() if v is not None} or None,
    }
    if details := {k: v for k, v in details.items() if v is not None}:
        out["input_tokens_details"] = details
    if usage.output_total is not None:
        out["output_tokens"] = usage.output_total
    if usage.reasoning is not None:
        out["output_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    if usage.input_total is not None and usage.output_total is not None:
        out["total_tokens"] = usage.input_total + usage.output_total
    return out


class _Open:
    """An item under way."""

    __slots__ = ("at", "citations", "item", "kind", "pieces", "where")

    def __init__(self, at: int, kind: str, item: dict[str, Any], where: dict[str, JSON]) -> None:
        self.at = at
        self.kind = kind
        self.item = item
        self.where = where
        self.pieces: list[str] = []
        self.citations: list[JSON] = []


class _Talk:
    """All memory of one reply that is being said."""

    _names: ClassVar[dict[str, tuple[str, str, str]]] = {
        "text": ("output_text", "content_part", "text"),
        "refusal": ("refusal", "content_part", "refusal"),
        "summary": ("reasoning_summary_text", "reasoning_summary_part", "text"),
        "content": ("reasoning_text", "content_part", "text"),
        "function_call": ("function_call_arguments", "", "arguments"),
        "custom_tool_call": ("custom_tool_call_input", "", "input"),
    }
    """By kind: the middle of the delta's name, the part's, the field of the whole text."""

    def __init__(self, heard: ServerRequest) -> None:
        self._heard = heard
        self._body: dict[str, Any] = heard.body if isinstance(heard.body, dict) else {}
        asked = {k: v for k, v in self._body.items() if k not in ("stream", "stream_options")}
        self._seed = made_id(ServerRequest(heard.request, body=asked))  # streamed or not
        self._number = 0
        self._output: list[JSON] = []
        self._open: dict[int, _Open] = {}  # by the part's index
        self._stop: StopInfo | None = None
        self._usage: LLMUsage | None = None
        self._id = f"resp_{self._seed[:48]}"
        self._model = heard.request.model.name
        self._begun = False

    def event(self, kind: str, **fields: JSON) -> bytes:
        value = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return frame(kind, value)

    def said(self, chunk: LLMChunk) -> Iterator[bytes]:
        """The events of one chunk."""
        self._id = chunk.response_id or self._id
        self._model = chunk.model or self._model
        self._stop = chunk.stop or self._stop
        if chunk.usage is not None:
            old = self._usage
            self._usage = chunk.usage if old is None else old.merged(chunk.usage)
        yield from self.opening()
        for part in chunk.message.parts:
            if isinstance(part, PartDelta):
                yield from self._piece(part)
            else:
                yield from self._part(part)

    def opening(self) -> Iterator[bytes]:
        if self._begun:
            return
        self._begun = True
        for kind in ("response.created", "response.in_progress"):
            yield self.event(kind, response=self._response("in_progress"))

    def closing(self) -> Iterator[bytes]:
        """The ends of what nobody ended."""
        for index in list(self._open):
            yield from self._end(index, PartDelta(index, end=True, incomplete="cut"))

    # --- the response ---

    def finished(self) -> dict[str, Any]:
        stop = self._stop or StopInfo("stop")
        word = stop.raw if stop.raw in INCOMPLETE else _WORDS.get(stop.reason)
        if word is None and stop.reason == "other" and stop.raw != "completed":
            word = stop.raw
        status = "incomplete" if word is not None else "completed"
        more: dict[str, JSON] = {"incomplete_details": {"reason": word}} if word else {}
        if stop.reason == "error":
            status = "failed"
            more = {"error": {"code": "server_error", "message": "The model broke off."}}
        used = None if self._usage is None else usage(self._usage)
        tier = None if self._usage is None else self._usage.service_tier
        return self._response(status, output=self._output, usage=used, service_tier=tier, **more)

    def _response(self, status: str, **more: JSON) -> dict[str, Any]:
        body, request = self._body, self._heard.request
        return {
            "id": self._id,
            "object": "response",
            "created_at": 0,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": request.max_tokens,
            "max_tool_calls": None,
            "model": self._model,
            "output": [],
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "prompt_cache_key": request.cache_key,
            "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
            "safety_identifier": None,
            "service_tier": None,
            "store": request.store is not False,
            "temperature": 1.0 if request.temperature is None else request.temperature,
            "text": {"format": {"type": "text"}, **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": 1.0 if request.top_p is None else request.top_p,
            "truncation": body.get("truncation") or "disabled",
            "usage": None,
            "user": None,
            "metadata": request.metadata,
            **more,
        }

    # --- items ---

    def _name(self, prefix: str) -> str:
        return f"{prefix}_{self._seed[:32]}{len(self._output):04x}"

    def _part(self, part: Part) -> Iterator[bytes]:
        """A part in one piece: the same events, with one delta."""
        index = -1
        text = ""
        last: dict[str, Any] = {}
        kind: DeltaKind = "text"
        if isinstance(part, TextPart):
            text, last = part.text, {"citations": part.citations}
        elif isinstance(part, RefusalPart):
            kind, text = "refusal", part.text
        elif isinstance(part, ReasoningPart):
            kind, text = "reasoning", part.text
            last = {"data": part.data, "signature": part.signature, "reasoning_kind": part.kind}
        elif isinstance(part, ToolCall):
            kind, text = "tool_call", part.arguments
            last = {"id": part.id, "name": part.name, "tool_kind": part.kind}
        elif isinstance(part, IncompleteToolCall):
            kind, text = "tool_call", part.arguments
            last = {"id": part.id, "name": part.name, "incomplete": part.reason}
        else:
            yield from self._kept(part)
            return
        delta = PartDelta(index, kind, text, True, True, **last)
        if close_delta(delta) is not None:
            yield from self._piece(delta)

    def _kept(self, part: Part) -> Iterator[bytes]:
        """An item that comes in one piece."""
        item: dict[str, Any] | None = None
        if isinstance(part, OpaquePart):
            item = load_json(part.data)
        elif isinstance(part, CompactionPart):
            native = part.native
            if native is not None and native.api == API and isinstance(native.payload, str):
                item = load_json(native.payload)
            else:
                words = part.summary or ""
                item = {"id": self._name("cmp"), "type": "compaction", "encrypted_content": words}
        elif isinstance(part, ImagePart) and isinstance(part.source, BytesSource):
            data = b64encode(part.source.data).decode()
            item = {
                "id": self._name("ig"), "type": "image_generation_call", "status": "completed",
                "result": data,
            }  # fmt: skip
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            at = len(self._output)
            raise UnsupportedError(
                f"parts[{at}]: a reply of the Responses API can't hold {type(part).__name__}",
                path=f"parts[{at}]",
            )
        at = len(self._output)
        self._output.append(item)
        yield self.event("response.output_item.added", output_index=at, item=item)
        yield self.event("response.output_item.done", output_index=at, item=item)

    def _piece(self, d: PartDelta) -> Iterator[bytes]:
        opened = self._open.get(d.index)
        if opened is None:
            opened = yield from self._start(d)
        middle, _, _ = self._names[opened.kind]
        if d.text:
            opened.pieces.append(d.text)
            more: dict[str, JSON] = {"logprobs": []} if opened.kind == "text" else {}
            yield self.event(
                f"response.{middle}.delta",
                item_id=opened.item["id"], output_index=opened.at, **opened.where,
                delta=d.text, **more,
            )  # fmt: skip
        for citation in d.citations:
            number = len(opened.citations)
            opened.citations.append(citation)
            yield self.event(
                "response.output_text.annotation.added",
                item_id=opened.item["id"], output_index=opened.at, **opened.where,
                annotation_index=number, annotation=citation,
            )  # fmt: skip
        for field in ("call_id", "name"):
            late = d.id if field == "call_id" else d.name
            if late and field in opened.item:
                opened.item[field] = late
        if d.data is not None or d.signature is not None:
            opened.item["encrypted_content"] = d.data if d.data is not None else d.signature
        if d.end:
            yield from self._end(d.index, d)

    def _start(self, d: PartDelta) -> Generator[bytes, None, _Open]:
        kind: str = d.kind
        where: dict[str, JSON] = {"content_index": 0}
        if kind == "reasoning":
            kind = "content" if d.reasoning_kind == "full" else "summary"
            item: dict[str, Any] = {"id": self._name("rs"), "type": "reasoning", "summary": []}
            if kind == "summary":
                where = {"summary_index": 0}
        elif kind == "tool_call":
            where = {}
            kind = "custom_tool_call" if d.tool_kind == "custom" else "function_call"
            prefix, field = ("ctc", "input") if d.tool_kind == "custom" else ("fc", "arguments")
            call_id = d.id or f"call_{self._seed[:20]}{len(self._output):04x}"
            item = {
                "id": self._name(prefix), "type": kind, "status": "in_progress", field: "",
                "call_id": call_id, "name": d.name,
            }  # fmt: skip
        else:
            item = {
                "id": self._name("msg"), "type": "message", "status": "in_progress",
                "content": [], "role": "assistant",
            }  # fmt: skip
        at = len(self._output)
        self._output.append(item)
        opened = self._open[d.index] = _Open(at, kind, item, where)
        yield self.event("response.output_item.added", output_index=at, item=item)
        _, part, _ = self._names[kind]
        if part and not (kind == "summary" and d.end and not d.text):
            yield self._about(opened, f"{part}.added", part=self._content(opened, ""))
        return opened

    def _about(self, opened: _Open, kind: str, **fields: JSON) -> bytes:
        return self.event(
            f"response.{kind}",
            item_id=opened.item["id"], output_index=opened.at, **opened.where, **fields,
        )  # fmt: skip

    def _content(self, opened: _Open, text: str) -> dict[str, JSON]:
        if opened.kind == "text":
            found = {"annotations": list(opened.citations), "logprobs": []}
            return {"type": "output_text", "text": text, **found}
        if opened.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        kind = "summary_text" if opened.kind == "summary" else "reasoning_text"
        return {"type": kind, "text": text}

    def _end(self, index: int, d: PartDelta) -> Iterator[bytes]:
        opened = self._open.pop(index)
        item, text = opened.item, "".join(opened.pieces)
        middle, part, field = self._names[opened.kind]
        cut = d.incomplete is not None
        if part:
            whole_part = self._content(opened, text)
            if text or opened.kind != "summary":
                more: dict[str, JSON] = {"logprobs": []} if opened.kind == "text" else {}
                yield self._about(opened, f"{middle}.done", **{field: text}, **more)
                yield self._about(opened, f"{part}.done", part=whole_part)
            if opened.kind == "summary":
                item["summary"] = [whole_part] if text else []
            else:
                item["content"] = [whole_part]
        else:
            item[field] = text
            if not cut:
                yield self._about(opened, f"{middle}.done", **{field: text})
        if "status" in item:
            item["status"] = "incomplete" if cut else "completed"
        yield self.event("response.output_item.done", output_index=opened.at, item=item)
