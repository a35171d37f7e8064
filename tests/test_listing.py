"""Lists of models: what each wire asks for, what the answers mean, and the walk of the call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire import GenericBackend, ModelInfo, RetryPolicy
from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import ModelLister
from llmwire.adapters.listing import parse_models
from llmwire.config import Dialect, ProviderConfig
from llmwire.errors import AuthenticationError, DecodeError, UnsupportedError
from llmwire.listing import MOST_PAGES
from llmwire.sync import GenericBackend as SyncBackend
from llmwire.testing import LocalServer
from scripted import JSON, Answer, ScriptedTransport

LISTERS = sorted(s for s in ADAPTERS if s != "vertex-anthropic")
OPENAI = ProviderConfig("p", "http://127.0.0.1:1/v1")
CONVERSE = "bedrock-converse"
CLAUDE = ProviderConfig("c", "http://127.0.0.1:1", api_style="anthropic")


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"object": "list", "data": [{"id": "a", "object": "model"}]}, [ModelInfo("a")]),
        ([{"id": "a", "context_length": 8192}], [ModelInfo("a", 8192)]),
        ({"data": [{"id": "a", "context_window": 9, "max_completion_tokens": 4}]}, [("a", 9, 4)]),
        ({"data": [{"id": "a", "context_length": 9, "top_provider": {"context_length": 7,
          "max_completion_tokens": 4}}]}, [("a", 9, 4)]),
        ({"data": [{"id": "a", "max_model_len": 9}]}, [("a", 9, None)]),
        ({"data": [{"id": "a", "max_context_length": 9}]}, [("a", 9, None)]),
        ({"data": [{"type": "model", "id": "a", "max_input_tokens": 9, "max_tokens": 4}]},
         [("a", 9, 4)]),
        ({"models": [{"name": "q:8b", "model": "q:8b", "size": 5}]}, [("q:8b", None, None)]),
        ({"data": [None, 5, {}, {"id": ""}, {"id": 7}, {"id": "b", "context_length": "8k"}]},
         [("b", None, None)]),
        ({"data": []}, []),
    ],
)  # fmt: skip
def test_every_form_of_a_list(body: Any, models: Any) -> None:
    page = parse_models(json.dumps(body).encode())
    assert list(page.models) == [m if isinstance(m, ModelInfo) else ModelInfo(*m) for m in models]
    assert page.after == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'"x"', b'{"data":{}}', b'{"error":"x"}'])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(DecodeError, match="no list of models"):
        parse_models(body)


@pytest.mark.parametrize("style", LISTERS)
async def test_the_embedded_server_lists_its_models(style: str) -> None:
    """Over every wire, and without a key."""
    with LocalServer(models=("one", "two")) as server:
        async with GenericBackend(provider=server.provider(style)) as backend:
            assert [m.name for m in await backend.list_models()] == ["one", "two"]
            server.require_key = "secret"
            with pytest.raises(AuthenticationError) as caught:
                await backend.list_models()
        assert caught.value.model == "" and caught.value.payload_summary is None
        heard = server.requests[0]
    assert (heard.method, heard.body) == ("GET", b"")


async def test_keys_travel_as_in_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TEST_API_KEY", "k-1")
    for provider, name, value in (
        (OPENAI, "authorization", "Bearer k-1"),
        (CLAUDE, "x-api-key", "k-1"),
        (replace(CLAUDE, dialect=Dialect(bearer=True)), "authorization", "Bearer k-1"),
    ):
        transport = ScriptedTransport(Answer([b'{"data":[]}'], headers=JSON))
        keyed = replace(provider, api_key_env_var="A_TEST_API_KEY")
        await GenericBackend(provider=keyed, client=transport).list_models(
            extra_headers={"x-team": "a"}
        )
        sent = transport.sent[0]
        assert (sent.headers[name], sent.headers["x-team"]) == (value, "a")


async def test_pages_are_followed() -> None:
    def page(*names: str, more: bool) -> Answer:
        data = [{"id": n} for n in names]
        body = {"data": data, "has_more": more, "first_id": names[0], "last_id": names[-1]}
        return Answer([json.dumps(body).encode()], headers=JSON)

    transport = ScriptedTransport(page("a", "b&c", more=True), page("d", more=False))
    backend = GenericBackend(provider=CLAUDE, client=transport)
    assert [m.name for m in await backend.list_models()] == ["a", "b&c", "d"]
    assert [o.url.rpartition("/")[2] for o in transport.sent] == [
        "models?limit=1000",
        "models?limit=1000&after_id=b%26c",
    ]
    endless = ScriptedTransport(*[page("a", more=True) for _ in range(MOST_PAGES + 5)])
    await GenericBackend(provider=CLAUDE, client=endless).list_models()
    assert len(endless.sent) == MOST_PAGES


async def test_failures_are_retried_as_in_a_call() -> None:
    transport = ScriptedTransport(
        Answer([b"{}"], status=503, headers=JSON), Answer([b'[{"id":"a"}]'], headers=JSON)
    )
    backend = GenericBackend(provider=OPENAI, client=transport, retry=RetryPolicy(base=0.0))
    assert await backend.list_models() == (ModelInfo("a"),)
    assert len(transport.sent) == 2


@pytest.mark.parametrize(
    "provider",
    [
        ProviderConfig("v", api_style="vertex-anthropic", project_id="p", region="global"),
        ProviderConfig("p", "https://a.bedrock-runtime.us-east-1.vpce.amazonaws.com", "", CONVERSE),
        replace(OPENAI, dialect=Dialect(model_list=False)),
        replace(CLAUDE, dialect=Dialect(model_list=False)),
    ],
)
async def test_where_there_is_no_list_it_is_said(provider: ProviderConfig) -> None:
    transport = ScriptedTransport()
    with pytest.raises(UnsupportedError, match="no list of models"):
        await GenericBackend(provider=provider, client=transport).list_models()
    assert transport.sent == []


def test_without_await() -> None:
    with LocalServer() as server, SyncBackend(provider=server.provider()) as backend:
        assert backend.list_models() == (ModelInfo("offline"),)


def test_every_adapter_is_a_lister() -> None:
    assert all(isinstance(adapter, ModelLister) for adapter in ADAPTERS.values())
