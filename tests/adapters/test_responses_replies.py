"""Replies of the Responses API, event by event: what comes early, late, twice or not at all."""

from __future__ import annotations

import base64
import json
from itertools import combinations
from typing import Any

import pytest

from llmwire.adapters import ADAPTERS
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.errors import (
    BackendError,
    ContentFilterError,
    ContextTooLongError,
    DecodeError,
    HistoryRejectedError,
    IncompleteStreamError,
    InvalidRequestError,
    QuotaError,
    RateLimitError,
    ServerError,
    StreamError,
)
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.request import LLMRequest
from llmwire.types import (
    AudioPart,
    AvailableFunction,
    AvailableTool,
    CompactionPart,
    FunctionCall,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    Native,
    OpaquePart,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    TextPart,
    ToolCall,
)

ADAPTER = ADAPTERS["openai-responses"]
PROVIDER = ProviderConfig("p", "http://127.0.0.1:1/v1", api_style="openai-responses")
REQUEST = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "hi"),), stream=True)

RS = {"id": "rs_1", "type": "reasoning", "summary": []}
MSG = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
FC = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f"}
WS = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
USAGE = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}


def ours(payload: Any) -> Native:
    return Native("openai-responses", "p", "m", payload)


def event(kind: str, at: Any = 0, **fields: Any) -> dict[str, Any]:
    place = {} if at is None else {"output_index": at}
    return {"type": f"response.{kind}", **place, **fields}


