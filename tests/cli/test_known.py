"""`llmwire models --catalogue`: what is known, without asking anybody."""

from __future__ import annotations

from typing import Any

from llmwire.catalogue import catalogue_sources


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


def test_names_that_are_none(cli: Any) -> None:
    ran = cli("models", "--catalogue", "nobody")
    assert ran.code == 2 and "only of openai" in ran.err
