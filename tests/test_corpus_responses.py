"""Recorded traffic of the Responses API: every exchange, cut in four ways, and sent back."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import corpus
from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.errors import BackendError, IncompleteStreamError
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.types import LLMChunk, LLMMessage

IDS = corpus.exchange_ids("openai-responses")
if not IDS:
    pytest.skip("no corpus: set LLMWIRE_CORPUS", allow_module_level=True)

CUTS = ("whole", "line", "random", "1byte")
FIELDS = (
    "complete", "text", "reasoning", "reasoning_signatures", "refusal", "tool_calls",
    "stop_reason", "usage", "error", "extra",
)  # fmt: skip
_LISTED = tomllib.loads(
    (Path(__file__).parent / "corpus_differences.toml").read_text(encoding="utf-8")
)["difference"]
DIFFERENCES: dict[str, list[str]] = {d["id"]: d["fields"] for d in _LISTED if d["id"] in IDS}
GOOD = [i for i in IDS if corpus.load(i)["response"]["status"] == 200]
STREAMED = [i for i in GOOD if corpus.load(i)["stream"]]
ADAPTER = ADAPTERS["openai-responses"]


class Case:
    """An exchange, and what it takes to read it."""

    def __init__(self, exchange_id: str) -> None:
        self.exchange: dict[str, Any] = corpus.load(exchange_id)
        self.body = corpus.body_of(self.exchange)
        self.request = corpus.request_of(self.exchange)
        self.provider = corpus.provider_of(self.exchange)
        self.streamed: bool = self.exchange["stream"]
        self.status: int = self.exchange["response"]["status"]


def collect(case: Case, pieces: Any) -> tuple[LLMChunk, BackendError | None]:
    """A stream's sum, and the error that ended it."""
    decoder = ADAPTER.stream_decoder(case.request, case.provider)
    builder, error = ChunkBuilder(), None
    try:
        for piece in pieces:
            for chunk in decoder.feed(piece):
                builder.add(chunk)
        for chunk in decoder.finish():
            builder.add(chunk)
    except BackendError as e:
        error = e
    return close_open_parts(builder.result()), error


def read(case: Case, cut: str = "whole") -> tuple[LLMChunk, BackendError | None]:
    if case.status >= 400:
        headers = case.exchange["response"]["headers"]
        return LLMChunk(), ADAPTER.parse_error(
            case.status, headers, case.body, case.request, case.provider
        )
    if case.streamed:
        return collect(case, corpus.cuts(case.body, seed=len(case.body))[cut])
    try:
        return ADAPTER.parse_response(case.body, case.request, case.provider), None
    except BackendError as e:
        return e.partial or LLMChunk(), e


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("exchange_id", IDS)
def test_reading(exchange_id: str, cut: str) -> None:
    got, want = corpus.reading(*read(Case(exchange_id), cut)), corpus.expected(exchange_id)
    got["extra"].pop("citations", None)  # the answers do not count annotations of this wire
    if kinds := got["extra"].pop("blocks", None):
        got["extra"]["items"] = kinds
    also = want["agrees"] if isinstance(want.get("agrees"), dict) else {}
    differences = {
        field: (got[field], want[field])
        for field in FIELDS
        if got[field] != want[field] and (field not in also or got[field] != also[field])
    }
    assert sorted(differences) == sorted(DIFFERENCES.get(exchange_id, [])), differences


def test_all_recorded_exchanges_are_compared() -> None:
    assert len(IDS) == 65
    assert len(DIFFERENCES) <= 1
    assert all(d["reason"] for d in _LISTED)


@pytest.mark.parametrize("exchange_id", STREAMED)
def test_a_stream_cut_after_any_event_is_no_success(exchange_id: str) -> None:
    case = Case(exchange_id)
    whole, failure = collect(case, [case.body])
    ends = [match.end() for match in re.finditer(rb"\r?\n\r?\n", case.body)]
    assert ends
    for end in ends:
        reply, error = collect(case, [case.body[:end]])
        if re.search(rb'"type": ?"response\.(completed|incomplete)"', case.body[:end]):
            assert error is None and reply == whole
        elif failure is not None and b"event: error" in case.body[:end]:
            assert type(error) is type(failure)
        else:
            assert isinstance(error, IncompleteStreamError), end
            assert whole.text.startswith(reply.text)
            assert all(call in whole.tool_calls for call in reply.tool_calls)


