"""Streamed and whole replies: from bytes to chunks. Source: wire reference 0, 8.2, 9.4 (2026-11-22)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...config import ProviderConfig
from ...errors import DecodeError, IncompleteStreamError
from ...providers import dialect_of
from ...request import LLMRequest
from ...sse import Frame
from ...types import JSON, LLMChunk, load_json
from ..streaming import NOT_AN_EVENT, EventStreamDecoder
from .reply import ReplyReader
from .wire import Event


class ChatStreamDecoder(EventStreamDecoder):
    """A streamed reply of Chat Completions: server-sent events, or what came in their place.

    A server that ignores `stream` answers with one JSON object: it is read as the whole answer.
    """

    def __init__(self, api: str, request: LLMRequest, provider: ProviderConfig | None) -> None:
        super().__init__()
        self._api = api
        self._model = request.model.name
        self._provider = provider.name if provider is not None else ""
        self._needs_done = dialect_of(provider).stream_end == "done"
        self._reader = ReplyReader(api, request, provider)
        self._started = False
        self._plain: list[bytes] | None = None  # a body that is no event stream

    def _read(self, data: bytes, out: list[LLMChunk], tried: bool) -> None:
        if not self._started:
            rest = data.lstrip(b"\xef\xbb\xbf \t\r\n")
            if rest:
                self._started = True
                if rest[:1] in (b"{", b"[", b"<"):
                    self._plain = []
        if self._plain is not None:
            self._plain.append(data)
        else:
            super()._read(data, out, tried)

    def _on_frame(self, frame: Frame, out: list[LLMChunk]) -> None:
        reader = self._reader
        data, kind, stray = frame
        if data[:1] == b"{" and kind != "error" and not stray:
            try:
                event = reader.decoder.decode(data)
            except NOT_AN_EVENT:
                event = reader.decode_odd(data)
            chunk = reader.read(event)
            if chunk is None and not event.choices:
                self._pings += 1
        else:
            chunk = self._on_odd_event(frame)
        if chunk is not None:
            out.append(chunk)
        if reader.failure is not None:
            raise reader.failure
        self._set_piece(reader.continuing())

    def _on_odd_event(self, frame: Frame) -> LLMChunk | None:
        """What is not a JSON object in an unnamed event: the end, errors, lines gone astray."""
        data = frame.data.strip()
        if data[:1] == b"[" and b"".join(data.split()).upper() == b"[DONE]":
            # Alone it proves nothing: some servers say it after an answer that failed.
            self.done = self._reader.anything_seen
            return self._reader.close() if self.done else None
        if not data:
            self._pings += 1
            return None
        if data[:1] == b"<":
            raise self._not_ours(data)
        if frame.event == "error":
            return self._reader.read(Event(error=_error_in(data)))
        return self._reader.read(self._reader.decode(data))

    def _finish(self, out: list[LLMChunk]) -> None:
        if self._plain is not None:
            self._finish_plain(b"".join(self._plain), out)
            return
        cut = ""
        try:
            self._on_frames(self._sse.finish(), out)
        except DecodeError as e:
            if e.body_excerpt.lstrip().startswith("<"):
                raise
            cut = "the end of an event"
        if self.done:
            return
        if self._needs_done or cut or self._reader.finish_reason is None:
            raise self._cut_short(
                cut or ("the `[DONE]` line" if self._needs_done else "a finish reason")
            )
        self.done = True
        last = self._reader.close()
        if last is not None:
            out.append(last)

    def _finish_plain(self, body: bytes, out: list[LLMChunk]) -> None:
        self._plain = None
        if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            raise self._not_ours(body)
        try:
            load_json(body.lstrip(b"\xef\xbb\xbf"))
        except ValueError:
            if is_cut_json(body):
                raise self._cut_short("the end of the JSON object") from None
            # Not one object: lines before, or in place of, the events.
            self._on_frames(self._sse.feed(body), out)
            self._finish(out)
            return
        out += read_whole(self._reader, body)
        self.done = True

    def _cut_short(self, missing: str) -> IncompleteStreamError:
        return IncompleteStreamError(
            f"{self._provider or 'the server'} ended the stream before the reply was whole: "
            f"{missing} did not come. Ask again, or go on from the partial reply.",
            provider=self._provider,
            api=self._api,
            model=self._model,
            status=200,
            phase="stream",
        )

    def _not_ours(self, data: bytes) -> DecodeError:
        return self._reader.undecodable(
            "a page of HTML or XML. Check the provider's api_base, and any proxy on the way.", data
        )


def read_whole(reader: ReplyReader, body: bytes) -> Iterator[LLMChunk]:
    """The chunks of a whole answer. Raises its error if it is one, `DecodeError` if neither."""
    event = reader.decode(body.strip().removeprefix(b"\xef\xbb\xbf"))
    chunk = reader.read(event)
    if chunk is not None:
        yield chunk
    if reader.failure is not None:
        raise reader.failure
    if not event.choices and not reader.content_seen:
        raise reader.undecodable("it has no choices and no error in it", body)
    last = reader.close()
    if last is not None:
        yield last


def is_cut_json(body: bytes) -> bool:
    """Whether a bracket or a string in the body is still open at its end."""
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body, flags=re.DOTALL)
    opened = bare.count(b"{") + bare.count(b"[")
    return b'"' in bare or opened > bare.count(b"}") + bare.count(b"]")


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
