"""The clocks of one call: which limit runs now, and how it interrupts a wait.

One timer per call, moved only when it fires: a stream of ten thousand chunks arms it a handful
of times, not ten thousand.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import Literal, TypeVar

from msgspec import structs

from .config import Timeouts
from .errors import Phase, TimeoutError_

T = TypeVar("T")
_NEVER = math.inf
Clock = Literal["connect", "headers", "first_content", "idle", "total"]

_PHASES: dict[str, Phase] = {
    "connect": "connect",
    "headers": "headers",
    "first_content": "stream",
    "idle": "stream",
    "total": "response",
}
_HINTS = {
    "connect": "the server can't be reached",
    "headers": "the server took the request and did not begin to answer",
    "first_content": "the answer began but had no content",
    "idle": "the answer stopped in the middle",
    "total": "the call, with all its attempts, took too long",
}


class Clocks:
    """The limits of one call, over all its attempts. Belongs to one event loop.

    `bytes_received` and `keepalives` are evidence, put into the error when a clock runs out.
    """

    __slots__ = (
        "_clock",
        "_deadline",
        "_expired",
        "_limit_at",
        "_loop",
        "_seconds",
        "_task",
        "_timer",
        "_timer_at",
        "bytes_received",
        "keepalives",
    )  # fmt: skip

    def __init__(self, timeouts: Timeouts, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._seconds: dict[str, float | None] = structs.asdict(timeouts)
        self._deadline = None if timeouts.total is None else loop.time() + timeouts.total
        self._clock: Clock = "total"
        self._limit_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER
        self._task: asyncio.Task[object] | None = None
        self._expired = False
        self.bytes_received = 0
        self.keepalives = 0

    def time_left(self) -> float | None:
        """Seconds until the deadline over all attempts; None: there is none."""
        return None if self._deadline is None else self._deadline - self._loop.time()

    def start(self, clock: Clock) -> None:
        """From now on this clock runs, from its beginning."""
        seconds = self._seconds[clock]
        self._clock = clock
        self._limit_at = None if seconds is None else self._loop.time() + seconds

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of `awaitable`, or `TimeoutError_` when the running clock runs out first."""
        task = self._task = asyncio.current_task(self._loop)
        assert task is not None
        at = self._next()
        if at is not None and at < self._timer_at:
            self._arm(at)
        cancelling = task.cancelling()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= cancelling:
                raise self.error() from None
            raise
        finally:
            self._task = None

    def stop(self) -> None:
        """No clock runs any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = _NEVER

    def error(self, clock: Clock | None = None) -> TimeoutError_:
        """What to raise for the clock that ran out."""
        if clock is None:
            deadline_first = self._deadline is not None and (
                self._limit_at is None or self._deadline <= self._limit_at
            )
            clock = "total" if deadline_first else self._clock
        seconds = self._seconds[clock]
        return TimeoutError_(
            f"no answer within {seconds:g} s ({clock} timeout): {_HINTS[clock]}; "
            f"{self.bytes_received:,} bytes and {self.keepalives} keep-alives had come. "
            f"Raise timeouts.{clock} if the server needs longer.",
            clock=clock,
            seconds=seconds,
            bytes_received=self.bytes_received,
            keepalives=self.keepalives,
            kind="connect" if clock == "connect" else "read",
            phase=_PHASES[clock],
            retryable=clock != "total",
        )

    def _next(self) -> float | None:
        if self._limit_at is None:
            return self._deadline
        return self._limit_at if self._deadline is None else min(self._limit_at, self._deadline)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._on_timer)
        self._timer_at = at

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = _NEVER
        at = self._next()
        if at is None:
            return
        if at > self._loop.time():
            self._arm(at)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()
