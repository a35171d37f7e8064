"""The vendors' own clients for Azure send their requests to the same places, with the same key."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from msgspec.structs import replace

from llmwire import GenericBackend
from llmwire.providers import PROVIDERS
from llmwire.testing import LocalServer
from llmwire.testing.routes import Heard

HI: Any = [{"role": "user", "content": "hi"}]


def theirs(name: str, url: str) -> None:
    """One call by the vendor's client."""
    if name in ("azure", "azure-responses"):
        client: Any = openai.OpenAI(
            base_url=f"{url}/openai/v1", api_key="k-1", default_headers={"api-key": "k-1"}
        )
        if name == "azure":
            client.chat.completions.create(model="gpt", messages=HI)
        else:
            client.responses.create(model="gpt", input="hi")
    elif name == "azure-classic":
        client = openai.AzureOpenAI(azure_endpoint=url, api_key="k-1", api_version="2024-10-21")
        client.chat.completions.create(model="gpt", messages=HI)
    else:
        client = anthropic.AnthropicFoundry(base_url=f"{url}/anthropic", api_key="k-1")
        client.messages.create(model="claude-sonnet-4-6", max_tokens=9, messages=HI)
    client.close()


def place(heard: Heard, header: str) -> tuple[str, ...]:
    return heard.method, heard.path, heard.query, heard.headers[header]


@pytest.mark.parametrize(
    ("name", "path", "header"),
    [
        ("azure", "/openai/v1", "api-key"),
        ("azure-responses", "/openai/v1", "api-key"),
        ("azure-classic", "/openai", "api-key"),
        ("anthropic-foundry", "/anthropic", "x-api-key"),
    ],
)
async def test_a_call_goes_where_the_vendors_client_sends_it(
    name: str, path: str, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = PROVIDERS[name]
    monkeypatch.setenv(row.api_key_env_var, "k-1")
    with LocalServer(require_key="k-1") as server:
        theirs(name, server.url)
        model = "claude-sonnet-4-6" if row.api_style == "anthropic" else "gpt"
        async with GenericBackend(provider=replace(row, api_base=server.url + path)) as backend:
            reply = await backend.complete(model=model, messages="hi", max_tokens=9)
        them, us = server.requests
    assert place(us, header) == place(them, header)
    assert us.asked.model.name == them.asked.model.name == model
    assert reply.text


async def test_an_entra_token_is_the_users_to_bring() -> None:
    row = PROVIDERS["azure"]
    with LocalServer(require_key="token-1") as server:
        moved = replace(row, api_base=f"{server.url}/openai/v1")
        async with GenericBackend(provider=moved) as backend:
            await backend.complete(
                model="gpt", messages="hi", extra_headers={"Authorization": "Bearer token-1"}
            )
        assert "api-key" not in server.requests[0].headers
