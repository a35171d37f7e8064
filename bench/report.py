"""The figures for people: a table for the terminal, a page with plots for the documents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from . import plots
from .checks import ahead_of_llmwire
from .drivers import BY_NAME
from .environments import ROOT
from .measure import Row

PAGE = ROOT / "docs" / "performance.md"
COMMAND = "python -m bench --all --write"


class Report(msgspec.Struct):
    """One run."""

    rows: list[Row]
    missing: dict[str, str]
    """Why there is no figure: by driver, or by driver and scenario."""
    versions: dict[str, str]
    machine: dict[str, str]
    seconds: float


def label(driver: str) -> str:
    return BY_NAME[driver].label if driver in BY_NAME else driver


def number(value: float) -> str:
    """Three digits that matter."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def mark(row: Row) -> str:
    return "" if row.met is None else "met" if row.met else "MISSED"


# --- the terminal -------------------------------------------------------------------------------


def table(report: Report) -> str:
    lines = [
        f"{'scenario':32}{'driver':18}{'cost':>10} {'unit':12}{'raw':>10}{'ratio':>9}  budget",
    ]
    before = ""
    for row in report.rows:
        name = row.scenario if row.scenario != before else ""
        before = row.scenario
        raw = number(row.raw) if row.raw is not None else ""
        ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
        budget = f"{row.budget:g} {mark(row)}" if row.budget is not None else ""
        lines.append(
            f"{name:32}{row.driver:18}{number(row.value):>10} {row.unit:12}{raw:>10}{ratio:>9}"
            f"  {budget}".rstrip()
        )
    for peer, own in ahead_of_llmwire(report.rows):
        lines.append(f"ahead of llmwire: {label(peer.driver)} in {_compared(peer, own)}")
    for what, why in report.missing.items():
        lines.append(f"not measured: {what}: {why}")
    lines += ["", ", ".join(f"{k} {v}" for k, v in report.machine.items())]
    lines += [
        ", ".join(dict.fromkeys(report.versions.values())),
        f"measured in {report.seconds:.0f} s",
    ]
    return "\n".join(lines)


def _compared(peer: Row, own: Row) -> str:
    said = f"{peer.scenario}: {number(peer.value)} {peer.unit}, llmwire {number(own.value)}"
    if peer.ratio is not None and own.ratio is not None:
        said += f" ({peer.ratio:.2f} x and {own.ratio:.2f} x raw)"
    return said


# --- the page -----------------------------------------------------------------------------------

TABLES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Streams, each event a packet of its own",
        "Microseconds of CPU for a chunk, as a model streams: one token a packet.",
        (
            ("paced-text", "text"),
            ("paced-tools", "tool calls"),
            ("paced-reasoning", "reasoning"),
            ("paced-messages", "Messages events"),
        ),
    ),
    (
        "Streams, in large blocks",
        "Microseconds of CPU for a chunk, when a server or a proxy sends many at once.",
        (
            ("burst-text", "text"),
            ("burst-tools", "tool calls"),
            ("burst-reasoning", "reasoning"),
            ("burst-messages", "Messages events"),
        ),
    ),
    (
        "Small calls",
        "Microseconds of CPU for a call, on connections that are kept.",
        (
            ("call", "one"),
            ("call-tls", "one, TLS"),
            ("together", "64 at once"),
            ("together-tls", "64 at once, TLS"),
        ),
    ),
    (
        "Long conversations",
        "Milliseconds of CPU for a call with 20 tools; the second turn adds two messages.",
        (
            ("history-10 first", "10 messages"),
            ("history-100 first", "100 messages"),
            ("history-1000 first", "1,000 messages"),
            ("history-1000 second", "1,000, second turn"),
        ),
    ),
    (
        "Large tool results",
        "Milliseconds of CPU for a call.",
        (("result-1MB", "1 MB"), ("result-10MB", "10 MB")),
    ),
    (
        "Putting a reply together",
        "Microseconds of CPU for a chunk, streamed in large blocks and summed up.",
        (
            ("gather-1000", "1,000 chunks"),
            ("gather-10000", "10,000"),
            ("gather-50000", "50,000"),
            ("sum-1000", "1,000, by `+`"),
            ("sum-50000", "50,000, by `+`"),
        ),
    ),
    (
        "500 slow streams at once",
        "Ten events a second each. The lag is how late a timer of 10 ms fires (99th percentile).",
        (
            ("slow-500", "µs/chunk, 10 s"),
            ("slow-500-short", "µs/chunk, 3 s"),
            ("slow-500-short lag p99", "lag, ms"),
        ),
    ),
    (
        "1,000 slow streams at once",
        "Five events a second each. Memory is what an open stream takes above the raw reader's.",
        (
            ("slow-1000", "µs/chunk"),
            ("slow-1000 lag p50", "lag p50, ms"),
            ("slow-1000 lag p99", "lag p99, ms"),
            ("slow-1000 memory", "memory, kB/stream"),
        ),
    ),
    (
        "Importing and installing",
        "Milliseconds of CPU above a Python that imports nothing; what the first call of a process "
        "costs above the second; what an installation brings besides the library, and its size.",
        (
            ("import", "import, ms"),
            ("import all names", "with all names used, ms"),
            ("first-call", "first call, ms"),
            ("installed", "distributions"),
            ("installed size", "MB"),
        ),
    ),
)


