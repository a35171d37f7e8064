"""The output of a reply under way: its items, what was said of each, and their order.

Items are told apart by `output_index`. Each text or call is one part, begun by its first delta and
ended when its item is whole; everything else comes in one piece. Wire reference 2.3 (2026-11-22).
"""

from __future__ import annotations

from typing import Any

from ...folding import is_json_object
from ...types import JSON, Adaptation, DeltaKind, IncompleteReason, Native, Part, PartDelta
from .items import API, CALLS, Entry, entries_of, is_understood, item_id, kept_part

Key = tuple[str, int, int]
"""Kind of the delta (or `place`), output_index, place inside the item."""


class Piece:
    """A part of which something was said and whose end has not come."""

    __slots__ = ("citations", "index", "kind", "sent")

    def __init__(self, index: int, kind: DeltaKind) -> None:
        self.index = index
        self.kind: DeltaKind = kind
        self.sent = 0  # characters
        self.citations = 0


class _Item:
    """An item of the output."""

    __slots__ = ("done", "id", "keys", "pending", "thinks", "understood", "whole")

    def __init__(self) -> None:
        self.id: str | None = None
        self.understood = True
        self.thinks = False
        self.keys: list[Key] = []  # of its open pieces
        self.done = False
        self.pending: Entry | None = None  # its last part: what ends it is said with the reply
        self.whole = True  # the server calls it complete


