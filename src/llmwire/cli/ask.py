"""`llmwire ask`: one question, one answer."""

from __future__ import annotations

import argparse
import time

from ..types import LLMChunk, LLMMessage, PartDelta, RefusalPart, TextPart, to_builtins
from .common import (
    Target,
    messages_of,
    note_adaptations,
    note_ending,
    options_of,
    target_cost,
    target_of,
    usage_line,
)
from .loop import run_async
from .terminal import SafeStream, Terminal, is_tty


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    messages = messages_of(args)
    with target_of(args, terminal) as target:
        return run_async(_ask(args, terminal, target, messages))


async def _ask(
    args: argparse.Namespace, terminal: Terminal, target: Target, messages: list[LLMMessage]
) -> int:
    from ..backend import GenericBackend

    printer = Printer(terminal, shows_thinking(args, terminal))
    started = time.monotonic()
    async with GenericBackend(provider=target.provider) as backend:
        options = options_of(args)
        if args.no_stream or args.json:
            reply = await backend.complete(model=target.model, messages=messages, **options)
            if not args.json:
                printer.show(reply)
                printer.finish()
        else:
            stream = backend.complete_streaming(model=target.model, messages=messages, **options)
            try:
                async with stream:
                    async for chunk in stream:
                        printer.show(chunk)
            finally:
                printer.finish()
            reply = stream.result
    if args.json:
        terminal.json(document(reply, target))
    if not args.quiet:
        note_adaptations(reply, terminal)
        note_ending(reply, terminal)
        terminal.note(usage_line(reply, target, time.monotonic() - started))
    return 0


def shows_thinking(args: argparse.Namespace, terminal: Terminal) -> bool:
    shown: bool | None = args.show_thinking
    return (is_tty(terminal.err) and not args.quiet) if shown is None else shown


def document(reply: LLMChunk, target: Target) -> dict[str, object]:
    """An answer for programs. What nobody reported is null, never 0."""
    cost = target_cost(reply, target)
    return {
        "model": target.label,
        "answered_by": reply.model,
        "text": reply.text,
        "message": to_builtins(reply.message),
        "usage": to_builtins(reply.usage) if reply.usage is not None else None,
        "cost": {
            "total": cost.total,
            "known": cost.known,
            "missing": list(cost.missing),
            "input": cost.input,
            "cache_read": cost.cache_read,
            "cache_write": cost.cache_write,
            "output": cost.output,
            "source": cost.source,
        },
        "stop": to_builtins(reply.stop) if reply.stop is not None else None,
        "response_id": reply.response_id,
        "request_id": reply.correlation_id,
        "adaptations": [to_builtins(a) for a in reply.adaptations],
    }


class Printer:
    """Prints a reply as it comes: text to stdout, thinking to stderr if it is to be shown."""

    def __init__(self, terminal: Terminal, thinking: bool) -> None:
        self._terminal = terminal
        self._shows_thinking = thinking
        self._text = SafeStream()
        self._thought = SafeStream()
        self._thinking_open = False
        self._at_line_start = True

    def show(self, chunk: LLMChunk) -> None:
        for part in chunk.message.parts:
            if isinstance(part, TextPart | RefusalPart):
                self._write(part.text)
            elif isinstance(part, PartDelta) and part.kind in ("text", "refusal"):
                if part.text:
                    self._write(part.text)
            elif (
                self._shows_thinking
                and (text := getattr(part, "text", ""))
                and (part.kind if isinstance(part, PartDelta) else "reasoning") == "reasoning"
            ):
                self._think(text)

    def _write(self, text: str) -> None:
        self._end_thinking()
        self._put(self._text.feed(text))

    def _put(self, text: str) -> None:
        if text:
            self._at_line_start = text.endswith("\n")
            self._terminal.write(text)

    def _think(self, text: str) -> None:
        if not self._at_line_start:
            self._put("\n")
        self._thinking_open = True
        self._terminal.thinking(self._thought.feed(text))

    def _end_thinking(self) -> None:
        if self._thinking_open:
            self._thinking_open = False
            self._terminal.thinking(self._thought.finish())
            self._terminal.thinking("\n\n")

    def finish(self) -> None:
        """Ends the line, so that what follows has its own."""
        self._end_thinking()
        self._put(self._text.finish())
        if not self._at_line_start:
            self._put("\n")
