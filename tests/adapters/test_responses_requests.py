"""Requests of the Responses API: settings, tools, and what of a history goes back, and how."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import TokenCounter
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import ConfigError, UnsupportedError
from llmwire.providers import PROVIDERS, dialect_of
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    Adaptation,
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
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
)

ADAPTER = ADAPTERS["openai-responses"]
OPENAI = PROVIDERS["openai-responses"]
LOCAL = ProviderConfig("local", "http://127.0.0.1:1234/v1", api_style="openai-responses")
HI = LLMMessage("user", "hi")
NOTHING = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
WEATHER = AvailableTool(AvailableFunction("weather", "The weather", NOTHING, True))
MATHS = AvailableTool(
    AvailableFunction("maths", format={"type": "grammar", "syntax": "lark", "definition": "x"}),
    "custom",
)
PNG = BytesSource(b"\x89PNG", "image/png")


def prepared(*messages: LLMMessage, provider: ProviderConfig = OPENAI, **fields: Any) -> Any:
    model = ModelConfig(fields.pop("model", "gpt-6-luna"), temperature=None)
    asked = LLMRequest(model=model, messages=messages or (HI,), **fields)
    return ADAPTER.prepare_request(asked, provider)


def body(*messages: LLMMessage, **fields: Any) -> dict[str, Any]:
    return json.loads(prepared(*messages, **fields).body)


def said(*messages: LLMMessage, **fields: Any) -> list[dict[str, Any]]:
    return body(*messages, **fields)["input"]


def records(*messages: LLMMessage, **fields: Any) -> list[tuple[str, str]]:
    return [(a.path, a.action) for a in prepared(*messages, **fields).adaptations]


def ours(payload: Any, model: str = "gpt-6-luna", provider: str = "openai-responses") -> Native:
    return Native("openai-responses", provider, model, payload)


# --- the request --------------------------------------------------------------------------------


def test_a_plain_request_stores_nothing_and_asks_for_encrypted_reasoning() -> None:
    request = prepared()
    assert json.loads(request.body) == {
        "model": "gpt-6-luna",
        "reasoning": {"effort": "none"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "input": [{"role": "user", "content": "hi"}],
    }
    assert request.url == "https://api.openai.com/v1/responses"
    assert request.headers["accept"] == "application/json"
    assert request.adaptations == ()
    streamed = prepared(stream=True)
    assert json.loads(streamed.body)["stream"] is True
    assert streamed.headers["accept"] == "text/event-stream"


def test_a_model_that_does_not_reason_is_not_asked_for_reasoning() -> None:
    assert not {"include", "reasoning"} & body(model="gpt-4o").keys()
    assert "include" in body(model="a-local-model", provider=LOCAL)


def test_a_provider_needs_an_address() -> None:
    with pytest.raises(ConfigError, match="has no api_base"):
        prepared(provider=replace(OPENAI, api_base=""))


def test_stored_replies_and_going_on_from_one() -> None:
    asked = body(store=True, previous_response_id="resp_1")
    assert asked["store"] is True
    assert asked["previous_response_id"] == "resp_1"


def test_the_callers_own_fields_come_last() -> None:
    more = {"truncation": "auto", "store": True, "include": []}
    asked = body(extra_body=more)
    assert {k: asked[k] for k in more} == more
    assert body(extra_body={"input": "raw"})["input"] == "raw"
    assert list(asked)[-1] == "input"


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = {
    "a limit": ({"max_tokens": 500}, {"max_output_tokens": 500}, []),
    "a low limit": ({"max_tokens": 5}, {"max_output_tokens": 16}, [("max_tokens", "clamped")]),
    "sampling": ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, []),
    "sampling while it thinks": (
        {"temperature": 0.5, "thinking": "low"},
        {"temperature": None},
        [("temperature", "dropped")],
    ),
    "top_k": ({"top_k": 5}, {"top_k": None}, [("top_k", "dropped")]),
    "stop": ({"stop": ("END",)}, {"stop": None}, [("stop", "dropped")]),
    "seed": ({"seed": 0}, {"seed": None}, [("seed", "dropped")]),
    "metadata": ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}, []),
    "a key for the cache": ({"cache_key": "k"}, {"prompt_cache_key": "k"}, []),
    "any JSON": (
        {"output": OutputFormat()},
        {"text": {"format": {"type": "json_object"}}},
        [("output", "added")],
    ),
    "a schema": (
        {"output": OutputFormat(NOTHING, "answer")},
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "answer",
                    "schema": NOTHING,
                    "strict": True,
                }
            }
        },
        [],
    ),
    "a schema with free keys": (
        {"output": OutputFormat({"type": "object"}, "answer")},
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "answer",
                    "schema": {"type": "object"},
                    "strict": False,
                }
            }
        },
        [("output.strict", "substituted")],
    ),
    "thinking": ({"thinking": "high"}, {"reasoning": {"effort": "high", "summary": "auto"}}, []),
    "thinking too little": (
        {"thinking": "minimal"},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        [("thinking", "clamped")],
    ),
    "thinking where there is none": (
        {"thinking": "high", "model": "gpt-4o"},
        {"reasoning": None},
        [("thinking", "dropped")],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str) -> None:
    fields, wanted, changes = SETTINGS[name]
    asked = body(**fields)
    assert {k: asked.get(k) for k in wanted} == wanted
    assert records(**fields) == changes


@pytest.mark.parametrize(
    ("model", "asked", "effort"),
    [
        ("gpt-6-astra", "max", "max"),
        ("gpt-5", "minimal", "minimal"),
        ("gpt-5.2", "max", "xhigh"),
        ("o3", "max", "high"),
        ("o3", "off", None),
        ("gpt-5.6-sol", "off", "none"),
        ("openai.gpt-5.6-luna", "max", "max"),
        ("a-local-model", "high", "high"),
        ("a-local-model", "off", None),
    ],
)
def test_effort_by_model(model: str, asked: Any, effort: str | None) -> None:
    reasoning = body(model=model, thinking=asked, provider=LOCAL).get("reasoning") or {}
    assert reasoning.get("effort") == effort
    assert ("thinking", "clamped") in records(model=model, thinking=asked, provider=LOCAL) or (
        effort in (asked, None, "none")
    )


def test_tools_while_thinking_are_no_problem_on_this_wire() -> None:
    asked = body(model="gpt-5.6-sol", thinking="high", tools=(WEATHER,))
    assert asked["reasoning"]["effort"] == "high" and "tools" in asked


def test_what_an_unknown_server_may_not_take() -> None:
    asked = {"metadata": {"a": "b"}, "cache_key": "k"}
    assert records(provider=LOCAL, **asked) == [("metadata", "dropped"), ("cache_key", "dropped")]
    assert not {"metadata", "prompt_cache_key"} & body(provider=LOCAL, **asked).keys()
    quiet = replace(LOCAL, dialect=Dialect(reasoning_control="none", encrypted_reasoning=False))
    asked_quietly = body(provider=quiet, thinking="high", model="m")
    assert not {"reasoning", "include"} & asked_quietly.keys()
    assert records(provider=quiet, thinking="high", model="m") == [("thinking", "dropped")]
    bare = replace(LOCAL, dialect=Dialect(reasoning_summary=None))
    assert body(provider=bare, thinking="high", model="m")["reasoning"] == {"effort": "high"}


TOOLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "flat, and strict is said": (
        {"tools": (WEATHER, AvailableTool(AvailableFunction("now")))},
        {
            "tools": [
                {"type": "function", "name": "weather", "description": "The weather",
                 "parameters": NOTHING, "strict": True},
                {"type": "function", "name": "now",
                 "parameters": {"type": "object", "properties": {}}, "strict": False},
            ]
        },
    ),
    "custom": (
        {"tools": (MATHS,), "tool_choice": MATHS},
        {
            "tools": [
                {"type": "custom", "name": "maths",
                 "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
            ],
            "tool_choice": {"type": "custom", "name": "maths"},
        },
    ),
    "named": (
        {"tools": (WEATHER,), "tool_choice": WEATHER, "parallel_tool_calls": False},
        {"tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": False},
    ),
    "any": ({"tools": (WEATHER,), "tool_choice": "any"}, {"tool_choice": "required"}),
    "none": ({"tools": (WEATHER,), "tool_choice": "none"}, {"tool_choice": "none"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_tools(name: str) -> None:
    fields, wanted = TOOLS[name]
    asked = body(**fields)
    assert {k: asked[k] for k in wanted} == wanted
    assert records(**fields) == []


def test_a_grammar_in_the_words_of_chat_is_flattened() -> None:
    nested = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    tool = AvailableTool(AvailableFunction("f", format=nested), "custom")
    (sent,) = body(tools=(tool,))["tools"]
    assert sent["format"] == {"type": "grammar", "syntax": "regex", "definition": "a+"}
    plain = AvailableTool(AvailableFunction("f", format={"type": "text"}), "custom")
    assert body(tools=(plain,))["tools"][0]["format"] == {"type": "text"}


def test_counting_asks_with_what_is_counted() -> None:
    assert isinstance(ADAPTER, TokenCounter)
    asked = LLMRequest(
        model=ModelConfig("gpt-6-luna"),
        messages=(LLMMessage("system", "Be brief."), HI),
        tools=(WEATHER,),
        thinking="low",
        max_tokens=99,
        stream=True,
        metadata={"a": "b"},
        output=OutputFormat(),
        previous_response_id="resp_1",
    )
    request = ADAPTER.prepare_count(asked, OPENAI)
    assert request is not None
    assert request.url == "https://api.openai.com/v1/responses/input_tokens"
    assert set(json.loads(request.body)) == {
        "model", "instructions", "input", "tools", "reasoning", "text", "previous_response_id"
    }  # fmt: skip
    assert ADAPTER.parse_count(b'{"object":"response.input_tokens","input_tokens":7}', asked) == 7
    lacking = replace(LOCAL, dialect=Dialect(count_endpoint=False))
    assert ADAPTER.prepare_count(asked, lacking) is None


# --- what people say ----------------------------------------------------------------------------


def test_a_leading_system_message_becomes_the_instructions() -> None:
    asked = body(LLMMessage("system", [TextPart("Be brief."), TextPart("Be kind.")]), HI)
    assert asked["instructions"] == "Be brief.\n\nBe kind."
    assert asked["input"] == [{"role": "user", "content": "hi"}]
    alone = body(LLMMessage("system", "Be brief."))
    assert "instructions" not in alone
    assert alone["input"] == [{"role": "system", "content": "Be brief."}]
    later = said(HI, LLMMessage("system", "Now be brief."))
    assert later[1] == {"role": "system", "content": "Now be brief."}


def test_the_developers_role_is_kept_where_it_is_known() -> None:
    message = LLMMessage("developer", "Be brief.")
    assert said(message, HI)[0] == {"role": "developer", "content": "Be brief."}
    assert records(message, HI) == []
    assert said(message, HI, provider=LOCAL, model="m")[0]["role"] == "system"
    assert records(message, HI, provider=LOCAL, model="m") == [
        ("messages[0].role", "substituted")
    ]  # fmt: skip


def test_names_are_dropped_with_a_record() -> None:
    named = LLMMessage("user", "hi", name="ann")
    assert said(named) == [{"role": "user", "content": "hi"}]
    assert records(named) == [("messages[0].name", "dropped")]


CONTENT: dict[str, tuple[Part, dict[str, Any]]] = {
    "text": (TextPart("hi"), {"type": "input_text", "text": "hi"}),
    "image": (
        ImagePart(PNG, "high"),
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "high"},
    ),
    "image elsewhere": (
        ImagePart(UrlSource("https://a.example/b.png")),
        {"type": "input_image", "image_url": "https://a.example/b.png"},
    ),
    "image uploaded": (
        ImagePart(FileSource("file-1")),
        {"type": "input_image", "file_id": "file-1"},
    ),
    "file": (
        FilePart(BytesSource(b"%PDF", "application/pdf"), "a.pdf"),
        {"type": "input_file", "filename": "a.pdf",
         "file_data": "data:application/pdf;base64,JVBERg=="},
    ),
    "file elsewhere": (
        FilePart(UrlSource("https://a.example/b.pdf")),
        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
    ),
    "file uploaded": (
        FilePart(FileSource("file-2"), "b.pdf"),
        {"type": "input_file", "file_id": "file-2"},
    ),
    "sound": (
        AudioPart(BytesSource(b"RIFF", "audio/wav")),
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ),
    "a block of the wire": (
        OpaquePart("input_image", '{"type":"input_image","file_id":"f","detail":"low"}'),
        {"type": "input_image", "file_id": "f", "detail": "low"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTENT)
def test_content(name: str) -> None:
    part, block = CONTENT[name]
    (message,) = said(LLMMessage("user", [TextPart("see:"), part]))
    assert message == {
        "role": "user",
        "content": [{"type": "input_text", "text": "see:"}, block],
    }


@pytest.mark.parametrize("name", ["text", "image", "file", "file uploaded", "image elsewhere"])
def test_content_of_a_result(name: str) -> None:
    part, block = CONTENT[name]
    call = ToolCall("c1", FunctionCall("look", "{}"))
    result = ToolResultPart("c1", (TextPart("see:"), part))  # type: ignore[arg-type]
    sent = said(HI, LLMMessage("assistant", [call]), LLMMessage("tool", parts=[result]))[-1]
    see = {"type": "input_text", "text": "see:"}
    assert sent == {
        "type": "function_call_output",
        "call_id": "c1",
        "output": "see:\nhi" if name == "text" else [see, block],
    }


UNSAYABLE: dict[str, tuple[LLMMessage, str]] = {
    "a picture by the assistant": (LLMMessage("assistant", [ImagePart(PNG)]), ".parts[0]"),
    "sound by the assistant": (
        LLMMessage("assistant", [AudioPart(BytesSource(b"", "audio/wav"))]), ".parts[0]",
    ),
    "sound elsewhere": (
        LLMMessage("user", [TextPart("a"), AudioPart(UrlSource("https://a.example/b"))]),
        ".parts[1]",
    ),
    "a picture in a system message": (LLMMessage("system", [ImagePart(PNG)]), ".parts[0]"),
    "a refusal by the user": (LLMMessage("user", [RefusalPart("no")]), ".parts[0]"),
    "another wire's block": (
        LLMMessage("user", [OpaquePart("x", "{}", Native("anthropic"))]), ".parts[0]",
    ),
    "no JSON": (LLMMessage("user", [OpaquePart("x", "nothing")]), ".parts[0]"),
    "a summary of nobody's": (LLMMessage("user", [CompactionPart("so far")]), ".parts[0]"),
    "sound in a result": (
        LLMMessage("tool", parts=[ToolResultPart("c", (AudioPart(UrlSource("u")),))]),  # type: ignore[arg-type]
        ".parts[0].content[0]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSAYABLE)
def test_what_cannot_be_said_is_an_error_with_a_path(name: str) -> None:
    message, path = UNSAYABLE[name]
    with pytest.raises(UnsupportedError) as caught:
        prepared(HI, message)
    assert caught.value.path == f"messages[1]{path}"
    assert str(caught.value).startswith(f"messages[1]{path}: Responses can't say")


def test_items_of_the_clients_own_stand_for_themselves() -> None:
    answer = {"type": "mcp_approval_response", "approval_request_id": "m1", "approve": True}
    part = OpaquePart("mcp_approval_response", json.dumps(answer))
    assert said(LLMMessage("user", [part, TextPart("go on")])) == [
        answer,
        {"role": "user", "content": "go on"},
    ]


# --- results ------------------------------------------------------------------------------------


def test_results_answer_calls_of_their_kind() -> None:
    calls = [
        ToolCall("c1", FunctionCall("weather", "")),
        ToolCall("c2", FunctionCall("maths", "4 + 4"), "custom"),
    ]
    results = [
        LLMMessage("tool", "sun", tool_call_id="c1"),
        LLMMessage("tool", "8", tool_call_id="c2"),
    ]
    assert said(HI, LLMMessage("assistant", calls), *results)[1:] == [
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "maths", "input": "4 + 4"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "8"},
    ]


def test_results_may_answer_calls_that_the_server_has() -> None:
    results = [
        LLMMessage("tool", "sun", tool_call_id="c1"),
        LLMMessage("tool", "8", tool_call_id="c2", name="maths"),
    ]
    sent = said(*results, previous_response_id="resp_1", tools=(WEATHER, MATHS))
    assert sent == [
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "8"},
    ]
    assert records(*results, previous_response_id="resp_1") == []
    for name in ("previous_response_id", "conversation"):
        assert [i["type"] for i in said(*results, extra_body={name: "x_1"})] == [
            "function_call_output"
        ] * 2
    lost = said(*results)
    assert [i["role"] for i in lost] == ["user", "user"], "without it they answer nothing"


def test_an_error_of_a_tool_has_no_word() -> None:
    call = ToolCall("c1", FunctionCall("weather", "{}"))
    result = LLMMessage("tool", parts=[ToolResultPart("c1", "no net", is_error=True)])
    assert records(HI, LLMMessage("assistant", [call]), result) == [
        ("messages[2].parts[0].is_error", "dropped")
    ]


def test_long_call_ids_are_shortened_on_both_sides() -> None:
    call = ToolCall("x" * 70, FunctionCall("weather", "{}"))
    history = (
        HI,
        LLMMessage("assistant", [call]),
        LLMMessage("tool", "sun", tool_call_id="x" * 70),
    )
    _, sent, answer = said(*history)
    assert sent["call_id"] == answer["call_id"] and len(sent["call_id"]) == 64
    assert ("messages[1].parts[0].id", "substituted") in records(*history)
    kept = said(*history, provider=LOCAL, model="m")
    assert kept[1]["call_id"] == "x" * 70


# --- what the model said goes back --------------------------------------------------------------

RS = {"id": "rs_1", "status": "completed"}
THOUGHT = ReasoningPart("Hm.", "encrypted", data="gAAA", native=ours({"item": RS}))
SECRET = {"type": "reasoning", **RS, "summary": [{"type": "summary_text", "text": "Hm."}],
          "encrypted_content": "gAAA"}  # fmt: skip
MSG = {"id": "msg_1", "status": "completed", "role": "assistant", "phase": "commentary"}
TEXT = TextPart("So:", ({"type": "url_citation"},), ours({"item": MSG, "after": "rs_1"}))
FC = {"id": "fc_1", "status": "completed", "namespace": "crm"}
CALL = ToolCall(
    "c1", FunctionCall("f", '{ "a": 1}'), native=ours({"item": FC, "after": "rs_1"})
)  # fmt: skip
RESULT = LLMMessage("tool", "ok", tool_call_id="c1")


def turn(*parts: Part, **fields: Any) -> list[dict[str, Any]]:
    """What goes back of an assistant's turn."""
    calls = [p for p in parts if isinstance(p, ToolCall)]
    return said(HI, LLMMessage("assistant", parts), *([RESULT] if calls else []), **fields)[1:]


