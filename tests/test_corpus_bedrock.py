"""Recorded traffic of Bedrock: Converse, and Claude over InvokeModel."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from corpus import body_of, cuts, exchange_ids, expected, load, provider_of, reading, request_of
from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.caching import fit_marks
from llmwire.config import Dialect
from llmwire.errors import DecodeError, IncompleteStreamError
from llmwire.eventstream import BinaryFrameDecoder, encode_frame
from llmwire.fitting import Log
from llmwire.types import LLMChunk
from test_corpus_anthropic import differences, streamed

IDS = exchange_ids("bedrock-converse", "bedrock-anthropic")
STREAMS = [i for i in IDS if load(i)["stream"] and load(i)["response"]["status"] == 200]

needs_corpus = pytest.mark.skipif(not IDS, reason="LLMWIRE_CORPUS names no recorded traffic")


def frame_ends(body: bytes) -> list[int]:
    ends, at = [], 0
    while at < len(body):
        at += int.from_bytes(body[at : at + 4], "big")
        ends.append(at)
    return ends


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
@pytest.mark.parametrize("exchange_id", STREAMS)
def test_a_stream_cut_after_any_frame_is_no_success(exchange_id: str) -> None:
    exchange = load(exchange_id)
    request, provider = request_of(exchange), provider_of(exchange)
    # As the built-in row says: AWS always sends the metadata.
    provider = replace(provider, dialect=Dialect(stream_end="done"))
    body = body_of(exchange)
    whole, error = streamed(request, provider, [body])
    assert error is None
    ends = frame_ends(body)
    assert ends[-1] == len(body)
    for end in [0, *ends[:-1]]:
        reply, error = streamed(request, provider, [body[:end]])
        assert isinstance(error, IncompleteStreamError), end
        assert whole.text.startswith(reply.text)
        assert all(call in whole.tool_calls for call in reply.tool_calls)


@needs_corpus
@pytest.mark.parametrize("exchange_id", STREAMS)
def test_a_wrong_bit_is_never_an_event(exchange_id: str) -> None:
    exchange = load(exchange_id)
    request, provider = request_of(exchange), provider_of(exchange)
    body = body_of(exchange)
    end = frame_ends(body)[3]
    for at in range(0, end, 7):
        wrong = bytearray(body)
        wrong[at] ^= 1 << at % 8
        _, error = streamed(request, provider, [bytes(wrong)])
        assert isinstance(error, DecodeError), at


@needs_corpus
@pytest.mark.parametrize("exchange_id", STREAMS)
def test_recorded_frames_are_written_the_same(exchange_id: str) -> None:
    body = body_of(load(exchange_id))
    frames = list(BinaryFrameDecoder().feed(body))
    assert b"".join(encode_frame(f.data, f.headers) for f in frames) == body


@needs_corpus
@pytest.mark.parametrize("exchange_id", IDS)
def test_recorded_requests_are_heard_and_said_again(exchange_id: str) -> None:
    """Our server refuses nothing that the API has answered, and our client says it again."""
    exchange = load(exchange_id)
    sent: dict[str, Any] = exchange["request"]
    if not isinstance(sent["body"], dict) or exchange["response"]["status"] != 200:
        return
    provider = provider_of(exchange)
    half, adapter = SERVER_HALVES[provider.api_style], ADAPTERS[provider.api_style]
    path = urlsplit(sent["url"]).path
    body = json.dumps(sent["body"]).encode()
    assert half.matches("POST", path)
    heard = half.parse_request("POST", path, sent["headers"], body).request
    if any(m.role == "system" for m in heard.messages[1:]):
        return  # what only some models take is said as a user's text
    again = adapter.prepare_request(heard, replace(provider, name=""))
    said = half.parse_request("POST", again.endpoint, again.headers, again.body).request
    assert (said.output is None) == (heard.output is None) or said.messages[0].role == "system"
    if heard.output is not None:
        return  # its schema is closed, or an instruction says it, as the model has it
    # Our client marks what is worth caching.
    assert fit_marks(said, (), Log()).messages == fit_marks(heard, (), Log()).messages
    assert fit_marks(said, (), Log()).tools == fit_marks(heard, (), Log()).tools
    if heard.max_tokens is not None or heard.thinking == "off":  # a budget needs a limit above it
        assert said.max_tokens == heard.max_tokens


def test_all_recorded_exchanges_are_compared() -> None:
    assert len(IDS) in (0, 52)