def added(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    start = {"arguments": ""} if item["type"] == "function_call" else {}
    return event("output_item.added", at, item={**item, **start, "status": "in_progress"})


def done(item: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return event("output_item.done", at, item=item)


def text(said: str, at: int = 0, inside: int = 0) -> dict[str, Any]:
    return event("output_text.delta", at, delta=said, content_index=inside)


def message(*texts: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": t, "annotations": []} for t in texts]
    return {**MSG, "content": content, **fields}


def call(arguments: str = '{"a":1}', **fields: Any) -> dict[str, Any]:
    return {**FC, "arguments": arguments, **fields}


def end(*output: Any, kind: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "m-1", "status": kind, "output": list(output), **fields}
    return {"type": f"response.{kind}", "response": response}


def wire(*events: Any) -> bytes:
    lines = [
        b"event: " + e["type"].encode() + b"\ndata: " + json.dumps(e).encode() + b"\n\n"
        if isinstance(e, dict)
        else e
        for e in events
    ]
    return b"".join(lines)


def read(*events: Any, **options: Any) -> tuple[list[LLMChunk], BackendError | None]:
    request, provider = options.get("request", REQUEST), options.get("provider", PROVIDER)
    decoder = ADAPTER.stream_decoder(request, provider)
    chunks: list[LLMChunk] = []
    try:
        for piece in events:
            chunks.extend(decoder.feed(wire(piece)))
        chunks.extend(decoder.finish())
    except BackendError as e:
        return chunks, e
    return chunks, None


def summed(chunks: list[LLMChunk]) -> LLMChunk:
    builder = ChunkBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return builder.result()


def reply(*events: Any, **options: Any) -> LLMChunk:
    chunks, error = read(*events, **options)
    assert error is None, repr(error)
    got = summed(chunks)
    assert not any(isinstance(p, PartDelta) for p in got.message.parts)
    return got


def parts(*events: Any, **options: Any) -> list[Any]:
    return list(reply(*events, **options).message.parts)


def whole(response: Any, **options: Any) -> LLMChunk:
    body = response if isinstance(response, bytes) else json.dumps(response).encode()
    request, provider = options.get("request", REQUEST), options.get("provider", PROVIDER)
    return ADAPTER.parse_response(body, request, provider)


# --- one item after the other -------------------------------------------------------------------

SECRET = {**RS, "encrypted_content": "gAAA"}
SPOKEN = {**MSG, "phase": "commentary"}
ITEMS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], Any]] = {
    "text": (
        [text("Hel"), text("lo")],
        {**SPOKEN, "content": [{"type": "output_text", "text": "Hello", "annotations": []}]},
        TextPart("Hello", native=ours({"item": {k: v for k, v in SPOKEN.items() if k != "type"}})),
    ),
    "text with citations": (
        [
            text("Hello"),
            event("output_text.annotation.added", content_index=0, annotation_index=0,
                  annotation={"type": "url_citation", "url": "u1"}),
        ],
        {
            **MSG,
            "content": [
                {"type": "output_text", "text": "Hello", "logprobs": [{"token": "Hello"}],
                 "annotations": [{"type": "url_citation", "url": u} for u in ("u1", "u2")]}
            ],
        },
        TextPart(
            "Hello",
            ({"type": "url_citation", "url": "u1"}, {"type": "url_citation", "url": "u2"}),
            ours({
                "item": {"id": "msg_1", "status": "completed", "role": "assistant"},
                "part": {"logprobs": [{"token": "Hello"}]},
            }),
        ),
    ),
    "refusal": (
        [event("refusal.delta", delta="No", content_index=0)],
        {**MSG, "content": [{"type": "refusal", "refusal": "No."}]},
        RefusalPart(
            "No.", ours({"item": {"id": "msg_1", "status": "completed", "role": "assistant"}})
        ),
    ),
    "summary": (
        [event("reasoning_summary_text.delta", delta="Hm", summary_index=0)],
        {**SECRET, "summary": [{"type": "summary_text", "text": "Hm."}]},
        ReasoningPart("Hm.", "encrypted", data="gAAA", native=ours({"item": {"id": "rs_1"}})),
    ),
    "reasoning as text": (
        [event("reasoning_text.delta", delta="Hm.", content_index=0)],
        {**RS, "status": "completed", "content": [{"type": "reasoning_text", "text": "Hm."}]},
        ReasoningPart(
            "Hm.", native=ours({"item": {"id": "rs_1", "status": "completed"}, "content": True})
        ),
    ),
    "reasoning in secret": (
        [],
        SECRET,
        ReasoningPart("", "encrypted", data="gAAA", native=ours({"item": {"id": "rs_1"}})),
    ),
    "call": (
        [event("function_call_arguments.delta", delta=d) for d in ('{ "a"', ":1.50}")],
        call('{ "a":1.50}', namespace="crm"),
        ToolCall("c1", FunctionCall("f", '{ "a":1.50}'), native=ours({
            "item": {"id": "fc_1", "status": "completed", "namespace": "crm"}
        })),
    ),
    "custom call": (
        [event("custom_tool_call_input.delta", delta="4 +")],
        {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "4 + 4"},
        ToolCall("c1", FunctionCall("f", "4 + 4"), "custom", ours({"item": {"id": "ctc_1"}})),
    ),
    "hosted tool": (
        [event("web_search_call.searching", item_id="ws_1")],
        {**WS, "action": {"type": "search", "z": 1.50, "a": None}},
        OpaquePart("web_search_call", json.dumps({**WS, "action": {
            "type": "search", "z": 1.50, "a": None,
        }}), ours(None)),
    ),
    "compaction": (
        [event("compaction.compacting", item_id="cmp_1")],
        {"id": "cmp_1", "type": "compaction", "encrypted_content": "gBBB"},
        CompactionPart(native=ours('{"id": "cmp_1", "type": "compaction", "encrypted_content": '
                                   '"gBBB"}')),
    ),
    "something new": (
        [event("hologram.delta", delta="?")],
        {"id": "h_1", "type": "hologram", "content": 7},
        OpaquePart("hologram", '{"id": "h_1", "type": "hologram", "content": 7}', ours(None)),
    ),
    "a message's content of a new kind": (
        [],
        {**MSG, "content": [{"type": "smell", "strength": 3}]},
        OpaquePart("smell", '{"type":"smell","strength":3}',
                   ours({"item": {"id": "msg_1", "status": "completed", "role": "assistant"}})),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_is_the_same_part_whichever_of_its_events_come(name: str) -> None:
    """Start, deltas, end, and the whole response at the end: any of them may be missing, but one
    that has the whole item; and a whole answer means the same."""
    deltas, item, part = ITEMS[name]
    early = [[added(item)], deltas, [done(item)]]
    for n in range(4):
        for some in combinations(early, n):
            events = [e for group in some for e in group]
            if [done(item)] in some:
                assert parts(*events, end()) == [part]
            assert parts(*events, end(item)) == [part]
    assert list(whole(end(item)["response"]).message.parts) == [part]


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_comes_once_even_if_it_is_told_twice(name: str) -> None:
    deltas, item, part = ITEMS[name]
    told = [added(item), *deltas, done(item)]
    assert parts(*told, done(item), added(item), *deltas, end(item)) == [part]


def test_the_id_of_an_item_stands_for_a_missing_output_index() -> None:
    first, second = message("One"), {**message("Two"), "id": "msg_2"}

    def unnumbered(e: dict[str, Any]) -> dict[str, Any]:
        name = {"item_id": "msg_2"} if e.get("delta") == "Tw" else {}
        return {k: v for k, v in e.items() if k != "output_index"} | name

    events = [added(first), text("On"), done(first), added(second), text("Tw"), done(second)]
    assert [p.text for p in parts(*map(unnumbered, events), end(first, second))] == ["One", "Two"]


def test_deltas_that_count_from_one_are_the_same_text() -> None:
    item = message("Hello")
    chunks = [added(item), text("Hel", inside=1), text("lo", inside=1), done(item), end(item)]
    assert [p.text for p in parts(*chunks)] == ["Hello"]


def test_what_was_said_stays_said_if_the_whole_item_does_not_have_it() -> None:
    item = {**MSG, "content": [{"type": "refusal", "refusal": "No."}]}
    assert [p.text for p in parts(added(item), text("Well,"), done(item), end(item))] == [
        "Well,", "No."
    ]  # fmt: skip


def test_an_item_is_known_by_its_id_in_the_whole_response() -> None:
    assert [p.text for p in parts(done(message("Hello"), 3), end(message("Hello")))] == ["Hello"]


def test_arguments_that_came_as_an_object() -> None:
    (found,) = parts(end(call({"a": 1})))  # type: ignore[arg-type]
    assert found.arguments == '{"a":1}'


def test_several_texts_in_one_message() -> None:
    item = message("One", "Two")
    events = [added(item), text("One"), text("Two", inside=1), done(item), end(item)]
    assert [p.text for p in parts(*events)] == ["One", "Two"]
    assert parts(*events) == list(whole(end(item)["response"]).message.parts)


def test_each_summary_is_a_part_and_the_last_has_the_secret() -> None:
    texts = [{"type": "summary_text", "text": t} for t in ("One", "Two")]
    item = {**SECRET, "summary": texts}
    deltas = [
        event("reasoning_summary_text.delta", delta=t["text"], summary_index=i)
        for i, t in enumerate(texts)
    ]
    found = parts(added(item), *deltas, done(item), end(item))
    assert [(p.text, p.kind, p.data) for p in found] == [
        ("One", "summary", None), ("Two", "encrypted", "gAAA")
    ]  # fmt: skip
    assert found == list(whole(end(item)["response"]).message.parts)


# --- order --------------------------------------------------------------------------------------


def test_items_that_interleave_keep_their_order() -> None:
    one, two = call(), call('{"b":2}', id="fc_2", call_id="c2")
    found = parts(
        added(one), added(two, 1),
        event("function_call_arguments.delta", 1, delta='{"b":'),
        event("function_call_arguments.delta", 0, delta='{"a":'),
        event("function_call_arguments.delta", 1, delta="2}"),
        done(two, 1),
        event("function_call_arguments.delta", 0, delta="1}"),
        done(one), end(one, two),
    )  # fmt: skip
    assert [(c.id, c.arguments) for c in found] == [("c1", '{"a":1}'), ("c2", '{"b":2}')]


def test_what_stands_behind_a_hosted_item_waits_for_it() -> None:
    other = {**WS, "id": "ws_2"}
    item = message("Hello")
    start = [added(WS), added(other, 1), added(item, 2), text("Hel", 2)]
    chunks, _ = read(*start)
    assert not any(c.message.parts for c in chunks)
    chunks, _ = read(*start, done(other, 1))
    assert not any(c.message.parts for c in chunks)
    rest = [text("lo", 2), done(WS), done(item, 2), end()]
    found = parts(*start, done(other, 1), *rest)
    assert [getattr(p, "kind", p) for p in found[:2]] == ["web_search_call"] * 2
    assert [json.loads(p.data)["id"] for p in found[:2]] == ["ws_1", "ws_2"]
    assert found[2].text == "Hello"


def test_a_hosted_item_whose_end_never_came_is_left_out_with_a_record() -> None:
    got = reply(added(WS), added(MSG, 1), text("Hello", 1), end(kind="incomplete"))
    assert [p.text for p in got.message.parts] == ["Hello"]
    assert [(a.path, a.action) for a in got.adaptations] == [("output[0]", "dropped")]


def test_secret_reasoning_may_come_with_the_end_and_keeps_its_place() -> None:
    """Azure (wire reference 2.3)."""
    item = message("Hello")
    assert parts(added(RS), done(RS), end(SECRET)) == [ITEMS["reasoning in secret"][2]]
    for early in ([added(RS), done(RS)], [added(RS)], [done(RS)]):
        events = [*early, added(item, 1), text("Hello", 1), done(item, 1), end(SECRET, item)]
        thought, said = parts(*events)
        assert thought == ITEMS["reasoning in secret"][2]
        assert said.native.payload["after"] == "rs_1"
    summed_up = {**RS, "summary": [{"type": "summary_text", "text": "Hm."}]}
    delta = event("reasoning_summary_text.delta", delta="Hm.", summary_index=0)
    late = {**summed_up, "encrypted_content": "gAAA"}
    found = parts(added(RS), delta, done(summed_up), done(item, 1), end(late, item))
    assert found[0] == ITEMS["summary"][2] and found[1].text == "Hello"


def test_reasoning_that_shows_and_hides_nothing_is_no_part() -> None:
    item = message("Hello")
    found = parts(
        added(RS), done(RS), added(item, 1), text("Hello", 1), done(item, 1), end(RS, item)
    )
    assert found == list(whole(end(RS, item)["response"]).message.parts)
    (said,) = found
    assert said.native.payload["after"] == "rs_1"  # so that it goes back without its id


# --- calls --------------------------------------------------------------------------------------

CUT: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "no end, reply complete": ([], end(), "cut"),
    "no end, output limit": (
        [], end(kind="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length",
    ),
    "called incomplete": ([done(call('{"a":', status="incomplete"))], end(), "cut"),
    "called incomplete by a filter": (
        [done(call('{"a":', status="incomplete"))],
        end(kind="incomplete", incomplete_details={"reason": "content_filter"}), "content_filter",
    ),
    "whole JSON, called incomplete": (
        [done(call('{"a":1}', status="incomplete"))],
        end(kind="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length",
    ),
    "called complete, cut by the limit": (
        [done(call('{"a":'))],
        end(kind="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length",
    ),
    "no object": ([done(call('{"a":'))], end(), "invalid_json"),
    "a list": ([done(call("[1]"))], end(), "invalid_json"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_a_call_that_is_not_whole_is_no_call(name: str) -> None:
    events, last, reason = CUT[name]
    delta = event("function_call_arguments.delta", delta='{"a":')
    got = reply(added(FC), *([] if name == "a list" else [delta]), *events, last)
    (found,) = got.message.parts
    assert isinstance(found, IncompleteToolCall)
    assert (found.id, found.name, found.reason) == ("c1", "f", reason)
    assert got.stop is not None and got.stop.reason != "tool_calls"
    if events:
        item = events[0]["item"]
        assert whole(last["response"] | {"output": [item]}).message == got.message


def test_a_custom_call_that_was_cut_is_no_call() -> None:
    item = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c1", "name": "f", "input": "4 +",
            "status": "incomplete"}  # fmt: skip
    (found,) = parts(done(item), end(kind="incomplete"))
    assert isinstance(found, IncompleteToolCall) and found.arguments == "4 +"


def test_a_call_before_the_cut_is_whole() -> None:
    last = end(kind="incomplete", incomplete_details={"reason": "max_output_tokens"})
    one, two = parts(done(call()), added({**FC, "id": "fc_2", "call_id": "c2"}, 1), last)
    assert isinstance(one, ToolCall) and isinstance(two, IncompleteToolCall)


XAI = ProviderConfig("xai", "https://api.x.ai/v1", api_style="openai-responses")
SEARCH = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "xs_1", "name": "x_keyword_search",
          "input": "{}", "status": "completed"}  # fmt: skip


def test_a_custom_call_of_a_tool_that_nobody_offered_is_the_servers_own() -> None:
    delta = event("custom_tool_call_input.delta", delta="{}")
    events = [added(SEARCH), delta, done(SEARCH), done(message("Found."), 1)]
    got = reply(*events, end(), provider=XAI)
    assert [type(p) for p in got.message.parts] == [OpaquePart, TextPart]
    assert got.stop == StopInfo("stop", "completed")
    offered = AvailableTool(AvailableFunction("x_keyword_search"), "custom")
    for fields in (
        {"tools": (offered,)},
        {"extra_body": {"tools": [{"type": "custom", "name": "x_keyword_search"}]}},
    ):
        request = LLMRequest(model=REQUEST.model, messages=REQUEST.messages, **fields)
        got = reply(*events, end(), provider=XAI, request=request)
        assert isinstance(got.message.parts[0], ToolCall)
        assert got.stop == StopInfo("tool_calls", "completed")
    assert isinstance(parts(*events, end())[0], ToolCall), "elsewhere a call is a call"
    quirk = Dialect(hosted_custom_calls=True)
    elsewhere = ProviderConfig("p", "http://h/v1", api_style="openai-responses", dialect=quirk)
    assert isinstance(parts(*events, end(), provider=elsewhere)[0], OpaquePart)


# --- the end ------------------------------------------------------------------------------------

STOPS: dict[str, tuple[dict[str, Any], StopInfo]] = {
    "completed": (end(message("a")), StopInfo("stop", "completed")),
    "call": (end(call()), StopInfo("tool_calls", "completed")),
    "refusal": (
        end({**MSG, "content": [{"type": "refusal", "refusal": "No."}]}),
        StopInfo("refusal", "completed"),
    ),
    "cancelled": (end(kind="cancelled"), StopInfo("cancelled", "cancelled")),
    "queued": (end(kind="queued"), StopInfo("other", "queued")),
    "no reason": (end(kind="incomplete"), StopInfo("other", "incomplete")),
    **{
        word: (
            end(kind="incomplete", incomplete_details={"reason": word}),
            StopInfo(reason, word),
        )
        for word, reason in (
            ("max_output_tokens", "length"),
            ("content_filter", "content_filter"),
            ("max_messages", "pause"),
            ("steered", "pause"),
            ("moonlight", "other"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", STOPS)
def test_why_it_stopped(name: str) -> None:
    last, stop = STOPS[name]
    assert whole(last["response"]).stop == stop
    if name not in ("cancelled", "queued"):
        assert reply(last).stop == stop


def test_what_azures_filter_found_is_told() -> None:
    found = [{"blocked": True, "source_type": "completion"}]
    last = end(kind="incomplete", incomplete_details={"reason": "content_filter"},
               content_filters=found)  # fmt: skip
    assert reply(last).stop == StopInfo(
        "content_filter", "content_filter", {"content_filters": found}
    )


def test_usage() -> None:
    details = {"cached_tokens": 3, "cache_write_tokens": 2}
    told = {**USAGE, "input_tokens_details": details, "extra": None,
            "output_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    raw = {k: v for k, v in told.items() if v is not None}
    assert reply(end(usage=told)).usage == LLMUsage(
        9, 4, 4, cache_read=3, cache_write=2, reasoning=1, raw=raw
    )
    assert reply(end(usage=USAGE)).usage == LLMUsage(9, 4, raw=USAGE)
    assert reply(end(usage=None)).usage is None
    assert reply(end(usage={})).usage is None
    assert reply(end(usage={"input_tokens": "many"})).usage == LLMUsage(
        raw={"input_tokens": "many"}
    )


def test_id_and_model_come_with_the_start() -> None:
    start = {"type": "response.created", "response": {"id": "resp_1", "model": "m-1"}}
    chunks, _ = read(start)
    assert [(c.response_id, c.model) for c in chunks] == [("resp_1", "m-1")]
    got = reply(start, start, end(model="m-2"))
    assert (got.response_id, got.model) == ("resp_1", "m-2")


def test_what_the_service_took_out_of_the_input_is_a_record() -> None:
    change = {"action": "removed", "type": "reasoning", "id": "rs_9", "reason": "prefix_mismatch"}
    (record,) = reply(end(input_transformations=[change, 7])).adaptations
    assert (record.path, record.action, record.before) == ("input", "dropped", change)
    assert record.reason == "the service removed reasoning rs_9: prefix_mismatch"


def test_sound() -> None:
    pieces = [base64.b64encode(b).decode() for b in (b"RI", b"FF")]
    (found,) = parts(
        *(event("audio.delta", None, delta=p) for p in pieces),
        event("audio.transcript.delta", None, delta="Hello."),
        end(),
    )
    assert isinstance(found, AudioPart)
    assert (found.source.data, found.transcript, found.format) == (b"RIFF", "Hello.", "wav")  # type: ignore[union-attr]
    _, error = read(event("audio.delta", None, delta="?"), end())
    assert isinstance(error, DecodeError)


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b": bye\n\n"])
def test_only_the_terminal_event_makes_a_reply_whole(tail: bytes) -> None:
    item = message("Hello")
    events = [added(item), text("Hello"), done(item)]
    chunks, error = read(*events, tail)
    assert isinstance(error, IncompleteStreamError)
    assert close_open_parts(summed(chunks)).text == "Hello"
    assert reply(*events, end(item), tail, text("more")).text == "Hello"
    assert reply(wire(*events, end(item), tail, b": x\n", text("more", 1))).text == "Hello"
    bare = {"type": "response.completed", "response": {"output": [item]}}
    assert reply(*events, bare).stop == StopInfo("stop", "completed")


def test_progress_of_hosted_tools_counts_as_a_sign_of_life() -> None:
    decoder = ADAPTER.stream_decoder(REQUEST, PROVIDER)
    quiet = [event("web_search_call.searching"), {"type": "keepalive", "sequence_number": 3}]
    assert list(decoder.feed(wire(*quiet, b": ping\n\n"))) == []
    assert decoder.keepalives == 3


# --- errors -------------------------------------------------------------------------------------

WORDS = {"code": "rate_limit_exceeded", "message": "Slow down", "param": None}
ERRORS: dict[str, tuple[Any, type[BackendError]]] = {
    "as the documentation has it": ({"type": "error", **WORDS}, RateLimitError),
    "as the service sends it": (
        {"type": "error", "error": {"type": "tokens", **WORDS}}, RateLimitError,
    ),
    "without a type": (b'data: {"error":{"code":"insufficient_quota","message":"No"}}\n\n', QuotaError),
    "a text": (b"event: error\ndata: upstream gone\n\n", ServerError),
    "failed": (end(kind="failed", error=WORDS), RateLimitError),
    "failed without a word": (end(kind="failed"), ServerError),
    "context": (
        end(kind="failed", error={"code": "context_length_exceeded", "message": "too long"}),
        ContextTooLongError,
    ),
    "policy": (end(kind="failed", error={"code": "bio_policy", "message": "no"}), ContentFilterError),
    "picture refused": (
        end(kind="failed", error={"code": "image_content_policy_violation", "message": "no"}),
        ContentFilterError,
    ),
    "picture broken": (
        end(kind="failed", error={"code": "image_parse_error", "message": "no"}),
        InvalidRequestError,
    ),
    "picture out of reach": (
        end(kind="failed", error={"code": "failed_to_download_image", "message": "no"}),
        InvalidRequestError,
    ),
    "history": (
        end(kind="failed", error={"code": "invalid_encrypted_content", "message": "no"}),
        HistoryRejectedError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_in_a_stream(name: str) -> None:
    told, kind = ERRORS[name]
    chunks, error = read(added(MSG), text("Hel"), told)
    assert isinstance(error, kind) and isinstance(error, StreamError)
    assert error.status == 200
    assert close_open_parts(summed(chunks)).text == "Hel"
    if name.startswith("as the"):
        assert (error.provider_message, error.code) == ("Slow down", "rate_limit_exceeded")


def test_a_whole_answer_that_failed_brings_what_there_is() -> None:
    failed = end(message("Hel"), call('{"a":'), kind="failed", error=WORDS, usage=USAGE)["response"]
    with pytest.raises(RateLimitError, match="Slow down") as caught:
        whole(failed)
    partial = caught.value.partial
    assert partial is not None and partial.usage is not None
    assert [type(p) for p in partial.message.parts] == [TextPart, IncompleteToolCall]
    with pytest.raises(QuotaError):
        whole({"error": {"code": "insufficient_quota", "message": "No money"}})
    with pytest.raises(RateLimitError):
        whole({"type": "error", **WORDS})


WORDINGS = (
    "The encrypted content gAAA could not be verified.",
    "Could not decrypt the provided encrypted_content.",
    "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: "
    "'rs_1'.",
    "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
    "No tool output found for function call call_a.",
    "Duplicate item found with id rs_1. Remove duplicate items from your input and try again.",
    "Invalid 'input[2].id': 'call_1'. Expected an ID that begins with 'fc'.",
    "The `reasoning_text` in the thinking mode must be passed back to the API.",
)


@pytest.mark.parametrize("words", WORDINGS)
def test_a_refused_history_is_known_by_its_words(words: str) -> None:
    body = json.dumps({"error": {"message": words, "type": "invalid_request_error"}}).encode()
    error = ADAPTER.parse_error(400, {}, body, REQUEST, PROVIDER)
    assert isinstance(error, HistoryRejectedError)


# --- other bodies -------------------------------------------------------------------------------


def test_a_stream_that_comes_as_one_document_and_the_other_way_round() -> None:
    response = end(message("Hello"))["response"]
    plain = json.dumps(response, indent=1).encode()
    assert reply(b"\xef\xbb\xbf\n" + plain).text == "Hello"
    _, error = read(plain[:-9])
    assert isinstance(error, IncompleteStreamError)
    _, error = read(b"<html>no</html>")
    assert isinstance(error, DecodeError)
    for page in (b"<html>no</html>\n\n", b"data: <html>no</html>\n\n", b"<html>no"):
        _, error = read(added(MSG), text("Hel"), page)
        assert isinstance(error, DecodeError), page
    _, error = read(b'{"error":{"code":"rate_limit_exceeded"}}')
    assert isinstance(error, RateLimitError)
    assert whole(wire(done(message("Hello")), end())).text == "Hello"
    with pytest.raises(IncompleteStreamError) as caught:
        whole(wire(added(MSG), text("Hel")))
    assert caught.value.partial is not None and caught.value.partial.text == "Hel"
    assert reply(b'{"type":"response.created"}\n' + wire(done(message("Hello")), end())).text == (
        "Hello"
    )


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"choices":[]}', b'{"output":7}', b"no"])
def test_a_body_of_another_wire_is_said_to_be_one(body: bytes) -> None:
    with pytest.raises(DecodeError):
        whole(body)


def test_half_a_surrogate_pair() -> None:
    """Legal in JSON, and nowhere in UTF-8."""
    half = b'"a\\ud83d!"'
    delta = (
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":' + half + b"}\n\n"
    )
    last = json.dumps(end(message("SAID"))).encode().replace(b'"SAID"', half)
    assert reply(delta, b"data: " + last + b"\n\n").text == "a\ufffd!"
    assert reply(b"data: " + last + b"\n\n").text == "a\ufffd!"
    assert whole(
        json.dumps(end(message("SAID"))["response"]).encode().replace(b'"SAID"', half)
    ).text == ("a\ufffd!")
    opaque = b'data: {"type":"response.output_item.done","item":{"type":"x","t":' + half + b"}}\n\n"
    (part,) = parts(opaque, end())
    assert json.loads(part.data) == {"type": "x", "t": "a\ufffd!"}


def test_bytes_that_are_no_text_are_an_error() -> None:
    broken = b'data: {"type":"response.output_item.done","item":{"type":"x","t":"\xff"}}\n\n'
    _, error = read(broken)
    assert isinstance(error, DecodeError)
    with pytest.raises(DecodeError):
        whole(b'{"status":"completed","output":[{"type":"x","t":"\xff"}]}')