def test_a_turn_goes_back_item_by_item() -> None:
    second = TextPart("4.", native=ours({"item": MSG, "after": "rs_1", "part": {"logprobs": [1]}}))
    items = turn(THOUGHT, TEXT, second, CALL)
    assert items[:-1] == [
        SECRET,
        {
            "type": "message", **MSG,
            "content": [
                {"type": "output_text", "text": "So:", "annotations": [{"type": "url_citation"}]},
                {"type": "output_text", "text": "4.", "annotations": [], "logprobs": [1]},
            ],
        },
        {"type": "function_call", **FC, "call_id": "c1", "name": "f", "arguments": '{ "a": 1}'},
    ]  # fmt: skip


def test_summaries_of_one_item_and_items_side_by_side() -> None:
    bare = ours({"item": {"id": "rs_2"}})
    parts = [
        ReasoningPart("One.", "summary", native=bare),
        ReasoningPart("Two.", "encrypted", data="gBBB", native=bare),
        ReasoningPart("", "encrypted", data="gCCC", native=ours({"item": {}})),
        ReasoningPart("", "encrypted", data="gDDD", native=ours({"item": {}})),
        TextPart("ok"),
    ]
    one, two, three, _ = turn(*parts)
    assert [s["text"] for s in one["summary"]] == ["One.", "Two."]
    assert (one["id"], one["encrypted_content"]) == ("rs_2", "gBBB")
    assert (two["encrypted_content"], three["encrypted_content"]) == ("gCCC", "gDDD")
    assert "id" not in two


