"""What a call cost: every bucket by its price, and what nobody knows stays unknown."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers as library
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from llmwire import (
    ConfigError,
    Cost,
    GenericBackend,
    IncompleteStreamError,
    LLMChunk,
    LLMUsage,
    ModelConfig,
    Prices,
    ProviderConfig,
    cost_of,
    library_prices,
)
from llmwire.adapters.anthropic.blocks import usage_of as anthropic_usage
from llmwire.providers import PROVIDERS
from llmwire.testing import Fault, LocalServer, Reply
from strategies import usages

M = 1_000_000
PLAIN = ModelConfig("m", input_price=2.0, output_price=10.0)
CLAUDE = ModelConfig(
    "m", input_price=4.0, output_price=20.0, cache_read_price=0.2, cache_write_price=5.0,
    cache_write_long_price=8.0,
)  # fmt: skip
FREE = ModelConfig("m", input_price=0.0, output_price=0.0)


@pytest.mark.parametrize(
    ("usage", "model", "buckets"),
    [
        (LLMUsage(M, 100_000), PLAIN, (2.0, None, None, 1.0)),
        (LLMUsage(0, 0), ModelConfig("m"), (0.0, None, None, 0.0)),
        (LLMUsage(M, M, 400_000, 600_000, 0), CLAUDE, (1.6, 0.12, 0.0, 20.0)),
        (
            LLMUsage(M, 0, 0, 0, M, cache_write_5m=400_000, cache_write_1h=600_000),
            CLAUDE,
            (0.0, 0.0, 2.0 + 4.8, 0.0),
        ),
        (LLMUsage(M, 0, 0, 0, cache_write_30m=M), CLAUDE, (0.0, 0.0, 5.0, 0.0)),
        (LLMUsage(M, 0, 0, 0, cache_write_12h=M), CLAUDE, (0.0, 0.0, 8.0, 0.0)),
        (LLMUsage(10, 10, cache_read=5, cache_write=2), FREE, (0.0, 0.0, 0.0, 0.0)),
        (LLMUsage(M, 100_000, reasoning=90_000), PLAIN, (2.0, None, None, 1.0)),
        (LLMUsage(M, 0, service_tier="standard"), PLAIN, (2.0, None, None, 0.0)),
        (LLMUsage(M, 0, server_tool_calls={"web_search": 0}), PLAIN, (2.0, None, None, 0.0)),
    ],
)
def test_each_bucket_has_its_price(
    usage: LLMUsage, model: ModelConfig, buckets: tuple[float | None, ...]
) -> None:
    cost = cost_of(usage, model)
    assert (cost.input, cost.cache_read, cost.cache_write, cost.output) == pytest.approx(buckets)
    assert cost.missing == ()
    assert cost.total == cost.known == pytest.approx(sum(b for b in buckets if b is not None))
    assert cost.source == ("configuration" if model.input_price is not None else "")


@pytest.mark.parametrize(
    ("usage", "model", "known", "missing"),
    [
        (None, PLAIN, 0, ("input tokens", "output tokens")),
        (LLMUsage(M), PLAIN, 2.0, ("output tokens",)),
        (LLMUsage(10, 10), ModelConfig("m"), 0, ("input price", "output price")),
        (LLMUsage(M, 0, cache_read=500_000), PLAIN, 1.0, ("cache read price",)),
        (LLMUsage(M, 0, 400_000, None, 600_000), PLAIN, 0.8, ("cache write price",)),
        # The cache has a cheaper price, and nobody says how much came from it.
        (LLMUsage(M, 0), CLAUDE, 0.2, ("cache read tokens",)),
        # A write of either lifetime: the shorter is sure.
        (LLMUsage(M, 0, 0, 0, M), CLAUDE, 5.0, ("lifetime of cache writes",)),
        (
            LLMUsage(M, 0, 0, 0, M, cache_write_5m=M // 2, cache_write_1h=M // 2),
            replace(CLAUDE, cache_write_long_price=None),
            2.5,
            ("long cache write price",),
        ),
        (LLMUsage(M, 0, service_tier="flex"), PLAIN, 0, ("prices of service tier flex",)),
        (LLMUsage(M, 0, server_tool_calls={"web_search": 2}), PLAIN, 2.0, ("price of web_search",)),
        (
            LLMUsage(M, 0, raw={"inference_geo": "us"}),
            PLAIN,
            2.0,
            ("surcharge for inference_geo us",),
        ),
        (
            LLMUsage(M, 0, raw={"iterations": [{"type": "message"}, {"type": "compaction"}]}),
            PLAIN,
            2.0,
            ("iteration of type compaction",),
        ),
        (
            LLMUsage(M, 0, raw={"prompt_tokens_details": {"audio_tokens": 3}}),
            PLAIN,
            2.0,
            ("price of audio tokens in prompt_tokens_details",),
        ),
        (LLMUsage(M, 1, provenance="partial"), PLAIN, 2.00001, ("the rest of the reply",)),
    ],
)
def test_what_is_unknown_stays_unknown(
    usage: LLMUsage | None, model: ModelConfig, known: float, missing: tuple[str, ...]
) -> None:
    cost = cost_of(usage, model)
    assert cost.total is None
    assert cost.known == pytest.approx(known)
    assert cost.missing == missing


LONG = Prices(1.0, 2.0, above=100, larger=Prices(3.0, 5.0, above=1000, larger=Prices(7.0, 11.0)))


@pytest.mark.parametrize(
    ("tokens", "total"), [(100, 100 * 1 + 2), (101, 101 * 3 + 5), (1000, 3005), (1001, 7018)]
)
def test_a_larger_prompt_is_paid_as_a_whole(tokens: int, total: int) -> None:
    assert cost_of(LLMUsage(tokens, 1), PLAIN, LONG).total == pytest.approx(total / M)


def test_without_the_size_of_the_prompt_its_price_is_unknown() -> None:
    cost = cost_of(LLMUsage(None, M), PLAIN, LONG)
    assert (cost.total, cost.known) == (None, 2.0)
    assert "whether the prompt has more than 100 tokens" in cost.missing


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"cost": 0.95}, 0.95),
        ({"cost": 0}, 0.0),
        ({"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}}, 1.05),
        ({"cost": 0.05, "is_byok": False, "cost_details": {"upstream_inference_cost": 1}}, 0.05),
        ({"cost_in_usd_ticks": 37_756_000}, 0.0037756),
        ({"cost": {"input_tokens_cost": 1, "total_cost": 3}}, 3.0),
    ],
)
def test_a_cost_that_the_provider_told_is_taken(raw: dict[str, Any], told: float) -> None:
    cost = cost_of(LLMUsage(M, M, raw=raw), PLAIN)
    assert cost.total == pytest.approx(told)
    assert cost.source == "provider"


@pytest.mark.parametrize(
    "raw",
    [
        {"cost": "0.95"}, {"cost": True}, {"cost": -1}, {"cost": None}, {"cost": {}},
        {"cost": 0.05, "is_byok": True, "cost_details": {"upstream_inference_cost": None}},
        {"cost": 0.05, "is_byok": True},
    ],
)  # fmt: skip
def test_a_cost_that_is_none_is_computed(raw: dict[str, Any]) -> None:
    assert cost_of(LLMUsage(M, 0, raw=raw), PLAIN).source == "configuration"


prices = st.builds(
    Prices, *[st.none() | st.floats(0, 100)] * 5, st.none() | st.integers(0, M), st.just(LONG)
)


@given(usages, prices)
def test_the_known_part_is_the_sum_of_buckets_or_more(usage: LLMUsage, prices: Prices) -> None:
    cost = cost_of(usage, PLAIN, prices)
    buckets = [cost.input, cost.cache_read, cost.cache_write, cost.output]
    sums = sum(b for b in buckets if b is not None)
    assert cost.known >= sums or math.isclose(cost.known, sums)
    assert (cost.total is None) == bool(cost.missing)
    if cost.total is not None and cost.source != "provider":
        assert cost.total == pytest.approx(sums)
        assert usage.input_total is not None or usage.input_uncached is not None
        assert usage.output_total is not None
    assert cost.provenance in (usage.provenance, "reported")


@given(usages, prices)
def test_knowing_less_never_costs_more(usage: LLMUsage, prices: Prices) -> None:
    """A count or a price that is taken away lowers the lower bound and takes the total away."""
    usage = replace(usage, raw=None)
    whole = cost_of(usage, PLAIN, prices)
    told = usage.cache_read is not None or usage.input_uncached is not None
    for name in ("output", *(["cache_read"] if told else []), "cache_write"):
        less = cost_of(usage, PLAIN, replace(prices, **{name: None}))
        if prices.above is None:
            assert less.known <= whole.known or math.isclose(less.known, whole.known)
    less = cost_of(replace(usage, output_total=None), PLAIN, prices)
    assert less.known <= whole.known or math.isclose(less.known, whole.known)
    assert less.total is None


def test_costs_of_several_calls_add_up() -> None:
    whole, part = cost_of(LLMUsage(M, 0), PLAIN), cost_of(LLMUsage(M), PLAIN)
    both = whole + part
    assert (both.total, both.known, both.missing) == (None, 4.0, ("output tokens",))
    assert (both.input, both.output) == (4.0, None)
    again = sum([whole, whole], Cost(0.0))
    assert again.total == again.known == 4.0
    assert whole.__add__(1) is NotImplemented  # type: ignore[arg-type]


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_a_reply_that_was_cut_costs_at_least_what_had_come(wire: str) -> None:
    with LocalServer() as server:
        server.reply(
            Reply("Hello there.", usage=LLMUsage(M, 500, M, 0, 0), fault=Fault("end", events=2))
        )
        async with GenericBackend(provider=server.provider(wire)) as backend:
            with pytest.raises(IncompleteStreamError) as caught:
                async for _ in backend.complete_streaming(model="m", messages="Hi"):
                    pass
    partial = caught.value.partial
    assert partial is not None
    cost = cost_of(partial.usage, CLAUDE)
    assert cost.total is None
    if wire == "anthropic":  # it tells the prompt's tokens before it writes
        assert partial.usage is not None and partial.usage.provenance == "partial"
        assert cost.known == pytest.approx(4.0)
        assert cost.missing == ("the rest of the reply",)
    else:
        assert cost.missing == ("input tokens", "output tokens")


# --- the library ------------------------------------------------------------------------------

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SAMPLES = [
    (name, model.id)
    for name, owner in (("openai", "openai"), ("anthropic", "anthropic"), ("mistral", "mistral"))
    for own in library
    if own.id == owner
    for model in own.models[::5]
]


@pytest.mark.parametrize(("provider", "model"), SAMPLES)
def test_the_library_reckons_the_same(provider: str, model: str) -> None:
    row = PROVIDERS[provider]
    found = library_prices(model, row, when=NOON)
    if found is None or found.input is None or found.output is None:
        return
    assert "genai-prices" in found.source and "2026-11-24" in found.source
    for total in (1000, 250_000, 900_000):
        cached = found.cache_read is not None
        read, written = (300, 200) if cached and found.cache_write is not None else (0, 0)
        ours = cost_of(LLMUsage(total, 70, total - read - written, read, written,
                                cache_write_5m=written), ModelConfig(model), found)  # fmt: skip
        theirs = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=total, output_tokens=70, cache_read_tokens=read,
                cache_write_tokens=written,
            ),
            model,
            provider_api_url=row.api_base,
            genai_request_timestamp=NOON,
        )  # fmt: skip
        assert ours.total == pytest.approx(float(theirs.total_price))


def test_the_library_was_compared_where_prices_are_known() -> None:
    known = [library_prices(model, PROVIDERS[row], when=NOON) for row, model in SAMPLES]
    assert sum(p is not None and p.input is not None for p in known) > 20


def test_the_library_knows_tiers_and_days() -> None:
    openai = PROVIDERS["openai"]
    flex = library_prices("o3", openai, when=NOON, service_tier="flex")
    plain = library_prices("o3", openai, when=NOON, service_tier="default")
    before = library_prices("o3", openai, when=datetime(2025, 1, 1))
    assert flex is not None and plain is not None and before is not None
    assert flex.input is not None and plain.input is not None and before.input is not None
    assert flex.input < plain.input < before.input
    usage = LLMUsage(M, 0, M, 0, service_tier="flex")
    assert cost_of(usage, ModelConfig("o3"), flex).total == pytest.approx(flex.input)
    assert cost_of(usage, ModelConfig("o3"), plain).total is None
    assert library_prices("o3", openai, when=NOON, service_tier="no such tier") is None


def test_what_the_library_does_not_know_is_none() -> None:
    assert library_prices("no-such-model", PROVIDERS["openai"]) is None
    assert library_prices("m", ProviderConfig("own", "https://llm.example.com/v1")) is None
    assert library_prices(ModelConfig("claude-opus-5-5"), PROVIDERS["openai"]) is None
    azure = ProviderConfig("azure", "https://x.openai.azure.com/openai/v1")
    assert library_prices("gpt-6-luna", azure) is None  # only OpenAI's own price is known


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(ConfigError, match=r"llmwire\[prices\]"):
        library_prices("o3", PROVIDERS["openai"])


# --- usage ------------------------------------------------------------------------------------


def test_tools_and_tiers_of_two_calls() -> None:
    a = LLMUsage(1, 1, server_tool_calls={"web_search": 1}, service_tier="flex")
    b = LLMUsage(1, 1, server_tool_calls={"web_fetch": 2, "web_search": 1}, service_tier="flex")
    assert (a + b).server_tool_calls == {"web_search": 2, "web_fetch": 2}
    assert (a + b).service_tier == "flex"
    assert (a + LLMUsage(1, 1)).server_tool_calls is None
    assert (a + replace(b, service_tier="default")).service_tier is None
    assert a.merged(LLMUsage(2)).server_tool_calls == {"web_search": 1}


@given(usages, usages)
def test_merging_takes_the_newest_known(older: LLMUsage, newer: LLMUsage) -> None:
    merged = asdict(older.merged(newer))
    for name, value in asdict(newer).items():
        assert merged[name] == (value if value is not None else getattr(older, name)), name


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ["openai", "openai-responses", "anthropic", "reasoning"])
async def test_the_tier_that_answered_is_reported(wire: str, stream: bool) -> None:
    said = LLMUsage(10, 5, 6, 4, 0, service_tier="flex")
    if wire == "anthropic":
        said = replace(
            said, cache_write=3, input_total=13, cache_write_5m=1, cache_write_1h=2,
            server_tool_calls={"web_search_requests": 2},
        )  # fmt: skip
    if wire == "openai-responses":
        said = replace(said, cache_write=3, input_total=13, cache_write_30m=1, cache_write_12h=2)
    with LocalServer() as server:
        server.reply(Reply("Hi.", usage=said))
        async with GenericBackend(provider=server.provider(wire)) as backend:
            if stream:
                reply = await _whole(backend)
            else:
                reply = await backend.complete(model="m", messages="Hi")
    assert reply.usage is not None
    assert replace(reply.usage, raw=None) == said


async def _whole(backend: GenericBackend) -> LLMChunk:
    async with backend.complete_streaming(model="m", messages="Hi") as chunks:
        async for _ in chunks:
            pass
        return chunks.result


@pytest.mark.parametrize(
    ("raw", "tier", "tools"),
    [
        ({"service_tier": "standard", "speed": "fast"}, "fast", None),
        ({"service_tier": "priority", "speed": "standard"}, "priority", None),
        ({"service_tier": 3, "server_tool_use": "x"}, None, None),
        ({"server_tool_use": {"web_search_requests": 1, "odd": "x"}}, None,
         {"web_search_requests": 1}),
    ],
)  # fmt: skip
def test_what_anthropic_reports_beside_tokens(
    raw: dict[str, Any], tier: str | None, tools: dict[str, int] | None
) -> None:
    usage = anthropic_usage(raw)
    assert usage is not None
    assert (usage.service_tier, usage.server_tool_calls) == (tier, tools)
