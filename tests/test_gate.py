"""The turns of one key: fair, apart after a wait, and free when nothing is the matter."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.cases import REPLIES, provider
from contract.cases import request as asked
from contract.support import events_of, heard
from llmwire.backend import GenericBackend
from llmwire.errors import ConfigError, RateLimitError
from llmwire.gate import LONGEST_HOLD, SPACING, RateGate, RateLimits
from llmwire.retry import RetryPolicy
from scripted import Answer, ScriptedTransport

WALL = 1_780_000_000.0


def wall() -> float:
    return WALL


def test_nothing_is_asked_for_when_nothing_is_the_matter() -> None:
    gate = RateGate()
    assert not gate.wanted
    assert [gate.turn(5.0) for _ in range(100)] == [0.0] * 100


def test_all_wait_and_then_go_one_by_one() -> None:
    gate = RateGate()
    gate.hold(100.0, 10.0)
    turns = [gate.turn(100.0) for _ in range(5)]
    assert turns == [10.0 + i * SPACING for i in range(5)]


def test_answers_bring_the_turns_closer_until_nobody_has_to_ask() -> None:
    gate = RateGate()
    gate.hold(0.0, 1.0)
    first, second = gate.turn(1.0), gate.turn(1.0)
    gate.answered()
    third = gate.turn(1.0)
    assert first == 0.0 and second == SPACING and third == 2 * SPACING
    assert gate.turn(1.0) == third + SPACING / 2
    for _ in range(10):
        gate.answered()
    assert not gate.wanted and gate.turn(1.0) == 0.0


def test_a_wait_that_begins_while_one_waits_counts_for_him_too() -> None:
    gate = RateGate()
    gate.hold(0.0, 1.0)
    assert gate.turn(0.0) == 1.0
    gate.hold(0.5, 5.0)
    assert gate.turn_again(1.0) == 4.5
    assert gate.turn_again(5.5) == 0.0


@given(
    limit=st.floats(1, 600),
    steps=st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_minute_has_more_calls_than_the_limit_and_a_full_bucket(
    limit: float, steps: list[float]
) -> None:
    gate, now, begun = RateGate(RateLimits(requests_per_minute=limit)), 0.0, []
    for step in steps:
        now += step
        begun.append(now + gate.turn(now))
    assert all(a <= b + 1e-6 for a, b in pairwise(begun)), "first come, first served"
    for at in begun:
        within = sum(at <= other <= at + 60 for other in begun)
        assert within <= 2 * limit + 2


def test_tokens_are_counted_and_what_is_too_large_goes_when_the_bucket_is_full() -> None:
    gate = RateGate(RateLimits(tokens_per_minute=6000))
    assert gate.turn(0.0, 5000) == 0.0
    assert gate.turn(0.0, 2000) == pytest.approx(10.0)
    assert gate.turn(1000.0, 10**9) == 0.0
    assert gate.turn(1000.0, 100) == pytest.approx(1.0)


EXHAUSTED = {
    "OpenAI": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
    "minutes": ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s",
                 "x-ratelimit-remaining-requests": "7"}, 90.0),
    "Anthropic": ({"anthropic-ratelimit-requests-remaining": "0",
                   "anthropic-ratelimit-requests-reset": "2026-05-28T20:26:50Z"}, 10.0),
}  # fmt: skip
HARMLESS = [
    {},
    {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1s"},
    {"x-ratelimit-remaining-requests": "0"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "24h"},
    {"anthropic-ratelimit-requests-remaining": "0",
     "anthropic-ratelimit-requests-reset": "2020-01-01T00:00:00Z"},
    {"anthropic-ratelimit-requests-remaining": "0",
     "anthropic-ratelimit-requests-reset": "Tomorrow"},
    # The wait that is named is the shorter one, and the one that holds.
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0",
     "x-ratelimit-reset-tokens": "6m0s", "retry-after": "7"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s",
     "retry-after-ms": "7000"},
]  # fmt: skip


@pytest.mark.parametrize("case", EXHAUSTED)
def test_headers_that_say_nothing_is_left_close_the_gate(case: str) -> None:
    headers, seconds = EXHAUSTED[case]
    gate = RateGate()
    gate.read_headers(50.0, wall, headers)
    assert gate.turn(50.0) == pytest.approx(seconds)
    deaf = RateGate(RateLimits(learn=False))
    deaf.read_headers(50.0, wall, headers)
    assert not deaf.wanted


@pytest.mark.parametrize("headers", HARMLESS)
def test_other_headers_do_not(headers: dict[str, str]) -> None:
    gate = RateGate()
    gate.read_headers(50.0, wall, headers)
    assert not gate.wanted


def test_a_hold_is_bounded() -> None:
    gate = RateGate()
    gate.hold(0.0, 1e12)
    assert gate.turn(0.0) == LONGEST_HOLD


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_that_let_nothing_through_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        RateLimits(**{name: value})


def good(wire: str = "openai") -> Answer:
    said = heard(asked(wire, stream=True), provider(wire))
    return Answer(events_of(REPLIES["text"], said, wire))


def backend(*answers: Answer, **options: object) -> tuple[GenericBackend, ScriptedTransport]:
    transport = ScriptedTransport(*answers)
    made = GenericBackend(provider=provider("openai"), client=transport, **options)  # type: ignore[arg-type]
    return made, transport


async def test_one_calls_429_holds_back_its_siblings() -> None:
    told = Answer(status=429, headers={"retry-after": "0.2"}, pieces=[b"{}"])
    llm, transport = backend(told, good(), good(), good(), retry=RetryPolicy(base=0.01))
    loop = asyncio.get_running_loop()
    sent: list[float] = []
    send = transport.send

    async def timed(request: object) -> object:
        sent.append(loop.time())
        return await send(request)  # type: ignore[arg-type]

    transport.send = timed  # type: ignore[method-assign, assignment]
    first = asyncio.create_task(llm.complete(model="m", messages="hi"))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(llm.complete(model="m", messages="hi")) for _ in range(2)]
    replies = await asyncio.gather(first, *others)
    assert all(r.text == "Hello, world." for r in replies)
    assert len(sent) == 4
    assert all(at >= sent[0] + 0.199 for at in sent[1:])
    assert all(b - a > SPACING / 8 for a, b in pairwise(sent[1:])), "not in the same moment"


async def test_who_would_wait_too_long_is_told_at_once() -> None:
    llm, transport = backend(good(), timeouts=5.0)
    llm.gate.hold(asyncio.get_running_loop().time(), 60.0)
    with pytest.raises(RateLimitError) as caught:
        await llm.complete(model="m", messages="hi")
    assert caught.value.retry_after == pytest.approx(60, abs=1)
    assert not transport.sent


async def test_waiting_for_a_turn_can_be_cancelled() -> None:
    llm, transport = backend(good())
    llm.gate.hold(asyncio.get_running_loop().time(), 30.0)
    task = asyncio.create_task(llm.complete(model="m", messages="hi"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not transport.sent
