"""Usage and finish words. Wire reference 5.3, 12.4, 12.5 (2026-11-22)."""

from __future__ import annotations

from typing import Any, Literal

from ...types import JSON, LLMUsage, StopReason

STOP_WORDS: dict[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "CONTINUATION": "continuation",
    "MALFORMED_FUNCTION_CALL": "malformed_tool_call",
    "UNEXPECTED_TOOL_CALL": "malformed_tool_call",
    "TOO_MANY_TOOL_CALLS": "malformed_tool_call",
    "MISSING_THOUGHT_SIGNATURE": "malformed_tool_call",
    "MALFORMED_RESPONSE": "malformed_tool_call",
    "OTHER": "error",
    # As numbers, where those were asked for; from 6 on Google's two APIs count differently.
    "1": "stop",
    "2": "length",
    "3": "content_filter",
    "4": "content_filter",
    "5": "error",
}
UNFINISHED = ("", "0", "FINISH_REASON_UNSPECIFIED")
"""Words that say nothing: the reply goes on."""


def without_nulls(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) for v in value]
    return value


def usage_of(raw: JSON, provenance: Literal["reported", "partial"] = "reported") -> LLMUsage | None:
    """The tokens that a usageMetadata reports; None for an empty one.

    Thoughts are counted beside the candidates, and what server-side tools read beside the prompt.
    The service leaves zeros out: where the candidates' count is not there, the total has it.
    """
    raw = without_nulls(raw)
    if not isinstance(raw, dict) or not raw:
        return None
    prompt, tools = _count(raw, "promptTokenCount"), _count(raw, "toolUsePromptTokenCount")
    candidates, thoughts = _count(raw, "candidatesTokenCount"), _count(raw, "thoughtsTokenCount")
    total, read = _count(raw, "totalTokenCount"), _count(raw, "cachedContentTokenCount")
    asked = None if prompt is None else prompt + (tools or 0)
    if candidates is not None:
        output: int | None = candidates + (thoughts or 0)
    elif total is not None and asked is not None:
        output = max(total - asked, thoughts or 0)
    else:
        output = None
    uncached = max(0, asked - read) if asked is not None and read is not None else None
    return LLMUsage(
        asked, output, uncached, read, reasoning=thoughts, provenance=provenance, raw=raw
    )


def _count(raw: dict[str, Any], key: str) -> int | None:
    value = raw.get(key)
    return value if type(value) is int else None