def test_reasoning_as_text_goes_back_as_text() -> None:
    part = ReasoningPart("Hm.", native=ours({"item": {"id": "rs_3"}, "content": True}))
    assert turn(part, TextPart("ok"))[0] == {
        "type": "reasoning", "id": "rs_3", "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
    }  # fmt: skip


def test_without_its_reasoning_an_item_goes_back_without_id() -> None:
    """Else the API refuses it: history was edited, or the reasoning can't be sent back."""
    bare = ReasoningPart("Hm.", "summary", native=ours({"item": RS}))
    search = OpaquePart("web_search_call", '{"type":"web_search_call","id":"ws_1"}',
                        ours({"after": "rs_1"}))  # fmt: skip
    for lead in ([], [bare]):
        message, call, _ = turn(*lead, search, TEXT, CALL)
        assert message == {
            "type": "message", "role": "assistant", "status": "completed", "phase": "commentary",
            "content": [
                {"type": "output_text", "text": "So:", "annotations": [{"type": "url_citation"}]}
            ],
        }  # fmt: skip
        assert "id" not in call and call["namespace"] == "crm"
    assert records(HI, LLMMessage("assistant", [bare, search, TEXT])) == [
        ("messages[1].parts[0]", "dropped"),
        ("messages[1].parts[1]", "dropped"),
    ]
    whole = turn(THOUGHT, search, TEXT)
    assert [i["type"] for i in whole] == ["reasoning", "web_search_call", "message"]


