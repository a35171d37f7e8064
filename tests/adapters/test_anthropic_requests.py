"""Requests of the Messages wire: every rule of the client's half."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmwire.adapters.anthropic import AnthropicAdapter
from llmwire.adapters.anthropic.models import NEWEST, UNKNOWN, level_of_budget, traits_of
from llmwire.adapters.base import PreparedRequest, TokenCounter
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, UnsupportedError
from llmwire.request import LLMRequest
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    CompactionPart,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    new_message,
)

ADAPTER = AnthropicAdapter()
MODEL = "claude-opus-5-5"
OWN = Native("anthropic", "anthropic", MODEL)
HI = LLMMessage("user", "hi")
TOOL = AvailableTool(AvailableFunction("look", "looks", {"type": "object", "properties": {}}))
PNG = ImagePart(BytesSource(b"png", "image/png"))
CACHED = {"type": "ephemeral"}


def provider(**fields: Any) -> ProviderConfig:
    dialect = Dialect(**fields)
    return ProviderConfig(
        "anthropic", "https://api.anthropic.com", "K", "anthropic", dialect=dialect
    )


def prepare(
    *messages: LLMMessage, model: str = MODEL, dialect: dict[str, Any] | None = None, **fields: Any
) -> PreparedRequest:
    config = fields.pop("config", None) or ModelConfig(model)
    request = LLMRequest(model=config, messages=messages or (HI,), **fields)
    return ADAPTER.prepare_request(request, provider(**(dialect or {})))


def body(*messages: LLMMessage, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(prepare(*messages, **fields).body)
    return found


def changes(prepared: PreparedRequest) -> list[tuple[str, str]]:
    return [(a.path, a.action) for a in prepared.adaptations]


def said(*parts: Part) -> LLMMessage:
    return new_message(Role.assistant, parts)


def user(*parts: Part) -> LLMMessage:
    return new_message(Role.user, parts)


def call(call_id: str | None = "t1", arguments: str = "{}", **fields: Any) -> ToolCall:
    return ToolCall(call_id, FunctionCall("look", arguments), **fields)


def result(call_id: str, content: Any = "done", **fields: Any) -> LLMMessage:
    return new_message(Role.tool, (ToolResultPart(call_id, content, **fields),))


# --- the address and the headers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    [
        "https://api.anthropic.com",
        "https://api.anthropic.com/",
        "https://api.anthropic.com/v1",
        "https://api.anthropic.com/v1/",
    ],
)
def test_the_address_may_name_the_version_or_not(base: str) -> None:
    request = LLMRequest(model=ModelConfig(MODEL), messages=(HI,))
    made = ADAPTER.prepare_request(request, ProviderConfig("a", base, "K", "anthropic"))
    assert made.url == "https://api.anthropic.com/v1/messages"
    assert made.method == "POST"


def test_a_path_before_the_version_stays() -> None:
    request = LLMRequest(model=ModelConfig(MODEL), messages=(HI,))
    made = ADAPTER.prepare_request(request, ProviderConfig("a", "https://h/x/v1", "K"))
    assert made.url == "https://h/x/v1/messages"


def test_a_provider_without_an_address_is_named() -> None:
    request = LLMRequest(model=ModelConfig(MODEL), messages=(HI,))
    with pytest.raises(ConfigError, match="'mine' has no api_base"):
        ADAPTER.prepare_request(request, ProviderConfig("mine", api_style="anthropic"))


@pytest.mark.parametrize(
    ("model", "dialect", "version"),
    [
        ("claude-opus-5-5", {}, "2026-10-21"),
        ("claude-opus-4-7", {}, "2026-10-21"),
        ("claude-novel-7", {}, "2026-10-21"),
        ("claude-sonnet-4-6", {}, "2023-06-01"),  # the newer one would cost it its temperature
        ("claude-haiku-4-5", {}, "2023-06-01"),
        ("kimi-k3", {}, "2023-06-01"),  # what servers know that only speak this wire
        ("claude-haiku-4-5", {"anthropic_version": "2026-10-21"}, "2026-10-21"),
    ],
)
def test_the_version_is_the_newest_that_costs_the_model_nothing(
    model: str, dialect: dict[str, Any], version: str
) -> None:
    assert prepare(model=model, dialect=dialect).headers["anthropic-version"] == version


def test_headers_are_few_and_none_is_empty() -> None:
    assert dict(prepare().headers) == {
        "content-type": "application/json",
        "accept": "application/json",
        "anthropic-version": "2026-10-21",
    }
    assert prepare(stream=True).headers["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("model", "thinking", "betas", "header"),
    [
        ("claude-sonnet-4-5", "high", (), "interleaved-thinking-2025-05-14"),
        ("claude-sonnet-4-5", "off", (), None),
        ("claude-3-7-sonnet-latest", "high", (), None),
        ("claude-opus-4-6", "high", (), None),
        ("claude-opus-5-5", "high", (), None),
        ("claude-opus-5-5", "off", ("a-1", "b-2", "a-1"), "a-1,b-2"),
        ("claude-opus-4-1", "low", ("b-2",), "interleaved-thinking-2025-05-14,b-2"),
    ],
)
def test_betas_are_sent_where_they_are_needed(
    model: str, thinking: Any, betas: tuple[str, ...], header: str | None
) -> None:
    made = prepare(model=model, thinking=thinking, dialect={"betas": betas})
    assert made.headers.get("anthropic-beta") == header


def test_the_credential_travels_as_the_dialect_says() -> None:
    assert prepare().auth == "x-api-key"
    assert prepare(dialect={"bearer": True}).auth == "bearer"


# --- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("anthropic/claude-opus-4.5", "claude-opus-4-5"),
        ("us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("CLAUDE-SONNET-4-6", "claude-sonnet-4-6"),
        ("claude-opus-5-20260801", "claude-opus-5"),
        ("claude-mythos-5-1", "claude-fable-5-2"),
    ],
)
def test_names_of_one_model_mean_the_same(name: str, like: str) -> None:
    assert traits_of(name) is traits_of(like)


def test_unknown_names_are_taken_for_the_newest() -> None:
    for name in ("claude-opus-6", "claude-sonnet-5-9", "claude-novel-1", "claude-mythos-preview"):
        assert traits_of(name) is NEWEST, name
    for name in ("kimi-k3", "glm-5", "recorded"):
        assert traits_of(name) is UNKNOWN, name
    assert (UNKNOWN.sampling, UNKNOWN.forced_tools) == (NEWEST.sampling, NEWEST.forced_tools)


ADAPTIVE = {"type": "adaptive"}
SHOWN = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "level", "thinking", "effort", "changed"),
    [
        ("claude-opus-5-5", "medium", SHOWN, "medium", False),
        ("claude-opus-5-5", "minimal", SHOWN, "low", True),
        ("claude-opus-5-5", "max", SHOWN, "max", False),
        ("claude-opus-5-5", "off", SHOWN, "low", True),
        ("claude-fable-5", "off", SHOWN, "low", True),
        ("claude-sonnet-5-5", "off", {"type": "between_tools"}, None, True),
        ("claude-haiku-5-5", "off", {"type": "disabled"}, None, False),
        ("claude-opus-5", "off", {"type": "disabled"}, None, False),
        ("claude-opus-5", "xhigh", SHOWN, "xhigh", False),
        ("claude-sonnet-5", "high", SHOWN, "high", False),
        ("claude-opus-4-7", "high", SHOWN, "high", False),
        ("claude-opus-4-6", "high", ADAPTIVE, "high", False),
        ("claude-opus-4-6", "xhigh", ADAPTIVE, "high", True),
        ("claude-sonnet-4-6", "off", {"type": "disabled"}, None, False),
        ("claude-opus-4-5", "off", None, None, False),
        ("claude-opus-4-5", "minimal", {"type": "enabled", "budget_tokens": 1024}, None, False),
        ("claude-opus-4-5", "low", {"type": "enabled", "budget_tokens": 4096}, None, False),
        ("claude-haiku-4-5", "medium", {"type": "enabled", "budget_tokens": 10_240}, None, False),
        ("claude-opus-4-1", "high", {"type": "enabled", "budget_tokens": 24_576}, None, False),
        ("claude-opus-4-1", "xhigh", {"type": "enabled", "budget_tokens": 30_976}, None, True),
        ("claude-opus-4-1", "max", {"type": "enabled", "budget_tokens": 30_976}, None, False),
        ("claude-sonnet-4-5", "xhigh", {"type": "enabled", "budget_tokens": 32_768}, None, False),
        ("claude-sonnet-4-5", "max", {"type": "enabled", "budget_tokens": 62_976}, None, False),
        ("claude-3-5-haiku-latest", "high", None, None, True),
        ("kimi-k3", "off", None, None, False),
        ("kimi-k3", "high", SHOWN, "high", False),
        ("claude-novel-1", "high", SHOWN, "high", False),
    ],
)
def test_thinking_takes_the_form_that_the_model_takes(
    model: str, level: Any, thinking: Any, effort: str | None, changed: bool
) -> None:
    made = prepare(model=model, thinking=level)
    sent = json.loads(made.body)
    assert sent.get("thinking") == thinking
    assert sent.get("output_config") == (None if effort is None else {"effort": effort})
    assert ("thinking" in [path for path, _ in changes(made)]) is changed
    if thinking and "budget_tokens" in thinking:
        assert sent["max_tokens"] > thinking["budget_tokens"]
        assert sent["max_tokens"] <= traits_of(model).max_output


def test_how_thinking_is_shown_is_the_dialects() -> None:
    assert body(thinking="low", dialect={"thinking_display": None})["thinking"] == ADAPTIVE
    shown = body(thinking="low", dialect={"thinking_display": "omitted"})["thinking"]
    assert shown == {"type": "adaptive", "display": "omitted"}


def test_a_server_that_knows_one_form_only_gets_that() -> None:
    sent = body(model="glm-5", thinking="low", dialect={"anthropic_thinking": "enabled"})
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert "output_config" not in sent


@pytest.mark.parametrize(
    ("max_tokens", "budget"), [(30_000, 24_576), (20_000, 18_976), (2_100, 1_076), (1_500, 1_024)]
)
def test_the_budget_stays_below_max_tokens(max_tokens: int, budget: int) -> None:
    made = prepare(model="claude-opus-4-5", thinking="high", max_tokens=max_tokens)
    sent = json.loads(made.body)
    assert sent["max_tokens"] == max_tokens
    assert sent["thinking"]["budget_tokens"] == budget
    assert (("thinking", "clamped") in changes(made)) is (budget < 24_576)


def test_no_room_to_think_is_recorded() -> None:
    made = prepare(model="claude-opus-4-5", thinking="low", max_tokens=1024)
    assert "thinking" not in json.loads(made.body)
    assert ("thinking", "dropped") in changes(made)


def test_budgets_say_their_level() -> None:
    for budget, level in ((1024, "minimal"), (5000, "low"), (24_576, "high"), (60_000, "max")):
        assert level_of_budget(budget) == level


@pytest.mark.parametrize(
    ("model", "given", "most", "sent", "changed"),
    [
        (MODEL, None, None, 32_000, False),
        (MODEL, 5, None, 5, False),
        (MODEL, None, 900, 900, False),
        (MODEL, 5000, 900, 900, True),
        (MODEL, 0, None, 0, False),  # only warms the cache
        ("claude-3-5-haiku-latest", None, None, 8192, False),
        ("kimi-k3", None, None, 8192, False),
    ],
)
def test_max_tokens_is_always_sent(
    model: str, given: int | None, most: int | None, sent: int, changed: bool
) -> None:
    for stream in (False, True):
        config = ModelConfig(model, max_output_tokens=most)
        made = prepare(config=config, max_tokens=given, stream=stream)
        assert json.loads(made.body)["max_tokens"] == sent
        assert (("max_tokens", "clamped") in changes(made)) is changed


def test_less_than_no_tokens_can_not_be_asked() -> None:
    with pytest.raises(UnsupportedError) as e:
        prepare(max_tokens=-1)
    assert e.value.path == "max_tokens"


# --- sampling --------------------------------------------------------------------------------------

SAMPLING = {"temperature": 0.5, "top_k": 5}


@pytest.mark.parametrize(
    ("model", "thinking", "dialect", "sent"),
    [
        ("claude-opus-5-5", "off", {}, {}),
        ("claude-haiku-5-5", "off", {}, {}),
        ("claude-opus-4-7", "off", {}, {}),
        ("claude-opus-4-6", "off", {}, SAMPLING),
        ("claude-opus-4-6", "low", {}, {}),
        ("claude-haiku-4-5", "off", {}, SAMPLING),
        ("claude-haiku-4-5", "low", {}, {}),
        ("claude-haiku-4-5", "off", {"anthropic_version": "2026-10-21"}, {}),
        ("claude-haiku-4-5", "off", {"sampling": False}, {}),
        ("kimi-k3", "off", {}, {}),
        ("kimi-k3", "off", {"sampling": True}, SAMPLING),
    ],
)
def test_sampling_is_sent_where_it_is_legal(
    model: str, thinking: Any, dialect: dict[str, Any], sent: dict[str, Any]
) -> None:
    made = prepare(model=model, thinking=thinking, dialect=dialect, **SAMPLING)
    found = json.loads(made.body)
    assert {k: v for k, v in found.items() if k in ("temperature", "top_p", "top_k")} == sent
    dropped = [path for path, action in changes(made) if action == "dropped"]
    assert [p for p in SAMPLING if p in dropped] == [p for p in SAMPLING if p not in sent]


def test_sampling_is_fitted_to_claude() -> None:
    made = prepare(model="claude-haiku-4-5", temperature=1.6, top_p=0.9)
    sent = json.loads(made.body)
    assert sent["temperature"] == 1.0 and "top_p" not in sent
    assert changes(made) == [("temperature", "clamped"), ("top_p", "dropped")]


# --- tools -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "thinking", "asked", "sent"),
    [
        (MODEL, "off", None, None),
        (MODEL, "off", "auto", {"type": "auto"}),
        (MODEL, "off", "none", {"type": "none"}),
        (MODEL, "off", "any", {"type": "auto"}),
        (MODEL, "off", TOOL, {"type": "auto"}),
        ("claude-haiku-5-5", "high", "required", {"type": "any"}),
        ("claude-opus-5", "high", TOOL, {"type": "tool", "name": "look"}),
        ("claude-opus-4-6", "off", "required", {"type": "any"}),
        ("claude-opus-4-6", "low", "required", {"type": "auto"}),
        ("claude-haiku-4-5", "off", TOOL, {"type": "tool", "name": "look"}),
        ("claude-haiku-4-5", "low", "any", {"type": "auto"}),
        ("kimi-k3", "off", "any", {"type": "auto"}),
    ],
)
def test_the_tool_choice_is_what_the_model_takes(
    model: str, thinking: Any, asked: Any, sent: Any
) -> None:
    made = prepare(model=model, thinking=thinking, tools=(TOOL,), tool_choice=asked)
    assert json.loads(made.body).get("tool_choice") == sent
    forced = asked not in (None, "auto", "none")
    substituted = forced and sent == {"type": "auto"}
    assert (("tool_choice", "substituted") in changes(made)) is substituted


def test_a_server_known_to_take_forced_choices_gets_them() -> None:
    sent = body(tools=(TOOL,), tool_choice="any", dialect={"forced_tool_choice": True})
    assert sent["tool_choice"] == {"type": "any"}


def test_without_tools_there_is_no_choice() -> None:
    for asked in ("auto", "none", "any"):
        assert "tool_choice" not in body(tool_choice=asked)
    assert changes(prepare(tool_choice="any"))[-1] == ("tool_choice", "dropped")


def test_a_choice_that_is_not_among_the_tools_is_an_error() -> None:
    other = AvailableTool(AvailableFunction("other"))
    with pytest.raises(UnsupportedError, match="'other'"):
        prepare(tools=(TOOL,), tool_choice=other)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
        ("auto", {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_one_call_at_a_time_is_said_inside_the_choice(asked: Any, sent: Any) -> None:
    found = body(tools=(TOOL,), tool_choice=asked, parallel_tool_calls=False)
    assert found["tool_choice"] == sent
    assert "tool_choice" not in body(tools=(TOOL,), parallel_tool_calls=True)


def test_tools_say_that_their_root_is_an_object() -> None:
    tools = (
        TOOL,
        AvailableTool(AvailableFunction("bare", strict=True)),
        AvailableTool(AvailableFunction("half", "", {"properties": {"a": {}}, "required": None})),
    )
    assert body(tools=tools)["tools"] == [
        {
            "name": "look",
            "description": "looks",
            "input_schema": {"type": "object", "properties": {}},
        },
        {
            "name": "bare",
            "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
            "strict": True,
        },
        {
            "name": "half",
            "input_schema": {"type": "object", "properties": {"a": {}}, "required": None},
        },
    ]


def test_other_settings() -> None:
    made = prepare(stop=("END", "\n"), metadata={"user_id": "u", "trace": "s"}, seed=7, stream=True)
    sent = json.loads(made.body)
    assert sent["stop_sequences"] == ["END"]
    assert sent["metadata"] == {"user_id": "u"}
    assert sent["stream"] is True
    assert "seed" not in sent and "stream" not in body()
    dropped = [path for path, action in changes(made) if action == "dropped"]
    assert dropped == ["stop", "metadata.trace", "seed"]


def test_extra_body_has_the_last_word() -> None:
    sent = body(extra_body={"max_tokens": 3, "service_tier": "auto"})
    assert (sent["max_tokens"], sent["service_tier"]) == (3, "auto")


# --- system ----------------------------------------------------------------------------------------


def test_all_leading_system_messages_are_the_prompt() -> None:
    sent = body(
        LLMMessage("system", "one"),
        LLMMessage("developer", "two"),
        LLMMessage("system", ""),
        HI,
    )
    assert sent["system"] == [
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two", "cache_control": CACHED},
    ]
    assert "system" not in body(HI)


def test_a_later_system_message_keeps_its_words() -> None:
    made = prepare(HI, LLMMessage("assistant", "yes"), LLMMessage("system", "be kind"), HI)
    sent = json.loads(made.body)
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert "be kind" in sent["messages"][2]["content"][0]["text"]
    assert ("messages[2]", "substituted") in changes(made)


def test_a_system_message_does_not_come_between_a_call_and_its_result() -> None:
    sent = body(HI, said(call()), LLMMessage("system", "hurry"), result("t1"))
    kinds = [block["type"] for block in sent["messages"][-1]["content"]]
    assert kinds == ["tool_result", "text"]


def test_only_a_system_prompt_is_no_conversation() -> None:
    for messages in ((LLMMessage("system", "be"),), (LLMMessage("user", "  "),)):
        with pytest.raises(UnsupportedError) as e:
            prepare(*messages)
        assert e.value.path == "messages"


# --- caching ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "cached"),
    [
        (user(TextPart("a"), TextPart("b")), True),
        (user(TextPart("a"), PNG), True),
        (user(FilePart(BytesSource(b"x", "application/pdf"))), True),
        (user(OpaquePart("container_upload", '{"type":"container_upload","file_id":"f"}')), False),
    ],
)
def test_the_last_block_of_the_last_user_message_is_a_breakpoint(
    last: LLMMessage, cached: bool
) -> None:
    blocks = body(HI, LLMMessage("assistant", "x"), last)["messages"][-1]["content"]
    marked = ["cache_control" in block for block in blocks]
    assert marked == [False] * (len(blocks) - 1) + [cached]
    plain = body(last, dialect={"prompt_cache": False})
    assert "cache_control" not in json.dumps(plain)


def test_a_tool_result_is_a_breakpoint() -> None:
    sent = body(HI, said(call()), result("t1"))
    assert sent["messages"][-1]["content"][-1]["cache_control"] == CACHED
    assert json.dumps(sent).count("cache_control") == 1


def test_the_next_turn_extends_this_one() -> None:
    first = (LLMMessage("system", "be"), HI, said(call(arguments='{"b": 1,"a":2}')), result("t1"))
    more = (*first, LLMMessage("assistant", "done"), LLMMessage("user", "more"))
    mark = b',"cache_control":{"type":"ephemeral"}'
    one, two = (prepare(*m, tools=(TOOL,)).body for m in (first, more))
    assert two.replace(mark, b"").startswith(one.replace(mark, b"").rstrip(b"]}"))
    assert prepare(*first, tools=(TOOL,)).body == one


# --- user content ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            PNG,
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"},
            },
        ),
        (
            ImagePart(UrlSource("https://h/a.png")),
            {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
        ),
        (
            ImagePart(UrlSource("data:image/gif;base64,R0lG")),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/gif", "data": "R0lG"},
            },
        ),
        (
            ImagePart(FileSource("file_1", "anthropic")),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            FilePart(BytesSource(b"%PDF", "application/pdf"), "a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                "title": "a.pdf",
            },
        ),
        (
            FilePart(BytesSource("é".encode(), "text/markdown")),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "é"},
            },
        ),
        (
            FilePart(FileSource("file_2")),
            {"type": "document", "source": {"type": "file", "file_id": "file_2"}},
        ),
        (
            OpaquePart("container_upload", '{"type":"container_upload", "file_id":"f"}'),
            {"type": "container_upload", "file_id": "f"},
        ),
    ],
)
def test_user_content(part: Part, block: dict[str, Any]) -> None:
    sent = body(user(part), dialect={"prompt_cache": False})
    assert sent["messages"] == [{"role": "user", "content": [block]}]


@pytest.mark.parametrize(
    "message",
    [
        user(AudioPart(BytesSource(b"x", "audio/wav"))),
        user(ImagePart(BytesSource(b"x", "image/tiff"))),
        user(FilePart(BytesSource(b"x", "application/msword"))),
        user(FilePart(BytesSource(b"\xff", "text/plain"))),
        user(ImagePart(FileSource("f", "openai"))),
        user(ImagePart(UrlSource("data:image/png,raw"))),
        user(OpaquePart("x", "[1]")),
        user(call()),
        said(TextPart("x"), PNG),
        said(FilePart(BytesSource(b"x", "application/pdf"))),
        said(AudioPart(BytesSource(b"x", "audio/wav"))),
        said(CompactionPart("x", Native("anthropic", payload=""))),
    ],
)
def test_what_can_not_be_said_is_named_by_its_place(message: LLMMessage) -> None:
    with pytest.raises(UnsupportedError) as e:
        prepare(HI, LLMMessage("assistant", "x"), message, HI)
    assert e.value.path == f"messages[2].parts[{len(message.parts) - 1}]"
    assert e.value.path in str(e.value)


def test_the_place_is_the_callers_even_if_messages_were_moved() -> None:
    history = (HI, said(), said(call()), HI, LLMMessage("assistant", "x"))
    with pytest.raises(UnsupportedError) as e:
        prepare(*history, user(AudioPart(BytesSource(b"x", "audio/wav"))))
    assert e.value.path == "messages[5].parts[0]"


def test_a_speakers_name_and_an_images_detail_are_recorded() -> None:
    image = ImagePart(UrlSource("https://h/a.png"), "high")
    made = prepare(new_message(Role.user, (image,), "Ann"))
    assert changes(made)[-2:] == [
        ("messages[0].name", "dropped"),
        ("messages[0].parts[0].detail", "dropped"),
    ]


def test_neighbours_of_one_side_become_one_turn() -> None:
    sent = body(
        HI,
        LLMMessage("user", "there"),
        said(TextPart("a")),
        said(call("t1"), call("t2")),
        result("t2", "two"),
        LLMMessage("user", "and?"),
        result("t1", "one"),
    )
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    last = sent["messages"][-1]["content"]
    assert [b["type"] for b in last] == ["tool_result", "tool_result", "text"]
    assert {b["tool_use_id"] for b in last[:2]} == {"t1", "t2"}


def test_empty_texts_are_never_sent() -> None:
    made = prepare(
        HI, said(TextPart("")), said(TextPart("x"), TextPart("")), user(TextPart("\n")), HI
    )
    texts = [b["text"] for m in json.loads(made.body)["messages"] for b in m["content"]]
    assert texts == ["hi", "x", "\n", "hi"]  # blank ones are legal beside others
    assert ("messages[1]", "dropped") in changes(made)


def test_a_turn_of_white_space_is_dropped() -> None:
    made = prepare(HI, said(TextPart(" \n")), LLMMessage("user", "there"))
    assert [m["role"] for m in json.loads(made.body)["messages"]] == ["user"]
    assert ("messages[1]", "dropped") in changes(made)


def test_the_user_speaks_first() -> None:
    made = prepare(LLMMessage("assistant", "Welcome."), HI)
    sent = json.loads(made.body)
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert ("messages[0]", "added") in changes(made)


# --- tool results ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("a cat", "a cat"),
        ("", None),
        ("  ", None),
        ((TextPart("a"), TextPart("")), [{"type": "text", "text": "a"}]),
        ((), None),
        (
            (TextPart("see"), ImagePart(UrlSource("https://h/a"))),
            [
                {"type": "text", "text": "see"},
                {"type": "image", "source": {"type": "url", "url": "https://h/a"}},
            ],
        ),
        (
            (OpaquePart("tool_reference", '{"type":"tool_reference","tool_name":"x"}'),),
            [{"type": "tool_reference", "tool_name": "x"}],
        ),
    ],
)
def test_results(content: Any, sent: Any) -> None:
    found = body(HI, said(call()), result("t1", content), dialect={"prompt_cache": False})
    block = found["messages"][-1]["content"][0]
    assert block.pop("content", None) == sent
    assert block == {"type": "tool_result", "tool_use_id": "t1"}


def test_a_failed_result_holds_text_only() -> None:
    made = prepare(HI, said(call()), result("t1", (TextPart("no"), PNG), is_error=True))
    blocks = json.loads(made.body)["messages"][-1]["content"]
    assert [b["type"] for b in blocks] == ["tool_result", "image"]
    assert blocks[0]["is_error"] is True
    assert [b["type"] for b in blocks[0]["content"]] == ["text"]
    assert ("messages[2].parts[0].content[1]", "moved") in changes(made)


def test_a_call_without_a_result_gets_one() -> None:
    sent = body(HI, said(call()), HI)
    assert sent["messages"][-1]["content"][0]["is_error"] is True


@pytest.mark.parametrize("call_id", ["call:1", "x" * 65, "ü", "functions.look:0"])
def test_ids_fit(call_id: str) -> None:
    sent = body(HI, said(call(call_id)), result(call_id))
    used = sent["messages"][1]["content"][0]["id"]
    assert used == sent["messages"][2]["content"][0]["tool_use_id"]
    assert used.replace("_", "").replace("-", "").isalnum() and used.isascii() and len(used) <= 64


def test_ids_that_servers_use_again_are_told_apart() -> None:
    made = prepare(
        HI, said(call("call_0")), result("call_0", "1"), said(call("call_0")), result("call_0", "2")
    )
    sent = json.loads(made.body)["messages"]
    assert [m["content"][0].get("id") for m in sent[1::2]] == ["call_0", "call_0_2"]
    assert [(m["content"][0]["tool_use_id"], m["content"][0]["content"]) for m in sent[2::2]] == [
        ("call_0", "1"),
        ("call_0_2", "2"),
    ]
    assert ("messages[3].parts[0].id", "substituted") in changes(made)


def test_one_turn_may_use_an_id_twice() -> None:
    both = new_message(Role.tool, (ToolResultPart("a", "1"), ToolResultPart("a", "2")))
    sent = body(HI, said(call("a"), call("a")), both)["messages"]
    assert [b["id"] for b in sent[1]["content"]] == ["a", "a_2"]
    assert [(b["tool_use_id"], b["content"]) for b in sent[2]["content"]] == [
        ("a", "1"),
        ("a_2", "2"),
    ]


# --- what the assistant said -------------------------------------------------------------------------


def replayed(*parts: Part, thinking: Any = "high", **fields: Any) -> list[dict[str, Any]]:
    """The blocks of an assistant turn that is followed by a user's."""
    results = [result(p.id or "") for p in parts if isinstance(p, ToolCall)]
    sent = body(HI, said(*parts), *results, LLMMessage("user", "on"), thinking=thinking, **fields)
    found: list[dict[str, Any]] = sent["messages"][1]["content"]
    return found


