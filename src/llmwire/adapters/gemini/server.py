"""The server's half of generateContent: hears requests, says replies. Wire reference 5, 10."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote

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
    TimeoutError_,
)
from ...types import JSON, LLMChunk
from ..base import ServerRequest, canonical_json
from . import hear, say
from .models import API

if TYPE_CHECKING:
    from ..base import ServerHalf

_VERB = r"([^:]+):(generateContent|streamGenerateContent|countTokens)/?"
_ERRORS: tuple[tuple[type[BackendError], int], ...] = (
    (AuthenticationError, 401),
    (PermissionDeniedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (QuotaError, 429),
    (RateLimitError, 429),
    (OverloadedError, 503),
    (InvalidRequestError, 400),
    (TimeoutError_, 504),
)
_STATUS: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_TYPES = "type.googleapis.com/google.rpc."


class GeminiServer:
    """Hears and answers as generativelanguage.googleapis.com does; refuses what that refuses."""

    api: str = API
    _path: ClassVar[re.Pattern[str]] = re.compile(rf"(?:^|/)(models|tunedModels)/{_VERB}")
    _plain: ClassVar[str] = "models"
    """What a model's own name says of it, and so is left out."""

    def matches(self, method: str, path: str) -> bool:
        path = path.partition("?")[0]
        match = self._path.search(path)
        vertex = "/publishers/" in path
        return method == "POST" and match is not None and match.end() == len(path) and not vertex

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError` or `HistoryRejectedError` for what the service refuses."""
        place, _, query = path.partition("?")
        match = self._path.search(place)
        if match is None:
            raise NotFoundError(f"{place} is no model's address", status=404, api=self.api)
        kind, model, verb = match[1], unquote(match[2]), match[3]
        model = model if kind == self._plain else f"{kind}/{model}"
        heard = hear.read_body(body)
        count = verb == "countTokens"
        if count and isinstance(inner := heard.get("generateContentRequest"), dict):
            heard = inner
        stream = verb == "streamGenerateContent"
        events = parse_qs(query).get("alt") == ["sse"]
        return ServerRequest(
            hear.request_of(heard, model, stream),
            count=count,
            body=heard,
            framing="events" if events or not stream else "array",
        )

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        """Raises `UnsupportedError` for parts that no reply of this API can hold."""
        return canonical_json(say.whole_answer(reply, heard))

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        if heard.framing == "events":
            for event in say.events_of(chunks, heard):
                yield _frame(event)
            return
        before = b"["
        for event in say.events_of(chunks, heard):
            yield before + canonical_json(event)
            before = b"\n,\r\n"
        yield b"\n]"

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        return canonical_json({"totalTokens": tokens, "promptTokensDetails": details})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        body = _error_body(error)
        headers = {"content-type": "application/json; charset=UTF-8"}
        return body["error"]["code"], headers, canonical_json(body)

    def prepare_stream_error(self, error: BackendError) -> bytes:
        return _frame(_error_body(error))


class VertexGeminiServer(GeminiServer):
    """Hears and answers as Vertex AI does."""

    _path: ClassVar[re.Pattern[str]] = re.compile(rf"(?:^|/)publishers/([^/]+)/models/{_VERB}")
    _plain: ClassVar[str] = "google"

    def matches(self, method: str, path: str) -> bool:
        path = path.partition("?")[0]
        match = self._path.search(path)
        return method == "POST" and match is not None and match.end() == len(path)


def _frame(value: JSON) -> bytes:
    return b"data: " + canonical_json(value) + b"\n\n"


def _error_body(error: BackendError) -> dict[str, Any]:
    status = next((s for kind, s in _ERRORS if isinstance(error, kind)), 500)
    if error.status is not None and 400 <= error.status < 600:
        status = error.status
    word = error.type if error.type in _STATUS.values() else _STATUS.get(status, "UNKNOWN")
    said: dict[str, JSON] = {
        "code": status,
        "message": error.provider_message or error.message,
        "status": word,
    }
    details: list[JSON] = []
    if isinstance(error, QuotaError):
        quota = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}
        details.append({"@type": f"{_TYPES}QuotaFailure", "violations": [quota]})
    if error.retry_after is not None:
        delay = f"{error.retry_after:g}s"
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": delay})
    if details:
        said["details"] = details
    return {"error": said}


if TYPE_CHECKING:
    _server: ServerHalf = GeminiServer()
