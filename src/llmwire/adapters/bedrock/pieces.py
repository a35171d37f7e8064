"""Ordinary events: those that only continue the block that is open. Nearly every one is.

What is taken here `ConverseDecoder` would read to the same chunk from the general `Event`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ...types import DeltaKind, LLMChunk
from ..streaming import NOT_AN_EVENT, Piece, piece_chunk

DELTA = "contentBlockDelta"


class _Text(Struct, gc=False):
    text: str


class _TextEvent(Struct, gc=False, rename="camel"):
    content_block_index: int
    delta: _Text


class _Thought(Struct, gc=False, rename="camel"):
    text: str
    signature: Literal[""] | None = None
    redacted_content: None = None


class _Reasoning(Struct, gc=False, rename="camel"):
    reasoning_content: _Thought
    text: None = None
    citation: None = None


class _ReasoningEvent(Struct, gc=False, rename="camel"):
    content_block_index: int
    delta: _Reasoning


class _Input(Struct, gc=False):
    input: str


class _ToolUse(Struct, gc=False, rename="camel"):
    tool_use: _Input
    text: None = None
    citation: None = None
    reasoning_content: None = None


class _InputEvent(Struct, gc=False, rename="camel"):
    content_block_index: int
    delta: _ToolUse


_TEXT = msgspec.json.Decoder(_TextEvent).decode
_REASONING = msgspec.json.Decoder(_ReasoningEvent).decode
_INPUT = msgspec.json.Decoder(_InputEvent).decode


def block_piece(kind: DeltaKind, index: int, inputs: list[Any]) -> Piece:
    """More of the block at `index`, which is of this kind; a call's pieces go to `inputs` too."""

    def text(data: bytes) -> LLMChunk | None:
        try:
            event = _TEXT(data)
        except NOT_AN_EVENT:
            return None
        body = event.delta.text
        if event.content_block_index != index or not body:
            return None
        return piece_chunk(index, "text", body)

    def reasoning(data: bytes) -> LLMChunk | None:
        try:
            event = _REASONING(data)
        except NOT_AN_EVENT:
            return None
        body = event.delta.reasoning_content.text
        if event.content_block_index != index or not body:
            return None
        return piece_chunk(index, "reasoning", body)

    def tool_call(data: bytes) -> LLMChunk | None:
        try:
            event = _INPUT(data)
        except NOT_AN_EVENT:
            return None
        body = event.delta.tool_use.input
        if event.content_block_index != index or not body:
            return None
        inputs.append(body)
        return piece_chunk(index, "tool_call", body)

    return text if kind == "text" else reasoning if kind == "reasoning" else tool_call
