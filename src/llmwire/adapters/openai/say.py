"""The server's voice: replies and errors as Chat Completions says them.

Nothing here has a clock or chance in it: `created` is 0, and an id that a reply lacks is made
from the request. Source: wire reference 1.3, 9.1 (2026-11-22).
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from ...errors import (
    AuthenticationError,
    BackendError,
    ConflictError,
    ContentFilterError,
    ContextTooLongError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    RequestTooLargeError,
)
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
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
from .usage import STOP_WORDS

_WORDS: dict[StopReason, str] = {
    "tool_calls": "tool_calls",
    "length": "length",
    "context_window": "length",
    "content_filter": "content_filter",
    "error": "error",
}
_ERRORS: tuple[tuple[type[BackendError], int, str, str | None], ...] = (
    (AuthenticationError, 401, "invalid_request_error", "invalid_api_key"),
    (PermissionDeniedError, 403, "permission_error", None),
    (QuotaError, 429, "insufficient_quota", "insufficient_quota"),
    (RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    (OverloadedError, 503, "overloaded_error", "server_is_overloaded"),
    (ConflictError, 409, "conflict_error", None),
    (ModelNotFoundError, 404, "invalid_request_error", "model_not_found"),
    (NotFoundError, 404, "not_found_error", None),
    (ContextTooLongError, 400, "invalid_request_error", "context_length_exceeded"),
    (RequestTooLargeError, 413, "invalid_request_error", "request_too_large"),
    (ContentFilterError, 400, "invalid_request_error", "content_filter"),
    (InvalidRequestError, 400, "invalid_request_error", None),
    (BackendError, 500, "server_error", "server_error"),
)
"""How an error that names no words of its own is told: status, type, code."""


def made_id(heard: ServerRequest, *more: object) -> str:
    """Hexadecimal digits that the same request always gives."""
    seed = canonical_json([heard.body, *map(str, more)])
    return hashlib.sha256(seed).hexdigest()


class ReplyWords:
    """Says replies. What a variant says differently are methods."""

    said: ClassVar[frozenset[str]] = frozenset(
        ("stop", "length", "tool_calls", "content_filter", "function_call")
    )
    """The stop words of the service."""

    # --- pieces ---

    def reply_id(self, heard: ServerRequest) -> str:
        return f"chatcmpl-{made_id(heard)[:29]}"

    def call_id(self, call_id: str | None, heard: ServerRequest, number: int) -> str:
        return call_id or f"call_{made_id(heard, number)[:24]}"

    def stop_word(self, stop: StopInfo | None, has_calls: bool) -> str:
        if stop is None:
            return "tool_calls" if has_calls else "stop"
        raw = stop.raw
        if raw is not None and (raw in self.said if raw in STOP_WORDS else stop.reason == "other"):
            return raw
        return _WORDS.get(stop.reason, "stop")

    def usage(self, usage: LLMUsage) -> dict[str, JSON]:
        """The provider's own object where it was in this form, else one that says the same."""
        if usage.raw is not None and "prompt_tokens" in usage.raw:
            return usage.raw
        out: dict[str, JSON] = {}
        if usage.input_total is not None:
            out["prompt_tokens"] = usage.input_total
        if usage.output_total is not None:
            out["completion_tokens"] = usage.output_total
        if usage.input_total is not None and usage.output_total is not None:
            out["total_tokens"] = usage.input_total + usage.output_total
        details = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
        if details := {k: v for k, v in details.items() if v is not None}:
            out["prompt_tokens_details"] = details
        if usage.reasoning is not None:
            out["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
        return out

    def report(self, usage: LLMUsage | None) -> dict[str, JSON]:
        """What is said of usage at the top level of an answer or an event."""
        if usage is None:
            return {}
        tier = {} if usage.service_tier is None else {"service_tier": usage.service_tier}
        return {"usage": self.usage(usage), **tier}

    # --- a whole reply ---

    def message(self, parts: Iterable[Part], heard: ServerRequest) -> dict[str, JSON]:
        out: dict[str, JSON] = {"role": "assistant", "content": None, "refusal": None}
        calls: list[JSON] = []
        for part in parts:
            for delta in self.deltas(part, heard, len(calls)):
                _join(out, delta, calls)
        if calls:
            out["tool_calls"] = calls
        return out

    def whole(self, reply: LLMChunk, heard: ServerRequest) -> dict[str, JSON]:
        message = self.message(reply.message.parts, heard)
        choice: dict[str, JSON] = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.stop_word(reply.stop, "tool_calls" in message),
        }
        out: dict[str, JSON] = {
            "id": reply.response_id or self.reply_id(heard),
            "object": "chat.completion",
            "created": 0,
            "model": reply.model or heard.request.model.name,
            "choices": [choice],
        }
        return {**out, **self.report(reply.usage)}

    # --- a streamed reply ---

    def events(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        stop: StopInfo | None = None
        usage: LLMUsage | None = None
        head: dict[str, JSON] | None = None
        numbers: dict[int, int] = {}  # a streamed call's part index -> its place among the calls
        count = 0
        for chunk in chunks:
            if head is None:
                head = {
                    "id": chunk.response_id or self.reply_id(heard),
                    "object": "chat.completion.chunk",
                    "created": 0,
                    "model": chunk.model or heard.request.model.name,
                }
                yield self._event(head, {"role": "assistant", "content": ""})
            stop = chunk.stop or stop
            if chunk.usage is not None:
                usage = chunk.usage if usage is None else usage.merged(chunk.usage)
            for part in chunk.message.parts:
                number = count
                if isinstance(part, PartDelta) and part.kind == "tool_call":
                    if part.start or part.index not in numbers:
                        numbers[part.index] = count
                        count += 1
                    number = numbers[part.index]
                elif isinstance(part, ToolCall | IncompleteToolCall):
                    count += 1
                for delta in self.deltas(part, heard, number):
                    yield self._event(head, delta)
        head = head or {
            "id": self.reply_id(heard),
            "object": "chat.completion.chunk",
            "created": 0,
            "model": heard.request.model.name,
        }
        yield from self.last_events(head, self.stop_word(stop, count > 0), usage, heard)
        yield b"data: [DONE]\n\n"

    def last_events(
        self, head: dict[str, JSON], word: str, usage: LLMUsage | None, heard: ServerRequest
    ) -> Iterator[bytes]:
        yield self._event(head, {}, word)
        if usage is not None and heard.include_usage:
            yield frame({**head, "choices": [], **self.report(usage)})

    def _event(self, head: dict[str, JSON], delta: JSON, word: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": word}
        return frame({**head, "choices": [choice]})

    # --- both ---

    def deltas(self, part: Part, heard: ServerRequest, number: int) -> list[dict[str, JSON]]:
        """A part, or a piece of one, as deltas; `number` is a call's place among the calls."""
        if isinstance(part, PartDelta):
            return self.piece(part, heard, number)
        if isinstance(part, TextPart):
            out: list[dict[str, JSON]] = [{"content": part.text}]
            if part.citations:
                out.append({"annotations": list(part.citations)})
            return out
        if isinstance(part, ReasoningPart):
            return self.reasoning(part)
        if isinstance(part, RefusalPart):
            return [{"refusal": part.text}]
        if isinstance(part, ToolCall):
            return [self._call(part.id, part.name, part.arguments, part.kind, heard, number)]
        if isinstance(part, IncompleteToolCall):
            return [self._call(part.id, part.name, part.arguments, "function", heard, number)]
        if isinstance(part, OpaquePart):
            return [{"content": [load_json(part.data)]}]
        if isinstance(part, AudioPart) and isinstance(part.source, BytesSource):
            data = b64encode(part.source.data).decode()
            audio_id = f"audio_{made_id(heard)[:24]}"
            return [{"audio": {"id": audio_id, "data": data, "transcript": part.transcript}}]
        if isinstance(part, ImagePart) and isinstance(part.source, BytesSource):
            data = b64encode(part.source.data).decode()
            url = f"data:{part.source.media_type};base64,{data}"
            return [{"images": [{"type": "image_url", "image_url": {"url": url}}]}]
        return []

    def reasoning(self, part: ReasoningPart) -> list[dict[str, JSON]]:
        """Visible text in a field of its own; hidden content as an entry of reasoning_details."""
        if part.text:
            return [{"reasoning_content": part.text}]
        if part.data is not None:
            entry = {"type": "reasoning.encrypted", "data": part.data, "index": 0}
            return [{"reasoning_details": [entry]}]
        return []

    def piece(self, d: PartDelta, heard: ServerRequest, number: int) -> list[dict[str, JSON]]:
        text = d.text
        if d.kind == "tool_call":
            if d.start:
                return [self._call(d.id, d.name, text, d.tool_kind, heard, number)]
            function: dict[str, JSON] = {"name": d.name} if d.name else {}
            if text:
                function["input" if d.tool_kind == "custom" else "arguments"] = text
            late: dict[str, JSON] = {"id": d.id} if d.id else {}
            if not function and not late:
                return []
            return [{"tool_calls": [{"index": number, **late, d.tool_kind: function}]}]
        out: list[dict[str, JSON]] = []
        if d.kind == "reasoning":
            if text:
                out.append({"reasoning_content": text})
            elif d.data is not None:
                out += self.reasoning(ReasoningPart("", d.reasoning_kind, data=d.data))
        elif text:
            out.append({"refusal" if d.kind == "refusal" else "content": text})
        if d.citations:
            out.append({"annotations": list(d.citations)})
        return out

    def _call(
        self,
        call_id: str | None,
        name: str,
        arguments: str,
        kind: str,
        heard: ServerRequest,
        number: int,
    ) -> dict[str, JSON]:
        call: dict[str, JSON] = {"index": number, "id": self.call_id(call_id, heard, number)}
        call["type"] = kind
        if kind == "custom":
            call["custom"] = {"name": name, "input": arguments}
        else:
            call["function"] = {"name": name, "arguments": arguments}
        return {"tool_calls": [call]}


def frame(value: JSON) -> bytes:
    return b"data: " + canonical_json(value) + b"\n\n"


def _join(message: dict[str, JSON], delta: dict[str, JSON], calls: list[JSON]) -> None:
    """Adds a delta to a whole message."""
    for key, value in delta.items():
        if key == "tool_calls":
            calls += [{k: v for k, v in call.items() if k != "index"} for call in value]
        elif message.get(key) is None:
            message[key] = value
        elif isinstance(value, str) and isinstance(message[key], str):
            message[key] += value
        elif isinstance(value, dict) or isinstance(message[key], dict):
            message[key] = value
        else:
            message[key] = _blocks(message[key]) + _blocks(value)


def _blocks(content: JSON) -> list[JSON]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


# --- errors ---


def error_words(error: BackendError) -> tuple[int, str, str | None, str]:
    """Status, type, code and message of an error."""
    status, kind, code = next((s, t, c) for cls, s, t, c in _ERRORS if isinstance(error, cls))
    if error.status is not None and error.status >= 400:
        status = error.status
    if error.type is not None or error.code is not None:
        kind, code = error.type or kind, error.code
    return status, kind, code, error.provider_message or error.message


def error_headers(error: BackendError) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return headers


def error_body(error: BackendError) -> dict[str, Any]:
    _, kind, code, message = error_words(error)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