def cell(row: Row | None) -> str:
    if row is None:
        return ""
    shown = f"{row.value:.0f}" if row.unit == "distributions" else number(row.value)
    if row.ratio is not None and not BY_NAME[row.driver].is_raw:
        shown += f" ({row.ratio:.1f} x)" if row.ratio < 100 else f" ({row.ratio:,.0f} x)"
    return shown


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(head)
    align = ["---", *["---:"] * (len(titles) - 1)]
    return "".join("| " + " | ".join(line) + " |\n" for line in (titles, align, *rows))


def grid(report: Report, columns: tuple[tuple[str, str], ...]) -> str:
    """A table with a line for each driver and a column for each scenario."""
    found = {(row.scenario, row.driver): row for row in report.rows}
    drivers = [
        name for name in BY_NAME if any((scenario, name) in found for scenario, _ in columns)
    ]
    lines = [
        [label(name), *(cell(found.get((scenario, name))) for scenario, _ in columns)]
        for name in drivers
    ]
    return markdown(["", *(title for _, title in columns)], lines)


def targets(report: Report) -> str:
    lines = []
    for row in report.rows:
        if row.budget is None:
            continue
        is_ratio = row.ratio is not None
        measured = f"{row.ratio:.2f} x raw" if is_ratio else f"{number(row.value)} {row.unit}"
        limit = f"{row.budget:g} x raw" if is_ratio else f"{row.budget:g} {row.unit}"
        verdict = "yes" if row.met else "**no**"
        lines.append([row.scenario, label(row.driver), measured, limit, verdict])
    return markdown(["scenario", "driver", "measured", "at most", "met"], lines)


def page(report: Report) -> str:
    version = report.versions
    parts = [
        "# Performance",
        "What a client library takes in CPU is taken from its user's event loop, and bounds how "
        "many agents one process can carry. This page is written by the benchmark itself; nothing "
        "on it is typed in.",
        "![CPU for a streamed chunk, by library](performance/chunk-cost.svg)",
        "![CPU for a call, by length of its history](performance/history-cost.svg)",
        "## How it is measured",
        f"```console\n$ {COMMAND}\n```",
        "CPU time of the driver's process, on one core; a server that only repeats prepared bytes "
        "has another core. Each library runs in its own process, the libraries of others in their "
        "own environments from the package index. Their rounds alternate; a ratio is the median "
        "of the rounds' ratios to the raw reader in the same round. The raw reader is the least "
        "that can be done: an `asyncio.Protocol` that splits lines, decodes one typed field of "
        "each event and wakes its user once a packet. It checks nothing and is right for these "
        "bytes only. Every library must have read the same text as it, else its figure is left "
        "out. Variants on uvloop are compared with a raw reader on uvloop. The anthropic SDK "
        "speaks its own wire, and is compared with a raw reader of that.\n\n"
        "Events of paced streams come half a millisecond apart; a library slower than that reads "
        "several at once, which is cheaper for it.",
        "- Machine: " + ", ".join(f"{v} ({k})" if k == "cpu" else v for k, v in _machine(report)),
        "- Versions: " + ", ".join(dict.fromkeys(version.values())),
        f"- Duration of the run: {report.seconds / 60:.0f} minutes",
        "## Targets",
        targets(report).rstrip(),
    ]
    better = [
        f"- {label(peer.driver)} in `{peer.scenario}`" + _compared(peer, own)[len(peer.scenario) :]
        for peer, own in ahead_of_llmwire(report.rows)
    ]
    said = "Others are ahead of llmwire here:\n\n" if better else "No other library is ahead of it."
    parts.append(said + "\n".join(better))
    for title, text, columns in TABLES:
        lines = grid(report, columns)
        if lines.count("\n") > 2:
            parts += [f"## {title}", text, lines.rstrip()]
    if report.missing:
        missing = [f"- {_readable(what)}: {why}" for what, why in report.missing.items()]
        parts += ["## Not measured", "\n".join(missing)]
    return "\n\n".join(parts) + "\n"


def _machine(report: Report) -> list[tuple[str, str]]:
    named = {"python": "Python "}
    return [(k, named.get(k, "") + v) for k, v in report.machine.items()]


def _readable(what: str) -> str:
    driver, comma, scenario = what.partition(", ")
    return label(driver) + comma + scenario


def write(report: Report) -> list[Path]:
    """Writes the page and its plots; returns what was written."""
    pictures = PAGE.parent / "performance"
    pictures.mkdir(parents=True, exist_ok=True)
    chunk, history = pictures / "chunk-cost.svg", pictures / "history-cost.svg"
    chunk.write_text(plots.chunk_cost(report.rows), "utf-8")
    history.write_text(plots.history_cost(report.rows), "utf-8")
    PAGE.write_text(page(report), "utf-8")
    return [PAGE, chunk, history]
