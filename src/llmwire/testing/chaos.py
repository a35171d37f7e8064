"""A network that fails by the numbers: a transport made of seeded faults, on a clock of its own.

    with virtual_runner() as runner:                      # hours pass in milliseconds
        chaos = ChaosTransport(Weather(seed=7), server_half)
        backend = GenericBackend(provider=provider, client=chaos)
        runner.run(use(backend))
    assert not chaos.open                                 # every response was closed

The same seed gives the same faults, pauses and cuts. Nothing is sent anywhere.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ..errors import TransportError
from ..transport import Outgoing

Ending = Literal["clean", "reset", "stall", "drip"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything runs, and jumps when all wait.

    Raises `RuntimeError` where nothing would ever happen again: a wait without a limit.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds


class _Jumping(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        self._loop.jump(max(timeout, 0.0))
        return super().select(0)


def virtual_runner() -> asyncio.Runner:
    """Runs coroutines on a `VirtualLoop`."""
    return asyncio.Runner(loop_factory=VirtualLoop)


class Attempt(NamedTuple):
    """What one request meets."""

    refused: str = ""
    """The kind of failure before any answer (`connect`, `dns`, `read`...); "" for none."""
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""
    """Of an answer that is no stream of events: an error's JSON, a page."""
    pause: float = 0.0
    """Seconds until the headers."""
    pauses: float = 0.0
    """Seconds between two pieces, on average."""
    pieces: int = 1
    """Pieces the body comes in, about."""
    keep: float = 1.0
    """How much of the body comes before the ending."""
    ending: Ending = "clean"
    """Its end; a reset; nothing more; nothing more but keep-alives."""
    event_error: bool = False
    """In place of the rest of the body an event says that the server is overloaded."""
    direct: bool = True
    """Whether bytes are given away where they arrive, as our own transport does."""


class Weather:
    """Attempts drawn from a seed: about half of them good."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def next(self) -> Attempt:
        r = self.random
        direct, pieces = r.random() < 0.7, r.choice((1, 2, 5, 40, 10_000))
        pause, pauses = r.choice((0.0, 0.01, 3.0)), r.choice((0.0, 0.0, 0.05, 2.0, 30.0))
        way = Attempt(pause=pause, pauses=pauses, pieces=pieces, direct=direct)
        kind = r.choice(("good",) * 9 + ("refused", "status", "cut", "cut", "cut", "error", "page"))
        if kind == "refused":
            return way._replace(refused=r.choice(("dns", "connect", "tls", "read", "write")))
        if kind == "status":
            headers = {"retry-after": str(r.choice((0, 1, 7, 500)))} if r.random() < 0.5 else {}
            status = r.choice((400, 401, 404, 408, 429, 429, 500, 502, 503, 529))
            return way._replace(status=status, headers=headers, body=b'{"error":{"message":"no"}}')
        if kind == "page":
            return way._replace(body=b"<html><title>Bad gateway</title></html>")
        if kind == "cut":
            ending: Ending = r.choice(("clean", "reset", "stall", "drip"))
            return way._replace(keep=r.random(), ending=ending)
        if kind == "error":
            return way._replace(keep=r.random(), event_error=True)
        return way


class ChaosTransport:
    """Answers each request as `weather` says; `say` writes the good answer's bytes.

    `say(request)` gives the events of a streamed answer (or one piece, for a whole one) and
    the bytes of an error event and of a keep-alive, or None where the wire has none.
    """

    def __init__(
        self,
        weather: Weather,
        say: Callable[[Outgoing], tuple[Sequence[bytes], bytes | None, bytes | None]],
        content_type: str = "text/event-stream",
    ) -> None:
        self._weather = weather
        self._say = say
        self._type = content_type
        self.attempts: list[Attempt] = []
        self.sent: list[Outgoing] = []
        self.open: set[ChaosResponse] = set()
        """Responses that nobody closed yet."""

    async def send(self, request: Outgoing) -> ChaosResponse:
        attempt = self._weather.next()
        self.attempts.append(attempt)
        self.sent.append(request)
        await asyncio.sleep(attempt.pause)
        if attempt.refused:
            kind: Any = attempt.refused
            raise TransportError(f"chaos: {attempt.refused}", kind=kind, phase="connect")
        response = ChaosResponse(attempt, self._plan(request, attempt), self)
        self.open.add(response)
        return response

    def _plan(self, request: Outgoing, attempt: Attempt) -> list[tuple[float, bytes]]:
        """The pieces of the body, each with the pause before it."""
        rng, alive = self._weather.random, None
        if attempt.body:
            data, headers = attempt.body, {"content-type": "application/json"}
        else:
            events, error, alive = self._say(request)
            headers = {"content-type": self._type}
            if attempt.event_error and error is not None:
                events = [*events[: int(len(events) * attempt.keep)], error]
            data = b"".join(events)
            if attempt.ending != "clean" or (attempt.keep < 1 and not attempt.event_error):
                data = data[: int(len(data) * attempt.keep)]
        self.type = headers
        cuts = sorted({rng.randrange(len(data) + 1) for _ in range(min(attempt.pieces, 200) - 1)})
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if b > a]
        plan = [(rng.random() * 2 * attempt.pauses, piece) for piece in pieces]
        if attempt.ending == "drip" and alive is not None:
            plan += [(20.0, alive)] * 200
        return plan


class ChaosResponse:
    """An answer in pieces that come by the clock."""

    def __init__(
        self, attempt: Attempt, plan: list[tuple[float, bytes]], owner: ChaosTransport
    ) -> None:
        self.status = attempt.status
        self.headers: Mapping[str, str] = {**owner.type, **attempt.headers}
        self.direct = attempt.direct
        self._ending = attempt.ending
        self._plan = plan[::-1]
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._blocks: list[bytes] = []
        self._sink: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._whole = False
        self._error: TransportError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next()

    def _next(self) -> None:
        pause = self._plan[-1][0] if self._plan else 0.0
        self._timer = self._loop.call_later(pause, self._on_time)

    def _on_time(self) -> None:
        if self._plan:
            _, data = self._plan.pop()
            if self._sink is None:
                self._blocks.append(data)
                self._wake()
            elif self._sink(data):
                self._wake()
            self._next()
        elif self._ending == "clean":
            self._whole = True
            self._wake()
        elif self._ending == "reset":
            self._error = TransportError("chaos: reset", kind="read", phase="stream")
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- what a stream asks for ---

    @property
    def at_end(self) -> bool:
        return self._whole and not self._blocks

    def take(self) -> bytes:
        data = b"".join(self._blocks)
        self._blocks.clear()
        return data

    def deliver(self, sink: Callable[[bytes], bool]) -> None:
        if data := self.take():
            sink(data)
        self._sink = sink

    def news(self) -> asyncio.Future[None] | None:
        if self._whole:
            return None
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    async def read(self) -> bytes:
        while not (data := self.take()):
            news = self.news()
            if news is None:
                return b""
            await news
        return data

    def close(self) -> None:
        self._owner.open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
