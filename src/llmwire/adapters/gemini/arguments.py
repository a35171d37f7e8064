"""A call's arguments that come as values at JSON paths, written as JSON text as they come.

Vertex AI with streamFunctionCallArguments: wire reference 5.3 (2026-11-22). The paths come in the
order of the text, so that each piece goes on where the last one ended.
"""

from __future__ import annotations

import re

import msgspec

from ...types import JSON
from .wire import PartialArg

_SEGMENT = re.compile(
    r"""\.([^.\[\]]+)|\[(\d+)\]|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]"""
)

Segment = str | int


def segments_of(path: str) -> list[Segment] | None:
    """The keys and indexes of a JSON path (RFC 9535); None for one that is no single place."""
    if not path.startswith("$"):
        return None
    out: list[Segment] = []
    at = 1
    while at < len(path):
        match = _SEGMENT.match(path, at)
        if match is None:
            return None
        name, index, single, double = match.groups()
        quoted = single if single is not None else double
        if index is not None:
            out.append(int(index))
        else:
            out.append(name if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    return out


class _Container:
    """An object or an array that is open."""

    __slots__ = ("array", "count", "key", "seen")

    def __init__(self, key: Segment | None, array: bool) -> None:
        self.key = key  # where it stands in the one around it
        self.array = array
        self.count = 0
        self.seen: set[Segment] = set()

    def enter(self, segment: Segment) -> str | None:
        """What stands before the member's value; None if it can't come here or not any more."""
        if self.array != isinstance(segment, int) or segment in self.seen:
            return None
        if self.array and segment != self.count:
            return None
        comma = "," if self.count else ""
        self.count += 1
        if self.array:
            return comma
        self.seen.add(segment)
        return f"{comma}{_dumped(segment)}:"


class ArgumentWriter:
    """The JSON text of one call's arguments, piece by piece.

    `broken` says that a value came for a place that was behind us: the text is then no JSON.
    """

    __slots__ = ("_stack", "_text_at", "broken")

    def __init__(self) -> None:
        self._stack: list[_Container] = []
        self._text_at: list[Segment] | None = None  # the place of a text that goes on
        self.broken = False

    def write(self, arg: PartialArg) -> str:
        """The text that this piece adds."""
        path = segments_of(arg.json_path)
        if not path:
            self.broken = True
            return ""
        out = ""
        if path != self._text_at:
            out = self._end_text() + self._go(path)
            if arg.string_value is None:
                value = arg.bool_value if arg.bool_value is not None else arg.number_value
                return out + _dumped(value)
            out += '"'
            self._text_at = path
        out += _dumped(arg.string_value or "")[1:-1]
        return out if arg.will_continue else out + self._end_text()

    def end(self) -> str:
        """What closes the text."""
        if not self._stack:
            self._stack.append(_Container(None, False))
            return "{}"
        return self._end_text() + "".join(self._closed() for _ in tuple(self._stack))

    def _end_text(self) -> str:
        open_, self._text_at = self._text_at is not None, None
        return '"' if open_ else ""

    def _closed(self) -> str:
        return "]" if self._stack.pop().array else "}"

    def _go(self, path: list[Segment]) -> str:
        """Closes and opens containers up to the one that has the place, and names the place."""
        out, stack = "", self._stack
        if not stack:
            stack.append(_Container(None, False))
            out = "{"
        depth = 1
        while depth < min(len(stack), len(path)) and stack[depth].key == path[depth - 1]:
            depth += 1
        while len(stack) > depth:
            out += self._closed()
        for n in range(depth - 1, len(path)):
            before = stack[-1].enter(path[n])
            self.broken |= before is None
            out += before or ""
            if n + 1 < len(path):
                array = isinstance(path[n + 1], int)
                stack.append(_Container(path[n], array))
                out += "[" if array else "{"
        return out


def _dumped(value: JSON) -> str:
    return msgspec.json.encode(value).decode()
