"""Tool calls as they come in pieces. Source: wire reference 8.2 rule 4 (2026-11-22)."""

from __future__ import annotations

from typing import Any, cast

from ...folding import is_json_object
from ...types import IncompleteReason, Native, Part, PartDelta, StopReason
from ..base import ReplyWriter, canonical_json
from .wire import FunctionDelta, ToolCallDelta

_CUT: dict[StopReason, IncompleteReason] = {
    "length": "length",
    "context_window": "length",
    "content_filter": "content_filter",
}
"""Stops that cut the last call short, even if its text happens to be an object: gateways close the
JSON of a call that was cut, or say `{}` in its place."""


class Call:
    """One call under construction."""

    __slots__ = ("custom", "id", "key", "name", "part", "pieces")

    def __init__(self, key: int) -> None:
        self.key = key
        self.part = -1  # the index of its part, once there is one
        self.id: str | None = None
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def whole(self) -> bool:
        """Whether this could be run, were it known to have ended."""
        return bool(self.name) and (self.custom or is_json_object(self.text))

    @property
    def closed(self) -> bool:
        """Whether its text is an object, and so can't go on."""
        if self.custom or (self.pieces and self.pieces[-1].rstrip()[-1:] not in ("}", "")):
            return False  # the usual case, without joining the pieces
        text = self.text
        return bool(text.strip()) and is_json_object(text)


class CallCollector:
    """Which piece belongs to which call.

    Pieces are told apart by `index`; without one by `id`; without both they continue the last
    call. Another id under a used index is another call, unless the call there is still in the
    middle of its arguments: some servers give every piece an id of its own.
    """

    __slots__ = ("_calls", "_writer", "by_index")

    def __init__(self, writer: ReplyWriter) -> None:
        self._writer = writer
        self._calls: list[Call] = []
        self.by_index: dict[int, Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def any_whole(self) -> bool:
        return any(call.whole for call in self._calls)

    def add(self, delta: ToolCallDelta, native: Native | None) -> list[Part]:
        """The parts that one piece makes."""
        custom = delta.custom is not None and (
            delta.type == "custom" or delta.function is None or not delta.function.name
        )
        if custom and delta.custom is not None and (delta.custom.name or delta.type == "custom"):
            name, arguments = delta.custom.name or "", delta.custom.input or ""
        else:
            custom = False
            function = delta.function or FunctionDelta()
            name, arguments = function.name or "", _argument_text(function.arguments)
        call_id = str(delta.id) if delta.id not in (None, "", "null") else None
        call = self._call_for(delta.index, call_id, name)
        attributes: dict[str, Any] = {}
        if call_id is not None and call.id is None:
            call.id = attributes["id"] = call_id
        if name and not call.name:
            call.name = attributes["name"] = name
        if custom or call.custom:
            call.custom = True
            attributes["tool_kind"] = "custom"
        if native is not None:
            attributes["native"] = native
        opened = not call.pieces
        if arguments or opened:
            call.pieces.append(arguments)
        elif not attributes:
            return []
        parts = self._writer.tool(call.key, arguments, **attributes)
        call.part = cast(PartDelta, parts[-1]).index
        return parts

    def end(self, reason: StopReason) -> list[Part]:
        """Ends every call; those that the stop cut short are incomplete."""
        out: list[Part] = []
        cut = _CUT.get(reason)
        for call in self._calls:
            incomplete: IncompleteReason | None = None
            if cut is not None and (call is self._calls[-1] or not call.whole):
                incomplete = cut
            elif not call.name:
                incomplete = "invalid_json"
            out += self._writer.end_tool(call.key, incomplete)
        return out

    def _call_for(self, index: int | None, call_id: str | None, name: str) -> Call:
        if index is not None:
            known = self.by_index.get(index)
            if known is None or _is_another(known, call_id, name):
                known = self.by_index[index] = self._new()
            return known
        last = self._calls[-1] if self._calls else None
        if call_id is not None:
            for call in self._calls:
                if call.id == call_id:
                    return call
            if last is None or last.id is not None or last.closed or name not in ("", last.name):
                return self._new()
            return last  # its id comes late
        if last is None or (name and (last.closed or name != last.name) and last.name):
            return self._new()
        return last

    def _new(self) -> Call:
        call = Call(len(self._calls))
        self._calls.append(call)
        return call


def _is_another(call: Call, call_id: str | None, name: str) -> bool:
    """Whether a piece under the call's index begins another call."""
    if call_id is None or call.id is None or call_id == call.id:
        return False
    if call.closed:
        return True
    return bool(name) and (name != call.name or not call.text)


def _argument_text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else canonical_json(arguments).decode()
