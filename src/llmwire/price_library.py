"""Prices from the library `genai-prices` (the extra `prices`), for those who want its newest ones.

The catalogue that is shipped was made from it and needs no library; the library knows prices of
other days and tiers, and those that change with the time of day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .config import ModelConfig, ProviderConfig
from .errors import ConfigError
from .pricing import STANDARD_TIERS, Prices

_PRICED = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_long": "cache_write_1h_mtok",
}
"""Our buckets, and the library's units (genai-prices 0.2.3)."""


def library_prices(
    model: ModelConfig | str,
    provider: ProviderConfig,
    *,
    when: datetime | None = None,
    service_tier: str | None = None,
) -> Prices | None:
    """The library's prices for a model, found by the provider's address; None if it knows none.

    `when` is the time of the call (None: now), `service_tier` the tier that answered. Raises
    `ConfigError` if the library is not installed.
    """
    try:
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot
    except ImportError as e:
        raise ConfigError(
            f'prices by library need the extra: pip install "llmwire[prices]" ({e})'
        ) from None
    name = model if isinstance(model, str) else model.name
    moment = when or datetime.now(tz=UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    tier = None if service_tier in STANDARD_TIERS else service_tier
    url = provider.api_base or ("https://aiplatform.googleapis.com" if provider.project_id else "")
    try:
        owner, found = get_snapshot().find_provider_model(name, None, None, url)
    except LookupError:
        return None
    if not any(found is own for own in owner.models):
        return None  # a guess from another provider's list
    listed = found.get_prices(moment, {"service_tier": tier} if tier else None)
    if tier is not None and listed == found.get_prices(moment):
        return None
    source = f"genai-prices {genai_prices.__version__}, {moment:%Y-%m-%d}"
    return prices_from(listed, source, tier)


def prices_from(listed: Any, source: str, service_tier: str | None = None) -> Prices:
    """The library's prices of one model as ours; a larger prompt's prices with them."""
    found = {ours: getattr(listed, theirs, None) for ours, theirs in _PRICED.items()}
    starts = sorted(
        {tier.start for price in found.values() for tier in getattr(price, "tiers", ())}
    )
    prices: Prices | None = None
    for start, above in zip(reversed([-1, *starts]), (None, *reversed(starts)), strict=True):
        by_bucket = {name: _from(price, start) for name, price in found.items()}
        prices = Prices(
            **by_bucket, above=above, larger=prices, service_tier=service_tier, source=source
        )
    assert prices is not None
    return prices


def _from(price: Any, start: int) -> float | None:
    """The price of prompts of more than `start` tokens."""
    for tier in reversed(getattr(price, "tiers", ())):
        if start >= tier.start:
            return float(tier.price)
    base = getattr(price, "base", price)
    return None if base is None else float(base)
