"""Thousands of calls through bad weather, in seconds: does anything come out that should not?

    python -m llmwire.testing.simulation --runs 10000
    python -m llmwire.testing.simulation --seed 4711 --runs 1       # one again, told in full

Each run is a call on a wire of its own, through faults, cuts, pauses, cancels and retries drawn
from its seed, on a virtual clock. What must hold: no text twice, none lost before the first, none
invented; a success is the whole reply; no wait past the deadline; only the error tree comes out;
no response stays open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..adapters import SERVER_HALVES
from ..adapters.base import ServerHalf, ServerRequest, chunk_of
from ..backend import GenericBackend
from ..config import ProviderConfig, Timeouts
from ..errors import BackendError, IncompleteStreamError, OverloadedError
from ..retry import RetryPolicy
from ..transport import Outgoing
from ..types import LLMChunk, LLMUsage, PartDelta, StopInfo
from .chaos import ChaosTransport, VirtualLoop, Weather, virtual_runner

KEEPALIVE = b": still here\n\n"
MODELS = {"anthropic": "claude-sonnet-4-6", "reasoning": "mistral-medium-latest"}


class Outcome(NamedTuple):
    """What came of one run."""

    seed: int
    wire: str
    ending: str
    """`reply`, `broken off` by the caller, or the class of the error."""
    attempts: int
    seconds: float
    """By the virtual clock."""
    wrong: tuple[str, ...] = ()
    """What should not have happened."""


def sse_wires() -> list[str]:
    """The wires that stream server-sent events."""
    found = []
    for wire, half in SERVER_HALVES.items():
        heard = _heard(wire)
        if heard is not None and b"data: " in b"".join(half.prepare_stream(_spoken("Hi"), heard)):
            found.append(wire)
    return sorted(found)


def _provider(wire: str) -> ProviderConfig:
    return ProviderConfig(
        f"{wire}-provider", "http://chaos.test", api_style=wire, project_id="p", region="global"
    )


def _heard(wire: str) -> ServerRequest | None:
    """What the server's half hears when a stream is asked for."""
    backend = GenericBackend(provider=_provider(wire))
    model = MODELS.get(wire.removeprefix("vertex-"), "model-1")
    try:
        stream = backend.complete_streaming(model=model, messages="Tell me.")
        prepared = backend.prepare(stream.request)
        path = "/" + prepared.url.split("/", 3)[3]
        half = SERVER_HALVES[wire]
        return half.parse_request(prepared.method, path, prepared.headers, prepared.body)
    except BackendError:
        return None


def _spoken(text: str, size: int = 7) -> Iterator[LLMChunk]:
    """A reply as a model would stream it."""
    yield chunk_of([PartDelta(0, "text", start=True)])
    for i in range(0, len(text), size):
        yield chunk_of([PartDelta(0, "text", text[i : i + size])])
    yield chunk_of([PartDelta(0, "text", end=True)])
    yield chunk_of(stop=StopInfo("stop"), usage=LLMUsage(12, 7, 12))


