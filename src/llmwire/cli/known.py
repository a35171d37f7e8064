"""`llmwire models --catalogue`: what is known of models, without asking anybody."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from ..catalogue import ModelFacts, all_facts, catalogue_sources
from ..types import to_builtins
from .common import UsageError, dollars
from .table import render
from .terminal import Terminal, safe


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    found = list(all_facts(args.provider or ""))
    if args.provider and not found:
        known = ", ".join(dict.fromkeys(f.provider for f in all_facts()))
        raise UsageError(f"the catalogue has nothing of {args.provider!r}, only of {known}")
    sources = [str(source) for source in catalogue_sources().values()]
    if args.json:
        terminal.json({"sources": sources, "models": [to_builtins(f) for f in found]})
        return 0
    show_provider = not args.provider
    head = ["MODEL", "CONTEXT", "OUTPUT", "SEES", "THINKING", "IN / OUT PER MILLION", "RETIRES"]
    rows_ = [_row(facts, show_provider) for facts in found]
    terminal.line(render(head, rows_, right=(1, 2), style_head=terminal.out_style.bold))
    terminal.line()
    terminal.line(safe(f"catalogue: {'; '.join(sources)}"))
    return 0


def _row(facts: ModelFacts, show_provider: bool) -> list[str]:
    return [
        f"{facts.provider}:{facts.name}" if show_provider else facts.name,
        _count(facts.context_window),
        _count(facts.max_output_tokens),
        _flag(facts.vision),
        _levels(facts),
        _prices(facts),
        facts.retires or "",
    ]


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _flag(value: bool | None) -> str:
    return "?" if value is None else "yes" if value else "no"


def _levels(facts: ModelFacts) -> str:
    if facts.thinking:
        first, last = facts.thinking[0], facts.thinking[-1]
        return first if first == last else f"{first} to {last}"
    return _flag(facts.thinks)


def _prices(facts: ModelFacts) -> str:
    if facts.prices is None:
        return "?"
    both: Iterable[float | None] = (facts.prices.input, facts.prices.output)
    text = " / ".join("?" if p is None else dollars(p) for p in both)
    return text if facts.prices.above is None else f"{text} up to {facts.prices.above:,}"
