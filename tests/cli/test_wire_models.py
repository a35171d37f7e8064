"""`llmwire wire` shows what would be sent, `llmwire models` what there is. Neither shows a key."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from llmwire.testing import LocalServer

SECRET = "sk-very-secret"


def test_wire_prints_the_request_without_key_or_network(cli: Any) -> None:
    ran = cli("wire", "-m", "openai:gpt-6-luna", "-s", "Be brief.", "Hi")
    assert ran.code == 0, ran.err
    head, _, body = ran.out.partition("\n\n")
    lines = head.splitlines()
    assert lines[0] == "POST https://api.openai.com/v1/chat/completions"
    assert "Authorization: Bearer ***" in lines
    sent = json.loads(body)
    assert sent["model"] == "gpt-6-luna"
    assert sent["stream"] is True
    assert [m["content"] for m in sent["messages"]] == ["Be brief.", "Hi"]


@pytest.mark.parametrize(
    ("model", "url", "secret"),
    [
        ("anthropic:claude-haiku-5-5", "https://api.anthropic.com/v1/messages", "***"),
        ("mistral:mistral-small-latest", "https://api.mistral.ai/v1/chat/completions", "Bearer ***"),
    ],
)  # fmt: skip
def test_wire_speaks_each_providers_language(
    cli: Any, monkeypatch: Any, model: str, url: str, secret: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("MISTRAL_API_KEY", SECRET)
    ran = cli("wire", "--json", "-m", model, "Hi")
    document = ran.json
    assert (document["method"], document["url"]) == ("POST", url)
    assert secret in document["headers"].values()
    assert document["body"]["stream"] is True
    assert SECRET not in ran.out + ran.err


def test_wire_needs_project_and_region_for_vertex(cli: Any, monkeypatch: Any) -> None:
    ran = cli("wire", "-m", "vertex-anthropic:claude-opus-4-5@20251101", "Hi")
    assert ran.code == 1
    assert "project" in ran.err
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p1")
    monkeypatch.setenv("CLOUD_ML_REGION", "us-east5")
    document = cli("wire", "--json", "-m", "vertex-anthropic:claude-opus-4-5@20251101", "Hi").json
    assert document["url"].startswith("https://us-east5-aiplatform.googleapis.com/v1/projects/p1/")
    assert document["headers"]["Authorization"] == "Bearer ***"


def test_wire_and_models_know_bedrock(cli: Any, monkeypatch: Any) -> None:
    ran = cli("wire", "-m", "bedrock:amazon.nova-lite-v1:0", "Hi")
    assert ran.code == 1 and "needs region" in ran.err
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    document = cli("wire", "--json", "-m", "bedrock:amazon.nova-lite-v1:0", "Hi").json
    assert document["url"].endswith(
        ".eu-west-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse-stream"
    )
    assert document["headers"]["Authorization"] == "***"
    assert "by AWS key" in cli("models").out
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", SECRET)
    assert "by AWS key" not in cli("models").out


def test_wire_shows_that_geminis_key_is_no_part_of_the_address(cli: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", SECRET)
    ran = cli("wire", "--json", "-m", "gemini:gemini-3.5-flash", "Hi")
    assert ran.json["url"].endswith("/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse")
    assert ran.json["headers"]["x-goog-api-key"] == "***"
    assert "Authorization" not in ran.json["headers"]
    assert SECRET not in ran.out + ran.err


def test_wire_tells_adaptations_on_stderr(cli: Any) -> None:
    ran = cli("wire", "-m", "anthropic:claude-opus-5-5", "--temperature", "0.3", "Hi")
    assert "note: temperature dropped (0.3)" in ran.err
    document = cli(
        "wire", "--json", "-m", "anthropic:claude-opus-5-5", "--temperature", "0.3", "Hi"
    ).json
    assert "temperature" in [a["path"] for a in document["adaptations"]]
    assert "temperature" not in document["body"]


@pytest.mark.parametrize("model", ["local:m", "local-anthropic:m"])
@pytest.mark.parametrize("whole", [True, False])
def test_wire_shows_what_ask_sends(cli: Any, server: LocalServer, model: str, whole: bool) -> None:
    args = ["-m", model, "--max-tokens", "50", "-s", "Be brief.", "--thinking", "low", "Hi"]
    if whole:
        args.append("--no-stream")
    shown = cli("wire", "--json", *args).json
    assert server.requests == []
    assert cli("ask", *args).code == 0
    heard = server.requests[0]
    assert shown["method"] == heard.method
    assert shown["url"].endswith(heard.path)
    assert shown["body"] == heard.json
    for name, value in shown["headers"].items():
        assert heard.headers[name] == value


def test_wire_hides_the_secrets_in_extra_headers(cli: Any) -> None:
    cli.configure(
        f"""
        [providers.w]
        api_base = "https://w/v1"
        extra_headers = {{ "api-key" = "{SECRET}", "X-Session-Token" = "{SECRET}", "x-team" = "a" }}
        """
    )
    ran = cli("wire", "-m", "w:m", "Hi")
    assert SECRET not in ran.out
    assert "api-key: ***" in ran.out
    assert "x-team: a" in ran.out


def test_wire_shows_one_credential_as_a_call_sends_one(cli: Any, server: LocalServer) -> None:
    cli.configure(
        f"""
        [providers.w]
        api_base = "{server.url}/anthropic"
        api_style = "anthropic"
        api_key_env_var = "W_KEY"
        extra_headers = {{ Authorization = "Bearer {SECRET}" }}
        """
    )
    shown = cli("wire", "--json", "-m", "w:m", "Hi").json["headers"]
    assert shown["Authorization"] == "***"
    assert "x-api-key" not in shown
    assert cli("ask", "-m", "w:m", "Hi").code == 0
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert "x-api-key" not in server.requests[0].headers


def test_wire_shortens_long_strings_unless_json_is_asked_for(cli: Any) -> None:
    ran = cli("wire", "-m", "openai:m", stdin="x" * 50_000)
    assert len(ran.out) < 5_000
    assert "50,000 characters" in ran.out
    assert "x" * 50_000 in cli("wire", "--json", "-m", "openai:m", stdin="x" * 50_000).out


def test_models_lists_providers_and_which_keys_are_set(cli: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    ran = cli("models")
    assert ran.code == 0
    lines = {line.split()[0]: line for line in ran.out.splitlines() if line}
    assert re.search(r" OPENAI_API_KEY +key set$", lines["openai"])
    assert re.search(r" GROQ_API_KEY +key not set$", lines["groq"])
    assert lines["ollama"].endswith("no key needed")
    assert "default model: openai:gpt-6-luna (implied by the only key that is set)" in ran.out
    assert SECRET not in ran.out + ran.err


def test_models_shows_the_configuration(cli: Any, server: LocalServer) -> None:
    ran = cli("models")
    assert "m      local:m  off       $1.00 / $4.00" in ran.out
    assert "default model: local:m (" in ran.out
    assert f"configuration: {cli.home}" in ran.out
    document = cli("models", "--json").json
    assert document["default"] == "local:m"
    assert document["models"][0]["alias"] == "m"
    local = next(p for p in document["providers"] if p["name"] == "local")
    assert local["address"] == f"{server.url}/openai/v1"
    assert (local["key_variable"], local["key_set"]) == (None, None)


def test_models_says_what_is_wrong(cli: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://u:{SECRET}@h")
    monkeypatch.setenv("LLMWIRE_MODEL", "opnai:x")
    ran = cli("models")
    assert ran.code == 0
    assert "the address in OPENAI_BASE_URL can't be used" in ran.out
    assert "default model: none (LLMWIRE_MODEL: no provider is called 'opnai'" in ran.out
    assert SECRET not in ran.out
    assert "default model: offline" not in ran.out


@pytest.mark.parametrize("name", ["local", "local-anthropic", "offline", "offline:ollama"])
def test_models_of_a_provider_are_asked_for(cli: Any, server: LocalServer, name: str) -> None:
    ran = cli("models", name)
    assert ran.code == 0, ran.err
    assert [line.split() for line in ran.out.splitlines()] == [
        ["MODEL", "CONTEXT", "MOST", "OUTPUT"],
        ["offline", "?", "?"],
    ]
    assert cli("models", "--json", name).json == {"provider": name, "models": [{"name": "offline"}]}


def test_models_of_a_provider_without_a_list(cli: Any) -> None:
    ran = cli("models", "nobody")
    assert (ran.code, ran.out) == (1, "")
    assert "no provider is called 'nobody'" in ran.err
