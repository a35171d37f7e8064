"""Replies of generateContent: whole and streamed, in both forms, and what breaks them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmwire.adapters.gemini import GeminiAdapter
from llmwire.adapters.gemini.arguments import ArgumentWriter, segments_of
from llmwire.adapters.gemini.scan import ObjectScanner
from llmwire.adapters.gemini.usage import STOP_WORDS, usage_of
from llmwire.adapters.gemini.wire import PartialArg
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    DecodeError,
    IncompleteStreamError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    StreamError,
)
from llmwire.folding import close_open_parts
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
    PartDelta,
    ReasoningPart,
    StopInfo,
    TextPart,
    ToolCall,
    accumulate,
)
from strategies import json_objects

CLIENT = GeminiAdapter()
PROVIDER = ProviderConfig("google", "https://g.example", "KEY", "gemini")
REQUEST = LLMRequest(
    model=ModelConfig("gemini-3-flash"), messages=(LLMMessage("user", "hi"),), stream=True
)
ISSUER = Native("gemini", "google", "gemini-3-flash")
SIGNED = replace(ISSUER, payload={"thoughtSignature": "c2ln"})


def event(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """An event with these parts: texts, or what they are on the wire."""
    said = [{"text": p} if isinstance(p, str) else p for p in parts]
    candidate: dict[str, Any] = {"content": {"parts": said, "role": "model"}, "index": 0}
    beside = ("usageMetadata", "modelVersion", "responseId", "promptFeedback", "error")
    candidate |= {k: v for k, v in more.items() if k not in beside}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **{k: v for k, v in more.items() if k in beside}}


def called(name: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"functionCall": ({} if name is None else {"name": name}) | fields}


def arg(path: str, **fields: Any) -> dict[str, Any]:
    return {"jsonPath": path, **fields}


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(e).encode() + b"\r\n\r\n" for e in events)


def array(*events: dict[str, Any]) -> bytes:
    return b"[" + b"\n,\r\n".join(json.dumps(e, indent=2).encode() for e in events) + b"\n]\n"


def decode(pieces: Iterable[bytes]) -> tuple[LLMChunk, BackendError | None]:
    decoder = CLIENT.stream_decoder(REQUEST, PROVIDER)
    chunks: list[LLMChunk] = []
    try:
        for piece in pieces:
            chunks.extend(decoder.feed(piece))
        chunks.extend(decoder.finish())
    except BackendError as e:
        return accumulate(chunks), e
    return accumulate(chunks), None


def read(*events: dict[str, Any]) -> LLMChunk:
    """The reply that these events are, in whichever form they come and wherever they are cut."""
    reply, error = decode([sse(*events)])
    assert error is None
    for data in (sse(*events), array(*events), sse(*events).replace(b"\r\n", b"\n")):
        rnd = random.Random(len(data))
        cuts = sorted(rnd.randrange(len(data) + 1) for _ in range(9))
        for places in ([], cuts, range(len(data))):
            edges = [0, *places, len(data)]
            pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
            assert decode(pieces) == (reply, None)
    assert CLIENT.parse_response(sse(*events), REQUEST, PROVIDER) == reply
    assert CLIENT.parse_response(array(*events), REQUEST, PROVIDER) == reply
    if len(events) == 1:
        whole = json.dumps(events[0], indent=1).encode()
        assert CLIENT.parse_response(whole, REQUEST, PROVIDER) == reply
        assert decode([whole]) == (reply, None)
    return reply


def parts_of(*events: dict[str, Any]) -> tuple[Any, ...]:
    return read(*events).message.parts


END = event("", finish="STOP")


# --- text and thoughts ----------------------------------------------------------------------------


def test_texts_and_thoughts_are_joined_by_kind() -> None:
    thought = {"text": "b", "thought": True}
    parts = parts_of(
        event("a"), event("", {"text": "Hm", "thought": True}), event({**thought, "text": "."}),
        event("x", "y"), event(""), event("z", thought), END,
    )  # fmt: skip
    assert parts == (
        TextPart("a"), ReasoningPart("Hm.", native=ISSUER), TextPart("xyz"),
        ReasoningPart("b", native=ISSUER),
    )  # fmt: skip


def test_texts_and_thoughts_take_turns() -> None:
    turns = [event(t if n % 2 else {"text": t, "thought": True}) for n, t in enumerate("abcd")]
    assert parts_of(*turns, END) == (
        ReasoningPart("a", native=ISSUER), TextPart("b"),
        ReasoningPart("c", native=ISSUER), TextPart("d"),
    )  # fmt: skip


def test_a_signed_part_stands_alone() -> None:
    signed = {"thoughtSignature": "c2ln"}
    parts = parts_of(
        event("a"),
        event({"text": "b", **signed}),
        event("c", {"text": "Hm", "thought": True}),
        event({"text": "!", "thought": True, **signed}),
        event("d"),
        event({"text": "", **signed}, finish="STOP"),
    )
    assert parts == (
        TextPart("a"),
        TextPart("b", native=SIGNED),
        TextPart("c"),
        ReasoningPart("Hm", native=ISSUER),
        ReasoningPart("!", signature="c2ln", native=ISSUER),
        TextPart("d"),
        TextPart("", native=SIGNED),
    )


def test_what_else_a_text_has_is_kept() -> None:
    meta = {"partMetadata": {"a": 1}, "thoughtSignature": "c2ln"}
    (text,) = parts_of(event({"text": "a", **meta}, finish="STOP"))
    assert text == TextPart("a", native=replace(ISSUER, payload=meta))


def test_a_signature_without_anything_is_kept() -> None:
    reply, _ = decode([sse(event({"thoughtSignature": "c2ln"}, {}, {"thought": True}), END)])
    (part,) = reply.message.parts
    assert part == OpaquePart("thoughtSignature", '{"thoughtSignature": "c2ln"}', ISSUER)


def test_ordinary_text_comes_as_plain_pieces() -> None:
    """The narrow path for nearly every event, and all that must not take it."""
    decoder = CLIENT.stream_decoder(REQUEST, PROVIDER)
    usage = {"promptTokenCount": 3, "totalTokenCount": 3}
    made = [
        [part for c in decoder.feed(sse(e)) for part in c.message.parts]
        for e in (
            event("a", usageMetadata=usage), event("b", usageMetadata=usage), event(""),
            event("c", safetyRatings=[]), {"candidates": [{"index": 1, "content": {"parts": [
                {"text": "not ours"}]}}]}, event({"text": "d", "thought": False}),
        )
    ]  # fmt: skip
    assert made == [
        [PartDelta(0, "text", "a", True)], [PartDelta(0, "text", "b")], [],
        [PartDelta(0, "text", "c")], [], [PartDelta(0, "text", "d")],
    ]  # fmt: skip


# --- calls ----------------------------------------------------------------------------------------


def test_whole_calls() -> None:
    args = {"z": 1, "a": {"b": [1.5, None]}, "city": "Zürich 日本"}
    reply = read(
        event("Look:", {**called("f", id="1", args=args), "thoughtSignature": "c2ln"}),
        event(called("g", args={}), called("h"), finish="STOP"),
    )
    raw = '{"z":1,"a":{"b":[1.5,null]},"city":"Zürich 日本"}'
    assert reply.message.parts == (
        TextPart("Look:"),
        ToolCall("1", FunctionCall("f", raw), native=SIGNED),
        ToolCall(None, FunctionCall("g", "{}")),
        ToolCall(None, FunctionCall("h", "{}")),
    )
    assert reply.stop == StopInfo("tool_calls", "STOP")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"args": '{"a":1}'}, '{"a":1}'),  # gateways
        ({"args": None}, "{}"),
    ],
)
def test_arguments_in_odd_forms(fields: dict[str, Any], text: str) -> None:
    (call,) = read(event(called("f", **fields), finish="STOP")).tool_calls
    assert call.arguments == text


@pytest.mark.parametrize(
    "part", [called("f", args=[1]), called("f", args="{"), called(args={"a": 1})]
)
def test_what_is_no_call_is_not_one(part: dict[str, Any]) -> None:
    reply = read(event(part, finish="STOP"))
    assert reply.tool_calls == ()
    (call,) = reply.message.incomplete_tool_calls
    assert call.reason == "invalid_json"
    assert reply.stop == StopInfo("stop", "STOP")


def test_calls_in_pieces() -> None:
    """Vertex AI with streamFunctionCallArguments (wire reference 5.3)."""
    signed = {**called("f", id="1", willContinue=True), "thoughtSignature": "c2ln"}
    text = arg("$.city", stringValue="Bo", willContinue=True)
    reply = read(
        event({"text": "Hm", "thought": True}),
        event(signed),
        event(called(partialArgs=[text], willContinue=True)),
        event(called(partialArgs=[arg("$.city", stringValue='s"ton')], willContinue=True)),
        event(called(partialArgs=[arg("$.n", numberValue=2)], willContinue=True)),
        event(called(partialArgs=[arg("$.tags[0].a", boolValue=True)], willContinue=True)),
        event(called()),
        event(called("g", partialArgs=[arg("$.x", nullValue="NULL_VALUE")])),
        event(called("h", willContinue=True)),
        event(called(), finish="STOP"),
    )
    raw = '{"city":"Bos\\"ton","n":2,"tags":[{"a":true}]}'
    assert reply.message.parts[1:] == (
        ToolCall("1", FunctionCall("f", raw), native=SIGNED),
        ToolCall(None, FunctionCall("g", '{"x":null}')),
        ToolCall(None, FunctionCall("h", "{}")),
    )


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("OTHER", "cut"), ("STOP", "cut")],
)
def test_a_call_whose_end_did_not_come_is_incomplete(finish: str, reason: str) -> None:
    piece = arg("$.city", stringValue="Bo", willContinue=True)
    reply = read(
        event(called("f", id="1", willContinue=True)),
        event(called(partialArgs=[piece], willContinue=True)),
        event("", finish=finish),
    )
    assert reply.message.parts == (IncompleteToolCall("1", "f", '{"city":"Bo', reason),)


def test_a_call_is_not_ended_by_the_next_one() -> None:
    reply = read(
        event(called("f", willContinue=True)), event(called("g", args={})),
        event(called("h", willContinue=True)), event(called("i", willContinue=True)),
        event(called(), finish="STOP"),
    )  # fmt: skip
    assert [(c.name, c.reason) for c in reply.message.incomplete_tool_calls] == [
        ("f", "cut"), ("h", "cut"),
    ]  # fmt: skip
    assert [c.name for c in reply.tool_calls] == ["g", "i"]


@pytest.mark.parametrize("paths", [("$.a", "$.b", "$.a"), ("$.a[1]",), ("$",), ("$.a.b", "$.a[0]"),
                                   ("a",), ("$[0]",)])  # fmt: skip
def test_pieces_out_of_order_make_no_call(paths: tuple[str, ...]) -> None:
    pieces = [arg(path, numberValue=1) for path in paths]
    reply = read(event(called("f", partialArgs=pieces)), END)
    assert reply.tool_calls == ()
    assert [c.reason for c in reply.message.incomplete_tool_calls] == ["invalid_json"]


def spelled(value: Any, path: str, size: int) -> list[PartialArg]:
    """A value as the pieces that Vertex AI would send."""
    if isinstance(value, dict) and value:
        return [p for k, v in value.items() for p in spelled(v, f"{path}[{quoted(k)}]", size)]
    if isinstance(value, list) and value:
        return [p for n, v in enumerate(value) for p in spelled(v, f"{path}[{n}]", size)]
    if isinstance(value, str):
        pieces = [value[i : i + size] for i in range(0, len(value), size)] or [""]
        return [PartialArg(path, p, will_continue=True) for p in pieces[:-1]] + [
            PartialArg(path, pieces[-1])
        ]
    if isinstance(value, bool):
        return [PartialArg(path, bool_value=value)]
    return [
        PartialArg(path, null_value="NULL_VALUE" if value is None else None, number_value=value)
    ]


def quoted(key: str) -> str:
    return "'" + key.replace("\\", "\\\\").replace("'", "\\'") + "'"


def without_empty(value: Any) -> Any:
    """Empty objects and arrays have no place of their own, and so can't be said in pieces."""
    if isinstance(value, dict):
        return {k: without_empty(v) for k, v in value.items() if v not in ({}, [])}
    if isinstance(value, list):
        return [without_empty(v) for v in value if v not in ({}, [])]
    return value


