"""`llmwire demo`: one conversation through every wire format.

A question makes the model think and call a tool; its result goes back with everything the model
said; the model answers. The replies are scripted, the rest is real: sockets, HTTP, each vendor's
own events, and the history translated for each. At the end one stream ends too early.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..adapters import ADAPTERS
from ..config import ModelConfig
from ..errors import BackendError
from ..pricing import cost_of
from ..types import (
    AvailableFunction,
    AvailableTool,
    LLMChunk,
    LLMMessage,
    LLMUsage,
    PartDelta,
    ReasoningPart,
    TextPart,
    ToolResultPart,
)
from .common import cost_text, tokens_text
from .loop import run_async
from .table import render
from .terminal import SafeStream, Terminal, is_tty, safe

if TYPE_CHECKING:
    from ..backend import GenericBackend
    from ..testing import LocalServer, Reply

QUESTION = "Do I need an umbrella in Lisbon this afternoon?"
THOUGHT = "The user asks about the weather of today, which I can't know. The tool can tell."
RESULT = '{"city": "Lisbon", "forecast": "showers from 15:00", "celsius": 17}'
ANSWER = "Yes, take one: showers are forecast from three o'clock, at 17 degrees."
STORY = "Once upon a time there was a stream that carried a long story, word by word, until one day"

WEATHER = AvailableTool(
    AvailableFunction(
        "get_forecast",
        "The weather forecast for a city, for today.",
        {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    )
)
PRICES = (1.0, 4.0)  # dollars per million tokens, made up for the cost column


class _Row(Struct):
    wire: str
    first: float
    chunks: int
    usage: LLMUsage
    reply: LLMChunk
    replayed: str


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    from ..testing import LocalServer

    with LocalServer() as server:
        return run_async(_demo(server, terminal))


async def _demo(server: LocalServer, terminal: Terminal) -> int:
    style = terminal.out_style
    terminal.line(
        "The same conversation through every wire format, over HTTP to a server inside this\n"
        "program. Its replies are scripted, so no key and no network are needed.\n"
    )
    pace = 0.02 if is_tty(terminal.out) else 0.0
    await _warm_up(server)
    rows = [await _conversation(server, wire, terminal, pace) for wire in ADAPTERS]
    terminal.line(_table(rows, style.bold))
    terminal.line(
        style.dim(f"cost at ${PRICES[0]:g} / ${PRICES[1]:g} per million tokens in / out\n")
    )
    await _cut(server, terminal, pace)
    return 0


async def _warm_up(server: LocalServer) -> None:
    """One call that is not shown, so that the table does not measure imports."""
    from ..backend import GenericBackend

    async with GenericBackend(provider=server.provider("openai")) as backend:
        await backend.complete(model="demo", messages=[LLMMessage("user", "Hello")])


async def _conversation(server: LocalServer, wire: str, terminal: Terminal, pace: float) -> _Row:
    from ..backend import GenericBackend
    from ..testing import Reply

    provider = server.provider(wire)
    model = ModelConfig(
        "demo", provider.name, input_price=PRICES[0], output_price=PRICES[1], temperature=None
    )
    calls = [("get_forecast", {"city": "Lisbon"})]
    server.reply(
        Reply(reasoning=THOUGHT, signature="c2lnbmVk", tool_calls=calls, between=pace, chunk_size=5)
    )
    server.reply(Reply(ANSWER, between=pace, chunk_size=5))
    style = terminal.out_style
    terminal.line(style.bold(f"── {wire} ") + style.dim(safe(provider.api_base)))
    terminal.line(f"you       {QUESTION}")
    messages = [LLMMessage("user", QUESTION)]
    async with GenericBackend(provider=provider) as backend:
        first = _Narrator(terminal)
        asked = await first.listen(backend, model, messages)
        call = asked.tool_calls[0]
        terminal.line(f"tool      {call.name}({safe(call.arguments)})")
        terminal.line(f"result    {RESULT}")
        result = ToolResultPart(call.id or "", RESULT, call.name)
        messages += [asked.message, LLMMessage("tool", parts=[result])]
        second = _Narrator(terminal)
        answer = await second.listen(backend, model, messages)
    terminal.line()
    return _Row(
        wire,
        first.first_seconds,
        first.chunks + second.chunks,
        (asked.usage or LLMUsage()) + (answer.usage or LLMUsage()),
        answer,
        _replayed(server),
    )


def _replayed(server: LocalServer) -> str:
    """What the server got back of the model's thinking."""
    thoughts = [
        part
        for message in server.requests[-1].asked.messages
        for part in message.parts
        if isinstance(part, ReasoningPart)
    ]
    if not thoughts:
        return "no"
    return "yes, signed" if any(t.signature for t in thoughts) else "yes"


