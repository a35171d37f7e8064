"""JSON objects in a row, cut anywhere: the array that a stream without `alt=sse` is (wire reference
5.1), one whole answer, and errors that stand unframed among events (wire reference 0)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BETWEEN = re.compile(rb"[^ \t\r\n]")
_IN_STRING = re.compile(rb'["\\]')
_IN_OBJECT = re.compile(rb'["{}]')


class ObjectScanner:
    """Takes bytes, gives the objects that they complete. For one body, then thrown away.

    `array` says that the objects stand in one, `closed` that its end has come.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "_pieces", "array", "closed")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.array = False
        self.closed = False

    @property
    def open(self) -> bool:
        """Whether an object has begun whose end has not come."""
        return self._depth > 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises `ValueError` at what is neither an object nor what may stand between two."""
        at, start, end = 0, 0, len(data)
        while at < end:
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            pattern = _IN_STRING if self._in_string else _IN_OBJECT if self._depth else _BETWEEN
            match = pattern.search(data, at)
            if match is None:
                break
            sign, at = match.group(), match.end()
            if self._in_string:
                self._in_string = sign != b'"'
                self._escaped = sign == b"\\"
            elif sign == b'"' and self._depth:
                self._in_string = True
            elif sign == b"{" and not self.closed:
                self._depth += 1
                if self._depth == 1:
                    start = at - 1
            elif sign == b"}" and self._depth:
                self._depth -= 1
                if not self._depth:
                    yield b"".join((*self._pieces, data[start:at]))
                    self._pieces.clear()
            elif sign == b"[" and not self.array:
                self.array = True
            elif sign == b"]" and self.array and not self.closed:
                self.closed = True
            elif sign != b",":
                raise ValueError(f"{sign!r} between two objects")
        if self._depth:
            self._pieces.append(data[start:])
