"""Server-sent events: bytes in, frames out. WHATWG's grammar, on bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream (2026-11)

Lines end at LF, CRLF or CR and nowhere else: U+2028 and the like are legal inside JSON. An event
that the end of the bytes cuts off is delivered if its last line is whole: some servers omit the
final blank line (wire reference 0). Whether the reply was whole is the wire's question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .errors import TransportError

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"

MAX_EVENT_BYTES = 512 * 1024 * 1024
"""A bound on one event. Generous: single lines of 30 MB (an image in base64) are real, and
64 MiB ceilings have refused real answers; this stops only a line that never ends."""


class Frame(NamedTuple):
    """One event. `event` is its type ("" if none was named), `data` its data lines joined.

    `stray` frames are lines that are no SSE at all (a JSON error or HTML in the middle of the
    stream): `data` is then the whole line. What follows one up to a blank line is stray too, for
    JSON is sent over several lines (Gemini).
    """

    data: bytes
    event: str = ""
    stray: bool = False


_new_frame = tuple.__new__  # half the cost of calling the class


class SSEDecoder:
    """Turns bytes, cut anywhere, into frames. For one stream, then thrown away.

    `comments` counts comment lines (keep-alives) seen so far. `idle`: nothing is held back, what
    comes next begins an event.
    """

    __slots__ = (
        "_after_cr",
        "_astray",
        "_data",
        "_data_size",
        "_event",
        "_limit",
        "_pending",
        "_pending_size",
        "_started",
        "comments",
        "idle",
    )  # fmt: skip

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._pending: list[bytes] = []  # pieces of a line (or an event) whose end has not come
        self._pending_size = 0
        self._astray = False  # the last line was no SSE
        self._after_cr = False  # the last byte was CR: an LF right after it belongs to it
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = ""
        self._started = False
        self._limit = limit
        self.comments = 0
        self.idle = False

    def take(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The whole events that these bytes complete, as one block whose lines end at LF.

        Beside it what is behind them, for `rest` once the block has been read, be it by `feed`.
        None: no event ends here, or it is no ordinary stream; `feed` takes the bytes then.
        """
        if self._after_cr or self._astray:
            return None
        if 13 in data:
            data = data.replace(b"\r\n", b"\n")
            if 13 in data:
                return None
        end = data.rfind(b"\n\n") + 2
        if end < 2 or self._pending_size + self._data_size + len(data) > self._limit:
            return None
        if not self._started:
            if self._pending or data[:1] == _BOM[:1]:
                return None
            self._started = True
        block = data[:end]
        if not self.idle:
            lines = [b"data: %b\n" % line for line in self._data]
            if self._event:
                lines.append(b"event: %b\n" % self._event.encode())
            block = b"".join((*lines, *self._pending, block))
            self._pending.clear()
            self._data.clear()
            self._event = ""
            self._pending_size = self._data_size = 0
            self.idle = True
        return block, data[end:]

    def rest(self, data: bytes) -> Iterator[Frame]:
        """Takes what `take` left. Raises as `feed` does."""
        if data[-1:] == b"\n":  # whole lines are not kept waiting
            yield from self.feed(data)
        elif data:
            self._hold(data)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames that these bytes complete.

        Raises `TransportError` when one event is larger than the limit.
        """
        if self._after_cr and data:
            self._after_cr = False
            if data[:1] == b"\n":
                data = data[1:]
        if not data:
            return
        self.idle = False
        if 10 not in data and 13 not in data:
            self._hold(data)
            return
        if self._pending:
            self._pending.append(data)
            data = b"".join(self._pending)
            self._pending.clear()
            self._pending_size = 0
        if 13 in data:
            self._after_cr = data.endswith(b"\r")
            lines = _LINE_END.split(data)
            rest = lines.pop()
        else:
            # After a whole event nothing is taken from the next one: `take` can go on there.
            end = data.rfind(b"\n\n") + 1
            if not end or data.endswith(b"\n"):  # whole lines are not kept waiting
                end = data.rfind(b"\n")
            lines, rest = data[:end].split(b"\n"), data[end + 1 :]
        held = self._data
        for line in lines:
            if line[:6] == b"data: " and self._started:  # nearly every line there is
                self._data_size += len(line)
                if self._data_size > self._limit:
                    raise self._too_large()
                held.append(line[6:])
                continue
            if not line:
                if held:
                    yield self._take()
                self._event = ""
                self._astray = False
                self._started = True
                continue
            frame = self._on_line(line)
            if frame is not None:
                yield frame
        self.idle = not (held or self._event or self._after_cr or self._astray)
        if rest:
            self._hold(rest)

    def finish(self) -> Iterator[Frame]:
        """The end of the bytes: what an absent last line end or blank line still held back."""
        if self._pending:
            held = b"".join(self._pending)
            self._pending.clear()
            for line in held.split(b"\n"):  # several where `take` held an event back
                frame = self._on_line(line)
                if frame is not None:
                    yield frame
        if self._data:
            yield self._take()

    def _hold(self, data: bytes) -> None:
        self.idle = False
        self._pending_size += len(data)
        if self._pending_size + self._data_size > self._limit:
            raise self._too_large()
        self._pending.append(data)

    def _too_large(self) -> TransportError:
        return TransportError(
            f"one event of the stream is larger than {self._limit:,} bytes",
            kind="limit",
            phase="stream",
            retryable=False,
        )

    def _take(self) -> Frame:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        frame = _new_frame(Frame, (data, self._event, False))
        self._data.clear()
        self._event = ""
        self._data_size = 0
        return frame

    def _on_line(self, line: bytes) -> Frame | None:
        if not self._started:
            self._started = True
            if line.startswith(_BOM):
                line = line[3:]
                if not line:
                    return None
        if line.startswith(b"data:"):
            self._data_size += len(line)
            if self._data_size > self._limit:
                raise self._too_large()
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            return None
        if len(line) + self._data_size > self._limit:
            raise self._too_large()
        first = line[:1]
        if first == b":":
            self.comments += 1
        elif line.startswith(b"event:"):
            self._event = event_name(line)
        elif line == b"data":
            self._data.append(b"")
        elif first in (b"{", b"[", b"<") or (
            self._astray and not line.startswith((b"id:", b"retry:"))
        ):
            self._astray = True
            return Frame(line, stray=True)
        return None


def event_name(line: bytes) -> str:
    """The type that an `event:` line names."""
    return line[6:].strip().decode("utf-8", "replace")
