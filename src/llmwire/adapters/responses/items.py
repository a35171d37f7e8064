"""Items of a reply and of a history: from the wire to parts, for both halves.

A part keeps in its native payload what no portable field holds: `item` (the item's own fields:
id, status, phase, namespace ...), `part` (those of a content part), `content` (this reasoning
stood in the content, not in the summary) and `after` (the id of the reasoning item that came
before: without that one the API refuses this item's id). Wire reference 2.2, 2.4 (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from ...errors import DecodeError
from ...folding import close_delta
from ...types import (
    JSON,
    CompactionPart,
    DeltaKind,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    load_json,
)
from ..base import canonical_json

API: Final = "openai-responses"
CALLS: Final = ("function_call", "custom_tool_call")
_NOT_SOUND = (msgspec.DecodeError, UnicodeError, RecursionError)
_REASONING = frozenset(("type", "summary", "content", "encrypted_content"))
_CALL = frozenset(("type", "call_id", "name", "arguments", "input"))


class Entry(NamedTuple):
    """A part that an item holds, before it is one: what a stream said of it may be said already."""

    kind: str
    """The kind of the deltas that bring it: text, refusal, summary, content, call."""
    at: int
    """Its place among the content parts, or among the summaries."""
    delta_kind: DeltaKind
    text: str
    last: dict[str, Any]
    """What the part has beside its text."""

    def part(self) -> Part | None:
        """The whole part; None if there is nothing in it."""
        return close_delta(PartDelta(0, self.delta_kind, self.text, True, True, **self.last))


def sound(raw: bytes) -> tuple[JSON, str]:
    """A value and its JSON text, byte for byte unless it holds lone surrogates.

    Raises `DecodeError` for what is no JSON.
    """
    try:
        return msgspec.json.decode(raw), raw.decode()
    except _NOT_SOUND:
        text = well_formed(raw)
        return msgspec.json.decode(text), text.decode()


def well_formed(raw: bytes) -> bytes:
    """The same JSON without lone surrogates (wire reference 0). Raises `DecodeError`."""
    try:
        return canonical_json(load_json(raw))
    except ValueError as e:
        raise DecodeError(
            f"the server sent what is no JSON: {e}",
            api=API,
            body_excerpt=raw[:200].decode("utf-8", "replace"),
            phase="stream",
        ) from None


def tagged(issuer: Native, payload: JSON) -> Native:
    return Native(issuer.api, issuer.provider, issuer.model, payload)


def item_id(item: dict[str, Any]) -> str | None:
    found = item.get("id")
    return found if isinstance(found, str) and found else None


def is_understood(item: dict[str, Any]) -> bool:
    """Whether the item becomes parts of ours; every other one is kept as it is."""
    kind = item.get("type")
    if kind == "message":
        return item.get("role") in ("assistant", None)
    return kind == "reasoning" or kind in CALLS


def kept_part(item: dict[str, Any], text: str, issuer: Native, after: str | None) -> Part:
    """An item that we do not interpret: hosted tools, compaction and whatever comes next."""
    if item.get("type") == "compaction":
        return CompactionPart(native=tagged(issuer, text))
    payload = {"after": after} if after else None
    return OpaquePart(_text(item.get("type")), text, tagged(issuer, payload))


def entries_of(item: dict[str, Any], issuer: Native, after: str | None) -> list[Entry]:
    """The parts of an understood item. `after`: the reasoning item that came before it."""
    kind = item["type"]
    if kind == "message":
        return _message_entries(item, issuer, after)
    if kind == "reasoning":
        return _reasoning_entries(item, issuer)
    native = tagged(issuer, _payload(item, _CALL, after))
    custom = kind == "custom_tool_call"
    arguments = item.get("input" if custom else "arguments")
    if arguments is not None and not isinstance(arguments, str):
        arguments = canonical_json(arguments).decode()
    last: dict[str, Any] = {
        "id": _text(item.get("call_id")) or None,
        "name": _text(item.get("name")),
        "native": native,
        "tool_kind": "custom" if custom else "function",
    }
    return [Entry("call", 0, "tool_call", arguments or "", last)]


def _message_entries(item: dict[str, Any], issuer: Native, after: str | None) -> list[Entry]:
    out = []
    shared = _payload(item, frozenset(("type", "content")), after)
    content = item.get("content")
    if isinstance(content, str):
        content = [{"type": "output_text", "text": content}]
    for at, part in enumerate(_dicts(content)):
        kind = part.get("type")
        refusal = kind == "refusal"
        text = part.get("refusal" if refusal else "text")
        if kind in ("output_text", "refusal", "text", "input_text") and isinstance(text, str):
            citations = () if refusal else tuple(_dicts(part.get("annotations")))
            said = ("type", "refusal" if refusal else "text", "annotations")
            more = {k: v for k, v in part.items() if k not in said and v not in (None, [])}
            last: dict[str, Any] = {
                "native": tagged(issuer, {**shared, "part": more} if more else shared)
            }
            if not refusal:
                last["citations"] = citations
            name: DeltaKind = "refusal" if refusal else "text"
            out.append(Entry(name, at, name, text, last))
        else:
            native = tagged(issuer, shared)
            opaque = OpaquePart(_text(kind), canonical_json(part).decode(), native)
            out.append(Entry("opaque", at, "text", "", {"part": opaque}))
    return out


def _reasoning_entries(item: dict[str, Any], issuer: Native) -> list[Entry]:
    shared = _payload(item, _REASONING, None)
    out = [
        Entry(
            kind,
            at,
            "reasoning",
            _text(entry.get("text")),
            {
                "native": tagged(issuer, shared | ({"content": True} if full else {})),
                "reasoning_kind": "full" if full else "summary",
            },
        )
        for kind, entries, full in (
            ("summary", item.get("summary"), False),
            ("content", item.get("content"), True),
        )
        for at, entry in enumerate(_dicts(entries))
    ]
    encrypted = item.get("encrypted_content")
    if isinstance(encrypted, str) and encrypted:
        if not out:
            out = [Entry("summary", 0, "reasoning", "", {"native": tagged(issuer, shared)})]
        out[-1].last.update(data=encrypted, reasoning_kind="encrypted")
    return out


def parts_of(entries: Iterable[Entry]) -> list[Part]:
    """The parts that whole items hold."""
    found = (e.last["part"] if e.kind == "opaque" else e.part() for e in entries)
    return [part for part in found if part is not None]


def _payload(item: dict[str, Any], said: frozenset[str], after: str | None) -> dict[str, JSON]:
    own = {k: v for k, v in item.items() if k not in said and v is not None}
    return {"item": own, "after": after} if after else {"item": own}


def _dicts(value: JSON) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else ""
