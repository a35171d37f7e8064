"""Content blocks: from the wire to parts, for whole blocks; usage and stop reasons.

A block is an object whose one key says what it is. Wire reference 6.2, 6.3, 12.4, 12.5.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec
from msgspec import Raw

from ...folding import is_json_object
from ...types import (
    JSON,
    BytesSource,
    FunctionCall,
    ImagePart,
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
)
from ..anthropic.blocks import arguments_of, without_nulls
from . import media
from .wire import CITATIONS, FIELDS, REASONING, TEXT, TOOL_USE

API: Final = "bedrock-converse"
SERVER_TOOL = "server_tool_use"
"""The type of a call that AWS runs itself: it is not for the caller to answer."""


def read_block(raw: bytes | Raw) -> tuple[str, Raw]:
    """The kind of a block and what stands under it. Raises `msgspec.DecodeError` if it is none."""
    fields = FIELDS.decode(raw)
    for kind, value in fields.items():
        if bytes(value) != b"null":
            return kind, value
    raise msgspec.ValidationError("a content block without content")


def part_of(raw: bytes | Raw, issuer: Native, cut: IncompleteReason | None = None) -> Part | None:
    """A whole block as a part; None if it holds nothing.

    `cut` says that the reply stopped inside this block: a call is then incomplete. Raises
    `msgspec.DecodeError` for what is no block.
    """
    kind, inner = read_block(raw)
    if kind == "text":
        text = TEXT.decode(inner)
        return TextPart(text) if text else None
    if kind == "citationsContent":
        cited = CITATIONS.decode(inner)
        text = "".join(piece.text or "" for piece in cited.content or ())
        citations = tuple(cited.citations or ())
        if not text and not citations:
            return None
        return TextPart(text, citations, issuer if citations else None)
    if kind == "reasoningContent":
        return _reasoning(inner, issuer)
    if kind == "toolUse":
        call = TOOL_USE.decode(inner)
        if call.type != SERVER_TOOL:
            arguments = arguments_of(call.input)
            if cut is None and not is_json_object(arguments):
                cut = "invalid_json"
            call_id, name = call.tool_use_id or None, call.name or ""
            if cut is not None:
                return IncompleteToolCall(call_id, name, arguments, cut)
            return ToolCall(call_id, FunctionCall(name, arguments))
    if kind == "image":
        picture = image_of(msgspec.json.decode(inner), issuer)
        if picture is not None:
            return picture
    return OpaquePart(kind, bytes(raw).decode(), issuer)


def _reasoning(inner: Raw, issuer: Native) -> ReasoningPart | None:
    found = REASONING.decode(inner)
    if found.redacted_content is not None:
        return ReasoningPart(kind="redacted", data=found.redacted_content, native=issuer)
    text = found.reasoning_text
    if text is None or not (text.text or text.signature):
        return None
    return ReasoningPart(text.text or "", signature=text.signature or None, native=issuer)


def image_of(block: Any, issuer: Native) -> ImagePart | None:
    """A picture that the model made; None if it is no bytes of a known format."""
    try:
        part = media.part_of("image", block)
    except (ValueError, AttributeError, binascii.Error):
        return None
    if not isinstance(part, ImagePart) or not isinstance(part.source, BytesSource):
        return None
    return ImagePart(part.source, native=issuer)


def joined_base64(pieces: list[str]) -> str:
    """The base64 of the bytes that the pieces hold together; one piece stays as it is."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(p) for p in pieces)).decode()
    except binascii.Error:
        return "".join(pieces)


# --- usage and stop ---------------------------------------------------------------------------


def usage_of(raw: JSON, tier: JSON = None) -> LLMUsage | None:
    """Tokens by wire reference 12.4; None if nothing was reported. `tier`: the reply's serviceTier."""
    raw = without_nulls(raw)
    word = tier.get("type") if isinstance(tier, dict) else None
    if not isinstance(raw, dict) or not raw:
        return None
    uncached = _count(raw, "inputTokens")
    read = _count(raw, "cacheReadInputTokens")
    write = _count(raw, "cacheWriteInputTokens")
    by_lifetime: dict[str, int] = {}
    details = raw.get("cacheDetails")
    for detail in details if isinstance(details, list) else ():
        tokens = _count(detail, "inputTokens")
        if tokens is not None and isinstance(detail.get("ttl"), str):
            by_lifetime[detail["ttl"]] = by_lifetime.get(detail["ttl"], 0) + tokens
    return LLMUsage(
        input_total=None if uncached is None else uncached + (read or 0) + (write or 0),
        output_total=_count(raw, "outputTokens"),
        input_uncached=uncached,
        cache_read=read,
        cache_write=write,
        cache_write_5m=by_lifetime.get("5m"),
        cache_write_1h=by_lifetime.get("1h"),
        service_tier=word if isinstance(word, str) else None,
        raw=raw,
    )


def _count(holder: JSON, name: str) -> int | None:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int else None


STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "model_context_window_exceeded": "context_window",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_tool_use": "malformed_tool_call",
    "malformed_model_output": "malformed_tool_call",
}
"""Wire reference 12.5."""


def stop_of(word: str | None, fields: JSON = None, trace: JSON = None) -> StopInfo | None:
    """Why it stopped. `details`: the fields that were asked for, the guardrail's trace."""
    if word is None:
        return None
    if isinstance(trace, dict):  # the router's is told as the model
        trace = {name: value for name, value in trace.items() if name != "promptRouter"}
    details = {
        name: value
        for name, value in (("additionalModelResponseFields", fields), ("trace", trace))
        if value
    }
    return StopInfo(STOP_REASONS.get(word, "other"), word, details or None)


def routed_model(trace: JSON) -> str | None:
    """The model that a prompt router chose; nothing else in a reply names one."""
    router = trace.get("promptRouter") if isinstance(trace, dict) else None
    model = router.get("invokedModelId") if isinstance(router, dict) else None
    return model if isinstance(model, str) and model else None