@given(json_objects, st.integers(1, 4))
def test_arguments_in_pieces_are_the_arguments(value: dict[str, Any], size: int) -> None:
    while without_empty(value) != value:
        value = without_empty(value)
    writer = ArgumentWriter()
    pieces = spelled(value, "$", size) if value else []
    text = "".join(writer.write(piece) for piece in pieces) + writer.end()
    assert not writer.broken
    assert json.loads(text) == value
    assert list(json.loads(text)) == list(value)


def test_paths() -> None:
    assert segments_of("$.a.b[0]['k.\\'x'][\"y\"].z") == ["a", "b", 0, "k.'x", "y", "z"]
    assert segments_of("$") == []
    assert [segments_of(p) for p in ("a", "$.", "$[*]", "$..a", "$.a[")] == [None] * 5


# --- other content --------------------------------------------------------------------------------


def test_pictures_and_sounds() -> None:
    parts = parts_of(
        event(
            {"inlineData": {"mimeType": "image/png", "data": "iVBO"}, "thoughtSignature": "c2ln"},
            {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAE="}},
            finish="STOP",
        )
    )
    assert parts == (
        ImagePart(BytesSource(b"\x89PN", "image/png"), native=SIGNED),
        AudioPart(BytesSource(b"\x00\x01", "audio/L16;codec=pcm;rate=24000"), "L16", native=ISSUER),
    )


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("executableCode", {"executableCode": {"language": "PYTHON", "code": "1+1"}}),
        ("codeExecutionResult", {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}),
        ("toolCall", {"thoughtSignature": "c2ln", "toolCall": {"toolType": "X", "id": "1"}}),
        ("toolResponse", {"toolResponse": {"toolType": "X", "response": {}}}),
        ("fileData", {"fileData": {"fileUri": "gs://a/b"}}),
        ("inlineData", {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}),
        ("inlineData", {"inlineData": {"mimeType": "image/png", "data": "?"}}),
        ("inlineData", {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thought": True}),
        ("novelty", {"thought": True, "novelty": [1.50, {"é": "\u2028"}]}),
    ],
)
def test_what_we_do_not_know_is_kept_byte_for_byte(kind: str, part: dict[str, Any]) -> None:
    raw = json.dumps(part, ensure_ascii=False)
    data = '{"candidates":[{"content":{"parts":[' + raw + ']},"finishReason":"STOP"}]}'
    reply = CLIENT.parse_response(data.encode(), REQUEST, PROVIDER)
    assert reply.message.parts == (OpaquePart(kind, raw, ISSUER),)


def test_citations_stand_on_their_text() -> None:
    quoted = {"citations": [{"uri": "https://a"}, {}, {"uri": "https://b"}]}
    grounding = {"groundingChunks": [{"web": {"uri": "https://c"}}]}
    found = ({"groundingMetadata": grounding},)
    text = TextPart("ab", found, ISSUER)
    assert parts_of(event("a"), event("b", finish="STOP", groundingMetadata=grounding)) == (text,)
    late = event(finish="STOP", groundingMetadata=grounding)
    assert parts_of(event("a"), event("b"), late) == (text,)
    end = event(
        {"text": "", "thoughtSignature": "c2ln"}, finish="STOP", groundingMetadata=grounding
    )
    assert parts_of(event("ab"), end) == (text, TextPart("", native=SIGNED))
    signed = event(
        {"text": "ab", "thoughtSignature": "c2ln"}, finish="STOP", groundingMetadata=grounding
    )
    assert parts_of(signed) == (TextPart("ab", found, SIGNED),)
    alone = event(finish="STOP", citationMetadata=quoted, urlContextMetadata={"u": 1})
    urls = ({"uri": "https://a"}, {"uri": "https://b"}, {"urlContextMetadata": {"u": 1}})
    assert parts_of(alone) == (TextPart("", urls, ISSUER),)


def test_lone_surrogates() -> None:
    data = rb'{"candidates":[{"content":{"parts":[{"text":"a\ud83d"},{"functionCall":{"name":"f",'
    data += rb'"args":{"x":"\udc00"}}}]},"finishReason":"STOP"}]}'
    reply = CLIENT.parse_response(data, REQUEST, PROVIDER)
    assert reply.text == "a\ufffd"
    assert reply.tool_calls[0].parsed == {"x": "\ufffd"}


# --- why it stopped -------------------------------------------------------------------------------

REASONS = {
    "stop": "STOP 1",
    "length": "MAX_TOKENS 2",
    "content_filter": "SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII LANGUAGE IMAGE_SAFETY "
    "IMAGE_PROHIBITED_CONTENT IMAGE_OTHER IMAGE_RECITATION MODEL_ARMOR 3 4",
    "continuation": "CONTINUATION",
    "malformed_tool_call": "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS "
    "MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE",
    "error": "OTHER 5",
    "other": "ESCALATION PUP_LIMITED_DISABLED NO_IMAGE NEW_WORD 17",
}
"""Wire reference 12.5."""


@pytest.mark.parametrize(
    ("reason", "word"), [(r, word) for r, words in REASONS.items() for word in words.split()]
)
def test_finish_reasons(reason: Any, word: str) -> None:
    finish: Any = int(word) if word.isdigit() else word
    assert read(event("a", finish=finish)).stop == StopInfo(reason, word)
    assert not word.isupper() or STOP_WORDS.get(word, "other") == reason


@pytest.mark.parametrize("word", ["FINISH_REASON_UNSPECIFIED", "", 0, None])
def test_words_that_say_nothing_end_nothing(word: Any) -> None:
    _, error = decode([sse(event("a", finishReason=word))])
    assert isinstance(error, IncompleteStreamError)


def test_what_is_said_of_the_stop() -> None:
    told = "Malformed function call: print(x)"
    reply = read(event(finish="MALFORMED_FUNCTION_CALL", finishMessage=told))
    assert reply.stop == StopInfo(
        "malformed_tool_call", "MALFORMED_FUNCTION_CALL", {"finishMessage": told}
    )
    ratings = [{"category": "HARM", "blocked": True}]
    reply = read(event("a"), event(finish="SAFETY", safetyRatings=ratings))
    assert reply.stop == StopInfo("content_filter", "SAFETY", {"safetyRatings": ratings})


def test_a_reply_that_goes_on_has_a_token() -> None:
    reply = read(
        event("One, ", continuationToken="old"),
        event("two", finish="CONTINUATION", continuationToken="dG9rZW4="),
    )
    assert reply.stop == StopInfo("continuation", "CONTINUATION", {"continuationToken": "dG9rZW4="})

    ended = read(event("One, ", continuationToken="old"), END)
    assert ended.stop == StopInfo("stop", "STOP")


def test_a_blocked_prompt() -> None:
    blocked = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "No."}
    usage = {"promptTokenCount": 4, "totalTokenCount": 4}
    reply = read({"promptFeedback": blocked, "usageMetadata": usage})
    assert reply.message.parts == ()
    assert reply.stop == StopInfo(
        "content_filter", "PROHIBITED_CONTENT", {"promptFeedback": blocked}
    )
    assert reply.usage == LLMUsage(4, 0, raw=usage)
    fine = read(event("a", finish="STOP", promptFeedback={"safetyRatings": []}))
    assert fine.stop == StopInfo("stop", "STOP")


