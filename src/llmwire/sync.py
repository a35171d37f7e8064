"""The same calls for synchronous programs, through one background event loop.

No second implementation: every call runs the asynchronous one on a daemon thread's loop and waits
for it. Threads may share a backend. Not to be used inside a running event loop: it would block it.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from . import backend as _async
from .backend import CallOptions, Messages, TokenCount
from .config import ModelConfig, ModelInfo, ProviderConfig
from .connection import resolved
from .stream import ReplyStream
from .types import LLMChunk

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def _background() -> asyncio.AbstractEventLoop:
    """The loop, started at first use and again in a child process."""
    global _loop, _thread
    with _lock:
        if _loop is None or _thread is None or not _thread.is_alive():
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="llmwire", daemon=True)
            _thread.start()
        return _loop


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    future = asyncio.run_coroutine_threadsafe(coroutine, _background())
    try:
        return future.result()
    except BaseException:
        future.cancel()  # Ctrl-C in the waiting thread stops the call; harmless if it has ended
        raise


class _Closing(ABC):
    """Closed at the end of a `with` statement."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class SyncStream(_Closing):
    """The chunks of one reply; `result` is their sum. See `llmwire.stream.ReplyStream`."""

    def __init__(self, stream: ReplyStream) -> None:
        self._stream = stream

    @property
    def result(self) -> LLMChunk:
        return self._stream.result

    def __iter__(self) -> Iterator[LLMChunk]:
        return self

    def __next__(self) -> LLMChunk:
        chunk = _run(_next(self._stream))
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        _run(self._stream.aclose())


async def _next(stream: ReplyStream) -> LLMChunk | None:
    return await anext(stream, None)


class GenericBackend(_Closing):
    """`llmwire.GenericBackend` without `await`: same arguments, same results, same errors."""

    def __init__(self, *, provider: ProviderConfig, **options: Any) -> None:
        self._backend = _async.GenericBackend(provider=provider, **options)
        self.provider = provider

    def complete(
        self,
        *,
        model: ModelConfig | str,
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> LLMChunk:
        return _run(self._backend.complete(model=model, messages=messages, **options))

    def complete_streaming(
        self,
        *,
        model: ModelConfig | str,
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> SyncStream:
        return SyncStream(
            self._backend.complete_streaming(model=model, messages=messages, **options)
        )

    def count_tokens(
        self,
        *,
        model: ModelConfig | str,
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> TokenCount:
        return _run(self._backend.count_tokens(model=model, messages=messages, **options))

    def list_models(
        self, *, extra_headers: Mapping[str, str] | None = None
    ) -> tuple[ModelInfo, ...]:
        return _run(self._backend.list_models(extra_headers=extra_headers))

    def close(self) -> None:
        _run(self._backend.close())


class Connection(_Closing):
    """`llmwire.Connection` without `await`: one model at one provider."""

    def __init__(self, backend: GenericBackend, model: ModelConfig) -> None:
        self.backend = backend
        self.model = model

    def complete(self, messages: Messages, **options: Unpack[CallOptions]) -> LLMChunk:
        return self.backend.complete(model=self.model, messages=messages, **options)

    def complete_streaming(self, messages: Messages, **options: Unpack[CallOptions]) -> SyncStream:
        return self.backend.complete_streaming(model=self.model, messages=messages, **options)

    def count_tokens(self, messages: Messages, **options: Unpack[CallOptions]) -> TokenCount:
        return self.backend.count_tokens(model=self.model, messages=messages, **options)

    def close(self) -> None:
        self.backend.close()


def connect(
    model: str | None = None, *, environ: Mapping[str, str] | None = None, **backend: Any
) -> Connection:
    """As `llmwire.connect`."""
    provider, found = resolved(model, environ)
    return Connection(GenericBackend(provider=provider, **backend), found)
