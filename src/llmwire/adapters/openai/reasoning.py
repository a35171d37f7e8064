"""The reasoning part that is open while a reply comes in, in any of the ways servers say it.

As text in a field of its own; as `reasoning_details`, OpenRouter's list of typed entries; as
thinking blocks inside the content (Mistral). What no portable field holds is kept as the part's
native payload, from which the encoder says it again: `field` (the name it came under), `details`
(the entries), `block` (the thinking block; its `thinking` is null where it is just the text).
Source: wire reference 4, 8.1, 8.2 rule 1 (2026-11-22).
"""

from __future__ import annotations

from typing import Any

from ...types import JSON, ReasoningKind

_KINDS: dict[str, ReasoningKind] = {"reasoning.summary": "summary", "reasoning.text": "full"}
_PLAIN = (["type", "thinking"], ["type", "thinking", "signature"])
"""The keys of blocks that text and signature say completely."""


class OpenReasoning:
    """What is known of the part beside its text."""

    __slots__ = ("_block", "_entries", "_items", "field", "kind", "signature")

    def __init__(self, field: str = "") -> None:
        self.field = field
        self.kind: ReasoningKind = "full"
        self.signature: str | None = None
        self._entries: list[dict[str, Any]] = []
        self._block: dict[str, Any] | None = None
        self._items: list[dict[str, Any] | list[str]] = []  # pieces of text, and other items

    @property
    def is_block(self) -> bool:
        return self._block is not None

    @property
    def growing(self) -> list[str] | None:
        """The pieces of the thinking block's text, if its next piece goes to their end."""
        last = self._items[-1] if self._items and self.signature is None else None
        return last if isinstance(last, list) else None

    # --- reasoning_details ---

    def takes(self, entry: dict[str, Any], first: bool) -> bool:
        """Whether the entry belongs to this part. `first`: nothing came before it in its delta.

        Pieces of one entry come in deltas of their own; entries side by side are different ones.
        """
        if not self._entries:
            return True
        if not first or self.signature is not None:
            return False
        last = self._entries[-1]
        return all(last.get(k) == entry.get(k) for k in ("type", "index")) and (
            entry.get("id") in (None, last.get("id")) or last.get("id") is None
        )

    def add_entry(self, entry: dict[str, Any], first: bool) -> None:
        self.kind = _KINDS.get(str(entry.get("type")), self.kind)
        signature = entry.get("signature")
        if isinstance(signature, str) and signature:
            self.signature = signature
        if not (self._entries and first):
            self._entries.append(
                {k: [v] if k in ("text", "summary") else v for k, v in entry.items()}
            )
            return
        last = self._entries[-1]
        for key, value in entry.items():
            if key in ("text", "summary"):
                last.setdefault(key, []).append(value)
            elif value is not None:
                last[key] = value

    # --- thinking blocks ---

    def add_block(self, block: dict[str, Any]) -> str:
        """The text of a thinking block, which is joined to the part."""
        signature = block.get("signature")
        if isinstance(signature, str) and signature:
            self.signature = signature
        if self._block is None:
            self._block = dict(block)
        else:
            self._block.update((k, v) for k, v in block.items() if v is not None)
        thinking = block.get("thinking")
        out = []
        for item in thinking if isinstance(thinking, list) else [thinking]:
            if isinstance(item, str):
                item = {"type": "text", "text": item}
            if not isinstance(item, dict):
                continue
            text = item.get("text")
            if item.get("type") != "text" or not isinstance(text, str):
                self._items.append(item)
                continue
            out.append(text)
            last = self._items[-1] if self._items else None
            if isinstance(last, list):
                last.append(text)
            else:
                self._items.append([text])
        return "".join(out)

    # --- the end ---

    def payload(self) -> dict[str, JSON] | None:
        """The native payload; None where the text says it all."""
        out: dict[str, JSON] = {}
        if self.field:
            out["field"] = self.field
        if self._entries:
            out["details"] = [
                {k: _joined(v) if k in ("text", "summary") else v for k, v in entry.items()}
                for entry in self._entries
            ]
        if self._block is not None:
            simple = len(self._items) == 1 and isinstance(self._items[0], list)
            if not (simple and list(self._block) in _PLAIN and None not in self._block.values()):
                items = None if simple else [_item(i) for i in self._items]
                out["block"] = {**self._block, "thinking": items}
        return out or None


def _joined(pieces: list[Any]) -> Any:
    texts = [p for p in pieces if isinstance(p, str)]
    return "".join(texts) if texts else None


def _item(item: dict[str, Any] | list[str]) -> dict[str, Any]:
    return {"type": "text", "text": "".join(item)} if isinstance(item, list) else item