def test_only_the_first_candidate_is_ours() -> None:
    first = {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}
    other = {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"}
    reply = read({"candidates": [first, other]})
    assert (reply.text, reply.stop) == ("a", StopInfo("stop", "STOP"))
    (record,) = reply.adaptations
    assert (record.path, record.action, record.before, record.after) == (
        "candidates", "dropped", 2, 1,
    )  # fmt: skip


def test_model_and_id() -> None:
    reply = read(event("a", modelVersion="gemini-3-flash-001", responseId="r-1"), END)
    assert (reply.model, reply.response_id) == ("gemini-3-flash-001", "r-1")


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (
            {"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 7,
             "thoughtsTokenCount": 20, "toolUsePromptTokenCount": 11, "totalTokenCount": 138},
            LLMUsage(111, 27, 51, 60, reasoning=20),
        ),
        ({"promptTokenCount": 5, "candidatesTokenCount": 2}, LLMUsage(5, 2)),
        # Zeros are left out: the total tells what the candidates' count was.
        ({"promptTokenCount": 5, "totalTokenCount": 9, "thoughtsTokenCount": 4},
         LLMUsage(5, 4, reasoning=4)),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, LLMUsage(5, 0)),
        ({"promptTokenCount": 5}, LLMUsage(5)),
        ({"promptTokenCount": "5", "totalTokenCount": True}, LLMUsage()),
        ({"trafficType": "ON_DEMAND"}, LLMUsage()),
    ],
)  # fmt: skip
def test_usage(raw: dict[str, Any], wanted: LLMUsage) -> None:
    assert usage_of({**raw, "nothing": None}) == replace(wanted, raw=raw)
    assert read(event("a", finish="STOP", usageMetadata=raw)).usage == replace(wanted, raw=raw)


