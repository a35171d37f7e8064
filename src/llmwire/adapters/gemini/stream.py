"""Streamed and whole replies: from bytes to chunks. Wire reference 0, 5.1, 5.3, 9.4 (2026-11-22).

A stream has no terminal marker: it is whole when a finish reason (or a block of the prompt) came
before its end. A JSON array is whole when it was closed.
"""

from __future__ import annotations

from ...config import ProviderConfig
from ...errors import DecodeError, IncompleteStreamError
from ...request import LLMRequest
from ...sse import Frame
from ...types import JSON, LLMChunk, load_json
from ..streaming import EventStreamDecoder
from .models import API
from .reply import ReplyReader
from .scan import ObjectScanner

_EVENT_STREAM = (b"data:", b"event:", b":", b"id:", b"retry:")
_BLANK = b"\xef\xbb\xbf \t\r\n"


class GeminiStreamDecoder(EventStreamDecoder):
    """A streamed reply: server-sent events, a JSON array, or one object in their place."""

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        super().__init__()
        self._model = request.model.name
        self._provider = provider.name if provider is not None else ""
        self._reader = ReplyReader(request, provider)
        self._scanner = ObjectScanner()
        self._started = False
        self._plain = False  # the body is no event stream
        self._set_piece(self._reader.read_text)

    def _read(self, data: bytes, out: list[LLMChunk], tried: bool) -> None:
        if self.done:
            return
        if not self._started:
            rest = data.lstrip(_BLANK)
            if rest:
                self._started = True
                self._plain = rest[:1] in (b"{", b"[")
                if rest[:1] == b"<":
                    raise self._not_ours(rest)
                if self._plain:
                    data = rest
        if not self._plain:
            super()._read(data, out, tried)
            return
        self._objects(data, out)
        self.done = self._scanner.closed
        if self.done:
            self._last(out)

    def _finish(self, out: list[LLMChunk]) -> None:
        missing = ""
        try:
            self._on_frames(self._sse.finish(), out)
        except DecodeError as e:
            if e.body_excerpt.lstrip().startswith("<"):
                raise
            missing = "the end of an event"
        whole = self._reader.finished
        if self._scanner.open or self._scanner.array:
            missing = "the end of the JSON"
        elif self._plain:
            if not (whole or self._reader.content_seen):
                raise self._reader.undecodable(
                    "it has no content, no finish reason and no error in it"
                )
            whole = True
        if missing or not whole:
            held = self._reader.rest_of_usage()
            if held is not None:
                out.append(held)
            raise self._cut_short(missing or "a finish reason")
        self.done = True
        self._last(out)

    def _last(self, out: list[LLMChunk]) -> None:
        reader = self._reader
        if not (reader.finished or reader.content_seen):
            raise reader.undecodable("it has no content, no finish reason and no error in it")
        last = reader.close()
        if last is not None:
            out.append(last)

    def _on_frame(self, frame: Frame, out: list[LLMChunk]) -> None:
        data, kind, stray = frame
        if stray:
            if data[:1] == b"<":
                raise self._not_ours(data)
            self._objects(data + b"\n", out)
            return
        text = data.strip()
        if not text or text == b"[DONE]":  # said by gateways
            self._pings += 1
        elif text[:1] == b"<":
            raise self._not_ours(text)
        elif kind == "error":
            self._reader.fail(_error_in(text))
            self._failed(out)
        else:
            self._on_event(data, out)

    def _objects(self, data: bytes, out: list[LLMChunk]) -> None:
        scanned = self._scanner.feed(data)
        while True:
            try:
                found = next(scanned, None)
            except ValueError as e:
                raise self._reader.undecodable(str(e), data) from None
            if found is None:
                return
            chunk = self._reader.read_text(found)
            if chunk is not None:
                out.append(chunk)
            else:
                self._on_event(found, out)

    def _on_event(self, data: bytes, out: list[LLMChunk]) -> None:
        event = self._reader.decode(data)
        chunk = self._reader.read(event)
        if chunk is not None:
            out.append(chunk)
        elif not event.candidates:
            self._pings += 1
        if self._reader.failure is not None:
            self._failed(out)

    def _failed(self, out: list[LLMChunk]) -> None:
        held = self._reader.rest_of_usage()
        if held is not None:
            out.append(held)
        assert self._reader.failure is not None
        raise self._reader.failure

    def _cut_short(self, missing: str) -> IncompleteStreamError:
        return IncompleteStreamError(
            f"{self._provider or 'the server'} ended the stream before the reply was whole: "
            f"{missing} did not come. Ask again, or go on from the partial reply.",
            provider=self._provider,
            api=API,
            model=self._model,
            status=200,
            phase="stream",
        )

    def _not_ours(self, data: bytes) -> DecodeError:
        return self._reader.undecodable(
            "a page of HTML or XML. Check the provider's api_base, and any proxy on the way.", data
        )


def is_reply(body: bytes) -> bool:
    """Whether a body begins like a reply in any form: an object, an array, an event stream."""
    start = body.lstrip(_BLANK)
    return start[:1] in (b"{", b"[", b"<") or start.startswith(_EVENT_STREAM)


def _error_in(data: bytes) -> JSON:
    """The error of an `event: error`, whatever its form."""
    try:
        value = load_json(data)
    except ValueError:
        return data.decode("utf-8", "replace")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and value.get("error"):
        return value["error"]
    return value or "an error without a word about it"
