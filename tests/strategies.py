"""Hypothesis strategies for the vocabulary: JSON, parts, messages, deltas, chunks, streams."""

from __future__ import annotations

import json
from itertools import accumulate as running
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

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
    new_message,
)

# Line ends that only str.splitlines knows, a NUL, an emoji, quotes.
ODD_TEXTS = ("", " ", "\u2028", "\x85", "\r\n", "\x00", "\U0001f600", '"\\', "<think>")
HALF = "\ud83d"  # half a surrogate pair: legal in Python and, escaped, in JSON; not in UTF-8

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(ODD_TEXTS)
any_texts = texts | st.just(HALF) | texts.map(HALF.__add__)
words = st.sampled_from(["a", "b", "call_1", "get_weather", "toolu_01", "x" * 70])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
argument_texts = json_objects.map(json.dumps) | st.sampled_from(["", "{}", ' {"a": 1} '])

# --- parts ------------------------------------------------------------------------------------

natives = st.none() | st.builds(Native, words, texts, texts, json_values)
citations = st.lists(json_objects, max_size=2).map(tuple)
media_types = st.sampled_from(["image/png", "text/plain"])
sources = st.one_of(
    st.builds(BytesSource, st.binary(max_size=8), media_types),
    st.builds(UrlSource, any_texts),
    st.builds(FileSource, words, texts),
)
reasoning_kinds = st.sampled_from(["full", "summary", "redacted", "encrypted"])
reasons = st.sampled_from(["length", "cut", "content_filter", "invalid_json", "error"])

text_parts = st.builds(TextPart, any_texts, citations, natives)
reasoning_parts = st.builds(
    ReasoningPart, any_texts, reasoning_kinds, st.none() | texts, st.none() | texts, natives
)
refusals = st.builds(RefusalPart, any_texts, natives)
functions = st.builds(FunctionCall, words, argument_texts)
tool_calls = st.builds(
    ToolCall, st.none() | words, functions, st.sampled_from(["function", "custom"]), natives
)
incomplete_calls = st.builds(
    IncompleteToolCall, st.none() | words, words, any_texts, reasons, natives
)
images = st.builds(ImagePart, sources, st.sampled_from([None, "auto", "original"]), natives)
sounds = st.builds(AudioPart, sources, st.sampled_from(["wav", "mp3"]), texts, natives)
files = st.builds(FilePart, sources, texts, natives)
opaques = st.builds(OpaquePart, words, json_objects.map(json.dumps), natives)
compactions = st.builds(CompactionPart, st.none() | texts, natives)
result_contents = any_texts | st.lists(
    st.one_of(text_parts, images, files, opaques), max_size=3
).map(tuple)
tool_results = st.builds(ToolResultPart, words, result_contents, texts, st.booleans(), natives)

said_parts: st.SearchStrategy[Part] = st.one_of(
    text_parts, reasoning_parts, refusals, tool_calls, incomplete_calls, opaques, compactions
)
"""What an assistant's turn is made of."""
closed_parts: st.SearchStrategy[Part] = st.one_of(said_parts, tool_results, images, sounds, files)

# --- deltas and chunks ------------------------------------------------------------------------

deltas = st.builds(
    PartDelta,
    index=st.integers(0, 2),
    kind=st.sampled_from(["text", "reasoning", "refusal", "tool_call"]),
    body=any_texts | st.sampled_from(["{", '"a": 1', "}"]),
    start=st.booleans(),
    end=st.booleans(),
    id=st.none() | words,
    name=st.sampled_from(["", "f", "g"]),
    signature=st.none() | texts,
    data=st.none() | texts,
    reasoning_kind=reasoning_kinds,
    tool_kind=st.sampled_from(["function", "custom"]),
    incomplete=st.none() | reasons,
    citations=citations,
    native=natives,
)
"""Any deltas, orphans included."""
parts: st.SearchStrategy[Part] = closed_parts | deltas

