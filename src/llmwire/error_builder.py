"""From what came over the wire to the right error: statuses, bodies, vendors' words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .errors import (
    AuthenticationError,
    BackendError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PayloadSummary,
    PermissionDeniedError,
    Phase,
    RateLimitError,
    ServerError,
    TransportError,
    stream_twin,
)
from .types import JSON


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
        """The error for an answer with an error status."""
        try:
            parsed = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeError):
            parsed = None
        error = parsed.get("error", parsed) if isinstance(parsed, dict) else {}
        if not isinstance(error, dict):
            error = {"message": str(error)}
        kinds: dict[int, Any] = {401: AuthenticationError, 403: PermissionDeniedError,
                 404: NotFoundError, 409: ConflictError, 429: RateLimitError}  # fmt: skip
        kind = kinds.get(status, ServerError if status >= 500 else InvalidRequestError)
        return kind(  # type: ignore[no-any-return]
            f"{provider}: {error.get('message')}",
            status=status,
            type=error.get("type"),
            code=str(error["code"]) if error.get("code") is not None else None,
            provider_message=error.get("message"),
            provider=provider,
            api=api,
            endpoint=endpoint,
            model=model,
            phase="response",
            payload_summary=payload_summary,
        )

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
        message = error.get("message") if isinstance(error, dict) else str(error)
        twin = stream_twin(ServerError)
        return twin(f"{provider}: {message}", status=status, provider=provider, api=api,
                    model=model, phase="stream", provider_message=message)  # fmt: skip

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
        error = TransportError(
            f"{provider}: {exception or type(exception).__name__}", kind=kind, phase=phase,
            provider=provider, api=api, endpoint=endpoint, model=model,
        )  # fmt: skip
        error.__cause__ = exception
        return error
