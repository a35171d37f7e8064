"""Claude on Vertex AI: the same language at Google's addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.base import PreparedRequest
from llmwire.adapters.vertex import VertexAnthropicAdapter, VertexAnthropicServer
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, InvalidRequestError, NotFoundError
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk, LLMMessage, StopInfo, accumulate

CLIENT, SERVER = VertexAnthropicAdapter(), VertexAnthropicServer()
PROVIDER = ProviderConfig(
    "vertex", api_style="vertex-anthropic", project_id="my-project", region="europe-west1"
)
ROOT = "/v1/projects/my-project/locations/europe-west1/publishers/anthropic/models"


def ask(model: str = "claude-opus-4-5@20251101", **fields: Any) -> LLMRequest:
    messages = (LLMMessage("system", "be"), LLMMessage("user", "hi"))
    return LLMRequest(model=ModelConfig(model), messages=messages, **fields)


def prepare(request: LLMRequest | None = None, **changes: Any) -> PreparedRequest:
    return CLIENT.prepare_request(request or ask(), replace(PROVIDER, **changes))


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west1", "europe-west1-aiplatform.googleapis.com"),
    ],
)
def test_each_region_has_its_host(region: str, host: str) -> None:
    made = prepare(region=region)
    assert made.base_url == f"https://{host}"
    assert f"/v1/projects/my-project/locations/{region}/" in made.url
    assert made.auth == "google"


def test_model_and_verb_stand_in_the_path() -> None:
    assert prepare().endpoint == f"{ROOT}/claude-opus-4-5@20251101:rawPredict"
    assert prepare(ask(stream=True)).endpoint.endswith("@20251101:streamRawPredict")


def test_the_body_has_the_version_and_no_model() -> None:
    sent = json.loads(prepare(ask(stream=True)).body)
    assert next(iter(sent)) == "anthropic_version"
    assert "model" not in sent
    assert sent["stream"] is True
    assert sent["system"][0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-opus-4-5@20251101", "vertex-2023-10-16"),
        ("claude-sonnet-4-6", "vertex-2023-10-16"),
        ("claude-opus-4-7", "2026-10-21"),
        ("claude-opus-5-5", "2026-10-21"),
    ],
)
def test_the_version_is_data(model: str, version: str) -> None:
    assert json.loads(prepare(ask(model)).body)["anthropic_version"] == version
    dialect = Dialect(anthropic_version="vertex-x")
    assert json.loads(prepare(ask(model), dialect=dialect).body)["anthropic_version"] == "vertex-x"


def test_sampling_goes_with_the_version() -> None:
    assert json.loads(prepare(ask(temperature=0.3)).body)["temperature"] == 0.3
    assert "temperature" not in json.loads(prepare(ask("claude-opus-5", temperature=0.3)).body)


def test_headers() -> None:
    made = prepare()
    assert dict(made.headers) == {"content-type": "application/json", "accept": "application/json"}
    thinking = prepare(ask(thinking="low"), dialect=Dialect(betas=("b-1",)))
    assert thinking.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14,b-1"
    assert "anthropic_beta" not in json.loads(thinking.body)


@pytest.mark.parametrize("name", ["project_id", "region"])
@pytest.mark.parametrize("value", ["", "a/b", "../x", "a b", "x:y?z", "x\n", "é"])
def test_a_setting_that_is_missing_or_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        prepare(**{name: value})


def test_a_project_may_belong_to_a_domain() -> None:
    assert "/projects/example.com:proj/" in prepare(project_id="example.com:proj").endpoint


def test_a_model_can_not_leave_its_place_in_the_path() -> None:
    made = prepare(ask("claude-x/../../y:rawPredict?a=b#c"))
    assert made.endpoint == f"{ROOT}/claude-x%2F..%2F..%2Fy%3ArawPredict%3Fa%3Db%23c:rawPredict"


@pytest.mark.parametrize("base", ["https://gw.example/vertex", "https://gw.example/vertex/v1/"])
def test_an_address_of_ones_own_gets_no_google_token(base: str) -> None:
    made = prepare(api_base=base)
    assert made.url == f"https://gw.example/vertex{ROOT}/claude-opus-4-5@20251101:rawPredict"
    assert made.auth == "none"
    assert prepare(api_base=base, api_key_env_var="GW_KEY").auth == "bearer"


def test_counting_has_an_address_of_its_own() -> None:
    made = CLIENT.prepare_count(ask(stream=True, max_tokens=9), PROVIDER)
    assert made is not None
    assert made.endpoint == f"{ROOT}/count-tokens:rawPredict"
    sent = json.loads(made.body)
    assert sent["model"] == "claude-opus-4-5@20251101"
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert "max_tokens" not in sent and "stream" not in sent
    heard = SERVER.parse_request("POST", made.endpoint, made.headers, made.body)
    assert heard.count and heard.request.model.name == "claude-opus-4-5@20251101"
    assert CLIENT.parse_count(SERVER.prepare_count(5, heard), ask()) == 5


@pytest.mark.parametrize("stream", [False, True])
def test_what_one_half_says_the_other_hears(stream: bool) -> None:
    request = ask(stream=stream, max_tokens=50)
    made = prepare(request, dialect=Dialect(prompt_cache=False))
    assert SERVER.matches(made.method, made.endpoint)
    heard = SERVER.parse_request("POST", "/vertex" + made.endpoint, made.headers, made.body)
    assert heard.request == replace(
        request, model=ModelConfig(request.model.name, temperature=None)
    )
    reply = LLMChunk(LLMMessage("assistant", "hello"), None, StopInfo("stop", "end_turn"), "m", "x")
    if stream:
        decoder = CLIENT.stream_decoder(request, PROVIDER)
        found = [c for b in SERVER.prepare_stream([reply], heard) for c in decoder.feed(b)]
        assert accumulate([*found, *decoder.finish()]) == reply
    else:
        assert CLIENT.parse_response(SERVER.prepare_response(reply, heard), request) == reply


def test_paths_that_are_not_vertexs() -> None:
    for method, path in (
        ("GET", f"{ROOT}/claude-x:rawPredict"),
        ("POST", f"{ROOT}/claude-x:predict"),
        ("POST", "/v1/messages"),
        ("POST", f"{ROOT}/claude-x:rawPredict/more"),
    ):
        assert not SERVER.matches(method, path)
    with pytest.raises(NotFoundError):
        SERVER.parse_request("POST", "/v1/messages", {}, b"{}")


def test_bodies_that_vertex_refuses() -> None:
    path = f"{ROOT}/claude-x:rawPredict"
    good = {
        "anthropic_version": "2026-10-21",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "x"}],
    }
    assert SERVER.parse_request("POST", path, {}, json.dumps(good).encode()).request.max_tokens == 5
    for bad, words in (
        ({**good, "anthropic_version": None}, "anthropic_version: Field required"),
        ({**good, "model": "claude-x"}, "model: Extra inputs are not permitted"),
    ):
        with pytest.raises(InvalidRequestError, match=words):
            SERVER.parse_request("POST", path, {}, json.dumps(bad).encode())


def test_state_of_vertex_is_state_of_the_messages_wire() -> None:
    assert CLIENT.api == SERVER.api == "anthropic"
