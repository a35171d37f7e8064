"""Replies: whole answers and streams. Wire reference 3.6."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
from msgspec import Raw

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError, IncompleteStreamError
from ...folding import is_json_object
from ...request import LLMRequest
from ...sse import Frame
from ...types import (
    JSON,
    Adaptation,
    IncompleteReason,
    LLMChunk,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    accumulate,
    load_json,
)
from ..base import canonical_json, chunk_of, decode_json
from ..streaming import NOT_AN_EVENT, EventStreamDecoder
from . import blocks
from .blocks import API, CUT_REASONS, Block
from .pieces import block_piece
from .wire import EVENT, MESSAGE, ODD_EVENT, Delta, Event, Head

_SSE = re.compile(rb"(\xef\xbb\xbf)?\s*(event:|data:|:)")
_KNOWN = frozenset(
    (
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    )
)


def issuer_of(request: LLMRequest, provider: ProviderConfig | None) -> Native:
    """Whose state this is: wire format, provider, model."""
    return Native(API, provider.name if provider else "", request.model.name)


def well_formed(data: bytes) -> bytes:
    """The same JSON without escaped lone surrogates, which msgspec refuses (wire reference 0).

    Raises `DecodeError` for what is no JSON at all.
    """
    try:
        return canonical_json(load_json(data))
    except ValueError as e:
        raise DecodeError(
            f"the server sent what is no JSON: {e}",
            body_excerpt=data[:200].decode("utf-8", "replace"),
            phase="stream",
        ) from None


def _sound(raw: Raw) -> Raw:
    """A block that surely is JSON: decoding what is around it did not look at its bytes."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Raw(well_formed(bytes(raw)))
    return raw


def stream_error(error: JSON, request: LLMRequest, provider: ProviderConfig | None) -> BackendError:
    """The error for an error object inside a 200."""
    return BackendErrorBuilder.build_stream_error(
        error=error,
        provider=provider.name if provider else "",
        api=API,
        endpoint="/v1/messages",
        model=request.model.name,
    )


def parse_whole(body: bytes, request: LLMRequest, provider: ProviderConfig | None) -> LLMChunk:
    """A whole answer. Raises `StreamError` for an error object, `DecodeError` for anything else."""
    try:
        message = MESSAGE.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        if body.lstrip()[:1] not in (b"{", b"["):
            if _SSE.match(body):  # asked for a whole answer, it streams all the same
                decoder = MessagesDecoder(request, provider)
                return accumulate([*decoder.feed(body), *decoder.finish()])
            raise not_messages(body, "JSON") from None
        message = decode_json(MESSAGE, well_formed(body), "the reply")
    if message.type == "error" or message.error is not None:
        raise stream_error(message.error, request, provider)
    if message.content is None and message.stop_reason is None:
        raise not_messages(body, "a message")
    issuer = issuer_of(request, provider)
    stop = blocks.stop_of(
        message.stop_reason,
        message.stop_sequence,
        message.stop_details,
        container=message.container,
        context_management=message.context_management,
        input_transformations=message.input_transformations,
    )
    cut = CUT_REASONS.get(stop.reason) if stop else None
    return chunk_of(
        _parts_of(message.content or [], issuer, cut),
        usage=blocks.usage_of(blocks.merge_usage({}, message.usage)),
        stop=stop,
        response_id=message.id,
        model=message.model,
    )


def _parts_of(
    content: list[Raw], issuer: Native, cut: IncompleteReason | None = None
) -> list[Part]:
    """The parts of whole blocks; `cut` says that the reply stopped inside the last one."""
    parts: list[Part] = []
    for i, raw in enumerate(content):
        try:
            part = blocks.part_of(_sound(raw), issuer, cut if i == len(content) - 1 else None)
        except msgspec.ValidationError as e:
            raise DecodeError(
                f"a content block is not what the format says: {e}",
                path=f"content[{i}]",
                body_excerpt=bytes(raw)[:200].decode("utf-8", "replace"),
                phase="response",
            ) from None
        if part is not None:
            parts.append(part)
    return parts


