"""Replies: whole answers and streams. Wire reference 6.3, 6.5."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError, IncompleteStreamError
from ...eventstream import BinaryFrame, BinaryFrameDecoder
from ...folding import is_json_object
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import (
    JSON,
    Adaptation,
    DeltaKind,
    IncompleteReason,
    LLMChunk,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    accumulate,
    load_json,
)
from ..anthropic.blocks import CUT_REASONS, EMPTY_INPUT, readable
from ..anthropic.decode import well_formed
from ..base import canonical_json, chunk_of, decode_json
from ..streaming import NOT_AN_EVENT
from . import blocks
from .blocks import API, SERVER_TOOL
from .framing import BinaryFraming
from .pieces import DELTA, block_piece
from .wire import ANSWER, EVENT, Delta, Event, Start

_EVENTS = frozenset(
    (
        "messageStart",
        "contentBlockStart",
        DELTA,
        "contentBlockStop",
        "messageStop",
        "metadata",
    )
)


def issuer_of(request: LLMRequest, provider: ProviderConfig | None) -> Native:
    """Whose state this is: wire format, provider, model."""
    return Native(API, provider.name if provider else "", request.model.name)


def frame_error(
    frame: BinaryFrame, request: LLMRequest, provider: ProviderConfig | None, api: str
) -> BackendError:
    """The error that an exception or error frame reports inside a 200."""
    report: dict[str, JSON] = {"__type": frame.event}
    if frame.kind == "error":
        report["message"] = str(frame.headers.get(":error-message", ""))
    else:
        try:
            said = load_json(frame.data)
        except ValueError:
            said = frame.data[:4000].decode("utf-8", "replace")
        report |= said if isinstance(said, dict) else {"message": said}
    return _stream_error(report, request, provider, api)


def _stream_error(
    report: JSON, request: LLMRequest, provider: ProviderConfig | None, api: str = API
) -> BackendError:
    return BackendErrorBuilder.build_stream_error(
        error=report,
        provider=provider.name if provider else "",
        api=api,
        model=request.model.name,
    )


def parse_whole(body: bytes, request: LLMRequest, provider: ProviderConfig | None) -> LLMChunk:
    """A whole answer. Raises `StreamError` for an error object, `DecodeError` for anything else."""
    if body[:1] == b"\x00":  # asked for a whole answer, it streams all the same
        decoder = ConverseDecoder(request, provider)
        return accumulate([*decoder.feed(body), *decoder.finish()])
    try:
        answer = ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        answer = decode_json(ANSWER, well_formed(body), "the reply")
    message = answer.output.message if answer.output else None
    if message is None and answer.stop_reason is None:
        if answer.error_type or answer.message or answer.wrapped:
            said = answer.wrapped or {"__type": answer.error_type, "message": answer.message}
            raise _stream_error(said, request, provider)
        raise DecodeError(
            "the server answered with something that is no reply of Converse; check the "
            "provider's api_base and api_style",
            body_excerpt=body[:200].decode("utf-8", "replace"),
            phase="response",
        )
    stop = blocks.stop_of(answer.stop_reason, answer.additional_model_response_fields, answer.trace)
    cut = CUT_REASONS.get(stop.reason) if stop else None
    content = (message.content if message else None) or []
    return chunk_of(
        _parts_of(content, issuer_of(request, provider), cut),
        usage=blocks.usage_of(answer.usage, answer.service_tier),
        stop=stop,
        model=blocks.routed_model(answer.trace),
    )


def _parts_of(content: list[Raw], issuer: Native, cut: IncompleteReason | None) -> list[Part]:
    parts: list[Part] = []
    for i, raw in enumerate(content):
        try:
            last = i == len(content) - 1
            part = blocks.part_of(readable(raw), issuer, cut if last else None)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
            raise DecodeError(
                f"a content block is not what the format says: {e}",
                path=f"output.message.content[{i}]",
                body_excerpt=bytes(raw)[:200].decode("utf-8", "replace"),
                phase="response",
            ) from None
        if part is not None:
            parts.append(part)
    return parts


class _Open:
    """A block that has begun and not ended."""

    __slots__ = ("kind", "pieces", "start")

    def __init__(self, kind: str, start: Any = None) -> None:
        self.kind = kind
        self.start = start
        self.pieces: list[Any] = []  # what came of it and is said only when it is whole


class ConverseDecoder(BinaryFraming):
    """All memory of one streamed reply.

    Texts and reasoning begin with their first delta. A tool call's end is told only when the next
    block starts or the stop reason is known: the output limit cuts a call in the middle, and its
    block is closed all the same. `messageStop` ends the content; `metadata`, with the usage, comes
    after it and ends the stream. Whether a stream without it is whole, `Dialect.stream_end` says.
    """

    __slots__ = (
        "_cut",
        "_ended",
        "_frames",
        "_held",
        "_issuer",
        "_notes",
        "_open",
        "_provider",
        "_request",
        "_started",
    )  # fmt: skip

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        super().__init__()
        self._frames = BinaryFrameDecoder()
        self._request = request
        self._provider = provider
        self._issuer = issuer_of(request, provider)
        self._open: dict[int, _Open] = {}
        self._held: tuple[int, str] | None = None  # the last closed call: index, rest of its text
        self._cut: IncompleteReason | None = None
        self._notes: list[Adaptation] = []
        self._ended: Event | None = None  # messageStop
        self._started = False

    def _finish(self, out: list[LLMChunk]) -> None:
        if self._ended is not None and dialect_of(self._provider).stream_end != "done":
            return
        if self._ended is not None:
            where = "after messageStop and before its metadata: the usage is missing"
        else:
            came = "after it began" if self._started else "before it began"
            where = f"{came} and before messageStop: the reply is not whole"
        raise IncompleteStreamError(
            f"the stream ended {where}",
            provider=self._issuer.provider,
            api=API,
            model=self._request.model.name,
            phase="stream",
        )

    def _on_binary(self, frame: BinaryFrame, out: list[LLMChunk]) -> None:
        if frame.kind != "event":
            raise frame_error(frame, self._request, self._provider, API)
        name, data = frame.event, frame.data
        piece = self._piece
        if piece is not None and name == DELTA and (chunk := piece(data)) is not None:
            out.append(chunk)
            return
        if name not in _EVENTS:
            self._pings += 1
            return
        try:
            event = EVENT.decode(data)
        except NOT_AN_EVENT:
            event = decode_json(EVENT, well_formed(data), f"the event {name}")
        chunk = self._on_event(name, event)
        if chunk is not None:
            out.append(chunk)

    def _on_event(self, kind: str, event: Event) -> LLMChunk | None:
        self._started = True
        index = event.content_block_index or 0
        if kind == DELTA:
            return None if event.delta is None else self._chunk(self._on_delta(index, event.delta))
        if kind == "contentBlockStart":
            return None if event.start is None else self._chunk(self._start(index, event.start))
        if kind == "contentBlockStop":
            return self._chunk(self._end(index))
        if kind == "messageStop":
            return self._on_message_stop(event)
        if kind == "metadata":
            return self._on_metadata(event)
        return None

    # --- blocks ---------------------------------------------------------------------------------

    def _chunk(self, parts: list[Part]) -> LLMChunk | None:
        if not parts:
            return None
        notes = tuple(self._notes)
        self._notes.clear()
        return chunk_of(parts, adaptations=notes)

    def _start(self, index: int, start: Start) -> list[Part]:
        parts = self._release()
        if index in self._open:
            parts += self._end(index)
        self._set_piece(None)
        call = start.tool_use
        if call is not None and call.type != SERVER_TOOL:
            opened = self._open[index] = _Open("tool_call")
            self._set_piece(block_piece("tool_call", index, opened.pieces), DELTA)
            call_id, name = call.tool_use_id or None, call.name or ""
            parts.append(PartDelta(index, "tool_call", start=True, id=call_id, name=name))
        elif call is not None:
            fields = {"name": call.name, "toolUseId": call.tool_use_id, "type": call.type}
            self._open[index] = _Open("toolUse", fields)
        elif start.tool_result is not None:
            self._open[index] = _Open("toolResult", start.tool_result)
        elif start.image is not None:
            self._open[index] = _Open("image", start.image)
        return parts

    def _on_delta(self, index: int, delta: Delta) -> list[Part]:
        if delta.text is not None:
            return self._text_like(index, "text", delta.text) if delta.text else []
        if delta.citation is not None:
            return self._text_like(
                index, "text", "", citations=(delta.citation,), native=self._issuer
            )
        thought = delta.reasoning_content
        if thought is not None:
            if thought.redacted_content is not None:
                return self._gather(index, "redacted", thought.redacted_content)
            if not (thought.text or thought.signature):
                return []
            parts = self._text_like(index, "reasoning", thought.text or "", native=self._issuer)
            if thought.signature:
                signed = self._open[index].pieces
                signed.append(thought.signature)
                last = parts.pop()
                assert isinstance(last, PartDelta)
                parts.append(msgspec.structs.replace(last, signature="".join(signed)))
            return parts
        if delta.tool_use is not None:
            return self._on_input(index, delta.tool_use.input or "")
        if delta.tool_result is not None:
            return self._gather(index, "toolResult", *delta.tool_result)
        if delta.image is not None:
            return self._gather(index, "image", delta.image.source)
        return []

    def _text_like(self, index: int, kind: DeltaKind, text: str, **more: Any) -> list[Part]:
        """Text or reasoning; the first piece opens the block."""
        if index in self._open:
            self._expect(index, kind)
            if "citations" not in more:
                more.pop("native", None)
            return [PartDelta(index, kind, text, **more)]
        parts = self._release()
        opened = self._open[index] = _Open(kind)
        self._set_piece(block_piece(kind, index, opened.pieces), DELTA)
        return [*parts, PartDelta(index, kind, text, True, **more)]

    def _gather(self, index: int, kind: str, *pieces: Any) -> list[Part]:
        """Pieces of a block that is said when it is whole."""
        parts: list[Part] = []
        if index not in self._open:
            parts = self._release()
            self._open[index] = _Open(kind)
        self._expect(index, kind)
        self._open[index].pieces.extend(pieces)
        return parts

    def _on_input(self, index: int, text: str) -> list[Part]:
        opened = self._open.get(index)
        if opened is None or opened.kind not in ("tool_call", "toolUse"):
            raise self._broken(f"input for content block {index}, which is no tool's")
        if not text:
            return []
        opened.pieces.append(text)
        return [PartDelta(index, "tool_call", text)] if opened.kind == "tool_call" else []

    def _expect(self, index: int, kind: str) -> None:
        found = self._open[index].kind
        if found != kind:
            raise self._broken(f"a piece of {kind} for content block {index}, which is {found}")

    def _end(self, index: int) -> list[Part]:
        opened = self._open.pop(index, None)
        self._set_piece(None)
        if opened is None:
            return []
        kind = opened.kind
        if kind in ("text", "reasoning"):
            return [PartDelta(index, kind, end=True)]  # type: ignore[arg-type]
        parts = self._release()
        if kind == "tool_call":
            self._held = (index, "" if opened.pieces else EMPTY_INPUT)
            return parts
        if kind == "redacted":
            data = blocks.joined_base64(opened.pieces)
            return [*parts, ReasoningPart(kind="redacted", data=data, native=self._issuer)]
        return [*parts, self._whole(index, opened)]

    def _whole(self, index: int, opened: _Open) -> Part:
        """A block that is kept as it is, its keys in the order in which AWS writes them."""
        block: dict[str, Any]
        if opened.kind == "toolUse":
            text = "".join(opened.pieces)
            if text and not is_json_object(text):
                self._notes.append(
                    Adaptation(f"content[{index}].input", "dropped", "the input was cut off", text)
                )
                text = ""
            block = {"input": Raw((text or EMPTY_INPUT).encode("utf-8", "surrogatepass"))}
            block |= opened.start
        elif opened.kind == "toolResult":
            block = {"content": opened.pieces, **(opened.start or {})}
        else:
            sources = [p["bytes"] for p in opened.pieces if isinstance(p, dict) and "bytes" in p]
            form = opened.start.format if opened.start is not None else None
            block = {"format": form, "source": {"bytes": blocks.joined_base64(sources or [""])}}
            picture = blocks.image_of(block, self._issuer)
            if picture is not None:
                return picture
        block = {name: block[name] for name in sorted(block) if block[name] is not None}
        return OpaquePart(opened.kind, canonical_json({opened.kind: block}).decode(), self._issuer)

    def _release(self, cut: IncompleteReason | None = None) -> list[Part]:
        """Ends the tool call whose block was closed last."""
        if self._held is None:
            return []
        index, rest = self._held
        self._held = None
        return [PartDelta(index, "tool_call", rest, end=True, incomplete=cut)]

    # --- message --------------------------------------------------------------------------------

    def _on_message_stop(self, event: Event) -> LLMChunk:
        self._ended = event
        stop = blocks.stop_of(event.stop_reason or "", event.additional_model_response_fields)
        assert stop is not None
        self._cut = CUT_REASONS.get(stop.reason)
        parts = self._release(self._cut)
        for index in list(self._open):  # blocks that nobody closed
            parts += self._end(index)
            parts += self._release(self._cut)
        notes = tuple(self._notes)
        self._notes.clear()
        return chunk_of(parts, stop=stop, adaptations=notes)

    def _on_metadata(self, event: Event) -> LLMChunk | None:
        self.done = self._ended is not None
        usage = blocks.usage_of(event.usage, event.service_tier)
        said = self._ended
        stop = None
        if event.trace and said is not None:
            fields = said.additional_model_response_fields
            stop = blocks.stop_of(said.stop_reason or "", fields, event.trace)
        model = blocks.routed_model(event.trace)
        if usage is None and stop is None and model is None:
            return None
        return chunk_of(usage=usage, stop=stop, model=model)

    def _broken(self, what: str) -> DecodeError:
        return DecodeError(
            f"the stream does not fit the format: {what}",
            provider=self._issuer.provider,
            api=API,
            model=self._request.model.name,
            phase="stream",
        )
