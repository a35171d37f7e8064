"""The server's half of the Messages API: hears requests, says replies. Wire reference 3, 10."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...errors import (
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
    TimeoutError_,
)
from ...types import JSON, LLMChunk, load_json
from ..base import Headers, ServerRequest, canonical_json
from . import checks, hear, say
from .blocks import API
from .models import traits_of

_ERRORS: tuple[tuple[type[BackendError], int, str], ...] = (
    (AuthenticationError, 401, "authentication_error"),
    (PermissionDeniedError, 403, "permission_error"),
    (NotFoundError, 404, "not_found_error"),
    (ConflictError, 409, "conflict_error"),
    (RequestTooLargeError, 413, "request_too_large"),
    (QuotaError, 402, "billing_error"),
    (RateLimitError, 429, "rate_limit_error"),
    (OverloadedError, 529, "overloaded_error"),
    (InvalidRequestError, 400, "invalid_request_error"),
    (TimeoutError_, 504, "timeout_error"),
)
"""Status and type of each class; everything else is 500 api_error (wire reference 3.7)."""

_TYPES: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicServer:
    """Hears and answers as api.anthropic.com does; refuses what that refuses."""

    api = API

    def matches(self, method: str, path: str) -> bool:
        path = path.split("?")[0].rstrip("/")
        return method == "POST" and path.endswith(("/v1/messages", "/v1/messages/count_tokens"))

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError`, `HistoryRejectedError` or `AuthenticationError`."""
        given = Headers(headers)
        version = given.get("anthropic-version", "")
        if not version:
            raise hear.refusal("anthropic-version: header is required")
        if "x-api-key" in given and "authorization" in given:
            raise AuthenticationError(
                "send x-api-key or authorization, not both",
                status=401,
                type="authentication_error",
                api=API,
                phase="response",
            )
        count = path.split("?")[0].rstrip("/").endswith("/count_tokens")
        return self._parsed(body, hear.read_body(body), version, given, count)

    def _parsed(
        self, raw: bytes, body: hear.Body, version: str, headers: Headers, count: bool
    ) -> ServerRequest:
        traits = traits_of(body.model)
        checks.check_settings(body, traits, version, headers, count)
        checks.check_forced(body, traits)
        plain = load_json(raw)
        checks.check_breakpoints(plain)
        heard: hear.Heard = []
        for i, message in enumerate(body.messages):
            entries = hear.content_of(message.content, f"messages.{i}")
            if heard and heard[-1][0] == message.role != "system":
                heard[-1][1].extend(entries)  # the API joins neighbours of one role
            else:
                heard.append((message.role, entries))
        checks.check_messages(body, heard, traits, version)
        request = hear.request_of(body, heard, traits)
        return ServerRequest(request, count=count, body=plain)

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        """Raises `UnsupportedError` for parts that no reply of this API can hold."""
        return say.whole_body(reply, heard)

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        return say.stream_body(chunks, heard)

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        return canonical_json({"input_tokens": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        status, body = _error_body(error)
        headers = {"content-type": "application/json"}
        if error.request_id:
            headers["request-id"] = error.request_id
        if error.retry_after is not None:
            headers["retry-after"] = f"{error.retry_after:g}"
        return status, headers, canonical_json(body)

    def prepare_stream_error(self, error: BackendError) -> bytes:
        _, body = _error_body(error)
        return b"event: error\ndata: " + canonical_json(body) + b"\n\n"


def _error_body(error: BackendError) -> tuple[int, dict[str, JSON]]:
    status, kind = 500, "api_error"
    for cls, its_status, its_kind in _ERRORS:
        if isinstance(error, cls):
            status, kind = its_status, its_kind
            break
    if error.status is not None and 400 <= error.status < 600:
        status = error.status
        kind = _TYPES.get(status, kind)
    if error.type is not None and error.type in _TYPES.values():
        kind = error.type
    body: dict[str, JSON] = {
        "type": "error",
        "error": {"type": kind, "message": error.provider_message or error.message},
    }
    if error.request_id:
        body["request_id"] = error.request_id
    return status, body
