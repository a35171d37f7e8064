"""The clocks of one call: which limit runs now, and how it interrupts a wait.

One timer per event loop, moved only when it rings or when something nearer is to be watched: a
stream of ten thousand chunks, or ten thousand calls, arm it a handful of times.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import Any, Literal, TypeVar

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


class Watch:
    """The timer of one event loop; it rings for the call whose limit comes first.

    A call that ends in time leaves the timer as it is: at worst it rings once for nobody.
    """

    __slots__ = ("_timer", "active", "due", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.active: set[Clocks] = set()
        self.due = _NEVER
        self._timer: asyncio.TimerHandle | None = None

    def ring_by(self, at: float) -> None:
        """Makes sure that it rings at `at` or before."""
        if at < self.due:
            self.stop()
            self._timer = self.loop.call_at(at, self._ring)
            self.due = at

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self.due = _NEVER

    def _ring(self) -> None:
        self._timer = None
        self.due = _NEVER
        now = self.loop.time()
        next_at = _NEVER
        for clocks in list(self.active):  # a call may end while we look
            if clocks.limit_at > now:
                next_at = min(next_at, clocks.limit_at)
            else:
                clocks.run_out()
        if next_at < _NEVER:
            self.ring_by(next_at)


class Clocks:
    """The limits of one call, over all its attempts. Belongs to one event loop.

    `bytes_received` and `keepalives` are evidence, put into the error when a clock runs out.
    """

    __slots__ = (
        "_clock",
        "_deadline",
        "_expired",
        "_future",
        "_task",
        "_timeouts",
        "_watch",
        "bytes_received",
        "keepalives",
        "limit_at",
    )  # fmt: skip

    def __init__(self, timeouts: Timeouts, watch: Watch) -> None:
        self._timeouts = timeouts
        self._watch = watch
        total = timeouts.total
        self.limit_at = self._deadline = _NEVER if total is None else watch.loop.time() + total
        """When the running clock, or the deadline, runs out, in the loop's time."""
        self._clock: Clock = "total"
        self._task: asyncio.Task[object] | None = None
        self._future: asyncio.Future[Any] | None = None
        self._expired = False
        self.bytes_received = 0
        self.keepalives = 0
        watch.active.add(self)

    def now(self) -> float:
        """The loop's time."""
        return self._watch.loop.time()

    def time_left(self) -> float | None:
        """Seconds until the deadline over all attempts; None: there is none."""
        return None if self._deadline is _NEVER else self._deadline - self._watch.loop.time()

    def start(self, clock: Clock) -> None:
        """From now on this clock runs, from its beginning."""
        deadline = self._deadline
        seconds: float | None = None if clock == "total" else getattr(self._timeouts, clock)
        self._clock = clock
        if seconds is None:
            self.limit_at = deadline
        else:
            at = self._watch.loop.time() + seconds
            self.limit_at = at if at < deadline else deadline

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of `awaitable`, or `TimeoutError_` when the running clock runs out first."""
        task = self._task = asyncio.current_task()
        assert task is not None
        self._expired = False
        if self.limit_at < self._watch.due:
            self._watch.ring_by(self.limit_at)
        cancelling = task.cancelling()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= cancelling:
                raise self.error() from None
            raise
        finally:
            self._task = None

    def bound(self, future: asyncio.Future[Any]) -> None:
        """Ends `future`, for which the caller is going to wait, with a `TimeoutError_` when the
        running clock runs out first. What `wait` does, without a coroutine more."""
        self._future = future
        if self.limit_at < self._watch.due:
            self._watch.ring_by(self.limit_at)

    def stop(self) -> None:
        """No clock runs any more."""
        self._watch.active.discard(self)

    def run_out(self) -> None:
        """The limit has come. Between two waits it counts from the next one's start."""
        future, self._future = self._future, None
        if future is not None and not future.done():
            future.set_exception(self.error())
        elif self._task is not None and not self._expired:
            self._expired = True
            self._task.cancel()

    def error(self, clock: Clock | None = None) -> TimeoutError_:
        """What to raise for the clock that ran out."""
        if clock is None:
            clock = "total" if self.limit_at == self._deadline else self._clock
        seconds: float = getattr(self._timeouts, clock)
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
