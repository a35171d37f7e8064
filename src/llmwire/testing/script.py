"""What the server is to answer, as values: `Reply`, and `Fault` for what goes wrong on the way.

Reply("Hello!")                                          # a text
Reply(tool_calls=[("get_weather", {"city": "Paris"})])   # a call
Reply("18 degrees.", reasoning="Let me see.", signature="c2ln")
Reply(status=429, message="Slow down", headers={"retry-after": "2"})
Reply("Half an answer", fault=Fault("reset", events=3))  # cut after three events
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from msgspec.structs import replace

from ..adapters.base import ReplyWriter, canonical_json, chunk_of
from ..errors import (
    AuthenticationError,
    BackendError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    RequestTooLargeError,
    ServerError,
)
from ..request import LLMRequest
from ..types import (
    FunctionCall,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    Part,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    StopReason,
    TextPart,
    ToolCall,
)
from .counting import estimate_usage

FaultKind = Literal["reset", "close", "end", "error", "stall", "ping"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong while an answer is sent.

    - `reset`: the connection is reset (RST), `Fault("reset", events=2)`.
    - `close`: the connection is closed politely (FIN) in the middle, `Fault("close", bytes=100)`.
    - `end`: the body ends as if it were whole, in the HTTP sense, `Fault("end", events=-1)`: all
      events but the last, which is the wire's terminal marker.
    - `error`: an error event inside the 200, then the end, `Fault("error", events=2)`; `error`
      says which, an overloaded server if None.
    - `stall`: nothing more until the client goes, `Fault("stall", events=1)`.
    - `ping`: nothing more but keep-alives, one every `every` seconds, until the client goes,
      `Fault("ping", events=0, every=0.01)`.

    It happens after so many `events` of the answer (negative: counted from its end; a whole
    answer is one event) or `bytes` of its body, and at its end if there are fewer. With neither
    it happens before the first byte of the answer; for `error` and `ping`, which need a 200,
    that is after the headers, as `events=0`.
    """

    kind: FaultKind
    _: KW_ONLY
    events: int | None = None
    bytes: int | None = None
    error: BackendError | None = None
    every: float = 0.01

    def __post_init__(self) -> None:
        if self.kind not in ("reset", "close", "end", "error", "stall", "ping"):
            raise ValueError(f"there is no fault {self.kind!r}")
        if self.events is not None and self.bytes is not None:
            raise ValueError("a fault happens after events or after bytes, not both")
        if self.bytes is not None and self.bytes < 0:
            raise ValueError("bytes of a fault count from the start")

    @property
    def at_once(self) -> bool:
        """Whether it happens before anything was said."""
        nowhere = self.events is None and self.bytes is None
        return nowhere and self.kind in ("reset", "close", "end", "stall")

    @property
    def event_error(self) -> BackendError:
        return self.error or OverloadedError("Overloaded", provider_message="Overloaded")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server.

    What is said: `text`, `reasoning` (with `signature`), `refusal` and `tool_calls`, in the
    order reasoning, text, refusal, calls; or `parts`, in any order. A call is a `ToolCall` or
    `(name, arguments)`; one without an id gets one that every wire takes. What a wire has no
    words for (a signature in Chat Completions) is not said there.

    Each field below is one thing to be tried; they combine.
    """

    text: str = ""
    """`Reply("Hello!")`"""
    _: KW_ONLY
    reasoning: str = ""
    """`Reply("18 degrees.", reasoning="Let me see.")`"""
    signature: str | None = None
    """Of the reasoning: `Reply("Yes.", reasoning="Hm.", signature="c2ln")`."""
    tool_calls: Sequence[ToolCall | tuple[str, Mapping[str, Any]]] = ()
    """`Reply(tool_calls=[("get_weather", {"city": "Paris"})])`"""
    refusal: str = ""
    """`Reply(refusal="I can't help with that.", stop="refusal")`"""
    parts: Sequence[Part] = ()
    """`Reply(parts=[TextPart("a"), ToolCall(...), TextPart("b")])`; then nothing of the above."""
    usage: LLMUsage | Literal["estimate"] | None = "estimate"
    """`Reply("Hi", usage=LLMUsage(input_total=9, output_total=1))`. None: the server reports
    none. By default counted as `counting` says."""
    stop: StopInfo | StopReason | None = None
    """`Reply("cut o", stop="length")`. None: `tool_calls` if there are any, else `stop`."""
    model: str | None = None
    """The model that says it answered, `Reply("Hi", model="big-2026")`; None: the one asked."""
    response_id: str | None = None
    """`Reply("Hi", response_id="chatcmpl-1")`. None: one made from the request."""

    chunk_size: int = 12
    """How many characters one delta of a stream has: `Reply("abcdef", chunk_size=1)`."""
    pieces: Sequence[str] = ()
    """The deltas of the text, as they are: `Reply(pieces=["Hel", "", "lo"])`."""
    delay: float = 0.0
    """Seconds before the status line: `Reply("Hi", delay=0.5)`."""
    first_delay: float = 0.0
    """Seconds from the headers to the first event: `Reply("Hi", first_delay=0.5)`."""
    between: float = 0.0
    """Seconds between events: `Reply("A slow answer", between=0.05)`."""
    pings: int = 0
    """Keep-alives before the first event, each followed by a wait of `between`:
    `Reply("Hi", pings=3)`. A plain answer has line feeds before its JSON instead."""
    split: int | None = None
    """The body leaves in writes of so many bytes: `Reply("Hi", split=1)`, one at a time."""
    duplicate: bool = False
    """Every event is sent twice: `Reply("Hi", duplicate=True)`."""
    gzip: bool = False
    """The body is compressed, whatever the client takes: `Reply("Hi", gzip=True)`."""
    form: Literal["asked", "whole", "stream"] = "asked"
    """`Reply("Hi", form="whole")` answers a stream request with JSON, `form="stream"` a plain
    one with events."""

    status: int | None = None
    """From 400 on: an error of that status, `Reply(status=401, message="Invalid API key")`."""
    message: str = ""
    """What that error says."""
    type: str | None = None
    """Its type in the wire's words: `Reply(status=429, type="insufficient_quota")`."""
    error: BackendError | None = None
    """The error to answer with: `Reply(error=RateLimitError("Slow down", retry_after=2))`. The
    wire gives it the status and words that its service uses, where it has none of its own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """More headers; they replace ours of the same name: `Reply(status=429,
    headers={"retry-after": "2"})`. With a content-length of its own the connection is closed
    after the answer, whether the number was true or not."""
    content_type: str | None = None
    """Instead of the right one: `Reply("Hi", content_type="text/html")`."""
    body: bytes | None = None
    """This body instead of ours, `Reply(body=b"<h1>Bad gateway</h1>", status=502)`; a
    `content_type` with "event-stream" sends it event by event."""
    raw: bytes | None = None
    """All bytes of the answer, then the end: `Reply(raw=b"HTTP/1.1 200 OK\\r\\n...")`."""
    fault: Fault | None = None
    """What goes wrong on the way: `Reply("Hi there", fault=Fault("reset", events=1))`."""

    def __post_init__(self) -> None:
        said = self.text or self.reasoning or self.tool_calls or self.refusal or self.pieces
        if self.parts and said:
            raise ValueError("give parts, or text, reasoning, refusal and tool_calls; not both")
        if self.pieces and self.text not in ("", "".join(self.pieces)):
            raise ValueError("pieces do not add up to text")
        if self.chunk_size < 1 or (self.split is not None and self.split < 1):
            raise ValueError("chunk_size and split are at least 1")
        if self.error is not None and self.status not in (None, self.error.status):
            raise ValueError("error and status contradict each other")

    @property
    def failure(self) -> BackendError | None:
        """The error that this reply is, if it is one; without a status, the wire gives it one."""
        if self.error is not None:
            return self.error
        if self.status is None or self.status < 400 or self.body is not None:
            return None
        message = self.message or f"scripted status {self.status}"
        kind = _KINDS.get(self.status, ServerError if self.status >= 500 else InvalidRequestError)
        return kind(message, status=self.status, type=self.type, provider_message=message)

    def all_parts(self, request: LLMRequest) -> list[Part]:
        """The parts in order, calls with ids; the same reply to the same request has the same."""
        parts: list[Part] = list(self.parts)
        if not parts:
            if self.reasoning or self.signature is not None:
                parts.append(ReasoningPart(self.reasoning, signature=self.signature))
            text = self.text or "".join(self.pieces)
            if text:
                parts.append(TextPart(text))
            if self.refusal:
                parts.append(RefusalPart(self.refusal))
            parts += (c if isinstance(c, ToolCall) else _call(*c) for c in self.tool_calls)
        for i, part in enumerate(parts):
            if isinstance(part, ToolCall | IncompleteToolCall) and not part.id:
                parts[i] = replace(part, id=_call_id(request, i, part.name + part.arguments))
        return parts

    def whole(self, request: LLMRequest) -> LLMChunk:
        """The reply in one piece."""
        parts = self.all_parts(request)
        return chunk_of(
            parts,
            usage=self._usage(request, parts),
            stop=self._stop(parts),
            response_id=self.response_id,
            model=self.model or request.model.name,
        )

    def chunks(self, request: LLMRequest) -> Iterator[LLMChunk]:
        """The reply as a stream; the sum is `whole`.

        The first chunk has the usage so far, as services know it before they write; the last
        one has all of it, and the stop.
        """
        whole = self.whole(request)
        usage = whole.usage
        if usage is not None:
            written = None if usage.output_total is None else 0
            usage = replace(
                usage, output_total=written, reasoning=None, provenance="partial", raw=None
            )
        yield chunk_of(usage=usage, response_id=whole.response_id, model=whole.model)
        writer = ReplyWriter()
        for part in whole.message.parts:
            yield from (chunk_of([p]) for p in self._deltas(part, writer))
        yield chunk_of(usage=whole.usage, stop=whole.stop)

    def _deltas(self, part: Part, writer: ReplyWriter) -> Iterator[Part]:
        if isinstance(part, TextPart) and not part.citations and part.native is None:
            pieces = self.pieces or self._cut(part.text)
            for piece in pieces:
                yield from writer.text_like("text", piece)
            yield from writer.end_text()
        elif isinstance(part, RefusalPart):
            for piece in self._cut(part.text):
                yield from writer.text_like("refusal", piece)
            yield from writer.end_text()
        elif isinstance(part, ReasoningPart) and part.text and part.kind == "full":
            for piece in self._cut(part.text):
                yield from writer.text_like("reasoning", piece)
            yield from writer.end_text(signature=part.signature)
        elif isinstance(part, ToolCall | IncompleteToolCall):
            cut = part.reason if isinstance(part, IncompleteToolCall) else None
            kind = part.kind if isinstance(part, ToolCall) else "function"
            key = object()
            yield from writer.tool(key, id=part.id, name=part.name, tool_kind=kind)
            for piece in self._cut(part.arguments):
                yield from writer.tool(key, piece)
            yield from writer.end_tool(key, cut)
        else:
            yield from writer.whole(part)

    def _cut(self, text: str) -> list[str]:
        size = self.chunk_size
        return [text[i : i + size] for i in range(0, len(text), size)]

    def _usage(self, request: LLMRequest, parts: list[Part]) -> LLMUsage | None:
        return estimate_usage(request, parts) if self.usage == "estimate" else self.usage

    def _stop(self, parts: list[Part]) -> StopInfo:
        if isinstance(self.stop, StopInfo):
            return self.stop
        if self.stop is not None:
            return StopInfo(self.stop)
        return StopInfo("tool_calls" if any(isinstance(p, ToolCall) for p in parts) else "stop")


_KINDS: dict[int, type[BackendError]] = {
    401: AuthenticationError,
    402: QuotaError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: RequestTooLargeError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}


def _call(name: str, arguments: Mapping[str, Any]) -> ToolCall:
    return ToolCall(None, FunctionCall(name, canonical_json(dict(arguments)).decode()))


def _call_id(request: LLMRequest, position: int, text: str) -> str:
    """Nine letters and digits: what the strictest wire (Mistral) takes, and all others."""
    seed = f"{len(request.messages)}.{position}.{text}"
    return hashlib.sha256(seed.encode("utf-8", "replace")).hexdigest()[:9]
