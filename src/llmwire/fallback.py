"""Several models, tried in order: the next one answers when one fails before its reply begins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, Unpack

from msgspec.structs import replace

from .backend import CallOptions, Messages
from .connection import Connection
from .errors import (
    AuthenticationError,
    BackendError,
    ConfigError,
    ContextTooLongError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    RateLimitError,
    ServerError,
    StreamError,
    TransportError,
)
from .stream import ReplyStream
from .types import Adaptation, LLMChunk

ELSEWHERE = (
    TransportError,
    RateLimitError,
    QuotaError,
    ServerError,
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    ContextTooLongError,
    DecodeError,
    StreamError,
)
"""What another model or provider may do better. Not among them: requests that are wrong, settings
that are missing, and refusals for their content, which nobody should get around by accident."""


def goes_on(error: BackendError) -> bool:
    """Whether another model is worth trying after this error."""
    if isinstance(error, InvalidRequestError) and not isinstance(error, ContextTooLongError):
        return False
    return error.retryable or isinstance(error, ELSEWHERE)


class Fallback:
    """Models in the order of preference, each with its own retries.

    A reply from another than the first says so: an adaptation of `model` for each that failed, with
    what it said. Once content came, nothing is tried again anywhere. When all fail, the last
    error is raised, with the earlier ones in its notes. Raises `ConfigError` without any model.
    """

    def __init__(self, *connections: Connection) -> None:
        if not connections:
            raise ConfigError("a fallback needs at least one connection")
        self.connections = connections

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close()

    async def complete(self, messages: Messages, **options: Unpack[CallOptions]) -> LLMChunk:
        """As `Connection.complete`, from the first model that answers."""
        tried = _Tried(self.connections)
        while True:
            try:
                reply = await tried.connection.complete(messages, **options)
            except BackendError as e:
                tried.failed(e)
            else:
                return tried.recorded(reply)

    def complete_streaming(
        self, messages: Messages, **options: Unpack[CallOptions]
    ) -> FallbackStream:
        """As `Connection.complete_streaming`, from the first model that begins to answer."""
        return FallbackStream(_Tried(self.connections), messages, options)


class _Tried:
    """The model whose turn it is, and what became of those before it."""

    def __init__(self, connections: tuple[Connection, ...]) -> None:
        self._connections = connections
        self._errors: list[BackendError] = []

    @property
    def connection(self) -> Connection:
        return self._connections[len(self._errors)]

    def failed(self, error: BackendError) -> None:
        """Goes on to the next model. Raises the error if there is none, or if none can help."""
        if not goes_on(error) or len(self._errors) + 1 == len(self._connections):
            for connection, earlier in zip(self._connections, self._errors, strict=False):
                error.add_note(f"before it, {_name(connection)} failed: {earlier}")
            raise error
        self._errors.append(error)

    def recorded(self, chunk: LLMChunk) -> LLMChunk:
        """The chunk with a record of every model that failed."""
        if not self._errors:
            return chunk
        answers = _name(self.connection)
        records = tuple(
            Adaptation(
                "model", "substituted", f"{type(e).__name__}: {e.message}", _name(c), answers
            )
            for c, e in zip(self._connections, self._errors, strict=False)
        )
        return replace(chunk, adaptations=records + chunk.adaptations)


def _name(connection: Connection) -> str:
    return f"{connection.provider.name}:{connection.model.name}"


class FallbackStream:
    """The chunks of the reply that came about; used as a `ReplyStream`."""

    def __init__(self, tried: _Tried, messages: Messages, options: CallOptions) -> None:
        self._tried = tried
        self._messages = messages
        self._options = options
        self._stream: ReplyStream = self._next()
        self._begun = False

    def _next(self) -> ReplyStream:
        return self._tried.connection.complete_streaming(self._messages, **self._options)

    @property
    def result(self) -> LLMChunk:
        """As `ReplyStream.result`."""
        return self._tried.recorded(self._stream.result)

    @property
    def complete(self) -> bool:
        return self._stream.complete

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the reply and closes its connection."""
        self._stream.close()

    async def aclose(self) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[LLMChunk]:
        return self

    async def __anext__(self) -> LLMChunk:
        while True:
            try:
                chunk = await anext(self._stream)
            except BackendError as e:
                if self._begun:
                    raise
                self._tried.failed(e)
                self._stream.close()
                self._stream = self._next()
            else:
                if not self._begun:
                    self._begun = True
                    return self._tried.recorded(chunk)
                return chunk
