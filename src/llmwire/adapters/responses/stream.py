"""Streamed and whole replies: from bytes to chunks. Wire reference 0, 2.3, 9.4 (2026-11-22)."""

from __future__ import annotations

from collections.abc import Iterator

from ...config import ProviderConfig
from ...errors import DecodeError, IncompleteStreamError
from ...request import LLMRequest
from ...sse import Frame
from ...types import LLMChunk, load_json
from ..openai.stream import is_cut_json
from ..streaming import EventStreamDecoder
from .items import API
from .reply import ReplyReader
from .wire import Event

_BLANK = b"\xef\xbb\xbf \t\r\n"


class ResponsesDecoder(EventStreamDecoder):
    """A streamed reply: server-sent events, or the JSON document that came in their place.

    It is whole when `response.completed` or `response.incomplete` has come; `response.failed`
    and `error` are raised.
    """

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        super().__init__()
        self._provider = provider.name if provider is not None else ""
        self._model = request.model.name
        self._reader = ReplyReader(request, provider)
        self._started = False
        self._plain: list[bytes] | None = None  # a body that is no event stream

    def _read(self, data: bytes, out: list[LLMChunk], tried: bool) -> None:
        if not self._started and (rest := data.lstrip(_BLANK)):
            self._started = True
            if rest[:1] in (b"{", b"[", b"<"):
                self._plain = []
        if self._plain is not None:
            self._plain.append(data)
        else:
            super()._read(data, out, tried)

    def _on_frame(self, frame: Frame, out: list[LLMChunk]) -> None:
        reader = self._reader
        data, name, stray = frame
        event = self._event(data, name, stray)
        chunk = reader.read(event, name) if event is not None else None
        self.done = reader.done
        if chunk is not None:
            out.append(chunk)
        else:  # progress of hosted tools, pings
            self._pings += 1
        if reader.failure is not None:
            raise reader.failure
        if not name or name.endswith(".delta"):  # one seldom comes alone
            self._set_piece(reader.continuing(), name)

    def _event(self, data: bytes, name: str, stray: bool) -> Event | None:
        """The event of a frame; None for one that says nothing."""
        text = data.strip()
        if text[:1] == b"<":
            raise self._not_ours(data)
        if name == "error" and text[:1] != b"{":
            return Event(type="error", error=text.decode("utf-8", "replace") or "no word about it")
        if not text or text == b"[DONE]":
            return None
        return self._reader.decode(data)

    def _finish(self, out: list[LLMChunk]) -> None:
        if self._plain is not None:
            self._finish_plain(b"".join(self._plain), out)
            return
        missing = "the end of the response"
        try:
            self._on_frames(self._sse.finish(), out)
        except DecodeError as e:
            if e.body_excerpt.lstrip().startswith("<"):
                raise
            missing = "the end of an event"
        if not self.done:
            raise self._cut_short(missing)

    def _finish_plain(self, body: bytes, out: list[LLMChunk]) -> None:
        self._plain = None
        text = body.strip(_BLANK)
        if text[:1] == b"<":
            raise self._not_ours(body)
        try:
            load_json(text)
        except ValueError:
            if is_cut_json(text):
                raise self._cut_short("the end of the JSON object") from None
            # Not one object: lines before, or in place of, the events.
            self._on_frames(self._sse.feed(body), out)
            self._finish(out)
            return
        out += read_whole(self._reader, text)
        self.done = True

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


def read_whole(reader: ReplyReader, body: bytes) -> Iterator[LLMChunk]:
    """The chunks of a whole answer. Raises its error if it is one, `DecodeError` if neither."""
    chunk = reader.read_whole(body.strip(_BLANK))
    if chunk is not None:
        yield chunk
    if reader.failure is not None:
        raise reader.failure