def test_unreported_usage_is_unknown() -> None:
    assert usage_of({}) is None and usage_of(None) is None and usage_of([1]) is None
    assert read(event("a", finish="STOP")).usage is None
    assert read(event("a", finish="STOP", usageMetadata=None)).usage is None


def counted(**counts: int) -> dict[str, Any]:
    return {f"{name}TokenCount": n for name, n in counts.items()}


def test_the_last_report_counts() -> None:
    """Reports are running totals of one step, and the last one is for all (recorded, 2026-05)."""
    early = counted(prompt=9, candidates=51, total=60)
    middle = counted(prompt=9, candidates=22, total=31)
    final = counted(prompt=87, total=165, thoughts=78)
    reply = read(
        event("a", usageMetadata=early),
        event("b", usageMetadata=middle),
        event("", finish="STOP", usageMetadata=final),
    )
    assert reply.usage == LLMUsage(87, 78, reasoning=78, raw=final)
    late = read(event("a", usageMetadata=early), END, {"usageMetadata": final})
    assert late.usage == reply.usage


@pytest.mark.parametrize("events", [1, 2, 3])
def test_the_usage_of_a_broken_reply_is_the_newest_and_partial(events: int) -> None:
    said = [event(t, usageMetadata=counted(prompt=9, candidates=n, total=9 + n))
            for n, t in enumerate("abc", 1)][:events]  # fmt: skip
    for rest in (b"", sse({"error": {"code": 503, "message": "x"}})):
        reply, error = decode([sse(*said) + rest])
        assert isinstance(error, StreamError)
        assert reply.usage is not None
        assert (reply.usage.output_total, reply.usage.provenance) == (events, "partial")


