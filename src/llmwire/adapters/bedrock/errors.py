"""Errors as AWS says them: the server's mouth. Wire reference 6.5."""

from __future__ import annotations

from ...errors import (
    AuthenticationError,
    BackendError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    TimeoutError_,
)
from ...eventstream import event_frame
from ..base import canonical_json

_ERRORS: tuple[tuple[type[BackendError], int, str], ...] = (
    (AuthenticationError, 403, "UnrecognizedClientException"),
    (PermissionDeniedError, 403, "AccessDeniedException"),
    (NotFoundError, 404, "ResourceNotFoundException"),
    (QuotaError, 400, "ServiceQuotaExceededException"),
    (RateLimitError, 429, "ThrottlingException"),
    (OverloadedError, 503, "ServiceUnavailableException"),
    (InvalidRequestError, 400, "ValidationException"),
    (TimeoutError_, 408, "ModelTimeoutException"),
)
"""Status and type of each class; everything else is 500 InternalServerException."""

_TYPES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
_IN_STREAMS = {
    "ModelErrorException": "modelStreamErrorException",
    "ThrottlingException": "throttlingException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ValidationException": "validationException",
    "InternalServerException": "internalServerException",
}


def prepare_error(error: BackendError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error answer."""
    status, kind = _kind_of(error)
    headers = {"content-type": "application/json", "x-amzn-errortype": kind}
    if error.request_id:
        headers["x-amzn-requestid"] = error.request_id
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return status, headers, canonical_json({"message": error.provider_message or error.message})


def prepare_stream_error(error: BackendError) -> bytes:
    """The exception frame that reports an error inside a 200."""
    _, kind = _kind_of(error)
    name = _IN_STREAMS.get(kind, f"{kind[:1].lower()}{kind[1:]}")
    said = canonical_json({"message": error.provider_message or error.message})
    return event_frame(name, said, "exception")


def _kind_of(error: BackendError) -> tuple[int, str]:
    status, kind = 500, "InternalServerException"
    for cls, its_status, its_kind in _ERRORS:
        if isinstance(error, cls):
            status, kind = its_status, its_kind
            break
    # AWS knows no 401: a key that is not accepted is a 403 as well.
    if error.status is not None and 400 <= error.status < 600 and error.status != 401:
        status = error.status
        kind = _TYPES.get(status, kind) if kind == "InternalServerException" else kind
    if error.type is not None and error.type.endswith("Exception"):
        kind = error.type
    return status, kind