def test_blocks_keep_their_order_and_their_own_signatures() -> None:
    parts = (
        ReasoningPart("a", signature="s1", native=OWN),
        TextPart("one"),
        ReasoningPart("", signature="s2", native=OWN),
        ReasoningPart(kind="redacted", data="blob", native=OWN),
        call("t1"),
        ReasoningPart("b", signature="s3", native=OWN),
        call("t2"),
    )
    assert [b.get("signature") or b.get("data") or b.get("text") or b["id"] for b in replayed(*parts)] == [
        "s1", "one", "s2", "blob", "t1", "s3", "t2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ['{"b": 1, "a": 2}', "{ }", '{"x":"\\u00e9","n":1.0e2}', ' {"a":[1 ,2]}\n'],
)
def test_arguments_go_back_byte_for_byte(text: str) -> None:
    made = prepare(HI, said(call(arguments=text)), result("t1"))
    assert b'"input":' + text.encode() in made.body


@pytest.mark.parametrize(
    ("text", "kind", "sent", "recorded"),
    [
        ("", "function", {}, False),
        ('{"a": "\\ud83d"}', "function", {"a": "\ufffd"}, False),
        ('{"a"', "function", {"INVALID_JSON": '{"a"'}, True),
        ("[1]", "function", {"INVALID_JSON": "[1]"}, True),
        ("free text", "custom", {"input": "free text"}, True),
    ],
)
def test_other_arguments_become_an_object(text: str, kind: Any, sent: Any, recorded: bool) -> None:
    made = prepare(HI, said(call(arguments=text, kind=kind)), result("t1"))
    assert json.loads(made.body)["messages"][1]["content"][0]["input"] == sent
    assert (("messages[1].parts[0]", "substituted") in changes(made)) is recorded


