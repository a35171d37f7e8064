"""What a request says on Chat Completions, and what it says that it left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.openai import OpenAIAdapter
from llmwire.adapters.openai.encode import clamp_level
from llmwire.adapters.openai.models import traits_of
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError
from llmwire.providers import PROVIDERS, dialect_of
from llmwire.request import LLMRequest
from llmwire.types import Adaptation, AvailableFunction, AvailableTool, LLMMessage

PLAIN = ProviderConfig("plain", "http://127.0.0.1:1/v1")
OPENAI = PROVIDERS["openai"]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = AvailableTool(AvailableFunction("weather", "The weather", SCHEMA))
HI = (LLMMessage("user", "Hi"),)


def prepared(
    provider: ProviderConfig = PLAIN, model: str = "some-model", **asked: Any
) -> tuple[dict[str, Any], tuple[Adaptation, ...]]:
    asked.setdefault("messages", HI)
    request = LLMRequest(model=ModelConfig(model), **asked)
    made = OpenAIAdapter().prepare_request(request, provider)
    return json.loads(made.body), made.adaptations


def speaking(**fields: Any) -> ProviderConfig:
    return replace(PLAIN, dialect=Dialect(**fields))


def test_the_plain_request() -> None:
    body, records = prepared(temperature=0.2, max_tokens=50)
    assert body == {
        "model": "some-model",
        "temperature": 0.2,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert records == ()


@pytest.mark.parametrize("base", ["https://h/v1", "https://h/v1/", "https://h/v1//"])
def test_the_address(base: str) -> None:
    request = LLMRequest(model=ModelConfig("m"), messages=HI)
    made = OpenAIAdapter().prepare_request(request, ProviderConfig("p", base))
    assert made.url == "https://h/v1/chat/completions"
    assert (made.method, made.auth) == ("POST", "bearer")
    assert made.headers["content-type"] == "application/json"
    assert "authorization" not in made.headers


def test_a_provider_without_an_address() -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        prepared(ProviderConfig("nowhere"))


# --- streams ---


@pytest.mark.parametrize(
    ("provider", "options"),
    [
        (PLAIN, {"include_usage": True}),
        (speaking(stream_usage=False), None),
        (PROVIDERS["mistral"], {"stream_tool_calls": True}),
        (speaking(stream_tool_calls=False), {"include_usage": True, "stream_tool_calls": False}),
    ],
)
def test_stream_options_only_with_stream(
    provider: ProviderConfig, options: dict[str, bool] | None
) -> None:
    body, _ = prepared(provider, stream=True)
    assert body["stream"] is True
    assert body.get("stream_options") == options
    whole, _ = prepared(provider)
    assert "stream" not in whole and "stream_options" not in whole


# --- models ---

FAMILIES = [
    # name, thinking asked, what is said, temperature sent, the field of max_tokens
    ("o3", "xhigh", "high", False, "max_completion_tokens"),
    ("o4-mini-2025-04-16", "off", None, False, "max_completion_tokens"),
    ("gpt-5", "minimal", "minimal", False, "max_completion_tokens"),
    ("gpt-5-mini", "off", None, False, "max_completion_tokens"),
    ("gpt-5.1", "off", "none", True, "max_completion_tokens"),
    ("gpt-5.1", "minimal", "low", False, "max_completion_tokens"),
    ("gpt-5.1", "max", "high", False, "max_completion_tokens"),
    ("gpt-5.4-2026-03-01", "max", "xhigh", False, "max_completion_tokens"),
    ("openai/gpt-5.2", "off", "none", True, "max_completion_tokens"),
    ("gpt-5.6-sol", "max", "max", False, "max_completion_tokens"),
    ("gpt-6-luna", "off", "none", True, "max_completion_tokens"),
    ("gpt-6.1-terra", "low", "low", False, "max_completion_tokens"),
    ("gpt-6-astra", "off", None, False, "max_completion_tokens"),
    ("gpt-6.1-sol", "max", "max", False, "max_completion_tokens"),
    ("gpt-7-nova", "max", "max", False, "max_completion_tokens"),
    ("o9", "minimal", "low", False, "max_completion_tokens"),
    ("gpt-5.2-chat-latest", "high", None, True, "max_completion_tokens"),
    ("gpt-4o", "high", None, True, "max_tokens"),
    ("ft:gpt-4.1-mini:org::1", "off", None, True, "max_tokens"),
    ("gpt-3.5-turbo", "off", None, True, "max_tokens"),
    ("gpt-35-turbo", "off", None, True, "max_tokens"),
    ("gpt-5-pro", "low", "high", False, "max_completion_tokens"),
    ("gpt-5.3-codex", "xhigh", "high", False, "max_completion_tokens"),
    ("openai/gpt-oss-120b", "xhigh", "high", True, "max_tokens"),
    ("llama-3.3-70b", "xhigh", "xhigh", True, "max_tokens"),
    ("o-something-else", "off", None, True, "max_tokens"),
]


@pytest.mark.parametrize(("model", "thinking", "said", "warm", "field"), FAMILIES)
def test_model_families(
    model: str, thinking: Any, said: str | None, warm: bool, field: str
) -> None:
    body, records = prepared(
        OPENAI, model, thinking=thinking, temperature=0.2, top_p=0.9, max_tokens=9
    )
    assert body.get("reasoning_effort") == said
    assert (body.get("temperature"), body.get("top_p")) == ((0.2, 0.9) if warm else (None, None))
    assert body[field] == 9
    assert len([k for k in body if k.startswith("max_")]) == 1
    paths = [r.path for r in records]
    assert ("temperature" in paths) is not warm and ("top_p" in paths) is not warm
    assert ("thinking" in paths) is (thinking != "off" and said != thinking)


def test_stop_is_dropped_where_the_model_refuses_it() -> None:
    body, records = prepared(OPENAI, "o3", stop=("END",))
    assert "stop" not in body
    assert [(r.path, r.action, r.before) for r in records] == [("stop", "dropped", ["END"])]
    assert prepared(OPENAI, "gpt-4o", stop=("END",))[0]["stop"] == ["END"]


def test_tools_and_reasoning_of_gpt_5_6() -> None:
    body, records = prepared(OPENAI, "gpt-5.6-terra", thinking="high", tools=(TOOL,))
    assert body["reasoning_effort"] == "none"
    (record,) = records
    assert (record.path, record.action) == ("thinking", "substituted")
    assert (record.before, record.after) == ("high", "off")
    quiet, records = prepared(OPENAI, "gpt-5.6-terra", tools=(TOOL,))
    assert quiet["reasoning_effort"] == "none" and records == ()
    free, _ = prepared(OPENAI, "gpt-5.6-terra", thinking="high")
    assert free["reasoning_effort"] == "high"


def test_the_dialect_goes_before_the_model() -> None:
    ours = speaking(
        max_tokens_field="max_tokens", sampling=True, efforts=("low",), developer_role=False
    )
    body, _ = prepared(
        ours, "o3", thinking="high", temperature=0.3, max_tokens=5, stop=("X",),
        messages=(LLMMessage("developer", "d"), *HI),
    )  # fmt: skip
    assert body["reasoning_effort"] == "low"
    assert (body["temperature"], body["max_tokens"], body["stop"]) == (0.3, 5, ["X"])
    assert body["messages"][0]["role"] == "system"


def test_names_that_are_not_openais_have_no_traits() -> None:
    assert traits_of("deepseek-chat") is None
    assert traits_of("mistral-large-latest") is None
    assert traits_of("o") is None


# --- thinking ---

CONTROLS = [
    # dialect, level, what the body says, records
    (Dialect(), "high", {"reasoning_effort": "high"}, 0),
    (Dialect(), "off", {}, 0),
    (Dialect(efforts=("off", "high")), "low", {"reasoning_effort": "high"}, 1),
    (Dialect(efforts=("off", "high")), "off", {}, 0),
    (Dialect(efforts=("off", "high"), thinking_default=True), "off", {"reasoning_effort": "none"}, 0),
    (Dialect(efforts=()), "high", {}, 1),
    (Dialect(reasoning_control="none"), "high", {}, 1),
    (Dialect(reasoning_control="reasoning"), "max", {"reasoning": {"effort": "max"}}, 0),
    (Dialect(reasoning_control="enable_thinking"), "low", {"enable_thinking": True}, 1),
    (
        Dialect(reasoning_control="enable_thinking", thinking_default=True),
        "off",
        {"enable_thinking": False},
        0,
    ),
    (Dialect(reasoning_control="thinking_type"), "low", {"thinking": {"type": "enabled"}}, 1),
    (Dialect(reasoning_control="thinking_type"), "off", {}, 0),
    (PROVIDERS["deepseek"].dialect, "off", {"thinking": {"type": "disabled"}}, 0),
    (
        PROVIDERS["deepseek"].dialect,
        "xhigh",
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        1,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "level", "said", "count"), CONTROLS)
def test_how_thinking_is_asked_for(
    dialect: Dialect, level: Any, said: dict[str, Any], count: int
) -> None:
    body, records = prepared(replace(PLAIN, dialect=dialect), thinking=level)
    keys = ("reasoning_effort", "reasoning", "enable_thinking", "thinking")
    assert {k: body[k] for k in keys if k in body} == said
    assert [r.path for r in records] == ["thinking"] * count


def test_clamping_goes_down_and_never_to_off() -> None:
    assert clamp_level("xhigh", ("low", "high")) == "high"
    assert clamp_level("medium", ("low", "high")) == "low"
    assert clamp_level("minimal", ("off", "low", "high")) == "low"
    assert clamp_level("low", ("off",)) is None


def test_temperature_while_thinking() -> None:
    ours = speaking(temperature_with_thinking=1.0)
    body, (record,) = prepared(ours, thinking="high", temperature=0.2)
    assert body["temperature"] == 1.0
    assert (record.path, record.before, record.after) == ("temperature", 0.2, 1.0)
    assert prepared(ours, temperature=0.2)[0]["temperature"] == 0.2
    assert prepared(ours, thinking="high", temperature=1.0)[1] == ()
    assert "temperature" not in prepared(ours, thinking="high")[0]


# --- tools ---


def test_tools_are_built_by_field() -> None:
    bare = AvailableTool(AvailableFunction("now"))
    strict = AvailableTool(AvailableFunction("f", "d", {"type": "object"}, strict=True))
    body, _ = prepared(tools=(TOOL, bare, strict))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "The weather", "parameters": SCHEMA},
        },
        {
            "type": "function",
            "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
        },
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {
                    "type": "object",
                    "properties": {},
                    "required": [],
                    "additionalProperties": False,
                },
                "strict": True,
            },
        },
    ]


NAMED = {"type": "function", "function": {"name": "weather"}}
CHOICES = [
    # tool choices of the server, its word for any, asked, said, recorded
    (None, "required", "auto", "auto", False),
    (None, "required", "none", "none", False),
    (None, "required", "any", "required", False),
    (None, "required", "required", "required", False),
    (None, "any", "required", "any", False),
    (None, "required", TOOL, NAMED, False),
    (("auto",), "required", "required", "auto", True),
    (("auto",), "required", TOOL, "auto", True),
    (("auto", "required"), "required", TOOL, "required", True),
    (("auto", "required"), "any", TOOL, "any", True),
]


@pytest.mark.parametrize(("known", "word", "asked", "said", "recorded"), CHOICES)
def test_tool_choice(known: Any, word: Any, asked: Any, said: Any, recorded: bool) -> None:
    fields = {"any_word": word} if known is None else {"any_word": word, "tool_choices": known}
    body, records = prepared(speaking(**fields), tools=(TOOL,), tool_choice=asked)
    assert body["tool_choice"] == said
    assert [r.path for r in records] == (["tool_choice"] if recorded else [])


def test_no_tool_may_be_called_where_that_cannot_be_said() -> None:
    body, (record,) = prepared(speaking(tool_choices=("auto",)), tools=(TOOL,), tool_choice="none")
    assert "tools" not in body and "tool_choice" not in body
    assert (record.path, record.action) == ("tools", "dropped")


def test_nothing_about_tools_without_tools() -> None:
    for choice, count in (("auto", 0), ("none", 0), ("any", 1), (TOOL, 1)):
        body, records = prepared(tool_choice=choice)
        assert body.keys() == {"model", "messages"}
        assert len(records) == count
    body, (record,) = prepared(parallel_tool_calls=False)
    assert body.keys() == {"model", "messages"} and record.path == "parallel_tool_calls"


def test_parallel_tool_calls() -> None:
    body, _ = prepared(tools=(TOOL,), parallel_tool_calls=False)
    assert body["parallel_tool_calls"] is False
    body, (record,) = prepared(
        speaking(parallel_tool_calls=False), tools=(TOOL,), parallel_tool_calls=False
    )
    assert "parallel_tool_calls" not in body and record.before is False


# --- the rest ---


def test_settings_by_dialect() -> None:
    asked: dict[str, Any] = {"seed": 7, "top_k": 5, "metadata": {"a": "b"}, "stop": ("x", "y")}
    body, records = prepared(**asked)
    assert (body["seed"], body["top_k"], body["stop"]) == (7, 5, ["x", "y"])
    assert "metadata" not in body
    assert [(r.path, r.before) for r in records] == [("metadata", {"a": "b"})]
    body, records = prepared(PROVIDERS["mistral"], **asked)
    assert (body["random_seed"], body["metadata"]) == (7, {"a": "b"})
    assert "seed" not in body and "top_k" not in body
    assert [r.path for r in records] == ["top_k"]


def test_extra_body_goes_over_everything() -> None:
    extra = {"temperature": 0.9, "provider": {"order": ["x"]}, "response_format": {"type": "text"}}
    body, _ = prepared(temperature=0.1, extra_body=extra)
    assert {k: body[k] for k in extra} == extra
    other = [{"role": "user", "content": "instead"}]
    assert prepared(extra_body={"messages": other})[0]["messages"] == other


def test_the_messages_stand_last_and_the_next_turn_extends_the_body() -> None:
    def body(*messages: LLMMessage) -> bytes:
        request = LLMRequest(
            model=ModelConfig("m"), messages=messages, tools=(TOOL,), temperature=0.1,
            stream=True, seed=1, extra_body={"x": 1},
        )  # fmt: skip
        return OpenAIAdapter().prepare_request(request, PLAIN).body

    first = body(LLMMessage("user", "a"))
    second = body(LLMMessage("user", "a"), LLMMessage("assistant", "b"), LLMMessage("user", "c"))
    assert second.startswith(first[:-2])


@pytest.mark.parametrize(
    ("address", "row"),
    [
        ("https://api.openai.com/v1/", "openai"),
        ("https://api.together.xyz/v1", "together"),
        ("https://api.together.ai/v1", "together"),
        ("https://api.moonshot.cn/v1", "moonshot"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen"),
        ("https://api.deepseek.com/beta", "deepseek"),
    ],
)
def test_a_known_host_brings_its_dialect(address: str, row: str) -> None:
    assert dialect_of(ProviderConfig("mine", address)) == PROVIDERS[row].dialect


def test_an_unknown_host_is_plain_and_its_own_dialect_goes_first() -> None:
    assert dialect_of(ProviderConfig("mine", "https://example.com/v1")) == Dialect()
    assert dialect_of(None) == Dialect()
    ours = Dialect(metadata=True)
    assert dialect_of(ProviderConfig("mine", "https://api.openai.com/v1", dialect=ours)) == ours
    thinking = ProviderConfig("mine", "https://example.com/v1", api_style="reasoning")
    assert dialect_of(thinking) == PROVIDERS["mistral"].dialect


SEEN_WITHOUT_DONE = ("cerebras", "minimax", "perplexity", "mistral")


def test_services_seen_to_end_without_the_mark_do_not_need_it() -> None:
    for name in SEEN_WITHOUT_DONE:
        dialect = PROVIDERS[name].dialect
        assert dialect is not None and dialect.stream_end == "finish_reason"
