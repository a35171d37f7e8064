"""`llmwire models PROVIDER` asks, `--catalogue` looks up."""

from __future__ import annotations

from typing import Any

from llmwire.catalogue import catalogue_sources
from llmwire.testing import LocalServer


def test_the_catalogue_is_a_table_with_its_sources(cli: Any) -> None:
    ran = cli("models", "--catalogue", "anthropic")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].split()[:3] == ["MODEL", "CONTEXT", "OUTPUT"]
    (opus,) = [line for line in lines if line.startswith("claude-opus-5-5 ")]
    assert opus.split()[1:8] == ["1,000,000", "128,000", "yes", "low", "to", "max", "$4.00"]
    for source in catalogue_sources().values():
        assert str(source) in lines[-1]


def test_the_whole_catalogue_names_providers(cli: Any) -> None:
    ran = cli("models", "--catalogue")
    assert any(line.startswith("openai:gpt-6-luna ") for line in ran.out.splitlines())
    assert "up to 272,000" in ran.out


def test_the_catalogue_for_programs_has_a_source_for_each_fact(cli: Any) -> None:
    document = cli("models", "--catalogue", "openai", "--json").json
    entry = next(m for m in document["models"] if m["name"] == "gpt-6-luna")
    assert entry["vision"] is True
    assert entry["prices"]["larger"]["input"] > entry["prices"]["input"]
    assert set(entry["sources"].values()) <= set(document["sources"])


def test_a_provider_is_asked(cli: Any, server: LocalServer) -> None:
    ran = cli("models", "local")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[1].split() == ["offline", "?", "?", "?", "?", "?"]
    assert [(r.method, r.path) for r in server.requests] == [("GET", "/openai/v1/models")]
    document = cli("models", "local", "--json").json
    assert document["models"] == [{"name": "offline", "provider": "local"}]


def test_what_a_provider_does_not_say_is_looked_up(cli: Any) -> None:
    with LocalServer(models=("claude-opus-5-5", "claude-opus-77")) as server:
        cli.configure(f'providers.anthropic.api_base = "{server.url}/anthropic"')
        cli._monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
        known, newer = cli("models", "anthropic", "--json").json["models"]
    assert known["sources"]["display_name"] == "models endpoint"
    assert known["context_window"] == 1_000_000
    assert "litellm" in known["sources"]["vision"]
    assert "context_window" not in newer  # a guess by family is no fact of a list


def test_names_that_are_none(cli: Any) -> None:
    ran = cli("models", "nobody")
    assert ran.code == 2 and "no provider is called 'nobody'" in ran.err
    ran = cli("models", "--catalogue", "nobody")
    assert ran.code == 2 and "only of openai" in ran.err
    ran = cli("models", "vertex-anthropic")
    assert ran.code == 1 and "no list of models" in ran.err