# --- what came goes back ------------------------------------------------------------------------


def items_of(case: Case) -> list[dict[str, Any]]:
    """The items of a reply as they came; of a stream each as its own end brought it."""
    if not case.streamed:
        return json.loads(case.body)["output"]
    lines = re.findall(rb"^data: ?(\{.*)$", case.body, re.MULTILINE)
    events = [json.loads(line) for line in lines]
    done = [e for e in events if e["type"] == "response.output_item.done"]
    return [e["item"] for e in sorted(done, key=lambda e: e["output_index"])]


def without_nothing(item: dict[str, Any]) -> dict[str, Any]:
    """An item without its nulls and empty lists, which say nothing, in depth."""
    out = {k: v for k, v in item.items() if v is not None and v != []}
    for key in ("content", "summary"):
        if isinstance(out.get(key), list):
            out[key] = [without_nothing(part) for part in out[key]]
    return out


def to_be_sent(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What of the items goes back: reasoning only if it is encrypted or has its text, and without
    it no id and no hosted tool after it."""
    out: list[dict[str, Any]] = []
    missing = False
    for item in items:
        kind = item["type"]
        if kind == "reasoning":
            missing = not (item.get("encrypted_content") or item.get("content"))
            if not missing:
                out.append(item)
        elif kind not in ("message", "function_call", "custom_tool_call"):
            out += [] if missing and kind != "compaction" else [item]
        else:
            out.append({k: v for k, v in item.items() if k != "id"} if missing else item)
    return out


@pytest.mark.parametrize("exchange_id", GOOD)
def test_the_items_of_a_reply_go_back_as_they_came(exchange_id: str) -> None:
    case = Case(exchange_id)
    reply, error = read(case)
    if error is not None or not reply.message.parts:
        return
    results = [LLMMessage("tool", "result", tool_call_id=c.id or "") for c in reply.tool_calls]
    history = (*case.request.messages, reply.message, *results, LLMMessage("user", "Go on."))
    prepared = ADAPTER.prepare_request(replace(case.request, messages=history), case.provider)
    sent = json.loads(prepared.body)["input"]
    assert sent[0]["role"] == "user" and sent[-1] == {"role": "user", "content": "Go on."}
    answers = [i for i in sent if str(i.get("type")).endswith("tool_call_output")]
    answers += [i for i in sent if i.get("type") == "function_call_output"]
    assert [a["call_id"] for a in answers if a["output"] == "result"] == [
        c.id for c in reply.tool_calls
    ]
    back = sent[1 : len(sent) - 1 - len(results)]
    assert list(map(without_nothing, back)) == list(
        map(without_nothing, to_be_sent(items_of(case)))
    )


@pytest.mark.parametrize("exchange_id", GOOD)
def test_recorded_requests_are_heard_and_said_again(exchange_id: str) -> None:
    """Our server refuses nothing that a service has answered, and our client says it again."""
    case = Case(exchange_id)
    body = case.exchange["request"]["body"]
    if not isinstance(body, dict) or "input" not in body:
        return
    half = SERVER_HALVES["openai-responses"]
    heard = half.parse_request("POST", "/v1/responses", {}, json.dumps(body).encode()).request
    again = ADAPTER.prepare_request(heard, replace(case.provider, name=""))
    said = half.parse_request("POST", again.endpoint, again.headers, again.body).request
    assert said.messages == heard.messages
    assert said.tools == heard.tools
    assert (said.max_tokens, said.output) == (heard.max_tokens, heard.output)
    items = body["input"] if isinstance(body["input"], list) else []
    kept = [i.get("encrypted_content") for i in items if i.get("encrypted_content")]
    sent = json.loads(again.body)["input"]
    assert [i["encrypted_content"] for i in sent if i.get("encrypted_content")] == kept