class Output:
    """Items in, parts out. `offered`: the custom tools that a client can be called for; None: any.

    `called` and `refused` say what stood in it; `notes` what was left out.
    """

    def __init__(self, issuer: Native, offered: frozenset[str] | None) -> None:
        self._issuer = issuer
        self._offered = offered
        self.called = False
        self.refused = False
        self.notes: list[Adaptation] = []
        self.pieces: dict[Key, Piece] = {}
        self.blocking: set[int] = set()
        """Items that come in one piece, and have not come yet."""
        self._held: list[tuple[int, list[Part]]] = []  # what stands behind them
        self._items: dict[int, _Item] = {}
        self._next = 0
        self._unplaced: set[int] = set()  # reasoning items of which nothing was said yet

    def place(self, index: JSON, name: str | None, fresh: bool = False) -> int:
        """The output_index that an event names, or that its item's id has; `fresh`: a new item
        may be meant."""
        if type(index) is int:
            return index
        for at, item in self._items.items():
            if item.id == name:
                return at
        latest = max(self._items, default=-1)
        return latest + 1 if fresh else max(latest, 0)

    # --- what events say ---

    def on_delta(self, key: Key, kind: DeltaKind, text: str) -> list[Part]:
        item = self._item(key[1])
        if not text or item.done or not item.understood:
            return []
        piece, begins = self._open(key, kind, item)
        piece.sent += len(text)
        return self._placed(key[1], [PartDelta(piece.index, kind, text, begins)])

    def on_annotation(self, key: Key, annotation: JSON) -> list[Part]:
        item = self._item(key[1])
        if not isinstance(annotation, dict) or item.done or not item.understood:
            return []
        piece, begins = self._open(key, "text", item)
        piece.citations += 1
        found, native = (annotation,), self._issuer
        delta = PartDelta(piece.index, "text", "", begins, citations=found, native=native)
        return self._placed(key[1], [delta])

    def on_added(self, at: int, value: dict[str, Any]) -> list[Part]:
        if at in self._items or not value:
            return []
        item = self._item(at)
        self._know(item, value)
        if not item.understood:
            self.blocking.add(at)
        elif item.thinks:
            self._unplaced.add(at)
        elif value["type"] in CALLS:
            (entry,) = entries_of(value, self._issuer, None)
            piece, _ = self._open(("call", at, 0), "tool_call", item)
            return self._placed(at, [_begun(piece, entry)])
        return []

    def on_done(self, at: int, value: dict[str, Any], text: str, final: bool = False) -> list[Part]:
        """A whole item: what no delta has said of it. `final`: nothing can follow."""
        item = self._item(at)
        if item.done:
            return []
        self._know(item, value)
        item.done = True
        before = self._reasoning_before(at)
        if not item.understood:
            parts = self._placed(at, [kept_part(value, text, self._issuer, before)])
            self.blocking.discard(at)
            return parts + self._released()
        entries = entries_of(value, self._issuer, before)
        item.whole = value.get("status") not in ("incomplete", "in_progress")
        waits = self._waits(value, item, entries, final)
        self._match(at, item, entries)
        out: list[Part] = []
        for entry in entries:
            out += self._settle(at, item, entry, waits and entry is entries[-1])
        for key in [] if waits else list(item.keys):
            out += self._close(item, key)
        self._unplaced.discard(at)
        if waits and not item.keys:
            self._unplaced.add(at)
        return self._placed(at, out)

    def on_final(self, at: int, value: dict[str, Any], text: str) -> list[Part]:
        """An item of the whole response: said where nothing had said it, else a last addition."""
        item = self._items.get(at)
        if item is not None and item.done:
            if item.pending is not None and item.thinks and item_id(value) == item.id:
                found = entries_of(value, self._issuer, None) if value else []
                if found and "data" in found[-1].last:
                    item.pending.last.update(found[-1].last)
            return []
        name = item_id(value)
        if item is None and name and any(i.id == name and i.done for i in self._items.values()):
            return []
        return self.on_done(at, value, text, final=True)

    def ends(self, cut: IncompleteReason | None) -> list[Part]:
        """The ends of all that is open; calls that are not whole are incomplete."""
        out: list[Part] = []
        for at, item in sorted(self._items.items()):
            if not item.done and not item.understood:
                reason = "a hosted tool's item whose end did not come"
                self.notes.append(Adaptation(f"output[{at}]", "dropped", reason))
            entry = item.pending
            if entry is not None and item.thinks:
                key = (entry.kind, at, entry.at)
                if item.keys:
                    self._open(key, "reasoning", item)
                    out += self._close(item, key, **entry.last)
                elif (part := entry.part()) is not None:
                    out.append(part)
            for key in list(item.keys):
                last: dict[str, Any] = {}
                if key[0] == "call":
                    if entry is not None:
                        last = dict(entry.last)
                    if cut is not None or not item.done or not item.whole:
                        last["incomplete"] = cut or "cut"
                out += self._close(item, key, **last)
        self.blocking.clear()
        return self._released() + out

    # --- items ---

    def _item(self, at: int) -> _Item:
        item = self._items.get(at)
        if item is None:
            item = self._items[at] = _Item()
        return item

    def _know(self, item: _Item, value: dict[str, Any]) -> None:
        item.id = item_id(value)
        hosted = (
            self._offered is not None
            and value.get("type") == "custom_tool_call"
            and value.get("name") not in self._offered
        )
        item.understood = is_understood(value) and not hosted
        item.thinks = value.get("type") == "reasoning"

    def _reasoning_before(self, at: int) -> str | None:
        """The id of the last reasoning item before the item at `at`."""
        thoughts = [i for i, item in self._items.items() if i < at and item.thinks]
        return self._items[max(thoughts)].id if thoughts else None

    def _waits(self, value: dict[str, Any], item: _Item, entries: list[Entry], final: bool) -> bool:
        """Whether the end of an item can't be said yet.

        A call that is not whole: the reply's status says what cut it. Reasoning without its
        encrypted content: Azure brings that with the end of the reply (wire reference 2.3).
        """
        kind = value["type"]
        if kind in CALLS:
            text = entries[0].text
            whole = item.whole and (kind == "custom_tool_call" or is_json_object(text))
            self.called = self.called or whole
            if not whole:
                item.pending = entries[0]
            return not whole
        self.refused = self.refused or any(e.kind == "refusal" for e in entries)
        if not item.thinks or final or value.get("content") or value.get("encrypted_content"):
            return False
        if not entries:
            empty = {"native": Native(API), "reasoning_kind": "summary"}
            entries.append(Entry("summary", 0, "reasoning", "", empty))
        item.pending = entries[-1]
        return True

    # --- parts ---

    def _open(self, key: Key, kind: DeltaKind, item: _Item) -> tuple[Piece, bool]:
        """The piece at `key`, and whether it begins now."""
        piece = self.pieces.get(key)
        if piece is not None:
            return piece, False
        self._unplaced.discard(key[1])
        place = ("place", key[1], 0)
        piece = self.pieces.pop(place, None)
        if piece is not None:  # it was begun to keep its place
            item.keys.remove(place)
        begins = piece is None
        if piece is None:
            piece = Piece(self._next, kind)
            self._next += 1
        self.pieces[key] = piece
        item.keys.append(key)
        return piece, begins

    def _match(self, at: int, item: _Item, entries: list[Entry]) -> None:
        """Gives each entry the piece it was begun as, even if the deltas counted otherwise.

        vLLM and what is made of it number a message's only text 1 where reasoning came before.
        """
        wanted = {(e.kind, at, e.at) for e in entries}
        stray = sorted((k for k in item.keys if k not in wanted), key=lambda k: k[2])
        for entry in entries:
            key = (entry.kind, at, entry.at)
            for other in stray if key not in self.pieces else ():
                if other[0] in (entry.kind, "place"):
                    stray.remove(other)
                    item.keys[item.keys.index(other)] = key
                    self.pieces[key] = self.pieces.pop(other)
                    break

    def _settle(self, at: int, item: _Item, entry: Entry, open_: bool) -> list[Part]:
        """What is left to say of a part whose whole is known; with `open_` all but its end."""
        if entry.kind == "opaque":
            return [entry.last["part"]]
        key = (entry.kind, at, entry.at)
        if key not in self.pieces:
            if not open_:
                part = entry.part()
                return [part] if part is not None else []
            if entry.delta_kind == "reasoning" and not entry.text:
                return []
        piece, begins = self._open(key, entry.delta_kind, item)
        rest = entry.text[piece.sent :]
        piece.sent += len(rest)
        if not open_:
            return self._close(item, key, rest, **entry.last)
        if begins:
            return [_begun(piece, entry, rest)]
        return [PartDelta(piece.index, piece.kind, rest)] if rest else []

    def _close(self, item: _Item, key: Key, rest: str = "", **last: Any) -> list[Part]:
        piece = self.pieces.pop(key)
        item.keys.remove(key)
        if piece.citations:
            last["citations"] = last.get("citations", ())[piece.citations :]
        return [PartDelta(piece.index, piece.kind, rest, end=True, **last)]

    # --- the order of the items ---

    def _placed(self, at: int, parts: list[Part]) -> list[Part]:
        """Parts of the item at `at`: now, or when the items before it that block have come.

        Reasoning of which nothing came yet is begun first, so that it keeps its place.
        """
        if not parts:
            return parts
        lead: list[Part] = []
        for earlier in sorted(i for i in self._unplaced if i < at):
            piece, _ = self._open(("place", earlier, 0), "reasoning", self._items[earlier])
            lead.append(PartDelta(piece.index, "reasoning", start=True))
        if any(b < at for b in self.blocking):
            self._held.append((at, lead + parts))
            self._held.sort(key=lambda held: held[0])
            return []
        return lead + parts

    def _released(self) -> list[Part]:
        """What was held back and is not any more."""
        first = min(self.blocking, default=None)
        ready = [held for held in self._held if first is None or held[0] < first]
        self._held = self._held[len(ready) :]
        return [part for _, parts in ready for part in parts]


def _begun(piece: Piece, entry: Entry, text: str = "") -> PartDelta:
    """The first piece of a part: with what names a call."""
    names = {k: v for k, v in entry.last.items() if k in ("id", "name", "tool_kind")}
    return PartDelta(piece.index, piece.kind, text, True, **names)
