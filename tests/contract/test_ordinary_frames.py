"""The short way of ordinary events inside AWS's frames, as `test_ordinary` has it for those of SSE."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.adapters.streaming import Piece
from llmwire.config import ProviderConfig
from llmwire.eventstream import BinaryFrameDecoder, encode_frame
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk

from .cases import BINARY, REPLIES, provider, request
from .support import events_of, heard
from .test_ordinary import LONG, VALUES, assert_same, objects_in, same, told

each_wire = pytest.mark.parametrize("wire", BINARY)
FIELDS = (
    "contentBlockIndex", "delta", "text", "citation", "reasoningContent", "signature",
    "redactedContent", "toolUse", "input", "toolResult", "image", "start", "stopReason", "usage", "p",
    "type", "index", "partial_json", "thinking", "citations", "unheard_of",
)  # fmt: skip
MORE = (
    '{"text":"a"}', '{"reasoningContent":{"text":"a"}}', '{"toolUse":{"input":"a"}}',
    '{"text":"a","signature":"b"}', '{"redactedContent":"YQ=="}', '{"input":"a"}',
    '{"citation":{"title":"a"},"text":null}', '{"text":"a","citation":{}}',
)  # fmt: skip


def stream_of(wire: str, kind: str) -> tuple[list[bytes], LLMRequest, ProviderConfig]:
    ours, asked = provider(wire), request(wire, stream=True, thinking="high")
    return events_of(LONG[kind], heard(asked, ours), wire, size=200), asked, ours


def edited(frame: bytes, edit: Callable[[list[dict[str, Any]]], None]) -> bytes:
    (binary,) = BinaryFrameDecoder().feed(frame)
    value = json.loads(binary.data)
    if binary.event != "chunk":
        edit(objects_in(value))
        return encode_frame(json.dumps(value).encode(), binary.headers)
    inner = json.loads(base64.b64decode(value["bytes"]))
    edit(objects_in(inner))
    value["bytes"] = base64.b64encode(json.dumps(inner).encode()).decode()
    return encode_frame(json.dumps(value).encode(), binary.headers)


@each_wire
@pytest.mark.parametrize("case", REPLIES)
def test_generated_streams(wire: str, case: str) -> None:
    ours, asked = provider(wire), request(wire, stream=True, thinking="high")
    events = events_of(REPLIES[case], heard(asked, ours), wire)
    body = b"".join(events)
    for pieces in (events, [body], [body[i : i + 50] for i in range(0, len(body), 50)]):
        assert_same(pieces, asked, ours)


@each_wire
@pytest.mark.parametrize("kind", LONG)
def test_the_short_way_is_taken(wire: str, kind: str) -> None:
    ours, asked = provider(wire), request(wire, stream=True, thinking="high")
    events = events_of(LONG[kind], heard(asked, ours), wire)
    body = b"".join(events)
    taken = 0

    def counted(piece: Piece) -> Piece:
        def count(data: bytes) -> LLMChunk | None:
            nonlocal taken
            chunk = piece(data)
            taken += chunk is not None
            return chunk

        return count

    for pieces in (events, [body], [body[i : i + 999] for i in range(0, len(body), 999)]):
        taken = 0
        _, error = told(pieces, asked, ours, counted)
        assert error is None
        assert taken >= 90


@each_wire
@pytest.mark.parametrize("kind", LONG)
def test_any_field_anywhere(wire: str, kind: str) -> None:
    """Whatever stands in whatever field, the short way says the same or leaves it alone."""
    events, asked, ours = stream_of(wire, kind)
    plain = told(events, asked, ours, same)[0]
    at = next(n for n in range(2, len(events)) if len(events[n]) > 200)
    for place, name, value in itertools.product(range(3), FIELDS, (*VALUES, *MORE)):

        def edit(
            objects: list[dict[str, Any]], place: int = place, name: str = name, value: str = value
        ) -> None:
            objects[place % len(objects)][name] = json.loads(value)

        assert_same([*events[:at], edited(events[at], edit), *events[at + 1 :]], asked, ours)
    assert plain == told(events, asked, ours, same)[0]


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
            target[rnd.choice(FIELDS)] = json.loads(rnd.choice((*VALUES, *MORE)))

    for n in rnd.sample(range(len(events)), 3):
        events[n] = edited(edited(events[n], edit), edit)
    assert_same(events if rnd.random() < 0.5 else [b"".join(events)], asked, ours)
