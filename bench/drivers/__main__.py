"""One driver's process: `python -m bench.drivers NAME`, commands and answers as lines of JSON."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import importlib
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from .. import wires
from ..upstream import BURST_BYTES, pin
from . import BY_NAME
from .base import PROMPT, Driver, Place

Answer = dict[str, Any]


def digest(text: str) -> str:
    """What two drivers that read the same text agree on."""
    return f"{len(text)}:{hashlib.sha256(text.encode()).hexdigest()[:12]}:{text[:40]!r}"


def resident() -> int:
    """Bytes of memory that this process holds now."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # no such file on this system: its peak is the best there is
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


async def timed(work: Callable[[], Awaitable[str]]) -> Answer:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    text = await work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "text": digest(text)}


class Session:
    """Carries out what the bench asks for."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._asked: dict[Any, Any] = {}

    def _hello(self, style: str) -> Any:
        if style not in self._asked:
            self._asked[style] = self._driver.conversation(style, PROMPT, [])
        return self._asked[style]

    async def call(self, place: Place, count: int, **_: Any) -> Answer:
        asked = self._hello(place.style)

        async def work() -> str:
            text = ""
            for _i in range(count):
                text = await self._driver.call(place, asked)
            return text

        return await timed(work)

    async def together(self, place: Place, count: int, at_once: int, **_: Any) -> Answer:
        asked = self._hello(place.style)

        async def work() -> str:
            texts: set[str] = set()
            for _i in range(count // at_once):
                calls = [self._driver.call(place, asked) for _j in range(at_once)]
                texts.update(await asyncio.gather(*calls))
            return "|".join(sorted(texts))

        return await timed(work)

    async def stream(self, place: Place, method: str = "stream", **_: Any) -> Answer:
        asked = self._hello(place.style)
        return await timed(lambda: getattr(self._driver, method)(place, asked))

    async def history(self, place: Place, messages: int, **_: Any) -> Answer:
        """The first and the second call of a conversation, which is new each time."""
        first = self._driver.conversation(place.style, wires.history(messages), wires.tools())
        one = await timed(lambda: self._driver.call(place, first))
        second = self._driver.extended(first, place.style, wires.next_turns())
        two = await timed(lambda: self._driver.call(place, second))
        return {**one, "second": two["cpu"]}

    async def result(self, place: Place, size: int, **_: Any) -> Answer:
        asked = self._driver.conversation(place.style, wires.result(size), wires.tools(1))
        return await timed(lambda: self._driver.call(place, asked))

    async def decode(self, place: Place, kind: str, count: int, size: int, **_: Any) -> Answer:
        pieces = list(wires.stream(place.style, kind, count).events)
        if size:
            joined = b"".join(pieces)
            pieces = [joined[i : i + BURST_BYTES] for i in range(0, len(joined), BURST_BYTES)]
        decode = self._driver.decoder(place.style)

        async def work() -> str:
            return decode(pieces)

        return await timed(work)

    async def parse(self, place: Place, count: int, **_: Any) -> Answer:
        body, parse = wires.answer(place.style, 2000), self._driver.parser(place.style)

        async def work() -> str:
            text = ""
            for _i in range(count):
                text = parse(body)
            return text

        return await timed(work)

    async def slow(self, place: Place, streams: int, seconds: float, **_: Any) -> Answer:
        """Many streams at once, with the memory and the event loop's lag while they run."""
        asked = self._hello(place.style)
        small = place._replace(what="small")
        await self._driver.call(small, asked)
        gc.collect()
        before, held = resident(), 0
        late: list[float] = []

        async def watch() -> None:
            nonlocal held
            start = at = time.perf_counter()
            while True:
                at += 0.01
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                now = time.perf_counter()
                late.append(now - at)
                at = max(at, now)
                if not held and now - start > seconds / 2:
                    held = resident()

        watcher = asyncio.create_task(watch())

        async def work() -> str:
            runs = [self._driver.stream(place, asked) for _i in range(streams)]
            texts = await asyncio.gather(*runs, return_exceptions=True)
            errors = [t for t in texts if isinstance(t, BaseException)]
            if errors:
                raise RuntimeError(f"{len(errors)} of {streams} failed: {errors[0]!r}")
            return "|".join({str(t) for t in texts})

        found = await timed(work)
        watcher.cancel()
        late.sort()
        lag = {f"p{p}": late[min(len(late) - 1, len(late) * p // 100)] for p in (50, 99)}
        return {**found, **lag, "memory": (held - before) / streams}

    async def leak(self, place: Place, counts: list[int], **_: Any) -> Answer:
        """The memory after so many calls and after so many more."""
        asked, done, sizes = self._hello(place.style), 0, []
        start, text = time.process_time(), ""
        for count in counts:
            for _i in range(count - done):
                text = await self._driver.call(place, asked)
            done = count
            gc.collect()
            sizes.append(resident())
        return {"cpu": time.process_time() - start, "text": digest(text), "sizes": sizes}

    async def first(self, place: Place, **_: Any) -> Answer:
        """What the first call costs above the second: what is imported and made for it."""
        asked = self._hello(place.style)
        one = await timed(lambda: self._driver.call(place, asked))
        two = await timed(lambda: self._driver.call(place, asked))
        return {"cpu": max(0.0, one["cpu"] - two["cpu"]), "text": one["text"]}

    async def hello(self, **_: Any) -> Answer:
        package = self._driver.package
        return {"version": f"{package} {version(package)}", "python": platform.python_version()}


async def serve(name: str, lines: Any, channel: Any) -> None:
    pin(0)
    spec = BY_NAME[name]
    driver: Driver = importlib.import_module(f"bench.drivers.{spec.module}").make(spec.option)
    session = Session(driver)
    for line in lines:
        command = json.loads(line)
        if "place" in command:
            command["place"] = Place(*command["place"])
        try:
            answer = await getattr(session, command.pop("op"))(**command)
        except Exception as e:
            traceback.print_exc()
            answer = {"error": f"{type(e).__name__}: {str(e)[:300]}"}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()
    await driver.close()


def main() -> None:
    # Libraries print to standard output as they like; the answers have it for themselves.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    name = sys.argv[1]
    factory = importlib.import_module("uvloop").new_event_loop if BY_NAME[name].uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(name, sys.stdin, channel))


if __name__ == "__main__":
    main()
