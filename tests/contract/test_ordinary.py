"""The short way of the ordinary event is a short cut, no other way: with it and without it, equal
chunks come out of the same bytes. And it is taken: otherwise this would say nothing."""

from __future__ import annotations

import importlib
import itertools
import json
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus
from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import StreamDecoder
from llmwire.adapters.streaming import EventStreamDecoder, Piece
from llmwire.config import ProviderConfig
from llmwire.errors import BackendError, DecodeError
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk, LLMMessage, ReasoningPart, StopInfo, TextPart

from .cases import REPLIES, call, provider, request
from .support import events_of, heard

VOCABULARY = {
    "openai": "openai.wire",
    "reasoning": "openai.wire",
    "anthropic": "anthropic.wire",
    "vertex-anthropic": "anthropic.wire",
    "openai-responses": "responses.wire",
    "gemini": "gemini.wire",
    "vertex-gemini": "gemini.wire",
}
"""Wires with a short way, and where their events are typed, as far as they are read."""

each_wire = pytest.mark.parametrize("wire", VOCABULARY)
STREAMED = [
    i
    for i in corpus.exchange_ids(*(a for a, w in corpus.STYLES.items() if w in VOCABULARY))
    if (x := corpus.load(i))["stream"] and x["response"]["status"] == 200
]


def with_pieces(decoder: StreamDecoder, change: Callable[[Piece], Piece | None]) -> StreamDecoder:
    """The decoder with every `Piece` that it takes up replaced."""
    assert isinstance(decoder, EventStreamDecoder)
    cls = type(decoder)

    class Changed(cls):  # type: ignore[misc, valid-type]
        __slots__ = ()

        def _set_piece(self, piece: Piece | None, event: str = "") -> None:
            super()._set_piece(piece and change(piece), event)

    decoder.__class__ = Changed
    decoder._set_piece(decoder._piece, decoder._expected)
    return decoder


def told(
    pieces: Iterable[bytes],
    asked: LLMRequest,
    ours: ProviderConfig,
    change: Callable[[Piece], Piece | None],
) -> tuple[list[LLMChunk], BackendError | None]:
    """The chunks of a stream one by one, and the error at its end."""
    decoder = with_pieces(ADAPTERS[ours.api_style].stream_decoder(asked, ours), change)
    chunks: list[LLMChunk] = []
    try:
        for piece in pieces:
            chunks.extend(decoder.feed(piece))
        chunks.extend(decoder.finish())
    except BackendError as e:
        return chunks, e
    return chunks, None


def never(piece: Piece) -> None:
    return None


def same(piece: Piece) -> Piece:
    return piece


def assert_same(pieces: list[bytes], asked: LLMRequest, ours: ProviderConfig) -> None:
    short, error = told(pieces, asked, ours, same)
    general, wanted = told(pieces, asked, ours, never)
    if type(wanted) is DecodeError:
        # The general way may refuse an event for the type of a field that says nothing.
        assert short[: len(general)] == general
    else:
        assert short == general
        assert (type(error), str(error)) == (type(wanted), str(wanted))


@each_wire
@pytest.mark.parametrize("case", REPLIES)
def test_generated_streams(wire: str, case: str) -> None:
    ours, asked = provider(wire), request(wire, stream=True, thinking="high")
    events = events_of(REPLIES[case], heard(asked, ours), wire)
    body = b"".join(events)
    for pieces in (events, [body], [body[i : i + 50] for i in range(0, len(body), 50)]):
        assert_same(pieces, asked, ours)


@pytest.mark.parametrize("absent", [("id",), ("model",), ("id", "model")])
@pytest.mark.parametrize("case", ["long_text", "reasoning_then_text", "odd_arguments"])
def test_an_id_that_comes_late(case: str, absent: tuple[str, ...]) -> None:
    """Some servers do not say at once which reply of which model it is; some never do."""
    ours, asked = provider("openai"), request("openai", stream=True, thinking="high")
    events = events_of(REPLIES[case], heard(asked, ours), "openai")
    stripped = [edited(e, lambda o: [o[0].pop(n) for n in absent]) for e in events]
    for late in (len(events), 5, 3):
        pieces = [*stripped[:late], *events[late:]]
        assert_same(pieces, asked, ours)
        told_model = [c.model for c in told(pieces, asked, ours, same)[0] if c.model]
        assert len(told_model) == (late < len(events) or "model" not in absent)