def not_messages(body: bytes, what: str) -> DecodeError:
    return DecodeError(
        f"the server answered with something that is not {what} of the Messages API; "
        "check the provider's api_base and api_style",
        body_excerpt=body[:200].decode("utf-8", "replace"),
        phase="response",
    )


class _Open:
    """A block that has started and not ended."""

    __slots__ = ("block", "json", "kind", "raw")

    def __init__(self, kind: str, raw: Raw, block: Block) -> None:
        self.kind = kind
        self.raw = raw
        self.block = block
        self.json: list[str] = []  # pieces of input of a tool call or an opaque block


class MessagesDecoder(EventStreamDecoder):
    """All memory of one streamed reply.

    A tool call's end is told only when the next block starts or the stop reason is known: the
    output limit cuts a call in the middle, and its block is closed all the same.
    """

    __slots__ = (
        "_cut",
        "_delta_event",
        "_held",
        "_issuer",
        "_notes",
        "_open",
        "_provider",
        "_request",
        "_started",
        "_usage",
    )  # fmt: skip

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        super().__init__()
        self._request = request
        self._provider = provider
        self._issuer = issuer_of(request, provider)
        self._open: dict[int, _Open] = {}
        self._held: tuple[int, str] | None = None  # the last closed call: index, rest of its text
        self._cut: IncompleteReason | None = None
        self._notes: list[Adaptation] = []
        self._usage: dict[str, JSON] = {}
        self._started = False
        self._delta_event = ""  # the type of deltas; proxies leave it out

    def _finish(self, out: list[LLMChunk]) -> None:
        # What does not decode here is the last line, cut off by the end of the bytes.
        with suppress(DecodeError):
            self._on_frames(self._sse.finish(), out)
        if self.done:
            return
        came = "after it began" if self._started else "before it began"
        raise IncompleteStreamError(
            f"the stream ended {came} and before message_stop: the reply is not whole",
            provider=self._issuer.provider,
            api=API,
            model=self._request.model.name,
            phase="stream",
        )

    def _on_frame(self, frame: Frame, out: list[LLMChunk]) -> None:
        data = frame.data
        if frame.stray:
            out += self._on_stray(data)
            return
        try:
            event = EVENT.decode(data)
        except NOT_AN_EVENT:
            odd = self._odd(frame)
            if odd is None:
                return
            event = odd
        out += self._on_event(event, frame)

    def _on_event(self, event: Event, frame: Frame) -> tuple[LLMChunk, ...]:
        kind = "error" if frame.event == "error" else event.type or frame.event
        if kind == "content_block_start":
            self._delta_event = "content_block_delta" if frame.event else ""
            return self._chunks(self._start(event.index or 0, event.content_block))
        if kind == "content_block_stop":
            return self._chunks(self._stop(event.index or 0))
        if kind == "content_block_delta" and event.delta is not None:
            return self._on_delta(event.index or 0, event.delta)
        if kind == "ping":
            self._pings += 1
            return ()
        if kind == "message_start":
            return self._on_message_start(event.message)
        if kind == "message_delta":
            return self._on_message_delta(event)
        if kind == "message_stop":
            return self._on_message_stop()
        if kind == "error" or (event.error is not None and kind not in _KNOWN):
            error = event.error
            if error is None:
                error = load_json(well_formed(frame.data))
            raise stream_error(error, self._request, self._provider)
        return ()

    def _odd(self, frame: Frame) -> Event | None:
        """An event that is not as the format says: of a kind we know, or it does not concern us."""
        data = frame.data
        if not data.strip() or data.strip() == b"[DONE]":  # sent by proxies in front of this wire
            return None
        data = well_formed(data)
        try:
            head = ODD_EVENT.decode(data)
        except msgspec.ValidationError:
            head = Head()
        said = head.type if isinstance(head.type, str) else ""
        if head.error is not None and said not in _KNOWN:
            raise stream_error(head.error, self._request, self._provider)
        kind = "error" if frame.event == "error" else said or frame.event
        if kind not in _KNOWN:
            return None
        if kind == "error":
            raise stream_error(
                load_json(data) if head.error is None else head.error,
                self._request,
                self._provider,
            )
        return decode_json(EVENT, data, f"the event {kind}")

    def _on_stray(self, data: bytes) -> tuple[LLMChunk, ...]:
        """A line that is no SSE: an error, or a whole answer by a server that does not stream."""
        chunk = parse_whole(data, self._request, self._provider)
        if self._started:
            raise not_messages(data, "an event")
        self._started = self.done = True
        return (chunk,)

    # --- blocks ---------------------------------------------------------------------------------

    def _chunks(self, parts: list[Part]) -> tuple[LLMChunk, ...]:
        if not parts:
            return ()
        notes = tuple(self._notes)
        self._notes.clear()
        return (chunk_of(parts, adaptations=notes),)

    def _start(self, index: int, raw: Raw) -> list[Part]:
        self._started = True
        parts = self._release()
        if index in self._open:
            parts += self._stop(index)
        raw = _sound(raw)
        try:
            block = blocks.read_block(raw)
        except msgspec.ValidationError as e:
            raise self._broken(f"content block {index} is not what the format says: {e}") from None
        kind = block.type
        opened = self._open[index] = _Open(kind, raw, block)
        self._set_piece(block_piece(kind, index, opened.json), self._delta_event)
        if kind == "text":
            citations = tuple(block.citations or ())
            native = self._issuer if citations else None
            delta = PartDelta(
                index, "text", block.text or "", True, citations=citations, native=native
            )
            return [*parts, delta]
        if kind == "thinking":
            delta = PartDelta(
                index,
                "reasoning",
                block.thinking or "",
                True,
                signature=block.signature or None,
                native=self._issuer,
            )
            return [*parts, delta]
        if kind == "redacted_thinking":
            part = ReasoningPart(kind="redacted", data=block.data or "", native=self._issuer)
            return [*parts, part]
        if kind == "tool_use":
            delta = PartDelta(
                index,
                "tool_call",
                start=True,
                id=block.id or None,
                name=block.name or "",
                native=blocks.tool_native(block, self._issuer),
            )
            return [*parts, delta]
        return parts

    def _on_delta(self, index: int, delta: Delta) -> tuple[LLMChunk, ...]:
        kind = delta.type
        if kind == "text_delta":
            if not delta.text:
                return ()
            parts = self._expect(index, "text")
            parts.append(PartDelta(index, "text", delta.text))
        elif kind == "thinking_delta":
            if not delta.thinking:
                return ()
            parts = self._expect(index, "thinking")
            parts.append(PartDelta(index, "reasoning", delta.thinking))
        elif kind == "input_json_delta":
            if not delta.partial_json:
                return ()
            opened = self._open.get(index)
            if opened is None or opened.kind in ("text", "thinking", "redacted_thinking"):
                raise self._broken(f"input for content block {index}, which is no tool's")
            opened.json.append(delta.partial_json)
            if opened.kind != "tool_use":
                return ()
            parts = [PartDelta(index, "tool_call", delta.partial_json)]
        elif kind == "signature_delta":
            if not delta.signature:
                return ()
            parts = self._expect(index, "thinking")
            parts.append(PartDelta(index, "reasoning", signature=delta.signature))
        elif kind == "citations_delta":
            if delta.citation is None:
                return ()
            parts = self._expect(index, "text")
            parts.append(PartDelta(index, "text", citations=(delta.citation,), native=self._issuer))
        elif kind == "compaction_delta":
            opened = self._open.get(index)
            if opened is None or opened.kind != "compaction":
                raise self._broken(f"a summary for content block {index}, which is none")
            fields = {
                name: value
                for name, value in (
                    ("content", delta.content),
                    ("encrypted_content", delta.encrypted_content),
                )
                if value is not None
            }
            opened.raw = Raw(blocks.with_field(opened.raw, **fields))
            return ()
        else:
            return ()
        return (chunk_of(parts),)

    def _expect(self, index: int, kind: str) -> list[Part]:
        """Sees that the block at `index` takes this delta; one that never started starts here."""
        opened = self._open.get(index)
        if opened is None:
            return self._start(index, Raw(canonical_json({"type": kind})))
        if opened.kind != kind:
            raise self._broken(f"a piece of {kind} for content block {index}: {opened.kind!r}")
        return []

    def _stop(self, index: int) -> list[Part]:
        opened = self._open.pop(index, None)
        self._set_piece(None)
        if opened is None:
            return []
        kind = opened.kind
        if kind == "text":
            return [PartDelta(index, "text", end=True)]
        if kind == "thinking":
            return [PartDelta(index, "reasoning", end=True)]
        if kind == "redacted_thinking":
            return []
        parts = self._release()
        if kind == "tool_use":
            # What no delta brought stands in the block's start.
            self._held = (index, "" if opened.json else blocks.arguments_of(opened.block.input))
            return parts
        return [*parts, self._whole(index, opened)]

    def _whole(self, index: int, opened: _Open) -> Part:
        """A block that we keep as it is, with what its deltas brought put in place."""
        raw = blocks.raw_text(opened.raw)
        text = "".join(opened.json)
        if text and is_json_object(text):
            raw = blocks.with_field(opened.raw, input=Raw(text))
        elif text:
            note = Adaptation(f"content[{index}].input", "dropped", "the input was cut off", text)
            self._notes.append(note)
        if opened.kind == "compaction":
            return blocks.compaction_part(raw, self._issuer)
        return OpaquePart(opened.kind, raw, self._issuer)

    def _release(self, cut: IncompleteReason | None = None) -> list[Part]:
        """Ends the tool call whose block was closed last."""
        if self._held is None:
            return []
        index, rest = self._held
        self._held = None
        return [PartDelta(index, "tool_call", rest, end=True, incomplete=cut)]

    # --- message --------------------------------------------------------------------------------

    def _on_message_start(self, raw: Raw) -> tuple[LLMChunk, ...]:
        self._started = True
        if not bytes(raw) or bytes(raw) == b"null":
            return ()
        message = decode_json(MESSAGE, bytes(raw), "message_start")
        self._usage = blocks.merge_usage({}, message.usage)
        return (
            chunk_of(
                _parts_of(message.content or [], self._issuer),
                usage=blocks.usage_of(self._usage, partial=True),
                response_id=message.id,
                model=message.model,
            ),
        )

    def _on_message_delta(self, event: Event) -> tuple[LLMChunk, ...]:
        delta = event.delta or Delta()
        stop = blocks.stop_of(
            delta.stop_reason,
            delta.stop_sequence,
            delta.stop_details,
            container=delta.container,
            context_management=event.context_management,
            input_transformations=event.input_transformations,
        )
        parts: list[Part] = []
        if stop is not None:
            self._cut = CUT_REASONS.get(stop.reason)
            parts = self._release(self._cut)
        usage: LLMUsage | None = None
        if event.usage is not None:
            self._usage = blocks.merge_usage(self._usage, event.usage)
            usage = blocks.usage_of(self._usage)
        if not parts and stop is None and usage is None:
            return ()
        return (chunk_of(parts, usage=usage, stop=stop),)

    def _on_message_stop(self) -> tuple[LLMChunk, ...]:
        if not self._started:
            raise self._broken("message_stop without a message")
        self.done = True
        parts = self._release(self._cut)
        for index in list(self._open):  # blocks that nobody closed
            parts += self._stop(index)
            parts += self._release(self._cut)
        return self._chunks(parts)

    def _broken(self, what: str) -> DecodeError:
        return DecodeError(
            f"the stream does not fit the format: {what}",
            provider=self._issuer.provider,
            api=API,
            model=self._request.model.name,
            phase="stream",
        )