def test_an_id_is_taken_once_in_a_request() -> None:
    kept = OpaquePart("web_search_call", '{"type":"web_search_call","id":"ws_1"}', ours(None))
    history = (HI, LLMMessage("assistant", [THOUGHT, TEXT, kept]))
    items = said(*history, *history)
    names = [i["id"] for i in items if "id" in i]
    assert names == ["rs_1", "msg_1", "ws_1"]
    assert [i.get("type") for i in items[5:]] == ["reasoning", "message"]
    assert records(*history, *history) == [("messages[3].parts[2]", "dropped")]


@pytest.mark.parametrize("name", ["", "x" * 65, "rs 1", 7])
def test_an_id_that_no_item_can_have_is_not_sent(name: Any) -> None:
    part = ReasoningPart("", "encrypted", data="gAAA", native=ours({"item": {"id": name}}))
    assert turn(part)[0] == {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}


def test_compaction_and_hosted_items_go_back_as_they_came() -> None:
    text = '{"id":"cmp_1","type":"compaction","encrypted_content":"gEEE","n":1.50}'
    search = '{"id":"ws_1","type":"web_search_call","action":{"type":"search","b":1,"a":2}}'
    items = turn(
        CompactionPart(native=ours(text)), OpaquePart("web_search_call", search, ours(None))
    )
    assert items == [json.loads(text), json.loads(search)]
    user = said(LLMMessage("user", [CompactionPart(native=ours(text)), TextPart("Go on.")]))
    assert user == [json.loads(text), {"role": "user", "content": "Go on."}]


