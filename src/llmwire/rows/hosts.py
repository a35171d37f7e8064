"""Services that serve models of many makers, and makers' second wires.

Sources: wire reference 8.1 (2026-11-22); docs.nvidia.com/nim, docs.sambanova.ai,
docs.tokenfactory.nebius.com, deepinfra.com/docs, docs.github.com/rest/models,
api-docs.deepseek.com/guides/anthropic_api, platform.minimax.io/docs, read 2026-11-24.
"""

from __future__ import annotations

from ..config import Dialect, ProviderConfig

_COMPATIBLE = Dialect(max_tokens_field="max_tokens", developer_role=False)
"""What holds for servers of open models: the old name of the limit, no developer role."""

ROWS = (
    ProviderConfig(
        "nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", dialect=_COMPATIBLE
    ),
    ProviderConfig(
        "sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY", dialect=_COMPATIBLE
    ),
    ProviderConfig(
        "nebius", "https://api.tokenfactory.nebius.com/v1", "NEBIUS_API_KEY", dialect=_COMPATIBLE
    ),
    ProviderConfig(
        "deepinfra",
        "https://api.deepinfra.com/v1/openai",
        "DEEPINFRA_API_KEY",
        dialect=_COMPATIBLE,
    ),
    # Its list of models is elsewhere (/catalog/models).
    ProviderConfig(
        "github-models",
        "https://models.github.ai/inference",
        "GITHUB_TOKEN",
        dialect=Dialect(top_k=False, model_list=False),
    ),
    # Copilot's own tokens, and the headers that name the editor, are the user's to bring.
    ProviderConfig(
        "github-copilot",
        "https://api.githubcopilot.com",
        "GITHUB_COPILOT_TOKEN",
        reasoning_field_name="reasoning_text",
        dialect=Dialect(top_k=False),
    ),
    # Messages endpoints of makers that also speak Chat Completions.
    ProviderConfig(
        "deepseek-anthropic",
        "https://api.deepseek.com/anthropic",
        "DEEPSEEK_API_KEY",
        "anthropic",
        dialect=Dialect(replay_unsigned_thinking=True, anthropic_thinking="enabled"),
    ),
    ProviderConfig(
        "moonshot-anthropic",
        "https://api.moonshot.ai/anthropic",
        "MOONSHOT_API_KEY",
        "anthropic",
        dialect=Dialect(bearer=True, replay_unsigned_thinking=True, anthropic_thinking="enabled"),
    ),
    ProviderConfig(
        "zai-anthropic",
        "https://api.z.ai/api/anthropic",
        "ZAI_API_KEY",
        "anthropic",
        dialect=Dialect(bearer=True, anthropic_thinking="enabled", model_list=False),
    ),
    ProviderConfig(
        "minimax-anthropic",
        "https://api.minimax.io/anthropic",
        "MINIMAX_API_KEY",
        "anthropic",
        dialect=Dialect(bearer=True),
    ),
)
