"""What llmwire asks of a server that others wrote, over one wire, and what must come back."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from llmwire import (
    AvailableFunction,
    AvailableTool,
    BackendError,
    GenericBackend,
    LLMChunk,
    LLMMessage,
    ProviderConfig,
    RetryPolicy,
    Timeouts,
    accumulate,
)
from llmwire.parts import ReasoningPart
from llmwire.types import StopReason, ToolCall

from .table import Result

SECONDS = 60
WEATHER = AvailableTool(
    AvailableFunction(
        "get_weather",
        "The weather of a city",
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "warm": {"type": "boolean"},
            },
            "required": ["city", "days", "warm"],
        },
    )
)

LONG = AvailableTool(
    AvailableFunction(
        "fill_in",
        "A form that takes many words",
        {
            "type": "object",
            "properties": {f"field_{i}": {"type": "string"} for i in range(12)},
            "required": [f"field_{i}" for i in range(12)],
        },
    )
)


@dataclass(frozen=True)
class Answers:
    """What a server is known to say; texts are patterns that the whole answer must match."""

    hello: str
    call: Mapping[str, Any]
    after_tool: str
    thought: str = ""
    thinks: str = "Think it over"
    """The question that is answered with a thought, and then as `hello` is."""
    after_thought: str = ""
    stop_at: str = ""
    """A text inside the answer to hello; `stopped` is what comes before it."""
    stopped: str = ""
    cuts: str = "Hi"
    """A question whose answer is cut at a limit of 4 tokens."""
    cut_call: int = 20
    """Tokens that are too few for a call of fill_in."""
    fails: tuple[str, type[BackendError], Mapping[str, Any]] | None = None
    """A question that fails, how, and what the error knows."""


@dataclass(frozen=True)
class Peer:
    """A server over one wire."""

    server: str
    wire: str
    provider: ProviderConfig
    model: str
    answers: Answers
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Checks that this server can't pass, and why; that they pass after all is a failure."""
    only: Collection[str] = ()
    """The checks to make, if not all."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """More options of every call."""
    counts_by: str = "endpoint"
    counts_exactly: bool = True
    """Whether its count is what it reports as usage."""
    stops_for_calls: tuple[StopReason, ...] = ("tool_calls",)
    usage: bool = True
    """Whether the server reports usage that means something."""
    idle: Callable[[], Awaitable[bool]] | None = None
    """Whether the server works on nothing."""


class Call:
    """Calls of one peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.answers = peer.answers
        self.backend = GenericBackend(
            provider=peer.provider,
            retry=RetryPolicy(max_attempts=1),
            timeouts=Timeouts(total=SECONDS),
        )

    async def __call__(self, messages: Any, streamed: bool = False, **options: Any) -> LLMChunk:
        options = {"temperature": 0.0, "max_tokens": 200, **self.peer.options, **options}
        if not streamed:
            return await self.backend.complete(model=self.peer.model, messages=messages, **options)
        async with self.backend.complete_streaming(
            model=self.peer.model, messages=messages, **options
        ) as stream:
            chunks = [chunk async for chunk in stream]
        assert replace(stream.result, output=None) == accumulate(chunks)
        return stream.result


def matches(pattern: str, text: str) -> None:
    assert re.fullmatch(pattern, text, re.DOTALL), f"{text!r} is not {pattern!r}"


def stopped(reply: LLMChunk, *reasons: StopReason) -> None:
    got = reply.stop.reason if reply.stop else None
    assert got in reasons, f"stopped for {got!r} ({reply.stop}), not {' or '.join(reasons)}"


# --- the checks -----------------------------------------------------------------------------------


async def _hello(call: Call, streamed: bool) -> None:
    reply = await call("Hi", streamed)
    matches(call.answers.hello, reply.text)
    stopped(reply, "stop")
    assert not reply.message.tool_calls and not reply.message.incomplete_tool_calls
    if call.peer.usage:
        assert reply.usage and (reply.usage.input_total or 0) > 0, f"usage {reply.usage}"
        assert (reply.usage.output_total or 0) > 0, f"usage {reply.usage}"
    # And the next turn, with that one in its history.
    history = [LLMMessage("user", "Hi"), reply.message, LLMMessage("user", "Hi")]
    matches(call.answers.hello, (await call(history, streamed)).text)


async def whole(call: Call) -> None:
    await _hello(call, False)


async def streamed(call: Call) -> None:
    await _hello(call, True)


async def _tools(call: Call, streamed: bool) -> None:
    ask = LLMMessage("user", "The weather in Oslo, by get_weather")
    for choice in (WEATHER, "required", "auto"):
        reply = await call([ask], streamed, tools=[WEATHER], tool_choice=choice)
        assert not reply.message.incomplete_tool_calls
        calls: tuple[ToolCall, ...] = reply.message.tool_calls
        assert len(calls) == 1, f"tool_choice {choice}: calls {calls}, text {reply.text!r}"
        assert calls[0].name == "get_weather"
        assert calls[0].parsed == call.answers.call, f"arguments {calls[0].arguments!r}"
        stopped(reply, *call.peer.stops_for_calls)
    result = LLMMessage("tool", "cold", tool_call_id=calls[0].id, name="get_weather")
    reply = await call([ask, reply.message, result], streamed, tools=[WEATHER])
    matches(call.answers.after_tool, reply.text)
    stopped(reply, "stop")


