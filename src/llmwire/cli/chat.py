"""`llmwire chat`: a conversation.

Ctrl-C stops an answer; what had come of it stays in the conversation (pieces of a tool call do
not). If nothing had come, the question goes too, as it does when a call fails: it can be asked
again with the up arrow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..environment import user_folder
from ..errors import BackendError
from ..types import LLMChunk, LLMMessage, Role, to_builtins
from . import loop
from .ask import Printer, shows_thinking
from .common import (
    Failed,
    Target,
    UsageError,
    note_adaptations,
    note_ending,
    options_of,
    system_messages,
    target_of,
    usage_line,
)
from .terminal import Terminal, is_tty

if TYPE_CHECKING:
    from ..backend import GenericBackend

HELP = """\
/help           this
/model [MODEL]  say which model answers, or choose another (provider:model or an alias)
/clear          forget the conversation (the system prompt stays)
/save FILE      write the conversation as JSON; --load FILE goes on with it
/exit           leave (Ctrl-D does too)
Ctrl-C stops an answer; what had come of it stays in the conversation."""

_HISTORY_LINES = 1000


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    messages = load_messages(args.load) if args.load else []
    if args.system:
        messages = [*system_messages(args.system), *(m for m in messages if not _is_system(m))]
    with ExitStack() as stack:
        runner = stack.enter_context(loop.runner())
        chat = Chat(args, terminal, messages, runner)
        stack.callback(chat.close)
        chat.choose(args.model)
        lines = stack.enter_context(_Lines(terminal))
        if lines.interactive:
            terminal.note(f"{chat.target.label} · /help lists the commands, Ctrl-D leaves")
        chat.loop(lines)
    return 0


class Chat:
    """The conversation and whom it is with."""

    def __init__(
        self,
        args: argparse.Namespace,
        terminal: Terminal,
        messages: list[LLMMessage],
        runner: asyncio.Runner,
    ) -> None:
        self.target: Target
        self.messages = messages
        self._args = args
        self._terminal = terminal
        self._runner = runner
        self._backend: GenericBackend
        self._here = ExitStack()  # what the current target needs: its server, its connections
        self._own_files = {Path(args.load).absolute()} if args.load else set()

    def choose(self, spec: str | None) -> None:
        """Raises `ConfigError`; the former target then stays."""
        from ..backend import GenericBackend

        with ExitStack() as stack:
            args = argparse.Namespace(**{**vars(self._args), "model": spec})
            target = stack.enter_context(target_of(args, self._terminal))
            backend = GenericBackend(provider=target.provider)
            stack.callback(lambda: self._runner.run(backend.close()))
            new = stack.pop_all()
        self._here.close()
        self.target, self._backend, self._here = target, backend, new

    def close(self) -> None:
        self._here.close()

    def loop(self, lines: _Lines) -> None:
        for line in lines:
            text = line.strip()
            if not text:
                continue
            if not text.startswith("/"):
                self.say(text)
                continue
            word, _, rest = text.partition(" ")
            if word in ("/exit", "/quit"):
                return
            try:
                self._obey(word, rest.strip())
            except BackendError as e:
                self._terminal.error(str(e))
            except (Failed, UsageError) as e:
                self._terminal.error(str(e))

    def _obey(self, word: str, rest: str) -> None:
        if word == "/help":
            self._terminal.note(HELP)
        elif word == "/clear":
            self.messages = [m for m in self.messages if _is_system(m)]
            self._terminal.note("the conversation is empty")
        elif word == "/model":
            if rest:
                self.choose(rest)
            self._terminal.note(self.target.label)
        elif word == "/save":
            if not rest:
                raise Failed("/save needs a file name")
            self._save(Path(rest).expanduser())
        else:
            raise Failed(f"there is no command {word}; /help lists them")

    def _save(self, path: Path) -> None:
        if path.exists() and path.absolute() not in self._own_files:
            raise Failed(f"{path} exists already and is not this conversation's; choose another")
        save_messages(path, self.messages)
        self._own_files.add(path.absolute())
        count = len(self.messages)
        self._terminal.note(f"{count} message{'s' * (count != 1)} saved to {path}")

    def say(self, text: str) -> None:
        """One turn. Failures are printed, and the conversation is as before."""
        question = LLMMessage("user", text)
        printer = Printer(self._terminal, shows_thinking(self._args, self._terminal))
        started = time.monotonic()
        stream = self._backend.complete_streaming(
            model=self.target.model,
            messages=[*self.messages, question],
            **options_of(self._args),
        )

        async def listen() -> None:
            async with stream:
                async for chunk in stream:
                    printer.show(chunk)

        try:
            self._runner.run(listen())
        except KeyboardInterrupt:
            printer.finish()
            self._keep(question, stream.result, stopped=True)
            return
        except BackendError as e:
            printer.finish()
            self._terminal.error(str(e))
            self._terminal.note("the question is not in the conversation; ask it again")
            return
        printer.finish()
        reply = stream.result
        self._keep(question, reply)
        if not self._args.quiet:
            note_adaptations(reply, self._terminal)
            note_ending(reply, self._terminal)
            self._terminal.note(usage_line(reply, self.target, time.monotonic() - started))

    def _keep(self, question: LLMMessage, reply: LLMChunk, stopped: bool = False) -> None:
        if stopped and not reply.text:
            self._terminal.note("stopped before any text; the question is forgotten too")
            return
        if stopped:
            self._terminal.note("stopped; what had come stays in the conversation")
        self.messages = [*self.messages, question]
        if reply.message.parts:
            self.messages.append(reply.message)


def _is_system(message: LLMMessage) -> bool:
    return message.role in (Role.system, Role.developer)


def load_messages(name: str) -> list[LLMMessage]:
    """A conversation from `/save`, or any JSON list of messages. Raises `Failed`."""
    try:
        data = json.loads(Path(name).read_text("utf-8-sig"))
    except OSError as e:
        raise Failed(f"{name}: can't be read: {e.strerror or e}") from None
    except (ValueError, RecursionError) as e:
        raise Failed(f"{name}: not JSON: {e or 'nested too deeply'}") from None
    if not isinstance(data, list):
        raise Failed(f"{name}: must be a list of messages")
    messages = []
    for i, item in enumerate(data):
        try:
            if not isinstance(item, dict):
                raise ValueError("not an object")
            messages.append(LLMMessage.from_dict(item))
        except ValueError as e:
            raise Failed(f"{name}: message {i}: {e}") from None
    return messages


def save_messages(path: Path, messages: list[LLMMessage]) -> None:
    """All or nothing: an old file stays as it was if this fails. Raises `Failed`."""
    text = json.dumps([to_builtins(m) for m in messages], indent=2, ensure_ascii=False) + "\n"
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(text.encode("utf-8", "replace"))
        partial.replace(path)
    except OSError as e:
        partial.unlink(missing_ok=True)
        raise Failed(f"{path}: can't be written: {e.strerror or e}") from None


class _Lines:
    """What the user types, line by line, until Ctrl-D. Piped lines work too."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.interactive = is_tty(sys.stdin)
        self._history: Path | None = None

    def __enter__(self) -> _Lines:
        if self.interactive:
            self._history = _open_history()
        reconfigure = getattr(sys.stdin, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
        return self

    def __exit__(self, *_: object) -> None:
        if self._history is not None:
            _write_history(self._history)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        while True:
            try:
                return self._read()
            except EOFError:
                if self.interactive:
                    self._terminal.line()
                raise StopIteration from None
            except KeyboardInterrupt:
                if not self.interactive:
                    raise
                with suppress(KeyboardInterrupt):  # twice is not "leave" either
                    self._terminal.line()
                    self._terminal.note("(Ctrl-D or /exit leaves)")

    def _read(self) -> str:
        if self.interactive and is_tty(sys.stdout):
            style = self._terminal.out_style
            # readline must know which characters take no room.
            prompt = "\1\x1b[1m\2> \1\x1b[0m\2" if style.enabled and self._history else "> "
            return input(prompt)
        if self.interactive:
            self._terminal.note("> ")
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line


def _open_history() -> Path | None:
    """Past questions for the up arrow, if this Python has readline."""
    try:
        import readline
    except ImportError:
        return None
    path = user_folder(os.environ, "state") / "chat_history"
    readline.set_history_length(_HISTORY_LINES)
    try:
        readline.read_history_file(path)
    except OSError:  # the first time, or not ours to read
        readline.clear_history()
    return path


def _write_history(path: Path) -> None:
    import readline

    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)  # questions are private
        readline.write_history_file(path)
    except OSError:
        pass  # a home that can't be written to is no reason to complain
