"""Recorded traffic of Chat Completions and of Mistral: every exchange, cut in four ways."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import corpus
from llmwire.adapters import ADAPTERS
from llmwire.adapters.base import APIAdapter
from llmwire.config import ProviderConfig
from llmwire.errors import BackendError, IncompleteStreamError
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.providers import dialect_of
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk

IDS = corpus.exchange_ids("openai-chat", "mistral-chat")
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
STREAMED = [i for i in IDS if (x := corpus.load(i))["stream"] and x["response"]["status"] == 200]


class Case:
    """An exchange, and what it takes to read it."""

    def __init__(self, exchange_id: str) -> None:
        self.exchange: dict[str, Any] = corpus.load(exchange_id)
        self.body = corpus.body_of(self.exchange)
        self.request: LLMRequest = corpus.request_of(self.exchange)
        self.provider: ProviderConfig = corpus.provider_of(self.exchange)
        self.adapter: APIAdapter = ADAPTERS[self.provider.api_style]
        self.streamed: bool = self.exchange["stream"]
        self.status: int = self.exchange["response"]["status"]


def collect(case: Case, pieces: Any) -> tuple[LLMChunk, BackendError | None]:
    """A stream's sum, and the error that ended it."""
    decoder = case.adapter.stream_decoder(case.request, case.provider)
    builder, error = ChunkBuilder(), None
    try:
        for piece in pieces:
            for chunk in decoder.feed(piece):
                builder.add(chunk)
        for chunk in decoder.finish():
            builder.add(chunk)
    except BackendError as e:
        error = e
    return builder.result(), error


def read(case: Case, cut: str) -> tuple[LLMChunk, BackendError | None]:
    if case.status >= 400:
        headers = case.exchange["response"]["headers"]
        return LLMChunk(), case.adapter.parse_error(
            case.status, headers, case.body, case.request, case.provider
        )
    if case.streamed:
        return collect(case, corpus.cuts(case.body, seed=len(case.body))[cut])
    try:
        return case.adapter.parse_response(case.body, case.request, case.provider), None
    except BackendError as e:
        return e.partial or LLMChunk(), e


def found(case: Case, cut: str) -> dict[str, Any]:
    reply, error = read(case, cut)
    got = corpus.reading(close_open_parts(reply), error)
    if error is not None and case.streamed:
        got["complete"] = reply.stop is not None
    got["extra"].pop("citations", None)  # the answers do not count annotations of this wire
    return got


def differing(exchange_id: str, cut: str) -> dict[str, Any]:
    case = Case(exchange_id)
    got, want = found(case, cut), corpus.expected(exchange_id)
    also = want["agrees"] if isinstance(want.get("agrees"), dict) else {}
    return {
        field: (got[field], want[field])
        for field in FIELDS
        if got[field] != want[field] and (field not in also or got[field] != also[field])
    }


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("exchange_id", IDS)
def test_reading(exchange_id: str, cut: str) -> None:
    differences = differing(exchange_id, cut)
    assert sorted(differences) == sorted(DIFFERENCES.get(exchange_id, [])), differences


def test_differences_are_few() -> None:
    assert len(DIFFERENCES) <= 3
    assert all(d["reason"] for d in _LISTED)


@pytest.mark.parametrize("exchange_id", STREAMED)
def test_a_cut_stream_is_never_a_success(exchange_id: str) -> None:
    """Cut after any event: incomplete, unless the finish reason had come and is enough there."""
    case = Case(exchange_id)
    events = case.body.replace(b"\r\n", b"\n").split(b"\n\n")
    whole, failure = collect(case, [case.body])
    enough = dialect_of(case.provider).stream_end == "finish_reason"
    for n in range(len(events)):
        text = b"\n\n".join(events[:n]) + b"\n\n"
        reply, error = collect(case, [text])
        if error is not None:
            assert isinstance(error, IncompleteStreamError) or type(error) is type(failure)
            continue
        rest = b"".join(events[n:]).strip()
        assert failure is None
        assert (enough and reply.stop is not None and reply.stop.raw) or not rest, n
        assert reply.message == whole.message
        assert reply.stop == whole.stop
