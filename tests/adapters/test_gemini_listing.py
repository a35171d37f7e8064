"""Google's model lists, at both of its addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.gemini import GeminiAdapter, VertexGeminiAdapter
from llmwire.config import Dialect, ModelInfo, ProviderConfig
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
    first = adapter.prepare_models(provider)
    assert (first.method, first.url, first.auth) == ("GET", f"{url}?pageSize=1000", auth)
    assert first.body == b""
    later = adapter.prepare_models(provider, "a&b=")
    assert later.url == f"{url}?pageSize=1000&pageToken=a%26b%3D"
    none = replace(provider, dialect=Dialect(model_list=False))
    assert adapter.prepare_models(none) is None


def test_a_page_of_models() -> None:
    listed = {
        "models": [
            {"name": "models/gemini-x", "inputTokenLimit": 1000, "outputTokenLimit": 50,
             "supportedGenerationMethods": ["generateContent", "countTokens"], "news": 1},
            {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]},
        ],
        "nextPageToken": "next",
    }  # fmt: skip
    page = GeminiAdapter().parse_models(json.dumps(listed).encode())
    wanted = ModelInfo("gemini-x", 1000, 50)
    assert (page.models, page.after) == ((wanted,), "next")
    cloud = {"publisherModels": [{"name": "publishers/google/models/gemini-y"}]}
    page = VertexGeminiAdapter().parse_models(json.dumps(cloud).encode())
    assert ([m.name for m in page.models], page.after) == (["gemini-y"], "")
    with pytest.raises(DecodeError):
        GeminiAdapter().parse_models(b'{"models":5}')
