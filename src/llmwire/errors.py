"""The error tree. Nothing else (but `asyncio.CancelledError`) leaves the public API.

    BackendError
     |- UnsupportedError            can't be said on that wire; before any I/O; names the path
     |- ConfigError                 unknown style, missing project or key variable, bad address
     |- AuthenticationError         the key is not accepted            401
     |- PermissionDeniedError       the key may not do this            403
     |- TransportError              no whole answer: dns, connect, tls, proxy, read, write
     |   \\- TimeoutError_           which clock ran out, and what had come by then
     |- StatusError                 they answered with an error
     |   |- RateLimitError          429, wait and try again
     |   |- QuotaError              402 or 429: money or plan; waiting does not help
     |   |- OverloadedError         503, 529
     |   |- ServerError             5xx
     |   |- ConflictError           409
     |   |- NotFoundError           404
     |   |   \\- ModelNotFoundError
     |   \\- InvalidRequestError     400, 413, 422: ours to fix
     |       |- ContextTooLongError     limit, requested
     |       |- RequestTooLargeError    bytes, or tokens at once: limit, requested
     |       |- ContentFilterError
     |       \\- HistoryRejectedError    signatures, pairing of calls and results, reasoning replay
     |- StreamError                 an error inside a 200. Each class above that a server can send
     |   |                          has a twin here: StreamRateLimitError is a StreamError and a
     |   |                          RateLimitError
     |   \\- IncompleteStreamError   the bytes ended before the reply did
     |- DecodeError                 their bytes are not this format
     \\- OutputError                 a whole reply, but not what `output=` asked for
         \\- ArgumentsError          a whole tool call, but not what its function takes

Classes answer `except`; the attributes `retryable`, `is_context_too_long`, `retry_after` answer
questions. `partial` holds what had been received of the reply.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from .types import Adaptation, LLMChunk, Retry

Phase = Literal["prepare", "connect", "send", "headers", "response", "stream"]

_TEXT_LIMIT = 4000  # characters of one error's text; provider prose can be a whole HTML page
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class PayloadSummary(Struct, frozen=True, omit_defaults=True):
    """What was asked, without its content: for reports."""

    model: str
    message_count: int
    approx_chars: int
    temperature: float | None = None
    has_tools: bool = False
    tool_choice: str | None = None


class BackendError(Exception):
    """Anything that went wrong with a call. See the tree at the top of this module.

    Attributes: `message` (what happened, in one or a few sentences); `provider`, `api`,
    `endpoint`, `model` (where); `status` (HTTP, None if there was none); `code` and `type` (the
    provider's words); `provider_message` (its sentence, None if it gave none); `request_id`;
    `retry_after` (seconds, None unknown); `retryable` (whether the same request may succeed
    later); `phase`; `partial` (an `LLMChunk` with what had come, or None); `headers` (lower-case
    names); `body_excerpt`; `payload_summary`; `adaptations` made to the request; `retries`, the
    attempts before the one that raised it.
    """

    default_retryable: ClassVar[bool] = False
    _details: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        api: str = "",
        endpoint: str = "",
        model: str = "",
        status: int | None = None,
        code: str | None = None,
        type: str | None = None,
        provider_message: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        phase: Phase | None = None,
        partial: LLMChunk | None = None,
        headers: dict[str, str] | None = None,
        body_excerpt: str = "",
        payload_summary: PayloadSummary | None = None,
        adaptations: tuple[Adaptation, ...] = (),
        **details: Any,
    ) -> None:
        self.message = clean_text(message)
        super().__init__(self.message)
        self.provider = provider
        self.api = api
        self.endpoint = endpoint
        self.model = model
        self.status = status
        self.code = code
        self.type = type
        self.provider_message = provider_message
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable = self.default_retryable if retryable is None else retryable
        self.phase = phase
        self.partial = partial
        self.headers = headers or {}
        self.body_excerpt = clean_text(body_excerpt)
        self.payload_summary = payload_summary
        self.adaptations = adaptations
        self.retries: tuple[Retry, ...] = ()
        for name, value in details.items():
            if name not in self.detail_names():
                raise TypeError(f"{self.__class__.__name__} has no attribute {name!r}")
            setattr(self, name, value)

    @classmethod
    def detail_names(cls) -> frozenset[str]:
        """The attributes that only some classes have; see their docstrings."""
        return frozenset(n for c in cls.__mro__ for n in vars(c).get("_details", ()))

    @property
    def is_context_too_long(self) -> bool:
        return isinstance(self, ContextTooLongError)

    def __str__(self) -> str:
        where = [f"{self.provider}/{self.model}" if self.model else self.provider]
        if self.status is not None:
            where.append(f"HTTP {self.status}")
        if self.request_id:
            where.append(f"request {self.request_id}")
        suffix = f" [{', '.join(w for w in where if w)}]" if any(where) else ""
        return clean_text(self.message + suffix)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.__class__, self.message), self.__dict__


def _rebuild(cls: type[BackendError], message: str) -> BackendError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    return error


def clean_text(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Text fit for a terminal and a log: bounded, no control characters, no lone surrogates."""
    if len(text) > limit:
        text = text[:limit] + "…"
    text = text.replace("\r\n", "\n")
    text = _CONTROL.sub("\ufffd", text)
    return text.encode("utf-8", "replace").decode("utf-8")


class UnsupportedError(BackendError):
    """The request can't be said on that wire. Ours to change: `path` says where."""

    _details: ClassVar[tuple[str, ...]] = ("path",)
    path: str = ""


class ConfigError(BackendError):
    """The configuration can't work: the text names the setting or the variable."""


class AuthenticationError(BackendError):
    """The key is not accepted."""


class PermissionDeniedError(BackendError):
    """The key is accepted, but not for this."""


class TransportError(BackendError):
    """No whole answer came. `kind` says where it broke."""

    default_retryable = True
    _details: ClassVar[tuple[str, ...]] = ("kind",)
    kind: Literal["dns", "connect", "tls", "proxy", "read", "write", "limit", "closed"] = "read"


class TimeoutError_(TransportError):  # noqa: N801 - not the builtin
    """A clock ran out: `clock` names the setting, `seconds` its value.

    `bytes_received` and `keepalives` are what had come in the meantime.
    """

    _details: ClassVar[tuple[str, ...]] = ("clock", "seconds", "bytes_received", "keepalives")
    clock: Literal["connect", "headers", "first_content", "idle", "total"] = "total"
    seconds: float | None = None
    bytes_received: int = 0
    keepalives: int = 0


class StatusError(BackendError):
    """They answered with an error."""


class RateLimitError(StatusError):
    """Too fast. `retry_after` says when to come back, if they said."""

    default_retryable = True


class QuotaError(StatusError):
    """Money or plan is used up. Waiting does not help; never retried."""


class OverloadedError(StatusError):
    """They are busy."""

    default_retryable = True


class ServerError(StatusError):
    """It broke on their side."""

    default_retryable = True


class ConflictError(StatusError):
    """Another request holds what this one needs."""

    default_retryable = True


class NotFoundError(StatusError):
    """No such address or thing."""


class ModelNotFoundError(NotFoundError):
    """No such model, or not for this key."""


class InvalidRequestError(StatusError):
    """They refuse the request as it is."""


class ContextTooLongError(InvalidRequestError):
    """The prompt does not fit. `limit` and `requested` are in tokens, None if not said."""

    _details: ClassVar[tuple[str, ...]] = ("limit", "requested")
    limit: int | None = None
    requested: int | None = None


class RequestTooLargeError(InvalidRequestError):
    """The request has too many bytes, or more tokens than the plan ever lets through at once.

    `limit` and `requested` are tokens per minute where that is the reason.
    """

    _details: ClassVar[tuple[str, ...]] = ("limit", "requested")
    limit: int | None = None
    requested: int | None = None


class ContentFilterError(InvalidRequestError):
    """A filter refused the prompt or the reply."""


class HistoryRejectedError(InvalidRequestError):
    """They refuse the conversation so far: a signature, a missing result, missing reasoning."""


class StreamError(BackendError):
    """It went wrong inside a 200. Twins like `StreamRateLimitError` say what it was."""


class IncompleteStreamError(StreamError):
    """The bytes ended before the reply did. What had come is in `partial`."""

    default_retryable = True


class DecodeError(BackendError):
    """Their bytes are not the format that was agreed on. `path` or `offset` says where."""

    _details: ClassVar[tuple[str, ...]] = ("path", "offset")
    path: str = ""
    offset: int | None = None


class OutputError(BackendError):
    """The reply came whole, and is not what `output=` asked for.

    `reason`: `mismatch` (what stands at `path` does not fit), `invalid_json`, `empty`, or the word
    for why the reply stopped too early: `length`, `refusal`, `content_filter` and others of
    `StopInfo`. `text` is the raw text; `partial` is the whole reply.
    """

    _details: ClassVar[tuple[str, ...]] = ("path", "text", "reason")
    path: str = ""
    text: str = ""
    reason: str = "mismatch"


class ArgumentsError(OutputError):
    """A tool call's arguments are not what its function takes.

    `path` and `text` are those of the arguments. The message is fit to be sent to the model as
    the call's result.
    """


class StreamAuthenticationError(StreamError, AuthenticationError):
    pass


class StreamPermissionDeniedError(StreamError, PermissionDeniedError):
    pass


class StreamStatusError(StreamError, StatusError):
    pass


class StreamRateLimitError(StreamError, RateLimitError):
    pass


class StreamQuotaError(StreamError, QuotaError):
    pass


class StreamOverloadedError(StreamError, OverloadedError):
    pass


class StreamServerError(StreamError, ServerError):
    pass


class StreamConflictError(StreamError, ConflictError):
    pass


class StreamNotFoundError(StreamError, NotFoundError):
    pass


class StreamModelNotFoundError(StreamError, ModelNotFoundError):
    pass


class StreamInvalidRequestError(StreamError, InvalidRequestError):
    pass


class StreamContextTooLongError(StreamError, ContextTooLongError):
    pass


class StreamRequestTooLargeError(StreamError, RequestTooLargeError):
    pass


class StreamContentFilterError(StreamError, ContentFilterError):
    pass


class StreamHistoryRejectedError(StreamError, HistoryRejectedError):
    pass


def stream_twin(cls: type[BackendError]) -> type[BackendError]:
    """The class for the same error inside a 200."""
    if issubclass(cls, StreamError):
        return cls
    for twin in StreamError.__subclasses__():
        if twin.__bases__ == (StreamError, cls):
            return twin
    return StreamError
