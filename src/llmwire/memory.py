"""What a backend remembers of the requests it prepared, so that the next costs what is new in it.

A history grows at its end. Up to a cut, nothing that follows changes how it is written; so its JSON
is kept, with what the writer has to know to go on. What a call says beside its messages is the same
from turn to turn, and kept too.

Values are immutable, so the same object is the same text. Equal ones need not be: `1 == True`. So
they are compared by identity, except messages that hold nothing but texts and flags: these are
compared by equality, which begins with identity and, over a whole history, is the faster of the two.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from msgspec import Struct

from .caching import any_marked
from .config import ProviderConfig
from .errors import UnsupportedError
from .fitting import ASSISTANT, NO_CALLS, TOOL, USER, Calls, Log, ReachesBack, grown, parts_of
from .request import LLMRequest
from .types import Adaptation, LLMMessage, ReasoningPart, TextPart, ToolCall, ToolResultPart

MOST_SETTINGS = 8
"""Ways to call that one backend is used in at a time."""
MOST_HISTORIES = 64
"""Conversations that one backend follows at a time."""
MOST_BYTES = 16 * 2**20
"""JSON that is kept; the messages that it says are kept alive beside it."""
STEP = 12
"""What is remembered goes on by so many messages at least, or by one that is long."""
LONG = 8192
"""Characters. A text of that length takes as long to encode as remembering it."""

T = TypeVar("T")
Messages: TypeAlias = tuple[LLMMessage, ...]


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


class _History(NamedTuple):
    key: Any
    messages: Messages
    encoded: Encoded
    size: int
    plain: bool
    """Equal messages are written alike."""
    marked: bool
    """Something in it is marked for caching."""

    def begins(self, messages: tuple[Any, ...]) -> bool:
        count = len(self.messages)
        if self.plain:
            return count < len(messages) and self.messages == messages[:count]
        return count < len(messages) and all(map(operator.is_, self.messages, messages))


class Memory:
    """The requests that were prepared last, within bounds.

    Any number of threads may use it: all that changes is replaced as a whole.
    """

    def __init__(
        self, most: int = MOST_HISTORIES, most_bytes: int = MOST_BYTES, step: int = STEP
    ) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.step = step
        self.clear()

    def clear(self) -> None:
        self._histories: tuple[_History, ...] = ()  # the last used first
        self._by_end: dict[int, list[_History]] = {}  # by the id of their last messages
        self._recognised: tuple[Messages, _History] | None = None
        self._settings: tuple[tuple[tuple[Any, ...], Any], ...] = ()  # the newest first

    def __len__(self) -> int:
        return len(self._histories)

    @property
    def size(self) -> int:
        """Bytes of JSON that are kept."""
        return sum(known.size for known in self._histories)

    # --- histories ---

    def recognised(self, messages: tuple[Any, ...]) -> int:
        """How many messages at the beginning are those of a history that is known."""
        known = self._known(messages)
        if known is None:
            return 0
        self._recognised = messages, known
        return len(known.messages)

    def unmarked(self, messages: tuple[Any, ...]) -> int:
        """How many messages at the beginning are known to have no mark for caching."""
        count = self.recognised(messages)
        seen = self._recognised
        return 0 if not count or seen is None or seen[1].marked else count

    def find(self, key: Any, messages: Messages) -> Encoded:
        """What is known of how these messages begin, if an assistant's turn goes on from there;
        else `START`."""
        seen = self._recognised
        if seen is not None and seen[0] is messages and seen[1].key == key:
            known: _History | None = seen[1]
        else:
            known = self._known(messages, key)
        if known is None or messages[len(known.messages)].role is not ASSISTANT:
            return START
        return known.encoded

    def _known(self, messages: tuple[Any, ...], key: Any = None) -> _History | None:
        by_end = self._by_end
        for i in range(len(messages) - 2, -1, -1) if by_end else ():
            for known in by_end.get(id(messages[i]), ()):
                if (key is None or known.key == key) and known.begins(messages):
                    return known
        return None

    def keep(self, key: Any, messages: Messages, encoded: Encoded, instead_of: Encoded) -> None:
        """Remembers what these messages became, and forgets what was not used for longest."""
        before = next((h for h in self._histories if h.encoded is instead_of), None)
        others = [known for known in self._histories if known is not before]
        plain = before is None or before.plain
        later = messages[len(before.messages) if before else 0 :]
        plain = plain and _are_plain(later)
        marked = any_marked(later) or (before is not None and before.marked)
        new = _History(key, messages, encoded, encoded.size, plain, marked)
        kept: list[_History] = []
        by_end: dict[int, list[_History]] = {}
        room = self.most_bytes
        for known in (new, *others[: self.most - 1]):
            if known.size <= room:
                room -= known.size
                kept.append(known)
                by_end.setdefault(id(known.messages[-1]), []).append(known)
        self._histories, self._by_end = tuple(kept), by_end

    # --- settings ---

    def settings(
        self,
        request: LLMRequest,
        provider: ProviderConfig,
        make: Callable[[LLMRequest, ProviderConfig], T],
    ) -> T:
        """What `make` makes of all in a request but its messages; remembered for requests whose
        settings are the same objects."""
        if request.metadata or request.extra_body:  # dicts of the caller's, new each time
            return make(request, provider)
        own = (provider, *_SETTINGS(request), *request.tools, None, *request.stop)
        for theirs, made in self._settings:
            if len(theirs) == len(own) and all(map(operator.is_, theirs, own)):
                return made  # type: ignore[no-any-return]
        new = make(request, provider)
        self._settings = ((own, new), *self._settings[: MOST_SETTINGS - 1])
        return new


_SETTINGS = operator.attrgetter(
    *(set(LLMRequest.__struct_fields__) - {"messages", "tools", "stop", "metadata", "extra_body"})
)


def written(
    messages: Messages,
    key: Any,
    memory: Memory | None,
    begin: Callable[[Messages, Encoded], Encoded],
    finish: Callable[[Messages, Encoded], T],
) -> T:
    """What `finish` makes of a history, all but its last turns written by `begin` or remembered.

    Both get messages and what went before them, and raise `ReachesBack` if the messages would
    change that. The outcome is that of `finish(messages, START)`, errors included. `key` is all
    beside the messages that has a say in how they are written.
    """
    cut = _cut(messages) if memory is not None else 0
    if memory is None or not cut:
        return finish(messages, START)
    begun = found = memory.find(key, messages)
    try:
        if cut - found.count >= memory.step or any(map(_is_long, messages[found.count : cut])):
            try:
                begun = begin(messages[found.count : cut], found)
            except ReachesBack:  # the history went on otherwise than it did when it was cut there
                begun = begin(messages[:cut], START)
            memory.keep(key, messages[:cut], begun, found)
        return finish(messages[begun.count :], begun)
    except (ReachesBack, UnsupportedError):
        return finish(messages, START)


def _cut(messages: Messages) -> int:
    """Where the last assistant's turn begins: what is before it is not merged with what follows,
    and its calls are answered before it or never."""
    for i in range(len(messages) - 1, 0, -1):
        if messages[i].role is ASSISTANT and (
            messages[i - 1].role is USER or messages[i - 1].role is TOOL
        ):
            return i
    return 0


def _are_plain(messages: Messages) -> bool:
    """Whether no part holds JSON of a provider's: then equal messages are written alike."""
    parts = [*parts_of(messages)]
    return (
        _PLAIN.issuperset(map(type, parts))
        and not any(map(_NATIVE, parts))
        and not any(part.citations for part in parts if type(part) is TextPart)
        and all(type(part.content) is str for part in parts if type(part) is ToolResultPart)
    )


_PLAIN = frozenset((TextPart, ReasoningPart, ToolCall, ToolResultPart))
_NATIVE = operator.attrgetter("native")


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
