"""What one half of the Messages wire says, the other hears."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmwire.adapters.anthropic import AnthropicAdapter, AnthropicServer
from llmwire.adapters.anthropic.models import traits_of
from llmwire.config import THINKING_LEVELS, Dialect, ModelConfig, ProviderConfig
from llmwire.errors import UnsupportedError
from llmwire.request import LLMRequest
from llmwire.types import (
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
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    StopInfo,
    TextPart,
    ToolCall,
    ToolResultPart,
    accumulate,
    new_message,
)

CLIENT, SERVER = AnthropicAdapter(), AnthropicServer()
PROVIDER = ProviderConfig(
    "anthropic",
    "https://api.anthropic.com",
    "KEY",
    "anthropic",
    dialect=Dialect(prompt_cache=False),
)
MODELS = (
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-fable-5-1",
    "claude-fable-5",
    "claude-opus-5",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-opus-4-6",
    "claude-opus-4-5-20251101",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "claude-opus-4-1",
    "claude-3-7-sonnet-latest",
    "claude-3-5-haiku-20241022",
    "claude-novel-9",
    "kimi-k3",
)
TOOLS = tuple(
    AvailableTool(AvailableFunction(name, "does it", {"type": "object", "properties": {}}))
    for name in ("look", "add")
)
ISSUER = Native("anthropic", "anthropic", "claude-opus-5-5")


def ask(model: str = "claude-opus-5-5", *messages: LLMMessage, **fields: Any) -> LLMRequest:
    return LLMRequest(
        model=ModelConfig(model), messages=messages or (LLMMessage("user", "hi"),), **fields
    )


def heard_by_server(request: LLMRequest, provider: ProviderConfig = PROVIDER) -> LLMRequest:
    prepared = CLIENT.prepare_request(request, provider)
    assert SERVER.matches(prepared.method, prepared.endpoint)
    return SERVER.parse_request(
        prepared.method, prepared.endpoint, prepared.headers, prepared.body
    ).request


# --- whatever is asked, nothing goes out that the API refuses ------------------------------------

words = st.sampled_from(["", " ", "\n", "hi", "what is it?", "ends in space ", "é\u2028"])
ids = st.sampled_from(["a", "b", "toolu_1", "call:1", "ü", "x" * 70, ""])
png = ImagePart(BytesSource(b"\x89PNG", "image/png"))
pdf = FilePart(BytesSource(b"%PDF", "application/pdf"), "a.pdf")
natives = st.sampled_from([None, ISSUER, Native("openai", "openai", "gpt-6")])
texts = st.builds(TextPart, words)
objects = st.sampled_from(["", "{}", '{"a": 1}', '{"a": "\\ud800"}', "[1]", '{"a"'])
calls = st.builds(
    ToolCall,
    ids,
    st.builds(FunctionCall, st.sampled_from(["look", "add", "gone"]), objects),
    native=natives,
)
thoughts = st.one_of(
    st.builds(ReasoningPart, words, signature=st.sampled_from([None, "", "sig"]), native=natives),
    st.builds(ReasoningPart, kind=st.just("redacted"), data=st.just("blob"), native=natives),
)
others = st.sampled_from(
    [
        RefusalPart("no"),
        IncompleteToolCall("z", "look", '{"a"'),
        PartDelta(0, "text", "cut off", True),
        OpaquePart("server_tool_use", '{"type":"server_tool_use","id":"s"}', ISSUER),
        OpaquePart("reasoning", '{"type":"reasoning"}', Native("openai", "openai", "gpt-6")),
        CompactionPart("so far", Native("anthropic", "other", "m")),
    ]
)
results = st.builds(
    ToolResultPart,
    ids,
    st.one_of(words, st.lists(st.one_of(texts, st.just(png), st.just(pdf)), max_size=3).map(tuple)),
    is_error=st.booleans(),
)


def message(role: str, part: st.SearchStrategy[Any]) -> st.SearchStrategy[LLMMessage]:
    return st.lists(part, max_size=4).map(lambda ps: new_message(Role(role), tuple(ps)))


histories = st.lists(
    st.one_of(
        message("system", texts),
        message("developer", texts),
        message("user", st.one_of(texts, st.just(png), st.just(pdf), results)),
        message("assistant", st.one_of(texts, calls, thoughts, others)),
        message("assistant", st.one_of(calls, thoughts)),
        message("tool", results),
    ),
    max_size=7,
)
asked = st.builds(
    LLMRequest,
    model=st.builds(
        ModelConfig, st.sampled_from(MODELS), max_output_tokens=st.sampled_from([None, 900, 6000])
    ),
    messages=histories.map(tuple),
    temperature=st.sampled_from([None, 0.2, 1.0, 1.7]),
    top_p=st.sampled_from([None, 0.5]),
    top_k=st.sampled_from([None, 5]),
    tools=st.sampled_from([(), TOOLS]),
    tool_choice=st.sampled_from([None, "auto", "none", "any", "required"]),
    max_tokens=st.sampled_from([None, 0, 16, 1024, 1025, 2000, 30_000]),
    stream=st.booleans(),
    thinking=st.sampled_from(THINKING_LEVELS),
    stop=st.sampled_from([(), ("END", " ")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    metadata=st.just({"user_id": "u", "trace": "t"}),
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked)
def test_no_request_goes_out_that_the_api_refuses(request: LLMRequest) -> None:
    try:
        heard = heard_by_server(request)
    except UnsupportedError as e:
        assert e.path
        return
    traits = traits_of(request.model.name)
    assert heard.stream is request.stream
    assert heard.max_tokens is not None
    if traits.sampling == "never":
        assert (heard.temperature, heard.top_p, heard.top_k) == (None, None, None)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked)
def test_what_was_heard_can_be_said_again(request: LLMRequest) -> None:
    """`parse_request` is the inverse of `prepare_request` on requests that are in normal form."""
    try:
        once = heard_by_server(request)
    except UnsupportedError:
        return
    assert heard_by_server(once) == once


# --- requests ------------------------------------------------------------------------------------


def test_a_conversation_in_normal_form_is_heard_as_it_was_said() -> None:
    own = Native("anthropic")
    messages = (
        new_message(Role.system, (TextPart("be brief"), TextPart("be kind"))),
        new_message(Role.user, (TextPart("look"), png, pdf)),
        new_message(
            Role.assistant,
            (
                ReasoningPart("hm", signature="sig", native=own),
                TextPart("looking"),
                ReasoningPart(kind="redacted", data="blob", native=own),
                ToolCall("t1", FunctionCall("look", '{"b":1, "a" : [ ]}')),
                ToolCall(
                    "t2",
                    FunctionCall("add", "{}"),
                    native=Native("anthropic", payload={"caller": {"type": "direct"}}),
                ),
                OpaquePart("server_tool_use", '{"type":"server_tool_use","id":"s1"}', own),
            ),
        ),
        new_message(Role.tool, (ToolResultPart("t1", "a cat"),)),
        new_message(Role.tool, (ToolResultPart("t2", (TextPart("x"), png)),)),
        new_message(Role.user, (TextPart("go on"),)),
    )
    request = LLMRequest(
        model=ModelConfig("claude-opus-5-5", temperature=None),
        messages=messages,
        tools=TOOLS,
        tool_choice="auto",
        max_tokens=500,
        stream=True,
        thinking="high",
        stop=("END",),
        parallel_tool_calls=False,
        metadata={"user_id": "u1"},
    )
    assert heard_by_server(request) == request


# --- replies -------------------------------------------------------------------------------------

HEARD = SERVER.parse_request(
    "POST",
    "/v1/messages",
    {"anthropic-version": "2023-06-01"},
    b'{"model":"claude-opus-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
)
USAGE = LLMUsage(
    input_total=30,
    output_total=9,
    input_uncached=10,
    cache_read=15,
    cache_write=5,
    cache_write_5m=5,
    reasoning=4,
    raw={
        "input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 15,
        "cache_creation": {"ephemeral_5m_input_tokens": 5},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    },
)
CITATION = {"type": "char_location", "cited_text": "x", "document_index": 0}
RICH = LLMChunk(
    new_message(
        Role.assistant,
        (
            ReasoningPart("first\u2028", signature="s1", native=ISSUER),
            TextPart("I say", (CITATION, CITATION), ISSUER),
            ReasoningPart(kind="redacted", data="blob", native=ISSUER),
            TextPart("more \U0001f600"),
            ReasoningPart(signature="only signed", native=ISSUER),
            OpaquePart(
                "server_tool_use",
                '{"type":"server_tool_use","id":"s","name":"web_search","input":{"q": 1}}',
                ISSUER,
            ),
            OpaquePart(
                "web_search_tool_result",
                '{"type":"web_search_tool_result","tool_use_id":"s","content":[]}',
                ISSUER,
            ),
            CompactionPart(
                "sum",
                Native(
                    "anthropic",
                    "anthropic",
                    "claude-opus-5-5",
                    '{"type":"compaction","content":"sum","signature":"z"}',
                ),
            ),
            ToolCall("t1", FunctionCall("look", '{"b":1, "a" : "\\u00e9"}')),
            ToolCall("t2", FunctionCall("add", "{}")),
        ),
    ),
    USAGE,
    StopInfo("tool_calls", "tool_use"),
    "msg_1",
    "claude-opus-5-5",
)


def decoded_whole(reply: LLMChunk) -> LLMChunk:
    body = SERVER.prepare_response(reply, HEARD)
    return CLIENT.parse_response(body, ask(), PROVIDER)


def decoded_stream(*chunks: LLMChunk, size: int = 10_000) -> LLMChunk:
    body = b"".join(SERVER.prepare_stream(chunks, HEARD))
    decoder = CLIENT.stream_decoder(ask(stream=True), PROVIDER)
    found = [c for i in range(0, len(body), size) for c in decoder.feed(body[i : i + size])]
    found.extend(decoder.finish())
    return accumulate(found)


def test_a_rich_reply_survives_both_forms() -> None:
    assert decoded_whole(RICH) == RICH
    assert decoded_stream(RICH) == RICH
    assert decoded_stream(RICH, size=1) == RICH


@pytest.mark.parametrize(
    "stop",
    [
        StopInfo("stop", "end_turn"),
        StopInfo("length", "max_tokens"),
        StopInfo("stop_sequence", "stop_sequence", {"stop_sequence": "END"}),
        StopInfo("pause", "pause_turn"),
        StopInfo("refusal", "refusal", {"type": "refusal", "category": "cyber"}),
        StopInfo("context_window", "model_context_window_exceeded"),
        StopInfo("compaction", "compaction", {"context_management": {"applied_edits": []}}),
        StopInfo("content_filter", "sensitive"),
        StopInfo("other", "novel_reason"),
        StopInfo("stop", "end_turn", {"container": {"id": "c"}}),
    ],
)
def test_reasons_to_stop_survive(stop: StopInfo) -> None:
    reply = LLMChunk(LLMMessage("assistant", "hi"), USAGE, stop, "m", "x")
    assert decoded_whole(reply).stop == stop
    assert decoded_stream(reply).stop == stop


def test_reasons_of_other_wires_become_ours() -> None:
    for reason, word in (
        ("stop", "end_turn"),
        ("tool_calls", "tool_use"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
    ):
        reply = LLMChunk(LLMMessage("assistant", "hi"), None, StopInfo(reason, "their word"))
        assert decoded_whole(reply).stop.raw == word  # type: ignore[union-attr]


def test_usage_that_nobody_reported_stays_unknown() -> None:
    reply = LLMChunk(LLMMessage("assistant", "hi"), None, StopInfo("stop", "end_turn"), "m", "x")
    assert decoded_whole(reply) == reply
    assert decoded_stream(reply) == reply


def test_usage_of_another_wire_is_counted_in_our_words() -> None:
    other = LLMUsage(input_total=12, output_total=3, cache_read=2, raw={"prompt_tokens": 12})
    got = decoded_whole(LLMChunk(LLMMessage("assistant", "hi"), other)).usage
    assert got is not None
    assert (got.input_total, got.input_uncached, got.cache_read) == (12, 10, 2)
    assert got.raw == {"input_tokens": 10, "cache_read_input_tokens": 2, "output_tokens": 3}


def test_calls_that_run_side_by_side_come_out_one_after_the_other() -> None:
    def piece(*deltas: PartDelta) -> LLMChunk:
        return LLMChunk(new_message(Role.assistant, deltas))

    chunks = (
        piece(PartDelta(0, "tool_call", '{"a"', True, id="t1", name="look")),
        piece(PartDelta(1, "tool_call", "{", True, name="add")),
        piece(PartDelta(1, "tool_call", "}", id="t2"), PartDelta(0, "tool_call", ":1}")),
        piece(PartDelta(1, "tool_call", end=True)),
        piece(PartDelta(0, "tool_call", end=True)),
    )
    body = b"".join(SERVER.prepare_stream(chunks, HEARD))
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
    blocks = [e["index"] for e in events if "index" in e]
    assert blocks == sorted(blocks)
    assert decoded_stream(*chunks).message == accumulate(chunks).message


def test_a_reply_without_ids_gets_the_same_ones_each_time() -> None:
    call = ToolCall(None, FunctionCall("look", "{}"))
    reply = LLMChunk(new_message(Role.assistant, (call, call)))
    whole, streamed = decoded_whole(reply), decoded_stream(reply)
    assert whole.response_id == streamed.response_id == decoded_whole(reply).response_id
    assert [c.id for c in whole.tool_calls] == [c.id for c in streamed.tool_calls]
    assert len({c.id for c in whole.tool_calls}) == 2
    assert whole.stop == StopInfo("tool_calls", "tool_use")


def test_a_reply_with_an_image_can_not_be_said() -> None:
    reply = LLMChunk(new_message(Role.assistant, (png,)))
    with pytest.raises(UnsupportedError) as e:
        SERVER.prepare_response(reply, HEARD)
    assert e.value.path == "message.parts[0]"
    with pytest.raises(UnsupportedError):
        list(SERVER.prepare_stream([reply], HEARD))
