"""The offline model's token counts: a documented estimate, the same for the same request.

A text has one token for every four characters, rounded up; so does a tool call's name with its
arguments, and a tool's definition as JSON. A message costs 3 tokens more. An image counts 300,
a file or a sound one for every 400 bytes (300 if it is not held here). Real models count
differently; nothing here claims to know how.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..request import LLMRequest
from ..types import (
    AudioPart,
    BytesSource,
    CompactionPart,
    FilePart,
    ImagePart,
    IncompleteToolCall,
    LLMUsage,
    OpaquePart,
    Part,
    ReasoningPart,
    ToolCall,
    ToolResultPart,
    to_json,
)

CHARS_PER_TOKEN = 4
_MESSAGE = 3
_IMAGE = 300
_BYTES_PER_TOKEN = 400


def estimate_tokens(text: str) -> int:
    """About four characters a token, rounded up."""
    return -(-len(text) // CHARS_PER_TOKEN)


def part_tokens(part: Part) -> int:
    """What a part counts; see the rules at the top of this module."""
    if isinstance(part, ToolCall | IncompleteToolCall):
        return estimate_tokens(part.name + part.arguments)
    if isinstance(part, ToolResultPart):
        if isinstance(part.content, str):
            return estimate_tokens(part.content)
        return sum(map(part_tokens, part.content))
    if isinstance(part, ImagePart):
        return _IMAGE
    if isinstance(part, AudioPart | FilePart):
        if isinstance(part.source, BytesSource):
            return -(-len(part.source.data) // _BYTES_PER_TOKEN)
        return _IMAGE
    if isinstance(part, OpaquePart):
        return estimate_tokens(part.data)
    if isinstance(part, CompactionPart):
        return estimate_tokens(part.summary or "")
    if isinstance(part, ReasoningPart):
        return estimate_tokens(part.text or part.data or "")
    return estimate_tokens(part.text)


def offline_count(request: LLMRequest) -> int:
    """The input tokens of a request, estimated."""
    messages = sum(_MESSAGE + sum(map(part_tokens, m.parts)) for m in request.messages)
    return messages + sum(estimate_tokens(to_json(t).decode()) for t in request.tools)


def estimate_usage(request: LLMRequest, parts: Iterable[Part]) -> LLMUsage:
    """What a reply of these parts would be billed, estimated; nothing comes from a cache."""
    parts = list(parts)
    asked = offline_count(request)
    return LLMUsage(
        input_total=asked,
        input_uncached=asked,
        output_total=sum(map(part_tokens, parts)),
        cache_read=0,
        cache_write=0,
        reasoning=sum(part_tokens(p) for p in parts if isinstance(p, ReasoningPart)),
        provenance="estimated",
    )
