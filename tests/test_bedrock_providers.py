"""Bedrock's rows: from a region to a host, from the environment to a row, and over every client."""

from __future__ import annotations

from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
from msgspec.structs import replace

from llmwire.adapters import ADAPTERS
from llmwire.backend import GenericBackend
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, IncompleteStreamError
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.settings import ConfigSource, build_settings, resolve_model
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.types import LLMMessage

ROWS = ("bedrock", "bedrock-anthropic", "bedrock-mantle", "bedrock-openai")
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-6-v1:0"


def url_of(row: ProviderConfig, model: str = "m") -> str:
    asked = LLMRequest(model=ModelConfig(model), messages=(LLMMessage("user", "hi"),))
    return ADAPTERS[row.api_style].prepare_request(asked, row).url


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("bedrock", "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/converse"),
        ("bedrock-anthropic", "https://bedrock-runtime.eu-west-1.amazonaws.com/model/m/invoke"),
        ("bedrock-mantle", "https://bedrock-mantle.eu-west-1.api.aws/anthropic/v1/messages"),
        ("bedrock-openai", "https://bedrock-mantle.eu-west-1.api.aws/openai/v1/chat/completions"),
    ],
)
def test_each_row_goes_to_its_region(name: str, url: str) -> None:
    row = replace(PROVIDERS[name], region="eu-west-1")
    assert url_of(row) == url
    assert row.api_key_env_var == "AWS_BEARER_TOKEN_BEDROCK"
    moved = replace(row, region="us-east-1")
    assert "us-east-1" in url_of(moved)


@pytest.mark.parametrize("name", ROWS)
def test_without_a_region_there_is_no_address(name: str) -> None:
    with pytest.raises(ConfigError, match=f"provider '{name}' needs region"):
        url_of(PROVIDERS[name])


def test_an_address_without_a_place_for_it_needs_no_region() -> None:
    own = replace(PROVIDERS["bedrock"], api_base="https://gw.example/aws")
    assert own.address == "https://gw.example/aws"
    assert ProviderConfig("x", "https://{region}.example/v1", region="r-1").address == (
        "https://r-1.example/v1"
    )


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({"AWS_REGION": "us-west-2"}, "us-west-2"),
        ({"AWS_DEFAULT_REGION": "eu-north-1"}, "eu-north-1"),
        ({"AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "eu-north-1"}, "us-west-2"),
        ({}, ""),
    ],
)
def test_the_region_of_the_environment(environ: dict[str, str], region: str) -> None:
    settings = build_settings([], environ)
    assert {settings.providers[name].region for name in ROWS} == {region}
    assert settings.providers["openai"].region == ""
    assert not settings.ready


def test_a_region_that_is_none_is_told_when_it_is_needed() -> None:
    settings = build_settings([], {"AWS_REGION": "evil.example/"})
    with pytest.raises(ConfigError, match="AWS_REGION holds no project or region"):
        resolve_model("bedrock:m", settings)


def test_the_token_makes_the_rows_ready() -> None:
    environ = {"AWS_REGION": "us-west-2", "AWS_BEARER_TOKEN_BEDROCK": "t"}
    assert set(ROWS) <= build_settings([], environ).ready


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("bedrock", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        ("bedrock-anthropic", "ANTHROPIC_BEDROCK_BASE_URL"),
        ("bedrock-mantle", "ANTHROPIC_BEDROCK_MANTLE_BASE_URL"),
    ],
)
def test_addresses_of_the_environment(name: str, variable: str) -> None:
    row = build_settings([], {variable: "https://gw.example/x/"}).providers[name]
    assert row.api_base == "https://gw.example/x"
    assert url_of(row).startswith("https://gw.example/x/")


def test_the_users_file_sets_the_region() -> None:
    text = '[providers.bedrock]\nregion = "ap-south-1"'
    row = build_settings([ConfigSource("config.toml", text)], {}).providers["bedrock"]
    assert row.address == "https://bedrock-runtime.ap-south-1.amazonaws.com"
    assert row.dialect == PROVIDERS["bedrock"].dialect


@pytest.mark.parametrize(
    "text",
    [
        '[providers.bedrock]\napi_base = "https://evil.example"',
        '[providers.bedrock]\napi_base = "https://bedrock-runtime.{region}.evil.example"',
        '[providers.bedrock]\nregion = "evil"',
        '[providers.openai]\napi_base = "https://bedrock-runtime.{region}.amazonaws.com"',
    ],
)
def test_a_project_file_moves_no_token(text: str) -> None:
    with pytest.raises(ConfigError, match="project file can't"):
        build_settings([ConfigSource("llmwire.toml", text, False)], {"AWS_REGION": "us-east-1"})


# --- over real HTTP -----------------------------------------------------------------------------


@pytest.fixture(params=["own", "aiohttp", "httpx", "httpx2"])
async def client(request: Any) -> Any:
    if request.param == "own":
        yield None
    elif request.param == "aiohttp":
        async with aiohttp.ClientSession() as session:
            yield session
    else:
        module = {"httpx": httpx, "httpx2": httpx2}[request.param]
        async with module.AsyncClient() as session:
            yield session


@pytest.mark.parametrize("wire", ["bedrock-converse", "bedrock-anthropic"])
async def test_the_path_goes_out_as_it_is_signed(client: Any, wire: str) -> None:
    """A client that wrote `%3A` as `:` would make every signature wrong."""
    with LocalServer() as server:
        provider = server.provider(wire)
        async with GenericBackend(provider=provider, client=client) as backend:
            server.reply("Hello!", Reply("Hello, you!", chunk_size=3, split=5))
            reply = await backend.complete(model=ARN, messages="hi")
            assert reply.text == "Hello!"
            async with backend.complete_streaming(model=ARN, messages="hi") as stream:
                texts = [chunk.text async for chunk in stream if chunk.text]
            assert texts == ["Hel", "lo,", " yo", "u!"]
            assert stream.result.usage is not None and stream.result.usage.output_total == 3
        heard = server.requests
    quoted = ARN.replace(":", "%3A").replace("/", "%2F")
    assert [f"/model/{quoted}/" in h.path for h in heard] == [True, True]
    assert heard[0].asked.model.name == ARN
    assert heard[1].headers["accept-encoding"] == "identity"


async def test_a_row_demands_the_metadata_and_a_stand_in_does_not() -> None:
    strict = PROVIDERS["bedrock"].dialect
    for dialect, whole in ((None, True), (strict, False)):
        with LocalServer() as server:
            server.reply(Reply("Hello!", fault=Fault("end", events=-1)))
            provider = server.provider("bedrock-converse", dialect=dialect)
            async with GenericBackend(provider=provider) as backend:
                stream = backend.complete_streaming(model="m", messages="hi")
                if whole:
                    assert [c.text async for c in stream if c.text] == ["Hello!"]
                    continue
                with pytest.raises(IncompleteStreamError) as caught:
                    async for _ in stream:
                        pass
                assert caught.value.partial is not None
                assert caught.value.partial.text == "Hello!"


@pytest.mark.parametrize("wire", ["bedrock-converse", "bedrock-anthropic"])
async def test_counting_over_http(wire: str) -> None:
    with LocalServer() as server:
        server.reply_count(42)
        async with GenericBackend(provider=server.provider(wire)) as backend:
            count = await backend.count_tokens(
                model="us.anthropic.claude-sonnet-4-6-v1:0", messages="hi"
            )
    assert (count, count.method) == (42, "endpoint")
