"""Replies of Chat Completions: every shape a delta comes in, streamed and whole."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.adapters.openai import OpenAIAdapter
from llmwire.adapters.openai.usage import STOP_WORDS, usage_of
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import (
    AuthenticationError,
    BackendError,
    DecodeError,
    IncompleteStreamError,
    RateLimitError,
    StreamError,
)
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.request import LLMRequest
from llmwire.types import (
    AudioPart,
    BytesSource,
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
    StopInfo,
    TextPart,
    ToolCall,
    UrlSource,
    accumulate,
)

PROVIDER = ProviderConfig("p", "http://127.0.0.1:1/v1")
REQUEST = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "q"),), stream=True)
DONE = b"data: [DONE]\n\n"
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
CALLS = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "r1", "model": "m-1", "choices": [{"index": 0, "delta": fields,
            "finish_reason": finish}]}  # fmt: skip


def stream(*events: Any, end: bytes = DONE) -> bytes:
    return b"".join(e if isinstance(e, bytes) else event(e) for e in events) + end


def chunks_of(
    data: bytes, provider: ProviderConfig = PROVIDER
) -> tuple[list[LLMChunk], BackendError | None]:
    decoder = OpenAIAdapter().stream_decoder(REQUEST, provider)
    chunks: list[LLMChunk] = []
    try:
        for source in (lambda: decoder.feed(data), decoder.finish):
            for chunk in source():
                chunks.append(chunk)  # noqa: PERF402 - an error may come in the middle
    except BackendError as e:
        return chunks, e
    return chunks, None


def read(*events: Any, end: bytes = DONE, provider: ProviderConfig = PROVIDER) -> LLMChunk:
    chunks, error = chunks_of(stream(*events, end=end), provider)
    assert error is None, error
    reply = accumulate(chunks)
    assert not any(isinstance(p, PartDelta) for p in reply.message.parts)
    return reply


def failure(*events: Any, end: bytes = b"", provider: ProviderConfig = PROVIDER) -> BackendError:
    chunks, error = chunks_of(stream(*events, end=end), provider)
    assert error is not None
    error.partial = close_open_parts(accumulate(chunks))
    return error


def whole(value: Any, provider: ProviderConfig = PROVIDER) -> LLMChunk:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return OpenAIAdapter().parse_response(body, REQUEST, provider)


def message(finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    return {"id": "r1", "model": "m-1", "choices": [{"index": 0, "message": fields,
            "finish_reason": finish}]}  # fmt: skip


def native(payload: Any = None) -> Native:
    return Native("openai", "p", "m", payload)


def call(call_id: str | None, name: str, arguments: str, **more: Any) -> ToolCall:
    return ToolCall(call_id, FunctionCall(name, arguments), **more)


def piece(index: int | None = None, call_id: Any = ..., name: Any = ..., arguments: Any = ...,
          **more: Any) -> dict[str, Any]:  # fmt: skip
    """A fragment of a tool call; `...` leaves a field out."""
    function = {"name": name, "arguments": arguments}
    out: dict[str, Any] = {"index": index, "id": call_id, "type": "function",
                           "function": {k: v for k, v in function.items() if v is not ...}}  # fmt: skip
    if index is None:
        del out["index"]
    return {**{k: v for k, v in out.items() if v is not ...}, **more}


# --- tool calls ---

A, B = '{"a":1}', '{"b":2}'
TOOL_STREAMS: dict[str, tuple[list[list[dict[str, Any]]], list[Part]]] = {
    "indexed": (
        [[piece(0, "x", "f", "")], [piece(0, arguments='{"a"')], [piece(0, arguments=":1}")]],
        [call("x", "f", A)],
    ),
    "two in turn": (
        [[piece(0, "x", "f", A)], [piece(1, "y", "g", "")], [piece(1, arguments=B)]],
        [call("x", "f", A), call("y", "g", B)],
    ),
    "interleaved": (
        [
            [piece(0, "x", "f", '{"a"'), piece(1, "y", "g", '{"b"')],
            [piece(1, arguments=":2}")],
            [piece(0, arguments=":1}")],
        ],
        [call("x", "f", A), call("y", "g", B)],
    ),
    "no index, ids": (
        [[piece(None, "x", "f", A)], [piece(None, "y", "f", B)]],
        [call("x", "f", A), call("y", "f", B)],
    ),
    "no index, one id goes on": (
        [[piece(None, "x", "f", '{"a"')], [piece(None, "x", arguments=":1}")]],
        [call("x", "f", A)],
    ),
    "no index, no id": (
        [[piece(None, ..., "f", '{"a"')], [piece(None, arguments=":1}")]],
        [call(None, "f", A)],
    ),
    "no index, no id, several in one delta": (
        [[piece(None, "", "f", A), piece(None, "", "f", B), piece(None, "", "g", A)]],
        [call(None, "f", A), call(None, "f", B), call(None, "g", A)],
    ),
    "several at one index": (
        [[piece(0, "x", "f", A)], [piece(0, "y", "f", B)], [piece(0, "z", "g", A)]],
        [call("x", "f", A), call("y", "f", B), call("z", "g", A)],
    ),
    "ids that change with every piece": (
        [[piece(0, "x", "f", '{"a"')], [piece(0, "y", arguments=":")], [piece(0, "z", "f", "1}")]],
        [call("x", "f", A)],
    ),
    "late id": (
        [[piece(0, ..., "f", "")], [piece(0, "x", arguments=A)]],
        [call("x", "f", A)],
    ),
    "late id without index": (
        [[piece(None, ..., "f", "")], [piece(None, "x", ..., A)]],
        [call("x", "f", A)],
    ),
    "late name": (
        [[piece(0, "x", None, "")], [piece(0, ..., "f", A)]],
        [call("x", "f", A)],
    ),
    "repeated name": (
        [[piece(0, "x", "f", '{"a"')], [piece(0, "x", "f", ":1}")]],
        [call("x", "f", A)],
    ),
    "nulls": (
        [[piece(0, "x", "f", None)], [piece(0, None, None, A, type=None)],
         [{"index": 0, "function": None}]],
        [call("x", "f", A)],
    ),
    "ids that are none": (
        [[piece(0, "", "f", A), piece(1, "null", "g", B)]],
        [call(None, "f", A), call(None, "g", B)],
    ),
    "a number for an id": ([[piece(0, 7, "f", A)]], [call("7", "f", A)]),
    "an object for arguments": ([[piece(0, "x", "f", {"a": 1})]], [call("x", "f", A)]),
    "arguments that never come": ([[piece(0, "x", "f")]], [call("x", "f", "")]),
    "arguments with white space": ([[piece(0, "x", "f", ' {"a": 1}\n')]], [call("x", "f", ' {"a": 1}\n')]),
    "no type": ([[{"index": 0, "id": "x", "function": {"name": "f", "arguments": A}}]], [call("x", "f", A)]),
    "custom": (
        [
            [{"index": 0, "id": "x", "type": "custom", "custom": {"name": "sql", "input": "SEL"}}],
            [{"index": 0, "custom": {"input": "ECT"}, "type": "custom"}],
        ],
        [call("x", "sql", "SELECT", kind="custom")],
    ),
    "an empty custom beside a function": (
        [[piece(0, "x", "f", A, custom={"name": "", "input": ""})]],
        [call("x", "f", A)],
    ),
    "extra content": (
        [[piece(0, "x", "f", A, extra_content={"google": {"thought_signature": "s"}})]],
        [call("x", "f", A, native=native({"extra_content": {"google": {"thought_signature": "s"}}}))],
    ),
    "no JSON": ([[piece(0, "x", "f", '{"a')]], [IncompleteToolCall("x", "f", '{"a', "invalid_json")]),
    "no object": ([[piece(0, "x", "f", "[1]")]], [IncompleteToolCall("x", "f", "[1]", "invalid_json")]),
    "no name": ([[piece(0, "x", ..., A)]], [IncompleteToolCall("x", "", A, "invalid_json")]),
    "a null among them": ([[None, piece(0, "x", "f", A)]], [call("x", "f", A)]),  # type: ignore[list-item]
}  # fmt: skip


@pytest.mark.parametrize("name", TOOL_STREAMS)
def test_tool_calls(name: str) -> None:
    deltas, parts = TOOL_STREAMS[name]
    reply = read(*[delta(tool_calls=d) for d in deltas], CALLS)
    assert list(reply.message.parts) == parts
    assert reply.stop == StopInfo("tool_calls", "tool_calls")
    # In one delta, and as a whole answer, the pieces mean the same.
    together = [p for d in deltas for p in d]
    assert read(delta(tool_calls=together), CALLS).message == reply.message
    assert whole(message("tool_calls", tool_calls=together)).message == reply.message


def test_the_old_function_call() -> None:
    events = [delta(function_call={"name": "f", "arguments": '{"a"'}),
              delta(function_call={"arguments": ":1}"}), delta("function_call")]  # fmt: skip
    reply = read(*events)
    assert reply.message.parts == (call(None, "f", A),)
    assert reply.stop == StopInfo("tool_calls", "function_call")
    assert read(delta("stop", content="a", function_call={"name": "", "arguments": ""})).text == "a"


@pytest.mark.parametrize(
    ("arguments", "word", "reason"),
    [
        ('{"a', "length", "length"),
        ("", "length", "length"),
        ('{"a', "content_filter", "content_filter"),
        ('{"a', "model_length", "length"),
        ('{"a":1}', "length", "length"),  # gateways close what was cut
        ("", "tool_calls", None),
    ],
)
def test_calls_that_the_stop_cut_short(arguments: str, word: str, reason: Any) -> None:
    reply = read(
        delta(tool_calls=[piece(0, "x", "f", A), piece(1, "y", "g", arguments)]), delta(word)
    )
    first, second = reply.message.parts
    assert first == call("x", "f", A)
    if reason is None:
        assert second == call("y", "g", arguments)
    else:
        assert second == IncompleteToolCall("y", "g", arguments, reason)


# --- content ---


def test_text_is_one_part() -> None:
    reply = read(delta(role="assistant", content=""), delta(content="a"), delta(content="b"), STOP)
    assert reply == LLMChunk(
        LLMMessage("assistant", "ab"), None, StopInfo("stop", "stop"), "r1", "m-1"
    )


def test_the_first_chunk_names_reply_and_model() -> None:
    chunks, _ = chunks_of(stream(delta(role="assistant", content=""), delta(content="a"), STOP))
    assert (chunks[0].response_id, chunks[0].model) == ("r1", "m-1")
    assert all(c.response_id is None and c.model is None for c in chunks[1:])
    assert all(c != LLMChunk() for c in chunks)


def test_empty_deltas_make_no_chunk() -> None:
    some = chunks_of(stream(delta(content="a"), STOP))[0]
    empty = [delta(content=""), delta(), delta(content=None, role="assistant"),
             {"choices": []}, {"choices": None}, {"choices": [None]}, {"choices": [{}]}, {}]  # fmt: skip
    more = chunks_of(stream(delta(content="a"), *empty, STOP))[0]
    assert more == some


def test_the_order_within_a_delta() -> None:
    reply = read(
        delta(tool_calls=[piece(0, "x", "f", A)], content="t", reasoning_content="r", refusal="n"),
        STOP,
    )
    assert [type(p) for p in reply.message.parts] == [
        ReasoningPart, TextPart, RefusalPart, ToolCall,
    ]  # fmt: skip


def test_content_in_blocks() -> None:
    reference = {"type": "reference", "reference_ids": [1]}
    reply = read(delta("stop", content=[{"type": "text", "text": "a"}, "b", reference,
                                        {"type": "text", "text": "c"}, 7]))  # fmt: skip
    assert reply.message.parts == (
        TextPart("ab"),
        OpaquePart("reference", '{"type":"reference","reference_ids":[1]}', native()),
        TextPart("c"),
    )


def test_refusals() -> None:
    reply = read(delta(refusal="I "), delta(refusal="won't."), STOP)
    assert reply.message.parts == (RefusalPart("I won't.", native()),)
    assert reply.stop == StopInfo("refusal", "stop")
    assert whole(message(content=None, refusal="I won't.")) == reply
    assert read(delta(content="ok", refusal=""), STOP).stop == StopInfo("stop", "stop")


def test_annotations_become_citations() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://h"}}
    for reply in (
        read(delta(content="see"), delta(annotations=[cited]), STOP),
        whole(message(content="see", annotations=[cited])),
    ):
        assert reply.message.parts == (TextPart("see", (cited,)),)
    assert read(delta(annotations=[cited]), STOP).message.parts == (TextPart("", (cited,)),)


def test_sound() -> None:
    reply = read(
        delta(audio={"id": "a1", "transcript": "he"}),
        delta(audio={"data": "aGU=", "transcript": "llo"}),
        delta(audio={"data": "bGxv", "expires_at": 9}),
        STOP,
    )
    sound = AudioPart(
        BytesSource(b"hello", "audio/wav"), "wav", "hello", native({"id": "a1", "expires_at": 9})
    )
    assert reply.message.parts == (sound,)
    one = {"id": "a1", "data": "aGVsbG8=", "transcript": "hello", "expires_at": 9}
    assert whole(message(audio=one)).message.parts == (sound,)
    assert whole(
        message(content="a", audio={"id": "", "data": "", "transcript": ""})
    ).message.parts == (TextPart("a"),)
    assert isinstance(failure(delta("stop", audio={"data": "!"}), end=DONE), DecodeError)


def test_images() -> None:
    images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
              {"type": "image_url", "image_url": {"url": "https://h/i.png"}}, {"type": "?"}]  # fmt: skip
    assert whole(message(content="a", images=images)).message.parts == (
        TextPart("a"),
        ImagePart(BytesSource(b"png", "image/png"), native=native()),
        ImagePart(UrlSource("https://h/i.png"), native=native()),
    )


def test_of_several_answers_the_first_is_kept() -> None:
    def both(n: int, text: str, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": n, "delta": {"content": text}, "finish_reason": finish}]}

    reply = read(
        both(1, "x"), both(0, "a"), both(2, "y"), both(0, "b", "stop"), both(1, "z", "length")
    )
    assert reply.text == "ab" and reply.stop == StopInfo("stop", "stop")
    (record,) = reply.adaptations
    assert (record.path, record.action, record.before) == ("choices", "dropped", 3)


def test_one_message_in_several_choices_without_index() -> None:
    reply = whole({"choices": [
        {"finish_reason": "tool_calls", "message": {"content": "look"}},
        {"finish_reason": "tool_calls", "message": {"tool_calls": [piece(None, "x", "f", A)]}},
    ]})  # fmt: skip
    assert reply.message.parts == (TextPart("look"), call("x", "f", A))
    assert [(r.action, r.before) for r in reply.adaptations] == [("moved", 2)]


def test_escaped_lone_surrogates() -> None:
    data = stream(b'data: {"choices":[{"delta":{"content":"\\ud83d!"}}]}\n\n', STOP)
    chunks, error = chunks_of(data)
    assert error is None and accumulate(chunks).text == "\ufffd!"


# --- reasoning ---


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
def test_reasoning_fields(field: str) -> None:
    reply = read(delta(**{field: "h"}), delta(**{field: "m"}), delta(content="a"), STOP)
    assert reply.message.parts == (
        ReasoningPart("hm", native=native({"field": field})), TextPart("a"),
    )  # fmt: skip
    assert whole(message(content="a", **{field: "hm"})).message == reply.message


def test_two_fields_with_the_same_text_are_one() -> None:
    reply = read(delta(reasoning="hm", reasoning_content="hm"), delta(content="a"), STOP)
    assert reply.reasoning == "hm"
    assert reply.message.parts[0].native == native({"field": "reasoning_content"})


def test_the_providers_own_field_goes_first() -> None:
    ours = replace(PROVIDER, reasoning_field_name="thoughts")
    reply = read(delta(thoughts="hm", reasoning="no"), STOP, provider=ours)
    assert reply.reasoning == "hm"
    assert reply.message.parts[0].native == native({"field": "thoughts"})
    assert read(delta(reasoning="hm"), STOP, provider=ours).reasoning == "hm"
    ours = replace(PROVIDER, reasoning_field_name="reasoning")
    assert read(delta(reasoning="a", reasoning_content="b"), STOP, provider=ours).reasoning == "a"


def entry(text: str | None = None, **more: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "reasoning.text", "index": 0, "format": None}
    return {**out, **({} if text is None else {"text": text}), **more}


def test_reasoning_details_are_kept_whole_and_joined_over_deltas() -> None:
    reply = read(
        delta(reasoning="h", reasoning_details=[entry("h")]),
        delta(reasoning="m", reasoning_details=[entry("m")]),
        delta(reasoning_details=[entry(signature="sig")]),
        delta(content="a"),
        STOP,
    )
    details = [{**entry("hm"), "signature": "sig"}]
    payload = {"field": "reasoning", "details": details}
    thought = ReasoningPart("hm", signature="sig", native=native(payload))
    assert reply.message.parts == (thought, TextPart("a"))
    assert (
        whole(message(content="a", reasoning="hm", reasoning_details=details)).message
        == reply.message
    )


def test_reasoning_details_alone() -> None:
    reply = read(delta(reasoning_details=[entry("h")]), delta(reasoning_details=[entry("m")]), STOP)
    assert reply.reasoning == "hm"
    payload = {"field": "reasoning_details", "details": [entry("hm")]}
    assert reply.message.parts[0].native == native(payload)


def test_entries_side_by_side_are_parts_of_their_own() -> None:
    details = [
        {"type": "reasoning.summary", "summary": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "d1", "index": 0},
        {"type": "reasoning.summary", "summary": "t", "index": 1},
        {"type": "reasoning.encrypted", "data": "d2", "index": 1},
        {"type": "reasoning.summary", "summary": "u", "index": 1},
    ]

    def kept(*entries: Any) -> Native:
        return native({"field": "reasoning", "details": list(entries)})

    parts = (
        ReasoningPart("s", "summary", native=kept(details[0])),
        ReasoningPart("", "encrypted", data="d1", native=kept(details[1])),
        ReasoningPart("t", "summary", native=kept(details[2])),
        ReasoningPart("", "encrypted", data="d2", native=kept(details[3])),
        ReasoningPart("u", "summary", native=kept(details[4])),
    )
    one = whole(message(reasoning="stu", reasoning_details=details))
    assert one.message.parts == parts
    several = [delta(reasoning=d.get("summary"), reasoning_details=[d]) for d in details]
    assert read(*several, STOP).message.parts == parts


def test_a_text_that_the_details_do_not_repeat() -> None:
    details = [{"type": "reasoning.encrypted", "data": "d"}]
    reply = whole(message(reasoning="visible", reasoning_details=details))
    assert [(p.text, p.kind) for p in reply.message.parts] == [
        ("visible", "full"),
        ("", "encrypted"),
    ]


def test_opaque_reasoning_after_the_text() -> None:
    reply = read(delta(reasoning_text="hm"), delta(content="a"),
                 delta("tool_calls", reasoning_opaque="o", tool_calls=[piece(0, "x", "f", A)]))  # fmt: skip
    kinds = [type(p) for p in reply.message.parts]
    assert kinds == [ReasoningPart, TextPart, ReasoningPart, ToolCall]
    payload = {"field": "reasoning_text", "reasoning_opaque": "o"}
    assert reply.message.parts[2] == ReasoningPart("", native=native(payload))


# --- stops ---


@pytest.mark.parametrize(
    ("word", "reason"), [*STOP_WORDS.items(), ("STOP", "stop"), ("moon", "other")]
)
def test_stop_words(word: str, reason: str) -> None:
    if reason == "error":
        error = failure(delta(content="a"), delta(word), end=DONE)
        assert type(error) is not IncompleteStreamError and isinstance(error, StreamError)
        assert word in str(error)
        assert error.partial is not None and error.partial.text == "a"
        assert error.partial.stop == StopInfo("error", word)
        return
    assert read(delta(content="a"), delta(word)).stop == StopInfo(reason, word)  # type: ignore[arg-type]
    assert whole(message(word, content="a")).stop == StopInfo(reason, word)  # type: ignore[arg-type]


def test_whole_calls_make_it_a_stop_for_calls() -> None:
    calls = [piece(0, "x", "f", A)]
    assert read(delta(tool_calls=calls), STOP).stop == StopInfo("tool_calls", "stop")
    assert read(delta("stop", tool_calls=calls)).stop == StopInfo("tool_calls", "stop")
    assert read(delta(tool_calls=calls)).stop == StopInfo("tool_calls", None)
    broken = [piece(0, "x", "f", '{"a')]
    assert read(delta(tool_calls=broken), STOP).stop == StopInfo("stop", "stop")


def test_empty_and_repeated_words() -> None:
    reply = read(delta("", content="a"), delta("stop", content="b"), delta("", content="c"), STOP)
    assert reply.text == "abc" and reply.stop == StopInfo("stop", "stop")
    assert read(delta("stop", content="a"), delta("length")).stop == StopInfo("length", "length")


def test_no_word_at_all() -> None:
    assert read(delta(content="a")).stop == StopInfo("other", None)
    assert whole(message(None, content="a")).stop == StopInfo("other", None)
    assert whole({"choices": [{"finish_reason": "stop"}]}).stop == StopInfo("stop", "stop")


# --- usage ---

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
KNOWN = LLMUsage(10, 4, raw=USAGE)


@pytest.mark.parametrize(
    "events",
    [
        [delta(content="a"), {**STOP, "usage": USAGE}],
        [delta(content="a"), STOP, {"choices": [], "usage": USAGE}],
        [{**delta(content="a"), "usage": {"prompt_tokens": 10}}, {**STOP, "usage": USAGE}],
        [{**delta(content="a"), "usage": USAGE}, {**STOP, "usage": None}, {**STOP, "usage": USAGE}],
        [delta(content="a"), {"choices": [{**STOP["choices"][0], "usage": USAGE}]}],
        [delta(content="a"), {**STOP, "x_groq": {"id": "r", "usage": USAGE}}],
        [delta(content="a"), STOP, {"choices": [], "usage": {**USAGE, "x": None, "y": None}}],
    ],
)
def test_where_usage_comes_from(events: list[Any]) -> None:
    assert read(*events).usage == KNOWN


def test_absent_usage_is_unknown() -> None:
    assert read(delta(content="a"), STOP).usage is None
    assert read(delta(content="a"), {**STOP, "usage": {}}).usage is None
    assert read(delta(content="a"), {**STOP, "usage": {"prompt_tokens": None}}).usage is None
    early = read({**delta(content="a"), "usage": USAGE}, STOP).usage
    assert early is not None and early.provenance == "partial"


COUNTS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"prompt_tokens_details": {"cached_tokens": 3}}, {"cache_read": 3, "input_uncached": 7}),
    ({"prompt_token_details": {"cached_tokens": 3}}, {"cache_read": 3, "input_uncached": 7}),
    ({"cached_tokens": 3}, {"cache_read": 3, "input_uncached": 7}),
    ({"prompt_cache_hit_tokens": 3}, {"cache_read": 3, "input_uncached": 7}),
    ({"num_cached_tokens": 0}, {"cache_read": 0, "input_uncached": 10}),
    (
        {"prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2}},
        {"cache_read": 3, "cache_write": 2, "input_uncached": 5},
    ),
    ({"cache_creation_input_tokens": 2}, {"cache_write": 2}),
    ({"completion_tokens_details": {"reasoning_tokens": 3}}, {"reasoning": 3}),
    ({"reasoning_tokens": 3}, {"reasoning": 3}),
    (
        {"total_tokens": 19, "completion_tokens_details": {"reasoning_tokens": 5}},
        {"reasoning": 5, "output_total": 9},
    ),
    ({"prompt_tokens": "10"}, {"input_total": None}),
    ({"prompt_tokens_details": 5, "completion_tokens_details": None}, {}),
]


@pytest.mark.parametrize(("more", "counts"), COUNTS)
def test_usage_counts(more: dict[str, Any], counts: dict[str, Any]) -> None:
    usage = usage_of({**USAGE, **more})
    assert usage is not None
    told = {"input_total": 10, "output_total": 4, **counts}
    names = ("input_total", "output_total", "input_uncached", "cache_read", "cache_write",
             "reasoning")  # fmt: skip
    assert {n: getattr(usage, n) for n in names} == {n: told.get(n) for n in names}


def test_reasoning_beside_the_output() -> None:
    raw = {"prompt_tokens": 1, "completion_tokens": 2, "reasoning_tokens": 3}
    inside, outside = usage_of(raw), usage_of(raw, reasoning_outside_output=True)
    assert inside is not None and inside.output_total == 2
    assert outside is not None and outside.output_total == 5
    told = usage_of({**raw, "total_tokens": 3}, reasoning_outside_output=True)
    assert told is not None and told.output_total == 2


def test_nulls_are_left_out_of_the_raw_object() -> None:
    usage = usage_of({**USAGE, "a": None, "b": {"c": None, "d": 1}, "e": [{"f": None}]})
    assert usage is not None and usage.raw == {**USAGE, "b": {"d": 1}, "e": [{}]}


# --- errors inside a 200 ---

SLOW = {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
IN_STREAM: dict[str, bytes] = {
    "data": event({"error": SLOW}),
    "event": b"event: error\n" + event({"error": SLOW}),
    "bare event": b"event: error\n" + event(SLOW),
    "beside a choice": event({**delta(), "error": SLOW}),
    "in the choice": event({"choices": [{"index": 0, "delta": {}, "error": SLOW}]}),
    "groq": event({"choices": [], "x_groq": {"error": SLOW}}),
    "list": event([{"error": SLOW}]),
    "stray": json.dumps({"error": SLOW}).encode() + b"\n",
    "object error": event({"object": "error", **SLOW}),
}


@pytest.mark.parametrize("name", IN_STREAM)
def test_errors_in_a_stream(name: str) -> None:
    for before in ([], [delta(content="a")]):
        error = failure(*before, IN_STREAM[name], STOP, end=DONE)
        assert isinstance(error, StreamError) and isinstance(error, RateLimitError)
        assert error.provider_message == "slow down"
        assert (error.status, error.phase, error.provider, error.model) == (200, "stream", "p", "m")
        assert error.partial is not None and error.partial.text == ("a" if before else "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"error": "no credits"}, "no credits"),
        ({"error": ["a", "b"]}, "a"),
        (
            {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}},
            "login",
        ),
        ({"message": "Unauthorized", "request_id": "1"}, "Unauthorized"),
        ({"choices": "?", "error": {"message": "odd"}}, "odd"),
        (
            [{"error": {"code": 400, "message": "from a list", "status": "INVALID_ARGUMENT"}}],
            "list",
        ),
    ],
)
def test_errors_in_odd_forms(value: Any, text: str) -> None:
    for error in (failure(value), _whole_failure(value)):
        assert isinstance(error, StreamError) and not isinstance(error, IncompleteStreamError)
        assert text in str(error)


def _whole_failure(value: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        whole(value)
    return caught.value


def test_falsy_errors_are_none() -> None:
    for nothing in (None, {}, "", False, []):
        assert read({**delta(content="a"), "error": nothing}, STOP).text == "a"
    fine = {"base_resp": {"status_code": 0, "status_msg": ""}}
    assert read({**delta(content="a"), **fine}, STOP).text == "a"


def test_an_error_with_content_keeps_what_came_with_it() -> None:
    error = failure({**delta("length", content="a"), "usage": USAGE, "error": SLOW})
    assert error.partial is not None
    assert error.partial.text == "a" and error.partial.usage == KNOWN
    assert error.partial.stop == StopInfo("length", "length")
    with pytest.raises(RateLimitError) as caught:
        whole({**message(content="a"), "error": SLOW})
    assert caught.value.partial is not None and caught.value.partial.text == "a"


def test_http_errors() -> None:
    body = json.dumps({"error": {"message": "bad key", "code": "invalid_api_key"}}).encode()
    error = OpenAIAdapter().parse_error(401, {"x-request-id": "r"}, body, REQUEST, PROVIDER)
    assert isinstance(error, AuthenticationError)
    assert (error.provider, error.api, error.model, error.request_id) == ("p", "openai", "m", "r")


# --- the end ---

NEEDS_DONE = replace(PROVIDER, dialect=Dialect(stream_end="done"))


@pytest.mark.parametrize(
    "mark", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data:  [DONE] \n\n", b"data: [ DONE ]\n\n",
             b"data: [DONE]\r\n\r\n", b"data: [DONE]", b"data: [done]\n\n", DONE + DONE],
)  # fmt: skip
def test_the_mark_of_the_end(mark: bytes) -> None:
    assert read(delta(content="a"), STOP, end=mark, provider=NEEDS_DONE).text == "a"


def test_what_proves_the_end() -> None:
    text = delta(content="a")
    assert read(text, STOP, end=b"").text == "a"
    for events, provider in (
        ([text], PROVIDER),
        ([text, STOP], NEEDS_DONE),
        ([], PROVIDER),
        ([delta(role="assistant", content="")], PROVIDER),
    ):
        error = failure(*events, provider=provider)
        assert isinstance(error, IncompleteStreamError) and error.retryable
        assert error.provider == "p"
    for nothing in ([], [delta(role="assistant", content="")]):
        assert isinstance(failure(*nothing, end=DONE), IncompleteStreamError)
    assert read({"choices": [], "usage": USAGE}).usage == KNOWN


def test_what_comes_after_the_end_is_not_read() -> None:
    assert read(delta(content="a"), STOP, DONE, delta(content="b"), b"data: {oops\n\n").text == "a"


def test_content_after_the_finish_reason_belongs_to_the_reply() -> None:
    reply = read(delta("stop", content="a"), delta(content="b"))
    assert reply.text == "ab" and reply.stop == StopInfo("stop", "stop")


def test_half_an_event_at_the_end() -> None:
    for tail in (b'data: {"choices":[{"del', b"data: [DO", b'{"error": {"mess'):
        assert isinstance(failure(delta(content="a"), STOP, end=tail), IncompleteStreamError)


def test_calls_of_a_cut_stream_are_incomplete() -> None:
    error = failure(delta(tool_calls=[piece(0, "x", "f", A)]))
    assert error.partial is not None
    assert error.partial.message.parts == (IncompleteToolCall("x", "f", A, "cut"),)


# --- bodies of another kind ---


def test_a_server_that_ignores_stream() -> None:
    body = json.dumps(message(content="a"), indent=2).encode()
    chunks, error = chunks_of(body)
    assert error is None and accumulate(chunks) == whole(message(content="a"))
    _, error = chunks_of(json.dumps({"error": SLOW}).encode())
    assert isinstance(error, RateLimitError)
    _, error = chunks_of(body[:-3])
    assert isinstance(error, IncompleteStreamError)


def test_a_server_that_streams_unasked() -> None:
    data = stream(delta(content="a"), STOP)
    assert whole(data).text == "a"
    with pytest.raises(IncompleteStreamError):
        whole(stream(delta(content="a"), end=b""))


@pytest.mark.parametrize("page", [b"<html><body>502</body></html>", b"\n<!doctype html>\n<p>x\n"])
def test_pages(page: bytes) -> None:
    _, error = chunks_of(page)
    assert isinstance(error, DecodeError) and "api_base" in str(error)
    _, error = chunks_of(stream(delta(content="a"), page, end=b""))
    assert isinstance(error, DecodeError)
    with pytest.raises(DecodeError):
        whole(page)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"7", b"no", b'{"choices":[]}',
                                  b'{"choices":{}}', b'{"choices":[{"message":7}]}', b"\xff",
                                  b'{"choices":[{"index":0,"message":{"content":{}}}]}'])  # fmt: skip
def test_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        whole(body)
    assert caught.value.provider == "p"


def test_a_message_without_choices() -> None:
    assert whole({"message": {"role": "assistant", "content": "a"}}).text == "a"


def test_an_event_that_is_not_json() -> None:
    error = failure(delta(content="a"), b"data: {oops}\n\n")
    assert isinstance(error, DecodeError) and error.body_excerpt == "{oops}"


def test_keepalives_are_counted() -> None:
    decoder = OpenAIAdapter().stream_decoder(REQUEST, PROVIDER)
    list(
        decoder.feed(
            b": PROCESSING\n\n: PROCESSING\n\n" + event({"choices": []}) + event(delta(content="a"))
        )
    )
    assert decoder.keepalives == 3


# --- any cut ---

STREAMS = {
    "text": stream(delta(role="assistant", content=""), delta(content="é\u2028"), delta(content="b"), STOP),
    "calls": stream(*[delta(tool_calls=d) for d in TOOL_STREAMS["interleaved"][0]], CALLS),
    "reasoning": stream(
        b": ping\n\n", delta(reasoning="h", reasoning_details=[entry("h")]),
        delta(reasoning_details=[entry(signature="s")]), delta(content="a"),
        {**STOP, "usage": USAGE},
    ),
    "error": stream(delta(content="a"), {"error": SLOW}),
    "json": json.dumps(message(content="a")).encode(),
    "cut": stream(delta(content="a"), end=b'data: {"cho'),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
@given(places=st.lists(st.integers(0, 2000), max_size=6))
def test_any_cut_gives_the_same_sum(name: str, places: list[int]) -> None:
    data = STREAMS[name]
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    decoder = OpenAIAdapter().stream_decoder(REQUEST, PROVIDER)
    builder, error = ChunkBuilder(), None
    try:
        for a, b in pairwise(edges):
            for chunk in decoder.feed(data[a:b]):
                builder.add(chunk)
        for chunk in decoder.finish():
            builder.add(chunk)
    except BackendError as e:
        error = e
    chunks, expected = chunks_of(data)
    assert builder.result() == accumulate(chunks)
    assert (type(error), str(error)) == (type(expected), str(expected))
