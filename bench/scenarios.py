"""What is measured, and what it may cost llmwire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from .drivers import Spec

PAUSE_US = 500
"""Between the events of a paced stream: long enough that each is read alone by most drivers."""
NOBODY: Mapping[str, float] = {}


def budgets(llmwire: float, **others: float) -> Mapping[str, float]:
    named = {f"llmwire-{name}": value for name, value in others.items()}
    return {"llmwire": llmwire, **named}


class Figure(NamedTuple):
    """A number made from what a driver answers."""

    unit: str
    field: str = "cpu"
    factor: float = 1.0
    relation: Literal["ratio", "difference", "value"] = "ratio"
    """To the raw driver's figure of the same round."""
    budgets: Mapping[str, float] = NOBODY
    """By driver."""
    suffix: str = ""
    """Added to the scenario's name."""

    def values(self, answers: Sequence[Mapping[str, Any]]) -> list[float]:
        if self.field == "sizes":
            return [(a["sizes"][-1] - a["sizes"][0]) * self.factor for a in answers]
        if self.field == "memory":  # of a fresh process only; later ones reuse what was freed
            return [a["memory"] * self.factor for a in answers]
        return [a[self.field] * self.factor for a in answers]


class Scenario(NamedTuple):
    name: str
    title: str
    op: str
    what: str
    """What the upstream is asked for."""
    figures: tuple[Figure, ...]
    options: Mapping[str, Any] = {}
    group: str = "streams"
    styles: tuple[str, ...] = ("openai",)
    strict: bool = False
    """Only drivers that speak these wire formats; else one may use its own instead."""
    rounds: int = 5
    peer_rounds: int = 2
    drivers: tuple[str, ...] = ()
    """None: all."""
    fresh: bool = False
    """Each run in a new process."""
    tls: bool = False
    quick: bool = False

    def takes(self, spec: Spec) -> bool:
        if self.strict and not set(self.styles) & set(spec.styles):
            return False
        return not self.drivers or spec.name in self.drivers

    def styles_of(self, spec: Spec) -> list[str]:
        both = [style for style in self.styles if style in spec.styles]
        return both or [spec.styles[0]]


def per(unit: str, count: int, limits: Mapping[str, float] = NOBODY) -> tuple[Figure, ...]:
    """Microseconds of CPU for each of so many."""
    return (Figure(f"us/{unit}", factor=1e6 / count, budgets=limits),)


PACED, BURST, DECODE = 150, 2000, 4000
OURS = ("raw", "llmwire", "llmwire-aiohttp", "llmwire-httpx2")
PEERS = ("lm15", "anthropic", "original", "openai", "pydantic-ai", "litellm")
KINDS = (
    ("text", "openai", "text"),
    ("tools", "openai", "tool-call deltas"),
    ("reasoning", "openai", "reasoning deltas"),
    ("text", "anthropic", "Messages events"),
)


def _streams() -> list[Scenario]:
    found = []
    for kind, style, title in KINDS:
        name = "messages" if style == "anthropic" else kind
        found.append(
            Scenario(
                f"paced-{name}",
                f"{title}, each a packet of its own",
                "stream",
                f"paced-{kind}-{PACED}-{PAUSE_US}",
                per("chunk", PACED, budgets(1.4, uvloop=1.1, aiohttp=1.7)),
                styles=(style,),
                strict=True,
                quick=kind == "text",
                rounds=13,
                peer_rounds=3,
            )
        )
    for kind, style, title in KINDS:
        name = "messages" if style == "anthropic" else kind
        found.append(
            Scenario(
                f"burst-{name}",
                f"{title}, in large blocks",
                "stream",
                f"burst-{kind}-{BURST}",
                per("chunk", BURST, budgets(2.0)),
                styles=(style,),
                strict=True,
                quick=True,
                rounds=7,
            )
        )
    for size, title in ((0, "an event a block"), (1, "64 KiB blocks")):
        found.append(
            Scenario(
                f"decode-{'burst' if size else 'single'}",
                f"decoding alone, {title}",
                "decode",
                "",
                per("chunk", DECODE),
                {"kind": "text", "count": DECODE, "size": size},
                styles=("openai", "anthropic", "openai-responses"),
                drivers=("raw", "llmwire"),
                quick=True,
                rounds=9,
            )
        )
    return found


