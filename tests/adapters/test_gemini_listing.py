"""Google's model lists, at both of its addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire.adapters.gemini import GeminiAdapter, VertexGeminiAdapter
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import DecodeError

STUDIO = ProviderConfig("google", "https://g.example/v1", "KEY", "gemini")
CLOUD = ProviderConfig("cloud", api_style="vertex-gemini", project_id="p", region="us")


@pytest.mark.parametrize(
    ("adapter", "provider", "url", "auth"),
    [
        (GeminiAdapter(), STUDIO, "https://g.example/v1/models", "x-goog-api-key"),
        (
            VertexGeminiAdapter(), CLOUD,
            "https://aiplatform.us.rep.googleapis.com/v1beta1/publishers/google/models", "google",
        ),
    ],
)  # fmt: skip
def test_what_is_asked(adapter: Any, provider: ProviderConfig, url: str, auth: str) -> None:
    first = adapter.prepare_model_list(provider)
    assert (first.method, first.url, first.auth) == ("GET", f"{url}?pageSize=1000", auth)
    assert first.body == b""
    later = adapter.prepare_model_list(provider, "a&b=")
    assert later.url == f"{url}?pageSize=1000&pageToken=a%26b%3D"


def test_a_page_of_models() -> None:
    listed = {
        "models": [
            {"name": "models/gemini-x", "inputTokenLimit": 1000, "outputTokenLimit": 50,
             "supportedGenerationMethods": ["generateContent", "countTokens"], "news": 1},
            {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]},
        ],
        "nextPageToken": "next",
    }  # fmt: skip
    page = GeminiAdapter().parse_model_list(json.dumps(listed).encode(), STUDIO)
    wanted = ModelConfig(
        "gemini-x", "google", temperature=None, context_window=1000, max_output_tokens=50
    )
    assert (page.models, page.next_page) == ((wanted,), "next")
    cloud = {"publisherModels": [{"name": "publishers/google/models/gemini-y"}]}
    page = VertexGeminiAdapter().parse_model_list(json.dumps(cloud).encode(), CLOUD)
    assert ([m.name for m in page.models], page.next_page) == (["gemini-y"], "")
    with pytest.raises(DecodeError):
        GeminiAdapter().parse_model_list(b'{"models":5}', STUDIO)
