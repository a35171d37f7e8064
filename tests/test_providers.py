"""The table of providers: each address, and for each quirk a request or a reply that shows it.

`SHOWS` has one function a field of `Dialect`. It is run for every row that sets the field, and must
fail for the same row without it: so no row says anything that changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import PreparedRequest
from llmwire.adapters.openai.encode import clamp_level
from llmwire.backend import GenericBackend
from llmwire.config import THINKING_LEVELS, Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, IncompleteStreamError, UnsupportedError
from llmwire.eventstream import event_frame
from llmwire.history import BRIDGE
from llmwire.providers import PROVIDERS, dialect_of
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    BytesSource,
    FilePart,
    FunctionCall,
    ImagePart,
    LLMMessage,
    Native,
    ReasoningPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    accumulate,
)

PLACE = {"resource": "res", "project_id": "proj", "region": "us-east5"}
HI = LLMMessage("user", "Hi")
TOOL = AvailableTool(AvailableFunction("f", "does", {"type": "object", "properties": {}}))
CALL = ToolCall("call00001", FunctionCall("f", "{}"))
RESULT = LLMMessage("tool", parts=[ToolResultPart("call00001", "sunny", "f")])


def placed(row: ProviderConfig) -> ProviderConfig:
    """The row with an account of its own."""
    return replace(row, **{k: v for k, v in PLACE.items() if not getattr(row, k)})


def prepared(row: ProviderConfig, model: str = "some-model", **asked: Any) -> PreparedRequest:
    asked.setdefault("messages", (HI,))
    request = LLMRequest(model=ModelConfig(model, temperature=None), **asked)
    return ADAPTERS[row.api_style].prepare_request(request, row)


def body(row: ProviderConfig, model: str = "some-model", **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(prepared(row, model, **asked).body)
    return found


def said(row: ProviderConfig, *messages: LLMMessage, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(row, messages=messages, **asked)["messages"]
    return found


def records(row: ProviderConfig, model: str = "some-model", **asked: Any) -> list[tuple[str, str]]:
    return [(a.action, a.path) for a in prepared(row, model, **asked).adaptations]


# --- addresses ----------------------------------------------------------------------------------

CALLS = {
    "openai": "https://api.openai.com/v1/chat/completions",
    "anthropic": "https://api.anthropic.com/v1/messages",
    "vertex-anthropic": "https://us-east5-aiplatform.googleapis.com/v1/projects/proj/locations/us-east5/publishers/anthropic/models/org%2Fm:rawPredict",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/org/m:generateContent",
    "vertex-gemini": "https://us-east5-aiplatform.googleapis.com/v1beta1/projects/proj/locations/us-east5/publishers/org/models/m:generateContent",
    "mistral": "https://api.mistral.ai/v1/chat/completions",
    "openrouter": "https://openrouter.ai/api/v1/chat/completions",
    "deepseek": "https://api.deepseek.com/chat/completions",
    "groq": "https://api.groq.com/openai/v1/chat/completions",
    "xai": "https://api.x.ai/v1/chat/completions",
    "together": "https://api.together.xyz/v1/chat/completions",
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "moonshot": "https://api.moonshot.ai/v1/chat/completions",
    "zai": "https://api.z.ai/api/paas/v4/chat/completions",
    "qwen": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions",
    "minimax": "https://api.minimax.io/v1/chat/completions",
    "perplexity": "https://api.perplexity.ai/chat/completions",
    "fireworks": "https://api.fireworks.ai/inference/v1/chat/completions",
    "huggingface": "https://router.huggingface.co/v1/chat/completions",
    "gemini-openai": "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
    "ollama": "http://127.0.0.1:11434/v1/chat/completions",
    "llamacpp": "http://127.0.0.1:8080/v1/chat/completions",
    "vllm": "http://127.0.0.1:8000/v1/chat/completions",
    "azure": "https://res.openai.azure.com/openai/v1/chat/completions",
    "openai-responses": "https://api.openai.com/v1/responses",
    "azure-responses": "https://res.openai.azure.com/openai/v1/responses",
    "azure-classic": "https://res.openai.azure.com/openai/deployments/org%2Fm/chat/completions?api-version=2024-10-21",
    "azure-models": "https://res.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
    "anthropic-foundry": "https://res.services.ai.azure.com/anthropic/v1/messages",
    "anthropic-google-cloud": "https://claude.googleapis.com/v1/projects/proj/locations/global/workspaces/res/invoke/v1/messages",
    "anthropic-aws": "https://aws-external-anthropic.us-east5.api.aws/v1/messages",
    "vertex-openai": "https://us-east5-aiplatform.googleapis.com/v1/projects/proj/locations/us-east5/endpoints/openapi/chat/completions",
    "cloudflare": "https://api.cloudflare.com/client/v4/accounts/res/ai/v1/chat/completions",
    "nvidia": "https://integrate.api.nvidia.com/v1/chat/completions",
    "sambanova": "https://api.sambanova.ai/v1/chat/completions",
    "nebius": "https://api.tokenfactory.nebius.com/v1/chat/completions",
    "deepinfra": "https://api.deepinfra.com/v1/openai/chat/completions",
    "github-models": "https://models.github.ai/inference/chat/completions",
    "github-copilot": "https://api.githubcopilot.com/chat/completions",
    "deepseek-anthropic": "https://api.deepseek.com/anthropic/v1/messages",
    "moonshot-anthropic": "https://api.moonshot.ai/anthropic/v1/messages",
    "zai-anthropic": "https://api.z.ai/api/anthropic/v1/messages",
    "minimax-anthropic": "https://api.minimax.io/anthropic/v1/messages",
    "ollama-native": "http://127.0.0.1:11434/api/chat",
    "ollama-cloud": "https://ollama.com/api/chat",
    "lmstudio": "http://127.0.0.1:1234/v1/chat/completions",
    "sglang": "http://127.0.0.1:30000/v1/chat/completions",
    "bedrock": "https://bedrock-runtime.us-east5.amazonaws.com/model/org%2Fm/converse",
    "bedrock-anthropic": "https://bedrock-runtime.us-east5.amazonaws.com/model/org%2Fm/invoke",
    "bedrock-mantle": "https://bedrock-mantle.us-east5.api.aws/anthropic/v1/messages",
    "bedrock-openai": "https://bedrock-mantle.us-east5.api.aws/openai/v1/chat/completions",
}
"""Where a call for the model `org/m` goes."""


def test_every_row_has_its_address_here() -> None:
    assert set(CALLS) == set(PROVIDERS)
    assert all(name == row.name for name, row in PROVIDERS.items())


@pytest.mark.parametrize("name", CALLS)
def test_calls_go_to(name: str) -> None:
    assert prepared(placed(PROVIDERS[name]), "org/m").url == CALLS[name]


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field)
        for name, row in PROVIDERS.items()
        for field in PLACE
        if f"{{{field}}}" in row.api_base and not getattr(row, field)
    ],
)
@pytest.mark.parametrize("value", ["", "a/b", "a.b/", "@evil", "a b", "-", "ä"])
def test_an_address_that_lacks_its_part_is_refused(name: str, field: str, value: str) -> None:
    row = replace(placed(PROVIDERS[name]), **{field: value})
    with pytest.raises(ConfigError, match=field):
        prepared(row)


OF_ACCOUNTS = [name for name, row in PROVIDERS.items() if "{" in row.api_base]
BY_HOST = [
    name
    for name, row in PROVIDERS.items()
    if "https://" in row.api_base and (name not in OF_ACCOUNTS or name.startswith("azure"))
]


@pytest.mark.parametrize("name", BY_HOST)
def test_a_row_is_known_by_its_address(name: str) -> None:
    """Who writes the address by hand gets the same quirks."""
    row = placed(PROVIDERS[name])
    by_hand = ProviderConfig("mine", row.address, api_style=row.api_style)
    assert dialect_of(by_hand) == row.dialect


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://r.openai.azure.com/openai/v1", "azure"),
        ("https://r.cognitiveservices.azure.com/openai/v1/", "azure"),
        ("https://r.openai.azure.com/openai", "azure-classic"),
        ("https://r.services.ai.azure.com/models", "azure-models"),
        ("https://api.kimi.com/coding/v1", "moonshot"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen"),
        ("https://open.bigmodel.cn/api/paas/v4", "zai"),
    ],
)
def test_other_addresses_of_the_same_services(address: str, name: str) -> None:
    assert dialect_of(ProviderConfig("mine", address)) == PROVIDERS[name].dialect


def test_an_address_that_names_its_deployment() -> None:
    row = ProviderConfig("mine", "https://r.openai.azure.com/openai/deployments/gpt")
    assert prepared(row).url == (
        "https://r.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=2024-10-21"
    )


def test_what_servers_are_not_known_is_plain() -> None:
    for address in ("https://evil-openai.azure.com.example/openai/v1", "https://h/openai/v1"):
        assert dialect_of(ProviderConfig("mine", address)) == Dialect()


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "@evil.example/v1"},
        {"endpoint": ".evil.example"},
        {"endpoint": "/a?b"},
        {"endpoint": "/a b"},
        {"endpoint": "v1"},
        {"api_version": "1&x=2"},
        {"api_version": "1#"},
    ],
)
def test_a_dialect_can_not_change_where_a_call_goes(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="dialect"):
        Dialect(**settings)


@pytest.mark.parametrize(
    "address", ["https://h.example", "http://x.googleapis.com", "https://googleapis.com.example"]
)
def test_googles_token_goes_to_google_only(address: str) -> None:
    for style in ("openai", "anthropic", "ollama"):
        row = ProviderConfig("p", address, api_style=style, dialect=Dialect(auth="google"))
        with pytest.raises(ConfigError, match="Google's token"):
            prepared(row)


# --- quirks -------------------------------------------------------------------------------------

SHOWS: dict[str, Callable[[ProviderConfig, Any], None]] = {}


def shows(function: Callable[[ProviderConfig, Any], None]) -> Callable[[ProviderConfig, Any], None]:
    SHOWS[function.__name__] = function
    return function


def _thinks(row: ProviderConfig, level: Any, model: str = "some-model") -> dict[str, Any]:
    names = ("reasoning_effort", "reasoning", "thinking", "enable_thinking")
    return {k: v for k, v in body(row, model, thinking=level).items() if k in names}


@shows
def max_tokens_field(row: ProviderConfig, value: str) -> None:
    model = "gpt-5" if value == "max_tokens" else "some-model"  # whose own name is the other
    found = body(row, model, max_tokens=77)
    assert found[value] == 77
    assert len({"max_tokens", "max_completion_tokens"} & found.keys()) == 1


@shows
def stream_usage(row: ProviderConfig, value: bool) -> None:
    assert "include_usage" not in body(row, stream=True).get("stream_options", {})


@shows
def stream_tool_calls(row: ProviderConfig, value: bool) -> None:
    assert body(row, stream=True)["stream_options"]["stream_tool_calls"] is value


@shows
def developer_role(row: ProviderConfig, value: bool) -> None:
    told = LLMMessage("developer", "Be brief.")
    model = "some-model" if value else "gpt-5"
    found = body(row, model, messages=(told, HI))["messages"][0]["role"]
    assert found == ("developer" if value else "system")


@shows
def any_word(row: ProviderConfig, value: str) -> None:
    assert body(row, tools=(TOOL,), tool_choice="required")["tool_choice"] == value


@shows
def tool_choices(row: ProviderConfig, value: tuple[str, ...]) -> None:
    asked = {"auto": "auto", "none": "none", "required": "required", "named": TOOL}
    for word, choice in asked.items():
        told = records(row, tools=(TOOL,), tool_choice=choice)
        assert bool(told) is (word not in value), word
        found = body(row, tools=(TOOL,), tool_choice=choice)
        if word not in value and word == "none":
            assert "tools" not in found


@shows
def efforts(row: ProviderConfig, value: tuple[Any, ...]) -> None:
    for model in ("some-model", "gpt-5"):
        for level in THINKING_LEVELS[1:]:
            found = _thinks(row, level, model)
            word = found.get("reasoning_effort") or found.get("reasoning", {}).get("effort")
            assert word == clamp_level(level, value), (model, level)


@shows
def families(row: ProviderConfig, value: str) -> None:
    assert _thinks(row, "high", "magistral-medium-latest") == {}


@shows
def reasoning_control(row: ProviderConfig, value: str) -> None:
    found = _thinks(row, "high")
    if value == "thinking_type":
        assert found["thinking"]["type"] == "enabled"
    elif value == "adaptive":
        assert found["thinking"]["type"] == "adaptive"
    elif value == "enable_thinking":
        assert found["enable_thinking"] is True
    else:
        assert value == "reasoning" and found["reasoning"] == {"effort": "high"}


@shows
def thinking_extra(row: ProviderConfig, value: dict[str, Any]) -> None:
    on, off = body(row, thinking="high"), body(row, thinking="off")
    assert value.items() <= on.get("thinking", on).items()
    assert not value.items() <= off.get("thinking", off).items()


@shows
def thinking_default(row: ProviderConfig, value: bool) -> None:
    found = _thinks(row, "off")
    assert found in ({"thinking": {"type": "disabled"}}, {"enable_thinking": False})


@shows
def reasoning_replay(row: ProviderConfig, value: str) -> None:
    style = row.api_style
    thought = ReasoningPart("hm", native=Native(style, row.name, "some-model"))
    turns = (
        HI,
        LLMMessage("assistant", [thought, CALL]),
        RESULT,
        LLMMessage("assistant", [thought, TextPart("yes")]),
        LLMMessage("assistant", [TextPart("plain")]),
        HI,
    )
    found = [m for m in said(row, *turns, thinking="high") if m["role"] == "assistant"]
    field = row.reasoning_field_name
    thoughts = [m.get(field) for m in found]
    if value == "content":
        content = found[1]["content"]
        assert isinstance(content, list)
        assert [c["type"] for c in content] == ["thinking", "text"]
    else:
        wanted = {"none": [None, None, None], "tool_turns": ["hm", None, None],
                  "always": ["hm", "hm", ""]}  # fmt: skip
        assert thoughts == wanted[value]


@shows
def temperature_with_thinking(row: ProviderConfig, value: float) -> None:
    assert body(row, temperature=0.3, thinking="high")["temperature"] == value
    assert body(row, temperature=0.3)["temperature"] == 0.3


@shows
def sampling(row: ProviderConfig, value: bool) -> None:
    assert ("temperature" in body(row, "gpt-5", temperature=0.3)) is value


@shows
def top_k(row: ProviderConfig, value: bool) -> None:
    assert records(row, top_k=5) == [("dropped", "top_k")]


@shows
def seed_field(row: ProviderConfig, value: str) -> None:
    assert body(row, seed=7)[value] == 7


@shows
def parallel_tool_calls(row: ProviderConfig, value: bool) -> None:
    told = records(row, tools=(TOOL,), parallel_tool_calls=False)
    assert told == [("dropped", "parallel_tool_calls")]


@shows
def metadata(row: ProviderConfig, value: bool) -> None:
    assert body(row, metadata={"a": "b"})["metadata"] == {"a": "b"}


@shows
def merge_user_messages(row: ProviderConfig, value: bool) -> None:
    assert [m["content"] for m in said(row, HI, HI)] == ["Hi\n\nHi"]


@shows
def assistant_after_tool(row: ProviderConfig, value: bool) -> None:
    found = said(row, HI, LLMMessage("assistant", [CALL]), RESULT, HI)
    assert [m["role"] for m in found] == ["user", "assistant", "tool", "assistant", "user"]
    assert found[3]["content"] == BRIDGE


@shows
def prefill(row: ProviderConfig, value: str) -> None:
    begun = LLMMessage("assistant", "It is")
    assert said(row, HI, begun)[-1][value] is True
    assert value not in said(row, HI, begun, HI)[1]


@shows
def tool_call_ids(row: ProviderConfig, value: str) -> None:
    long = ToolCall("functions.f:0" + "x" * 70, FunctionCall("f", "{}"))
    history = (HI, LLMMessage("assistant", [long]))
    if row.api_style == "openai-responses":
        items = body(row, messages=history)["input"]
        ids = [i["call_id"] for i in items if "call_id" in i]
    else:
        turns = said(row, *history)
        ids = [turns[1]["tool_calls"][0]["id"], turns[2]["tool_call_id"]]
    assert len(ids) == 2 and len(set(ids)) == 1
    assert len(ids[0]) <= {"openai40": 40, "openai64": 64, "mistral9": 9}[value]


@shows
def empty_content(row: ProviderConfig, value: str) -> None:
    assert said(row, HI, LLMMessage("assistant", [CALL]), RESULT)[1]["content"] == ""


@shows
def speaker_names(row: ProviderConfig, value: bool) -> None:
    assert "name" not in said(row, LLMMessage("user", "Hi", name="ann"))[0]


@shows
def content_parts(row: ProviderConfig, value: str) -> None:
    document = FilePart(BytesSource(b"%PDF-", "application/pdf"))
    assert said(row, LLMMessage("user", [document]))[0]["content"][0]["type"] == "document_url"


@shows
def tool_name_on_result(row: ProviderConfig, value: bool) -> None:
    assert said(row, HI, LLMMessage("assistant", [CALL]), RESULT)[2]["name"] == "f"


@shows
def tool_result_images(row: ProviderConfig, value: bool) -> None:
    picture = ImagePart(BytesSource(b"\x89PNG", "image/png"))
    result = LLMMessage("tool", parts=[ToolResultPart("call00001", (picture,))])
    found = said(row, HI, LLMMessage("assistant", [CALL]), result)
    assert len(found) == 3 and isinstance(found[2]["content"], list)
    assert found[2]["content"][0]["type"] == "image_url"


@shows
def stream_end(row: ProviderConfig, value: str) -> None:
    request = LLMRequest(model=ModelConfig("some-model"), messages=(HI,), stream=True)
    event = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    end = b"data: [DONE]\n\n"
    if row.api_style == "bedrock-converse":
        event = event_frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"x"}}')
        event += event_frame("messageStop", b'{"stopReason":"end_turn"}')
        end = event_frame("metadata", b'{"usage":{"inputTokens":1,"outputTokens":1}}')
    whole = ADAPTERS[row.api_style].stream_decoder(request, row)
    assert accumulate([*whole.feed(event + end), *whole.finish()]).text == "x"
    cut = ADAPTERS[row.api_style].stream_decoder(request, row)
    list(cut.feed(event))
    with pytest.raises(IncompleteStreamError):
        list(cut.finish())
        raise AssertionError("a stream without its end is a success")


@shows
def reasoning_outside_output(row: ProviderConfig, value: bool) -> None:
    details = {"reasoning_tokens": 7}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "completion_tokens_details": details}
    answer = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    request = LLMRequest(model=ModelConfig("some-model"), messages=(HI,))
    data = json.dumps(answer).encode()
    reply = ADAPTERS[row.api_style].parse_response(data, request, row)
    assert reply.usage is not None and reply.usage.output_total == 12


def _body(row: ProviderConfig, value: dict[str, Any]) -> None:
    assert value.items() <= body(row).items()
    key = next(iter(value))
    assert body(row, extra_body={key: "mine"})[key] == "mine"


SHOWS["body"] = _body


@shows
def prompt_cache_key(row: ProviderConfig, value: bool) -> None:
    assert body(row, cache_key="k")["prompt_cache_key"] == "k"


@shows
def affinity_header(row: ProviderConfig, value: str) -> None:
    assert prepared(row, cache_key="k").headers[value] == "k"


@shows
def cache_marks(row: ProviderConfig, value: str) -> None:
    marked = LLMMessage("user", [TextPart("Hi", cache="default")])
    content = said(row, marked)[0]["content"]
    assert content == [{"type": "text", "text": "Hi", value: {"type": "ephemeral"}}]


@shows
def store(row: ProviderConfig, value: bool) -> None:
    assert body(row, store=True)["store"] is value


@shows
def json_schema(row: ProviderConfig, value: str) -> None:
    schema = {"type": "object", "properties": {"a": {"minLength": 1, "type": "string"}}}
    found = body(row, output=OutputFormat(schema))
    form = found["response_format"]
    if value == "json_object":
        assert form == {"type": "json_object"}
        assert json.dumps(schema, separators=(",", ":")) in found["messages"][0]["content"]
    elif value == "closed":
        assert form["json_schema"]["schema"] == {**schema, "additionalProperties": False}
    else:
        assert form["json_schema"]["schema"] == schema


@shows
def max_image_bytes(row: ProviderConfig, value: int) -> None:
    large = ImagePart(BytesSource(b"x" * (value + 1), "image/png"))
    request = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", [large]),))
    try:
        GenericBackend(provider=row).prepare(request)
    except UnsupportedError as e:
        assert e.path == "messages[0].parts[0]"
    else:
        raise AssertionError("it was taken")


@shows
def max_request_bytes(row: ProviderConfig, value: int) -> None:
    large = LLMMessage("user", "x" * value)
    try:
        GenericBackend(provider=row).prepare(LLMRequest(model=ModelConfig("m"), messages=(large,)))
    except UnsupportedError as e:
        assert e.path == "messages"
    else:
        raise AssertionError("it was taken")


@shows
def auth(row: ProviderConfig, value: str) -> None:
    assert prepared(row).auth == value
    listed = ADAPTERS[row.api_style].prepare_models(row)
    assert listed is None or listed.auth == value


@shows
def endpoint(row: ProviderConfig, value: str) -> None:
    path = prepared(row, "a b/c").endpoint.partition("?")[0]
    assert path == value.replace("{model}", "a%20b%2Fc")


@shows
def api_version(row: ProviderConfig, value: str) -> None:
    assert prepared(row).url.endswith(f"?api-version={value}")
    listed = ADAPTERS[row.api_style].prepare_models(row)
    assert listed is None or listed.url.endswith(f"/models?api-version={value}")


@shows
def model_list(row: ProviderConfig, value: bool) -> None:
    assert ADAPTERS[row.api_style].prepare_models(row) is None


@shows
def bearer(row: ProviderConfig, value: bool) -> None:
    assert prepared(row).auth == "bearer"


@shows
def anthropic_thinking(row: ProviderConfig, value: str) -> None:
    assert body(row, thinking="high", max_tokens=30_000)["thinking"]["type"] == value


@shows
def replay_unsigned_thinking(row: ProviderConfig, value: bool) -> None:
    thought = ReasoningPart("hm", native=Native("anthropic", row.name, "some-model"))
    found = said(row, HI, LLMMessage("assistant", [thought, TextPart("yes")]), HI)
    assert found[1]["content"][0] == {"type": "thinking", "thinking": "hm"}


PLAIN = Dialect()
QUIRKS = [
    (row.name, f.name)
    for row in PROVIDERS.values()
    for f in msgspec.structs.fields(Dialect)
    if getattr(row.dialect, f.name) != getattr(PLAIN, f.name)
]


def test_every_quirk_of_every_row_is_shown() -> None:
    assert all(row.dialect is not None for row in PROVIDERS.values())
    assert {field for _, field in QUIRKS} == set(SHOWS)


@pytest.mark.parametrize(("name", "field"), QUIRKS)
def test_a_quirk_is_kept(name: str, field: str) -> None:
    row = placed(PROVIDERS[name])
    SHOWS[field](row, getattr(row.dialect, field))


@pytest.mark.parametrize(("name", "field"), QUIRKS)
def test_without_its_field_a_row_would_do_otherwise(name: str, field: str) -> None:
    row = placed(PROVIDERS[name])
    value = getattr(row.dialect, field)
    changed = replace(row, dialect=replace(row.dialect, **{field: getattr(PLAIN, field)}))
    with pytest.raises((AssertionError, KeyError)):
        SHOWS[field](changed, value)


# --- names of reasoning -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for n, row in PROVIDERS.items() if row.reasoning_field_name != "reasoning_content"]
)
def test_reasoning_has_the_servers_own_name_both_ways(name: str) -> None:
    row = PROVIDERS[name]
    request = LLMRequest(model=ModelConfig("some-model"), messages=(HI,))
    message = {row.reasoning_field_name: "hm", "content": "yes"}
    answer = {"choices": [{"message": message, "finish_reason": "stop"}]}
    reply = ADAPTERS[row.api_style].parse_response(json.dumps(answer).encode(), request, row)
    assert reply.reasoning == "hm"
    by_hand = LLMMessage("assistant", [ReasoningPart("hm"), TextPart("yes")])
    for turn in (reply.message, by_hand):
        assert said(row, HI, turn, HI)[1][row.reasoning_field_name] == "hm"


def test_responses_on_azure_by_hand() -> None:
    for path, version in (("/openai/v1", ""), ("/openai", "2025-04-01-preview")):
        address = f"https://r.openai.azure.com{path}"
        row = ProviderConfig("mine", address, api_style="openai-responses")
        made = prepared(row)
        assert made.auth == "api-key"
        assert made.url == f"{address}/responses" + (f"?api-version={version}" if version else "")
    counted = ADAPTERS["openai-responses"].prepare_count(
        LLMRequest(model=ModelConfig("m"), messages=(HI,)), row
    )
    assert counted.endpoint == "/responses/input_tokens?api-version=2025-04-01-preview"
