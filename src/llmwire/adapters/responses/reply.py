"""Replies: from events to chunks. A whole answer goes through the same machine, item by item.

Wire reference 2.3, 9.4 (2026-11-22).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from msgspec import Raw

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import (
    JSON,
    Adaptation,
    AudioPart,
    BytesSource,
    DeltaKind,
    LLMChunk,
    LLMUsage,
    Native,
    Part,
    StopInfo,
)
from ..base import chunk_of
from ..streaming import Piece, piece_chunk
from .items import API, item_id, sound, well_formed
from .output import Key, Output
from .usage import CUT, stop_of, usage_of
from .wire import EVENT, OUTPUT, PIECES, RESPONSE, Event, Response

_DELTAS: dict[str, tuple[str, DeltaKind]] = {
    "response.output_text.delta": ("text", "text"),
    "response.refusal.delta": ("refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary", "reasoning"),
    "response.reasoning_text.delta": ("content", "reasoning"),
    "response.function_call_arguments.delta": ("call", "tool_call"),
    "response.custom_tool_call_input.delta": ("call", "tool_call"),
}
_STARTED = ("response.created", "response.queued", "response.in_progress")
_ENDED = ("response.completed", "response.incomplete", "response.failed")
_NOT_READ = (ValueError, RecursionError)  # what msgspec raises for bytes that do not fit


class ReplyReader:
    """All memory of one reply. `failure` is the error that it reported; `done`: it has ended."""

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        self._request = request
        self._provider = provider.name if provider is not None else ""
        self._issuer = Native(API, self._provider, request.model.name)
        hosted = dialect_of(provider).hosted_custom_calls
        self._output = Output(self._issuer, _offered(request) if hosted else None)
        self.failure: BackendError | None = None
        self.done = False
        self._id: str | None = None
        self._model: str | None = None
        self._last: tuple[str, Key] | None = None  # the type and place of the last delta
        self._audio: list[str] = []
        self._transcript: list[str] = []

    # --- events ---

    def continuing(self) -> Piece | None:
        """What reads more of the part whose delta came last."""
        if self._last is None:
            return None
        kind, place = self._last
        _, item, at = place
        decode, output = PIECES[kind], self._output

        def piece(data: bytes) -> LLMChunk | None:
            if output.blocking:
                return None
            try:
                event = decode(data)
            except _NOT_READ:
                return None
            opened, text = output.pieces.get(place), event.delta
            if opened is None or not text or event.output_index != item or event.at != at:
                return None
            opened.sent += len(text)
            return piece_chunk(opened.index, opened.kind, text)

        return piece

    def decode(self, data: bytes) -> Event | None:
        """An event; None for JSON that is none. Raises `DecodeError` for what is no JSON."""
        try:
            return EVENT.decode(data)
        except _NOT_READ:
            data = well_formed(data)
        return EVENT.decode(data) if data[:1] == b"{" else None

    def read(self, event: Event, name: str = "") -> LLMChunk | None:
        """What an event says; None if that is nothing. `name` is its type outside the data."""
        kind = event.type if isinstance(event.type, str) and event.type else name
        output, parts = self._output, list[Part]()
        at, about = event.output_index, _text(event.item_id)
        if kind in _DELTAS:
            key, part_kind = _DELTAS[kind]
            inside = event.summary_index if key == "summary" else event.content_index
            place = (key, output.place(at, about), 0 if key == "call" else _index(inside))
            parts = output.on_delta(place, part_kind, _text(event.delta))
            self._last = kind, place
        elif kind in ("response.output_item.added", "response.output_item.done"):
            value, text = _object(event.item)
            index = output.place(at, item_id(value), fresh=True)
            if kind.endswith("added"):
                parts = output.on_added(index, value)
            else:
                parts = output.on_done(index, value, text)
        elif kind == "response.output_text.annotation.added":
            place = ("text", output.place(at, about), _index(event.content_index))
            parts = output.on_annotation(place, event.annotation)
        elif kind in _STARTED:
            return self._chunk([], self._response(event.response))
        elif kind in _ENDED:
            response = self._response(event.response)
            if not isinstance(response.status, str):
                response.status = kind.rpartition(".")[2]
            return self._on_end(response, self._items(event.response))
        elif kind == "response.audio.delta":
            self._audio.append(_text(event.delta))
        elif kind == "response.audio.transcript.delta":
            self._transcript.append(_text(event.delta))
        elif "error" in (kind, name) or (event.error and not kind.startswith("response.")):
            self._fail(event.error or {"message": event.message, "code": event.code})
        return chunk_of(parts) if parts else None

    def read_whole(self, body: bytes) -> LLMChunk | None:
        """What a whole answer says. Raises `DecodeError` for a body that is none."""
        response, items = self._response(Raw(body)), self._items(Raw(body))
        if isinstance(response.status, str) or items:
            return self._on_end(response, items)
        if not response.error and response.type != "error":
            raise self.undecodable("it has no output and no status in it", body)
        self._fail(response.error or {"message": response.message, "code": response.code})
        return None

    def undecodable(self, why: str, data: bytes = b"") -> DecodeError:
        """The error for bytes of theirs that are no reply."""
        return DecodeError(
            f"{self._provider or 'the server'} sent what is no Responses reply: {why}",
            provider=self._provider,
            api=API,
            model=self._request.model.name,
            status=200,
            phase="stream",
            body_excerpt=data[:200].decode("utf-8", "replace"),
        )

    # --- the response ---

    def _response(self, raw: Raw) -> Response:
        try:
            return RESPONSE.decode(raw)
        except _NOT_READ:
            data = well_formed(bytes(raw)) if bytes(raw) else b"{}"
        if data[:1] != b"{":
            raise self.undecodable("its response is no object", data)
        return RESPONSE.decode(data)

    def _items(self, raw: Raw) -> list[Raw]:
        try:
            return OUTPUT.decode(raw).output or []
        except _NOT_READ:
            data = well_formed(bytes(raw)) if bytes(raw) else b"{}"
        try:
            return OUTPUT.decode(data).output or []
        except ValueError:
            raise self.undecodable("its output is no list", data) from None

    def _on_end(self, response: Response, items: list[Raw]) -> LLMChunk | None:
        output = self._output
        parts = [p for at, raw in enumerate(items) for p in output.on_final(at, *_object(raw))]
        stop: StopInfo | None = None
        if response.error or response.status == "failed":
            self._fail(response.error or {"message": "the reply failed", "code": "server_error"})
        else:
            stop = stop_of(
                _text(response.status) or "completed",
                response.incomplete_details,
                response.content_filters,
                called=output.called,
                refused=output.refused,
            )
            parts += output.ends(CUT.get(stop.reason))
            if self._audio or self._transcript:
                parts.append(self._sound())
        self._note(response.input_transformations)
        self.done = True
        usage = usage_of(response.usage, response.service_tier)
        return self._chunk(parts, response, usage, stop)

    def _sound(self) -> AudioPart:
        try:
            data = b"".join(b64decode(piece, validate=True) for piece in self._audio)
        except (binascii.Error, ValueError):
            raise self.undecodable("its sound is not base64") from None
        asked = self._request.extra_body.get("audio")
        form = asked.get("format") if isinstance(asked, dict) else None
        form = form if isinstance(form, str) else "wav"
        source = BytesSource(data, f"audio/{form}")
        return AudioPart(source, form, "".join(self._transcript), self._issuer)

    def _note(self, changes: JSON) -> None:
        """What the service says it took out of the input."""
        for change in changes if isinstance(changes, list) else ():
            if isinstance(change, dict):
                what = f"{_text(change.get('type'))} {_text(change.get('id'))}".strip()
                why = _text(change.get("reason")) or "it does not say why"
                reason = f"the service removed {what or 'an item'}: {why}"
                self._output.notes.append(Adaptation("input", "dropped", reason, change))

    def _chunk(
        self,
        parts: list[Part],
        response: Response,
        usage: LLMUsage | None = None,
        stop: StopInfo | None = None,
    ) -> LLMChunk | None:
        found, model = _text(response.id) or self._id, _text(response.model) or self._model
        fresh_id = found if found != self._id else None
        fresh_model = model if model != self._model else None
        self._id, self._model = found, model
        notes = tuple(self._output.notes)
        self._output.notes.clear()
        if not (parts or notes or usage or stop or fresh_id or fresh_model):
            return None
        return chunk_of(
            parts,
            usage=usage,
            stop=stop,
            response_id=fresh_id,
            model=fresh_model,
            adaptations=notes,
        )

    def _fail(self, error: JSON) -> None:
        if self.failure is None:
            self.failure = BackendErrorBuilder.build_stream_error(
                error=error,
                provider=self._provider,
                api=API,
                endpoint="/responses",
                model=self._request.model.name,
            )


def _offered(request: LLMRequest) -> frozenset[str]:
    """The names of the tools that the request offers, in our words or in the wire's."""
    names = {t.function.name for t in request.tools}
    more = request.extra_body.get("tools")
    for tool in more if isinstance(more, list) else ():
        if isinstance(tool, dict):
            names.add(_text(tool.get("name")))
    return frozenset(names)


def _object(raw: Raw) -> tuple[dict[str, Any], str]:
    """An item and its text; anything else is an item that says nothing."""
    data = bytes(raw)
    value, text = sound(data) if data else ({}, "{}")
    return (value, text) if isinstance(value, dict) else ({}, "{}")


def _index(value: JSON) -> int:
    return value if type(value) is int else 0


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else ""
