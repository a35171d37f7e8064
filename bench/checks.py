"""What can only be said of several figures together."""

from __future__ import annotations

from collections.abc import Sequence

from .drivers import BY_NAME
from .measure import Row

NOT_COMPARED = ("installed", "leak", "first-call")
"""Scenarios whose figures are no cost of the same work."""


def growth_rows(rows: Sequence[Row]) -> list[Row]:
    """Whether putting a long reply together costs per chunk what a short one costs."""
    found = {(row.scenario, row.driver): row for row in rows}
    made = []
    for method in ("gather", "sum"):
        for driver in BY_NAME:
            short, long = (found.get((f"{method}-{n}", driver)) for n in (1000, 50_000))
            if short is not None and long is not None:
                grown = long.value / short.value
                row = Row(f"{method}-50000 per {method}-1000", driver, "x", grown)
                row.budget = 1.3 if driver == "llmwire" else None
                made.append(row)
    return made


def ahead_of_llmwire(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each peer's figure that is better than llmwire's, with llmwire's.

    A peer on another wire format is compared by its ratio to the raw reader of that format.
    """
    ours = {row.scenario: row for row in rows if row.driver == "llmwire"}
    found = []
    for row in rows:
        own = ours.get(row.scenario)
        if own is None or not BY_NAME[row.driver].is_peer:
            continue
        if row.scenario.startswith(NOT_COMPARED) or row.unit == "x":
            continue
        ratios = row.ratio is not None and own.ratio is not None
        same_wire = row.raw == own.raw
        better = row.value < own.value
        if ratios and not same_wire:
            better = (row.ratio or 0) < (own.ratio or 0)
        if better:
            found.append((row, own))
    return found
