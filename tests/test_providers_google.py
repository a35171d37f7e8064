"""The rows of known services: what they say of Google's, and the dialect that a host implies."""

from __future__ import annotations

from llmwire.adapters import ADAPTERS
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.providers import GOOGLE_STYLES, PROVIDERS, dialect_of
from llmwire.request import LLMRequest
from llmwire.types import LLMMessage


def test_geminis_rows() -> None:
    row = PROVIDERS["gemini"]
    assert (row.api_style, row.api_key_env_var) == ("gemini", "GEMINI_API_KEY")
    request = LLMRequest(model=ModelConfig("gemini-3.5-flash"), messages=(LLMMessage("user", "x"),))
    assert ADAPTERS["gemini"].prepare_request(request, row).url == (
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash:generateContent"
    )
    cloud = PROVIDERS["vertex-gemini"]
    assert (cloud.api_style, cloud.api_base, cloud.api_key_env_var) == ("vertex-gemini", "", "")


def test_rows_without_an_address_are_google_clouds() -> None:
    found = {row.api_style for row in PROVIDERS.values() if not row.api_base}
    assert found == set(GOOGLE_STYLES) <= set(ADAPTERS)


def test_one_host_speaks_two_languages() -> None:
    """The dialect that the host implies is the compatible endpoint's: Gemini's own has none."""
    base = "https://generativelanguage.googleapis.com/v1beta"
    compatible = ProviderConfig("mine", f"{base}/openai")
    assert dialect_of(compatible) == PROVIDERS["gemini-openai"].dialect
    assert dialect_of(PROVIDERS["gemini"]) == Dialect()
