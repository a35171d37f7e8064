"""Messages to turns: what a history becomes on this wire. Wire reference 3.2, 3.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ...config import Dialect, ProviderConfig
from ...fitting import ASSISTANT, TOOL, USER, Log, ReachesBack
from ...history import fit
from ...memory import Encoded, Memory, written
from ...types import JSON, CacheLifetime, LLMMessage, Native, TextPart, new_message
from ..base import canonical_json
from .encode import BlockWriter, Entry, Kind, Turn, marked

THINKING = ("thinking", "redacted_thinking")
OPENING = "Begin."
"""What the user says first where the history has the assistant speak first: the wire wants it."""

_CACHED = {"type": "ephemeral"}
_CACHEABLE = ("text", "image", "tool_result", "document")


class Carried(Struct, frozen=True):
    """What the turns of a history leave to those after them."""

    system: tuple[dict[str, JSON], ...] = ()
    """The system prompt's blocks."""
    loop: Kind | None = None
    """How the assistant's first turn since the user last said something begins."""


class Turns(Struct, frozen=True):
    """The turns after those that are JSON already."""

    turns: list[Turn]
    before: Encoded
    count: int
    """How many messages they say."""
    log: Log
    system: tuple[dict[str, JSON], ...]
    closed: bool
    """Whether the user's turn at the end stays as it is, whatever the assistant says next."""

    @property
    def loop(self) -> Kind | None:
        """As `Carried` has it, at the end of these turns."""
        loop: Kind | None = self.before.state.loop if self.before.count else None
        for turn in self.turns:
            if not turn.assistant:
                loop = loop if turn.results else None
            elif loop is None:
                loop = turn.entries[0][0]
        return loop

    def encoded(self, cache: bool = False) -> Encoded:
        """All up to here as JSON; `cache` puts a breakpoint on the last user block."""
        out: list[dict[str, Any]] = []
        for turn in self.turns:
            role = "assistant" if turn.assistant else "user"
            out.append({"role": role, "content": [block for _, block in turn.entries]})
        if cache and not self.turns[-1].assistant:
            kind, block = self.turns[-1].entries[-1]
            if kind in _CACHEABLE and isinstance(block, dict):
                out[-1]["content"][-1] = {**block, "cache_control": _CACHED}
        state = Carried(self.system, self.loop)
        return self.before.after(self.count, canonical_json(out), self.log, state)