class _Narrator:
    """Prints one reply as it streams, and measures it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._clean = SafeStream()
        self._open = ""
        self.first_seconds = 0.0
        self.chunks = 0

    async def listen(
        self, backend: GenericBackend, model: ModelConfig, messages: list[LLMMessage]
    ) -> LLMChunk:
        started = time.perf_counter()
        stream = backend.complete_streaming(
            model=model, messages=messages, tools=[WEATHER], thinking="medium"
        )
        async with stream:
            async for chunk in stream:
                self.chunks += 1
                if not self.first_seconds and chunk.message.parts:
                    self.first_seconds = time.perf_counter() - started
                self.show(chunk)
        self.end()
        return stream.result

    def show(self, chunk: LLMChunk) -> None:
        style = self._terminal.out_style
        for part in chunk.message.parts:
            if isinstance(part, PartDelta):
                kind: str = part.kind
            elif isinstance(part, TextPart | ReasoningPart):
                kind = "text" if isinstance(part, TextPart) else "reasoning"
            else:
                continue
            text = part.text
            if not text or kind not in ("text", "reasoning"):
                continue
            if self._open != kind:
                self.end()
                self._open = kind
                self._terminal.write("thinking  " if kind == "reasoning" else "answer    ")
            text = self._clean.feed(text)
            self._terminal.write(style.dim(text) if kind == "reasoning" else text)

    def end(self) -> None:
        if self._open:
            self._terminal.line()
        self._open = ""


def _table(rows: list[_Row], style_head: Any) -> str:
    model = ModelConfig("demo", input_price=PRICES[0], output_price=PRICES[1])
    cells = [
        [
            row.wire,
            f"{row.first * 1000:.0f} ms",
            str(row.chunks),
            tokens_text(LLMChunk(usage=row.usage)),
            cost_text(cost_of(row.usage, model)) or "unknown",
            row.reply.stop.reason if row.reply.stop is not None else "unknown",
            row.replayed,
        ]
        for row in rows
    ]
    head = ["WIRE", "FIRST TOKEN", "CHUNKS", "TOKENS", "COST", "STOP", "THINKING SENT BACK"]
    return render(head, cells, right=(1, 2), style_head=style_head)


async def _cut(server: LocalServer, terminal: Terminal, pace: float) -> None:
    """A stream that ends politely, but before its terminal marker."""
    from ..backend import GenericBackend
    from ..testing import Fault, Reply

    style = terminal.out_style
    terminal.line(style.bold("── and a stream that ends too early"))
    cut: Reply = Reply(STORY, between=pace, chunk_size=5, fault=Fault("end", events=12))
    server.reply(cut)
    provider = server.provider("openai")
    narrator = _Narrator(terminal)
    messages = [LLMMessage("user", "Tell me a long story.")]
    try:
        async with GenericBackend(provider=provider) as backend:
            await narrator.listen(backend, ModelConfig("demo", temperature=None), messages)
    except BackendError as e:
        narrator.end()
        kept = e.partial.text if e.partial is not None else ""
        terminal.line(f"{style.red(type(e).__name__)}: {safe(str(e))}")
        terminal.line(f"kept in error.partial: {safe(kept)!r}")
    else:
        narrator.end()
        raise RuntimeError("a stream that was cut was taken for a whole one")
