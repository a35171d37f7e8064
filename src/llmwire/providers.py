"""Known services: a provider is a row of data. More rows are in `rows`.

Source: wire reference 8.1, 3.1, 4 (2026-11-22).
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from .config import Dialect, ProviderConfig
from .rows import clouds, hosts, local


def _kin(api_style: str) -> str:
    """Wire formats that share a server's dialect: Mistral's chat is a form of Chat Completions."""
    return "openai" if api_style == "reasoning" else api_style


GOOGLE_STYLES = ("vertex-anthropic", "vertex-gemini")
"""Wire formats whose address comes from project and region, with Google's own credential."""

_PLAIN = Dialect()
_MISTRAL = Dialect(
    stream_usage=False,
    stream_tool_calls=True,
    any_word="any",
    families="mistral",
    reasoning_replay="content",
    temperature_with_thinking=1.0,
    top_k=False,
    seed_field="random_seed",
    metadata=True,
    json_schema="closed",
    prompt_cache_key=True,
    affinity_header="x-affinity",
    assistant_after_tool=True,
    prefill="prefix",
    tool_call_ids="mistral9",
    empty_content="empty",
    speaker_names=False,
    content_parts="mistral",
    tool_name_on_result=True,
    tool_result_images=True,
)

_OPENAI_RESPONSES = Dialect(metadata=True, tool_call_ids="openai64", prompt_cache_key=True)
_RESPONSES: dict[str, Dialect] = {
    "api.openai.com": _OPENAI_RESPONSES,
    "api.x.ai": Dialect(developer_role=False, hosted_custom_calls=True),
    "api.deepseek.com": Dialect(
        developer_role=False,
        efforts=("low", "high", "max"),
        reasoning_replay="always",
        parallel_tool_calls=False,
        encrypted_reasoning=False,
        reasoning_summary=None,
    ),
    "openrouter.ai": Dialect(
        efforts=("off", "minimal", "low", "medium", "high", "xhigh", "max"), sampling=True
    ),
}
"""What servers do differently on their Responses endpoints, by host. Source: wire reference 2.4,
8.1, and recorded traffic of these services."""