def test_a_block_of_a_new_kind_goes_back_inside_its_message() -> None:
    block = OpaquePart("smell", '{"type":"smell","strength":3.0}', ours({"item": MSG}))
    assert turn(TextPart("So:", native=ours({"item": MSG})), block) == [
        {
            "type": "message", **MSG,
            "content": [
                {"type": "output_text", "text": "So:", "annotations": []},
                {"type": "smell", "strength": 3.0},
            ],
        }
    ]  # fmt: skip


def test_half_a_surrogate_pair_in_a_kept_item() -> None:
    (item,) = turn(OpaquePart("x", '{"type":"x","t":"\ud83d"}', ours(None)))
    assert item == {"type": "x", "t": "\ufffd"}


def test_a_message_without_parts_is_an_empty_one() -> None:
    assert said(LLMMessage("user"), HI)[0] == {"role": "user", "content": ""}


def test_texts_by_hand() -> None:
    assert turn(TextPart("Yes."))[0] == {"role": "assistant", "content": "Yes."}
    assert turn(TextPart("Yes."), RefusalPart("No."))[0] == {
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "Yes."}, {"type": "refusal", "refusal": "No."},
        ],
    }  # fmt: skip
    assert turn(TextPart(""), RefusalPart("No."))[0]["content"] == [
        {"type": "refusal", "refusal": "No."}
    ]
    spoken = AudioPart(BytesSource(b"", "audio/wav"), transcript="Hello.")
    assert turn(spoken)[0] == {"role": "assistant", "content": "Hello."}
    assert records(HI, LLMMessage("assistant", [spoken])) == [
        ("messages[1].parts[0]", "substituted")
    ]
    assert turn(CompactionPart("So far: nothing."))[0]["content"] == "So far: nothing."