counts = st.none() | st.integers(0, 10**6)
usages = st.builds(
    LLMUsage, *[counts] * 8, st.sampled_from(["reported", "partial", "estimated"]),
    st.none() | json_objects, counts, counts,
    st.none() | st.dictionaries(words, st.integers(0, 9)), st.none() | words,
)  # fmt: skip
stops = st.builds(
    StopInfo, st.sampled_from(["stop", "length", "tool_calls", "other"]), st.none() | words
)
adaptations = st.builds(Adaptation, words, st.sampled_from(["dropped", "added"]), words)

chunks = st.builds(
    LLMChunk,
    st.lists(deltas | said_parts, max_size=4).map(
        lambda said: new_message(Role.assistant, tuple(said))
    ),
    st.none() | usages,
    st.none() | stops,
    st.none() | words,
    st.none() | words,
    st.none() | words,
    st.lists(adaptations, max_size=1).map(tuple),
    st.none() | st.integers(0, 3),
)
"""Chunks as no decoder would send them: the algebra has to hold all the same."""


streamable_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, texts.filter(bool), citations, natives),
    reasoning_parts.filter(lambda p: p.text or p.signature is not None or p.data is not None),
    refusals.filter(lambda p: p.text),
    st.builds(ToolCall, st.none() | words, functions, st.just("function"), natives),
    st.builds(ToolCall, words, st.builds(FunctionCall, words, texts), st.just("custom"), natives),
    opaques,
)
"""Parts that a stream can spell out, or carry whole."""


@st.composite
def streams(draw: st.DrawFn) -> tuple[tuple[Part, ...], list[LLMChunk]]:
    """The parts of a reply, and chunks that spell it: part after part, cut anywhere."""
    said = draw(st.lists(streamable_parts, max_size=5))
    pieces: list[Part] = []
    for index, part in enumerate(said):
        pieces += _spelled(draw, index, part)
    sizes = draw(st.lists(st.integers(0, 4), max_size=30))
    ends = [min(e, len(pieces)) for e in running([0, *sizes])] + [len(pieces)]
    out = [LLMChunk(new_message(Role.assistant, tuple(pieces[a:b]))) for a, b in pairwise(ends)]
    return tuple(said), out


def _spelled(draw: st.DrawFn, index: int, part: Part) -> list[Part]:
    more: dict[str, Any] = {"native": part.native}
    if isinstance(part, TextPart):
        kind, text, more = "text", part.text, {**more, "citations": part.citations}
    elif isinstance(part, RefusalPart):
        kind, text = "refusal", part.text
    elif isinstance(part, ReasoningPart):
        kind, text = "reasoning", part.text
        more |= {"signature": part.signature, "data": part.data, "reasoning_kind": part.kind}
    elif isinstance(part, ToolCall):
        kind, text = "tool_call", part.arguments
        more |= {"id": part.id, "name": part.name, "tool_kind": part.kind}
    else:
        return [part]
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    bodies = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    first, last = {"start": True}, {"end": True}
    out: list[Part] = []
    for n, body in enumerate(bodies):
        fields = (first | more if n == 0 else {}) | (last if n == len(bodies) - 1 else {})
        out.append(PartDelta(index, kind, body, **fields))  # type: ignore[arg-type]
    return out


# --- messages and histories -------------------------------------------------------------------

messages = st.builds(
    lambda role, said, name: new_message(role, tuple(said), name),
    st.sampled_from(list(Role)),
    st.lists(parts, max_size=4),
    st.none() | words,
)
"""Any message, sensible or not."""

call_ids = st.sampled_from(["c1", "c2", "c3"])


def _turn(
    role: Role, inner: st.SearchStrategy[Part], least: int = 0
) -> st.SearchStrategy[LLMMessage]:
    return st.lists(inner, min_size=least, max_size=3).map(
        lambda said: new_message(role, tuple(said))
    )


histories = st.lists(
    st.one_of(
        _turn(Role.system, text_parts),
        _turn(Role.user, st.one_of(text_parts, images)),
        _turn(
            Role.assistant,
            st.one_of(said_parts, st.builds(ToolCall, st.none() | call_ids, functions), deltas),
        ),
        _turn(Role.tool, st.builds(ToolResultPart, call_ids, texts), 1),
        _turn(Role.user, st.one_of(st.builds(ToolResultPart, call_ids, texts), text_parts), 1),
    ),
    max_size=8,
)
"""Conversations in which calls and results go astray in every way."""
