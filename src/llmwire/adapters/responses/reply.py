"""Replies: from events to parts. A whole answer goes through the same machine, item by item.

Everything is told apart by `output_index`; the parts of a message come in the order of the items.
Wire reference 2.3 (2026-11-22).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from msgspec import Raw

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError
from ...folding import is_json_object
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import (
    JSON,
    Adaptation,
    AudioPart,
    BytesSource,
    DeltaKind,
    LLMChunk,
    Native,
    Part,
    PartDelta,
    Role,
    new_message,
)
from ..base import chunk_of
from .items import (
    API,
    CALLS,
    Entry,
    entries_of,
    is_understood,
    item_id,
    kept_part,
    sound,
    well_formed,
)
from .usage import CUT, stop_of, usage_of
from .wire import DELTA, EVENT, OUTPUT, RESPONSE, Event, Response

Key = tuple[str, int, int]
"""Kind of the delta, output_index, place inside the item."""

_DELTAS: dict[str, tuple[str, DeltaKind]] = {
    "response.output_text.delta": ("text", "text"),
    "response.refusal.delta": ("refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary", "reasoning"),
    "response.reasoning_text.delta": ("content", "reasoning"),
    "response.function_call_arguments.delta": ("call", "tool_call"),
    "response.custom_tool_call_input.delta": ("call", "tool_call"),
}
_STARTED = ("response.created", "response.queued", "response.in_progress")
_ENDED = ("response.completed", "response.incomplete", "response.failed")


class _Piece:
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


class ReplyReader:
    """All memory of one reply. `failure` is the error that it reported; `done`: it has ended."""

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        self._request = request
        self._provider = provider.name if provider is not None else ""
        self._issuer = Native(API, self._provider, request.model.name)
        self._hosted_calls = dialect_of(provider).hosted_custom_calls
        self.failure: BackendError | None = None
        self.done = False
        self._items: dict[int, _Item] = {}
        self._pieces: dict[Key, _Piece] = {}
        self._next = 0
        self._blocking: set[int] = set()  # hosted items that come in one piece, not ended yet
        self._held: list[tuple[int, list[Part]]] = []  # what stands behind them
        self._unplaced: set[int] = set()  # reasoning items of which nothing was said yet
        self._called = self._refused = False
        self._id: str | None = None
        self._model: str | None = None
        self._audio: list[str] = []
        self._transcript: list[str] = []
        self._notes: list[Adaptation] = []

    # --- events ---

    def read_delta(self, data: bytes) -> LLMChunk | None:
        """What an event says that continues an open part; None for any other: `decode`, `read`."""
        if self._blocking:
            return None
        try:
            event = DELTA.decode(data)
        except (ValueError, RecursionError):
            return None
        piece = self._pieces.get((event.kind, event.output_index, event.at))
        if piece is None or not event.delta:
            return None
        piece.sent += len(event.delta)
        delta = PartDelta(piece.index, piece.kind, event.delta)
        return LLMChunk(new_message(Role.assistant, (delta,)))

    def decode(self, data: bytes) -> Event | None:
        """An event; None for JSON that is none. Raises `DecodeError` for what is no JSON."""
        try:
            return EVENT.decode(data)
        except (ValueError, RecursionError):
            data = well_formed(data)
        return EVENT.decode(data) if data[:1] == b"{" else None

    def read(self, event: Event, name: str = "") -> LLMChunk | None:
        """What an event says; None if that is nothing. `name` is its type outside the data."""
        kind = event.type if isinstance(event.type, str) and event.type else name
        parts: list[Part] = []
        if kind in _DELTAS:
            parts = self._on_delta(self._place(event), event, *_DELTAS[kind])
        elif kind == "response.output_item.added":
            value, _ = _object(event.item)
            parts = self._on_added(self._place(event, value), value)
        elif kind == "response.output_item.done":
            value, text = _object(event.item)
            parts = self._on_done(self._place(event, value), value, text)
        elif kind == "response.output_text.annotation.added":
            parts = self._on_annotation(self._place(event), event)
        elif kind in _STARTED:
            return self._chunk([], self._response(event.response))
        elif kind in _ENDED:
            response = self._response(event.response)
            if not isinstance(response.status, str):
                response.status = kind.rpartition(".")[2]
            return self._on_end(response, self._output(event.response))
        elif kind == "response.audio.delta":
            self._audio.append(_text(event.delta))
        elif kind == "response.audio.transcript.delta":
            self._transcript.append(_text(event.delta))
        elif kind == "error" or name == "error" or (event.error and not kind.startswith("response.")):
            self._fail(event.error or {"message": event.message, "code": event.code})
        return chunk_of(parts) if parts else None

    def read_whole(self, body: bytes) -> LLMChunk | None:
        """What a whole answer says. Raises `DecodeError` for a body that is none."""
        response = self._response(Raw(body))
        output = self._output(Raw(body))
        known = isinstance(response.status, str) or output
        if not known and (response.error or response.type == "error"):
            self._fail(response.error or {"message": response.message, "code": response.code})
            return None
        if not known:
            raise self.undecodable("it has no output and no status in it", body)
        return self._on_end(response, output)

    def undecodable(self, why: str, data: bytes = b"") -> DecodeError:
        """The error for bytes of theirs that are no reply."""
        return DecodeError(
            f"{self._provider or 'the server'} sent what is no Responses reply: {why}",
            provider=self._provider,
            api=API,
            model=self._request.model.name,
            status=200,
            phase="stream",
            body_excerpt=data[:200].decode("utf-8", "replace"),
        )

    # --- parts ---

    def _place(self, event: Event, value: dict[str, Any] | None = None) -> int:
        """Which item an event is about, where need be by its id."""
        if type(event.output_index) is int:
            return event.output_index
        name = _text(event.item_id) if value is None else item_id(value)
        for at, item in self._items.items():
            if item.id == name:
                return at
        latest = max(self._items, default=-1)
        return latest + 1 if value is not None else max(latest, 0)

    def _item(self, at: int) -> _Item:
        item = self._items.get(at)
        if item is None:
            item = self._items[at] = _Item()
        return item

    def _open(self, key: Key, kind: DeltaKind, item: _Item) -> tuple[_Piece, bool]:
        """The piece at `key`, and whether it begins now."""
        piece = self._pieces.get(key)
        if piece is not None:
            return piece, False
        self._unplaced.discard(key[1])
        place = ("place", key[1], 0)
        piece = self._pieces.pop(place, None)
        if piece is not None:  # it was begun to keep its place
            item.keys.remove(place)
        begins = piece is None
        if piece is None:
            piece = _Piece(self._next, kind)
            self._next += 1
        self._pieces[key] = piece
        item.keys.append(key)
        return piece, begins

    def _on_delta(self, at: int, event: Event, key: str, kind: DeltaKind) -> list[Part]:
        text, item = _text(event.delta), self._item(at)
        if not text or item.done or not item.understood:
            return []
        inside = event.summary_index if key == "summary" else event.content_index
        place = (key, at, 0 if key == "call" else _index(inside))
        piece, begins = self._open(place, kind, item)
        piece.sent += len(text)
        return self._placed(at, [PartDelta(piece.index, kind, text, begins)])

    def _on_annotation(self, at: int, event: Event) -> list[Part]:
        item = self._item(at)
        if not isinstance(event.annotation, dict) or item.done:
            return []
        piece, begins = self._open(("text", at, _index(event.content_index)), "text", item)
        piece.citations += 1
        found = (event.annotation,)
        return self._placed(
            at, [PartDelta(piece.index, "text", "", begins, citations=found, native=self._issuer)]
        )

    def _on_added(self, at: int, value: dict[str, Any]) -> list[Part]:
        if at in self._items or not value:
            return []
        item = self._item(at)
        self._know(item, value)
        kind = value.get("type")
        if not item.understood:
            self._blocking.add(at)
        elif kind == "reasoning":
            self._unplaced.add(at)
        elif kind in CALLS:
            (entry,) = entries_of(value, self._issuer, None)
            piece, _ = self._open(("call", at, 0), "tool_call", item)
            last = {k: v for k, v in entry.last.items() if k != "native"}
            return self._placed(at, [PartDelta(piece.index, "tool_call", start=True, **last)])
        return []

    def _know(self, item: _Item, value: dict[str, Any]) -> None:
        item.id = item_id(value)
        item.understood = is_understood(value) and not self._is_hosted(value)
        item.thinks = value.get("type") == "reasoning"

    def _reasoning_before(self, at: int) -> str | None:
        """The id of the last reasoning item before the item at `at`."""
        thoughts = [i for i, item in self._items.items() if i < at and item.thinks]
        return self._items[max(thoughts)].id if thoughts else None

    def _is_hosted(self, value: dict[str, Any]) -> bool:
        """Whether the server itself runs this custom call: the request offers no such tool."""
        if not self._hosted_calls or value.get("type") != "custom_tool_call":
            return False
        more = self._request.extra_body.get("tools")
        names = {t.function.name for t in self._request.tools}
        if isinstance(more, list):
            names |= {_text(t.get("name")) for t in more if isinstance(t, dict)}
        return value.get("name") not in names

    def _on_done(
        self, at: int, value: dict[str, Any], text: str, final: bool = False
    ) -> list[Part]:
        """A whole item: what the stream has not said of it. `final`: nothing can follow."""
        item = self._item(at)
        if item.done:
            return []
        self._know(item, value)
        item.done = True
        before = self._reasoning_before(at)
        if not item.understood:
            part = kept_part(value, text, self._issuer, before)
            parts = self._placed(at, [part])
            self._blocking.discard(at)
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

    def _waits(
        self, value: dict[str, Any], item: _Item, entries: list[Entry], final: bool
    ) -> bool:
        """Whether the end of an item can't be said yet.

        A call that is not whole: the reply's status says what cut it. Reasoning without its
        encrypted content: Azure brings that with the end of the reply (wire reference 2.3).
        """
        kind = value["type"]
        if kind in CALLS:
            text = entries[0].text
            whole = item.whole and (kind == "custom_tool_call" or is_json_object(text))
            self._called = self._called or whole
            if not whole:
                item.pending = entries[0]
            return not whole
        self._refused = self._refused or any(e.kind == "refusal" for e in entries)
        if kind != "reasoning" or final or value.get("content") or value.get("encrypted_content"):
            return False
        if not entries:
            empty = {"native": Native(API), "reasoning_kind": "summary"}
            entries.append(Entry("summary", 0, "reasoning", "", empty))
        item.pending = entries[-1]
        return True

    def _match(self, at: int, item: _Item, entries: list[Entry]) -> None:
        """Gives each entry the piece it was begun as, even if the deltas counted otherwise.

        vLLM and what is made of it number a message's only text 1 where reasoning came before.
        """
        wanted = {(e.kind, at, e.at) for e in entries}
        stray = sorted((k for k in item.keys if k not in wanted), key=lambda k: k[2])
        for entry in entries:
            key = (entry.kind, at, entry.at)
            for other in stray if key not in self._pieces else ():
                if other[0] in (entry.kind, "place"):
                    stray.remove(other)
                    item.keys[item.keys.index(other)] = key
                    self._pieces[key] = self._pieces.pop(other)
                    break

    def _settle(self, at: int, item: _Item, entry: Entry, open_: bool) -> list[Part]:
        """What is left to say of a part whose whole is known; with `open_` all but its end."""
        if entry.kind == "opaque":
            return [entry.last["part"]]
        key = (entry.kind, at, entry.at)
        if key not in self._pieces:
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
        last: dict[str, Any] = {}
        if begins and entry.delta_kind == "tool_call":
            last = {k: v for k, v in entry.last.items() if k != "native"}
        return [PartDelta(piece.index, piece.kind, rest, begins, **last)] if rest or begins else []

    def _close(self, item: _Item, key: Key, rest: str = "", **last: Any) -> list[Part]:
        piece = self._pieces.pop(key)
        item.keys.remove(key)
        if piece.citations:
            last["citations"] = last.get("citations", ())[piece.citations :]
        return [PartDelta(piece.index, piece.kind, rest, end=True, **last)]

    # --- the order of the items ---

    def _placed(self, at: int, parts: list[Part]) -> list[Part]:
        """Parts of the item at `at`: now, or when hosted items before it have come.

        Reasoning of which nothing came yet is begun first, so that it keeps its place.
        """
        if not parts:
            return parts
        lead: list[Part] = []
        for earlier in sorted(i for i in self._unplaced if i < at):
            item = self._items[earlier]
            piece, _ = self._open(("place", earlier, 0), "reasoning", item)
            lead.append(PartDelta(piece.index, "reasoning", start=True))
        if any(b < at for b in self._blocking):
            self._held.append((at, lead + parts))
            self._held.sort(key=lambda held: held[0])
            return []
        return lead + parts

    def _released(self) -> list[Part]:
        """What was held back and is not any more."""
        out: list[Part] = []
        still: list[tuple[int, list[Part]]] = []
        for at, parts in self._held:
            if any(b < at for b in self._blocking):
                still.append((at, parts))
            else:
                out += parts
        self._held = still
        return out

    # --- the end ---

    def _response(self, raw: Raw) -> Response:
        try:
            return RESPONSE.decode(raw)
        except (ValueError, RecursionError):
            data = well_formed(bytes(raw)) if bytes(raw) else b"{}"
        if data[:1] != b"{":
            raise self.undecodable("its response is no object", data)
        return RESPONSE.decode(data)

    def _output(self, raw: Raw) -> list[Raw]:
        try:
            return OUTPUT.decode(raw).output or []
        except (ValueError, RecursionError):
            data = well_formed(bytes(raw)) if bytes(raw) else b"{}"
        try:
            return OUTPUT.decode(data).output or []
        except ValueError:
            raise self.undecodable("its output is no list", data) from None

    def _on_end(self, response: Response, output: list[Raw]) -> LLMChunk | None:
        failed = bool(response.error) or response.status == "failed"
        status = response.status if isinstance(response.status, str) else "completed"
        known = {item.id for item in self._items.values() if item.done and item.id}
        parts: list[Part] = []
        for at, raw in enumerate(output):
            item = self._items.get(at)
            if item is not None and item.done and item.pending is None:
                continue
            value, text = _object(raw)
            if item is not None and item.pending is not None:
                self._fill(item.pending, value, item)
            elif item is not None or item_id(value) not in known:
                parts += self._on_done(at, value, text, final=True)
        stop = stop_of(
            status,
            response.incomplete_details,
            response.content_filters,
            called=self._called,
            refused=self._refused,
        )
        if failed:
            self._fail(response.error or {"message": "the reply failed", "code": "server_error"})
        else:
            parts += self._ends(CUT.get(stop.reason))
        self._note(response.input_transformations)
        self.done = True
        return self._chunk(
            parts, response, usage=usage_of(response.usage), stop=None if failed else stop
        )

    def _fill(self, entry: Entry, value: dict[str, Any], item: _Item) -> None:
        """Encrypted content that came with the end of the reply."""
        if value.get("type") == "reasoning" and item_id(value) == item.id:
            found = entries_of(value, self._issuer, None)
            if found and "data" in found[-1].last:
                entry.last.update(found[-1].last)

    def _ends(self, cut: Any) -> list[Part]:
        """The ends of all that is open; calls that are not whole are incomplete."""
        out: list[Part] = []
        for at, item in sorted(self._items.items()):
            entry = item.pending
            if not item.done and not item.understood:
                reason = "a hosted tool's item whose end did not come"
                self._notes.append(Adaptation(f"output[{at}]", "dropped", reason))
            if entry is not None and entry.delta_kind == "reasoning":
                key = (entry.kind, at, entry.at)
                if not item.keys and entry.last.get("data") is not None:
                    part = entry.part()
                    out += [part] if part is not None else []
                elif item.keys:
                    self._open(key, "reasoning", item)
                    out += self._close(item, key, **entry.last)
            for key in list(item.keys):
                last: dict[str, Any] = {}
                if entry is not None and key[0] == "call":
                    last = dict(entry.last)
                    if not item.whole or cut:
                        last["incomplete"] = cut or "cut"
                elif key[0] == "call":
                    last["incomplete"] = cut or "cut"
                out += self._close(item, key, **last)
        self._blocking.clear()
        out = self._released() + out
        if self._audio or self._transcript:
            out.append(self._sound())
        return out

    def _sound(self) -> AudioPart:
        try:
            data = b"".join(b64decode(piece, validate=True) for piece in self._audio)
        except (binascii.Error, ValueError):
            raise self.undecodable("its sound is not base64") from None
        asked = self._request.extra_body.get("audio")
        form = asked.get("format") if isinstance(asked, dict) else None
        form = form if isinstance(form, str) else "wav"
        source = BytesSource(data, f"audio/{form}")
        return AudioPart(source, form, "".join(self._transcript), self._issuer)

    def _note(self, changes: JSON) -> None:
        """What the service says it took out of the input (wire reference 2.3)."""
        for change in changes if isinstance(changes, list) else ():
            if isinstance(change, dict):
                what = f"{_text(change.get('type'))} {_text(change.get('id'))}".strip()
                why = _text(change.get("reason"))
                reason = f"the service removed {what or 'an item'}: {why or 'it says not why'}"
                self._notes.append(Adaptation("input", "dropped", reason, change))

    def _chunk(self, parts: list[Part], response: Response, **more: Any) -> LLMChunk | None:
        found, model = _text(response.id) or None, _text(response.model) or None
        fresh = {
            "response_id": None if found == self._id else found,
            "model": None if model == self._model else model,
        }
        self._id, self._model = found or self._id, model or self._model
        notes = tuple(self._notes)
        self._notes.clear()
        if not parts and not notes and not any(v is not None for v in (*fresh.values(), *more.values())):
            return None
        return chunk_of(parts, adaptations=notes, **fresh, **more)

    def _fail(self, error: JSON) -> None:
        if self.failure is None:
            self.failure = BackendErrorBuilder.build_stream_error(
                error=error,
                provider=self._provider,
                api=API,
                endpoint="/responses",
                model=self._request.model.name,
            )


def _object(raw: Raw) -> tuple[dict[str, Any], str]:
    """An item and its text; anything else is an item that says nothing."""
    data = bytes(raw)
    value, text = sound(data) if data else ({}, "{}")
    return (value, text) if isinstance(value, dict) else ({}, "{}")


def _index(value: JSON) -> int:
    return value if type(value) is int else 0


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else ""