def test_a_turn_without_content_is_dropped_with_a_record() -> None:
    assert said(HI, LLMMessage("assistant", ""), HI) == said(HI, HI)
    assert records(HI, LLMMessage("assistant", ""), HI) == [("messages[1]", "dropped")]


def test_reasoning_of_unknown_origin() -> None:
    """Encrypted it goes back; as text only where the dialect says that the server wants it."""
    plain = ReasoningPart("Hm.")
    assert turn(plain, TextPart("ok")) == turn(TextPart("ok"))
    assert records(HI, LLMMessage("assistant", [plain, TextPart("ok")])) == [
        ("messages[1].parts[0]", "dropped")
    ]
    deepseek = ProviderConfig("ds", "https://api.deepseek.com", api_style="openai-responses")
    assert turn(plain, TextPart("ok"), provider=deepseek, model="deepseek-v4-flash")[0] == {
        "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}],
    }  # fmt: skip
    secret = ReasoningPart("", "encrypted", data="gAAA")
    assert turn(secret)[0]["encrypted_content"] == "gAAA"


@pytest.mark.parametrize(
    "native",
    [
        ours({"item": RS}, model="gpt-5"),
        ours({"item": RS}, provider="azure"),
        Native("anthropic", "openai-responses", "gpt-6-luna"),
    ],
)
def test_foreign_state_is_never_sent(native: Native) -> None:
    parts = [
        replace(THOUGHT, native=native),
        replace(TEXT, native=native),
        replace(CALL, native=native),
        OpaquePart("web_search_call", '{"type":"web_search_call","id":"ws_1"}', native),
    ]
    items = turn(*parts)
    assert items[:2] == [
        {"role": "assistant", "content": "So:"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{ "a": 1}'},
    ]
    paths = [path for path, _ in records(HI, LLMMessage("assistant", parts), RESULT)]
    assert paths == [
        "messages[1].parts[0]", "messages[1].parts[1].citations", "messages[1].parts[3]"
    ]  # fmt: skip


def test_records_name_the_places_of_the_callers_own_messages() -> None:
    bare = ReasoningPart("Hm.", "summary", native=ours({"item": RS}))
    history = (LLMMessage("system", "s"), HI, LLMMessage("assistant", [TextPart("a"), bare]))
    (record,) = prepared(*history).adaptations
    assert record == Adaptation(
        "messages[2].parts[1]", "dropped", "reasoning that has no encrypted form"
    )


# --- servers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "differs"),
    [
        ("https://api.openai.com/v1", {"prompt_cache_key": True}),
        ("https://x.openai.azure.com/openai/v1", {"prompt_cache_key": True, "metadata": True}),
        ("https://x.services.ai.azure.com/openai/v1", {"tool_call_ids": "openai64"}),
        ("https://x.cognitiveservices.azure.com/openai", {"tool_call_ids": "openai64"}),
        ("https://api.x.ai/v1", {"hosted_custom_calls": True}),
        ("https://api.deepseek.com", {"encrypted_reasoning": False, "reasoning_replay": "always"}),
        ("https://openrouter.ai/api/v1", {"sampling": True}),
        ("https://notopenai.azure.com/v1", {"prompt_cache_key": False}),
        ("http://127.0.0.1:1234/v1", {"prompt_cache_key": False, "encrypted_reasoning": True}),
    ],
)
def test_the_dialect_of_a_host(base: str, differs: dict[str, Any]) -> None:
    found = dialect_of(ProviderConfig("p", base, api_style="openai-responses"))
    assert {name: getattr(found, name) for name in differs} == differs


def test_a_hosts_chat_is_not_its_responses() -> None:
    chat = dialect_of(ProviderConfig("p", "https://api.deepseek.com"))
    assert chat.encrypted_reasoning and chat.reasoning_control == "thinking_type"
