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
