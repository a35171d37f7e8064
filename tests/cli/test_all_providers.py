"""The command with every provider of the table: against the embedded server, and without any."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from llmwire.config import Dialect, ProviderConfig
from llmwire.providers import GOOGLE_STYLES, PROVIDERS
from llmwire.testing import LocalServer
from llmwire.testing.server import _BASES

SECRET = "k-0123456789-secret"
ACCOUNT = {
    "AZURE_RESOURCE_NAME": "res",
    "ANTHROPIC_FOUNDRY_RESOURCE": "res",
    "ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID": "res",
    "CLOUDFLARE_ACCOUNT_ID": "res",
    "GOOGLE_CLOUD_PROJECT": "proj",
    "GOOGLE_CLOUD_LOCATION": "us-east5",
    "CLOUD_ML_REGION": "us-east5",
    "AWS_REGION": "us-east-1",
}
"""Where the accounts are, as the vendors' variables say it."""

each_provider = pytest.mark.parametrize("name", PROVIDERS)


def toml(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else msgspec.json.encode(value).decode()


def quirks(row: ProviderConfig) -> dict[str, Any]:
    """What the row says of its server, without Google's token, which goes nowhere else."""
    plain = Dialect()
    names = [f.name for f in msgspec.structs.fields(Dialect) if f.name != "auth"]
    found = {n: getattr(row.dialect, n) for n in names}
    found = {n: v for n, v in found.items() if v != getattr(plain, n)}
    return found if row.dialect.auth in (None, "google") else {**found, "auth": row.dialect.auth}


def configuration(row: ProviderConfig, server: LocalServer, model: str) -> str:
    """The row as it is, but for its address."""
    style = row.api_style
    path = "/openai" if row.dialect.endpoint else _BASES[style]
    google = style in GOOGLE_STYLES or row.dialect.auth == "google"
    settings = {
        "api_base": server.url + path,
        "dialect": quirks(row),
        "project_id": "proj",
        "region": "global",
        **({"api_key_env_var": "GOOGLES_API_KEY"} if google else {}),
    }
    lines = [f"{k} = {toml(v)}" for k, v in settings.items()]
    return "\n".join(
        [f"[providers.{row.name}]", *lines, f'[models.it]\nname = "{row.name}:{model}"']
    )


@each_provider
@pytest.mark.parametrize("whole", [False, True])
def test_ask(cli: Any, monkeypatch: pytest.MonkeyPatch, name: str, whole: bool) -> None:
    row = PROVIDERS[name]
    model = "claude-sonnet-4-6" if row.api_style in ("anthropic", "vertex-anthropic") else "some-m"
    with LocalServer(require_key=SECRET if row.api_key_env_var else None) as server:
        cli.configure(configuration(row, server, model))
        if row.api_key_env_var:
            monkeypatch.setenv(row.api_key_env_var, SECRET)
        monkeypatch.setenv("GOOGLES_API_KEY", SECRET)
        args = ["-m", f"{name}:{model}", "--max-tokens", "500", "--thinking", "low"]
        ran = cli("ask", *args, "hello there", *(["--no-stream"] if whole else []))
        assert ran.code == 0, ran.err
        assert "hello there" in ran.out
        heard = server.requests[0]
        assert heard.style == row.api_style or {heard.style, row.api_style} <= {
            "openai",
            "reasoning",
        }
        assert (heard.asked.model.name, heard.asked.max_tokens) == (model, 500)
        assert heard.asked.stream is not whole
        assert SECRET not in ran.out + ran.err
        shown = cli("wire", "--json", *args, "hello there", *(["--no-stream"] if whole else []))
        assert shown.json["body"] == heard.json
        assert shown.json["url"].endswith(heard.path + (f"?{heard.query}" if heard.query else ""))
        assert {
            k.lower(): v for k, v in shown.json["headers"].items() if "***" not in v
        }.items() <= {k.lower(): v for k, v in heard.headers.items()}.items()


@each_provider
def test_wire(cli: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """To the service's own address, with the key hidden, and nothing sent."""
    row = PROVIDERS[name]
    for variable, value in ACCOUNT.items():
        monkeypatch.setenv(variable, value)
    if row.api_key_env_var:
        monkeypatch.setenv(row.api_key_env_var, SECRET)
    ran = cli("wire", "--json", "-m", f"{name}:some-model", "hello there")
    assert ran.code == 0, ran.err
    url, headers = ran.json["url"], ran.json["headers"]
    assert re.match(r"https://|http://127\.0\.0\.1:\d+/", url) and "{" not in url
    host = row.api_base.split("/")[2] if row.api_base else "{region}-aiplatform.googleapis.com"
    assert re.fullmatch(re.sub(r"\{\w+\}", r"[\\w-]+", host), url.split("/")[2])
    hidden = [k.lower() for k, v in headers.items() if "***" in v]
    keyless = not row.api_key_env_var and "google" not in url
    assert hidden == [] if keyless else len(hidden) == 1
    assert SECRET not in ran.out + ran.err
    plain = cli("wire", "-m", f"{name}:some-model", "hello there")
    assert plain.out.startswith(f"POST {url}\n")


def test_models_shows_every_provider_and_what_it_lacks(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", SECRET)
    states = {
        line.split()[0]: re.split(r"  +", line)[-1]
        for line in cli("models").out.splitlines()
        if line
    }
    assert set(PROVIDERS) <= set(states)
    for name, row in PROVIDERS.items():
        if name.startswith("azure"):
            continue
        wanted = {"key not set"} if row.api_key_env_var else {"no key needed"}
        if row.api_style in GOOGLE_STYLES or row.dialect.auth == "google":
            wanted = {"project not set", "region not set"}
        if row.api_key_env_var == "AWS_BEARER_TOKEN_BEDROCK":  # signed by another key, if not set
            wanted = {"region not set"}
        assert states[name] in wanted, name
    assert states["azure"] == "resource not set"
    for variable, value in ACCOUNT.items():
        monkeypatch.setenv(variable, value)
    document = cli("models", "--json").json
    assert [p["name"] for p in document["providers"]] == list(PROVIDERS)
    ran = cli("models")
    assert re.search(r"^azure .* key set$", ran.out, re.MULTILINE)
    assert re.search(r"^vertex-openai .* project proj, us-east5$", ran.out, re.MULTILINE)
    assert SECRET not in ran.out
