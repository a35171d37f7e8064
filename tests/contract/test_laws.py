"""The laws, each over every wire and every case. What a law says stands in its test's docstring."""

from __future__ import annotations

import contextlib
import functools
import operator
import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.errors import (
    BackendError,
    IncompleteStreamError,
    OverloadedError,
    StreamError,
    UnsupportedError,
)
from llmwire.eventstream import event_frame
from llmwire.types import (
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    PartDelta,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    accumulate,
    to_json,
)

from .cases import (
    BINARY,
    CACHELESS,
    ENDING,
    HISTORIES,
    OBJECTS,
    QUESTION,
    REPLIES,
    SIGNING,
    TOOLS,
    WIRES,
    model,
    provider,
    request,
)
from .support import (
    chunks_of,
    decode,
    decoded,
    edited,
    events_of,
    heard,
    open_parts,
    partial,
    ping_of,
)

each_wire = pytest.mark.parametrize("wire", WIRES)
each_reply = pytest.mark.parametrize("case", REPLIES)


def stream_of(wire: str, case: str, size: int = 5) -> tuple[list[bytes], object, object]:
    ours = provider(wire)
    asked = request(wire, stream=True, thinking="high")
    return events_of(REPLIES[case], heard(asked, ours), wire, size), asked, ours


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({p % (len(data) + 1) for p in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


# --- what is said is heard ---


@each_wire
@each_reply
def test_what_the_server_says_the_client_hears(wire: str, case: str) -> None:
    reply = REPLIES[case]
    events, asked, ours = stream_of(wire, case)
    got = decoded(events, asked, ours)
    said, parts = reply.message, got.message.parts
    assert got.message.content == said.content
    assert got.message.reasoning_content == said.reasoning_content
    assert [(c.id, c.name, c.parsed) for c in got.tool_calls] == [
        (c.id, c.name, c.parsed) for c in said.tool_calls
    ]
    assert [type(p) for p in parts] == [type(p) for p in said.parts]
    assert got.stop is not None and got.stop.reason == reply.stop.reason
    assert (
        (got.usage.input_total, got.usage.output_total, got.usage.cache_read)
        == (
            reply.usage.input_total,
            reply.usage.output_total,
            reply.usage.cache_read,
        )
        or case != "cached_usage"
        or wire in CACHELESS
    )
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (
        reply.usage.prompt_tokens,
        reply.usage.completion_tokens,
    )
    if wire in SIGNING:
        assert got.message.reasoning_signature == said.reasoning_signature


# --- law 1 ---


@each_wire
@each_reply
def test_split_invariance(wire: str, case: str) -> None:
    """The same bytes cut anywhere give the same sum."""
    events, asked, ours = stream_of(wire, case)
    data = b"".join(events)
    whole = decoded([data], asked, ours)
    assert decoded(events, asked, ours) == whole
    assert decoded((data[i : i + 1] for i in range(len(data))), asked, ours) == whole
    rnd = random.Random(case)
    for _ in range(5):
        places = [rnd.randrange(len(data) + 1) for _ in range(rnd.randrange(1, 9))]
        assert decoded(cut_at(data, places), asked, ours) == whole


@each_wire
@given(seed=st.integers(min_value=0, max_value=1000), named=st.booleans())
def test_event_types_and_errors_at_any_cut(wire: str, seed: int, named: bool) -> None:
    """Typed events, as some chat servers send them, and an error at the end."""
    events, asked, ours = stream_of(wire, "long_text", size=40)
    told = SERVER_HALVES[wire].prepare_stream_error(
        OverloadedError("busy", type="overloaded_error", status=529, provider_message="busy")
    )
    if named and events[0].startswith(b"data:"):
        events = [b"event: message\n" + e for e in events]
        told = b'event: error\ndata: {"message":"busy","type":"overloaded_error"}\n\n'
    data = b"".join([*events[:-2], told])
    whole, error = decode([data], asked, ours)
    rnd = random.Random(seed)
    places = [rnd.randrange(len(data) + 1) for _ in range(rnd.randrange(1, 30))]
    chunks, other = decode(cut_at(data, places), asked, ours)
    assert accumulate(chunks) == accumulate(whole)
    assert isinstance(error, OverloadedError) and type(other) is type(error)


@pytest.mark.parametrize("wire", [wire for wire in WIRES if wire not in BINARY])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(places=st.lists(st.integers(min_value=0, max_value=10_000), max_size=8))
def test_line_ends_and_any_cut(wire: str, end: bytes, places: list[int]) -> None:
    """LF, CRLF and CR mean the same, wherever the bytes are cut."""
    events, asked, ours = stream_of(wire, "odd_text", size=3)
    data = b"".join(events)
    other = data.replace(b"\n", end)
    assert decoded(cut_at(other, places), asked, ours) == decoded([data], asked, ours)


# --- law 2 ---


@each_wire
@each_reply
def test_truncation_is_an_error(wire: str, case: str) -> None:
    """A prefix without the terminal marker ends in IncompleteStreamError, at every event."""
    events, asked, ours = stream_of(wire, case)
    finished = next(
        n for n in range(1, len(events) + 1) if decode(events[:n], asked, ours)[1] is None
    )
    assert finished >= len(events) - 2  # the finish reason, usage and the marker are the end
    for n in range(finished):
        chunks, error = decode(events[:n], asked, ours)
        assert isinstance(error, IncompleteStreamError), n
        kept = partial(chunks).message
        assert (REPLIES[case].message.content or "").startswith(kept.content or "")


@each_wire
def test_truncation_inside_an_event(wire: str) -> None:
    events, asked, ours = stream_of(wire, "reasoning_and_calls")
    data = b"".join(events[:-3])
    for n in range(len(data)):
        chunks, error = decode([data[:n]], asked, ours)
        assert isinstance(error, BackendError), n
        assert not partial(chunks).tool_calls, n


# --- law 3 ---


@each_wire
@each_reply
def test_whole_and_streamed_mean_the_same(wire: str, case: str) -> None:
    """`complete` and the sum of the stream: equal messages, stop and usage."""
    ours = provider(wire)
    asked = request(wire, stream=True, thinking="high")
    listened = heard(asked, ours)
    streamed = decoded(events_of(REPLIES[case], listened, wire), asked, ours)
    body = SERVER_HALVES[wire].prepare_response(REPLIES[case], listened)
    whole = ADAPTERS[wire].parse_response(body, asked, ours)
    assert whole.message == streamed.message
    assert whole.stop == streamed.stop
    assert whole.usage == streamed.usage
    assert not open_parts(whole) and not open_parts(streamed)


# --- law 4 ---


@each_wire
@each_reply
def test_chunk_algebra(wire: str, case: str) -> None:
    """Any grouping of the chunks has the same sum; the empty chunk changes nothing."""
    events, asked, ours = stream_of(wire, case)
    chunks, error = decode(events, asked, ours)
    assert error is None
    total = accumulate(chunks)
    assert functools.reduce(operator.add, chunks) == total
    assert functools.reduce(lambda right, left: left + right, reversed(chunks)) == total
    middle = len(chunks) // 2
    assert accumulate(chunks[:middle]) + accumulate(chunks[middle:]) == total
    assert LLMChunk() + total == total + LLMChunk() == total


# --- law 5 ---


@each_wire
@each_reply
def test_own_replies_go_back_byte_exact(wire: str, case: str) -> None:
    """What a model said comes back to it: order, signatures, argument strings."""
    ours = provider(wire)
    events, asked, _ = stream_of(wire, case)
    reply = decoded(events, asked, ours)
    history = (QUESTION, reply.message, *_results(reply), LLMMessage("user", "Go on."))
    back = request(wire, history, thinking="high")
    prepared = ADAPTERS[wire].prepare_request(back, ours)
    returned = heard(back, ours).request.messages
    said = next(m for m in returned if m.role == "assistant")
    parts = [p for p in reply.message.parts if wire != "openai" or not isinstance(p, ReasoningPart)]
    heard_parts = [p for p in said.parts if wire != "openai" or not isinstance(p, ReasoningPart)]
    assert [_bare(p) for p in heard_parts] == [_bare(p) for p in parts]
    if reply.message.reasoning_content is not None:
        assert said.reasoning_content == reply.message.reasoning_content
    for call in reply.tool_calls:
        exact = call.arguments if wire in OBJECTS else msgspec.json.encode(call.arguments).decode()
        assert (exact or "{}").encode() in prepared.body


@each_wire
def test_the_next_turn_extends_the_last_byte_for_byte(wire: str) -> None:
    """Provider caches stay warm: the messages of turn n are a prefix of those of turn n + 1."""
    ours = provider(wire)
    dialect = msgspec.structs.replace(_dialect(ours), prompt_cache=False)
    ours = msgspec.structs.replace(ours, dialect=dialect)
    events, asked, _ = stream_of(wire, "reasoning_and_calls")
    reply = decoded(events, asked, ours)
    first = request(wire, (LLMMessage("system", "Be brief."), QUESTION), thinking="high")
    later = request(wire, (*first.messages, reply.message, *_results(reply)), thinking="high")
    one, two = (ADAPTERS[wire].prepare_request(r, ours).body for r in (first, later))
    assert b"Be brief." in one and one.endswith(b"}]}")  # the messages are the last field
    end = one.rindex(b"}]") + 1
    assert two[:end] == one[:end] and two[end:].startswith(b",")


def _dialect(ours):
    from llmwire.providers import dialect_of

    return dialect_of(ours)


@pytest.mark.parametrize("target", WIRES)
@pytest.mark.parametrize("origin", WIRES)
@each_reply
def test_handoff(origin: str, target: str, case: str) -> None:
    """A history made on one wire is taken by every other; no foreign state is sent."""
    events, asked, theirs = stream_of(origin, case)
    reply = decoded(events, asked, theirs)
    history = (QUESTION, reply.message, *_results(reply))
    if not reply.tool_calls:
        history = (*history, LLMMessage("user", "Go on."))
    ours = provider(target)
    moved = request(target, history, thinking="high")
    listened = heard(moved, ours)
    said = [m for m in listened.request.messages if m.role == "assistant"]
    assert [c.name for m in said for c in m.tool_calls] == [c.name for c in reply.tool_calls]
    if reply.text:
        assert any(reply.text in m.text for m in said)
    thoughts = [p for p in reply.message.parts if isinstance(p, ReasoningPart)]
    body = ADAPTERS[target].prepare_request(moved, ours).body
    for state in (s for p in thoughts for s in (p.signature, p.data) if s):
        assert (state.encode() in body) is (origin == target)
    results = [p for m in listened.request.messages for p in m.parts if hasattr(p, "call_id")]
    assert len(results) == len(reply.tool_calls)


@each_wire
@pytest.mark.parametrize("case", HISTORIES)
@pytest.mark.parametrize("stream", [False, True])
def test_every_history_is_taken_by_every_wire(wire: str, case: str, stream: bool) -> None:
    listened = heard(request(wire, HISTORIES[case], stream=stream), provider(wire))
    asked = listened.request
    assert asked.stream is stream
    assert [t.function.name for t in asked.tools] == [t.function.name for t in TOOLS]
    texts = [m.text for m in HISTORIES[case] if m.role == "user" and m.text.isascii()]
    assert all(any(t in m.text for m in asked.messages) for t in texts)


@each_wire
@pytest.mark.parametrize("case", HISTORIES)
def test_hearing_and_saying_again_is_stable(wire: str, case: str) -> None:
    """parse_request(prepare_request(r)) is a normal form: doing it twice changes nothing."""
    ours = provider(wire)
    once = heard(request(wire, HISTORIES[case]), ours).request
    again = msgspec.structs.replace(once, model=model(wire))
    assert heard(again, ours).request.messages == once.messages


# --- law 6 ---


@each_wire
def test_absent_usage_is_none(wire: str) -> None:
    reply = msgspec.structs.replace(REPLIES["text"], usage=None)
    ours, asked = provider(wire), request(wire, stream=True)
    listened = heard(asked, ours)
    events = list(SERVER_HALVES[wire].prepare_stream(chunks_of(reply), listened))
    got = decoded(events, asked, ours).usage
    assert got is None or (got.input_total is None and got.output_total is None)


UNKNOWN_EVENT = {
    "openai": b'data: {"object":"chat.completion.news","choices":[]}\n\n',
    "openai-responses": b'event: response.news\ndata: {"type":"response.news","item_id":7}\n\n',
    "reasoning": b'data: {"object":"chat.completion.news","choices":[]}\n\n',
    "anthropic": b'event: news\ndata: {"type":"news","payload":{"a":[1]}}\n\n',
    "vertex-anthropic": b'event: news\ndata: {"type":"news","payload":{"a":[1]}}\n\n',
    "gemini": b'data: {"news":[{"a":[1]}],"usageMetadata":null}\n\n',
    "vertex-gemini": b'data: {"news":[{"a":[1]}],"candidates":[{"index":0}]}\n\n',
    "ollama": b'{"model":"other","news":{"a":[1]},"done":false}\n',
    "bedrock-converse": event_frame("news", b'{"payload":{"a":[1]}}'),
    "bedrock-anthropic": event_frame("chunk", b'{"bytes":"eyJ0eXBlIjoibmV3cyIsImEiOlsxXX0="}'),
}


@each_wire
@each_reply
def test_unknown_events_change_nothing(wire: str, case: str) -> None:
    events, asked, ours = stream_of(wire, case)
    whole = decoded(events, asked, ours)
    for i in range(1, len(events) - 1):
        news = [
            *events[:i],
            UNKNOWN_EVENT[wire],
            ping_of(wire),
            *events[i:],
        ]
        assert decoded(news, asked, ours) == whole


@each_wire
def test_an_unknown_stop_word_is_kept(wire: str) -> None:
    events, asked, ours = stream_of(wire, "cut_by_length")
    for old in (b'"length"', b'"max_tokens"', b'"max_output_tokens"', b'"MAX_TOKENS"'):
        for key in (b'reason":', b'Reason":'):
            events = edited(wire, events, key + old, key + b'"moonlight"')
    got = decoded(events, asked, ours)
    assert got.stop == StopInfo("other", "moonlight")


# --- law 7 ---


@each_wire
@pytest.mark.parametrize("case", ["tool_call", "parallel_calls", "odd_arguments"])
def test_a_cut_tool_call_is_never_a_tool_call(wire: str, case: str) -> None:
    """However far its text had come, a call whose reply was cut is incomplete, by type."""
    events, asked, ours = stream_of(wire, case, size=1)
    for n in range(len(events)):
        chunks, error = decode(events[:n], asked, ours)
        if error is None:
            continue
        kept = partial(chunks).message
        assert wire in ENDING or not kept.tool_calls
        assert all(isinstance(p, ToolCall | IncompleteToolCall | TextPart) for p in kept.parts)
        for call in kept.tool_calls:
            assert isinstance(call.parsed, dict)


@each_wire
@pytest.mark.parametrize("arguments", ['{"city":"Ro', '["Rome"]', '"Rome"', '{"city":NaN}', "{}}"])
def test_arguments_that_are_no_object_make_no_call(wire: str, arguments: str) -> None:
    parts = (
        PartDelta(0, "tool_call", start=True, id="call00001", name="weather"),
        PartDelta(0, "tool_call", arguments),
        PartDelta(0, "tool_call", end=True),
    )
    reply = [LLMChunk(LLMMessage("assistant", parts=(p,))) for p in parts] + [
        LLMChunk(stop=StopInfo("tool_calls"))
    ]
    ours, asked = provider(wire), request(wire, stream=True)
    events = list(SERVER_HALVES[wire].prepare_stream(reply, heard(asked, ours)))
    got = decoded(events, asked, ours)
    assert got.tool_calls == ()
    if wire.endswith("gemini"):  # the service itself refuses such a call, and tells it in words
        assert got.stop is not None and got.stop.reason == "malformed_tool_call"
        assert arguments in got.stop.details["finishMessage"]
        return
    (call,) = got.message.incomplete_tool_calls
    assert (call.name, call.arguments, call.reason) == ("weather", arguments, "invalid_json")


@each_wire
def test_a_call_cut_by_the_output_limit_is_incomplete(wire: str) -> None:
    parts = (
        PartDelta(0, "tool_call", start=True, id="call00001", name="weather"),
        PartDelta(0, "tool_call", '{"city":"Ro'),
        PartDelta(0, "tool_call", end=True, incomplete="length"),
    )
    reply = [LLMChunk(LLMMessage("assistant", parts=(p,))) for p in parts] + [
        LLMChunk(stop=StopInfo("length"))
    ]
    ours, asked = provider(wire), request(wire, stream=True)
    events = list(SERVER_HALVES[wire].prepare_stream(reply, heard(asked, ours)))
    got = decoded(events, asked, ours)
    assert got.stop is not None and got.stop.reason == "length"
    (call,) = got.message.incomplete_tool_calls
    assert call.reason == "length"


# --- law 8 ---


@each_wire
@given(data=st.data())
def test_only_the_error_tree_leaves_a_decoder(wire: str, data: st.DataObject) -> None:
    """Whatever bytes come: a reply, or an error of the tree."""
    case = data.draw(st.sampled_from(sorted(REPLIES)))
    events, asked, ours = stream_of(wire, case)
    mangled = bytearray(b"".join(events))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mangled)))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "null", "swap"]))
        if how == "flip" and at < len(mangled):
            mangled[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del mangled[at : at + data.draw(st.integers(1, 40))]
        elif how == "insert":
            mangled[at:at] = data.draw(
                st.sampled_from([b"\n\n", b"data: ", b"null", b"{}", b"[]", b"\xff", b"\x00", b'"'])
            )
        elif how == "null":
            mangled = bytearray(bytes(mangled).replace(b'""', b"null", 1))
        else:
            mangled = bytearray(bytes(mangled).replace(b"{", b"[", 1))
    chunks, error = decode([bytes(mangled)], asked, ours)
    accumulate(chunks)
    assert error is None or isinstance(error, BackendError)


@each_wire
@given(body=st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"null", b'{"choices":null}',
       b'{"choices":[null]}', b'{"content":null}', b'{"choices":[{}]}', b'{"type":"message"}',
       b'{"error":null}', b'{"error":"no"}', b"[" * 5000, b'{"a":' * 5000]))  # fmt: skip
