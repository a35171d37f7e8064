"""Measures what llmwire costs, as ratios to a raw reader in the same run.

    python -m bench                       our own drivers, the quick scenarios: about a minute
    python -m bench --all                 every driver and every scenario: about ten minutes
    python -m bench --all --write         and docs/performance.md with its plots made from it
    python -m bench --scenario paced-text --driver llmwire --driver lm15

CPU time of the driver's process. Each driver has its own process on one core; the server has
another. Rounds of all drivers alternate, and a ratio is the median of the rounds' ratios to the raw
driver, so that a busy machine disturbs both alike. Every driver must have read the same text.
Libraries of others are installed from the package index into `.bench/`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import msgspec

from . import report
from .checks import growth_rows
from .drivers import BY_NAME, SPECS, Spec
from .environments import UnavailableError, closure_of, machine
from .measure import Bench, Row, import_rows, raise_file_limit
from .scenarios import SCENARIOS, Scenario
from .upstream import pin

QUICK_DRIVERS = ("raw", "llmwire", "llmwire-aiohttp")
QUICK_ROUNDS = 3
OTHERS = ("import", "installed")
"""Scenarios that are no driver's work."""


def closure_rows(bench: Bench, chosen: list[Spec]) -> list[Row]:
    """What installing each library brings."""
    rows = []
    for spec in chosen:
        if spec.name != "llmwire" and not spec.is_peer:
            continue
        try:
            found = closure_of(spec)
        except UnavailableError as e:
            bench.missing[f"{spec.name}, installed"] = str(e)
            continue
        limits = (3.0, 5.0) if spec.name == "llmwire" else (None, None)
        count, size = float(found.distributions), found.megabytes
        rows.append(Row("installed", spec.name, "distributions", count, budget=limits[0]))
        rows.append(Row("installed size", spec.name, "MB", size, budget=limits[1]))
    return rows


def chosen_scenarios(names: list[str], every: bool) -> tuple[list[Scenario], list[str]]:
    """What to measure, and which of the others."""
    if names:
        known = {s.name: s for s in SCENARIOS}
        unknown = [n for n in names if n not in known and n not in OTHERS]
        if unknown:
            every_name = ", ".join([*known, *OTHERS])
            raise SystemExit(f"no scenario {', '.join(unknown)}; there are {every_name}")
        return [known[n] for n in names if n in known], [n for n in names if n in OTHERS]
    if every:
        return list(SCENARIOS), list(OTHERS)
    return [s for s in SCENARIOS if s.quick], ["import"]


def chosen_drivers(names: list[str], every: bool) -> list[Spec]:
    unknown = [n for n in names if n not in BY_NAME]
    if unknown:
        raise SystemExit(f"no driver {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    if names:
        return [BY_NAME[n] for n in names]
    return list(SPECS) if every else [BY_NAME[n] for n in QUICK_DRIVERS]


def say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace) -> report.Report:
    scenarios, others = chosen_scenarios(options.scenario, options.all)
    drivers = chosen_drivers(options.driver, options.all or bool(options.scenario))
    rounds = options.rounds or (None if options.all or options.scenario else QUICK_ROUNDS)
    raise_file_limit()
    pin(0)
    start, rows = time.monotonic(), []
    with Bench(drivers, rounds) as bench:
        for scenario in scenarios:
            say(f"{time.monotonic() - start:4.0f} s  {scenario.title}", options.quiet)
            rows += bench.run(scenario)
        if "import" in others:
            say(f"{time.monotonic() - start:4.0f} s  importing", options.quiet)
            rows += import_rows(bench, drivers, rounds or 5)
        if "installed" in others:
            say(f"{time.monotonic() - start:4.0f} s  what an installation brings", options.quiet)
            rows += closure_rows(bench, drivers)
        rows += growth_rows(rows)
        seconds = time.monotonic() - start
        return report.Report(rows, bench.missing, bench.versions, machine(), seconds)


def main() -> None:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=lines[0],
        epilog="\n".join(lines[2:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Any = parser.add_argument
    add("--all", action="store_true", help="every driver, every scenario")
    add("--scenario", action="append", default=[], metavar="NAME", help="only this; repeatable")
    add("--driver", action="append", default=[], metavar="NAME", help="only this; repeatable")
    add("--rounds", type=int, help="rounds of each scenario (default: each scenario's own)")
    add("--json", action="store_true", help="print JSON, for programs")
    add("--write", action="store_true", help="write docs/performance.md and its plots")
    add(
        "--from", dest="source", metavar="FILE", help="use a run saved with --json, measure nothing"
    )
    add("--quiet", action="store_true", help="say nothing while measuring")
    options = parser.parse_args()
    if options.source:
        with open(options.source, "rb") as file:
            found = msgspec.json.decode(file.read(), type=report.Report)
    else:
        found = measure(options)
    if options.json:
        print(json.dumps(msgspec.to_builtins(found), indent=1))
    else:
        print(report.table(found))
    if options.write:
        for path in report.write(found):
            say(f"wrote {path}", options.quiet)


if __name__ == "__main__":
    main()
