"""What a backend remembers of the histories it sent, so that the next turn costs what is new in it.

A history grows at its end. Up to a cut, nothing that follows changes how it is written; so its JSON
is kept, with what the writer has to know to go on. Messages are compared by identity, which takes
no time and can't take `1` for `true`; values are immutable, so the same object is the same text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from .errors import UnsupportedError
from .fitting import ASSISTANT, NO_CALLS, TOOL, USER, Calls, Log, ReachesBack, grown
from .types import Adaptation, LLMMessage, TextPart, ToolCall, ToolResultPart

MOST_HISTORIES = 64
"""Conversations that one backend follows at a time."""
MOST_BYTES = 16 * 2**20
"""JSON that is kept; the messages that it says are kept alive beside it."""
STEP = 8
"""What is remembered goes on by so many messages at least, or by one that is long."""
LONG = 8192
"""Characters. A text of that length takes as long to encode as remembering it."""

T = TypeVar("T")
Messages: TypeAlias = tuple[LLMMessage, ...]
Key: TypeAlias = tuple[Any, ...]


class Encoded(Struct, frozen=True):
    """The first `count` messages of a history, written."""

    count: int = 0
    pieces: tuple[bytes, ...] = ()
    """The entries of a JSON array, without brackets; a comma belongs between the pieces."""
    adaptations: tuple[Adaptation, ...] = ()
    calls: Calls = NO_CALLS
    state: Any = None
    """What the wire's writer has to know beside."""

    def after(self, count: int, array: bytes, log: Log, state: Any = None) -> Encoded:
        """This and `count` messages more: written in a JSON array, fitted with `log`."""
        pieces = self.pieces
        if len(array) > len(b"[]"):
            pieces = grown(pieces, array[1:-1], lambda a, b: b"%b,%b" % (a, b))
        adaptations = self.adaptations + log.done()
        return Encoded(self.count + count, pieces, adaptations, log.calls, state)

    @property
    def size(self) -> int:
        """Bytes of JSON."""
        return sum(map(len, self.pieces))


START = Encoded()


class _Known(NamedTuple):
    key: Key
    messages: Messages
    encoded: Encoded
    size: int


class EncodedHistories:
    """The histories that were sent last, within bounds. Any number of threads may use it: the
    only thing that changes is one tuple, replaced as a whole."""

    def __init__(
        self, most: int = MOST_HISTORIES, most_bytes: int = MOST_BYTES, step: int = STEP
    ) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.step = step
        self._known: tuple[_Known, ...] = ()  # the last used first

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size(self) -> int:
        """Bytes of JSON that are kept."""
        return sum(known.size for known in self._known)

    def clear(self) -> None:
        self._known = ()

    def find(self, key: Key, messages: Messages) -> Encoded:
        """The longest beginning of these messages that is known, if an assistant's turn goes on
        from there; else `START`."""
        found = START
        for theirs, begun, encoded, _ in self._known:
            count = len(begun)
            if (
                found.count < count < len(messages)
                and messages[count - 1] is begun[-1]
                and messages[count].role is ASSISTANT
                and theirs == key
                and all(map(operator.is_, begun, messages))
            ):
                found = encoded
        return found

    def keep(self, key: Key, messages: Messages, encoded: Encoded, instead_of: Encoded) -> None:
        """Remembers what these messages became, and forgets what was not used for longest."""
        size = encoded.size
        others = [known for known in self._known if known.encoded is not instead_of]
        kept = [_Known(key, messages, encoded, size)] if size <= self.most_bytes else []
        room = self.most_bytes - sum(known.size for known in kept)
        for known in others[: self.most - len(kept)]:
            room -= known.size
            if room >= 0:
                kept.append(known)
        self._known = tuple(kept)


def written(
    messages: Messages,
    key: Key,
    histories: EncodedHistories | None,
    begin: Callable[[Messages, Encoded], Encoded],
    finish: Callable[[Messages, Encoded], T],
) -> T:
    """What `finish` makes of a history, all but its last turns written by `begin` or remembered.

    Both get messages and what went before them, and raise `ReachesBack` if the messages would
    change that. The outcome is that of `finish(messages, START)`, errors included. `key` is all
    beside the messages that has a say in how they are written.
    """
    cut = _cut(messages) if histories is not None else 0
    if histories is None or not cut:
        return finish(messages, START)
    begun = found = histories.find(key, messages)
    try:
        if cut - found.count >= histories.step or any(map(_is_long, messages[found.count : cut])):
            try:
                begun = begin(messages[found.count : cut], found)
            except ReachesBack:  # the history went on otherwise than it did when it was cut there
                begun = begin(messages[:cut], START)
            histories.keep(key, messages[:cut], begun, found)
        return finish(messages[begun.count :], begun)
    except (ReachesBack, UnsupportedError):
        return finish(messages, START)


def _is_long(message: LLMMessage) -> bool:
    for part in message.parts:
        if type(part) is ToolResultPart:
            if type(part.content) is not str or len(part.content) > LONG:
                return True
        elif type(part) is TextPart:
            if len(part.text) > LONG:
                return True
        elif type(part) is not ToolCall:
            return True
    return False


def _cut(messages: Messages) -> int:
    """Where the last assistant's turn begins: what is before it is not merged with what follows,
    and its calls are answered before it or never."""
    for i in range(len(messages) - 1, 0, -1):
        if messages[i].role is ASSISTANT and (
            messages[i - 1].role is USER or messages[i - 1].role is TOOL
        ):
            return i
    return 0
