"""The wire formats by name. Each module is imported when its wire is first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from .base import APIAdapter, ServerHalf

T = TypeVar("T")


class _Registry(Mapping[str, T], Generic[T]):
    """Names to shared, stateless objects, made when first asked for."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places
        self._made: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._made:
            module, _, attribute = self._places[name].partition(":")
            self._made[name] = getattr(import_module(module, __name__), attribute)()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places  # without importing it

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


ADAPTERS: Mapping[str, APIAdapter] = _Registry(
    {
        "openai": ".openai:OpenAIAdapter",
        "anthropic": ".anthropic:AnthropicAdapter",
        "vertex-anthropic": ".vertex:VertexAnthropicAdapter",
        "reasoning": ".reasoning:ReasoningAdapter",
        "ollama": ".ollama:OllamaAdapter",
        "openai-responses": ".responses:ResponsesAdapter",
        "gemini": ".gemini:GeminiAdapter",
        "vertex-gemini": ".gemini:VertexGeminiAdapter",
        "bedrock-converse": ".bedrock:BedrockConverseAdapter",
        "bedrock-anthropic": ".bedrock.invoke:BedrockAnthropicAdapter",
    }
)
"""What `ProviderConfig.api_style` names."""

SERVER_HALVES: Mapping[str, ServerHalf] = _Registry(
    {
        "openai": ".openai:OpenAIServer",
        "anthropic": ".anthropic:AnthropicServer",
        "vertex-anthropic": ".vertex:VertexAnthropicServer",
        "reasoning": ".reasoning:ReasoningServer",
        "ollama": ".ollama:OllamaServer",
        "openai-responses": ".responses:ResponsesServer",
        "gemini": ".gemini:GeminiServer",
        "vertex-gemini": ".gemini:VertexGeminiServer",
        "bedrock-converse": ".bedrock:BedrockConverseServer",
        "bedrock-anthropic": ".bedrock.invoke:BedrockAnthropicServer",
    }
)