async def tools(call: Call) -> None:
    await _tools(call, False)


async def tools_streamed(call: Call) -> None:
    await _tools(call, True)


async def thinking(call: Call) -> None:
    ask = LLMMessage("user", call.answers.thinks)
    for streamed in (False, True):
        # The one temperature that is taken by all models that think.
        options = {"temperature": 1.0, "thinking": "low", "max_tokens": 8192}
        reply = await call([ask], streamed, **options)
        matches(call.answers.thought, reply.reasoning)
        matches(call.answers.after_thought or call.answers.hello, reply.text)
        assert isinstance(reply.message.parts[0], ReasoningPart), reply.message.parts
        again = await call([ask, reply.message, LLMMessage("user", "Hi")], streamed, **options)
        matches(call.answers.hello, again.text)


class Trip(msgspec.Struct):
    """A journey."""

    city: str
    days: int


async def output(call: Call) -> None:
    for streamed in (False, True):
        reply = await call("A trip to Oslo, 7 days", streamed, output=Trip)
        assert reply.output == Trip("Oslo", 7), reply
        stopped(reply, "stop")


async def stop_sequence(call: Call) -> None:
    for streamed in (False, True):
        reply = await call("Hi", streamed, stop=[call.answers.stop_at])
        matches(call.answers.stopped, reply.text)
        stopped(reply, "stop", "stop_sequence")


async def length(call: Call) -> None:
    for streamed in (False, True):
        reply = await call(call.answers.cuts, streamed, max_tokens=4)
        stopped(reply, "length")
        assert reply.text and not re.fullmatch(call.answers.hello, reply.text, re.DOTALL)


async def counting(call: Call) -> None:
    options = {"temperature": 0.0, **call.peer.options}
    counted = await call.backend.count_tokens(model=call.peer.model, messages="Hi there", **options)
    assert counted.method == call.peer.counts_by, counted
    assert counted > 0
    if call.peer.counts_exactly:
        reply = await call("Hi there")
        assert reply.usage and reply.usage.input_total == counted, (counted, reply.usage)
    more = await call.backend.count_tokens(
        model=call.peer.model, messages="Hi there, you", tools=[WEATHER], **options
    )
    assert more > counted, (counted, more)


async def cancelling(call: Call) -> None:
    idle = call.peer.idle
    assert idle is not None, "nobody knows whether this server is idle"
    options = {"temperature": 0.0, "max_tokens": 120_000, **call.peer.options}
    async with call.backend.complete_streaming(
        model=call.peer.model, messages="Count", **options
    ) as stream:
        seen = 0
        async for chunk in stream:
            seen += bool(chunk.text)
            if seen == 5:
                break
        assert not await idle(), "the reply ended before it was cancelled"
    await _until(idle)


async def _until(idle: Callable[[], Awaitable[bool]], seconds: float = 8.0) -> None:
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while not await idle():
        assert clock() < end, "the server goes on though nobody listens"
        await asyncio.sleep(0.02)


async def cut_call(call: Call) -> None:
    for streamed in (False, True):
        reply = await call(
            "Hi",
            streamed,
            tools=[LONG],
            tool_choice=LONG,
            max_tokens=call.answers.cut_call,
        )
        assert not reply.message.tool_calls, f"a cut call is taken for a whole one: {reply}"
        assert reply.stop and reply.stop.reason != "tool_calls", reply.stop
        for part in reply.message.incomplete_tool_calls:
            assert part.name in ("", "fill_in"), part


async def errors(call: Call) -> None:
    assert call.answers.fails is not None, "no question is known to fail"
    question, kind, knows = call.answers.fails
    for streamed in (False, True):
        try:
            reply = await call(question, streamed)
        except BackendError as e:
            assert isinstance(e, kind), f"not understood: {e!r}"
            assert e.provider_message, f"the server's own words are lost: {e!r}"
            known = {name: getattr(e, name) for name in knows}
            assert known == knows, f"{e!r} knows {known}"
        else:
            raise AssertionError(f"no error but {reply.text!r}")


CHECKS: dict[str, Callable[[Call], Awaitable[None]]] = {
    "whole": whole,
    "streamed": streamed,
    "tools": tools,
    "tools streamed": tools_streamed,
    "thinking": thinking,
    "output": output,
    "stop": stop_sequence,
    "length": length,
    "counting": counting,
    "cancel": cancelling,
    "cut call": cut_call,
    "errors": errors,
}


async def run(peer: Peer) -> list[Result]:
    """Every check of one peer, each with connections of its own."""
    out = []
    for name, check in CHECKS.items():
        if peer.only and name not in peer.only:
            continue
        lack = peer.lacks.get(name, "")
        call = Call(peer)
        error = ""
        try:
            await asyncio.wait_for(check(call), SECONDS)
        except (AssertionError, BackendError, TimeoutError) as e:
            error = f"{type(e).__name__}: {e}"
        except Exception as e:  # never ours to raise, whatever the server lacks
            error = f"{type(e).__name__}: {e} in {traceback.format_exc().splitlines()[-3].strip()}"
            lack = ""
        finally:
            await call.backend.close()
        cell = ("llmwire", peer.server, peer.wire, name)
        if lack and error:
            out.append(Result(*cell, "not there", lack))
        elif lack:
            out.append(Result(*cell, "failed", f"works, though it is noted as: {lack}"))
        else:
            out.append(Result(*cell, "failed" if error else "passed", error))
    return out
