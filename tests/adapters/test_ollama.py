"""Ollama's chat: what a request says, what a reply's lines mean, what the server's half refuses."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.cases import PNG, REPLIES, TOOLS
from contract.support import decode, events_of
from llmwire.adapters.ollama import OllamaAdapter, OllamaServer
from llmwire.adapters.ollama.decode import LineDecoder
from llmwire.adapters.ollama.wire import TEXT_LINE, read_line
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    ConfigError,
    ContextTooLongError,
    DecodeError,
    IncompleteStreamError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    StreamError,
    UnsupportedError,
)
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    BytesSource,
    CompactionPart,
    FilePart,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    accumulate,
)

LOCAL = ProviderConfig("local", "http://127.0.0.1:11434", api_style="ollama")
HI = (LLMMessage("user", "Hi"),)
ADAPTER = OllamaAdapter()
PICTURE = ImagePart(BytesSource(PNG, "image/png"))


def asking(model: str = "qwen3:8b", **asked: Any) -> LLMRequest:
    asked.setdefault("messages", HI)
    return LLMRequest(model=ModelConfig(model), **asked)


def prepared(model: str = "qwen3:8b", **asked: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    made = ADAPTER.prepare_request(asking(model, **asked), LOCAL)
    return json.loads(made.body), [(a.action, a.path) for a in made.adaptations]


def messages(*said: LLMMessage) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    body, records = prepared(messages=said)
    return body["messages"], records


def lines(*values: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(v).encode() + b"\n" for v in values)


def saying(done: bool = False, **message: Any) -> dict[str, Any]:
    message.setdefault("content", "")
    out: dict[str, Any] = {"model": "qwen3:8b", "message": {"role": "assistant", **message}}
    return {**out, "done": done, **({"done_reason": "stop"} if done else {})}


def reading(data: bytes) -> LLMChunk:
    return ADAPTER.parse_response(data, asking(), LOCAL)


# --- requests ---


def test_the_plain_request() -> None:
    body, records = prepared()
    assert body == {
        "model": "qwen3:8b",
        "think": False,
        "stream": False,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert records == []


def test_settings_stand_in_options() -> None:
    body, records = prepared(
        temperature=0.5, top_p=0.9, top_k=40, seed=7, max_tokens=99, stop=("END",), stream=True
    )
    assert body["options"] == {
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "num_predict": 99,
        "stop": ["END"],
    }  # fmt: skip
    assert body["stream"] is True
    assert records == []


def test_the_context_is_set_beside_the_other_options() -> None:
    extra = {"options": {"num_ctx": 32768, "temperature": 0.1}, "keep_alive": "10m"}
    body, _ = prepared(temperature=0.5, max_tokens=9, extra_body=extra)
    assert body["options"] == {"temperature": 0.1, "num_predict": 9, "num_ctx": 32768}
    assert body["keep_alive"] == "10m"
    assert list(body)[-1] == "messages"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:1", "http://h:1/api/chat"),
        ("http://h:1/", "http://h:1/api/chat"),
        ("http://h:1/api", "http://h:1/api/chat"),
        ("http://h:1/v1/", "http://h:1/api/chat"),
        ("https://gate/ollama", "https://gate/ollama/api/chat"),
    ],
)
def test_the_address(base: str, url: str) -> None:
    made = ADAPTER.prepare_request(asking(stream=True), ProviderConfig("p", base))
    assert (made.method, made.url, made.auth) == ("POST", url, "bearer")
    assert made.headers["accept"] == "application/x-ndjson"


def test_without_an_address_it_is_said_which() -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:11434"):
        ADAPTER.prepare_request(asking(), ProviderConfig("p"))


@pytest.mark.parametrize(
    ("model", "asked", "think", "record"),
    [
        ("qwen3:8b", "off", False, None),
        ("qwen3:8b", "high", True, "substituted"),
        ("gpt-oss:20b", "high", "high", None),
        ("gpt-oss:20b", "minimal", "low", "clamped"),
        ("gpt-oss:20b", "max", "high", "clamped"),
        ("gpt-oss:20b", "off", "low", "substituted"),
        ("library/gpt-oss", "medium", "medium", None),
    ],
)
def test_thinking(model: str, asked: Any, think: object, record: str | None) -> None:
    body, records = prepared(model, thinking=asked)
    assert body["think"] == think
    assert records == ([(record, "thinking")] if record else [])


@pytest.mark.parametrize(
    ("dialect", "asked", "think"),
    [
        (Dialect(efforts=("off", "low", "high", "max")), "max", "max"),
        (Dialect(efforts=("off", "low", "high", "max")), "off", False),
        (Dialect(efforts=()), "high", None),
        (Dialect(reasoning_control="none"), "high", None),
    ],
)
def test_a_dialect_knows_a_models_levels(dialect: Dialect, asked: Any, think: object) -> None:
    made = ADAPTER.prepare_request(asking(thinking=asked), replace(LOCAL, dialect=dialect))
    assert json.loads(made.body).get("think") == think
    assert bool(made.adaptations) is (think is None)


def test_the_form_of_the_output() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert prepared(output=OutputFormat())[0]["format"] == "json"
    assert prepared(output=OutputFormat(schema))[0]["format"] == schema


def test_tools() -> None:
    custom = AvailableTool(AvailableFunction("sql", "a query"), type="custom")
    strict = AvailableTool(AvailableFunction("f", strict=True))
    body, records = prepared(tools=(*TOOLS, custom, strict))
    assert [t["function"]["name"] for t in body["tools"]] == ["weather", "now", "sql", "f"]
    assert body["tools"][2]["function"]["parameters"]["required"] == ["input"]
    assert records == [("substituted", "tools[2]"), ("dropped", "tools[3].strict")]


@pytest.mark.parametrize(
    ("choice", "record", "offered"),
    [
        ("auto", None, True),
        ("none", ("dropped", "tools"), False),
        ("required", ("clamped", "tool_choice"), True),
        (TOOLS[0], ("clamped", "tool_choice"), True),
    ],
)
def test_the_wire_has_no_tool_choice(choice: Any, record: Any, offered: bool) -> None:
    body, records = prepared(tools=TOOLS, tool_choice=choice)
    assert "tool_choice" not in body
    assert ("tools" in body) is offered
    assert records == ([record] if record else [])


def test_what_it_has_no_word_for_is_told() -> None:
    _, records = prepared(parallel_tool_calls=False, metadata={"a": "b"}, store=True, cache_key="k")
    names = ("parallel_tool_calls", "metadata", "store", "cache_key")
    assert set(records) == {("dropped", name) for name in names}
    with pytest.raises(UnsupportedError) as caught:
        prepared(previous_response_id="r1")
    assert caught.value.path == "previous_response_id"


# --- histories ---


def test_calls_and_results() -> None:
    call = ToolCall("c1", FunctionCall("weather", '{ "city" : "Rome", "n": 1.50 }'))
    said = (
        *HI,
        LLMMessage("assistant", [ReasoningPart("hm"), TextPart("Let me see."), call]),
        LLMMessage("tool", "sunny", tool_call_id="c1"),
    )
    made = ADAPTER.prepare_request(asking(messages=said), LOCAL)
    assert b'"arguments":{ "city" : "Rome", "n": 1.50 }' in made.body  # byte for byte
    entries = json.loads(made.body)["messages"]
    assert entries[1] == {
        "role": "assistant",
        "content": "Let me see.",
        "thinking": "hm",
        "tool_calls": [
            {"id": "c1", "function": {"name": "weather", "arguments": {"city": "Rome", "n": 1.5}}}
        ],
    }
    assert entries[2] == {
        "role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "c1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (ToolCall("c", FunctionCall("f", "")), {}),
        (ToolCall("c", FunctionCall("f", "[1]")), {"INVALID_JSON": "[1]"}),
        (ToolCall("c", FunctionCall("f", "select 1"), "custom"), {"input": "select 1"}),
    ],
)
def test_arguments_are_objects(call: ToolCall, arguments: object) -> None:
    entries, records = messages(*HI, LLMMessage("assistant", [call]))
    assert entries[1]["tool_calls"][0]["function"]["arguments"] == arguments
    assert (("substituted", "messages[1].parts[0]") in records) is bool(arguments)


def test_images() -> None:
    entries, records = messages(
        LLMMessage("user", [TextPart("What is"), PICTURE, TextPart("this?")])
    )
    assert entries == [
        {"role": "user", "content": "What is\n\nthis?", "images": [base64.b64encode(PNG).decode()]}
    ]
    assert records == [("moved", "messages[0].parts[1]")]
    assert messages(LLMMessage("user", [PICTURE, TextPart("What is this?")]))[1] == []


def test_images_of_results_move_to_the_user() -> None:
    calls = [ToolCall(c, FunctionCall("shot", "{}")) for c in ("a", "b")]
    entries, _ = messages(
        *HI,
        LLMMessage("assistant", calls),
        LLMMessage("tool", [PICTURE], tool_call_id="a"),
        LLMMessage("tool", [TextPart("see"), PICTURE], tool_call_id="b"),
        LLMMessage("user", "And?"),
    )
    assert [(e["role"], e["content"]) for e in entries[2:]] == [
        ("tool", "(attached to the next user message)"),
        ("tool", "see"),
        ("user", "From the result of tool call a:\n\nFrom the result of tool call b:"),
        ("user", "And?"),
    ]
    assert len(entries[4]["images"]) == 2


def test_roles_names_and_silent_turns() -> None:
    entries, records = messages(
        LLMMessage("developer", "Be brief."),
        LLMMessage("user", "Hi", name="ann"),
        LLMMessage("assistant", ""),
        LLMMessage("assistant", [RefusalPart("I won't.")]),
        LLMMessage("user", "Why?"),
    )
    assert [(e["role"], e["content"]) for e in entries] == [
        ("system", "Be brief."), ("user", "Hi"), ("assistant", "I won't."), ("user", "Why?"),
    ]  # fmt: skip
    assert records == [
        ("substituted", "messages[0].role"),
        ("dropped", "messages[1].name"),
        ("dropped", "messages[2]"),
        ("substituted", "messages[3].parts[0]"),
    ]


@pytest.mark.parametrize(
    ("policy", "tools", "kept"),
    [("issuer", False, True), ("none", True, False), ("tool_turns", False, False),
     ("tool_turns", True, True)],
)  # fmt: skip
def test_thinking_goes_back_as_the_dialect_says(policy: Any, tools: bool, kept: bool) -> None:
    said: list[Any] = [ReasoningPart("hm", native=Native("ollama", "local", "qwen3:8b"))]
    said.append(ToolCall("c", FunctionCall("f", "{}")) if tools else TextPart("yes"))
    asked = asking(messages=(*HI, LLMMessage("assistant", said)))
    provider = replace(LOCAL, dialect=Dialect(reasoning_replay=policy))
    made = ADAPTER.prepare_request(asked, provider)
    assert ("thinking" in json.loads(made.body)["messages"][1]) is kept
    dropped = [a for a in made.adaptations if a.path == "messages[1].parts[0]"]
    assert bool(dropped) is not kept


def test_foreign_thinking_stays_here() -> None:
    foreign = ReasoningPart("hm", native=Native("ollama", "local", "another"))
    entries, records = messages(*HI, LLMMessage("assistant", [foreign, TextPart("yes")]))
    assert entries[1] == {"role": "assistant", "content": "yes"}
    assert records == [("dropped", "messages[1].parts[0]")]


FILE = FilePart(BytesSource(b"%PDF-", "application/pdf"))
SOUND = AudioPart(BytesSource(b"RIFF", "audio/wav"))


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (LLMMessage("user", [FILE]), "messages[1].parts[0]"),
        (LLMMessage("user", [TextPart("hear"), SOUND]), "messages[1].parts[1]"),
        (LLMMessage("user", [ImagePart(UrlSource("https://h/a.png"))]), "messages[1].parts[0]"),
        (LLMMessage("system", [PICTURE]), "messages[1].parts[0]"),
        (LLMMessage("assistant", [PICTURE]), "messages[1].parts[0]"),
        (LLMMessage("assistant", [SOUND]), "messages[1].parts[0]"),
        (LLMMessage("assistant", [OpaquePart("x")]), "messages[1].parts[0]"),
        (LLMMessage("assistant", [CompactionPart("sum")]), "messages[1].parts[0]"),
        (LLMMessage("tool"), "messages[1]"),
        (
            LLMMessage("tool", parts=[ToolResultPart("c", (FILE,))]),
            "messages[1].parts[0].content[0]",
        ),
    ],
)
def test_what_cannot_be_said_is_an_error_with_a_path(message: LLMMessage, path: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        messages(*HI, message)
    assert caught.value.path == path
    assert str(caught.value).startswith(path)


# --- replies ---

METRICS = {
    "total_duration": 5_000, "load_duration": 100, "prompt_eval_count": 26,
    "prompt_eval_duration": 200, "eval_count": 9, "eval_duration": 4_000,
}  # fmt: skip


def test_a_stream_with_everything() -> None:
    call = {"function": {"index": 0, "name": "weather", "arguments": {"city": "Köln"}}}
    got = reading(
        lines(
            saying(thinking="I "),
            saying(thinking="see."),
            saying(content="Let me "),
            saying(content="look."),
            saying(tool_calls=[call, None, {**call, "id": "c2"}]),
            {**saying(done=True), **METRICS},
        )
    )
    issuer = Native("ollama", "local", "qwen3:8b")
    arguments = json.dumps({"city": "Köln"})  # as it came: the escape and the spaces too
    assert got.message.parts == (
        ReasoningPart("I see.", native=issuer),
        TextPart("Let me look."),
        ToolCall(None, FunctionCall("weather", arguments)),
        ToolCall("c2", FunctionCall("weather", arguments)),
    )
    assert got.stop == StopInfo("tool_calls", "stop")
    assert got.usage == LLMUsage(26, 9, raw=METRICS)
    assert got.model == "qwen3:8b"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("load", "other"),
        ("unload", "other"),
        (None, "other"),
    ],
)
def test_why_it_stopped(word: str | None, reason: Any) -> None:
    got = reading(lines(saying(content="x"), {**saying(done=True), "done_reason": word}))
    assert got.stop == StopInfo(reason, word)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({}, None),
        ({"total_duration": 5}, None),
        ({"eval_count": 3}, LLMUsage(None, 3, raw={"eval_count": 3})),
        ({"eval_count": "3", "prompt_eval_count": None}, None),
        ({"prompt_eval_count": 0, "eval_count": 1.5},
         LLMUsage(0, None, raw={"prompt_eval_count": 0, "eval_count": 1.5})),
    ],
)  # fmt: skip
def test_usage_that_is_not_told_is_unknown(told: dict[str, Any], usage: LLMUsage | None) -> None:
    assert reading(lines(saying(content="x"), {**saying(done=True), **told})).usage == usage


@pytest.mark.parametrize(
    ("function", "part"),
    [
        ({"name": "f"}, ToolCall(None, FunctionCall("f", ""))),
        ({"name": "f", "arguments": None}, ToolCall(None, FunctionCall("f", ""))),
        ({"name": "f", "arguments": '{"a":1}'}, ToolCall(None, FunctionCall("f", '{"a":1}'))),
        ({"name": "f", "arguments": '{"a"'}, IncompleteToolCall(None, "f", '{"a"', "invalid_json")),
        ({"name": "f", "arguments": [1]}, IncompleteToolCall(None, "f", "[1]", "invalid_json")),
        ({"name": "", "arguments": {}}, IncompleteToolCall(None, "", "{}", "invalid_json")),
        (None, IncompleteToolCall(None, "", "", "invalid_json")),
    ],
)
def test_odd_calls(function: Any, part: Any) -> None:
    got = reading(lines(saying(tool_calls=[{"function": function}]), saying(done=True)))
    assert got.message.parts == (part,)
    assert got.stop is not None
    assert got.stop.reason == ("tool_calls" if isinstance(part, ToolCall) else "stop")


def test_a_call_that_is_no_object_is_held_until_the_end() -> None:
    odd = saying(tool_calls=[{"function": {"name": "f", "arguments": '{"a":'}}])
    chunks, error = decode([lines(odd)], asking(), LOCAL)
    assert isinstance(error, IncompleteStreamError)
    assert not accumulate(chunks).tool_calls
    got = reading(lines(odd, {**saying(done=True), "done_reason": "length"}))
    assert got.message.incomplete_tool_calls[0].reason == "length"


def test_one_object_over_several_lines() -> None:
    value = {**saying(done=True, content="Hello"), **METRICS}
    text = json.dumps(value, indent=2).encode()
    assert reading(text) == reading(lines(value))
    for size in (1, 7, 40):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        chunks, error = decode([*pieces, b"\n"], asking(), LOCAL)
        assert error is None and accumulate(chunks).text == "Hello"
    for n in range(1, len(text)):
        _, error = decode([text[:n]], asking(), LOCAL)
        assert isinstance(error, IncompleteStreamError), n


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", IncompleteStreamError),
        (b"{}", IncompleteStreamError),
        (b'{"model":"m","mess', IncompleteStreamError),
        (lines(saying(content="x")), IncompleteStreamError),
        (lines(saying(content="x")) + b'{"model"', IncompleteStreamError),
        (b"<html><title>Log in</title></html>", DecodeError),
        (b"data: {}\n\n", DecodeError),
        (b'{"model":\n"m",,\n}', DecodeError),
        (b"[]\n", DecodeError),
        (b'{"message":5}\n', DecodeError),
        (b'{"message":{"content":"\xff"}}\n', DecodeError),
        (lines(saying(content="x")) + b"oops\n", DecodeError),
        (b'{"error":"model \'x\' not found"}', ModelNotFoundError),
        (b'{"error":"the input length exceeds the context length"}\n', ContextTooLongError),
        (b'{"StatusCode":503,"Status":"503","error":"busy"}\n', OverloadedError),
        (b'{"error":{"message":"odd"}}\n', StreamError),
    ],
)
def test_what_is_no_reply(body: bytes, kind: type[BackendError]) -> None:
    with pytest.raises(kind) as caught:
        reading(body)
    if kind not in (IncompleteStreamError, DecodeError):
        assert isinstance(caught.value, StreamError)
        assert caught.value.provider_message


def test_an_error_keeps_what_came_with_it() -> None:
    broken = {**saying(content="so far"), "error": "unexpected EOF"}
    with pytest.raises(StreamError) as caught:
        reading(lines(broken))
    assert caught.value.provider_message == "unexpected EOF"
    assert caught.value.partial is not None and caught.value.partial.text == "so far"


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "model 'x' not found", ModelNotFoundError),
        (400, "the input length exceeds the context length", ContextTooLongError),
        (400, "prompt too long; exceeded max context length by 12 tokens", ContextTooLongError),
        (400, '"x" does not support tools', InvalidRequestError),
        (400, '"x" does not support thinking', InvalidRequestError),
        (503, "server busy, please try again. maximum pending requests exceeded", OverloadedError),
    ],
)
def test_errors(status: int, text: str, kind: type[BackendError]) -> None:
    body = json.dumps({"error": text}).encode()
    error = ADAPTER.parse_error(status, {}, body, asking(), LOCAL)
    assert type(error) is kind
    assert (error.provider_message, error.endpoint) == (text, "/api/chat")


def test_nothing_after_the_end_counts() -> None:
    data = lines(saying(content="x"), saying(done=True), saying(content="y"), {"error": "late"})
    assert reading(data).text == "x"
    decoder = ADAPTER.stream_decoder(asking(), LOCAL)
    list(decoder.feed(data))
    assert decoder.done
    assert list(decoder.finish()) == []


def test_a_lone_surrogate_is_replaced() -> None:
    data = b'{"message":{"content":"a\\ud83d"},"done":false}\n' + lines(saying(done=True))
    assert reading(data).text == "a\ufffd"


EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "thinking": st.sampled_from(["", "hm", None]),
        "tool_calls": st.sampled_from([None, [], [{"function": {"name": "f"}}]]),
        "role": st.sampled_from(["assistant", None]),
        "images": st.sampled_from([None, []]),
    },
)


@given(
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    extras=EXTRAS,
    top=st.fixed_dictionaries(
        {"done": st.sampled_from([True, False])},
        optional={"error": st.sampled_from([None, "no"]), "created_at": st.just("2026")},
    ),
)
def test_the_fast_path_reads_what_the_other_reads(text: str, extras: Any, top: Any) -> None:
    line = json.dumps({"message": {"content": text, **extras}, **top}).encode()
    try:
        fast = TEXT_LINE.decode(line)
    except Exception:
        return
    slow = read_line(line)
    assert slow.message is not None
    assert (fast.message.content, fast.done) == (slow.message.content, slow.done)
    assert not (slow.message.thinking or slow.message.tool_calls or slow.error)


class LongWay(LineDecoder):
    """Without the fast path."""

    def _text(self, line: bytes) -> None:
        return None


@given(st.data())
def test_ordinary_lines_and_odd_ones_at_any_cut(data: st.DataObject) -> None:
    """The fast path is taken between odd lines, and changes nothing."""
    pool = [
        saying(content="one "), saying(content="two "), saying(content=""), saying(thinking="hm"),
        saying(content="a", thinking="b"), {"model": "m", "news": 1},
        saying(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": {"a": [1, "\n"]}}}]),
    ]  # fmt: skip
    chosen = data.draw(st.lists(st.sampled_from(pool), max_size=12))
    chosen.append(saying(done=True, content=data.draw(st.sampled_from(["", "end"]))))
    whole = lines(*chosen)
    wanted = [*LongWay(asking(), LOCAL).feed(whole)]
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    edges = [0, *places, len(whole)]
    chunks, error = decode([whole[a:b] for a, b in pairwise(edges)], asking(), LOCAL)
    assert error is None
    assert chunks == wanted
    said = [v.get("message", {}).get("content", "") for v in chosen]
    assert accumulate(chunks).text == "".join(said)


# --- the server's half ---

SERVER = OllamaServer()


def heard(body: Any) -> LLMRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return SERVER.parse_request("POST", "/api/chat", {}, data).request


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        {"messages": []},
        {"model": "m", "messages": [{"role": "robot", "content": "x"}]},
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"model": "m", "messages": [{"role": "user", "content": "x", "images": ["%"]}]},
        {"model": "m", "messages": [{"role": "assistant", "tool_calls": [
            {"function": {"name": "f", "arguments": "{}"}}]}]},
        {"model": "m", "format": "xml"},
        {"model": "m", "think": "hard"},
        {"model": "m", "options": {"temperature": "hot"}},
    ],
)  # fmt: skip
def test_the_server_refuses(body: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        heard(body)
    assert caught.value.status == 400 and caught.value.provider_message


def test_the_server_hears() -> None:
    got = heard(
        {
            "model": "m",
            "think": "low",
            "format": {"type": "object"},
            "options": {"num_predict": 5, "num_ctx": 2048, "stop": ["x"]},
            "keep_alive": -1,
            "messages": [
                {"role": "user", "content": "hi", "images": [base64.b64encode(PNG).decode()]},
                {"role": "assistant", "thinking": "hm", "tool_calls": [
                    {"function": {"name": "f", "arguments": {"a": 1}}}]},
                {"role": "tool", "content": "1", "tool_name": "f"},
            ],
        }
    )  # fmt: skip
    assert (got.stream, got.thinking, got.max_tokens, got.stop) == (True, "low", 5, ("x",))
    assert got.output == OutputFormat({"type": "object"})
    assert got.extra_body == {"keep_alive": -1, "options": {"num_ctx": 2048}}
    assert got.messages[0].parts == (PICTURE, TextPart("hi"))
    assert got.messages[1].parts == (
        ReasoningPart("hm"), ToolCall(None, FunctionCall("f", '{"a": 1}')),
    )  # fmt: skip
    assert got.messages[2].parts == (ToolResultPart("", "1", "f"),)
    assert heard({"model": "m", "think": True, "stream": False}).thinking == "medium"


def test_calls_without_ids_are_answered_by_their_place() -> None:
    """What a client that knows no ids sends can be sent on."""
    got = heard(
        {"model": "m", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
            {"role": "tool", "content": "1", "tool_name": "f"}]}
    )  # fmt: skip
    entries, records = messages(*got.messages)
    assert entries[1]["tool_calls"][0]["id"] == entries[2]["tool_call_id"]
    assert [r for r in records if r[0] == "added"] == [("added", "messages[1].parts[0].id")]


def test_line_ends_inside_arguments_stay_on_one_line() -> None:
    call = ToolCall("c", FunctionCall("f", '{\n  "a": "x\\ny"\r\n}'))
    reply = replace(REPLIES["text"], message=LLMMessage("assistant", [call]))
    asked = SERVER.parse_request("POST", "/api/chat", {}, b'{"model":"m"}')
    for event in events_of(reply, asked, "ollama"):
        assert event.count(b"\n") == 1 and b"\r" not in event
    got = reading(SERVER.prepare_response(reply, asked))
    assert got.tool_calls[0].parsed == {"a": "x\ny"}


def test_what_no_reply_can_hold_is_refused() -> None:
    asked = SERVER.parse_request("POST", "/api/chat", {}, b'{"model":"m"}')
    reply = LLMChunk(LLMMessage("assistant", [OpaquePart("x")]))
    with pytest.raises(UnsupportedError, match="Opaque"):
        SERVER.prepare_response(reply, asked)
