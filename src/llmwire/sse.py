"""Server-sent events: bytes in, frames out. WHATWG's grammar, on bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream (2026-11)

Lines end at LF, CRLF or CR and nowhere else: U+2028 and the like are legal inside JSON. An event
that the end of the bytes cuts off is delivered if its last line is whole: some servers omit the
final blank line (wire reference 0). Whether the reply was whole is the wire's question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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

    `comments` counts comment lines (keep-alives) seen so far.
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

    def ordinary(self, data: bytes) -> tuple[Sequence[bytes], Sequence[bytes]] | None:
        """The `event:` lines and the data of a block of ordinary events; None: use `feed`.

        Ordinary is what nearly every packet holds: events of one data line, all with a type before
        it or all without (then the first sequence is empty), ended by LF; or a single event without
        a type, ended by CRLF. They come out as `feed` would give them at a fraction of its cost; an
        event that is not whole yet is held back.
        """
        if self._data or self._event or self._after_cr or self._astray:
            return None
        if b"\r" in data:  # Google ends lines so: one packet an event is the usual case there too
            end = len(data) - 4
            if self._pending or data[:6] != b"data: " or data[end:] != b"\r\n\r\n":
                return None
            if data.find(b"\r") != end or data.find(b"\n") != end + 1:
                return None
            self._started = True
            return (), (data[6:end],)
        if not self._started:
            if self._pending or not data.startswith((b"data: ", b"event: ")):
                return None
            self._started = True
        if not self._pending and data[-2:] == b"\n\n":
            # One packet an event is the usual case, and decided without looking twice.
            first, end = data.find(b"\n"), len(data) - 2
            if first == end and data[:6] == b"data: ":
                return (), (data[6:-2],)
            if (
                data[:7] == b"event: "
                and data[first + 1 : first + 7] == b"data: "
                and data.find(b"\n", first + 1) == end
            ):
                return (data[:first],), (data[first + 7 : -2],)
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            return None
        whole, rest = data[:end], data[end:]
        if rest[-1:] == b"\n":  # whole lines are not kept waiting
            return None
        if self._pending:
            whole = b"".join((*self._pending, whole))
        events, line_ends = whole.count(b"\n\n"), whole.count(b"\n")
        if len(whole) > self._limit:
            return None
        names: list[bytes] = []
        if whole.startswith(b"data: "):
            if line_ends != 2 * events or whole.count(b"\n\ndata: ") != events - 1:
                return None
            lines = whole.split(b"\n")[:-1:2]
        else:
            if (
                line_ends != 3 * events
                or not whole.startswith(b"event: ")
                or whole.count(b"\n\nevent: ") != events - 1
                or whole.count(b"\ndata: ") != events
            ):
                return None
            lines = whole.split(b"\n")
            if any(lines[2::3]):
                return None
            names, lines = lines[:-1:3], lines[1::3]
        self._pending.clear()
        self._pending_size = 0
        if rest:
            self._hold(rest)
        return names, [line[6:] for line in lines]

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
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return
        if self._pending:
            self._pending.append(data)
            data = b"".join(self._pending)
            self._pending.clear()
            self._pending_size = 0
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            lines = _LINE_END.split(data)
            rest = lines.pop()
        else:
            # After a whole event nothing is taken from the next one: `ordinary` can go on there.
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
        if rest:
            self._hold(rest)

    def finish(self) -> Iterator[Frame]:
        """The end of the bytes: what an absent last line end or blank line still held back."""
        if self._pending:
            held = b"".join(self._pending)
            self._pending.clear()
            for line in held.split(b"\n"):  # several where `ordinary` held an event back
                frame = self._on_line(line)
                if frame is not None:
                    yield frame
        if self._data:
            yield self._take()

    def _hold(self, data: bytes) -> None:
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
