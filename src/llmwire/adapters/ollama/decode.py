"""Streamed and whole replies: from bytes to chunks. Source: wire reference 0, 7 (2026-11-22).

A whole answer is a stream of one line, so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError, IncompleteStreamError, TransportError
from ...folding import is_json_object
from ...request import LLMRequest
from ...sse import MAX_EVENT_BYTES
from ...types import (
    FunctionCall,
    IncompleteReason,
    LLMChunk,
    Native,
    Part,
    PartDelta,
    Role,
    StopInfo,
    StopReason,
    ToolCall,
    load_json,
    new_message,
)
from ..base import ReplyWriter, chunk_of
from .wire import (
    API,
    NOT_JSON,
    STOP_WORDS,
    TEXT_LINE,
    Call,
    Line,
    arguments_of,
    read_line,
    usage_of,
)

_SPACE = b"\xef\xbb\xbf \t\n"


class LineDecoder:
    """All memory of one reply: JSON lines, or one JSON object over several of them."""

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        self._provider = provider.name if provider is not None else ""
        self._model = request.model.name
        self._writer = ReplyWriter()
        self._held: list[bytes] = []  # of a line that is not whole yet
        self._held_size = 0
        self._begun = False
        self._document = False
        self._text_at = -1  # the index of the open text part
        self._calls = 0
        self._open_calls: list[int] = []  # whose arguments are no object
        self._told_model = False
        self._issuer = Native(API, self._provider, self._model)
        self._failure: BackendError | None = None
        self.done = False
        self.keepalives = 0

    def feed(self, data: bytes) -> Iterator[LLMChunk]:
        if b"\r" in data:  # never inside a JSON string, so the end of a line or white space
            data = data.replace(b"\r", b"\n")
        end = data.rfind(b"\n")
        if self._document or end < 0:
            self._hold(data)
            return
        if self._held:
            self._hold(data[:end])
            lines = self._taken().split(b"\n")
        else:
            lines = data[:end].split(b"\n")
        for i, line in enumerate(lines):
            chunk = self._text(line)
            if chunk is None:
                chunk = self._line(line)
            if chunk is not None:
                yield chunk
            if self._failure is not None:
                raise self._failure
            if self._document:
                self._hold(b"\n".join((*lines[i:], b"")))
                break
        self._hold(data[end + 1 :])

    def _hold(self, data: bytes) -> None:
        self._held_size += len(data)
        if self._held_size > MAX_EVENT_BYTES:
            raise TransportError(
                f"one line of the stream is larger than {MAX_EVENT_BYTES:,} bytes",
                kind="limit",
                phase="stream",
                retryable=False,
            )
        if data:
            self._held.append(data)

    def _taken(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return data

    def finish(self) -> Iterator[LLMChunk]:
        rest = self._taken().strip(_SPACE)
        if rest and not self.done:
            try:
                chunk = self._read(read_line(rest), rest)
            except NOT_JSON as e:
                if rest[:1] != b"{" or (self._document and "truncated" not in str(e)):
                    raise self._undecodable(e, rest) from None
                raise self._cut_short("the end of a line") from None
            if chunk is not None:
                yield chunk
            if self._failure is not None:
                raise self._failure
        if not self.done:
            raise self._cut_short("the line that says `done`")

    # --- lines ---

    def _text(self, line: bytes) -> LLMChunk | None:
        """What a line with nothing but text says; None for any other."""
        if self._text_at < 0 or self.done:
            return None
        try:
            found = TEXT_LINE.decode(line)
        except NOT_JSON:
            return None
        text = found.message.content
        if found.done or not text:
            return None
        return LLMChunk(new_message(Role.assistant, (PartDelta(self._text_at, "text", text),)))

    def _line(self, line: bytes) -> LLMChunk | None:
        line = line.strip(_SPACE)
        if self.done or not line:
            self.keepalives += not line
            return None
        try:
            chunk = self._read(read_line(line), line)
        except NOT_JSON as e:
            if not self._begun and line[:1] == b"{" and "truncated" in str(e):
                self._document = True  # an object over several lines
                return None
            raise self._undecodable(e, line) from None
        self.keepalives += chunk is None
        return chunk

    def _read(self, line: Line, data: bytes) -> LLMChunk | None:
        """What a line says; None if that is nothing. `_failure` is the error that it brought."""
        self._begun = True
        parts: list[Part] = []
        message = line.message
        if message is not None:
            if message.thinking:
                self._text_at = -1
                parts += self._writer.text_like("reasoning", message.thinking, self._issuer)
            if message.content:
                parts += self._writer.text_like("text", message.content)
                last = parts[-1]
                assert isinstance(last, PartDelta)
                self._text_at = last.index
            for call in message.tool_calls or ():
                if call is not None:
                    self._text_at = -1
                    parts += self._call(call)
        model = stop = usage = None
        if not self._told_model and line.model:
            self._told_model, model = True, line.model
        if line.error:
            error = load_json(data)
            self._failure = BackendErrorBuilder.build_stream_error(
                error=error, provider=self._provider, api=API, model=self._model
            )
        elif line.done:
            stop, usage = self._stop(line.done_reason), usage_of(line)
            parts += self._end(stop.reason)
            self.done = True
        if not parts and stop is None and model is None:
            return None
        return chunk_of(parts, usage=usage, stop=stop, model=model)

    def _call(self, call: Call) -> list[Part]:
        function = call.function
        name = function.name or "" if function is not None else ""
        text = arguments_of(function.arguments) if function is not None else ""
        call_id = call.id or None
        self._calls += 1
        if name and is_json_object(text):
            return self._writer.whole(ToolCall(call_id, FunctionCall(name, text)))
        self._open_calls.append(self._calls)
        return self._writer.tool(self._calls, text, id=call_id, name=name)

    def _stop(self, word: str | None) -> StopInfo:
        reason: StopReason = STOP_WORDS.get(word, "other") if word else "other"
        if self._calls > len(self._open_calls) and (reason == "stop" or word is None):
            reason = "tool_calls"
        return StopInfo(reason, word)

    def _end(self, stop: StopReason) -> list[Part]:
        self._text_at = -1
        parts = self._writer.end_text()
        reason: IncompleteReason = "length" if stop == "length" else "invalid_json"
        for key in self._open_calls:
            parts += self._writer.end_tool(key, reason)
        return parts

    # --- errors ---

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

    def _undecodable(self, cause: Exception, data: bytes) -> DecodeError:
        why = str(cause) or "nested too deeply"
        if data[:1] == b"<":
            why = "a page of HTML or XML. Check the provider's api_base, and any proxy on the way."
        return DecodeError(
            f"{self._provider or 'the server'} sent what is no line of Ollama's chat: {why}",
            provider=self._provider,
            api=API,
            model=self._model,
            status=200,
            phase="stream",
            path=why.rpartition(" - at `")[2].rstrip("`") if " - at `" in why else "",
            body_excerpt=data[:200].decode("utf-8", "replace"),
        )