def _calls() -> list[Scenario]:
    found = []
    for tls in (False, True):
        over = " over TLS" if tls else ""
        found.append(
            Scenario(
                "call-tls" if tls else "call",
                f"a small call on a kept connection{over}",
                "call",
                "small",
                per("call", 50, budgets(1.5)),
                {"count": 50},
                "calls",
                rounds=9,
                peer_rounds=3,
                tls=tls,
                quick=True,
            )
        )
        found.append(
            Scenario(
                "together-tls" if tls else "together",
                f"64 small calls at once{over}",
                "together",
                "small",
                per("call", 128, budgets(2.5)),
                {"count": 128, "at_once": 64},
                "calls",
                rounds=7,
                tls=tls,
                quick=not tls,
            )
        )
    found.append(
        Scenario(
            "parse",
            "decoding a whole answer of 2,000 words alone",
            "parse",
            "",
            per("answer", 50),
            {"count": 50},
            "calls",
            styles=("openai", "anthropic"),
            drivers=("raw", "llmwire"),
            quick=True,
            rounds=9,
        )
    )
    return found


def _slow(streams: int, seconds: int, rate: int, cost: float | None) -> tuple[Figure, ...]:
    limits = NOBODY if cost is None else budgets(cost)
    lag = budgets(2.0) if streams >= 1000 else NOBODY
    memory = budgets(60.0) if streams >= 1000 else NOBODY
    return (
        *per("chunk", streams * seconds * rate, limits),
        Figure("ms", "p50", 1e3, suffix=" lag p50"),
        Figure("ms", "p99", 1e3, budgets=lag, suffix=" lag p99"),
        Figure("kB/stream", "memory", 1e-3, "difference", memory, " memory"),
    )


def _many() -> list[Scenario]:
    found = []
    for name, streams, seconds, rate, cost, drivers, rounds in (
        ("slow-500", 500, 10, 10, 1.5, OURS[:3], 2),
        ("slow-500-short", 500, 3, 10, None, (*OURS[:2], *PEERS), 1),
        ("slow-1000", 1000, 5, 5, None, OURS[:3], 3),
    ):
        found.append(
            Scenario(
                name,
                f"{streams:,} slow streams at once for {seconds} s",
                "slow",
                f"slow-text-{seconds * rate}-{1000 // rate}",
                _slow(streams, seconds, rate, cost),
                {"streams": streams, "seconds": seconds},
                "many",
                rounds=rounds,
                peer_rounds=1,
                drivers=drivers,
                fresh=True,
            )
        )
    return found


def _histories() -> list[Scenario]:
    found = []
    for count in (10, 100, 1000):
        limits = budgets(0.8) if count == 1000 else NOBODY
        found.append(
            Scenario(
                f"history-{count}",
                f"a call with {count:,} messages and 20 tools",
                "history",
                "small",
                (
                    Figure("ms", "cpu", 1e3, suffix=" first"),
                    Figure("ms", "second", 1e3, budgets=limits, suffix=" second"),
                ),
                {"messages": count},
                "histories",
                rounds=9,
                peer_rounds=3,
                quick=count == 1000,
            )
        )
    for size in (1, 10):
        found.append(
            Scenario(
                f"result-{size}MB",
                f"a call with a tool result of {size} MB",
                "result",
                "small",
                (Figure("ms", "cpu", 1e3, budgets=budgets(1.2) if size == 10 else NOBODY),),
                {"size": size * 1_000_000},
                "histories",
                rounds=7,
                quick=size == 10,
            )
        )
    return found


def _gathering() -> list[Scenario]:
    found = []
    for count in (1000, 10_000, 50_000):
        for method, title in (("gather", "by the library's own means"), ("add_up", "by addition")):
            drivers: tuple[str, ...] = (*OURS, "llmwire-uvloop") if count > 10_000 else ()
            if method == "add_up":
                drivers = ("raw", "llmwire", "original")
            found.append(
                Scenario(
                    f"{'gather' if method == 'gather' else 'sum'}-{count}",
                    f"{count:,} chunks put together {title}",
                    "stream",
                    f"burst-text-{count}",
                    per("chunk", count, budgets(2.0) if count == 50_000 else NOBODY),
                    {"method": method},
                    "gathering",
                    rounds=3,
                    peer_rounds=1,
                    drivers=drivers,
                    quick=count != 10_000,
                )
            )
    return found


SCENARIOS: tuple[Scenario, ...] = (
    *_streams(),
    *_calls(),
    *_histories(),
    *_gathering(),
    *_many(),
    Scenario(
        "leak",
        "memory after 20,000 calls above that after 2,000",
        "leak",
        "small",
        (Figure("kB", "sizes", 1e-3, "value", budgets(1000.0)),),
        {"counts": [2000, 20_000]},
        "memory",
        rounds=1,
        drivers=OURS[:3],
        fresh=True,
    ),
    Scenario(
        "first-call",
        "what the first call of a process costs above the second",
        "first",
        "small",
        (Figure("ms", "cpu", 1e3, "value"),),
        group="import",
        rounds=3,
        peer_rounds=1,
        fresh=True,
        quick=True,
    ),
)
