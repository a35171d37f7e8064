"""From what came over the wire to the right error: statuses, bodies, vendors' words.

Three steps: `error_body` reads any body into a `Report`, `classify` picks the class by status and
the wordings of `error_tables`, and the builder writes the text. Wire reference 9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .error_body import (
    Report,
    excerpt,
    mask_secrets,
    parse_retry_after,
    read_body,
    read_value,
    safe_headers,
)
from .error_tables import (
    KINDS,
    NOT_CONTEXT,
    NOT_QUOTA,
    TOKENS_PER_MINUTE,
    WORD_STATUS,
    WORDINGS,
    Kind,
)
from .errors import (
    AuthenticationError,
    BackendError,
    ConflictError,
    ContentFilterError,
    ContextTooLongError,
    HistoryRejectedError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    OverloadedError,
    PayloadSummary,
    PermissionDeniedError,
    Phase,
    QuotaError,
    RateLimitError,
    RequestTooLargeError,
    ServerError,
    StatusError,
    TransportError,
    clean_text,
    stream_twin,
)
from .types import JSON

__all__ = ["BackendErrorBuilder", "classify", "parse_retry_after"]

_WORDS_SHOWN = 1500  # characters of the provider's words in the error's own text

_KIND_CLASS: dict[Kind, type[BackendError]] = {
    "too_large": RequestTooLargeError,
    "quota": QuotaError,
    "auth": AuthenticationError,
    "filter": ContentFilterError,
    "context": ContextTooLongError,
    "history": HistoryRejectedError,
    "model": ModelNotFoundError,
    "overloaded": OverloadedError,
    "maybe_quota": QuotaError,
    "rate": RateLimitError,
}
_STATUS_CLASS: dict[int, type[BackendError]] = {
    401: AuthenticationError,
    402: QuotaError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ServerError,  # their clock ran out (Bedrock's ModelTimeoutException too)
    409: ConflictError,
    410: NotFoundError,
    413: RequestTooLargeError,
    421: ContentFilterError,  # Xiaomi MiMo: moderation
    424: ServerError,  # Bedrock: the model failed
    425: ServerError,
    429: RateLimitError,
    451: PermissionDeniedError,
    498: OverloadedError,  # Groq: no flex capacity
    499: StatusError,  # cancelled: Google, or a proxy that thinks we left
    503: OverloadedError,
    529: OverloadedError,
}
_NOT_RETRIED = frozenset((501, 505))  # not implemented; asking again does not help

_WHAT: dict[type[BackendError], tuple[str, str]] = {
    AuthenticationError: (
        "the key was not accepted",
        "Check the key, and that it belongs to this address",
    ),
    PermissionDeniedError: (
        "the key may not do this",
        "Ask the provider for access, or use another key, model or region",
    ),
    RateLimitError: ("too many requests", "Send fewer requests, or ask for a higher limit"),
    QuotaError: (
        "the account's money or plan is used up",
        "Waiting does not help: add credit or raise the limit",
    ),
    OverloadedError: ("the provider is overloaded", "Try again later, or use another model"),
    ServerError: ("it broke on the provider's side", "Try again"),
    ConflictError: ("another request holds what this one needs", "Try again"),
    ModelNotFoundError: (
        "no such model, or not for this key",
        "Check the model's name and the key's access to it",
    ),
    NotFoundError: ("there is nothing at this address", "Check api_base and the model's name"),
    ContextTooLongError: (
        "the prompt does not fit into the model's context",
        "Shorten the conversation, or use a model with a larger context",
    ),
    RequestTooLargeError: (
        "the request is larger than the provider takes at once",
        "Send less: fewer or smaller messages and files",
    ),
    ContentFilterError: (
        "a content filter refused the prompt or the reply",
        "Change what is asked; the same request will be refused again",
    ),
    HistoryRejectedError: (
        "the provider refuses the conversation so far",
        "Start a new conversation, or drop the reasoning or tool calls it names",
    ),
    InvalidRequestError: (
        "the provider refuses the request as it is",
        "Change what it names; the same request will be refused again",
    ),
    StatusError: ("the provider answered with an error", ""),
}
_TRANSPORT: dict[str, tuple[str, str, bool]] = {
    "dns": ("the server's name was not found", "Check api_base and the network", True),
    "connect": ("no connection to the server", "Check api_base, and that the server runs", True),
    "tls": (
        "no secure connection to the server",
        "Check the clock, and whether a private CA must be trusted",
        True,
    ),
    "proxy": ("the proxy did not connect us", "Check the proxy settings", True),
    "read": ("the connection broke before the whole answer came", "Try again", True),
    "write": ("the connection broke while the request was sent", "Try again", True),
    "limit": ("the answer is larger than the limit", "Raise the limit if this is meant", False),
    "closed": ("the connection was closed on our side", "", False),
}


class Verdict(NamedTuple):
    """What an error is, and the numbers in it."""

    kind: type[BackendError]
    limit: int | None = None
    requested: int | None = None


def classify(report: Report, status: int | None) -> Verdict:
    """The class for a report.

    `status` is the HTTP status of an error answer; None for an error inside a 200, whose words
    must do.
    """
    words = report.words
    named = {*report.statuses} if status is None else {status, *report.statuses}
    tokens = _find(TOKENS_PER_MINUTE, words)
    if tokens is not None and (not named or named & KINDS["too_large"]):
        requested, limit = _number(tokens["requested"]), _number(tokens["limit"])
        if requested is not None and limit is not None and requested > limit:
            return Verdict(RequestTooLargeError, limit, requested)
    if status != 401:
        for kind, statuses in KINDS.items():
            if named and not named & statuses:
                continue
            verdict = _match(kind, report, words)
            if verdict is not None:
                return verdict
    if status is None:
        status = report.statuses[0] if report.statuses else _status_by_words(report)
    return Verdict(_class_of_status(status))


def _match(kind: Kind, report: Report, words: str) -> Verdict | None:
    if kind == "maybe_quota" and (_find(NOT_QUOTA, words) or report.day_quota is False):
        return None
    if kind == "quota" and report.day_quota:
        return Verdict(QuotaError)
    guarded = kind == "context" and _find(NOT_CONTEXT, words) is not None
    by_code = None
    for row in WORDINGS:
        if row.kind != kind:
            continue
        if by_code is None and any(c.lower() in report.codes for c in row.codes):
            by_code = Verdict(_KIND_CLASS[kind])
        if row.pattern and not guarded and (m := _find(row.pattern, words)):
            groups = m.groupdict()
            requested, extra = _number(groups.get("requested")), _number(groups.get("extra"))
            if requested is not None and extra is not None:
                requested += extra
            return Verdict(_KIND_CLASS[kind], _number(groups.get("limit")), requested)
    return by_code


def _find(pattern: str, text: str) -> re.Match[str] | None:
    return _compiled(pattern).search(text)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


def _number(text: str | None) -> int | None:
    digits = (text or "").replace(",", "")
    return int(digits) if 0 < len(digits) <= 18 else None


def _status_by_words(report: Report) -> int:
    codes = "\n".join(report.codes)
    return next((status for pattern, status in WORD_STATUS if _find(pattern, codes)), 500)


def _class_of_status(status: int) -> type[BackendError]:
    known = _STATUS_CLASS.get(status)
    if known is not None:
        return known
    if 400 <= status < 500:
        return InvalidRequestError
    return ServerError if 500 <= status < 600 else StatusError


class BackendErrorBuilder:
    """Builds errors; never fails on odd bodies."""

    @classmethod
    def build_http_error(
        cls,
        *,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        provider: str = "",
        api: str = "",
        endpoint: str = "",
        model: str = "",
        payload_summary: PayloadSummary | None = None,
    ) -> BackendError:
        """The error for an answer with an error status.

        A status below 300 gives the `StreamError` twin: an error inside a 200. Any integer is a
        status.
        """
        lowered = {str(k).lower(): str(v) for k, v in headers.items()}
        report, value = read_body(body, lowered)
        inside = status < 300
        verdict = _redirect(status) or classify(report, None if inside else status)
        return _build(
            report, verdict, status, lowered, value, inside=inside, provider=provider, api=api,
            endpoint=endpoint, model=model, phase="response", payload_summary=payload_summary,
            body_excerpt=excerpt(body),
        )  # fmt: skip

    @classmethod
    def build_stream_error(
        cls,
        *,
        error: JSON,
        status: int = 200,
        provider: str = "",
        api: str = "",
        endpoint: str = "",
        model: str = "",
    ) -> BackendError:
        """The error for an error object inside a 200: a `StreamError` and its HTTP twin's class.

        `error` is the decoded event or its `error` member: an object, a string or a list.
        """
        report = read_value(error)
        return _build(
            report, classify(report, None), status, {}, error, inside=True, provider=provider,
            api=api, endpoint=endpoint, model=model, phase="stream",
        )  # fmt: skip

    @classmethod
    def build_request_error(
        cls,
        exception: BaseException,
        *,
        kind: str,
        phase: Phase,
        provider: str = "",
        api: str = "",
        endpoint: str = "",
        model: str = "",
    ) -> TransportError:
        """The error for a request that got no whole answer; `exception` becomes its cause."""
        what, todo, retryable = _TRANSPORT.get(kind, ("no whole answer came", "Try again", True))
        # HTTP libraries quote the header that they could not write.
        said = re.sub(r"(?i)\b(bearer|basic) .*", r"\1 ***", mask_secrets(_said(exception)))
        if kind == "tls" and "CERTIFICATE_VERIFY_FAILED" in said:
            retryable = False
        if kind == "proxy" and re.search(r"\b407\b", said):
            todo, retryable = "The proxy wants credentials", False
        error = TransportError(
            _sentence(provider, what, said, todo),
            kind=kind,
            phase=phase,
            provider=provider,
            api=api,
            endpoint=mask_secrets(endpoint),
            model=model,
            retryable=retryable,
        )
        error.__cause__ = exception
        return error


def _build(
    report: Report,
    verdict: Verdict,
    status: int,
    headers: dict[str, str],
    value: JSON,
    *,
    inside: bool,
    provider: str,
    endpoint: str,
    **where: Any,
) -> BackendError:
    kind = verdict.kind
    message = _own_words(report.message)
    retry_after = parse_retry_after(headers, value, report.words)
    retryable = kind.default_retryable and status not in _NOT_RETRIED
    asked = headers.get("x-should-retry", "").strip().lower()
    if asked in ("true", "false") and kind is not QuotaError:
        retryable = asked == "true"
    if {"limit", "requested"} <= kind.detail_names():
        where |= {"limit": verdict.limit, "requested": verdict.requested}
    return (stream_twin(kind) if inside else kind)(
        _text(report, message, kind, status, headers, provider, retry_after),
        provider=provider,
        endpoint=mask_secrets(endpoint),
        status=status,
        code=_own_words(report.code),
        type=_own_words(report.type),
        provider_message=message,
        request_id=_own_words(report.request_id),
        retry_after=retry_after,
        retryable=retryable,
        headers=safe_headers(headers),
        **where,
    )


def _own_words(text: str | None) -> str | None:
    return mask_secrets(clean_text(text)) if text is not None else None


def _redirect(status: int) -> Verdict | None:
    """No redirect is followed: a key goes to one origin only."""
    return Verdict(StatusError) if 300 <= status < 400 else None


def _text(
    report: Report,
    message: str | None,
    kind: type[BackendError],
    status: int,
    headers: dict[str, str],
    provider: str,
    retry_after: float | None,
) -> str:
    what, todo = _WHAT[kind]
    words = message or ""
    if report.upstream:
        upstream = _own_words(report.upstream) or ""
        words = f"{words}: {upstream}" if words else upstream
    if not words:
        words = ", ".join(w for w in (_own_words(report.type), _own_words(report.code)) if w)
    if report.html:
        words = f"a web page instead of an answer, titled {words!r}" if words else "a web page"
    elif not words:
        words = "they gave no reason"
    if 300 <= status < 400:
        what = "the address redirects elsewhere, which is not followed"
        target = headers.get("location", "").split("?")[0]
        todo = f"Set api_base to where the service is{f': {target}' if target else ''}"
    if status == 405:
        todo = "Check api_base: what is there takes no such request"
    if kind is RateLimitError and retry_after is not None:
        todo = f"Try again in {retry_after:g} s"
    if phrase := _phrase(status):
        what = f"{what} ({phrase})"
    return _sentence(provider, what, words, todo)


def _sentence(provider: str, what: str, words: str, todo: str) -> str:
    words = " ".join(words.split())
    if len(words) > _WORDS_SHOWN:
        words = words[:_WORDS_SHOWN] + "…"
    head = f"{provider}: {what}" if provider else what[:1].upper() + what[1:]
    text = f"{head}: {words}" if words else head
    if not text.endswith((".", "!", "?", "…")):
        text += "."
    if todo:
        text += f" {todo}" + ("" if todo.endswith((".", "!")) else ".")
    return mask_secrets(text)


def _phrase(status: int) -> str:
    if status < 300:
        return ""
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _said(exception: BaseException) -> str:
    try:
        text = str(exception).strip()
    except Exception:
        text = ""
    name = type(exception).__name__
    return clean_text(f"{name}: {text}" if text else name)
