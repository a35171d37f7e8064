"""What was tried, and the table of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Outcome = Literal["passed", "failed", "not there", "not run"]
MARKS: dict[Outcome, str] = {
    "passed": "passed",
    "failed": "FAILED",
    "not there": "-",
    "not run": "NOT RUN",
}


class Result(NamedTuple):
    """One cell: this check, between these two, over this wire."""

    client: str
    server: str
    wire: str
    check: str
    outcome: Outcome
    detail: str = ""


CHECKS = (
    "whole",
    "streamed",
    "tools",
    "tools streamed",
    "thinking",
    "output",
    "stop",
    "length",
    "counting",
    "cancel",
    "cut call",
    "errors",
)


def _place(check: str) -> tuple[int, str]:
    return (CHECKS.index(check) if check in CHECKS else len(CHECKS), check)


def render(results: Sequence[Result]) -> str:
    """The table: a row for each pair and wire, a column for each check."""
    checks = sorted({r.check for r in results}, key=_place)
    rows: dict[tuple[str, str, str], dict[str, Result]] = {}
    for result in results:
        rows.setdefault((result.client, result.server, result.wire), {})[result.check] = result
    lines = [["client", "server", "wire", *checks]]
    for names, cells in rows.items():
        marks = [MARKS[cells[c].outcome] if c in cells else "" for c in checks]
        lines.append([*names, *marks])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def summary(results: Sequence[Result]) -> str:
    """Why cells failed or were not run or are not there, and how many of each there are."""
    lines = []
    for outcome in ("not there", "not run", "failed"):
        for r in results:
            if r.outcome == outcome:
                place = f"{r.client} -> {r.server}, {r.wire}, {r.check}"
                lines.append(f"{MARKS[r.outcome]:7} {place}: {r.detail}")
    counts = {o: sum(r.outcome == o for r in results) for o in MARKS}
    lines.append(
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['not run']} skipped"
    )
    return "\n".join(lines)