def test_only_the_error_tree_leaves_the_parsers(wire: str, body: bytes) -> None:
    ours, asked = provider(wire), request(wire)
    with contextlib.suppress(BackendError):
        ADAPTERS[wire].parse_response(body, asked, ours)
    for status in (301, 400, 404, 429, 500, 529, 799):
        error = ADAPTERS[wire].parse_error(status, {}, body, asked, ours)
        assert isinstance(error, BackendError) and str(error)
        assert error.status == status


# --- law 10 ---

SETTINGS: dict[str, tuple[dict[str, object], str]] = {
    "temperature": ({"temperature": 0.7}, "temperature"),
    "top_p": ({"top_p": 0.5}, "top_p"),
    "top_k": ({"top_k": 5}, "top_k"),
    "seed": ({"seed": 7}, "seed"),
    "stop": ({"stop": ("END",)}, "stop"),
    "max_tokens": ({"max_tokens": 4321}, "max_tokens"),
    "metadata": ({"metadata": {"user_id": "u-1", "team": "blue"}}, "metadata"),
    "parallel": ({"parallel_tool_calls": False}, "parallel_tool_calls"),
    "forced tool": ({"tool_choice": "required"}, "tool_choice"),
    "named tool": ({"tool_choice": TOOLS[0]}, "tool_choice"),
    "thinking": ({"thinking": "xhigh"}, "thinking"),
}


