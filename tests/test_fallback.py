"""Models tried in order: who answers, what is recorded, and when nothing is tried again."""

from __future__ import annotations

import pytest

from contract.cases import REPLIES, provider
from contract.cases import request as asked
from contract.support import events_of, heard
from llmwire.backend import GenericBackend
from llmwire.config import ModelConfig
from llmwire.connection import Connection
from llmwire.errors import (
    BackendError,
    ConfigError,
    ContentFilterError,
    IncompleteStreamError,
    InvalidRequestError,
    OverloadedError,
    QuotaError,
    UnsupportedError,
)
from llmwire.fallback import Fallback
from llmwire.retry import RetryPolicy
from scripted import JSON, Answer, ScriptedTransport

ONCE = RetryPolicy(max_attempts=1)


def good(wire: str = "openai", events: int | None = None) -> Answer:
    said = heard(asked(wire, stream=True), provider(wire))
    return Answer(events_of(REPLIES["text"], said, wire)[:events])


def failing(status: int, body: bytes = b'{"error":{"message":"no"}}') -> Answer:
    return Answer([body], status=status, headers=JSON)


def connection(name: str, *answers: Answer) -> tuple[Connection, ScriptedTransport]:
    transport = ScriptedTransport(*answers)
    backend = GenericBackend(provider=provider("openai", name), client=transport, retry=ONCE)
    return Connection(backend, ModelConfig(f"{name}-model")), transport


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_next_model_answers_and_the_reply_says_why(streamed: bool) -> None:
    first, _ = connection("one", failing(529))
    second, _ = connection("two", failing(402))
    third, _ = connection("three", good())
    async with Fallback(first, second, third) as llm:
        if streamed:
            stream = llm.complete_streaming("hi")
            chunks = [chunk async for chunk in stream]
            assert "".join(c.text for c in chunks) == "Hello, world."
            assert stream.complete
            assert [len(c.adaptations) for c in chunks] == [2] + [0] * (len(chunks) - 1)
            reply = stream.result
        else:
            reply = await llm.complete("hi")
    assert reply.text == "Hello, world."
    told = [(a.path, a.action, a.before, a.after) for a in reply.adaptations]
    assert told == [
        ("model", "substituted", "one:one-model", "three:three-model"),
        ("model", "substituted", "two:two-model", "three:three-model"),
    ]
    assert reply.adaptations[0].reason.startswith("OverloadedError: ")
    assert reply.adaptations[1].reason.startswith("QuotaError: ")


async def test_a_first_model_that_answers_leaves_no_trace() -> None:
    first, _ = connection("one", good())
    second, unasked = connection("two")
    reply = await Fallback(first, second).complete("hi")
    assert reply.adaptations == () and not unasked.sent


async def test_after_content_nothing_is_tried_again() -> None:
    first, _ = connection("one", good(events=3))
    second, unasked = connection("two", good())
    seen = []
    with pytest.raises(IncompleteStreamError) as caught:
        async for chunk in Fallback(first, second).complete_streaming("hi"):
            seen.append(chunk.text)
    assert "".join(seen) and "Hello, world.".startswith("".join(seen))
    assert caught.value.partial is not None and not unasked.sent


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failing(400), InvalidRequestError),
        (
            failing(400, b'{"error":{"message":"x","code":"content_filter"}}'),
            ContentFilterError,
        ),
    ],
)
async def test_what_is_wrong_everywhere_is_raised_at_once(
    answer: Answer, kind: type[BackendError]
) -> None:
    first, _ = connection("one", answer)
    second, unasked = connection("two", good())
    with pytest.raises(kind):
        await Fallback(first, second).complete("hi")
    assert not unasked.sent


async def test_bad_input_is_refused_before_any_model_is_asked() -> None:
    first, asked_first = connection("one", good())
    second, asked_second = connection("two", good())
    with pytest.raises(UnsupportedError):
        await Fallback(first, second).complete([])
    assert not asked_first.sent and not asked_second.sent


async def test_when_all_fail_the_last_error_tells_of_the_others() -> None:
    first, _ = connection("one", failing(529))
    second, _ = connection("two", failing(402))
    with pytest.raises(QuotaError) as caught:
        await Fallback(first, second).complete("hi")
    notes = caught.value.__notes__
    assert len(notes) == 1 and "one:one-model" in notes[0] and "no" in notes[0]
    with pytest.raises(OverloadedError):
        await Fallback(connection("one", failing(529))[0]).complete("hi")


async def test_leaving_closes_the_stream_that_runs() -> None:
    first, _ = connection("one", failing(529))
    second, transport = connection("two", good())
    async with Fallback(first, second).complete_streaming("hi") as stream:
        async for _ in stream:
            break
    assert transport.responses[0].closed


def test_without_a_model_there_is_no_fallback() -> None:
    with pytest.raises(ConfigError):
        Fallback()
