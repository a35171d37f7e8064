"""What a call cost, bucket by bucket, as far as that is known. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from msgspec import Struct

from .config import ModelConfig, ProviderConfig
from .providers import PROVIDERS
from .types import JSON, LLMUsage
from .usage import Provenance

STANDARD_TIERS = (None, "default", "standard", "auto", "on_demand")
"""Service tiers that the list prices are for: OpenAI, Anthropic and Mistral, OpenAI's name for
what it chose not to tell, Groq (recorded replies of 2026)."""

CONFIGURATION = "configuration"
"""The source of what the user wrote."""

USD_PER_TICK = 1e-10
"""xAI's cost_in_usd_ticks. https://docs.x.ai/developers/cost-tracking (read 2026-11-25)."""


class Prices(Struct, frozen=True, omit_defaults=True):
    """Dollars per million tokens; None is unknown, never free.

    A prompt of more than `above` tokens is paid by `larger` as a whole, its output too.
    """

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    """Of the wire's shorter lifetime: 5 or 30 minutes."""
    cache_write_long: float | None = None
    """Of its longer lifetime: 1 or 12 hours."""
    above: int | None = None
    larger: Prices | None = None
    service_tier: str | None = None
    """The tier that these are for; None: the standard one."""
    source: str = ""
    """Who says so, and when."""


class Cost(Struct, frozen=True, omit_defaults=True):
    """Dollars for one call, or for several (`+`).

    `total` is None unless all of it is known; `known` is the sum of what is, a lower bound, and
    `missing` says what the rest is. The buckets are disjoint; one is None if nothing is known of
    it. Reasoning is part of `output`.
    """

    total: float | None
    known: float = 0.0
    missing: tuple[str, ...] = ()
    input: float | None = None
    """What was neither read from a cache nor written to one."""
    cache_read: float | None = None
    cache_write: float | None = None
    output: float | None = None
    provenance: Provenance = "reported"
    """Of the tokens: see `LLMUsage`."""
    source: str = ""
    """Of the prices; `provider`: it told the cost itself."""

    def __add__(self, other: Cost) -> Cost:
        """Both together. `Cost(0.0)` changes nothing but the buckets that nobody told."""
        if not isinstance(other, Cost):
            return NotImplemented

        def both(a: float | None, b: float | None) -> float | None:
            return None if a is None or b is None else a + b

        order = ("reported", "partial", "estimated")
        return Cost(
            both(self.total, other.total),
            self.known + other.known,
            tuple(dict.fromkeys(self.missing + other.missing)),
            both(self.input, other.input),
            both(self.cache_read, other.cache_read),
            both(self.cache_write, other.cache_write),
            both(self.output, other.output),
            max(self.provenance, other.provenance, key=order.index),
            self.source if self.source == other.source else "",
        )


def prices_of(model: ModelConfig, provider: ProviderConfig | None = None) -> Prices:
    """The prices that the configuration gives for a model, else those of the catalogue.

    The two are never mixed. A price in the catalogue is that of one provider, found by its name
    (`model.provider`); with `provider`, a known name at another address (a gateway) has none.
    """
    from .catalogue import facts_of

    prices = facts_of(model, provider.name if provider is not None else "").prices or Prices()
    if provider is None or prices.source == CONFIGURATION or provider.name not in PROVIDERS:
        return prices
    here, known = urlsplit(provider.api_base), urlsplit(PROVIDERS[provider.name].api_base)
    return prices if here.hostname == known.hostname else Prices()


def cost_of(usage: LLMUsage | None, model: ModelConfig, prices: Prices | None = None) -> Cost:
    """What these tokens cost, by `prices` or else by `prices_of(model)`.

    Input of which nobody tells how much came from a cache counts as uncached, unless reads from a
    cache have a price. A cost that the provider told is taken as it is. Usage of a reply that was cut off has
    provenance `partial`: its cost has no total, and `known` is what it cost at least. The usage
    should be that of one call, since some prices depend on its size: add costs, not usages.
    """
    usage = usage or LLMUsage()
    told = reported_cost(usage)
    if told is not None and usage.provenance == "reported":
        return Cost(told, told, source="provider")
    bill = _Bill(usage, prices or prices_of(model))
    return bill.cost()


