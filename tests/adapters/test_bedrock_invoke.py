"""Claude over InvokeModel: the Messages language in AWS's envelope."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from llmwire.adapters.base import PreparedRequest
from llmwire.adapters.bedrock.invoke import BedrockAnthropicAdapter, BedrockAnthropicServer
from llmwire.config import Dialect, ModelConfig
from llmwire.errors import (
    BackendError,
    DecodeError,
    IncompleteStreamError,
    InvalidRequestError,
    NotFoundError,
    StreamError,
    StreamOverloadedError,
)
from llmwire.eventstream import event_frame
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk, LLMMessage, StopInfo, accumulate

CLIENT, SERVER = BedrockAnthropicAdapter(), BedrockAnthropicServer()
PROVIDER = replace(PROVIDERS["bedrock-anthropic"], region="us-east-1")
MODEL = "us.anthropic.claude-opus-4-5-20251101-v1:0"
PATH = "/model/us.anthropic.claude-opus-4-5-20251101-v1%3A0"


def ask(model: str = MODEL, **fields: Any) -> LLMRequest:
    messages = (LLMMessage("system", "be"), LLMMessage("user", "hi"))
    return LLMRequest(model=ModelConfig(model), messages=messages, **fields)


def prepare(request: LLMRequest | None = None, **changes: Any) -> PreparedRequest:
    return CLIENT.prepare_request(request or ask(), replace(PROVIDER, **changes))


def chunk(event: Any) -> bytes:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    payload = {"bytes": base64.b64encode(data).decode(), "p": "abcd"}
    return event_frame("chunk", json.dumps(payload).encode())


def streamed(*frames: bytes) -> tuple[LLMChunk, BackendError | None]:
    decoder = CLIENT.stream_decoder(ask(stream=True), PROVIDER)
    chunks: list[LLMChunk] = []
    try:
        chunks.extend(c for frame in frames for c in decoder.feed(frame))
        chunks.extend(decoder.finish())
    except BackendError as e:
        return accumulate(chunks), e
    return accumulate(chunks), None


def test_model_and_verb_stand_in_the_path() -> None:
    made = prepare()
    assert made.url == f"https://bedrock-runtime.us-east-1.amazonaws.com{PATH}/invoke"
    assert made.auth == "aws"
    assert prepare(ask(stream=True)).endpoint == f"{PATH}/invoke-with-response-stream"


def test_the_body_has_the_version_and_neither_model_nor_stream() -> None:
    sent = json.loads(prepare(ask(stream=True)).body)
    assert next(iter(sent)) == "anthropic_version"
    assert "model" not in sent and "stream" not in sent
    assert sent["max_tokens"] and sent["messages"]


@pytest.mark.parametrize(
    ("model", "version"),
    [
        (MODEL, "bedrock-2023-05-31"),
        ("anthropic.claude-sonnet-4-6-v1:0", "bedrock-2023-05-31"),
        ("anthropic.claude-opus-4-7-v1:0", "2026-10-21"),
        ("global.anthropic.claude-opus-5-5-v1:0", "2026-10-21"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", "bedrock-2023-05-31"),
    ],
)
def test_the_version_is_data(model: str, version: str) -> None:
    assert json.loads(prepare(ask(model)).body)["anthropic_version"] == version
    dialect = Dialect(anthropic_version="v")
    assert json.loads(prepare(ask(model), dialect=dialect).body)["anthropic_version"] == "v"


def test_betas_stand_in_the_body() -> None:
    made = prepare(ask(thinking="low"), dialect=Dialect(betas=("b-1",)))
    assert json.loads(made.body)["anthropic_beta"] == ["interleaved-thinking-2025-05-14", "b-1"]
    assert "anthropic-beta" not in made.headers
    heard = SERVER.parse_request("POST", made.endpoint, made.headers, made.body)
    assert heard.request.thinking == "low"
    assert "anthropic_beta" not in json.loads(prepare().body)


def test_sampling_goes_with_the_model() -> None:
    assert json.loads(prepare(ask(temperature=0.3)).body)["temperature"] == 0.3
    newer = prepare(ask("anthropic.claude-opus-5-v1:0", temperature=0.3))
    assert "temperature" not in json.loads(newer.body)
    assert [a.path for a in newer.adaptations] == ["temperature"]


def test_counting() -> None:
    asked = ask(stream=True, max_tokens=9)
    made = CLIENT.prepare_count(asked, PROVIDER)
    assert made is not None
    assert made.endpoint == "/model/anthropic.claude-opus-4-5-20251101-v1%3A0/count-tokens"
    inner = json.loads(base64.b64decode(json.loads(made.body)["input"]["invokeModel"]["body"]))
    assert inner["anthropic_version"] == "bedrock-2023-05-31" and inner["max_tokens"] == 9
    heard = SERVER.parse_request("POST", made.endpoint, made.headers, made.body)
    assert heard.count
    assert [m.text for m in heard.request.messages] == [m.text for m in asked.messages]
    assert CLIENT.parse_count(SERVER.prepare_count(5, heard), asked) == 5
    assert (
        CLIENT.prepare_count(asked, replace(PROVIDER, dialect=Dialect(count_endpoint=False)))
        is None
    )
    profile = ask("arn:aws:bedrock:us-east-1:1:application-inference-profile/x")
    assert CLIENT.prepare_count(profile, PROVIDER) is None


@pytest.mark.parametrize("stream", [False, True])
def test_what_one_half_says_the_other_hears(stream: bool) -> None:
    request = ask(stream=stream, max_tokens=50)
    made = prepare(request)
    assert SERVER.matches(made.method, made.endpoint)
    heard = SERVER.parse_request("POST", "/gw" + made.endpoint, made.headers, made.body)
    asked = heard.request
    assert asked.model.name == MODEL
    assert (asked.stream, asked.max_tokens) == (stream, 50)
    assert [m.text for m in asked.messages] == ["be", "hi"]
    reply = LLMChunk(LLMMessage("assistant", "hello"), None, StopInfo("stop", "end_turn"), "m", "x")
    if stream:
        got, error = streamed(*SERVER.prepare_stream([reply], heard))
        assert error is None and got == reply
    else:
        assert CLIENT.parse_response(SERVER.prepare_response(reply, heard), request) == reply


START = {
    "type": "message_start",
    "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1}},
}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
PIECE = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}
STOP = {"type": "content_block_stop", "index": 0}
DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 2},
}
END = {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1}}
EVENTS = [chunk(e) for e in (START, TEXT, PIECE, STOP, DELTA, END)]


def test_events_come_base64_in_frames() -> None:
    reply, error = streamed(*EVENTS)
    assert error is None
    assert (reply.text, reply.model, reply.response_id) == ("hi", "c", "m")
    assert reply.usage is not None
    assert (reply.usage.input_total, reply.usage.output_total) == (1, 2)
    assert streamed(b"".join(EVENTS))[0] == reply
    assert CLIENT.parse_response(b"".join(EVENTS), ask(), PROVIDER) == reply


def test_white_space_in_the_json_is_no_line_end() -> None:
    pretty = [chunk(json.dumps(e, indent=1).replace("\n", "\r\n").encode())
              for e in (START, TEXT, PIECE, STOP, DELTA, END)]  # fmt: skip
    assert streamed(*pretty)[0] == streamed(*EVENTS)[0]


def test_pings_and_unknown_events_change_nothing() -> None:
    decoder = CLIENT.stream_decoder(ask(stream=True), PROVIDER)
    odd = [SERVER.prepare_ping(), chunk({"type": "news"}), event_frame("other", b"?"),
           chunk({"completion": "legacy"})]  # fmt: skip
    chunks = [c for e in (*EVENTS[:3], *odd, *EVENTS[3:]) for c in decoder.feed(e)]
    assert accumulate(chunks) == streamed(*EVENTS)[0]
    assert decoder.keepalives == 1 and decoder.done


@pytest.mark.parametrize("n", range(6))
def test_a_stream_that_ends_early(n: int) -> None:
    for tail in (b"", EVENTS[n][:-1]):
        _, error = streamed(*EVENTS[:n], tail)
        assert isinstance(error, IncompleteStreamError)


def test_exceptions_and_error_events() -> None:
    told = event_frame("serviceUnavailableException", b'{"message":"busy"}', "exception")
    _, error = streamed(*EVENTS[:3], told)
    assert type(error) is StreamOverloadedError and error.provider_message == "busy"
    assert error.api == "anthropic"
    inner = chunk({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    _, error = streamed(*EVENTS[:3], inner)
    assert type(error) is StreamOverloadedError


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"bytes":3}', b'{"bytes":"@@"}', b'{"bytes":"e"}']
)
def test_chunks_that_hold_no_bytes(payload: bytes) -> None:
    _, error = streamed(event_frame("chunk", payload))
    assert isinstance(error, DecodeError)


@pytest.mark.parametrize(
    "event", [b"", b"{", b"[1]", b"\xff", b'{"type":"message_start","message":3}']
)
def test_bytes_that_hold_no_event(event: bytes) -> None:
    reply, error = streamed(chunk(event))
    assert isinstance(error, DecodeError | StreamError)
    assert reply == LLMChunk()


def test_error_answers_are_awss() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException:http://x"}
    error = CLIENT.parse_error(429, headers, b'{"message":"slow"}', ask(), PROVIDER)
    assert (type(error).__name__, error.type) == ("RateLimitError", "ThrottlingException")
    assert error.provider_message == "slow" and error.model == MODEL


def test_paths_that_are_not_invoke_models() -> None:
    for method, path in (
        ("GET", f"{PATH}/invoke"),
        ("POST", f"{PATH}/converse"),
        ("POST", "/v1/messages"),
        ("POST", f"{PATH}/invoke/more"),
    ):
        assert not SERVER.matches(method, path)
    with pytest.raises(NotFoundError):
        SERVER.parse_request("POST", "/v1/messages", {}, b"{}")


GOOD = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "x"}],
}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({**GOOD, "anthropic_version": None}, "anthropic_version: Field required"),
        ({**GOOD, "model": "claude-x"}, "model: Extra inputs are not permitted"),
        ({**GOOD, "stream": True}, "stream: Extra inputs are not permitted"),
        ({**GOOD, "max_tokens": None}, "max_tokens: Field required"),
        ({**GOOD, "messages": []}, "at least one message"),
    ],
)
def test_bodies_that_are_refused(bad: Any, words: str) -> None:
    assert SERVER.parse_request(
        "POST", f"{PATH}/invoke", {}, json.dumps(GOOD).encode()
    ).request.max_tokens == 5  # fmt: skip
    with pytest.raises(InvalidRequestError, match=words):
        SERVER.parse_request("POST", f"{PATH}/invoke", {}, json.dumps(bad).encode())


@pytest.mark.parametrize(
    "body", [b"{}", b'{"input":3}', b'{"input":{"converse":{}}}', b'{"input":{"invokeModel":{}}}',
             b'{"input":{"invokeModel":{"body":"@"}}}', b"[]"],
)  # fmt: skip
def test_counting_requests_that_are_none(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        SERVER.parse_request("POST", f"{PATH}/count-tokens", {}, body)


def test_state_of_bedrock_is_state_of_the_messages_wire() -> None:
    assert CLIENT.api == SERVER.api == "anthropic"
