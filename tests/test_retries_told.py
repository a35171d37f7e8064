"""Retries are told: to the callback, to the log, on the reply and on the error."""

from __future__ import annotations

import logging
import pickle

import pytest

from contract.cases import REPLIES, provider
from contract.cases import request as asked
from contract.support import events_of, heard
from llmwire.backend import GenericBackend
from llmwire.errors import OverloadedError, ServerError
from llmwire.retry import RetryPolicy
from llmwire.types import LLMChunk, Retry
from scripted import JSON, Answer, ScriptedTransport

QUICK = RetryPolicy(max_attempts=3, base=0.001)


def good(wire: str = "anthropic") -> Answer:
    said = heard(asked(wire, stream=True), provider(wire))
    return Answer(events_of(REPLIES["text"], said, wire))


def failed(status: int) -> Answer:
    body = b'{"type":"error","error":{"type":"x","message":"later, please"}}'
    return Answer([body], status=status, headers=JSON)


def backend(*answers: Answer, told: list[Retry] | None = None) -> GenericBackend:
    return GenericBackend(
        provider=provider("anthropic", "acme"),
        client=ScriptedTransport(*answers),
        retry=QUICK,
        on_retry=None if told is None else told.append,
    )


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_reply_lists_what_failed_before_it(
    streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Retry] = []
    llm = backend(failed(529), failed(500), good(), told=told)
    caplog.set_level(logging.INFO, "llmwire")
    if streamed:
        stream = llm.complete_streaming(model="m", messages="hi")
        chunks = [chunk async for chunk in stream]
        assert [len(c.retries) for c in chunks] == [2] + [0] * (len(chunks) - 1)
        reply = stream.result
    else:
        reply = await llm.complete(model="m", messages="hi")
    assert reply.text == "Hello, world."
    assert list(reply.retries) == told
    assert [(r.error, r.status, r.provider, r.model) for r in told] == [
        ("OverloadedError", 529, "acme", "m"),
        ("ServerError", 500, "acme", "m"),
    ]
    assert all("later, please" in r.message and r.delay >= 0 for r in told)
    lines = [record.getMessage() for record in caplog.records if record.name == "llmwire"]
    assert len(lines) == 2 and all("acme:m failed" in line for line in lines)


async def test_a_billed_attempt_is_listed_with_its_usage() -> None:
    start = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
        b'"role":"assistant","model":"m","content":[],"stop_reason":null,'
        b'"usage":{"input_tokens":12,"output_tokens":1}}}\n\n'
    )
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
    begun = Answer([start, error])
    reply = await backend(begun, good()).complete(model="m", messages="hi")
    (retry,) = reply.retries
    assert retry.error == "StreamOverloadedError"
    assert retry.usage is not None and retry.usage.input_total == 12
    assert retry.usage.provenance == "partial"
    assert reply.usage is not None and reply.usage.input_total == 12


async def test_an_error_lists_what_failed_before_it() -> None:
    with pytest.raises(ServerError) as caught:
        await backend(failed(529), failed(529), failed(500)).complete(model="m", messages="hi")
    assert [r.error for r in caught.value.retries] == ["OverloadedError", "OverloadedError"]
    assert pickle.loads(pickle.dumps(caught.value)).retries == caught.value.retries


async def test_without_failures_nothing_is_listed() -> None:
    reply = await backend(good()).complete(model="m", messages="hi")
    assert reply.retries == ()
    with pytest.raises(OverloadedError) as caught:
        llm = GenericBackend(
            provider=provider("anthropic"),
            client=ScriptedTransport(failed(529)),
            retry=RetryPolicy(max_attempts=1),
        )
        await llm.complete(model="m", messages="hi")
    assert caught.value.retries == ()


def test_sums_keep_the_retries_of_both_sides() -> None:
    one, two = Retry("A", "a"), Retry("B", "b")
    a, b = LLMChunk(retries=(one,)), LLMChunk(retries=(two,))
    assert (a + b).retries == (one, two)
    assert (a + LLMChunk()) == a == (LLMChunk() + a)
