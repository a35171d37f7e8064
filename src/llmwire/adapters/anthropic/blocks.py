"""Content blocks: from the wire to parts, for whole blocks. Wire reference 3.2, 3.6, 12.4, 12.5."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from ...folding import is_json_object
from ...types import (
    JSON,
    CompactionPart,
    FunctionCall,
    IncompleteReason,
    IncompleteToolCall,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    StopInfo,
    StopReason,
    TextPart,
    ToolCall,
    load_json,
)
from ..base import canonical_json

API: Final = "anthropic"
EMPTY_INPUT: Final = "{}"
"""The arguments of a call without any: whole answers say `{}`, streams say nothing."""


class Block(Struct, omit_defaults=True):
    """A content block as far as we read it; `input` keeps its text."""

    type: str = ""
    text: str | None = None
    citations: list[dict[str, JSON]] | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"")
    caller: JSON = None
    toolset_name: JSON = None


class CompactionBlock(Struct):
    content: str | None = None


_BLOCK = msgspec.json.Decoder(Block)
_KIND = msgspec.json.Decoder(type=dict[str, Raw])
_COMPACTION = msgspec.json.Decoder(CompactionBlock)
_TEXT = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder()
_UNDERSTOOD = frozenset(("text", "thinking", "redacted_thinking", "tool_use"))


def read_block(raw: bytes | Raw) -> Block:
    """A typed block; of kinds that we keep opaque only the type is read.

    Raises `msgspec.DecodeError` for what is no block.
    """
    try:
        return _BLOCK.decode(raw)
    except msgspec.ValidationError:
        fields = _KIND.decode(raw)
        kind = _TEXT.decode(fields.get("type", Raw(b'""')))
        if kind in _UNDERSTOOD:
            raise
        return Block(type=kind)


def readable(raw: bytes | Raw) -> bytes | Raw:
    """The same JSON as msgspec can read it: without escaped lone surrogates (wire reference 0)."""
    try:
        _ANY.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        try:
            return canonical_json(load_json(bytes(raw)))
        except ValueError:
            return raw
    return raw


def raw_text(raw: bytes | Raw) -> str:
    return bytes(raw).decode("utf-8")


def native_extras(block: Block) -> dict[str, JSON] | None:
    """What a tool_use says beyond our fields; it goes back as it came."""
    extras = {
        name: value
        for name, value in (("caller", block.caller), ("toolset_name", block.toolset_name))
        if value is not None
    }
    return extras or None


def tool_native(block: Block, issuer: Native) -> Native | None:
    extras = native_extras(block)
    return tagged(issuer, extras) if extras else None


def tagged(issuer: Native, payload: JSON) -> Native:
    return Native(issuer.api, issuer.provider, issuer.model, payload)


def arguments_of(raw: Raw) -> str:
    """The text of `input`, byte for byte.

    Some servers put the text into a JSON string. Null and an absent input are no arguments.
    """
    text = raw_text(raw)
    if not text or text == "null":
        return EMPTY_INPUT
    if text.startswith('"'):
        try:
            return _TEXT.decode(readable(raw)) or EMPTY_INPUT
        except msgspec.DecodeError:
            return text
    return text


def part_of(raw: bytes | Raw, issuer: Native, cut: IncompleteReason | None = None) -> Part | None:
    """A whole block as a part; None if it holds nothing.

    `cut` says that the reply stopped inside this block: a call is then incomplete.
    """
    block = read_block(raw)
    kind = block.type
    if kind == "text":
        citations = tuple(block.citations or ())
        if not block.text and not citations:
            return None
        return TextPart(block.text or "", citations, issuer if citations else None)
    if kind == "thinking":
        if not block.thinking and not block.signature:
            return None
        return ReasoningPart(block.thinking or "", signature=block.signature or None, native=issuer)
    if kind == "redacted_thinking":
        return ReasoningPart(kind="redacted", data=block.data or "", native=issuer)
    if kind == "tool_use":
        arguments = arguments_of(block.input)
        native = tool_native(block, issuer)
        if cut is None and not is_json_object(arguments):
            cut = "invalid_json"
        if cut is not None:
            return IncompleteToolCall(block.id or None, block.name or "", arguments, cut, native)
        return ToolCall(block.id or None, FunctionCall(block.name or "", arguments), native=native)
    text = raw_text(raw)
    if kind == "compaction":
        return compaction_part(text, issuer)
    return OpaquePart(kind, text, issuer)


def compaction_part(text: str, issuer: Native) -> CompactionPart:
    try:
        summary = _COMPACTION.decode(readable(text.encode())).content
    except msgspec.DecodeError:
        summary = None
    return CompactionPart(summary, tagged(issuer, text))


def with_field(raw: bytes | Raw, **fields: Any) -> str:
    """A block's JSON text with some of its fields replaced; the others stay as they came."""
    block: dict[str, Any] = _KIND.decode(readable(raw))
    block.update(fields)
    return canonical_json(block).decode()


# --- usage and stop ---------------------------------------------------------------------------


def without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def merge_usage(old: dict[str, JSON], new: JSON) -> dict[str, JSON]:
    """Reports are running totals: what is not null replaces (wire reference 3.6)."""
    return {**old, **without_nulls(new)} if isinstance(new, dict) else old


def usage_of(raw: dict[str, JSON], partial: bool = False) -> LLMUsage | None:
    """Tokens by wire reference 12.4; None if nothing was reported."""
    if not raw:
        return None
    uncached = _count(raw, "input_tokens")
    read = _count(raw, "cache_read_input_tokens")
    write = _count(raw, "cache_creation_input_tokens")
    by_lifetime = raw.get("cache_creation")
    details = raw.get("output_tokens_details")
    tools = raw.get("server_tool_use")
    tier = raw.get("service_tier")
    if raw.get("speed") not in (None, "standard"):  # priced apart, beside any tier
        tier = raw["speed"]
    return LLMUsage(
        input_total=None if uncached is None else uncached + (read or 0) + (write or 0),
        output_total=_count(raw, "output_tokens"),
        input_uncached=uncached,
        cache_read=read,
        cache_write=write,
        cache_write_5m=_count(by_lifetime, "ephemeral_5m_input_tokens"),
        cache_write_1h=_count(by_lifetime, "ephemeral_1h_input_tokens"),
        reasoning=_count(details, "thinking_tokens"),
        server_tool_calls=(
            {name: count for name in tools if (count := _count(tools, name)) is not None}
            if isinstance(tools, dict)
            else None
        ),
        service_tier=tier if isinstance(tier, str) else None,
        provenance="partial" if partial else "reported",
        raw=raw,
    )


def _count(holder: JSON, name: str) -> int | None:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int else None


STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
    "compaction": "compaction",
    "sensitive": "content_filter",  # Z.ai's Messages endpoint
}
"""Wire reference 12.5 and 3.6."""

CUT_REASONS: dict[StopReason, IncompleteReason] = {
    "length": "length",
    "context_window": "length",
    "refusal": "content_filter",
    "content_filter": "content_filter",
}
"""Reasons that stop a reply inside its last block. A call that stands last is then incomplete,
even if its text happens to be an object: whole answers close the JSON they were cut in."""


def stop_of(word: str | None, sequence: str | None, details: JSON, **more: JSON) -> StopInfo | None:
    """Why it stopped. `details`: stop_details, and what else came beside the reason."""
    if word is None:
        return None
    found = dict(details) if isinstance(details, dict) else {}
    if sequence is not None:
        found["stop_sequence"] = sequence
    found.update((k, v) for k, v in more.items() if v)
    return StopInfo(STOP_REASONS.get(word, "other"), word, found or None)
