"""Ordinary events: those that only continue the part that came last. Nearly every one is.

What is taken here `ReplyReader` would read to the same chunk, and remember nothing of it. So each
field that the reader looks at has to be empty; any other field may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, defstruct, field

from ...types import DeltaKind, LLMChunk
from ..streaming import NOT_AN_EVENT, Piece, piece_chunk
from .calls import Call

_NoText = Literal[""] | None
_NoItems = Annotated[list[Any], Meta(max_length=0)] | None


class _Function(Struct, gc=False):
    arguments: str
    name: _NoText = None


class CallPiece(Struct, gc=False):
    """A piece of a call's arguments."""

    index: int
    function: _Function
    id: Literal["", "null"] | None = None
    custom: None = None
    extra_content: None = None


class _ThinkingText(Struct, gc=False):
    type: Literal["text"]
    text: str


class ThinkingPiece(Struct, gc=False, forbid_unknown_fields=True):
    """A piece of a thinking block (Mistral), all of which is kept."""

    type: Literal["thinking"]
    thinking: tuple[_ThinkingText]


class _Choice(Struct, gc=False):
    index: Literal[0] | None = None
    finish_reason: _NoText = None
    usage: None = None
    error: None = None


class _Event(Struct, gc=False):
    usage: None = None
    error: None = None
    x_groq: None = None
    base_resp: None = None


_DELTA: dict[str, Any] = {
    "content": _NoText,
    "tool_calls": _NoItems,
    "reasoning_details": _NoItems,
    "reasoning_opaque": _NoText,
    "refusal": _NoText,
    "function_call": None,
    "annotations": _NoItems,
    "audio": None,
    "images": _NoItems,
    "extra_content": None,
}
"""How each field of a delta says nothing, beside those for the text of reasoning."""


_ONCE: dict[str, Any] = {
    "id": _NoText,
    "model": _NoText,
    "citations": _NoItems,
    "search_results": _NoItems,
}


@lru_cache(maxsize=64)
def decoder(
    name: str,
    body: Any,
    absent: tuple[str, ...],
    empty: tuple[str, ...],
    unknown: tuple[str, ...],
) -> Callable[[bytes], Any]:
    """Decodes events in whose delta only the field `name` says something: a `body`, called so.

    Names of reasoning: those in `absent` have to be null or absent, those in `empty` may be "" too.
    `unknown`: what the whole reply has once (`_ONCE`), was not told yet, and may not be told here.
    """
    quiet = {**dict.fromkeys(absent), **dict.fromkeys(empty, _NoText), **_DELTA}
    quiet.pop(name, None)
    # Names on the wire may be no identifiers: ours are other ones.
    fields: list[Any] = [("body", body, field(name=name))]
    fields += [(f"_{i}", t, field(default=None, name=n)) for i, (n, t) in enumerate(quiet.items())]
    delta = defstruct("Delta", fields, gc=False)
    choice = defstruct("Choice", [("delta", delta)], bases=(_Choice,), kw_only=True, gc=False)
    told: list[Any] = [("choices", tuple[choice]), *((n, _ONCE[n], None) for n in unknown)]  # type: ignore[valid-type]
    event = defstruct("Event", told, bases=(_Event,), kw_only=True, gc=False)
    return msgspec.json.Decoder(event).decode


def text_piece(decode: Callable[[bytes], Any], index: int, kind: DeltaKind) -> Piece:
    """More text for the part at `index`."""

    def piece(data: bytes) -> LLMChunk | None:
        try:
            text = decode(data).choices[0].delta.body
        except NOT_AN_EVENT:
            return None
        return piece_chunk(index, kind, text) if text else None

    return piece


def thinking_piece(decode: Callable[[bytes], Any], index: int, texts: list[str]) -> Piece:
    """More text for the thinking block at `index`; `texts` are its pieces so far."""

    def piece(data: bytes) -> LLMChunk | None:
        try:
            text = decode(data).choices[0].delta.body[0].thinking[0].text
        except NOT_AN_EVENT:
            return None
        if not text:
            return None
        texts.append(text)
        return piece_chunk(index, "reasoning", text)

    return piece


def call_piece(decode: Callable[[bytes], Any], calls: Mapping[int, Call]) -> Piece:
    """More arguments for one of the calls, which are known by their index on the wire."""

    def piece(data: bytes) -> LLMChunk | None:
        try:
            told = decode(data).choices[0].delta.body[0]
        except NOT_AN_EVENT:
            return None
        call = calls.get(told.index)
        arguments = told.function.arguments
        if call is None or call.custom or not arguments:
            return None
        call.pieces.append(arguments)
        return piece_chunk(call.part, "tool_call", arguments)

    return piece
