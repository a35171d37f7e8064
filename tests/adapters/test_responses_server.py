"""The server's half of the Responses API: what it hears, what it refuses, how it replies; and that
both halves of this wire understand each other."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from openai.types.responses import Response, ResponseStreamEvent

from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.adapters.base import ServerRequest
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    HistoryRejectedError,
    InvalidRequestError,
    OverloadedError,
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
    FileSource,
    FunctionCall,
    ImagePart,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
    accumulate,
    new_message,
)
from strategies import any_texts, json_objects, texts

HALF = SERVER_HALVES["openai-responses"]
ADAPTER = ADAPTERS["openai-responses"]
PROVIDER = ProviderConfig("p", "http://127.0.0.1:1/v1", api_style="openai-responses")
OPENAI = ProviderConfig("p", "https://api.openai.com/v1", api_style="openai-responses")
HI = {"role": "user", "content": "hi"}
FC = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}


def heard(*items: Any, path: str = "/v1/responses", **fields: Any) -> ServerRequest:
    body = {"model": "gpt-6-luna", "input": list(items) or "hi", **fields}
    return HALF.parse_request("POST", path, {}, json.dumps(body).encode())


def messages(*items: Any, **fields: Any) -> list[LLMMessage]:
    return list(heard(*items, **fields).request.messages)


# --- what is heard ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "ours"),
    [
        ("POST", "/v1/responses", True),
        ("POST", "/openai/responses?api-version=1", True),
        ("POST", "/v1/responses/input_tokens", True),
        ("GET", "/v1/responses", False),
        ("POST", "/v1/responses/resp_1/cancel", False),
        ("POST", "/v1/chat/completions", False),
    ],
)
def test_paths(method: str, path: str, ours: bool) -> None:
    assert HALF.matches(method, path) is ours


def test_counting_is_told_by_the_path() -> None:
    assert heard(path="/v1/responses/input_tokens").count
    assert not heard().count
    assert json.loads(HALF.prepare_count(7, heard())) == {
        "object": "response.input_tokens", "input_tokens": 7
    }  # fmt: skip


def test_settings_are_heard() -> None:
    tools = [
        {"type": "function", "name": "f", "description": None, "parameters": {"type": "object"},
         "strict": True},
        {"type": "custom", "name": "g", "format": {"type": "text"}},
        {"type": "web_search"},
    ]  # fmt: skip
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": False}
    got = heard(
        instructions="Be brief.", tools=tools, tool_choice={"type": "custom", "name": "g"},
        parallel_tool_calls=False, reasoning={"effort": "high", "summary": "auto"},
        max_output_tokens=99, metadata={"a": "b"}, text={"format": form, "verbosity": "low"},
        prompt_cache_key="k", previous_response_id="resp_1", store=False, stream=True,
        include=["reasoning.encrypted_content"], truncation="auto", service_tier=None,
    ).request  # fmt: skip
    f = AvailableTool(AvailableFunction("f", "", {"type": "object"}, True))
    g = AvailableTool(AvailableFunction("g", format={"type": "text"}), "custom")
    assert got == LLMRequest(
        model=ModelConfig("gpt-6-luna", temperature=None),
        messages=(LLMMessage("system", "Be brief."), LLMMessage("user", "hi")),
        tools=(f, g),
        tool_choice=g,
        parallel_tool_calls=False,
        thinking="high",
        max_tokens=99,
        metadata={"a": "b"},
        output=OutputFormat({"type": "object"}, "n", False),
        cache_key="k",
        previous_response_id="resp_1",
        store=False,
        stream=True,
        extra_body={"truncation": "auto", "text": {"format": form, "verbosity": "low"}},
    )


def test_what_is_not_said_is_as_the_service_has_it() -> None:
    got = heard().request
    assert (got.store, got.thinking, got.output, got.tool_choice) == (True, "off", None, None)
    assert heard(text={"format": {"type": "json_object"}}).request.output == OutputFormat()
    assert heard(text={"format": {"type": "text"}}).request.output is None
    allowed = {"type": "allowed_tools", "mode": "required", "tools": []}
    assert heard(tool_choice=allowed).request.tool_choice == "required"
    assert heard(tool_choice={"type": "web_search"}).request.tool_choice is None


def test_items_become_turns() -> None:
    search = {"type": "web_search_call", "id": "ws_1"}
    secret = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "phase": "commentary",
            "content": [{"type": "output_text", "text": "Look:", "annotations": []}]}  # fmt: skip
    custom = {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "4"}
    approval = {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True}
    got = messages(
        {"role": "developer", "content": "Be brief."}, HI, secret, search, said, FC, custom, OUT,
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "see"}, {"type": "input_image", "file_id": "file-1"},
        ]},
        approval,
        {"role": "assistant", "content": "Done."},
    )  # fmt: skip
    assert [m.role for m in got] == [
        "developer", "user", "assistant", "tool", "tool", "user", "assistant"
    ]  # fmt: skip
    turn = got[2].parts
    assert [type(p) for p in turn] == [ReasoningPart, OpaquePart, TextPart, ToolCall, ToolCall]
    assert (turn[0].data, turn[3].id, turn[4].kind) == ("gAAA", "c1", "custom")  # type: ignore[union-attr]
    assert got[4].parts == (
        ToolResultPart("c2", (TextPart("see"), ImagePart(FileSource("file-1")))),
    )
    assert got[5].parts == (
        OpaquePart("mcp_approval_response", json.dumps(approval, separators=(",", ":"))),
    )
    assert got[6] == LLMMessage("assistant", "Done.")


def test_what_is_not_known_is_kept() -> None:
    output = {**OUT, "output": [{"type": "hologram", "size": 3}]}
    *_, result = messages(FC, output)
    assert result.parts == (
        ToolResultPart("c1", (OpaquePart("hologram", '{"type":"hologram","size":3}'),)),
    )
    assert messages(input=None, previous_response_id="resp_1") == []
    (turn,) = messages({"id": "msg_9"})
    assert turn.role == "assistant" and turn.parts[0].kind == "item_reference"  # type: ignore[union-attr]


def test_instructions_may_be_items() -> None:
    got = messages(instructions=[{"type": "message", "role": "developer", "content": "Be brief."}])
    assert got[0] == LLMMessage("developer", "Be brief.")


BLOCKS: list[tuple[dict[str, Any], Part]] = [
    ({"type": "input_text", "text": "hi"}, TextPart("hi")),
    (
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "low"},
        ImagePart(BytesSource(b"\x89PNG", "image/png"), "low"),
    ),
    ({"type": "input_image", "image_url": "https://a/b"}, ImagePart(UrlSource("https://a/b"))),
    (
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==",
         "filename": "a.pdf"},
        FilePart(BytesSource(b"%PDF", "application/pdf"), "a.pdf"),
    ),
    (
        {"type": "input_file", "file_data": "JVBERg=="},
        FilePart(BytesSource(b"%PDF", "application/octet-stream")),
    ),
    ({"type": "input_file", "file_url": "https://a/b"}, FilePart(UrlSource("https://a/b"))),
    ({"type": "input_file", "file_id": "f"}, FilePart(FileSource("f"))),
    (
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}},
        AudioPart(BytesSource(b"RIFF", "audio/mp3"), "mp3"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("block", "part"), BLOCKS)
def test_blocks(block: dict[str, Any], part: Part) -> None:
    (message,) = messages({"role": "user", "content": [block]})
    assert message.parts == (part,)


# --- what is refused ----------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, str, str | None]] = {
    "no JSON": (b"{", "could not parse the JSON body", None),
    "no object": (b"[]", "expected an object", None),
    "no model": ({"input": "hi"}, "Missing required parameter: 'model'.", "missing_required_parameter"),
    "no input": ({"model": "m"}, 'One of "input" or "previous_response_id"', None),
    "empty input": ({"input": []}, 'One of "input"', None),
    "a number": ({"input": 7}, "Invalid type for 'input'", "invalid_type"),
    "a number in it": ({"input": [7]}, "Invalid type for 'input[0]'", "invalid_type"),
    "chat's messages": ({"messages": []}, "has moved to 'input'", "unsupported_parameter"),
    "chat's limit": ({"max_tokens": 9}, "moved to 'max_output_tokens'", "unsupported_parameter"),
    "chat's form": ({"response_format": {}}, "moved to 'text.format'", "unsupported_parameter"),
    "chat's effort": ({"reasoning_effort": "low"}, "moved to 'reasoning.effort'", None),
    "chat's tool": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "Missing required parameter: 'tools[0].name'.", None,
    ),
    "stop": ({"stop": ["x"]}, "Unknown parameter: 'stop'.", "unknown_parameter"),
    "a low limit": (
        {"max_output_tokens": 5}, "Expected a value >= 16, but got 5", "integer_below_min_value",
    ),
    "sampling": (
        {"temperature": 0.5, "reasoning": {"effort": "low"}},
        "Unsupported parameter: 'temperature'", "unsupported_parameter",
    ),
    "an effort": ({"reasoning": {"effort": "huge"}}, "Invalid value: 'huge'", "invalid_value"),
    "any": ({"tool_choice": "any"}, "Invalid value: 'any'", "invalid_value"),
    "an unknown tool": (
        {"tool_choice": {"type": "function", "name": "g"}}, "Tool choice 'g' not found", None,
    ),
    "a form without a name": (
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        "Missing required parameter: 'text.format.name'.", None,
    ),
    "a role": ({"input": [{"role": "robot", "content": "hi"}]}, "Invalid value: 'robot'", None),
    "no content": ({"input": [{"role": "user"}]}, "parameter: 'input[0].content'.", None),
    "chat's block": (
        {"input": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        "Supported values are: 'input_text'", "invalid_value",
    ),
    "the assistant's block": (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "hi"}]}]},
        "Supported values are: 'output_text' and 'refusal'.", "invalid_value",
    ),
    "a call without name": (
        {"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]},
        "Missing required parameter: 'input[0].name'.", None,
    ),
    "a picture": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        "Invalid image URL", "invalid_value",
    ),
    "types": ({"stream": "yes"}, "Invalid request", None),
}  # fmt: skip
HISTORY: dict[str, tuple[list[Any], str]] = {
    "an unanswered call": ([HI, FC], "No tool output found for function call c1."),
    "an unanswered custom call": (
        [HI, {"type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "x"}],
        "No tool output found for custom tool call c1.",
    ),
    "an id twice": (
        [{"type": "reasoning", "id": "rs_1", "summary": []}] * 2,
        "Duplicate item found with id rs_1.",
    ),
    "an id of another kind": (
        [{**FC, "id": "call_1"}, OUT], "Expected an ID that begins with 'fc'.",
    ),
    "a long id": ([{**FC, "id": "fc_" + "x" * 70}, OUT], "got a string with length 73"),
    "a long call id": ([{**FC, "call_id": "x" * 70}], "got a string with length 70"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    body, words, code = REFUSED[name]
    if isinstance(body, dict) and "model" not in body and name != "no model":
        body = {"model": "gpt-6-luna", "input": "hi", **body}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidRequestError) as caught:
        HALF.parse_request("POST", "/v1/responses", {}, raw)
    assert words in str(caught.value)
    assert caught.value.status == 400
    if code is not None:
        assert caught.value.code == code


@pytest.mark.parametrize("name", HISTORY)
def test_refused_histories(name: str) -> None:
    items, words = HISTORY[name]
    with pytest.raises(HistoryRejectedError) as caught:
        heard(*items)
    assert words in str(caught.value)
    told = HALF.prepare_error(caught.value)
    error = ADAPTER.parse_error(*told)
    if "long" not in name:  # a string too long may be the prompt's, too
        assert isinstance(error, HistoryRejectedError)
    assert error.provider_message == caught.value.provider_message


def test_compatible_servers_are_less_strict_about_ids() -> None:
    body = {"model": "local", "input": [{**FC, "id": "62bf2"}, OUT]}
    got = HALF.parse_request("POST", "/v1/responses", {}, json.dumps(body).encode()).request
    assert [m.role for m in got.messages] == ["assistant", "tool"]


# --- how it replies -----------------------------------------------------------------------------

CITATION = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0,
            "end_index": 2}  # fmt: skip
USAGE = LLMUsage(12, 7, 8, cache_read=4, cache_write=0, reasoning=3)
SEARCH = '{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}}'
COMPACTION = '{"id":"cmp_9","type":"compaction","encrypted_content":"gBBB"}'
REPLIES: dict[str, tuple[list[Part], StopInfo | None]] = {
    "nothing": ([], None),
    "text": ([TextPart("Hello", (CITATION,))], StopInfo("stop")),
    "refusal": ([RefusalPart("No.")], StopInfo("refusal", "completed")),
    "reasoning": (
        [
            ReasoningPart("Full."),
            ReasoningPart("Short.", "summary"),
            ReasoningPart("Both.", "encrypted", data="gAAA"),
            ReasoningPart("", "encrypted", data="gBBB"),
            TextPart("So."),
        ],
        StopInfo("stop"),
    ),
    "calls": (
        [
            ToolCall("c1", FunctionCall("f", '{"a": 1.50}')),
            ToolCall("c2", FunctionCall("g", "4 + 4"), "custom"),
        ],
        StopInfo("tool_calls"),
    ),
    "cut": ([IncompleteToolCall("c1", "f", '{"a', "length")], StopInfo("length")),
    "kept": (
        [
            OpaquePart("web_search_call", SEARCH),
            TextPart("Found."),
            CompactionPart("So far."),
            CompactionPart(native=Native("openai-responses", payload=COMPACTION)),
        ],
        StopInfo("stop"),
    ),
    "filtered": ([TextPart("Hel")], StopInfo("content_filter")),
    "paused": ([TextPart("Hel")], StopInfo("pause", "steered")),
    "something new": ([TextPart("Hel")], StopInfo("other", "moonlight")),
}


def whole(parts: list[Part], stop: StopInfo | None, asked: ServerRequest) -> bytes:
    reply = LLMChunk(new_message(Role.assistant, tuple(parts)), USAGE, stop)
    return HALF.prepare_response(reply, asked)


def streamed(parts: list[Part], stop: StopInfo | None, asked: ServerRequest) -> list[bytes]:
    chunks = [LLMChunk(new_message(Role.assistant, (p,))) for p in parts]
    return list(HALF.prepare_stream([*chunks, LLMChunk(usage=USAGE, stop=stop)], asked))


def data(event: bytes) -> dict[str, Any]:
    name, _, rest = event.partition(b"\ndata: ")
    value = json.loads(rest)
    assert name == b"event: " + value["type"].encode() and event.endswith(b"\n\n")
    return value


@pytest.mark.parametrize("name", [n for n in REPLIES if n != "something new"])
def test_replies_are_as_openais_own_types_say(name: str) -> None:
    asked = heard(tools=[{"type": "function", "name": "f", "parameters": {}, "strict": False}])
    events = [data(e) for e in streamed(*REPLIES[name], asked)]
    one: Any = pydantic.TypeAdapter(ResponseStreamEvent)
    for event in events:
        one.validate_python(event)
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert Response.model_validate(last).usage is not None
    assert json.loads(whole(*REPLIES[name], asked)) == last
    assert (events[-1]["type"], last["object"]) == (f"response.{last['status']}", "response")
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert done == last["output"]
    names = [item["id"] for item in done]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", REPLIES)
def test_the_client_hears_what_the_server_says(name: str) -> None:
    parts, stop = REPLIES[name]
    asked = LLMRequest(model=ModelConfig("gpt-6-luna"), messages=(LLMMessage("user", "hi"),))
    got = ADAPTER.parse_response(whole(parts, stop, heard()), asked, PROVIDER)
    decoder = ADAPTER.stream_decoder(asked, PROVIDER)
    events = streamed(parts, stop, heard())
    sum_ = accumulate([*decoder.feed(b"".join(events)), *decoder.finish()])
    assert (sum_.message, sum_.stop, sum_.usage) == (got.message, got.stop, got.usage)
    said = [replace(p, native=None) for p in got.message.parts]  # type: ignore[type-var]
    wanted = [replace(p, native=None) for p in parts]  # type: ignore[type-var]
    if name == "kept":
        assert said[:2] == wanted[:2] and isinstance(said[2], CompactionPart)
        assert got.message.parts[3].native.payload == COMPACTION  # type: ignore[union-attr]
    else:
        assert said == wanted
    assert got.stop is not None
    assert got.stop.reason == (stop.reason if stop is not None else "stop")
    assert got.usage == replace(USAGE, raw=got.usage.raw if got.usage else None)


def test_pieces_may_come_side_by_side() -> None:
    deltas = [
        PartDelta(0, "tool_call", start=True, id="c1", name="f"),
        PartDelta(1, "tool_call", start=True, id="c2"),
        PartDelta(0, "tool_call", '{"a":'),
        PartDelta(1, "tool_call", "{", name="g"),
        PartDelta(0, "tool_call", "1}"),
        PartDelta(1, "tool_call", "}", end=True),
        PartDelta(0, "tool_call", end=True),
        PartDelta(2, "text", "never ended", start=True),
    ]
    events = streamed(deltas, None, heard())
    last = data(events[-1])["response"]
    assert [(i.get("name"), i.get("arguments"), i["status"]) for i in last["output"]] == [
        ("f", '{"a":1}', "completed"), ("g", "{}", "completed"), (None, None, "incomplete")
    ]  # fmt: skip


def test_the_response_echoes_the_request() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": False}]
    asked = heard(instructions="Be brief.", tools=tools, tool_choice="required", store=False,
                  metadata={"a": "b"}, previous_response_id="resp_0", max_output_tokens=99,
                  reasoning={"effort": "low"}, prompt_cache_key="k")  # fmt: skip
    got = json.loads(whole([], None, asked))
    wanted = {"instructions": "Be brief.", "tools": tools, "tool_choice": "required",
              "store": False, "metadata": {"a": "b"}, "previous_response_id": "resp_0",
              "max_output_tokens": 99, "reasoning": {"effort": "low", "summary": None},
              "prompt_cache_key": "k", "status": "completed", "error": None}  # fmt: skip
    assert {k: got[k] for k in wanted} == wanted
    assert (
        got["id"]
        == json.loads(whole([], None, asked))["id"]
        != json.loads(whole([], None, heard({"role": "user", "content": "other"})))["id"]
    )


def test_a_reply_that_broke_off_has_failed() -> None:
    got = json.loads(whole([TextPart("Hel")], StopInfo("error"), heard()))
    assert (got["status"], got["error"]["code"]) == ("failed", "server_error")
    with pytest.raises(BackendError, match="broke off"):
        ADAPTER.parse_response(json.dumps(got).encode(), _REQUEST, PROVIDER)


_REQUEST = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "hi"),))


def test_usage_of_this_wire_is_repeated_as_it_came() -> None:
    raw = {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "cost": 0.5}
    own = LLMChunk(usage=LLMUsage(3, 1, raw=raw), stop=StopInfo("stop"))
    assert json.loads(HALF.prepare_response(own, heard()))["usage"] == raw
    other = LLMChunk(usage=LLMUsage(3, 1, raw={"input_tokens": 2}), stop=StopInfo("stop"))
    assert json.loads(HALF.prepare_response(other, heard()))["usage"] == {
        "input_tokens": 3, "output_tokens": 1, "total_tokens": 4
    }  # fmt: skip
    assert json.loads(HALF.prepare_response(LLMChunk(), heard()))["usage"] is None


def test_what_no_reply_can_hold() -> None:
    sound = AudioPart(BytesSource(b"RIFF", "audio/wav"))
    with pytest.raises(UnsupportedError) as caught:
        whole([TextPart("a"), sound], None, heard())
    assert caught.value.path == "parts[1]"
    picture = ImagePart(BytesSource(b"\x89PNG", "image/png"))
    (item,) = json.loads(whole([picture], None, heard()))["output"]
    assert (item["type"], item["result"]) == ("image_generation_call", "iVBORw==")


def test_an_error_in_the_middle() -> None:
    told = HALF.prepare_stream_error(OverloadedError("busy", provider_message="busy"))
    event = data(told)
    assert event["type"] == "error" and event["error"]["message"] == "busy"


# --- both halves --------------------------------------------------------------------------------

ISSUER = Native("openai-responses", "p", "gpt-6-luna")


def _native(payload: Any) -> Native:
    return Native(ISSUER.api, ISSUER.provider, ISSUER.model, payload)


names = st.integers(0, 10**6).map(str)
some_texts = texts.filter(bool)
items = st.one_of(
    st.builds(
        lambda n, t, d: [
            ReasoningPart(t, "encrypted", data=d, native=_native({"item": {"id": f"rs_{n}"}}))
        ],
        names, texts, some_texts,
    ),
    st.builds(
        lambda n, said, cited: [
            TextPart(t, tuple(cited), _native(
                {"item": {"id": f"msg_{n}", "status": "completed", "role": "assistant"}}
            ))
            for t in said
        ],
        names, st.lists(some_texts, min_size=1, max_size=3), st.lists(json_objects, max_size=1),
    ),
    st.builds(
        lambda n, arguments: [
            ToolCall(f"call_{n}", FunctionCall("f", json.dumps(arguments)),
                     native=_native({"item": {"id": f"fc_{n}", "status": "completed"}}))
        ],
        names, json_objects,
    ),
    st.builds(
        lambda n, t: [
            ToolCall(f"call_g{n}", FunctionCall("g", t), "custom",
                     _native({"item": {"id": f"ctc_{n}", "status": "completed"}}))
        ],
        names, texts,
    ),
    st.builds(
        lambda n, value: [OpaquePart("web_search_call", json.dumps(
            {"id": f"ws_{n}", "type": "web_search_call", "action": value}, separators=(",", ":"),
            ensure_ascii=False,
        ), _native(None))],
        names, json_objects,
    ),
)  # fmt: skip
"""Items of a turn, each as the parts that it was heard as."""


def _with_after(parts: list[Part]) -> list[Part]:
    """Each part knows the reasoning before it, as it does when it came from the wire."""
    out: list[Part] = []
    after = None
    for part in parts:
        native: Any = getattr(part, "native", None)
        if isinstance(part, ReasoningPart):
            after = native.payload["item"]["id"]
        elif after is not None:
            native = _native({**(native.payload or {}), "after": after})
        out.append(replace(part, native=native))  # type: ignore[type-var]
    return out


@given(st.lists(items, min_size=1, max_size=5), any_texts)
def test_a_turn_comes_back_as_it_was(groups: list[list[Part]], question: str) -> None:
    """parse_request(prepare_request(r)) has the same turn: parts, order, ids, secrets, arguments."""
    kept = {getattr(g[0], "native", None) and json.dumps(_id_of(g[0])): g for g in groups}
    turn = _with_after([p for group in kept.values() for p in group])
    results = [
        LLMMessage("tool", "ok", tool_call_id=p.id or "") for p in turn if isinstance(p, ToolCall)
    ]
    history = (
        LLMMessage("user", question),
        new_message(Role.assistant, tuple(turn)),
        *results,
        LLMMessage("user", "Go on."),
    )
    asked = LLMRequest(model=ModelConfig("gpt-6-luna", temperature=None), messages=history)
    prepared = ADAPTER.prepare_request(asked, OPENAI)
    got = HALF.parse_request("POST", prepared.endpoint, {}, prepared.body).request
    assert [_bare(p) for p in got.messages[1].parts] == [_bare(p) for p in turn]
    assert prepared.adaptations == ()
    assert all(p.data.encode() in prepared.body for p in turn if isinstance(p, OpaquePart))
    again = replace(got, model=ModelConfig("gpt-6-luna", temperature=None))
    once_more = ADAPTER.prepare_request(again, OPENAI)
    assert json.loads(once_more.body)["input"] == json.loads(prepared.body)["input"]


def _id_of(part: Part) -> Any:
    if isinstance(part, OpaquePart):
        return json.loads(part.data)["id"]
    return part.native.payload["item"]["id"]  # type: ignore[union-attr]


def _bare(part: Any) -> Any:
    """A part with its payload, and without the tag that the server does not know."""
    if isinstance(part, OpaquePart):
        part = replace(part, data=json.loads(part.data))
    return replace(part, native=part.native.payload if part.native is not None else None)
