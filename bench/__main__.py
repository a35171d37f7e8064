"""Measures what llmwire costs, as ratios to a raw reader in the same run.

    python -m bench [--rounds N] [--events N] [--json]

CPU time of this process, per event or per call; rounds of both drivers alternate, and the ratio is
the median of the pairs' ratios, so that a busy machine disturbs both alike. Every driver must have
read the same text. Budgets: ARCHITECTURE.md, "What it may cost".
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from llmwire.adapters import ADAPTERS
from llmwire.backend import GenericBackend
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.request import LLMRequest
from llmwire.types import LLMMessage

from . import wires
from .raw import RawClient
from .upstream import BURST_BYTES, pin

MODEL = ModelConfig("bench")
HELLO = (LLMMessage("user", "hi"),)
PAUSE_US = 200  # long enough that every event is a packet of its own, and read alone


class Row(NamedTuple):
    what: str
    unit: str
    raw_us: float
    ours_us: float
    ratio: float
    budget: float | None


def paired(
    what: str,
    unit: str,
    count: int,
    rounds: int,
    raw: Callable[[], object],
    ours: Callable[[], object],
    budget: float | None = None,
    clock: Callable[[], float] = time.process_time,
) -> Row:
    """Alternates the two; each does `count` things a run. The first round only warms up."""
    raw_times: list[float] = []
    our_times: list[float] = []
    for i in range(rounds + 1):
        pair = [(raw, raw_times), (ours, our_times)]
        for run, times in pair if i % 2 else reversed(pair):
            gc.collect()
            start = clock()
            run()
            elapsed = clock() - start
            if i:
                times.append(elapsed / count * 1e6)
    ratio = statistics.median(o / r for o, r in zip(our_times, raw_times, strict=True))
    return Row(
        what, unit, statistics.median(raw_times), statistics.median(our_times), ratio, budget
    )


def same(got: str, expected: str, who: str) -> None:
    if got != expected:
        raise SystemExit(f"{who} read another text: {got[:80]!r}, not {expected[:80]!r}")


# --- decoding alone -----------------------------------------------------------------------------


def decode_rows(wire: wires.Wire, rounds: int) -> list[Row]:
    adapter = ADAPTERS[wire.style]
    provider = ProviderConfig("bench", "http://127.0.0.1", api_style=wire.style)
    request = LLMRequest(model=MODEL, messages=HELLO, stream=True)
    joined = b"".join(wire.events)
    bursts = [joined[i : i + BURST_BYTES] for i in range(0, len(joined), BURST_BYTES)]

    def decode(pieces: list[bytes]) -> Callable[[], None]:
        def run() -> None:
            decoder = adapter.stream_decoder(request, provider)
            texts = []
            for piece in pieces:
                for chunk in decoder.feed(piece):
                    texts.append(chunk.text)
            for chunk in decoder.finish():
                texts.append(chunk.text)
            same("".join(texts), wire.text, "llmwire")

        return run

    def read(pieces: list[bytes]) -> Callable[[], None]:
        def run() -> None:
            reader = wire.raw_reader()
            for piece in pieces:
                reader.feed(piece)
            same("".join(reader.texts), wire.text, "raw")

        return run

    def parse() -> None:
        for _ in range(20):
            same(adapter.parse_response(wire.answer, request, provider).text, wire.text, "llmwire")

    def parse_raw() -> None:
        for _ in range(20):
            same(wire.raw_answer(wire.answer), wire.text, "raw")

    n = len(wire.events)
    single, name = list(wire.events), wire.style
    return [
        paired(
            f"{name}: decode, an event a feed", "event", n, rounds, read(single), decode(single)
        ),
        paired(
            f"{name}: decode, 64 KiB a feed", "event", n, rounds, read(bursts), decode(bursts), 2.0
        ),
        paired(f"{name}: decode, whole answer", "answer", 20, rounds, parse_raw, parse),
    ]


# --- over a socket ------------------------------------------------------------------------------


def loopback_rows(wire: wires.Wire, port: int, rounds: int) -> list[Row]:
    small_text = (wires.openai if wire.style == "openai" else wires.anthropic)(20).text
    with asyncio.Runner() as runner:
        raw = RawClient(port)
        base = f"http://127.0.0.1:{port}/{wire.style}"
        backends = {
            what: GenericBackend(
                provider=ProviderConfig("bench", f"{base}/{what}", api_style=wire.style)
            )
            for what in ("paced", "burst", "answer", "small")
        }

        def blocking(run: Callable[[], Awaitable[None]]) -> Callable[[], None]:
            async def main() -> None:
                await run()

            return lambda: runner.run(main())

        def streaming(what: str) -> tuple[Callable[[], None], Callable[[], None]]:
            async def ours() -> None:
                texts = []
                async with backends[what].complete_streaming(model=MODEL, messages=HELLO) as stream:
                    async for chunk in stream:
                        texts.append(chunk.text)
                same("".join(texts), wire.text, "llmwire")

            async def raws() -> None:
                same(await raw.stream(wire, f"/{wire.style}/{what}"), wire.text, "raw")

            return blocking(raws), blocking(ours)

        def calling(
            what: str, times: int, text: str
        ) -> tuple[Callable[[], None], Callable[[], None]]:
            async def ours() -> None:
                for _ in range(times):
                    reply = await backends[what].complete(model=MODEL, messages=HELLO)
                    same(reply.text, text, "llmwire")

            async def raws() -> None:
                for _ in range(times):
                    same(await raw.call(wire, f"/{wire.style}/{what}"), text, "raw")

            return blocking(raws), blocking(ours)

        n, name = len(wire.events), wire.style
        rows = [
            paired(
                f"{name}: stream, an event a packet", "event", n, rounds, *streaming("paced"), 1.7
            ),
            paired(f"{name}: stream, in bursts", "event", n, rounds, *streaming("burst")),
            paired(f"{name}: small call", "call", 50, rounds, *calling("small", 50, small_text)),
            paired(f"{name}: long answer", "call", 20, rounds, *calling("answer", 20, wire.text)),
        ]

        async def close() -> None:
            await raw.close()
            for backend in backends.values():
                await backend.close()

        runner.run(close())
    return rows


# --- importing ----------------------------------------------------------------------------------


def import_rows(rounds: int) -> list[Row]:
    import resource

    def importing(code: str) -> Callable[[], None]:
        def run() -> None:
            subprocess.run([sys.executable, "-c", code], check=True)

        return run

    def children() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    raw = importing("import asyncio, ssl, msgspec")
    return [
        paired(what, "process", 1, rounds, raw, importing(code), budget, children)
        for what, code, budget in (
            ("import llmwire", "import llmwire", 1.3),
            ("import of all its names", "from llmwire import *", None),
        )
    ]


# --- the report ---------------------------------------------------------------------------------


def machine() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "python": platform.python_version(),
        "llmwire": version("llmwire"),
        "msgspec": version("msgspec"),
        "aiohttp": version("aiohttp"),
        "system": platform.system(),
        "cpu": f"{os.cpu_count()} x {cpu}",
    }


def table(rows: list[Row]) -> str:
    lines = [
        f"{'CPU time per event or call':40}{'raw us':>10}{'llmwire us':>12}{'ratio':>8}  budget"
    ]
    for row in rows:
        budget = f"{row.budget:g}" if row.budget is not None else ""
        lines.append(
            f"{row.what:40}{row.raw_us:10.2f}{row.ours_us:12.2f}{row.ratio:8.2f}  {budget}".rstrip()
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs (default: 7)")
    parser.add_argument("--events", type=int, default=wires.EVENTS, help="events of a stream")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    options = parser.parse_args()

    upstream = subprocess.Popen(
        [sys.executable, "-m", "bench.upstream", str(options.events), str(PAUSE_US)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        pin(0)
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        rows = []
        for make in (wires.openai, wires.anthropic):
            wire = make(options.events)
            rows += decode_rows(wire, options.rounds * 2)
            rows += loopback_rows(wire, port, options.rounds)
        rows += import_rows(options.rounds)
    finally:
        upstream.terminate()
        upstream.communicate()
    if options.json:
        print(json.dumps({"machine": machine(), "rows": [row._asdict() for row in rows]}, indent=1))
    else:
        print(table(rows))
        print("\n" + ", ".join(f"{k} {v}" for k, v in machine().items()))


if __name__ == "__main__":
    main()
