"""The catalogue: where each fact is from, whose it is, and what an unknown model is taken for."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import msgspec
import pytest

from llmwire import LLMUsage, ModelConfig, ModelFacts, Prices, cost_of, facts_of
from llmwire.adapters.anthropic import models as claude
from llmwire.adapters.openai import models as openai
from llmwire.catalogue import all_facts, catalogue_sources
from llmwire.config import THINKING_LEVELS
from llmwire.pricing import prices_of
from llmwire.providers import PROVIDERS
from llmwire.settings import ConfigSource, build_settings, resolve_model

ALL = list(all_facts())
FILE = Path(__file__).parent.parent / "src" / "llmwire" / "catalogue.json"


def test_every_fact_says_where_it_is_from() -> None:
    texts = {str(source) for source in catalogue_sources().values()}
    assert all(re.search(r"\d+\.\d+.*, \d{4}-\d{2}-\d{2}$", text) for text in texts)
    assert {source.licence for source in catalogue_sources().values()} == {"MIT"}
    for facts in ALL:
        known = {
            name
            for name in facts.__struct_fields__
            if name not in ("name", "provider", "sources", "like")
            and getattr(facts, name) is not None
        }
        assert known == set(facts.sources), facts.name
        assert set(facts.sources.values()) <= texts


def test_facts_are_possible() -> None:
    assert len(ALL) > 200
    for facts in ALL:
        assert facts.context_window is None or 1000 < facts.context_window < 100_000_000, facts.name
        assert facts.max_output_tokens is None or facts.max_output_tokens > 100, facts.name
        assert set(facts.thinking or ()) <= set(THINKING_LEVELS), facts.name
        assert facts.retires is None or date.fromisoformat(facts.retires)
        if facts.prices is not None:
            check_prices(facts.prices, facts.name)
    names = [(f.provider, f.name) for f in ALL]
    assert len(names) == len(set(names))


def check_prices(prices: Prices, name: str) -> None:
    found = [prices.input, prices.output, prices.cache_read, prices.cache_write]
    assert all(p is None or 0 <= p < 10_000 for p in found), name
    assert prices.input is not None, name
    if prices.cache_read is not None:
        assert prices.cache_read <= prices.input, name
    if prices.cache_write is not None and prices.cache_write_long is not None:
        assert prices.cache_write <= prices.cache_write_long, name
    assert (prices.above is None) == (prices.larger is None), name
    if prices.larger is not None:
        check_prices(prices.larger, name)


def test_the_providers_are_ours_and_the_file_is_small() -> None:
    assert {f.provider for f in ALL} - {"gemini"} <= set(PROVIDERS)
    assert FILE.stat().st_size < 64 * 1024
    lines = FILE.read_text("utf-8").splitlines()
    assert len(lines) > len(ALL), "a line for each model, so that changes can be read"


@pytest.mark.parametrize("provider", ["openai", "anthropic", "mistral", "xai", "gemini"])
def test_large_services_have_prices(provider: str) -> None:
    known = [f for f in ALL if f.provider == provider]
    assert sum(f.prices is not None for f in known) >= len(known) / 2 > 2


def test_the_wires_rules_agree_on_what_claude_and_gpt_take() -> None:
    """The rules by family decide what is sent; the catalogue may not say the opposite."""
    for facts in ALL:
        if facts.provider == "anthropic" and facts.sampling is False:
            assert claude.traits_of(facts.name).sampling == "never", facts.name
        if facts.provider == "anthropic" and facts.thinking_form == "adaptive":
            assert claude.traits_of(facts.name).adaptive, facts.name
        if facts.provider == "anthropic" and facts.max_output_tokens is not None:
            traits = claude.traits_of(facts.name)
            assert traits.max_output <= facts.max_output_tokens, facts.name
        if facts.provider == "openai" and facts.thinking and facts.thinking != ("medium",):
            traits_ = openai.traits_of(facts.name)
            assert traits_ is None or traits_.efforts, facts.name


@pytest.mark.parametrize(
    ("name", "provider", "is_priced", "like"),
    [
        ("claude-opus-5-5", "anthropic", True, None),
        ("claude-opus-4-5-20251101", "anthropic", True, None),
        ("gpt-4o-2024-05-13", "openai", True, None),
        ("gemini-2.5-pro", "gemini-openai", True, None),
        # Sold by others: the abilities are known, the price is theirs to say.
        ("anthropic/claude-opus-5.5", "openrouter", False, None),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "bedrock", False, None),
        ("claude-opus-4-5@20251101", "vertex-anthropic", False, None),
        ("gpt-6-luna", "", False, None),
        # A date that is not listed may have a price of its own.
        ("gpt-6-luna-2031-01-01", "openai", False, None),
        # Newer than the catalogue: like the newest of the family.
        ("claude-opus-9", "anthropic", False, "claude-opus-5-5"),
        ("gpt-9-luna", "openai", False, "gpt-6-luna"),
    ],
)
def test_what_a_name_means(name: str, provider: str, is_priced: bool, like: str | None) -> None:
    facts = facts_of(name, provider)
    assert facts.context_window is not None and facts.vision
    assert (facts.prices is not None, facts.like) == (is_priced, like)
    assert (facts.name, facts.provider) == (name, provider)
    assert "prices" not in facts.sources or is_priced


@pytest.mark.parametrize(
    ("name", "provider"),
    [("local-model", "llamacpp"), ("-", "x"), ("gpt", ""), ("claude", "x"), ("m" * 5000, "openai")],
)
def test_nothing_known_is_nothing_said(name: str, provider: str) -> None:
    facts = facts_of(name, provider)
    assert facts == ModelFacts(name, provider)


def test_one_version_has_its_own_price() -> None:
    older, newer = facts_of("gpt-4o-2024-05-13", "openai"), facts_of("gpt-4o", "openai")
    assert older.prices is not None and newer.prices is not None
    assert older.prices.input != newer.prices.input


def test_the_configuration_goes_before_the_catalogue() -> None:
    text = """
    [models.opus]
    name = "claude-opus-5-5"
    provider = "anthropic"
    input_price = 1.0
    context_window = 5000
    vision = false
    cache_read_price = 0.5
    """
    _, model = resolve_model("opus", build_settings([ConfigSource("c", text)], {}))
    facts = facts_of(model)
    assert (facts.context_window, facts.vision) == (5000, False)
    assert facts.prices == Prices(1.0, cache_read=0.5, source="configuration")
    assert facts.sources["vision"] == facts.sources["prices"] == "configuration"
    assert facts.max_output_tokens == facts_of("claude-opus-5-5", "anthropic").max_output_tokens


def test_a_cost_is_told_by_the_catalogue_where_nobody_configured_a_price() -> None:
    model = ModelConfig("claude-haiku-4-5", "anthropic")
    cost = cost_of(LLMUsage(1000, 500, 700, 200, 100, cache_write_5m=100), model)
    assert cost.total is not None and cost.total > 0
    assert "genai-prices" in cost.source
    assert prices_of(msgspec.structs.replace(model, provider="openrouter")) == Prices()
    assert prices_of(msgspec.structs.replace(model, output_price=1.0)).input is None


def test_a_known_name_at_another_address_has_no_price() -> None:
    model = ModelConfig("gpt-6-luna", "openai")
    here = PROVIDERS["openai"]
    gateway = msgspec.structs.replace(here, api_base="https://llm.example.com/v1")
    assert prices_of(model, here) == prices_of(model) != Prices()
    assert prices_of(model, gateway) == Prices()
    priced = msgspec.structs.replace(model, input_price=1.0, output_price=2.0)
    assert prices_of(priced, gateway).input == 1.0


def test_a_model_without_a_source_of_its_own_keeps_its_settings_on_the_wire() -> None:
    """The catalogue fills in nothing that is sent."""
    from llmwire import LLMMessage, LLMRequest
    from llmwire.adapters import ADAPTERS

    model = ModelConfig("claude-opus-5-5", "anthropic", temperature=None)
    request = LLMRequest(model=model, messages=(LLMMessage("user", "Hi"),))
    body = msgspec.json.decode(
        ADAPTERS["anthropic"].prepare_request(request, PROVIDERS["anthropic"]).body
    )
    assert body["max_tokens"] == claude.traits_of(model.name).default_max_tokens
    assert body["max_tokens"] < (facts_of(model).max_output_tokens or 0)


def test_the_data_is_read_when_it_is_asked_for() -> None:
    code = (
        "import llmwire.backend, llmwire.catalogue as c;"
        "print(c._data.cache_info().currsize);"
        "c.facts_of('o3', 'openai'); print(c._data.cache_info().currsize)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert out.stdout.split() == ["0", "1"]
