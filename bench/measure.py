"""Drivers' processes, rounds and ratios."""

from __future__ import annotations

import contextlib
import json
import resource
import select
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .drivers import BY_NAME, Spec
from .environments import (
    CACHE,
    ROOT,
    UnavailableError,
    certificates,
    driver_variables,
    interpreter_of,
)
from .scenarios import Scenario

PATIENCE = 180.0
"""Seconds after which a driver's run is given up."""


class Row(msgspec.Struct, omit_defaults=True):
    """One figure of one driver."""

    scenario: str
    driver: str
    unit: str
    value: float
    raw: float | None = None
    ratio: float | None = None
    """The median of the rounds' ratios to the raw driver (that on the same event loop)."""
    budget: float | None = None
    """For the ratio where there is one, else for the value."""
    rounds: int = 1

    @property
    def met(self) -> bool | None:
        if self.budget is None:
            return None
        return (self.value if self.ratio is None else self.ratio) <= self.budget


class DriverError(Exception):
    """A driver failed, or read another text than the raw one."""


class Process:
    """A driver at work in its own process."""

    def __init__(self, spec: Spec, variables: Mapping[str, str]) -> None:
        self.spec = spec
        logs = CACHE / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with open(logs / f"{spec.name}.log", "ab") as log:
            self._process = subprocess.Popen(
                [interpreter_of(spec), "-m", "bench.drivers", spec.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=dict(variables),
            )

    def ask(self, **command: Any) -> dict[str, Any]:
        """One command's answer. Raises `DriverError`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(command).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise DriverError(self._gone()) from None
        line = b""
        if select.select([stdout], [], [], PATIENCE)[0]:
            line = stdout.readline()
            if not line:
                raise DriverError(self._gone())
        else:
            self._process.kill()
            raise DriverError(f"gave no answer in {PATIENCE:.0f} s")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise DriverError(answer["error"])
        return answer

    def _gone(self) -> str:
        log = (CACHE / "logs" / f"{self.spec.name}.log").read_text("utf-8", "replace")
        last = (log.strip().splitlines() or ["no reason given"])[-1]
        return f"its process ended: {last[:200]}"

    def close(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Bench:
    """The upstream, the drivers that run, and what could not be measured."""

    def __init__(self, chosen: Iterable[Spec], rounds: int | None = None) -> None:
        self.missing: dict[str, str] = {}
        """By driver, or by driver and scenario: why there is no figure."""
        self.versions: dict[str, str] = {}
        self._rounds = rounds
        self._chosen = list(chosen)
        self._processes: dict[str, Process] = {}
        self._variables = driver_variables()
        files = certificates()
        command = [sys.executable, "-m", "bench.upstream"]
        if files is not None:
            self._variables["SSL_CERT_FILE"] = str(files[0])
            command += [str(files[1]), str(files[2])]
        self._upstream = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        assert self._upstream.stdout is not None
        ports = self._upstream.stdout.readline().split()
        self._plain = f"http://127.0.0.1:{int(ports[0])}"
        self._tls = f"https://127.0.0.1:{int(ports[1])}" if len(ports) > 1 else None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.close()
        self._upstream.terminate()
        self._upstream.communicate()

    # --- processes ---

    def _process(self, spec: Spec, fresh: bool) -> Process:
        """Raises `UnavailableError` or `DriverError`."""
        if spec.name in self.missing:
            raise UnavailableError(self.missing[spec.name])
        if fresh or spec.name not in self._processes:
            try:
                process = Process(spec, self._variables)
                hello = process.ask(op="hello")
            except (UnavailableError, DriverError) as e:
                self.missing[spec.name] = str(e)
                raise UnavailableError(str(e)) from None
            python = "" if spec.python == (3, 11) else f" (Python {hello['python']})"
            self.versions[spec.label] = hello["version"] + python
            if fresh:
                return process
            self._processes[spec.name] = process
        return self._processes[spec.name]

    def _drop(self, spec: Spec) -> None:
        process = self._processes.pop(spec.name, None)
        if process is not None:
            process.close()

    # --- rounds ---

    def run(self, scenario: Scenario) -> list[Row]:
        """All drivers in turn, round by round; the raw ones always run, as what others are to."""
        if scenario.tls and self._tls is None:
            self.missing[scenario.name] = "TLS is not measured: there is no openssl command"
            return []
        runs = [
            (spec, style)
            for spec in self._chosen
            if scenario.takes(spec)
            for style in scenario.styles_of(spec)
        ]
        bases = {(BY_NAME["raw-uvloop" if s.uvloop else "raw"], style) for s, style in runs}
        todo = sorted(bases | set(runs), key=lambda run: (list(BY_NAME).index(run[0].name), run[1]))
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        rounds = self._rounds or scenario.rounds
        warm = 0 if scenario.fresh else 1
        for i in range(rounds + warm):
            shift = i % len(todo)
            for spec, style in todo[shift:] + todo[:shift]:
                if spec.is_peer and i >= scenario.peer_rounds + warm:
                    continue
                key = f"{spec.name}, {scenario.name}"
                if key in self.missing:
                    continue
                try:
                    answer = self._measured(scenario, spec, style)
                except (UnavailableError, DriverError) as e:
                    if spec.name not in self.missing:
                        self.missing[key] = str(e)
                        self._drop(spec)
                    continue
                if i >= warm:
                    found.setdefault((spec.name, style), []).append(answer)
        rows: list[Row] = []
        for spec, style in todo:
            base = "raw-uvloop" if spec.uvloop and spec.name != "raw-uvloop" else "raw"
            own, raw = found.get((spec.name, style)), found.get((base, style))
            is_other_raw = spec.name in ("raw", "raw-uvloop") and style not in scenario.styles
            if own and raw and not is_other_raw:
                rows += self._rows(scenario, spec, style, own, raw)
        names = list(dict.fromkeys(row.scenario for row in rows))
        return sorted(rows, key=lambda row: names.index(row.scenario))

    def _measured(self, scenario: Scenario, spec: Spec, style: str) -> dict[str, Any]:
        origin = self._tls if scenario.tls else self._plain
        process = self._process(spec, scenario.fresh)
        try:
            place = [origin, style, scenario.what]
            return process.ask(op=scenario.op, place=place, **scenario.options)
        finally:
            if scenario.fresh:
                process.close()

    def _rows(
        self,
        scenario: Scenario,
        spec: Spec,
        style: str,
        own: list[dict[str, Any]],
        raw: list[dict[str, Any]],
    ) -> list[Row]:
        for ours, theirs in zip(own, raw, strict=False):
            if ours["text"] != theirs["text"]:
                self.missing[f"{spec.name}, {scenario.name}"] = (
                    f"it read another text: {ours['text']}, not {theirs['text']}"
                )
                return []
        several = len(scenario.styles) > 1
        rows = []
        for figure in scenario.figures:
            name = scenario.name + (f" {style}" if several else "") + figure.suffix
            mine, limit = figure.values(own), figure.values(raw)
            median = statistics.median(mine)
            row = Row(name, spec.name, figure.unit, median, rounds=len(mine))
            row.budget = figure.budgets.get(spec.name)
            if figure.relation == "ratio":
                row.raw = statistics.median(limit)
                pairs = zip(mine, limit, strict=False)
                row.ratio = statistics.median(m / max(r, 1e-9) for m, r in pairs)
            elif figure.relation == "difference":
                row.raw = statistics.median(limit)
                row.value = median - row.raw
            rows.append(row)
        return rows


ALL_NAMES = "llmwire, all names"

# --- importing ----------------------------------------------------------------------------------


def import_rows(bench: Bench, chosen: Iterable[Spec], rounds: int) -> list[Row]:
    """The CPU time of a process that imports a library, above that of one that imports nothing."""
    raw = BY_NAME["raw"]
    specs = [raw, *(s for s in chosen if s.imports and s is not raw)]
    if BY_NAME["llmwire"] in specs:
        specs.append(BY_NAME["llmwire"]._replace(name=ALL_NAMES, imports="from llmwire import *"))
    times: dict[str, list[float]] = {}
    for i in range(rounds + 1):
        for spec in specs:
            if spec.name in bench.missing or (spec.is_peer and i > 2):
                continue
            try:
                python = interpreter_of(spec)
                used = _child_cpu(python, spec.imports) - _child_cpu(python, "pass")
            except (UnavailableError, subprocess.CalledProcessError) as e:
                bench.missing[f"{spec.name}, import"] = str(e)
                continue
            if i:  # the first round compiles
                times.setdefault(spec.name, []).append(used * 1e3)
    rows = []
    for name, own in times.items():
        limit = times["raw"]
        ratio = statistics.median(o / r for o, r in zip(own, limit, strict=False))
        budget = 1.3 if name == "llmwire" else None
        scenario = "import all names" if name == ALL_NAMES else "import"
        driver = "llmwire" if name == ALL_NAMES else name
        value, middle = statistics.median(own), statistics.median(limit)
        rows.append(Row(scenario, driver, "ms", value, middle, ratio, budget, len(own)))
    return rows


def _child_cpu(python: str, code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [python, "-c", code], check=True, capture_output=True, cwd=ROOT, env=driver_variables()
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def raise_file_limit() -> None:
    """A thousand streams need a thousand sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
