"""Credentials that have to be fetched: once for all who wait, in a thread of their own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from .errors import BackendError

T = TypeVar("T")


class _Failed:
    """What makes the error: each who waits raises one of his own."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], BackendError]) -> None:
        self.make = make


class Flights(Generic[T]):
    """One object serves all event loops and threads of a process.

    Fetching happens in a thread, once for all who wait; nobody's cancellation ends it for the
    others. Subclasses say what is ready, how to fetch, and what a failure is in our error tree.
    """

    thread_name = "llmwire-credentials"

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._flight: Future[T | _Failed] | None = None
        self._pid = os.getpid()

    def _ready(self) -> T | None:
        """What can be given at once, without waiting for anything."""
        raise NotImplementedError

    def _fetch(self) -> T:
        """May block; any exception becomes what `_error_of` says."""
        raise NotImplementedError

    def _error_of(self, cause: BaseException) -> Callable[[], BackendError]:
        raise NotImplementedError

    async def get(self) -> T:
        """What is wanted, fetched if need be. Raises what `_error_of` makes."""
        if self._pid != os.getpid():
            self._reset()  # after a fork: the fetching thread stayed in the parent
        with self._lock:
            flight = self._flight
            if flight is None:
                ready = self._ready()
                if ready is not None:
                    return ready
                flight = self._flight = Future()
                # A running future can't be cancelled, so a waiter's cancellation stays its own.
                flight.set_running_or_notify_cancel()
                threading.Thread(
                    target=self._fly, args=(flight,), name=self.thread_name, daemon=True
                ).start()
        outcome = await asyncio.wrap_future(flight)
        if isinstance(outcome, _Failed):
            raise outcome.make()
        return outcome

    def _fly(self, flight: Future[T | _Failed]) -> None:
        outcome: T | _Failed
        try:
            outcome = self._fetch()
        except BaseException as e:
            outcome = _Failed(self._error_of(e))
        with self._lock:
            self._flight = None
        flight.set_result(outcome)


def error_maker(
    cause: BaseException | None,
    provider: str,
    kind: type[BackendError],
    text: str,
    retryable: bool | None = None,
) -> Callable[[], BackendError]:
    """Makes errors of this kind, each a new one with the same cause."""

    def make() -> BackendError:
        error = kind(text, provider=provider, phase="connect", retryable=retryable)
        error.__cause__ = cause
        return error

    return make