@pytest.mark.skipif(not STREAMED, reason="no corpus: set LLMWIRE_CORPUS")
@pytest.mark.parametrize("exchange_id", STREAMED or ["none"])
def test_recorded_streams(exchange_id: str) -> None:
    exchange = corpus.load(exchange_id)
    body, asked = corpus.body_of(exchange), corpus.request_of(exchange)
    ours = corpus.provider_of(exchange)
    for pieces in corpus.cuts(body, seed=1).values():
        assert_same(list(pieces), asked, ours)


def test_a_thought_that_begins_without_a_word() -> None:
    """Google puts thoughts between tags, and the tag that ends one where no mark says so."""
    ours, asked = provider("openai"), request("openai", stream=True)
    said = [
        {"content": "a"},
        {"content": "<thought>", "extra_content": {"google": {"thought": True}}},
        {"content": "</thought>b"},
        {"content": "c"},
    ]
    head = {"id": "r", "model": "m"}
    events = [json.dumps({**head, "choices": [{"index": 0, "delta": d}]}) for d in said]
    pieces = [b"data: %b\n\n" % e.encode() for e in events]
    assert_same(pieces, asked, ours)
    assert "".join(c.text for c in told(pieces, asked, ours, same)[0]) == "abc"


LONG = {
    "text": LLMChunk(LLMMessage("assistant", "word " * 100), None, StopInfo("stop")),
    "reasoning": LLMChunk(
        LLMMessage("assistant", [ReasoningPart("word " * 100), TextPart("so")]),
        None,
        StopInfo("stop"),
    ),
    "tool_call": LLMChunk(
        LLMMessage("assistant", [call("call00001", "weather", json.dumps({"a": "b " * 250}))]),
        None,
        StopInfo("tool_calls"),
    ),
    "call_before_the_limit": LLMChunk(
        LLMMessage("assistant", [call("call00001", "weather", json.dumps({"a": "b " * 250}))]),
        None,
        StopInfo("length"),
    ),
}


NEVER_SHORT = {
    (wire, kind)
    for wire in ("gemini", "vertex-gemini")
    for kind in ("tool_call", "call_before_the_limit")
}
"""Gemini's calls come whole."""


@each_wire
@pytest.mark.parametrize("kind", LONG)
def test_the_short_way_is_taken(wire: str, kind: str) -> None:
    """By nearly every event, in packets of its own, in blocks, and whatever the line ends."""
    ours, asked = provider(wire), request(wire, stream=True, thinking="high")
    events = events_of(LONG[kind], heard(asked, ours), wire)
    body = b"".join(events)
    spaceless = body.replace(b"\ndata: ", b"\ndata:").replace(b"data: {", b"data:{", 1)
    taken = 0

    def counted(piece: Piece) -> Piece:
        def count(data: bytes) -> LLMChunk | None:
            nonlocal taken
            chunk = piece(data)
            taken += chunk is not None
            return chunk

        return count

    for pieces in (
        events,
        [body],
        [body[i : i + 999] for i in range(0, len(body), 999)],
        [body.replace(b"\n", b"\r\n")],
        [spaceless],
    ):
        taken = 0
        _, error = told(pieces, asked, ours, counted)
        assert error is None
        assert taken >= (90 if (wire, kind) not in NEVER_SHORT else 0)


def fields_of(wire: str) -> list[str]:
    """The names of all fields that are read of any event."""
    module = importlib.import_module(f"llmwire.adapters.{VOCABULARY[wire]}")
    structs = [s for s in vars(module).values() if isinstance(s, msgspec.StructMeta)]
    names = {f.encode_name for s in structs for f in msgspec.structs.fields(s)}
    return sorted(names - {"(the provider's own name)"})