def test_what_a_call_said_besides_goes_back_to_the_issuer() -> None:
    extras = {"caller": {"type": "direct"}}
    own = call(native=Native("anthropic", "anthropic", MODEL, extras))
    assert replayed(own)[0]["caller"] == {"type": "direct"}
    foreign = call(native=Native("anthropic", "another", MODEL, extras))
    assert "caller" not in replayed(foreign)[0]


def test_opaque_blocks_go_back_verbatim_in_place_and_to_the_issuer_only() -> None:
    block = '{"type":"server_tool_use", "id":"s1","input":{"q":  1}}'
    parts = (TextPart("a"), OpaquePart("server_tool_use", block, OWN), TextPart("b"))
    made = prepare(HI, said(*parts), HI)
    assert b'{"type":"text","text":"a"},' + block.encode() + b',{"type":"text"' in made.body
    foreign = Native("anthropic", "anthropic", "claude-opus-4-8")
    other = prepare(HI, said(TextPart("a"), OpaquePart("server_tool_use", block, foreign)), HI)
    assert b"server_tool_use" not in other.body
    assert ("messages[1].parts[1]", "dropped") in changes(other)


def test_summaries_of_earlier_turns() -> None:
    text = '{"type":"compaction","content":"so far","signature":"z"}'
    own = CompactionPart("so far", Native("anthropic", "anthropic", MODEL, text))
    assert body(said(own), HI)["messages"][0] == {
        "role": "assistant",
        "content": [json.loads(text)],
    }
    assert replayed(CompactionPart("by hand")) == [{"type": "compaction", "content": "by hand"}]
    foreign = CompactionPart("so far", Native("openai", "openai", "m", "{}"))
    assert replayed(foreign) == [{"type": "text", "text": "so far"}]


