"""The models endpoint of each wire, read as far as it says something."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from contract.cases import provider
from llmwire import (
    PROVIDERS,
    ConfigError,
    DecodeError,
    GenericBackend,
    ModelFacts,
    Prices,
    ProviderConfig,
    UnsupportedError,
)
from llmwire.adapters.listing import LISTINGS, SOURCE
from llmwire.testing import LocalServer, Reply
from scripted import JSON, Answer, ScriptedTransport
from strategies import json_values

P = ProviderConfig("p", "https://llm.example.com/v1")


def read(style: str, document: Any) -> tuple[tuple[ModelFacts, ...], str | None]:
    return LISTINGS[style].parse_models(json.dumps(document).encode(), P)


def facts(**known: Any) -> ModelFacts:
    return ModelFacts("m", "p", sources=dict.fromkeys(known, SOURCE), **known)


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        ({"created": 1_700_000_000, "owned_by": "x"}, {"created": 1_700_000_000}),
        ({"created": 0, "context_length": None, "capabilities": "all"}, {}),
        (
            {  # OpenRouter
                "name": "M", "context_length": 1000, "top_provider": {"max_completion_tokens": 99},
                "supported_parameters": ["tools", "reasoning"],
                "architecture": {"input_modalities": ["text", "image"]},
                "pricing": {"prompt": "0.000002", "completion": "0.00001", "request": "0",
                            "input_cache_read": "0.0000002"},
            },
            {
                "display_name": "M", "context_window": 1000, "max_output_tokens": 99, "tools": True,
                "thinks": True, "sampling": False, "vision": True,
                "prices": Prices(2.0, 10.0, 0.2, source=SOURCE),
            },
        ),
        ({"pricing": {"prompt": "-1", "completion": "-1"}}, {}),
        ({"pricing": {"input": 0.2, "output": 0.3}}, {}),
        ({"max_model_len": 4096}, {"context_window": 4096}),  # vLLM
        ({"meta": {"n_ctx_train": 8192}}, {"context_window": 8192}),  # llama.cpp
        (
            {"context_window": 131072, "max_completion_tokens": 32768, "active": True},  # Groq
            {"context_window": 131072, "max_output_tokens": 32768},
        ),
        (
            {  # Mistral
                "name": "mistral-x", "max_context_length": 32768,
                "capabilities": {"function_calling": True, "vision": False, "reasoning": True},
            },
            {
                "display_name": "mistral-x", "context_window": 32768, "tools": True,
                "vision": False, "thinks": True,
            },
        ),
        (
            {"context_length": 262144, "supports_image_in": True, "supports_reasoning": False},
            {"context_window": 262144, "vision": True, "thinks": False},  # Moonshot
        ),
    ],
)  # fmt: skip
def test_compatible_servers_have_fields_of_their_own(
    entry: dict[str, Any], known: dict[str, Any]
) -> None:
    for document in ({"object": "list", "data": [{"id": "m", **entry}]}, [{"id": "m", **entry}]):
        assert read("openai", document) == ((facts(**known),), None)


def supported(*names: str) -> dict[str, Any]:
    return {name: {"supported": True} for name in names}


def test_anthropic_tells_what_a_model_can() -> None:
    entry = {
        "id": "m", "type": "model", "display_name": "M", "created_at": "2026-10-01T00:00:00Z",
        "max_input_tokens": 1_000_000, "max_tokens": 128_000, "lifecycle": "active",
        "capabilities": {
            "image_input": {"supported": True},
            "thinking": {"supported": True, "types": supported("adaptive", "disabled")},
            "effort": {"supported": True, **supported("low", "medium", "high", "max"),
                       "xhigh": None},
        },
    }  # fmt: skip
    models, after = read("anthropic", {"data": [entry], "has_more": False, "last_id": "m"})
    assert after is None
    assert models == (
        facts(
            display_name="M", created=1_790_812_800, context_window=1_000_000,
            max_output_tokens=128_000, vision=True, thinks=True,
            thinking=("off", "low", "medium", "high", "max"), thinking_form="adaptive",
        ),
    )  # fmt: skip
    bare = {"data": [{"id": "m", "created_at": "1970-01-01T00:00:00Z"}], "has_more": False}
    assert read("anthropic", bare) == ((facts(),), None)


def test_gemini_tells_limits() -> None:
    entry = {
        "name": "models/m", "displayName": "M", "inputTokenLimit": 1000, "outputTokenLimit": 99,
        "thinking": True,
    }  # fmt: skip
    models, after = read("gemini", {"models": [entry], "nextPageToken": "t"})
    assert models == (
        facts(display_name="M", context_window=1000, max_output_tokens=99, thinks=True),
    )
    assert after == "t"


@pytest.mark.parametrize("style", LISTINGS)
@given(value=json_values)
def test_any_answer_is_a_list_or_a_typed_error(style: str, value: Any) -> None:
    wrapped = [{"id": "m", "name": "m", "capabilities": value, "pricing": value, "created": value}]
    for document in (value, {"data": value, "models": value}, {"data": wrapped, "models": wrapped}):
        try:
            models, _ = read(style, document)
        except DecodeError:
            continue
        assert all(m.name and m.provider == "p" for m in models)


@pytest.mark.parametrize("style", LISTINGS)
def test_bytes_that_are_no_json(style: str) -> None:
    with pytest.raises(DecodeError, match="list of models"):
        LISTINGS[style].parse_models(b"<html>", P)


@pytest.mark.parametrize(
    ("style", "base", "url"),
    [
        ("openai", "https://a/v1/", "https://a/v1/models"),
        ("openai-responses", "https://a/v1", "https://a/v1/models"),
        ("anthropic", "https://a", "https://a/v1/models?limit=1000"),
        ("anthropic", "https://a/v1", "https://a/v1/models?limit=1000"),
    ],
)
def test_the_address(style: str, base: str, url: str) -> None:
    prepared = LISTINGS[style].prepare_models(ProviderConfig("p", base, api_style=style), None)
    assert (prepared.method, prepared.url, prepared.body) == ("GET", url, b"")
    with pytest.raises(ConfigError, match="api_base"):
        LISTINGS[style].prepare_models(ProviderConfig("p", api_style=style), None)


@pytest.mark.parametrize("wire", ["openai", "openai-responses", "anthropic", "reasoning", "gemini"])
async def test_a_server_is_asked_for_its_models(wire: str) -> None:
    with LocalServer() as server:
        async with GenericBackend(provider=server.provider(wire)) as backend:
            models = await backend.list_models()
        (asked,) = server.requests
    assert (asked.method, asked.body) == ("GET", b"")
    assert [m.name for m in models] == ["offline"]
    assert ("anthropic-version" in asked.headers) == (wire == "anthropic")


async def test_all_pages_are_read() -> None:
    pages = [
        {"data": [{"id": "a"}, {"id": "b b"}], "has_more": True, "last_id": "b b"},
        {"data": [{"id": "c"}], "has_more": False, "last_id": "c"},
    ]
    transport = ScriptedTransport(
        *(Answer([json.dumps(page).encode()], headers=JSON) for page in pages)
    )
    async with GenericBackend(provider=provider("anthropic"), client=transport) as backend:
        assert [m.name for m in await backend.list_models()] == ["a", "b b", "c"]
    assert [request.url.partition("?")[2] for request in transport.sent] == [
        "limit=1000", "limit=1000&after_id=b%20b",
    ]  # fmt: skip


async def test_errors_are_those_of_any_call() -> None:
    with LocalServer(require_key="k") as server:
        async with GenericBackend(provider=server.provider("openai")) as backend:
            backend.provider = ProviderConfig("p", backend.provider.api_base)
            with pytest.raises(Exception, match="API key"):
                await backend.list_models()
    async with GenericBackend(provider=PROVIDERS["vertex-anthropic"]) as backend:
        with pytest.raises(UnsupportedError, match="no list of models"):
            await backend.list_models()


def test_the_same_without_await() -> None:
    from llmwire.sync import GenericBackend as SyncBackend

    with LocalServer() as server:
        server.reply(Reply("x"))
        with SyncBackend(provider=server.provider("openai")) as backend:
            assert [m.name for m in backend.list_models()] == ["offline"]
