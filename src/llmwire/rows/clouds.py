"""Models in a cloud account: the address has the account's own name in it.

Sources: wire reference 1.1, 3.1, 4, 8.1 (2026-11-22); openai 3.57.0 (lib/azure.py), anthropic 2.13.0
(lib/foundry.py, lib/google_cloud, lib/aws), read 2026-11-24.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..config import Dialect, ProviderConfig

AZURE = Dialect(
    max_tokens_field="max_completion_tokens",  # a deployment's name tells no model
    reasoning_replay="none",
    top_k=False,
    metadata=True,
    tool_call_ids="openai40",
    stream_end="done",
    auth="api-key",
)
AZURE_CLASSIC = Dialect(
    max_tokens_field="max_completion_tokens",
    reasoning_replay="none",
    top_k=False,
    metadata=True,
    tool_call_ids="openai40",
    stream_end="done",
    auth="api-key",
    endpoint="/deployments/{model}/chat/completions",
    api_version="2024-10-21",  # the last version with a date that is no preview
)
AZURE_MODELS = Dialect(
    max_tokens_field="max_tokens",
    developer_role=False,
    auth="api-key",
    api_version="2024-05-01-preview",
    model_list=False,
)
"""Models of other makers (Mistral, Llama, ...) on Azure."""
AZURE_RESPONSES = Dialect(
    metadata=True, tool_call_ids="openai64", prompt_cache_key=True, auth="api-key"
)
AZURE_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")

ROWS = (
    # An Entra token goes into extra_headers: {"Authorization": "Bearer ..."}.
    ProviderConfig(
        "azure",
        "https://{resource}.openai.azure.com/openai/v1",
        "AZURE_OPENAI_API_KEY",
        dialect=AZURE,
    ),
    ProviderConfig(
        "azure-responses",
        "https://{resource}.openai.azure.com/openai/v1",
        "AZURE_OPENAI_API_KEY",
        "openai-responses",
        dialect=AZURE_RESPONSES,
    ),
    ProviderConfig(
        "azure-classic",
        "https://{resource}.openai.azure.com/openai",
        "AZURE_OPENAI_API_KEY",
        dialect=AZURE_CLASSIC,
    ),
    ProviderConfig(
        "azure-models",
        "https://{resource}.services.ai.azure.com/models",
        "AZURE_INFERENCE_CREDENTIAL",
        dialect=AZURE_MODELS,
    ),
    ProviderConfig(
        "anthropic-foundry",
        "https://{resource}.services.ai.azure.com/anthropic",
        "ANTHROPIC_FOUNDRY_API_KEY",
        "anthropic",
        dialect=Dialect(),
    ),
    # `resource` is Anthropic's workspace in the Google Cloud project.
    ProviderConfig(
        "anthropic-google-cloud",
        "https://claude.googleapis.com/v1/projects/{project_id}/locations/{region}"
        "/workspaces/{resource}/invoke",
        "",
        "anthropic",
        region="global",
        dialect=Dialect(auth="google"),
    ),
    # The workspace goes into extra_headers: {"anthropic-workspace-id": "wrkspc_..."}.
    ProviderConfig(
        "anthropic-aws",
        "https://aws-external-anthropic.{region}.api.aws",
        "ANTHROPIC_AWS_API_KEY",
        "anthropic",
        dialect=Dialect(bearer=True),
    ),
    # One region's models; those of `global` are at https://aiplatform.googleapis.com/v1/...
    ProviderConfig(
        "vertex-openai",
        "https://{region}-aiplatform.googleapis.com/v1/projects/{project_id}/locations/{region}"
        "/endpoints/openapi",
        dialect=Dialect(
            max_tokens_field="max_tokens",
            developer_role=False,
            efforts=("minimal", "low", "medium", "high"),
            reasoning_replay="none",
            top_k=False,
            auth="google",
            model_list=False,
        ),
    ),
    ProviderConfig(
        "cloudflare",
        "https://api.cloudflare.com/client/v4/accounts/{resource}/ai/v1",
        "CLOUDFLARE_API_TOKEN",
        dialect=Dialect(max_tokens_field="max_tokens", developer_role=False, model_list=False),
    ),
)


def azure_at(path: str, wire: str) -> Dialect | None:
    """What an Azure address speaks, by its path; None: nothing that is known."""
    if wire == "openai-responses":
        old = "/openai/v1" not in path  # which has no version without `preview`
        return replace(AZURE_RESPONSES, api_version="2025-04-01-preview" if old else "")
    if wire != "openai":
        return None
    if "/openai/v1" in path:
        return AZURE
    if "/openai/deployments/" in path:  # it names the deployment itself
        return replace(AZURE_CLASSIC, endpoint=None)
    if "/openai" in path:
        return AZURE_CLASSIC
    return AZURE_MODELS if path.rstrip("/").endswith("/models") else None