def test_usage_from_before_the_end_stays_partial() -> None:
    usage = counted(prompt=9, candidates=2, total=11)
    reply = read(event("a", usageMetadata=usage), event("b", usageMetadata=usage), END)
    assert reply.usage == LLMUsage(9, 2, provenance="partial", raw=usage)


# --- what breaks ----------------------------------------------------------------------------------

WHOLE = (event("Hello, "), event("you"), event("!", called("f", args={"a": 1})),
         event("", finish="STOP", usageMetadata=counted(prompt=1, candidates=2)))  # fmt: skip


def test_a_stream_cut_anywhere_is_incomplete() -> None:
    data = sse(*WHOLE)
    end = data.index(b"STOP")
    for n in range(end):
        reply, error = decode([data[:n]])
        assert isinstance(error, IncompleteStreamError), n
        assert "Hello, you!".startswith(close_open_parts(reply).text)
    assert decode([data[:-4]])[1] is None  # without the last blank line


def test_an_array_cut_anywhere_is_incomplete() -> None:
    data = array(*WHOLE).rstrip()
    for n in range(len(data)):
        assert isinstance(decode([data[:n]])[1], IncompleteStreamError), n
    for n in range(1, len(data)):
        with pytest.raises((IncompleteStreamError, DecodeError)) as caught:
            CLIENT.parse_response(data[:n], REQUEST, PROVIDER)
        assert caught.value.partial is not None or n < 2


