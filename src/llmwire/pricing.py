"""What a call cost, as far as that is known. Nothing is guessed."""

from __future__ import annotations

from msgspec import Struct

from .config import ModelConfig
from .types import LLMUsage


class Cost(Struct, frozen=True, omit_defaults=True):
    """Dollars for one call.

    `total` is None unless all of it is known; `known` is the sum of what is, a lower bound, and
    `missing` names the rest (a price or a count).
    """

    total: float | None
    known: float = 0.0
    missing: tuple[str, ...] = ()


def cost_of(usage: LLMUsage | None, model: ModelConfig) -> Cost:
    """The cost by the model's prices. Tokens read from or written to a cache have prices of their
    own, which a `ModelConfig` does not hold: they are missing, not free."""
    usage = usage or LLMUsage()
    known = 0.0
    missing = []
    cached = (usage.cache_read or 0) + (usage.cache_write or 0)
    plain = usage.input_uncached
    if plain is None and usage.input_total is not None:
        plain = usage.input_total - cached
    for what, tokens, price in (
        ("input", plain, model.input_price),
        ("output", usage.output_total, model.output_price),
    ):
        if tokens is None:
            missing.append(f"{what} tokens")
        elif tokens and price is None:
            missing.append(f"{what} price")
        elif tokens and price is not None:
            known += tokens * price / 1_000_000
    # A model that costs nothing (a local one) has nothing cheaper for its cache either.
    if cached and model.input_price != 0:
        missing.append("price of cached tokens")
    return Cost(None if missing else known, known, tuple(missing))