PROVIDERS: dict[str, ProviderConfig] = {
    row.name: row
    for row in (
        ProviderConfig(
            "openai",
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            dialect=Dialect(
                reasoning_replay="none",
                top_k=False,
                metadata=True,
                prompt_cache_key=True,
                store=True,
                tool_call_ids="openai40",
                stream_end="done",
            ),
        ),
        ProviderConfig(
            "openai-responses",
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            "openai-responses",
            dialect=_OPENAI_RESPONSES,
        ),
        ProviderConfig(
            "anthropic",
            "https://api.anthropic.com",
            "ANTHROPIC_API_KEY",
            "anthropic",
            # Images: as clients met it (kolega-code #354, 2026-07-28); the request: Anthropic's
            # vision guide, read 2026-11-25.
            dialect=Dialect(max_image_bytes=7_864_320, max_request_bytes=32 * 1024 * 1024),
        ),
        ProviderConfig("vertex-anthropic", "", "", "vertex-anthropic", dialect=Dialect()),
        # Bedrock: by its bearer token, else signed with AWS credentials (`aws`).
        ProviderConfig(
            "bedrock",
            "https://bedrock-runtime.{region}.amazonaws.com",
            "AWS_BEARER_TOKEN_BEDROCK",
            "bedrock-converse",
            dialect=Dialect(stream_end="done"),
        ),
        ProviderConfig(
            "bedrock-anthropic",
            "https://bedrock-runtime.{region}.amazonaws.com",
            "AWS_BEARER_TOKEN_BEDROCK",
            "bedrock-anthropic",
            dialect=Dialect(),
        ),
        ProviderConfig(
            "bedrock-mantle",
            "https://bedrock-mantle.{region}.api.aws/anthropic",
            "AWS_BEARER_TOKEN_BEDROCK",
            "anthropic",
            dialect=Dialect(bearer=True),
        ),
        ProviderConfig(
            "bedrock-openai",
            "https://bedrock-mantle.{region}.api.aws/openai/v1",
            "AWS_BEARER_TOKEN_BEDROCK",
            dialect=Dialect(reasoning_replay="none", top_k=False, tool_call_ids="openai40"),
        ),
        ProviderConfig(
            "gemini",
            "https://generativelanguage.googleapis.com",
            "GEMINI_API_KEY",
            "gemini",
            dialect=Dialect(),
        ),
        ProviderConfig("vertex-gemini", "", "", "vertex-gemini", dialect=Dialect()),
        ProviderConfig(
            "mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "reasoning", dialect=_MISTRAL
        ),
        ProviderConfig(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
            reasoning_field_name="reasoning",
            dialect=Dialect(
                max_tokens_field="max_completion_tokens",
                efforts=("off", "minimal", "low", "medium", "high", "xhigh", "max"),
                reasoning_control="reasoning",
                cache_marks="cache_control",
                sampling=True,
                stream_end="done",
            ),
        ),
        ProviderConfig(
            "deepseek",
            "https://api.deepseek.com",
            "DEEPSEEK_API_KEY",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                json_schema="json_object",
                efforts=("off", "low", "high", "max"),
                reasoning_control="thinking_type",
                thinking_default=True,
                reasoning_replay="always",
                top_k=False,
                parallel_tool_calls=False,
                stream_end="done",
            ),
        ),
        ProviderConfig(
            "groq",
            "https://api.groq.com/openai/v1",
            "GROQ_API_KEY",
            reasoning_field_name="reasoning",
            dialect=Dialect(
                max_tokens_field="max_completion_tokens", top_k=False, stream_end="done"
            ),
        ),
        ProviderConfig(
            "xai",
            "https://api.x.ai/v1",
            "XAI_API_KEY",
            dialect=Dialect(
                developer_role=False, top_k=False, reasoning_outside_output=True, stream_end="done"
            ),
        ),
        ProviderConfig(
            "together",
            "https://api.together.xyz/v1",
            "TOGETHER_API_KEY",
            reasoning_field_name="reasoning",
            dialect=Dialect(max_tokens_field="max_tokens", developer_role=False, stream_end="done"),
        ),
        ProviderConfig(
            "cerebras",
            "https://api.cerebras.ai/v1",
            "CEREBRAS_API_KEY",
            reasoning_field_name="reasoning",
            dialect=Dialect(
                max_tokens_field="max_completion_tokens", developer_role=False, top_k=False
            ),
        ),
        ProviderConfig(
            "moonshot",
            "https://api.moonshot.ai/v1",
            "MOONSHOT_API_KEY",
            dialect=Dialect(
                developer_role=False,
                tool_choices=("auto", "none"),
                reasoning_control="thinking_type",
                reasoning_replay="tool_turns",
                prefill="partial",
                stream_end="done",
            ),
        ),
        ProviderConfig(
            "zai",
            "https://api.z.ai/api/paas/v4",
            "ZAI_API_KEY",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                json_schema="json_object",
                tool_choices=("auto",),
                reasoning_control="thinking_type",
                thinking_default=True,
                thinking_extra={"clear_thinking": False},
                parallel_tool_calls=False,
                stream_end="done",
                model_list=False,
            ),
        ),
        ProviderConfig(
            "qwen",
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                json_schema="json_object",
                tool_choices=("auto", "none", "named"),
                reasoning_control="enable_thinking",
                cache_marks="cache_control",
                thinking_default=True,
                thinking_extra={"preserve_thinking": True},
                stream_end="done",
                model_list=False,
            ),
        ),
        ProviderConfig(
            "minimax",
            "https://api.minimax.io/v1",
            "MINIMAX_API_KEY",
            dialect=Dialect(
                json_schema="json_object",
                max_tokens_field="max_completion_tokens",
                developer_role=False,
                tool_choices=("auto",),
                reasoning_control="adaptive",
                thinking_default=True,
                body={"reasoning_split": True},
            ),
        ),
        ProviderConfig(
            "perplexity",
            "https://api.perplexity.ai",
            "PERPLEXITY_API_KEY",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                tool_choices=("auto", "none", "required"),
                efforts=("minimal", "low", "medium", "high"),
                merge_user_messages=True,
                model_list=False,
            ),
        ),
        ProviderConfig(
            "fireworks",
            "https://api.fireworks.ai/inference/v1",
            "FIREWORKS_API_KEY",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                prompt_cache_key=True,
                efforts=("off", "low", "medium", "high"),
                body={"context_length_exceeded_behavior": "error"},  # not a silent cut
            ),
        ),
        ProviderConfig(
            "huggingface",
            "https://router.huggingface.co/v1",
            "HF_TOKEN",
            dialect=Dialect(max_tokens_field="max_tokens", developer_role=False),
        ),
        ProviderConfig(
            "gemini-openai",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                efforts=("minimal", "low", "medium", "high"),
                reasoning_replay="none",
                top_k=False,
            ),
        ),
        ProviderConfig(
            "ollama",
            "http://127.0.0.1:11434/v1",
            reasoning_field_name="reasoning",
            dialect=Dialect(
                max_tokens_field="max_tokens",
                developer_role=False,
                json_schema="plain",
                efforts=("off", "low", "medium", "high", "max"),
                stream_end="done",
            ),
        ),
        ProviderConfig(
            "llamacpp",
            "http://127.0.0.1:8080/v1",
            dialect=Dialect(developer_role=False, json_schema="plain"),
        ),
        ProviderConfig(
            "vllm",
            "http://127.0.0.1:8000/v1",
            reasoning_field_name="reasoning",
            dialect=Dialect(max_tokens_field="max_completion_tokens", json_schema="plain"),
        ),
        *clouds.ROWS,
        *hosts.ROWS,
        *local.ROWS,
    )
}
"""The known services by name. Copy a row with `msgspec.structs.replace` to change it."""