def test_a_whole_answer_needs_no_finish_reason() -> None:
    """Picture models leave it out (recorded)."""
    part = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}
    reply, error = decode([json.dumps(event(part, usageMetadata=counted(prompt=3))).encode()])
    assert error is None
    assert reply.stop is None
    assert reply.usage is not None and reply.usage.provenance == "reported"
    assert isinstance(decode([sse(event(part))])[1], IncompleteStreamError)


BUSY = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}


@pytest.mark.parametrize(
    "data",
    [
        sse({"error": BUSY}),
        b'{"error": ' + json.dumps(BUSY).encode() + b"}",
        json.dumps({"error": BUSY}, indent=2).encode(),
        json.dumps([{"error": BUSY}], indent=2).encode(),
        b"data: " + json.dumps([{"error": BUSY}]).encode() + b"\n\n",
        b"event: error\ndata: " + json.dumps(BUSY).encode() + b"\n\n",
        array(event("Hello"), {"error": BUSY}),
        sse(event("Hello")) + json.dumps({"error": BUSY}).encode(),
        sse(event("Hello")) + json.dumps({"error": BUSY}, indent=2).encode() + b"\n",
        sse(event("Hello")) + json.dumps([{"error": BUSY}], indent=2).encode() + b"\r\n",
        sse(event("Hello"), {**event(" you"), "error": BUSY}),
    ],
)
def test_errors_inside_a_200(data: bytes) -> None:
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        reply, error = decode(pieces)
        assert isinstance(error, StreamError) and isinstance(error, OverloadedError)
        assert error.provider_message == "The model is overloaded."
        assert (error.status, error.api, error.provider) == (200, "gemini", "google")
        assert reply.text in ("", "Hello", "Hello you")
    with pytest.raises(OverloadedError) as caught:
        CLIENT.parse_response(data, REQUEST, PROVIDER)
    assert caught.value.partial is not None
    assert caught.value.partial.text == reply.text


