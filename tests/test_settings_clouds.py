"""Accounts in clouds: addresses with parts of one's own, from variables and files; what is ready;
what a project file may not touch."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llmwire.adapters import ADAPTERS
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import ConfigError
from llmwire.providers import PROVIDERS, dialect_of
from llmwire.request import LLMRequest
from llmwire.settings import ConfigSource, build_settings, resolve, resolve_model
from llmwire.types import LLMMessage

REQUEST = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "Hi"),))


def row_of(name: str, environ: Mapping[str, str], *files: ConfigSource) -> ProviderConfig:
    return resolve_model(f"{name}:m", build_settings(files, environ))[0]


def url_of(row: ProviderConfig) -> str:
    return ADAPTERS[row.api_style].prepare_request(REQUEST, row).url


def user(text: str) -> ConfigSource:
    return ConfigSource("config.toml", text)


def project(text: str) -> ConfigSource:
    return ConfigSource("llmwire.toml", text, trusted=False)


AZURE = "https://r.openai.azure.com"
AZURES = {"azure", "azure-classic", "azure-responses"}


@pytest.mark.parametrize(
    ("name", "environ", "url"),
    [
        ("azure", {"AZURE_OPENAI_ENDPOINT": AZURE}, f"{AZURE}/openai/v1/chat/completions"),
        ("azure", {"AZURE_OPENAI_ENDPOINT": f"{AZURE}/openai/v1/"},
         f"{AZURE}/openai/v1/chat/completions"),
        ("azure", {"AZURE_RESOURCE_NAME": "r"}, f"{AZURE}/openai/v1/chat/completions"),
        ("azure-classic", {"AZURE_OPENAI_ENDPOINT": f"{AZURE}/"},
         f"{AZURE}/openai/deployments/m/chat/completions?api-version=2024-10-21"),
        ("azure-classic", {"AZURE_OPENAI_ENDPOINT": AZURE, "OPENAI_API_VERSION": "2025-04-01-preview"},
         f"{AZURE}/openai/deployments/m/chat/completions?api-version=2025-04-01-preview"),
        ("azure-responses", {"AZURE_OPENAI_ENDPOINT": AZURE}, f"{AZURE}/openai/v1/responses"),
        ("anthropic-foundry", {"ANTHROPIC_FOUNDRY_RESOURCE": "r"},
         "https://r.services.ai.azure.com/anthropic/v1/messages"),
        ("anthropic-foundry", {"ANTHROPIC_FOUNDRY_BASE_URL": "https://x.services.ai.azure.com/anthropic/"},
         "https://x.services.ai.azure.com/anthropic/v1/messages"),
        ("anthropic-google-cloud",
         {"GOOGLE_CLOUD_PROJECT": "p", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "w"},
         "https://claude.googleapis.com/v1/projects/p/locations/global/workspaces/w/invoke/v1/messages"),
        ("anthropic-google-cloud",
         {"GOOGLE_CLOUD_PROJECT": "p", "ANTHROPIC_GOOGLE_CLOUD_PROJECT": "q",
          "ANTHROPIC_GOOGLE_CLOUD_LOCATION": "eu", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "w"},
         "https://claude.googleapis.com/v1/projects/q/locations/eu/workspaces/w/invoke/v1/messages"),
        ("anthropic-aws", {"AWS_DEFAULT_REGION": "eu-west-1"},
         "https://aws-external-anthropic.eu-west-1.api.aws/v1/messages"),
        ("vertex-openai", {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "europe-west4"},
         "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4"
         "/endpoints/openapi/chat/completions"),
        ("cloudflare", {"CLOUDFLARE_ACCOUNT_ID": "a1"},
         "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1/chat/completions"),
        ("ollama-native", {"OLLAMA_HOST": "gpu"}, "http://gpu:11434/api/chat"),
    ],
)  # fmt: skip
def test_addresses_from_variables(name: str, environ: dict[str, str], url: str) -> None:
    row = row_of(name, environ)
    assert url_of(row) == url
    known = PROVIDERS[name].dialect
    assert dialect_of(row).auth == (known.auth if known else None)  # it is still the same service


def test_anthropics_workspace_on_aws_goes_along() -> None:
    row = row_of("anthropic-aws", {"ANTHROPIC_AWS_WORKSPACE_ID": "wrkspc_1"})
    assert row.extra_headers == {"anthropic-workspace-id": "wrkspc_1"}


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("azure-classic", "OPENAI_API_VERSION", "1&key=secret-word"),
        ("anthropic-aws", "ANTHROPIC_AWS_WORKSPACE_ID", "secret word"),
        ("anthropic-aws", "AWS_REGION", "secret/word"),
        ("azure", "AZURE_RESOURCE_NAME", "secret/word"),
        ("anthropic-google-cloud", "GOOGLE_CLOUD_PROJECT", "secret?word"),
    ],
)
def test_a_variable_that_is_none_breaks_its_provider_only(
    name: str, variable: str, value: str
) -> None:
    settings = build_settings([], {variable: value})
    with pytest.raises(ConfigError, match=f"{name}.*{variable} holds no") as caught:
        resolve_model(f"{name}:m", settings)
    assert "secret" not in caught.value.message
    assert resolve_model("openai:m", settings)[0] == PROVIDERS["openai"]


def test_parts_of_addresses_from_files() -> None:
    row = row_of("azure", {}, user('[providers.azure]\nresource = "mine"'))
    assert url_of(row) == "https://mine.openai.azure.com/openai/v1/chat/completions"
    fixed = user('[providers.azure]\nresource = "mine"')
    assert row_of("azure", {"AZURE_RESOURCE_NAME": "a/b"}, fixed).resource == "mine"
    with pytest.raises(ConfigError, match="resource"):
        build_settings([user('[providers.azure]\nresource = "a/b"')], {})


def test_a_deployment_of_ones_own() -> None:
    text = """
        [providers.gpu]
        api_base = "https://{resource}.example.com"
        resource = "team"
        api_key_env_var = "GPU_KEY"
        dialect = { endpoint = "/serve/{model}/chat", api_version = "7", auth = "api-key" }
    """
    row = row_of("gpu", {}, user(text))
    made = ADAPTERS["openai"].prepare_request(REQUEST, row)
    assert (made.url, made.auth) == (
        "https://team.example.com/serve/m/chat?api-version=7",
        "api-key",
    )
    with pytest.raises(ConfigError, match=r"config\.toml:2: .*endpoint"):
        build_settings([user('[providers.openai]\ndialect = { endpoint = "@evil.example" }')], {})


@pytest.mark.parametrize(
    "text",
    [
        'resource = "evil"',
        'api_base = "https://{resource}.evil.example"',
        'api_base = "http://127.0.0.1:1"\ndialect = { auth = "google" }',
    ],
)
@pytest.mark.parametrize("name", ["azure", "anthropic-google-cloud", "new"])
def test_a_project_file_moves_no_key_and_no_token(name: str, text: str) -> None:
    with pytest.raises(ConfigError):
        build_settings([project(f"[providers.{name}]\n{text}")], {})


@pytest.mark.parametrize(
    ("environ", "ready"),
    [
        ({"AZURE_OPENAI_API_KEY": "k"}, set()),
        ({"AZURE_OPENAI_API_KEY": "k", "AZURE_RESOURCE_NAME": "r"}, AZURES),
        ({"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": AZURE}, AZURES),
        ({"AZURE_OPENAI_ENDPOINT": AZURE}, set()),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, set()),
        ({"GOOGLE_CLOUD_PROJECT": "p", "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "w"},
         {"anthropic-google-cloud"}),
        ({"DEEPSEEK_API_KEY": "k"}, {"deepseek", "deepseek-anthropic"}),
    ],
)  # fmt: skip
def test_what_is_ready(environ: dict[str, str], ready: set[str]) -> None:
    assert build_settings([], environ).ready == ready


def test_one_key_for_two_wires_still_implies_its_model() -> None:
    found = resolve(None, build_settings([], {"MISTRAL_API_KEY": "k"}))
    assert (found.provider.name, found.implied) == ("mistral", True)
    with pytest.raises(ConfigError, match="there are keys for"):
        resolve(None, build_settings([], {"MISTRAL_API_KEY": "k", "DEEPSEEK_API_KEY": "k"}))
    with pytest.raises(ConfigError, match="deepseek, deepseek-anthropic"):
        resolve(None, build_settings([], {"DEEPSEEK_API_KEY": "k"}))