@each_wire
@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_adapted_invisibly(wire: str, name: str) -> None:
    """A setting reaches the server's half as it was asked, or there is a record of it."""
    options, path = SETTINGS[name]
    ours = provider(wire)
    asked = request(wire, **options)
    records = ADAPTERS[wire].prepare_request(asked, ours).adaptations
    got = getattr(heard(asked, ours).request, path)
    wanted = getattr(asked, path)
    if path == "tool_choice" and not isinstance(wanted, str):
        got, wanted = got and got.function.name, wanted.function.name
    if got in ("any", "required") and wanted in ("any", "required"):
        return
    if path == "metadata":
        missing = {k for k in wanted if (got or {}).get(k) != wanted[k]}
        assert not missing or any(r.path.startswith("metadata") for r in records)
        return
    assert got == wanted or any(r.path.split("[")[0].split(".")[0] == path for r in records), got


def test_content_that_cannot_be_said_is_an_error_with_a_path() -> None:
    from llmwire.types import AudioPart, BytesSource

    audio = AudioPart(BytesSource(b"RIFF", "audio/wav"))
    asked = request("anthropic", (LLMMessage("user", [TextPart("listen"), audio]),))
    with pytest.raises(UnsupportedError) as caught:
        ADAPTERS["anthropic"].prepare_request(asked, provider("anthropic"))
    assert caught.value.path == "messages[0].parts[1]"
    assert "messages[0].parts[1]" in str(caught.value)


