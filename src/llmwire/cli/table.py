"""Plain tables: columns as wide as their cells, two spaces between, no frames."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from .terminal import safe


def width(text: str) -> int:
    """How many columns a terminal gives the text: East Asian wide ones take two, marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def render(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    style_head: Callable[[str], str] = str,
) -> str:
    """The table as lines. Columns in `right` are flushed right; cells are made safe."""
    cells = [[safe(c).replace("\n", " ").replace("\t", " ") for c in r] for r in (head, *rows)]
    widths = [max(width(r[i]) for r in cells) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = []
        for i, cell in enumerate(row):
            space = " " * (widths[i] - width(cell))
            padded.append(space + cell if i in right else cell + space)
        return "  ".join(padded).rstrip()

    return "\n".join([style_head(line(cells[0])), *(line(row) for row in cells[1:])])