@pytest.mark.parametrize(
    "data",
    [
        b"<html>no</html>",
        b"{}",
        b"[]",
        b'{"usageMetadata":{"promptTokenCount":1}}',
        b'{"candidates":[{"content":{"parts":[{"text":5}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":5}}]}}]}',
        b'{"candidates":{}}',
        b'{"candidates":[tru]}',
        b'[{"candidates":[]} x',
        b"data: {no\n\n",
        b"data: <html>\n\n",
        b"data: {}\n\n<html>\n",
        b"data: 5\n\n",
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    assert isinstance(decode([data])[1], DecodeError)
    with pytest.raises(DecodeError, match="google sent what is no reply of generateContent"):
        CLIENT.parse_response(data, REQUEST, PROVIDER)


@pytest.mark.parametrize("data", [b"", b"null", b"12", b'"text"', b"hello"])
def test_a_body_that_is_neither_json_nor_events(data: bytes) -> None:
    with pytest.raises(DecodeError, match="neither JSON nor events"):
        CLIENT.parse_response(data, REQUEST, PROVIDER)


def test_what_gateways_add_is_passed_over() -> None:
    data = b": ping\n\ndata:\n\n" + sse(*WHOLE) + b"data: [DONE]\n\n"
    decoder = CLIENT.stream_decoder(REQUEST, PROVIDER)
    reply = accumulate([*decoder.feed(data), *decoder.finish()])
    assert reply == decode([sse(*WHOLE)])[0]
    assert decoder.keepalives == 3


def test_nothing_counts_after_the_end_of_an_array() -> None:
    decoder = CLIENT.stream_decoder(REQUEST, PROVIDER)
    assert list(decoder.feed(array(*WHOLE)))
    assert decoder.done
    assert list(decoder.feed(b"  ")) == list(decoder.finish()) == []


# --- errors with a status -------------------------------------------------------------------------


def error_of(status: int, *details: dict[str, Any], word: str = "X", message: str = "m") -> Any:
    body = {"error": {"code": status, "message": message, "status": word, "details": details}}
    return CLIENT.parse_error(status, {}, json.dumps([body]).encode(), REQUEST, PROVIDER)


def test_errors() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "13s"}
    per_day = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }
    slow = error_of(429, retry, word="RESOURCE_EXHAUSTED")
    assert isinstance(slow, RateLimitError)
    assert (slow.retry_after, slow.api, slow.model) == (13.0, "gemini", "gemini-3-flash")
    spent = error_of(429, per_day, retry, word="RESOURCE_EXHAUSTED")
    assert isinstance(spent, QuotaError) and not spent.retryable