FIELDS = {wire: [*fields_of(wire), "thoughts", "unheard_of"] for wire in VOCABULARY}
VALUES = (
    "null", '""', '"a"', '"null"', "0", "1", "true", "[]", "{}", '["a"]',
    '[{"type":"text","text":"b"}]', '{"type":"text_delta","text":"c"}', '{"name":"f"}',
    '[{"index":0,"id":"","function":{"arguments":"d","name":""}}]',
    '[{"index":1,"id":"call00002","function":{"arguments":"","name":"f"}}]',
    '{"message":"no","type":"error"}', '{"prompt_tokens":3,"completion_tokens":4}',
    '[{"type":"reasoning.text","text":"e","index":0}]', '"content_block_delta"', '"error"',
    '{"status_code":1000,"status_msg":"no"}', '{"promptTokenCount":3}', '{"input_tokens":3}',
)  # fmt: skip
"""What may stand in a field, sense or nonsense."""


def objects_in(value: Any) -> list[dict[str, Any]]:
    """The objects inside a value, itself the first."""
    if isinstance(value, list):
        return [o for v in value for o in objects_in(v)]
    if isinstance(value, dict):
        return [value, *(o for v in value.values() for o in objects_in(v))]
    return []


def stream_of(wire: str, kind: str) -> tuple[list[bytes], LLMRequest, ProviderConfig]:
    ours, asked = provider(wire), request(wire, stream=True, thinking="high")
    ours = msgspec.structs.replace(ours, reasoning_field_name="thoughts")
    return events_of(LONG[kind], heard(asked, ours), wire, size=200), asked, ours


def edited(event: bytes, edit: Callable[[list[dict[str, Any]]], None]) -> bytes:
    head, _, data = event.rpartition(b"data: ")
    if not data.startswith(b"{"):
        return event
    value = json.loads(data)
    edit(objects_in(value))
    return head + b"data: " + json.dumps(value).encode() + b"\n\n"


@pytest.mark.parametrize("wire", ["openai", "anthropic", "reasoning", "openai-responses", "gemini"])
@pytest.mark.parametrize("kind", LONG)
def test_any_field_anywhere(wire: str, kind: str) -> None:
    """Whatever stands in whatever field, the short way says the same or leaves it alone."""
    events, asked, ours = stream_of(wire, kind)
    at = next(n for n, e in enumerate(events) if b"word word" in e or b"b b b b" in e)
    at = min(at + 1, len(events) - 1)
    places = range(len(objects_in(json.loads(events[at].rpartition(b"data: ")[2]))))
    for place, name, value in itertools.product(places, FIELDS[wire], VALUES):

        def edit(
            objects: list[dict[str, Any]], place: int = place, name: str = name, value: str = value
        ) -> None:
            objects[place][name] = json.loads(value)

        assert_same([*events[:at], edited(events[at], edit), *events[at + 1 :]], asked, ours)


@each_wire
@pytest.mark.parametrize("kind", LONG)
@given(seed=st.integers(0, 2**32))
def test_events_with_more_in_them(wire: str, kind: str, seed: int) -> None:
    """The same with several events, fields and absent fields, in packets and in a block."""
    events, asked, ours = stream_of(wire, kind)
    rnd = random.Random(seed)

    def edit(objects: list[dict[str, Any]]) -> None:
        target = rnd.choice(objects)
        if rnd.random() < 0.2 and target:
            del target[rnd.choice(sorted(target))]
        else:
            target[rnd.choice(FIELDS[wire])] = json.loads(rnd.choice(VALUES))

    for n in rnd.sample(range(len(events)), min(3, len(events))):
        events[n] = edited(edited(events[n], edit), edit)
    assert_same(events if rnd.random() < 0.5 else [b"".join(events)], asked, ours)