_HOSTS = {
    (_kin(row.api_style), host): row.dialect or _PLAIN
    for row in PROVIDERS.values()
    if (host := urlsplit(row.api_base).hostname)
    and host != "127.0.0.1"
    and row.api_style != "openai-responses"
}
for _known, _other in (
    ("api.together.xyz", "api.together.ai"),
    ("api.moonshot.ai", "api.moonshot.cn"),
    ("api.moonshot.ai", "api.kimi.com"),
    ("dashscope-intl.aliyuncs.com", "dashscope.aliyuncs.com"),
    ("dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
    ("api.z.ai", "open.bigmodel.cn"),
    ("api.minimax.io", "api.minimaxi.com"),
):
    _HOSTS |= {(s, _other): d for (s, host), d in _HOSTS.items() if host == _known}


def dialect_of(provider: ProviderConfig | None) -> Dialect:
    """The provider's own dialect, else the known one of its host, else the plain one of its wire."""
    if provider is None:
        return _PLAIN
    if provider.dialect is not None:
        return provider.dialect
    return _dialect_at(provider.api_base, provider.api_style)


@lru_cache(maxsize=256)
def _dialect_at(api_base: str, api_style: str) -> Dialect:
    parts = urlsplit(api_base)
    host, kin = parts.hostname or "", _kin(api_style)
    known = _RESPONSES.get(host) if kin == "openai-responses" else _HOSTS.get((kin, host))
    if known is None and host.endswith(clouds.AZURE_HOSTS):
        known = clouds.azure_at(parts.path, kin)
    if known is not None:
        return known
    # Servers that speak Mistral's language share its history rules, not its address.
    return _MISTRAL if api_style == "reasoning" else _PLAIN
