"""Replies of the Messages wire: whole answers and streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.adapters.anthropic import AnthropicAdapter
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    DecodeError,
    IncompleteStreamError,
    StreamError,
    StreamOverloadedError,
)
from llmwire.folding import close_open_parts
from llmwire.request import LLMRequest
from llmwire.types import (
    CompactionPart,
    FunctionCall,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    accumulate,
)

ADAPTER = AnthropicAdapter()
PROVIDER = ProviderConfig("acme", "https://acme.example", "K", "anthropic")
REQUEST = LLMRequest(model=ModelConfig("claude-x"), messages=())
OWN = Native("anthropic", "acme", "claude-x")

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-1",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": None, "output_tokens": 1},
    },
}
STOP = {"type": "message_stop"}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def text(index: int, words: str) -> dict[str, Any]:
    return delta(index, type="text_delta", text=words)


def args(index: int, piece: str) -> dict[str, Any]:
    return delta(index, type="input_json_delta", partial_json=piece)


def begin(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    block = {"type": kind, **fields}
    return {"type": "content_block_start", "index": index, "content_block": block}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def block(index: int, kind: str, *deltas: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [begin(index, kind, **fields), *deltas, end(index)]


def tool(index: int, *pieces: str, **fields: Any) -> list[dict[str, Any]]:
    start = {"id": "t1", "name": "look", "input": {}, **fields}
    return block(index, "tool_use", *(args(index, p) for p in pieces), **start)


def stopped(word: str | None = "end_turn", output: int = 5, **fields: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": word, "stop_sequence": None, **fields},
        "usage": {"output_tokens": output},
    }


def wire(*events: Any) -> bytes:
    out = b""
    for e in events:
        if isinstance(e, bytes):
            out += e
        else:
            data = json.dumps(e, ensure_ascii=False, separators=(",", ":"))
            out += f"event: {e.get('type', '')}\ndata: {data}\n\n".encode()
    return out


def chunks_of(*events: Any, size: int | None = None) -> list[LLMChunk]:
    body = wire(*events)
    decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
    step = size or len(body) or 1
    out: list[LLMChunk] = []
    for i in range(0, len(body), step):
        out.extend(decoder.feed(body[i : i + step]))
    out.extend(decoder.finish())
    return out


def read(*events: Any, size: int | None = None) -> LLMChunk:
    return accumulate(chunks_of(*events, size=size))


def whole(**fields: Any) -> LLMChunk:
    message = {"type": "message", "id": "msg_1", "model": "claude-x-1", "content": [], **fields}
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return ADAPTER.parse_response(data.encode(), REQUEST, PROVIDER)


def parts_of(*events: Any, stop: str = "end_turn") -> tuple[Part, ...]:
    return read(START, *events, stopped(stop), STOP).message.parts


# --- blocks ----------------------------------------------------------------------------------------


def test_a_simple_stream() -> None:
    got = chunks_of(
        START, *block(0, "text", text(0, "He"), text(0, "llo"), text=""), stopped(), STOP
    )
    assert [c.text for c in got if c.text] == ["He", "llo"]
    assert accumulate(got) == LLMChunk(
        accumulate(got).message.with_parts((TextPart("Hello"),)),
        LLMUsage(
            input_total=10,
            input_uncached=10,
            output_total=5,
            raw={"input_tokens": 10, "output_tokens": 5},
        ),
        StopInfo("stop", "end_turn"),
        "msg_1",
        "claude-x-1",
    )


CASES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], tuple[Part, ...]]] = [
    (
        "thinking in two blocks, each with its own signature",
        [
            *block(0, "thinking", delta(0, type="thinking_delta", thinking="a"),
                   delta(0, type="signature_delta", signature="s0"), thinking="", signature=""),
            *block(1, "thinking", delta(1, type="signature_delta", signature="s1"), thinking=""),
            *block(2, "text", text(2, "x"), text=""),
        ],
        [
            {"type": "thinking", "thinking": "a", "signature": "s0"},
            {"type": "thinking", "thinking": "", "signature": "s1"},
            {"type": "text", "text": "x"},
        ],
        (
            ReasoningPart("a", signature="s0", native=OWN),
            ReasoningPart("", signature="s1", native=OWN),
            TextPart("x"),
        ),
    ),
    (
        "redacted thinking",
        block(0, "redacted_thinking", data="blob"),
        [{"type": "redacted_thinking", "data": "blob"}],
        (ReasoningPart(kind="redacted", data="blob", native=OWN),),
    ),
    (
        "thinking without a signature",
        block(0, "thinking", delta(0, type="thinking_delta", thinking="a"), thinking=""),
        [{"type": "thinking", "thinking": "a", "signature": ""}],
        (ReasoningPart("a", native=OWN),),
    ),
    (
        "a text that begins in its start",
        block(0, "text", text(0, "lo"), text="Hel"),
        [{"type": "text", "text": "Hello"}],
        (TextPart("Hello"),),
    ),
    (
        "a text without any",
        block(0, "text", text=""),
        [{"type": "text", "text": ""}],
        (),
    ),
    (
        "citations",
        block(0, "text", text(0, "x"), delta(0, type="citations_delta", citation={"n": 1}),
              delta(0, type="citations_delta", citation={"n": 2}), text="", citations=[]),
        [{"type": "text", "text": "x", "citations": [{"n": 1}, {"n": 2}]}],
        (TextPart("x", ({"n": 1}, {"n": 2}), OWN),),
    ),
    (
        "two calls",
        [*tool(0, '{"b":', "1}"), *tool(1, "{}", id="t2", caller={"type": "direct"})],
        [
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"b": 1}},
            {"type": "tool_use", "id": "t2", "name": "look", "input": {},
             "caller": {"type": "direct"}},
        ],
        (
            ToolCall("t1", FunctionCall("look", '{"b":1}')),
            ToolCall("t2", FunctionCall("look", "{}"),
                     native=Native("anthropic", "acme", "claude-x", {"caller": {"type": "direct"}})),
        ),
    ),
    (
        "a call without arguments",
        tool(0),
        [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}],
        (ToolCall("t1", FunctionCall("look", "{}")),),
    ),
    (
        "a call whose arguments stand in its start",
        tool(0, input={"a": 1}),
        [{"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 1}}],
        (ToolCall("t1", FunctionCall("look", '{"a":1}')),),
    ),
    (
        "arguments inside a string, as some servers send them",
        tool(0, input='{"a":1}'),
        [{"type": "tool_use", "id": "t1", "name": "look", "input": '{"a":1}'}],
        (ToolCall("t1", FunctionCall("look", '{"a":1}')),),
    ),
    (
        "a server tool",
        [
            *block(0, "server_tool_use", args(0, '{"q":'), args(0, "1}"), id="s", name="web", input={}),
            *block(1, "web_search_tool_result", tool_use_id="s", content=[{"a": None}]),
        ],
        [
            {"type": "server_tool_use", "id": "s", "name": "web", "input": {"q": 1}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"a": None}]},
        ],
        (
            OpaquePart("server_tool_use",
                       '{"type":"server_tool_use","id":"s","name":"web","input":{"q":1}}', OWN),
            OpaquePart("web_search_tool_result",
                       '{"type":"web_search_tool_result","tool_use_id":"s","content":[{"a":null}]}',
                       OWN),
        ),
    ),
    (
        "a summary",
        block(0, "compaction", delta(0, type="compaction_delta", content="sum"), content=None),
        [{"type": "compaction", "content": "sum"}],
        (CompactionPart("sum", Native("anthropic", "acme", "claude-x",
                                      '{"type":"compaction","content":"sum"}')),),
    ),
    (
        "a block of a kind to come, whose fields clash with known ones",
        block(0, "hologram", text={"not": "text"}, id=7),
        [{"type": "hologram", "text": {"not": "text"}, "id": 7}],
        (OpaquePart("hologram", '{"type":"hologram","text":{"not":"text"},"id":7}', OWN),),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "content", "parts"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_streams_and_whole_answers_mean_the_same(
    events: list[Any], content: list[Any], parts: tuple[Part, ...]
) -> None:
    streamed = read(START, *events, stopped(), STOP)
    assert streamed.message.parts == parts
    assert read(START, *events, stopped(), STOP, size=1) == streamed
    usage = {"input_tokens": 10, "output_tokens": 5}
    assert whole(content=content, stop_reason="end_turn", usage=usage) == streamed


@given(st.lists(st.integers(1, 60), max_size=60), st.sampled_from(CASES))
def test_any_cut_gives_the_same_sum(sizes: list[int], case: Any) -> None:
    body = wire(
        START, *case[1], {"type": "ping"}, b": \xe2\x80\xa8 comment\r\n\r\n", stopped(), STOP
    )
    decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
    found: list[LLMChunk] = []
    at = 0
    for size in [*sizes, len(body)]:
        found.extend(decoder.feed(body[at : at + size]))
        at += size
    found.extend(decoder.finish())
    assert accumulate(found).message.parts == case[3]


def test_arguments_are_kept_byte_for_byte() -> None:
    raw = '{ "b" : 1.0e2,\n "a":"\\u00e9" }'
    body = (
        '{"type":"message","content":[{"type":"tool_use","id":"t","name":"n","input":'
        + raw
        + '}],"stop_reason":"tool_use"}'
    )
    reply = ADAPTER.parse_response(body.encode(), REQUEST, PROVIDER)
    assert reply.tool_calls[0].arguments == raw


# --- calls that were cut off ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "word", "reason"),
    [
        (('{"a":',), "max_tokens", "length"),
        ((), "max_tokens", "length"),
        (('{"a":1}',), "max_tokens", "length"),  # a whole answer would look the same
        (('{"a":',), "model_context_window_exceeded", "length"),
        (('{"a":',), "refusal", "content_filter"),
        (('{"a":',), "tool_use", "invalid_json"),
        (("[1]",), "tool_use", "invalid_json"),
        (('{"a":',), "novel_reason", "invalid_json"),
    ],
)
def test_a_call_that_is_not_whole_is_none(pieces: Any, word: str, reason: str) -> None:
    (part,) = parts_of(*tool(0, *pieces), stop=word)
    assert type(part) is IncompleteToolCall
    assert (part.reason, part.name, part.id) == (reason, "look", "t1")
    assert part.arguments == ("".join(pieces) or "{}")


def test_only_the_last_block_is_cut() -> None:
    first, second = parts_of(*tool(0, '{"a":1}'), *tool(1, "{", id="t2"), stop="max_tokens")
    assert type(first) is ToolCall and type(second) is IncompleteToolCall
    call, after = parts_of(*tool(0, "{}"), *block(1, "text", text(1, "x")), stop="max_tokens")
    assert type(call) is ToolCall and after == TextPart("x")


def test_a_whole_answer_cut_in_a_call() -> None:
    content = [{"type": "tool_use", "id": "t", "name": "n", "input": {"path": "a"}}]
    (part,) = whole(content=content, stop_reason="max_tokens").message.parts
    assert part == IncompleteToolCall("t", "n", '{"path":"a"}', "length")
    assert whole(content=content, stop_reason="tool_use").tool_calls


def test_a_server_tools_input_that_was_cut_off_is_recorded() -> None:
    events = block(0, "server_tool_use", args(0, '{"q"'), id="s", name="w", input={})
    reply = read(START, *events, stopped("max_tokens"), STOP)
    (part,) = reply.message.parts
    assert isinstance(part, OpaquePart) and json.loads(part.data)["input"] == {}
    assert [(a.path, a.before) for a in reply.adaptations] == [("content[0].input", '{"q"')]


def test_the_end_of_a_call_is_told_when_it_is_known() -> None:
    got = chunks_of(START, *tool(0, '{"a":1}'), *tool(1, id="t2"), stopped("tool_use"), STOP)
    ends = [
        i for i, c in enumerate(got) for p in c.message.parts if isinstance(p, PartDelta) and p.end
    ]
    assert len(ends) == 2
    assert got[ends[1]].stop == StopInfo("tool_calls", "tool_use")


# --- events ----------------------------------------------------------------------------------------


def test_what_we_do_not_know_is_passed_over() -> None:
    assert parts_of(
        {"type": "novel_event", "index": "x", "delta": 7},
        {"type": "ping"},
        b"data: {}\n\n",
        b"data:\n\n",
        b"data: [DONE]\n\n",
        b"data: null\n\n",
        b"event: ping\ndata: {}\n\n",
        begin(0, "text", text="", novel=1),
        text(0, "x"),
        delta(0, type="novel_delta", text={"a": 1}) | {"delta": {"type": "novel_delta", "x": 1}},
        delta(0),
        end(0),
        end(9),
    ) == (TextPart("x"),)


def test_nulls_are_tolerated_everywhere() -> None:
    assert parts_of(
        {"type": "message_start", "message": dict.fromkeys(START["message"])},  # type: ignore[call-overload]
        begin(0, "text", text=None, citations=None),
        text(0, "x") | {"error": None},
        delta(0, type="text_delta", text=None),
        delta(0, type="citations_delta", citation=None),
        end(0),
        *block(1, "thinking", thinking=None, signature=None),
        *tool(2, id=None, name=None, input=None),
        {"type": "message_delta", "delta": None, "usage": None},
        {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"input_tokens": None}},
    ) == (TextPart("x"), ToolCall(None, FunctionCall("", "{}")))
    empty = whole(id=None, model=None, usage=None, stop_reason="end_turn", stop_details=None)
    assert empty == LLMChunk(empty.message, None, StopInfo("stop", "end_turn"))


def test_pings_and_comments_are_keepalives() -> None:
    decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
    assert list(decoder.feed(wire({"type": "ping"}) + b": hold on\n\n")) == []
    assert decoder.keepalives == 2


def test_nothing_counts_after_the_end() -> None:
    body = (START, *block(0, "text", text(0, "x")), stopped(), STOP)
    assert read(*body, b"garbage {\n\n", START, {"type": "error"}) == read(*body)


def test_pieces_of_a_block_that_never_began_or_ended() -> None:
    assert parts_of(text(3, "a"), text(3, "b")) == (TextPart("ab"),)
    assert parts_of(delta(0, type="thinking_delta", thinking="h")) == (
        ReasoningPart("h", native=OWN),
    )
    assert parts_of(begin(0, "tool_use", id="t", name="n", input={}), args(0, "{}")) == (
        ToolCall("t", FunctionCall("n", "{}")),
    )
    begun = (begin(0, "text", text="a"), begin(0, "text", text="b"), end(0))
    assert parts_of(*begun) == (TextPart("a"), TextPart("b"))
    assert parts_of(*block(7, "text", text(7, "a")), *block(2, "text", text(2, "b"))) == (
        TextPart("a"),
        TextPart("b"),
    )


@pytest.mark.parametrize(
    "events",
    [
        [args(0, "{}")],
        [begin(0, "text", text=""), args(0, "{}")],
        [begin(0, "thinking", thinking=""), text(0, "x")],
        [begin(0, "text", text=""), delta(0, type="compaction_delta", content="x")],
        [begin(0, "text", text=7)],
        [{"type": "content_block_start", "index": 0}],
        [text(0, "x") | {"index": "zero"}],
        [{"type": "message_start", "message": []}],
        [STOP],
        [b"data: {\n\n"],
        [b'data: {"type":"ping"\n\n'],
        [b"data: \xff\n\n"],
        [b"data: " + b"[" * 5000 + b"\n\n"],
        [b"<html>Bad gateway</html>\n"],
    ],
)
def test_content_that_would_be_lost_is_an_error(events: list[Any]) -> None:
    with pytest.raises(DecodeError):
        read(*events)


def test_lone_surrogates_become_replacement_characters() -> None:
    event = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\\ud83db"}}\n\n'
    assert parts_of(begin(0, "text", text=""), event) == (TextPart("a\ufffdb"),)
    body = b'{"type":"message","content":[{"type":"text","text":"a\\ud83db"}],"stop_reason":"end_turn"}'
    assert ADAPTER.parse_response(body, REQUEST).text == "a\ufffdb"


@pytest.mark.parametrize(
    ("block_text", "part"),
    [
        ('{"type":"text","text":"a\\ud83d"}', TextPart("a\ufffd")),
        ('{"type":"thinking","thinking":"a\\ud83d"}', ReasoningPart("a\ufffd", native=OWN)),
        (
            '{"type":"tool_use","id":"t","name":"n","input":{"a":"\\ud83d"}}',
            ToolCall("t", FunctionCall("n", '{"a":"\ufffd"}')),
        ),
        (
            '{"type":"tool_use","id":"t","name":"n","input":"{\\"a\\":1} \\ud83d"}',
            IncompleteToolCall("t", "n", '{"a":1} \ufffd', "invalid_json"),
        ),
    ],
)
def test_lone_surrogates_inside_blocks(block_text: str, part: Part) -> None:
    whole_body = f'{{"type":"message","content":[{block_text}],"stop_reason":"end_turn"}}'
    assert ADAPTER.parse_response(whole_body.encode(), REQUEST, PROVIDER).message.parts == (part,)
    start = f'data: {{"type":"content_block_start","index":0,"content_block":{block_text}}}\n\n'
    assert parts_of(start.encode(), end(0)) == (part,)


@pytest.mark.parametrize("junk", [b"\xff", b"\\q", b"\x80\x80"])
def test_blocks_that_are_no_json_inside_are_errors_of_ours(junk: bytes) -> None:
    for inner in (b'"type":"text","text":"%b"', b'"type":"novel","x":"%b"', b'"type":"%b"'):
        data = b'{"type":"content_block_start","index":0,"content_block":{' + inner % junk + b"}}"
        with pytest.raises(DecodeError):
            read(START, b"data: " + data + b"\n\n", end(0), STOP)
        with pytest.raises(DecodeError):
            ADAPTER.parse_response(b'{"content":[{' + inner % junk + b"}]}", REQUEST, PROVIDER)


# --- the end ---------------------------------------------------------------------------------------


def test_a_stream_that_ends_early_is_no_success() -> None:
    events = [
        START,
        *block(0, "text", text(0, "Hel"), text(0, "lo")),
        *tool(1, "{}"),
        stopped(),
        STOP,
    ]
    body = wire(*events)
    for cut in range(len(body) - len(wire(STOP)) + 1):
        decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
        got = list(decoder.feed(body[:cut]))
        with pytest.raises(IncompleteStreamError) as e:
            got.extend(decoder.finish())
        assert "Hello".startswith(close_open_parts(accumulate(got)).text)
        assert e.value.provider == "acme"


def test_a_last_event_without_a_blank_line_counts() -> None:
    body = wire(START, *block(0, "text", text(0, "x")), stopped(), STOP)
    assert read(body.rstrip(b"\n")).text == "x"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context_window"),
        ("compaction", "compaction"),
        ("sensitive", "content_filter"),
        ("novel", "other"),
    ],
)
def test_reasons_to_stop(word: str, reason: Any) -> None:
    assert read(START, stopped(word), STOP).stop == StopInfo(reason, word)
    assert whole(stop_reason=word).stop == StopInfo(reason, word)


def test_what_is_said_about_the_reason_is_kept() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    expected = StopInfo("refusal", "refusal", details)
    assert read(START, stopped("refusal", stop_details=details), STOP).stop == expected
    assert whole(stop_reason="refusal", stop_details=details).stop == expected
    sequence = read(START, stopped("stop_sequence", stop_sequence="END"), STOP).stop
    assert sequence == StopInfo("stop_sequence", "stop_sequence", {"stop_sequence": "END"})
    more = {"container": {"id": "c"}}
    assert read(START, stopped("pause_turn", **more), STOP).stop == StopInfo(
        "pause", "pause_turn", more
    )


# --- usage -----------------------------------------------------------------------------------------


def test_usage_reports_are_running_totals() -> None:
    first = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 6,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 1},
        "output_tokens": 1,
        "service_tier": None,
    }
    last = {
        "input_tokens": None,
        "cache_read_input_tokens": 7,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 12, "other": None},
    }
    start = {"type": "message_start", "message": {"id": "m", "usage": first}}
    delta_event = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": last}
    got = [c.usage for c in chunks_of(start, delta_event, STOP) if c.usage]
    assert [u.provenance for u in got] == ["partial", "reported"]
    assert got[0].output_total == 1
    assert got[1] == LLMUsage(
        input_total=21,
        output_total=20,
        input_uncached=10,
        cache_read=7,
        cache_write=4,
        cache_write_5m=3,
        cache_write_1h=1,
        reasoning=12,
        raw={
            "input_tokens": 10,
            "cache_creation_input_tokens": 4,
            "cache_read_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 1},
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 12},
        },
    )


def test_unknown_usage_is_not_zero() -> None:
    start = {"type": "message_start", "message": {"id": "m"}}
    silent = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    assert read(start, silent, STOP).usage is None
    assert whole(stop_reason="end_turn").usage is None
    odd = whole(stop_reason="end_turn", usage={"input_tokens": "many", "output_tokens": True}).usage
    assert odd is not None and odd.input_total is None and odd.output_total is None


# --- errors ----------------------------------------------------------------------------------------

OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    "event",
    [
        OVERLOADED,
        b'event: error\ndata: {"type":"overloaded_error","message":"Overloaded"}\n\n',
        b'data: {"error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n',
    ],
)
def test_an_error_in_a_stream_is_raised_after_what_came_before(event: Any) -> None:
    decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
    found: list[LLMChunk] = []
    with pytest.raises(StreamError) as e:
        for chunk in decoder.feed(wire(START, begin(0, "text", text="Hel"), event, STOP)):
            found.append(chunk)  # noqa: PERF402 - what came before the error counts
    assert accumulate(found).text == "Hel"
    assert type(e.value) is StreamOverloadedError
    assert "Overloaded" in str(e.value)
    assert e.value.provider == "acme"


def test_an_error_object_in_a_whole_200_is_raised() -> None:
    for body in (
        json.dumps(OVERLOADED).encode(),
        b'{"error":{"type":"overloaded_error","message":"Overloaded"}}',
    ):
        with pytest.raises(StreamOverloadedError, match="Overloaded"):
            ADAPTER.parse_response(body, REQUEST, PROVIDER)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b'{"choices":[]}',
        b'{"type":"message","content":[{"type":"text","text":3}]}',
        b'{"type":"message","content":["text"]}',
        b'{"type":"message","content":[{"type":"tool_use","id":3}]}',
        b'{"type":"message","content":',
        b'{"type":"message","content":"\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_whole_answer_that_is_none_is_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(DecodeError):
        ADAPTER.parse_response(body, REQUEST, PROVIDER)


def test_a_server_that_does_not_stream_is_understood_all_the_same() -> None:
    content = [{"type": "text", "text": "whole"}]
    body = {"type": "message", "id": "m", "content": content, "stop_reason": "end_turn"}
    got = read(json.dumps(body).encode() + b"\n")
    assert got.text == "whole" and got.stop == StopInfo("stop", "end_turn")


def test_a_server_that_streams_unasked_is_understood_all_the_same() -> None:
    events = (START, *block(0, "text", text(0, "x")), stopped(), STOP)
    assert ADAPTER.parse_response(wire(*events), REQUEST, PROVIDER) == read(*events)
    with pytest.raises(IncompleteStreamError):
        ADAPTER.parse_response(wire(*events[:-1]), REQUEST, PROVIDER)


def test_error_answers_name_provider_and_model() -> None:
    body = (
        b'{"type":"error","error":{"type":"not_found_error","message":"model: x"},"request_id":"r"}'
    )
    error = ADAPTER.parse_error(404, {}, body, REQUEST, PROVIDER)
    assert isinstance(error, BackendError)
    assert (error.status, error.provider, error.model) == (404, "acme", "claude-x")
    assert (error.type, error.provider_message) == ("not_found_error", "model: x")


# --- whatever comes --------------------------------------------------------------------------------

scalars = st.sampled_from(
    [None, True, -1, 1.5, 10**30, "", "x", "\ud800", [], {}, [[]], {"type": "text"}]
)


@st.composite
def broken(draw: st.DrawFn, value: Any) -> Any:
    """The value with one place in it replaced."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    copied = json.loads(json.dumps(value))
    walk(copied)
    node, key = draw(st.sampled_from(places))
    node[key] = draw(scalars)
    return copied


ALL = [START, *(e for c in CASES for e in c[1]), stopped("tool_use"), STOP]
BLOCKS = [b for c in CASES for b in c[2]]


@given(broken(ALL))
def test_no_event_makes_an_exception_of_another_kind(events: list[Any]) -> None:
    body = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)
    decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
    found: list[LLMChunk] = []
    try:
        for chunk in decoder.feed(body):
            found.append(chunk)  # noqa: PERF402 - what came before the error counts
        found.extend(decoder.finish())
    except BackendError as e:
        assert str(e)
    close_open_parts(accumulate(found)).message.to_json()


@given(broken({"type": "message", "content": BLOCKS, "stop_reason": "tool_use", "usage": {"a": 1}}))
def test_no_body_makes_an_exception_of_another_kind(body: Any) -> None:
    try:
        ADAPTER.parse_response(json.dumps(body).encode(), REQUEST, PROVIDER).message.to_json()
    except BackendError as e:
        assert str(e)
