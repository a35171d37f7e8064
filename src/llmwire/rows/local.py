"""Servers that people run themselves, and Ollama's service. Source: wire reference 7, 8.1
(2026-11-22)."""

from __future__ import annotations

from ..config import Dialect, ProviderConfig

ROWS = (
    # Its own chat can set the context's length; the compatible endpoint (`ollama`) can't.
    ProviderConfig("ollama-native", "http://127.0.0.1:11434", "", "ollama", dialect=Dialect()),
    ProviderConfig(
        "ollama-cloud", "https://ollama.com", "OLLAMA_API_KEY", "ollama", dialect=Dialect()
    ),
    ProviderConfig(
        "lmstudio",
        "http://127.0.0.1:1234/v1",
        dialect=Dialect(
            max_tokens_field="max_tokens",
            developer_role=False,
            efforts=("off", "low", "medium", "high", "xhigh"),
            tool_choices=("auto", "none", "required"),
            json_schema="plain",
        ),
    ),
    ProviderConfig(
        "sglang",
        "http://127.0.0.1:30000/v1",
        dialect=Dialect(
            max_tokens_field="max_completion_tokens", developer_role=True, json_schema="plain"
        ),
    ),
)
