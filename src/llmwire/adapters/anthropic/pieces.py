"""Ordinary events: those that only continue the block that is open. Nearly every one is.

What is taken here `MessagesDecoder` would read to the same chunk from the general `Event`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import defstruct, field

from ...types import DeltaKind, LLMChunk
from ..streaming import NOT_AN_EVENT, Piece, piece_chunk


def _decoder(kind: str, name: str) -> Callable[[bytes], Any]:
    """Decodes the deltas of one kind; the field `name` is called `body`."""
    # No tags: msgspec lets a tag be absent.
    body: list[Any] = [("type", Literal[kind]), ("body", str, field(name=name))]
    delta = defstruct("Delta", body, gc=False)
    event: list[Any] = [("type", Literal["content_block_delta"]), ("index", int), ("delta", delta)]
    return msgspec.json.Decoder(defstruct("Event", event, gc=False)).decode


_ORDINARY: dict[str, tuple[DeltaKind, Callable[[bytes], Any]]] = {
    "text": ("text", _decoder("text_delta", "text")),
    "thinking": ("reasoning", _decoder("thinking_delta", "thinking")),
    "tool_use": ("tool_call", _decoder("input_json_delta", "partial_json")),
}
"""By the type of the block."""


def block_piece(block: str, index: int, inputs: list[str]) -> Piece | None:
    """More of the block at `index`, which is of type `block`; a call's pieces go to `inputs` too."""
    if block not in _ORDINARY:
        return None
    kind, decode = _ORDINARY[block]
    is_call = kind == "tool_call"

    def piece(data: bytes) -> LLMChunk | None:
        try:
            event = decode(data)
        except NOT_AN_EVENT:
            return None
        body = event.delta.body
        if event.index != index or not body:
            return None
        if is_call:
            inputs.append(body)
        return piece_chunk(index, kind, body)

    return piece