# --- law 11 ---


@each_wire
@pytest.mark.parametrize("case", HISTORIES)
def test_the_callers_objects_are_never_changed(wire: str, case: str) -> None:
    asked = request(wire, HISTORIES[case], thinking="high", temperature=0.5, metadata={"a": "b"})
    ours = provider(wire)
    before = (to_json(asked), to_json(ours))
    first = ADAPTERS[wire].prepare_request(asked, ours)
    assert (to_json(asked), to_json(ours)) == before
    assert ADAPTERS[wire].prepare_request(asked, ours).body == first.body


# --- errors inside a stream ---


@each_wire
@each_reply
def test_an_error_event_is_raised_with_its_own_words(wire: str, case: str) -> None:
    from llmwire.errors import RateLimitError

    events, asked, ours = stream_of(wire, case)
    told = SERVER_HALVES[wire].prepare_stream_error(
        RateLimitError("slow down, please", type="rate_limit_error", status=429,
                       provider_message="slow down, please")
    )  # fmt: skip
    for n in range(len(events) - 2):
        _, error = decode([*events[:n], told], asked, ours)
        assert isinstance(error, StreamError) and isinstance(error, RateLimitError), n
        assert error.provider_message == "slow down, please"
        assert error.status == 200


def _results(reply: LLMChunk) -> list[LLMMessage]:
    return [
        LLMMessage("tool", f"result {i}", tool_call_id=c.id or "")
        for i, c in enumerate(reply.tool_calls)
    ]


def _bare(part: object) -> object:
    """A part without the tag of its issuer, which the server's half does not know."""
    if isinstance(part, ToolCall) and not part.arguments:
        part = msgspec.structs.replace(
            part, function=msgspec.structs.replace(part.function, arguments="{}")
        )
    return msgspec.structs.replace(part, native=None)