class HistoryWriter:
    """Writes the messages of one request for one server."""

    def __init__(
        self, provider: ProviderConfig, dialect: Dialect, issuer: Native, keep_thinking: bool
    ) -> None:
        self._provider = provider
        self._dialect = dialect
        self._issuer = issuer
        self._keep_thinking = keep_thinking

    def turns(self, messages: tuple[LLMMessage, ...], memory: Memory | None) -> Turns:
        """The turns of the wire: user and assistant in alternation, none of them empty.

        Raises `UnsupportedError` with the path of what this wire can't say.
        """
        own = (self._provider.name, self._dialect, self._issuer, self._keep_thinking)
        return written(messages, own, memory, self._begin, self._turns)

    def _begin(self, messages: Sequence[LLMMessage], before: Encoded) -> Encoded:
        made = self._turns(messages, before)
        if not made.closed:
            raise ReachesBack
        return made.encoded()

    def _turns(self, messages: Sequence[LLMMessage], before: Encoded) -> Turns:
        log = Log(before.count, before.calls)
        said, system = self._said(fit(messages, self._issuer, "anthropic64", log), log)
        turns = _sound(said, log)
        if before.count:
            system = before.state.system
            # A turn that is left out lets its neighbours become one.
            for first in (said[:1], turns[:1]):
                if not first or not first[0].assistant:
                    raise ReachesBack
        else:
            _open(turns, log)
        closed = bool(turns) and not (said[-1].assistant or turns[-1].assistant)
        return Turns(turns, before, len(messages), log, system, closed)

    def _said(
        self, messages: Sequence[LLMMessage], log: Log
    ) -> tuple[list[Turn], tuple[dict[str, JSON], ...]]:
        """Turns in alternation, each with a block at least, and the blocks of the system prompt.

        All system messages that lead the list are the prompt. One in the middle becomes a user
        text: only some models take that role there, and this is never refused.
        """
        writer = BlockWriter(self._provider, self._dialect, self._issuer, self._keep_thinking, log)
        system: list[dict[str, JSON]] = []
        turns: list[Turn] = []
        turn: Turn | None = None
        leads = not log.start
        for i, message in enumerate(messages):
            role = message.role
            if role is not USER and role is not ASSISTANT and role is not TOOL:
                texts = [p for p in message.parts if type(p) is TextPart and p.text.strip()]
                if not texts:
                    continue
                cache = message.cache or texts[-1].cache
                if leads:
                    system += [marked({"type": "text", "text": p.text}, p.cache) for p in texts]
                    marked(system[-1], cache)
                    continue
                reason = "a later system message became a user text"
                log.add("substituted", log.at(i), reason)
                text = "\n\n".join(p.text for p in texts)
                note = TextPart(f"<system>\n{text}\n</system>", cache=cache)
                message = new_message(USER, (note,))
            leads = False
            if message.name and role is not TOOL:
                reason = "this wire names no speakers"
                log.add("dropped", f"{log.at(i)}.name", reason, message.name)
            assistant = role is ASSISTANT
            if turn is None or turn.assistant is not assistant:
                current = Turn(assistant, i)
            else:
                current = turn
            others = current.others
            before = len(current.results), len(others)
            for j, part in enumerate(message.parts):
                if type(part) is TextPart and part.text and not part.citations:
                    block: dict[str, JSON] = {"type": "text", "text": part.text}
                    others.append(("text", marked(block, part.cache) if part.cache else block))
                else:
                    writer.write(part, current, i, j)
            if message.cache is not None:
                new = [*current.results[before[0] :], *others[before[1] :]]
                _mark_last(new, message.cache, log.at(i), log)
            if (len(current.results), len(others)) == before:
                log.add("dropped", log.at(i), "a message without content")
            elif current is not turn:
                turns.append(current)
                turn = current
        return turns, tuple(system)


def _mark_last(entries: list[Entry], cache: CacheLifetime, path: str, log: Log) -> None:
    """The mark of a message, on the last of its blocks that can have one."""
    for kind, block in reversed(entries):
        if kind not in THINKING and isinstance(block, dict):
            marked(block, cache)
            return
    log.add("dropped", f"{path}.cache", "the message has no block that can be marked", cache)


def _sound(turns: list[Turn], log: Log) -> list[Turn]:
    """Without what is a 400: blank turns, thinking at a turn's end."""
    out: list[Turn] = []
    for turn in turns:
        others = turn.others
        if others and not (others[-1][0] == "text" and others[-1][1]["text"].strip()):
            _clean(turn, log)
            others = turn.others
        if not others and not turn.results:
            continue
        if out and out[-1].assistant is turn.assistant:
            out[-1].results += turn.results
            out[-1].others += others
        else:
            out.append(turn)
    return out


def _clean(turn: Turn, log: Log) -> None:
    # Blank texts are taken beside others, not alone (seen on the API in 2026).
    if not any(kind == "text" and block["text"].strip() for kind, block in turn.others):
        kept = [e for e in turn.others if e[0] != "text"]
        if len(kept) < len(turn.others):
            log.add("dropped", log.at(turn.at), "text of white space only")
            turn.others = kept
    while turn.others and turn.others[-1][0] in THINKING:
        log.add("dropped", log.at(turn.at), "thinking with nothing after it")
        turn.others.pop()


def _open(turns: list[Turn], log: Log) -> None:
    if turns and turns[0].assistant and turns[0].entries[0][0] != "compaction":
        opening = Turn(False, turns[0].at)
        opening.others.append(("text", {"type": "text", "text": OPENING}))
        path = log.at(opening.at)
        log.add("added", path, "the wire wants the user to speak first", None, OPENING)
        turns.insert(0, opening)


def cached_system(system: Sequence[dict[str, JSON]], cache: bool) -> list[dict[str, JSON]]:
    if cache and system:
        return [*system[:-1], {**system[-1], "cache_control": _CACHED}]
    return [*system]
