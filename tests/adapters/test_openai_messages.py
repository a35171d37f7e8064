"""Histories on Chat Completions: what is sent, in which field, and to whom not."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.openai import OpenAIAdapter
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import UnsupportedError
from llmwire.history import BRIDGE, NO_RESULT
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.types import (
    Adaptation,
    AudioPart,
    BytesSource,
    CompactionPart,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
)

PLAIN = ProviderConfig("plain", "http://127.0.0.1:1/v1")
PNG = ImagePart(BytesSource(b"png", "image/png"))
PNG_ENTRY = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64," + b64encode(b"png").decode()},
}
USER = LLMMessage("user", "q")


def own(payload: Any = None, provider: str = "plain", model: str = "m") -> Native:
    return Native("openai", provider, model, payload)


def sent(
    *messages: LLMMessage, provider: ProviderConfig = PLAIN, **asked: Any
) -> tuple[list[dict[str, Any]], tuple[Adaptation, ...]]:
    request = LLMRequest(model=ModelConfig(asked.pop("model", "m")), messages=messages, **asked)
    made = OpenAIAdapter().prepare_request(request, provider)
    return json.loads(made.body)["messages"], made.adaptations


def speaking(**fields: Any) -> ProviderConfig:
    return replace(PLAIN, dialect=Dialect(**fields))


def assistant(*parts: Part) -> LLMMessage:
    return LLMMessage("assistant", parts=parts)


def call(
    call_id: str | None = "c1", name: str = "f", arguments: str = '{"a":1}', **more: Any
) -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments), **more)


def result(call_id: str = "c1", content: Any = "done", **more: Any) -> LLMMessage:
    return LLMMessage("tool", parts=(ToolResultPart(call_id, content, **more),))


# --- one message ---


def test_texts_are_plain_strings() -> None:
    messages, records = sent(
        LLMMessage("system", [TextPart("a"), TextPart("b")]),
        LLMMessage("user", [TextPart("one"), TextPart("two")], name="ann"),
        assistant(TextPart("x"), TextPart("y")),
        USER,
    )
    assert messages == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "name": "ann", "content": "one\n\ntwo"},
        {"role": "assistant", "content": "xy"},
        {"role": "user", "content": "q"},
    ]
    assert records == ()


def test_only_known_fields_are_sent() -> None:
    messages, _ = sent(USER, assistant(TextPart("t"), call()), result(name="f"), USER)
    assert messages[1] == {
        "role": "assistant",
        "content": "t",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        ],
    }
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "done"}


def test_arguments_are_untouched_and_never_empty() -> None:
    odd = '{ "a" : 1.50, "b":"\\u00fc" }'
    messages, _ = sent(
        USER, assistant(call(arguments=odd), call("c2", arguments="")), result(), result("c2")
    )
    said = [c["function"]["arguments"] for c in messages[1]["tool_calls"]]
    assert said == [odd, "{}"]


@pytest.mark.parametrize(("dialect", "content"), [({}, None), ({"empty_content": "empty"}, "")])
def test_content_of_a_turn_with_only_calls(dialect: Any, content: str | None) -> None:
    messages, _ = sent(USER, assistant(call()), result(), provider=speaking(**dialect))
    assert messages[1]["content"] == content


def test_custom_calls() -> None:
    messages, _ = sent(USER, assistant(call(arguments="SELECT 1", kind="custom")), result())
    assert messages[1]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "f", "input": "SELECT 1"}}
    ]


def test_users_may_send_images_sound_and_files() -> None:
    wav = AudioPart(BytesSource(b"wav", "audio/wav"), "wav")
    pdf = FilePart(BytesSource(b"pdf", "application/pdf"), "a.pdf")
    messages, _ = sent(
        LLMMessage(
            "user",
            [
                TextPart("see"),
                PNG,
                ImagePart(UrlSource("https://h/i.png"), "low"),
                wav,
                pdf,
                FilePart(FileSource("file-1")),
            ],
        )
    )
    assert messages[0]["content"] == [
        {"type": "text", "text": "see"},
        PNG_ENTRY,
        {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"},
        },
        {"type": "file", "file": {"file_id": "file-1"}},
    ]


UNSAYABLE: list[tuple[LLMMessage, str]] = [
    (LLMMessage("user", [TextPart("a"), AudioPart(UrlSource("https://h/a.wav"))]), "parts[1]"),
    (LLMMessage("user", [ImagePart(FileSource("f"))]), "parts[0]"),
    (LLMMessage("user", [FilePart(UrlSource("https://h/a.pdf"))]), "parts[0]"),
    (LLMMessage("user", [call()]), "parts[0]"),
    (LLMMessage("user", [RefusalPart("no")]), "parts[0]"),
    (LLMMessage("user", [OpaquePart("x", native=Native("anthropic"))]), "parts[0]"),
    (LLMMessage("system", [PNG]), "parts[0]"),
    (LLMMessage("assistant", [PNG]), "parts[0]"),
    (LLMMessage("assistant", [FilePart(FileSource("f"))]), "parts[0]"),
    (LLMMessage("assistant", [AudioPart(BytesSource(b"", "audio/wav"))]), "parts[0]"),
    (LLMMessage("assistant", [CompactionPart("s", own())]), "parts[0]"),
    (LLMMessage("tool"), ""),
    (
        LLMMessage("tool", parts=(ToolResultPart("c", (ImagePart(FileSource("f")),)),)),
        "parts[0].content[0]",
    ),
]


@pytest.mark.parametrize(("message", "place"), UNSAYABLE)
def test_what_cannot_be_said_is_an_error_with_a_path(message: LLMMessage, place: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        sent(USER, message)
    assert caught.value.path == ("messages[1]." + place).rstrip(".")
    assert caught.value.path in str(caught.value)


def test_the_developer_role() -> None:
    message = LLMMessage("developer", "d")
    assert sent(message, USER)[0][0]["role"] == "system"
    assert [r.path for r in sent(message, USER)[1]] == ["messages[0].role"]
    assert sent(message, USER, model="gpt-5.1")[0][0]["role"] == "developer"
    assert sent(message, USER, model="gpt-4o")[0][0]["role"] == "system"
    assert sent(message, USER, provider=speaking(developer_role=True))[0][0]["role"] == "developer"
    assert sent(LLMMessage("system", "s"), USER, model="o3")[0][0]["role"] == "system"


def test_names_of_speakers_where_they_are_taken() -> None:
    message = LLMMessage("user", "q", name="ann")
    messages, (record,) = sent(message, provider=speaking(speaker_names=False))
    assert "name" not in messages[0]
    assert (record.path, record.before) == ("messages[0].name", "ann")
    messages, _ = sent(
        USER, assistant(call()), result(name="f"), provider=speaking(tool_name_on_result=True)
    )
    assert messages[2]["name"] == "f"


def test_refusals_go_back_to_their_issuer_and_are_text_elsewhere() -> None:
    messages, _ = sent(USER, assistant(RefusalPart("I won't.", own())), USER)
    assert messages[1] == {"role": "assistant", "content": None, "refusal": "I won't."}
    messages, records = sent(USER, assistant(RefusalPart("I won't.", own(model="other"))), USER)
    assert messages[1] == {"role": "assistant", "content": "I won't."}
    assert len(records) == 1


def test_sound_by_the_assistant_goes_back_by_id() -> None:
    sound = AudioPart(BytesSource(b"x", "audio/wav"), "wav", "hello", own({"id": "audio_1"}))
    assert sent(USER, assistant(sound), USER)[0][1] == {
        "role": "assistant", "content": "", "audio": {"id": "audio_1"},
    }  # fmt: skip
    foreign = replace(sound, native=own({"id": "audio_1"}, provider="other"))
    assert sent(USER, assistant(foreign), USER)[0][1] == {"role": "assistant", "content": "hello"}


def test_images_by_the_assistant_go_back_to_their_issuer() -> None:
    image = replace(PNG, native=own())
    assert sent(USER, assistant(TextPart("here"), image), USER)[0][1]["images"] == [PNG_ENTRY]


def test_opaque_content_goes_back_as_it_came() -> None:
    block = '{"type":"reference","reference_ids":[1,2]}'
    messages, _ = sent(
        USER, assistant(TextPart("a"), OpaquePart("reference", block, own()), TextPart("b")), USER
    )
    assert messages[1]["content"] == [
        {"type": "text", "text": "a"}, json.loads(block), {"type": "text", "text": "b"},
    ]  # fmt: skip
    messages, _ = sent(
        USER, assistant(TextPart("a"), OpaquePart("x", block, Native("anthropic"))), USER
    )
    assert messages[1]["content"] == "a"


def test_extra_content_of_calls_goes_to_the_issuer_only() -> None:
    extra = {"google": {"thought_signature": "sig"}}
    said = call(native=own({"extra_content": extra}))
    messages, _ = sent(USER, assistant(said), result())
    assert messages[1]["tool_calls"][0]["extra_content"] == extra
    messages, _ = sent(USER, assistant(said), result(), model="another")
    assert "extra_content" not in messages[1]["tool_calls"][0]


# --- reasoning ---

DETAILS = [{"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}]


def thought(payload: Any = None, **native: Any) -> ReasoningPart:
    return ReasoningPart("hm", native=own(payload, **native))


REPLAY: list[tuple[Any, ReasoningPart, dict[str, Any]]] = [
    ({}, thought({"field": "reasoning"}), {"reasoning": "hm"}),
    ({}, thought(), {"reasoning_content": "hm"}),
    ({}, ReasoningPart("hm"), {"reasoning_content": "hm"}),
    ({}, thought({"field": "reasoning", "details": DETAILS}), {"reasoning_details": DETAILS}),
    ({}, thought({"field": "reasoning"}, provider="other"), {}),
    ({}, thought({"field": "reasoning"}, model="other"), {}),
    (
        {},
        ReasoningPart("", native=own({"field": "reasoning_text", "reasoning_opaque": "o"})),
        {"reasoning_opaque": "o"},
    ),
    ({"reasoning_replay": "none"}, thought({"field": "reasoning"}), {}),
    ({"reasoning_replay": "tool_turns"}, thought(), {}),
    ({"reasoning_replay": "always"}, thought(), {"reasoning_content": "hm"}),
    ({"reasoning_replay": "always"}, thought(provider="other"), {"reasoning_content": ""}),
]


@pytest.mark.parametrize(("dialect", "part", "said"), REPLAY)
def test_what_of_earlier_reasoning_goes_back(
    dialect: Any, part: ReasoningPart, said: dict[str, Any]
) -> None:
    messages, records = sent(
        USER, assistant(part, TextPart("a")), USER, provider=speaking(**dialect)
    )
    assert messages[1] == {"role": "assistant", "content": "a", **said}
    assert bool(records) is (not said or said == {"reasoning_content": ""})


def test_reasoning_on_turns_with_calls() -> None:
    ours = speaking(reasoning_replay="tool_turns")
    messages, _ = sent(
        USER, assistant(thought(), call()), result(), assistant(thought(), TextPart("a")), USER,
        provider=ours,
    )  # fmt: skip
    assert messages[1]["reasoning_content"] == "hm"
    assert "reasoning_content" not in messages[3]


def test_no_reasoning_goes_back_when_it_was_switched_off() -> None:
    deepseek = PROVIDERS["deepseek"]
    part = ReasoningPart("hm", native=own(provider="deepseek"))
    history = (USER, assistant(part, call()), result())
    on, _ = sent(*history, provider=deepseek, thinking="high")
    assert on[1]["reasoning_content"] == "hm"
    off, _ = sent(*history, provider=deepseek)
    assert "reasoning_content" not in off[1]


def test_the_providers_own_field_name() -> None:
    ours = replace(PLAIN, reasoning_field_name="thoughts")
    assert sent(USER, assistant(ReasoningPart("hm")), USER, provider=ours)[0][1] == {
        "role": "assistant", "content": "", "thoughts": "hm",
    }  # fmt: skip


def test_thinking_blocks_for_a_server_that_wants_them_in_the_content() -> None:
    ours = speaking(reasoning_replay="content")
    turn = assistant(ReasoningPart("hm", signature="s"), TextPart("a"))
    assert sent(USER, turn, USER, provider=ours, thinking="high")[0][1]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s"},
        {"type": "text", "text": "a"},
    ]
    assert sent(USER, turn, USER, provider=ours)[0][1]["content"] == "a"


# --- the order of turns ---


def test_calls_and_results_are_paired() -> None:
    messages, records = sent(USER, assistant(call(None)), USER, result("nobody", "lost"))
    (made,) = messages[1]["tool_calls"]
    assert messages[2] == {"role": "tool", "tool_call_id": made["id"], "content": NO_RESULT}
    assert messages[-1] == {"role": "user", "content": "lost"}
    assert {r.path for r in records} >= {"messages[1].parts[0].id", "messages[3].parts[0]"}


def test_the_result_of_a_call_without_an_id_needs_none() -> None:
    named_by_nobody = call(None)
    messages, _ = sent(
        USER, assistant(named_by_nobody), LLMMessage("tool", "r", tool_call_id=named_by_nobody.id)
    )
    (made,) = messages[1]["tool_calls"]
    assert messages[2] == {"role": "tool", "tool_call_id": made["id"], "content": "r"}
    messages, records = sent(USER, LLMMessage("tool", "lost"))
    assert messages[-1] == {"role": "user", "content": "lost"}
    assert [r.path for r in records] == ["messages[1].parts[0]"]


def test_several_results_and_a_text_in_one_message() -> None:
    both = LLMMessage(
        "user", [ToolResultPart("c1", "r1"), ToolResultPart("c2", "r2"), TextPart("go on")]
    )
    messages, _ = sent(USER, assistant(call(), call("c2")), both)
    assert [(m["role"], m["content"]) for m in messages[2:]] == [
        ("tool", "r1"), ("tool", "r2"), ("user", "go on"),
    ]  # fmt: skip


def test_images_in_results_move_behind_the_results() -> None:
    messages, _ = sent(
        USER,
        assistant(call(), call("c2")),
        result("c1", (TextPart("see"), PNG)),
        result("c2", (PNG,)),
        USER,
    )
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert messages[2]["content"] == "see"
    assert "image" not in messages[3]["content"] and messages[3]["content"]
    assert messages[4]["content"] == [
        {"type": "text", "text": "From the result of tool call c1:"}, PNG_ENTRY,
        {"type": "text", "text": "From the result of tool call c2:"}, PNG_ENTRY,
    ]  # fmt: skip
    messages, _ = sent(
        USER, assistant(call()), result("c1", (TextPart("see"), PNG)),
        provider=speaking(tool_result_images=True),
    )  # fmt: skip
    assert messages[2]["content"] == [{"type": "text", "text": "see"}, PNG_ENTRY]
    assert len(messages) == 3


def test_an_error_flag_is_recorded_since_the_wire_has_none() -> None:
    _, records = sent(USER, assistant(call()), result(is_error=True))
    assert [r.path for r in records] == ["messages[2].parts[0].is_error"]


def test_users_are_merged_only_where_they_must_be() -> None:
    assert len(sent(USER, USER)[0]) == 2
    merged, _ = sent(USER, LLMMessage("user", "r"), provider=speaking(merge_user_messages=True))
    assert merged == [{"role": "user", "content": "q\n\nr"}]


def test_an_assistant_between_a_result_and_a_user() -> None:
    ours = speaking(assistant_after_tool=True)
    messages, records = sent(USER, assistant(call()), result(), USER, provider=ours)
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert messages[3]["content"] == BRIDGE
    assert records[-1].action == "added"


@pytest.mark.parametrize(
    ("rule", "call_id", "same"),
    [
        ("openai40", "functions.f:0", True),
        ("openai40", "x" * 41, False),
        ("mistral9", "abcDEF123", True),
        ("mistral9", "functions.f:0", False),
        ("any", "x" * 99, True),
    ],
)
def test_ids_fit_the_target(rule: Any, call_id: str, same: bool) -> None:
    messages, records = sent(
        USER, assistant(call(call_id)), result(call_id), provider=speaking(tool_call_ids=rule)
    )
    made = messages[1]["tool_calls"][0]["id"]
    assert (made == call_id) is same
    assert messages[2]["tool_call_id"] == made
    assert bool(records) is not same


def test_turns_that_say_nothing_are_left_out() -> None:
    messages, records = sent(
        USER,
        assistant(),
        assistant(TextPart("")),
        assistant(IncompleteToolCall("c", "f", '{"a')),
        assistant(thought(provider="other")),
        assistant(PartDelta(0, "text", "half", start=True)),
        USER,
    )
    assert messages == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "half"},
        {"role": "user", "content": "q"},
    ]
    assert len(records) >= 4


def test_lone_surrogates_are_replaced() -> None:
    messages, _ = sent(LLMMessage("user", "\ud83d \ud83d\ude00"))
    assert messages[0]["content"] == "\ufffd \U0001f600"
