"""The record of fitting a history: what was changed, where it had stood, and what it leaves.

`history` does the fitting, a run of messages at a time; what such a run has to know of those before
it is here too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

from msgspec import Struct

from .types import JSON, Adaptation, LLMMessage, Part, Role

# In Python 3.11 it takes longer to read a member of an enum than to do anything with it.
ASSISTANT, TOOL, USER = Role.assistant, Role.tool, Role.user

T = TypeVar("T", bytes, frozenset[str])


def grown(pieces: Sequence[T], new: T, join: Callable[[T, T], T]) -> tuple[T, ...]:
    """`pieces` and one more, neighbours joined until each is twice as long as the next: so they
    stay few, and what grows a little at a time is not copied as a whole each time."""
    kept: list[T] = list(pieces)
    while kept and len(kept[-1]) < 2 * len(new):
        new = join(kept.pop(), new)
    kept.append(new)
    return tuple(kept)


class Calls(Struct, frozen=True):
    """What the calls of a history leave to the messages after it."""

    ids: tuple[frozenset[str], ...] = ()
    """The ids that are taken."""
    unanswered: frozenset[str] = frozenset()
    """The ids, as they came, that a later result would answer; "" for a call without one."""

    def __contains__(self, call_id: str) -> bool:
        return any(call_id in ids for ids in self.ids)

    def after(self, ids: set[str], waiting: Mapping[str, bool] = {}) -> Calls:
        """This, once the calls `ids` were made; `waiting`: by id as it came, whether unanswered."""
        if not ids and not waiting:
            return self
        unanswered = self.unanswered
        if waiting:
            unanswered = frozenset(i for i in unanswered if i not in waiting)
            unanswered |= {i for i, is_open in waiting.items() if is_open}
        taken = grown(self.ids, frozenset(ids), frozenset.union) if ids else self.ids
        return Calls(taken, unanswered)


NO_CALLS = Calls()


class ReachesBack(Exception):
    """These messages change what stands before them, so they can't be fitted without it."""


class Log:
    """Adaptations, and where the messages being fitted stood in the history that was given.

    Each function of `history` reads messages and says what became of them; so paths name places
    in what the first one was given, whatever was dropped, moved or added since.

    `start` and `calls`: how many messages went before these, and what their calls leave; `calls`
    is brought up to date by `pair_tool_calls`.
    """

    __slots__ = ("_before", "_current", "_original", "_places", "calls", "entries", "start")

    def __init__(self, start: int = 0, calls: Calls = NO_CALLS) -> None:
        self.start = start
        self.calls = calls
        self.entries: list[Adaptation] = []
        self._original: Sequence[LLMMessage] | None = None
        self._current: Sequence[LLMMessage] | None = None
        self._places: list[int] | None = None  # of the current messages; None: they did not move
        self._before: dict[int, tuple[Part, Part]] = {}  # id(new) -> (new, old); keeps both alive

    def add(
        self, action: str, path: str, reason: str, before: JSON = None, after: JSON = None
    ) -> None:
        self.entries.append(Adaptation(path, action, reason, before, after))  # type: ignore[arg-type]

    def done(self) -> tuple[Adaptation, ...]:
        """All of them: those of settings first, then those of the history in its order."""
        return tuple(sorted(self.entries, key=_message_of)) if self.entries else ()

    # --- for functions that fit messages ---

    def reads(self, messages: Sequence[LLMMessage]) -> None:
        if self._original is None:
            self._original = messages
        elif messages is not self._current:  # somebody else's work: found by identity
            known = {id(m): i for i, m in reversed([*enumerate(self._original)])}
            known |= {id(m): self.place(i) for i, m in reversed([*enumerate(self._current or ())])}
            places, at = [], 0
            for message in messages:
                at = known.get(id(message), at)
                places.append(at)
            self._places = places
        self._current = messages

    def same(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        """What was read, unchanged."""
        self._current = out = list(messages)
        return out

    def gives(self, out: list[LLMMessage], origins: list[int]) -> list[LLMMessage]:
        """`out`, each made of the message that was read at its origin."""
        self._places = origins if self._places is None else [self._places[i] for i in origins]
        self._current = out
        return out

    def replaced(self, old: Part, new: Part) -> None:
        self._before[id(new)] = (new, old)

    def place(self, i: int) -> int:
        """Where the `i`th message that was read stood at first, among those after `start`."""
        return i if self._places is None else self._places[i]

    def at(self, i: int) -> str:
        """The path of the `i`th message that was read."""
        return f"messages[{self.start + self.place(i)}]"

    # --- for writers, who may have moved the messages since ---

    def path(self, part: Part, i: int, j: int) -> str:
        """Where `part`, now part `j` of message `i`, stood at first."""
        while (pair := self._before.get(id(part))) is not None:
            part = pair[1]
        original = self._original or ()
        place = self._places[min(i, len(self._places) - 1)] if self._places else i
        parts = original[place].parts if place < len(original) else ()
        if not (j < len(parts) and parts[j] is part):
            around = chain([(place, parts)], ((n, m.parts) for n, m in enumerate(original)))
            found = ((n, at) for n, its in around for at, other in enumerate(its) if other is part)
            place, j = next(found, (place, j))
        return f"messages[{self.start + place}].parts[{j}]"

    def message_path(self, message: LLMMessage, i: int) -> str:
        """Where `message`, now the `i`th, stood at first."""
        for n, other in enumerate(self._current or ()):
            if other is message:
                return self.at(n)
        return self.path(message.parts[0], i, 0).partition(".")[0] if message.parts else self.at(i)


def _message_of(adaptation: Adaptation) -> int:
    """Which message it is about; -1 for none."""
    path = adaptation.path
    return int(path[9 : path.index("]")]) if path.startswith("messages[") else -1


_PARTS = operator.attrgetter("parts")


def parts_of(messages: Iterable[LLMMessage]) -> Iterable[Part]:
    """All parts of all messages."""
    return chain.from_iterable(map(_PARTS, messages))


def with_parts(message: LLMMessage, parts: list[Part]) -> LLMMessage:
    """The message with these parts: itself if they are its own."""
    if len(parts) == len(message.parts) and all(map(operator.is_, parts, message.parts)):
        return message
    return message.with_parts(parts)