class _Bill:
    """The sum of one call, and what is missing from it."""

    def __init__(self, usage: LLMUsage, prices: Prices) -> None:
        self.usage = usage
        self.missing: list[str] = []
        self.extra = 0.0  # known to be owed, but to no bucket as a whole
        self.source = prices.source
        total = usage.input_total
        while prices.above is not None and prices.larger is not None:
            if total is None:
                self.missing.append(f"whether the prompt has more than {prices.above} tokens")
            if total is None or total <= prices.above:
                break
            prices = prices.larger
        self.prices = prices

    def cost(self) -> Cost:
        usage, prices = self.usage, self.prices
        if usage.service_tier != prices.service_tier and not (
            usage.service_tier in STANDARD_TIERS and prices.service_tier in STANDARD_TIERS
        ):
            missing = f"prices of service tier {usage.service_tier}"
            return Cost(None, 0.0, (missing,), provenance=usage.provenance, source=self.source)
        cached = prices.cache_read
        if cached is None and prices.input == 0:
            cached = 0.0  # what costs nothing (a local model) costs less from no cache
        fresh = self.fresh(cached)
        read = None
        if usage.cache_read is not None:
            read = self.amount("cache read", usage.cache_read, cached)
        written = self.written()
        output = self.amount("output", usage.output_total, prices.output)
        self.missing += _beyond(usage)
        if usage.provenance == "partial":
            self.missing.append("the rest of the reply")
        known = sum((x for x in (fresh, read, written, output) if x is not None), self.extra)
        return Cost(
            None if self.missing else known,
            known,
            tuple(self.missing),
            fresh,
            read,
            written,
            output,
            usage.provenance,
            self.source,
        )

    def amount(self, what: str, tokens: int | None, price: float | None) -> float | None:
        if tokens == 0:
            return 0.0
        if tokens is None:
            self.missing.append(f"{what} tokens")
            return None
        if price is None:
            self.missing.append(f"{what} price")
            return None
        return tokens * price / 1_000_000

    def fresh(self, cached: float | None) -> float | None:
        """Input beside the cache. Where nobody tells how much came from a cache that has a price
        of its own, only the cheaper price is sure."""
        usage, price = self.usage, self.prices.input
        tokens = usage.input_uncached
        if tokens is not None or usage.input_total is None:
            return self.amount("input", tokens, price)
        rest = max(0, usage.input_total - (usage.cache_read or 0) - (usage.cache_write or 0))
        if usage.cache_read is None and rest and cached not in (None, price):
            self.missing.append("cache read tokens")
            if cached is not None and price is not None:
                self.extra += rest * min(cached, price) / 1_000_000
            return None
        return self.amount("input", rest, price)

    def written(self) -> float | None:
        """Cache writes, each lifetime by its price."""
        usage, prices = self.usage, self.prices
        short, long = prices.cache_write, prices.cache_write_long
        if prices.input == 0:
            short, long = short or 0.0, long or 0.0
        lifetimes = (
            usage.cache_write_5m,
            usage.cache_write_30m,
            usage.cache_write_1h,
            usage.cache_write_12h,
        )
        if usage.cache_write is None and all(n is None for n in lifetimes):
            return None
        brief = (usage.cache_write_5m or 0) + (usage.cache_write_30m or 0)
        lasting = (usage.cache_write_1h or 0) + (usage.cache_write_12h or 0)
        untold = max(0, (usage.cache_write or 0) - brief - lasting)
        if untold and short is not None and long not in (None, short):
            self.missing.append("lifetime of cache writes")
        parts = (
            self.amount("cache write", brief + untold, short),
            self.amount("long cache write", lasting, long),
        )
        known = sum(x for x in parts if x is not None)
        if None in parts:
            self.extra += known
            return None
        return known


def _beyond(usage: LLMUsage) -> Iterator[str]:
    """What costs more than the tokens of the buckets: only raises the sum."""
    for name, count in (usage.server_tool_calls or {}).items():
        if count:
            yield f"price of {name}"
    raw = usage.raw or {}
    if raw.get("inference_geo") not in (None, "global", "not_available"):
        yield f"surcharge for inference_geo {raw['inference_geo']}"
    # Anthropic: the totals leave these out, but they are billed (wire reference 3.6).
    steps = raw.get("iterations")
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict) and step.get("type") not in (None, "message"):
            yield f"iteration of type {step['type']}"
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        details = raw.get(name)
        if isinstance(details, dict) and details.get("audio_tokens"):
            yield f"price of audio tokens in {name}"


def reported_cost(usage: LLMUsage) -> float | None:
    """The dollars that the provider itself says the call cost; None if it says nothing.

    OpenRouter (`cost`; with a key of one's own, the upstream's share beside it), Perplexity
    (`cost.total_cost`) and xAI (`cost_in_usd_ticks`) do. Wire reference 8.1; recorded replies.
    """
    raw = usage.raw or {}
    ticks, cost = _number(raw.get("cost_in_usd_ticks")), raw.get("cost")
    if ticks is not None:
        return ticks * USD_PER_TICK
    if isinstance(cost, dict):
        return _number(cost.get("total_cost"))
    amount = _number(cost)
    if amount is None or raw.get("is_byok") is not True:
        return amount
    details = raw.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, dict) else None
    share = _number(upstream)
    return None if share is None else amount + share


def _number(value: JSON) -> float | None:
    return float(value) if type(value) in (int, float) and value >= 0 else None
