"""Recorded traffic of the Messages API and of Claude on Vertex AI."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from corpus import body_of, cuts, exchange_ids, expected, load, provider_of, reading, request_of
from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.config import ProviderConfig
from llmwire.errors import BackendError, IncompleteStreamError
from llmwire.folding import close_open_parts
from llmwire.providers import dialect_of
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk, accumulate

IDS = exchange_ids("anthropic-messages", "vertex-anthropic")
FIELDS = (
    "complete",
    "text",
    "reasoning",
    "reasoning_signatures",
    "refusal",
    "tool_calls",
    "stop_reason",
    "usage",
    "error",
    "extra",
)

needs_corpus = pytest.mark.skipif(not IDS, reason="LLMWIRE_CORPUS names no recorded traffic")


def streamed(
    request: LLMRequest, provider: ProviderConfig, pieces: Iterable[bytes]
) -> tuple[LLMChunk, BackendError | None]:
    decoder = ADAPTERS[provider.api_style].stream_decoder(request, provider)
    chunks: list[LLMChunk] = []
    error = None
    try:
        for piece in pieces:
            chunks.extend(decoder.feed(piece))
        chunks.extend(decoder.finish())
    except BackendError as e:
        error = e
    reply = accumulate(chunks)
    return (close_open_parts(reply) if error else reply), error


def differences(got: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    """Fields in which we differ from the SDK, and from the second reading where there is one."""
    second = want["agrees"] if isinstance(want["agrees"], dict) else {}
    return {
        field: (got[field], want[field])
        for field in FIELDS
        if got[field] != want[field] and (field not in second or got[field] != second[field])
    }


@needs_corpus
@pytest.mark.parametrize("exchange_id", IDS)
def test_every_exchange_reads_as_the_sdk_reads_it(exchange_id: str) -> None:
    exchange, want = load(exchange_id), expected(exchange_id)
    request, provider = request_of(exchange), provider_of(exchange)
    body, status = body_of(exchange), exchange["response"]["status"]
    adapter = ADAPTERS[provider.api_style]
    if status >= 400:
        error = adapter.parse_error(
            status, exchange["response"]["headers"], body, request, provider
        )
        assert not differences(reading(LLMChunk(), error), want)
    elif not exchange["stream"]:
        reply = adapter.parse_response(body, request, provider)
        assert not differences(reading(reply), want)
    else:
        sums = {name: streamed(request, provider, p) for name, p in cuts(body, seed=7).items()}
        reply, error = sums["whole"]
        assert not differences(reading(reply, error), want)
        for name, (other, other_error) in sums.items():
            assert other == reply, name
            assert type(other_error) is type(error), name


@needs_corpus
@pytest.mark.parametrize("exchange_id", [i for i in IDS if load(i)["stream"]])
def test_a_stream_cut_after_any_event_is_no_success(exchange_id: str) -> None:
    exchange = load(exchange_id)
    request, provider = request_of(exchange), provider_of(exchange)
    body = body_of(exchange)
    whole, _ = streamed(request, provider, [body])
    ends = [match.end() for match in re.finditer(rb"\r?\n\r?\n", body)]
    assert ends
    for end in ends:
        reply, error = streamed(request, provider, [body[:end]])
        if b"message_stop" in body[:end]:
            assert error is None and reply == whole
        else:
            assert isinstance(error, IncompleteStreamError), end
            assert whole.text.startswith(reply.text)
            assert all(call in whole.tool_calls for call in reply.tool_calls)


def test_all_recorded_exchanges_are_compared() -> None:
    assert len(IDS) in (0, 78)


@needs_corpus
@pytest.mark.parametrize("exchange_id", IDS)
def test_recorded_requests_are_heard_and_said_again(exchange_id: str) -> None:
    """Our server refuses nothing that the API has answered, and our client says it again."""
    exchange = load(exchange_id)
    sent = exchange["request"]
    if not isinstance(sent["body"], dict) or exchange["response"]["status"] != 200:
        return
    provider = provider_of(exchange)
    half, adapter = SERVER_HALVES[provider.api_style], ADAPTERS[provider.api_style]
    path = urlsplit(sent["url"]).path
    headers = {"anthropic-version": "2023-06-01", **sent["headers"]}
    assert half.matches("POST", path)
    heard = half.parse_request("POST", path, headers, json.dumps(sent["body"]).encode()).request
    # Marks of our own would be heard as if they had been asked for.
    plain = replace(dialect_of(provider), prompt_cache=False)
    again = adapter.prepare_request(heard, replace(provider, name="", dialect=plain))
    said = half.parse_request("POST", again.endpoint, again.headers, again.body).request
    assert said.messages == heard.messages
    assert said.tools == heard.tools
    assert said.max_tokens == heard.max_tokens