# --- objects in a row -----------------------------------------------------------------------------

_BITS = st.sampled_from(
    [b"{", b"}", b'"', b"\\", b"[", b"]", b",", b":", b"a", b" ", b"\n", b"\xff"]
)


@given(st.lists(json_objects, max_size=4), st.lists(st.integers(0, 500), max_size=9), st.booleans())
def test_objects_are_found_wherever_they_are_cut(
    objects: list[Any], places: list[int], listed: bool
) -> None:
    body = b" ,\n".join(json.dumps(o, indent=1).encode() for o in objects)
    if listed:
        body = b"[" + body + b"]"
    edges = [0, *sorted(p % (len(body) + 1) for p in places), len(body)]
    scanner = ObjectScanner()
    found = [json.loads(o) for a, b in itertools.pairwise(edges)
             for o in scanner.feed(body[a:b])]  # fmt: skip
    assert found == objects
    assert (scanner.closed, scanner.open) == (listed, False)


@given(st.lists(_BITS, max_size=40).map(b"".join), st.integers(1, 5))
def test_scanning_does_not_depend_on_the_cuts(body: bytes, size: int) -> None:
    def scanned(pieces: list[bytes]) -> tuple[list[bytes], bool]:
        scanner, found = ObjectScanner(), []
        try:
            for piece in pieces:
                found += scanner.feed(piece)
        except ValueError:
            return found, True
        return found, scanner.open

    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    whole, split = scanned([body]), scanned(pieces)
    assert whole[1] == split[1]
    assert whole[0] == split[0] or whole[1]