class Run:
    """One seeded call."""

    def __init__(self, seed: int, wires: Sequence[str], tell: Callable[[str], None]) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.wire = self.random.choice(wires)
        self.text = "".join(f"{i} " for i in range(self.random.randrange(1, 60))) + "\u2028é😀."
        self.total = self.random.choice((5.0, 60.0, 600.0))
        self.leave_after = self.random.choice((None, None, None, 0, 1, 3))
        self.cancel_after = self.random.choice((None, None, None, 0.5, 10.0))
        self.streamed = self.random.random() < 0.8
        self._tell = tell
        self._half: ServerHalf = SERVER_HALVES[self.wire]
        self._wrong: list[str] = []
        self.chaos = ChaosTransport(Weather(seed), self._say)

    def _say(self, request: Outgoing) -> tuple[Sequence[bytes], bytes | None, bytes | None]:
        heard = _heard(self.wire)
        assert heard is not None
        events = list(self._half.prepare_stream(_spoken(self.text), heard))
        error = OverloadedError("Overloaded", provider_message="Overloaded")
        return events, self._half.prepare_stream_error(error), KEEPALIVE

    def run(self) -> Outcome:
        random.seed(self.seed)  # the jitter of retries
        with virtual_runner() as runner:
            ending, seconds = runner.run(self._call())
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
        if self.chaos.open:
            self._wrong.append(f"{len(self.chaos.open)} responses stayed open")
        if seconds > self.total + 1.0:
            self._wrong.append(f"it took {seconds:.1f} s, and had {self.total:g}")
        wrong = tuple(self._wrong)
        return Outcome(self.seed, self.wire, ending, len(self.chaos.attempts), seconds, wrong)

    async def _call(self) -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        timeouts = Timeouts(headers=20.0, first_content=40.0, idle=25.0, total=self.total)
        backend = GenericBackend(
            provider=_provider(self.wire),
            client=self.chaos,
            timeouts=timeouts,
            retry=RetryPolicy(max_attempts=self.random.choice((1, 3, 6))),
        )
        task = asyncio.ensure_future(self._use(backend))
        if self.cancel_after is not None:
            loop.call_later(self.cancel_after, task.cancel)
        try:
            ending = await task
        except asyncio.CancelledError:
            ending = "cancelled"
        except Exception as e:
            ending = type(e).__name__
            self._wrong.append(f"{ending} came out: {e}")
        for attempt in self.chaos.attempts:
            self._tell(f"  {attempt}")
        return ending, loop.time()

    async def _use(self, backend: GenericBackend) -> str:
        model = MODELS.get(self.wire.removeprefix("vertex-"), "model-1")
        seen = ""
        try:
            if not self.streamed:
                reply = await backend.complete(model=model, messages="Tell me.")
                self._check_whole(reply.text, reply)
                return "reply"
            async with backend.complete_streaming(model=model, messages="Tell me.") as stream:
                count = 0
                async for chunk in stream:
                    seen += chunk.text
                    self._check_so_far(seen)
                    count += 1
                    if self.leave_after is not None and count > self.leave_after:
                        return "broken off"
                self._check_whole(seen, stream.result)
                return "reply"
        except BackendError as e:
            partial = "" if e.partial is None else e.partial.text
            if partial != seen and self.streamed:
                self._wrong.append(f"the error keeps {partial!r}, delivered was {seen!r}")
            self._check_so_far(partial)
            if isinstance(e, IncompleteStreamError) and partial == self.text and seen:
                self._tell("  (cut behind its last word)")
            return type(e).__name__

    def _check_so_far(self, seen: str) -> None:
        if not self.text.startswith(seen):
            self._wrong.append(f"came {seen!r}, said was {self.text!r}")

    def _check_whole(self, seen: str, reply: LLMChunk) -> None:
        if seen != self.text or reply.text != self.text:
            self._wrong.append(f"a success is {seen!r} / {reply.text!r}, said was {self.text!r}")
        if reply.stop is None:
            self._wrong.append("a success without a reason why it stopped")


def simulate(
    seeds: Sequence[int], tell: Callable[[str], None] = lambda line: None
) -> list[Outcome]:
    """Runs these seeds. What went wrong is in the outcomes, nothing is raised."""
    wires = sse_wires()
    return [Run(seed, wires, tell).run() for seed in seeds]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Calls through bad weather, on a virtual clock.")
    parser.add_argument("--runs", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the others follow")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    args = parser.parse_args(arguments)
    told: list[str] = []
    endings: Counter[str] = Counter()
    wrong: list[Outcome] = []
    hours = attempts = 0.0
    progress = sys.stderr.isatty() and not args.json
    wires = sse_wires()
    for i in range(args.runs):
        outcome = Run(args.seed + i, wires, told.append).run()
        endings[outcome.ending] += 1
        hours += outcome.seconds / 3600
        attempts += outcome.attempts
        if outcome.wrong:
            wrong.append(outcome)
        if args.runs == 1:
            print(*told, outcome, sep="\n")
        told.clear()
        if progress and i % 50 == 0:
            print(f"\r{i:,} of {args.runs:,}", end="", file=sys.stderr, flush=True)
    if progress:
        print("\r", end="", file=sys.stderr)
    if args.json:
        found = [o._asdict() for o in wrong]
        print(json.dumps({"runs": args.runs, "endings": endings, "wrong": found}))
    else:
        print(f"{args.runs:,} runs, {attempts:,.0f} attempts, {hours:,.1f} hours of virtual time")
        for ending, count in endings.most_common():
            print(f"{count:8,}  {ending}")
        for outcome in wrong[:20]:
            print(f"WRONG  seed {outcome.seed} ({outcome.wire}): {'; '.join(outcome.wrong)}")
        print(f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
