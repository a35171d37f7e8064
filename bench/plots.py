"""The plots, as SVG from plain strings; readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from .drivers import BY_NAME
from .measure import Row

STYLE = """
svg { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.page { fill: #ffffff; } text { fill: #24292f; font-size: 13px; }
.title { font-size: 17px; font-weight: 600; } .small, .tick { fill: #57606a; font-size: 12px; }
.value { font-size: 12px; font-variant-numeric: tabular-nums; }
.own { font-weight: 600; }
.grid { stroke: #d0d7de; stroke-width: 1; } .limit { stroke: #57606a; stroke-dasharray: 4 3; }
.c-own { fill: #0969da; stroke: #0969da; } .c-raw { fill: #57606a; stroke: #57606a; }
.c-peer { fill: #bc4c00; stroke: #bc4c00; } .bar { stroke: none; } .soft { opacity: 0.45; }
.line { fill: none; stroke-width: 2; } .second { stroke-dasharray: 6 4; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; } text { fill: #e6edf3; } .small, .tick { fill: #9198a1; }
  .grid { stroke: #30363d; } .limit { stroke: #9198a1; }
  .c-own { fill: #4493f8; stroke: #4493f8; } .c-raw { fill: #9198a1; stroke: #9198a1; }
  .c-peer { fill: #f0883e; stroke: #f0883e; } .bar { stroke: none; } .line { fill: none; }
}
"""
WIDTH = 860


def _class_of(driver: str) -> str:
    if driver.startswith("raw"):
        return "c-raw"
    return "c-own" if driver.startswith("llmwire") else "c-peer"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _svg(height: float, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title>\n<desc>{escape(description)}</desc>\n"
        f"<style>{STYLE}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height:.0f}" rx="8"/>\n'
        + "\n".join([_text(24, 34, title, "title"), *parts])
        + "\n</svg>\n"
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _decades(low: float, high: float) -> list[tuple[float, bool]]:
    """The lines of a logarithmic axis, and which of them are labelled."""
    marks = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        marks += [(10.0**power * step, step != 5) for step in (1, 2, 5)]
    return [(value, step) for value, step in marks if low <= value <= high]


# --- cost per chunk -----------------------------------------------------------------------------


def _by_driver(rows: Sequence[Row], scenarios: Sequence[str]) -> dict[str, float]:
    """The first of these scenarios that a driver has a figure for."""
    found: dict[str, float] = {}
    for scenario in scenarios:
        for row in rows:
            if row.scenario == scenario:
                found.setdefault(row.driver, row.value)
    return found


def chunk_cost(rows: Sequence[Row]) -> str:
    """Bars: what a streamed chunk costs, by library."""
    paced = _by_driver(rows, ("paced-text", "paced-messages"))
    burst = _by_driver(rows, ("burst-text", "burst-messages"))
    drivers = sorted(set(paced) & set(burst), key=lambda name: paced[name])
    if not drivers:
        return _svg(80, "CPU for a streamed chunk", "No figures.", [_text(24, 60, "No figures.")])
    values = [*(paced[d] for d in drivers), *(burst[d] for d in drivers)]
    low, high = min(values) / 1.6, max(values) * 1.6
    left, right, top, step = 190.0, WIDTH - 40.0, 100.0, 42.0
    bottom = top + step * len(drivers)

    def x(value: float) -> float:
        share = math.log(value / low) / math.log(high / low)
        return left + (right - left) * share

    parts = [
        _text(
            24, 56, "Microseconds of CPU for each chunk. Logarithmic: shorter is cheaper.", "small"
        ),
        '<rect class="c-own bar" x="24" y="70" width="12" height="12"/>',
        _text(42, 80, "each chunk a packet of its own, as models stream", "small"),
        '<rect class="c-own bar soft" x="370" y="70" width="12" height="12"/>',
        _text(388, 80, "many chunks in one block", "small"),
    ]
    for value, labelled in _decades(low, high):
        parts.append(_line(x(value), top - 4, x(value), bottom, "grid"))
        if labelled:
            parts.append(_text(x(value), bottom + 18, f"{value:,g}", "tick", "middle"))
    parts.append(_text((left + right) / 2, bottom + 38, "µs of CPU per chunk", "small", "middle"))
    for i, name in enumerate(drivers):
        y = top + step * i
        colour = _class_of(name)
        own = "own" if colour == "c-own" else ""
        parts.append(_text(left - 10, y + 23, BY_NAME[name].label, own, "end"))
        for value, at, soft in ((paced[name], y + 4, ""), (burst[name], y + 20, " soft")):
            width = max(1.0, x(value) - left)
            parts.append(
                f'<rect class="{colour} bar{soft}" x="{left:.1f}" y="{at:.1f}" '
                f'width="{width:.1f}" height="14" rx="2"/>'
            )
            parts.append(_text(left + width + 6, at + 11, number(value), "value"))
    said = "; ".join(f"{BY_NAME[d].label} {number(paced[d])}" for d in drivers)
    return _svg(bottom + 56, "CPU for a streamed chunk, by library", f"Paced, in us: {said}", parts)


# --- growth with history ------------------------------------------------------------------------

COUNTS = (10, 100, 1000)


def _curves(rows: Sequence[Row]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        for count in COUNTS:
            for turn in ("first", "second"):
                if row.scenario == f"history-{count} {turn}":
                    found.setdefault((row.driver, turn), {})[count] = row.value
    return {
        key: [values[count] for count in COUNTS]
        for key, values in found.items()
        if len(values) == len(COUNTS)
    }


def _spread(wanted: list[tuple[float, str]], gap: float, top: float) -> dict[str, float]:
    """Places labels near where they belong, none on another."""
    placed: dict[str, float] = {}
    last = top - gap
    for y, key in sorted(wanted):
        last = max(y, last + gap)
        placed[key] = last
    return placed


def history_cost(rows: Sequence[Row]) -> str:
    """Lines: what a call costs as its history grows."""
    shown = {"raw", "llmwire"} | {name for name, spec in BY_NAME.items() if spec.is_peer}
    curves = {
        key: values
        for key, values in _curves(rows).items()
        if key[0] in shown and (key[1] == "first" or key[0] in ("llmwire", "raw"))
    }
    title = "CPU for one call, as its history grows"
    if not curves:
        return _svg(80, title, "No figures.", [_text(24, 60, "No figures.")])
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values) / 1.5, max(values) * 1.5
    left, right, top, bottom = 74.0, WIDTH - 270.0, 84.0, 440.0

    def x(count: int) -> float:
        share = math.log(count / COUNTS[0]) / math.log(COUNTS[-1] / COUNTS[0])
        return left + (right - left) * share

    def y(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / low) / math.log(high / low)

    note = "Milliseconds of CPU, 20 tools, both axes logarithmic. Dashed: the second turn."
    parts = [_text(24, 56, note, "small")]
    for value, labelled in _decades(low, high):
        parts.append(_line(left, y(value), right, y(value), "grid"))
        if labelled:
            parts.append(_text(left - 8, y(value) + 4, f"{value:g} ms", "tick", "end"))
    for count in COUNTS:
        parts.append(_line(x(count), top, x(count), bottom, "grid"))
        parts.append(_text(x(count), bottom + 18, f"{count:,}", "tick", "middle"))
    middle = (left + right) / 2
    parts.append(_text(middle, bottom + 38, "messages in the conversation", "small", "middle"))
    ends = [(y(curve[-1]), f"{name} {turn}") for (name, turn), curve in curves.items()]
    places = _spread(ends, 17, top)
    for (name, turn), curve in sorted(curves.items(), key=lambda c: _class_of(c[0][0])):
        colour = _class_of(name)
        dashed = " second" if turn == "second" else ""
        points = " ".join(f"{x(c):.1f},{y(v):.1f}" for c, v in zip(COUNTS, curve, strict=True))
        parts.append(f'<polyline class="{colour} line{dashed}" points="{points}"/>')
        for count, value in zip(COUNTS, curve, strict=True):
            parts.append(
                f'<circle class="{colour}" cx="{x(count):.1f}" cy="{y(value):.1f}" r="3"/>'
            )
        at = places[f"{name} {turn}"]
        parts.append(_line(right + 4, y(curve[-1]), right + 22, at, "grid"))
        said = BY_NAME[name].label + (", second turn" if turn == "second" else "")
        own = "own" if colour == "c-own" else ""
        parts.append(_text(right + 26, at + 4, f"{said}: {number(curve[-1])} ms", own))
    height = max(bottom + 56, max(places.values()) + 24)
    described = "; ".join(
        f"{BY_NAME[n].label} {t}: {', '.join(map(number, c))} ms" for (n, t), c in curves.items()
    )
    return _svg(height, title, f"At 10, 100 and 1,000 messages: {described}", parts)