def test_citations_go_back_to_the_issuer() -> None:
    cited = TextPart("x", ({"type": "char_location"},), OWN)
    assert replayed(cited) == [
        {"type": "text", "text": "x", "citations": [{"type": "char_location"}]}
    ]
    foreign = TextPart("x", ({"url": "u"},), Native("openai", "openai", "m"))
    assert replayed(foreign) == [{"type": "text", "text": "x"}]


def test_refusals_and_spoken_words_become_text() -> None:
    spoken = AudioPart(BytesSource(b"x", "audio/wav"), transcript="hello")
    assert replayed(RefusalPart("no"), spoken) == [
        {"type": "text", "text": "no"},
        {"type": "text", "text": "hello"},
    ]


@pytest.mark.parametrize(
    ("part", "dialect", "sent"),
    [
        (ReasoningPart("hm"), {}, []),
        (ReasoningPart("hm", signature=""), {}, []),
        (
            ReasoningPart("hm", signature="s"),
            {},
            [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        ),
        (ReasoningPart("hm", signature="s", native=Native("anthropic", "x", "y")), {}, []),
        (ReasoningPart("hm", "summary", data="e", native=Native("openai", "o", "m")), {}, []),
        (
            ReasoningPart("hm"),
            {"replay_unsigned_thinking": True},
            [{"type": "thinking", "thinking": "hm"}],
        ),
    ],
)
def test_only_own_signed_thinking_goes_back(part: Part, dialect: Any, sent: Any) -> None:
    found = replayed(part, TextPart("x"), dialect=dialect)
    assert found == [*sent, {"type": "text", "text": "x"}]


def test_without_thinking_earlier_thinking_stays_here() -> None:
    thought = ReasoningPart("hm", signature="s")
    kept = {"model": "claude-opus-5-5", "thinking": "off"}  # it thinks all the same
    assert replayed(thought, TextPart("x"), **kept)[0]["type"] == "thinking"
    for model in ("claude-opus-4-5", "claude-opus-4-6", "claude-haiku-5-5", "kimi-k3"):
        found = replayed(thought, TextPart("x"), model=model, thinking="off")
        assert [b["type"] for b in found] == ["text"], model
    kimi = {"replay_unsigned_thinking": True}
    found = replayed(thought, call(), model="kimi-k3", thinking="off", dialect=kimi)
    assert found[0]["type"] == "thinking"


def test_thinking_with_nothing_after_it_is_dropped() -> None:
    made = prepare(HI, said(ReasoningPart("hm", signature="s")), HI, thinking="high")
    assert [m["role"] for m in json.loads(made.body)["messages"]] == ["user"]
    assert ("messages[1]", "dropped") in changes(made)


@pytest.mark.parametrize(
    ("parts", "thinks"),
    [
        ((call(),), False),
        ((TextPart("x"), call()), False),
        ((ReasoningPart("h", signature="s"), call()), True),
        ((ReasoningPart(kind="redacted", data="d"), call()), True),
        ((ReasoningPart("unsigned"), call()), False),
    ],
)
def test_a_budget_needs_the_loops_thinking(parts: tuple[Part, ...], thinks: bool) -> None:
    """With a budget the turn whose calls are being answered must begin with thinking."""
    made = prepare(HI, said(*parts), result("t1"), model="claude-opus-4-5", thinking="low")
    sent = json.loads(made.body)
    assert ("thinking" in sent) is thinks
    assert (("thinking", "substituted") in changes(made)) is not thinks
    if not thinks:
        assert all(b["type"] != "thinking" for b in sent["messages"][1]["content"])
    # after the user has spoken again it does not matter
    later = body(HI, said(*parts), result("t1"), LLMMessage("assistant", "ok"), HI,
                 model="claude-opus-4-5", thinking="low")  # fmt: skip
    assert "thinking" in later
    # and models with adaptive thinking never mind
    assert "thinking" in body(
        HI, said(*parts), result("t1"), model="claude-opus-4-6", thinking="low"
    )


# --- prefill ---------------------------------------------------------------------------------------


def test_a_prefilled_reply_where_it_is_legal() -> None:
    made = prepare(
        HI, LLMMessage("assistant", "It is \n"), model="claude-haiku-4-5", thinking="low"
    )
    sent = json.loads(made.body)
    assert sent["messages"][-1]["content"] == [{"type": "text", "text": "It is"}]
    assert "thinking" not in sent
    assert ("thinking", "substituted") in changes(made)


def test_a_prefilled_reply_where_it_is_not() -> None:
    with pytest.raises(UnsupportedError) as e:
        prepare(HI, LLMMessage("assistant", "It is"), model="claude-opus-4-6")
    assert e.value.path == "messages[1]"


def test_a_paused_turn_goes_on_as_it_is() -> None:
    paused = said(TextPart("x"), OpaquePart("server_tool_use", '{"type":"server_tool_use"}', OWN))
    sent = body(HI, paused)
    assert sent["messages"][-1]["content"][-1] == {"type": "server_tool_use"}


# --- counting --------------------------------------------------------------------------------------


def test_counting_asks_for_what_the_call_would_send() -> None:
    assert isinstance(ADAPTER, TokenCounter)
    request = LLMRequest(
        model=ModelConfig("claude-haiku-4-5"),
        messages=(LLMMessage("system", "be"), HI),
        tools=(TOOL,),
        tool_choice="auto",
        thinking="low",
        temperature=0.2,
        max_tokens=16,
        stream=True,
        stop=("x",),
        extra_body={"service_tier": "auto"},
    )
    made = ADAPTER.prepare_count(request, provider())
    assert made is not None
    assert made.url == "https://api.anthropic.com/v1/messages/count_tokens"
    assert made.headers["accept"] == "application/json"
    assert set(json.loads(made.body)) == {"model", "messages", "system", "tools", "tool_choice"}
    assert ADAPTER.parse_count(b'{"input_tokens":7,"new":1}', request) == 7
    assert ADAPTER.prepare_count(request, provider(count_endpoint=False)) is None


def test_nothing_of_the_callers_is_changed() -> None:
    messages = (LLMMessage("system", "s"), HI, said(call("a:b"), TextPart("x")), result("a:b"))
    extra = {"thinking": {"type": "disabled"}}
    request = LLMRequest(
        model=ModelConfig(MODEL), messages=messages, extra_body=extra, tools=(TOOL,)
    )
    before = repr(request)
    ADAPTER.prepare_request(request, provider())
    assert repr(request) == before


def test_lone_surrogates_do_not_break_the_body() -> None:
    sent = body(LLMMessage("user", "a\ud83db \ud83d\ude00"))
    assert sent["messages"][0]["content"][0]["text"] == "a\ufffdb \U0001f600"
