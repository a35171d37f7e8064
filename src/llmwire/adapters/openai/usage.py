"""Usage and stop words. Source: wire reference 8.2 rule 7, 12.4, 12.5 (2026-11-22)."""

from __future__ import annotations

from typing import Any, Literal

from ...types import JSON, LLMUsage, StopReason

STOP_WORDS: dict[str, StopReason] = {
    "stop": "stop",
    "eos": "stop",
    "end": "stop",
    "end_turn": "stop",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "model_length": "context_window",
    "model_context_window_exceeded": "context_window",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "cancelled": "cancelled",
    "abort": "cancelled",
    "error": "error",
    "network_error": "error",
    "insufficient_system_resource": "error",
}
"""By the server's word in lower case. `error` means that the reply broke."""


def without_nulls(value: JSON) -> JSON:
    """The value without the nulls in its objects; itself where it has none."""
    if not _has_null(value):
        return value
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value]


def _has_null(value: JSON) -> bool:
    kind = type(value)
    if kind is dict:
        for inner in value.values():
            kind = type(inner)
            if inner is None or ((kind is dict or kind is list) and _has_null(inner)):
                return True
    elif kind is list:
        for inner in value:
            kind = type(inner)
            if (kind is dict or kind is list) and _has_null(inner):
                return True
    return False


def usage_of(
    raw: dict[str, Any],
    *,
    reasoning_outside_output: bool = False,
    provenance: Literal["reported", "partial"] = "reported",
    service_tier: object = None,
) -> LLMUsage | None:
    """The tokens that a usage object reports; None for an empty one.

    Where the total says that reasoning is counted beside the output, or the dialect does and no
    total contradicts it, the output includes it here.
    """
    raw = without_nulls(raw)
    if not raw:
        return None
    prompt, output = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    details = _object(raw, "prompt_tokens_details") or _object(raw, "prompt_token_details")
    read = _first(details, raw, _CACHE_READ)
    write = _first(details, raw, _CACHE_WRITE)
    reasoning = _first(_object(raw, "completion_tokens_details"), raw, _REASONING)
    if output is not None and reasoning:
        total = _count(raw, "total_tokens")
        if total is None or prompt is None:
            outside = reasoning_outside_output
        else:
            outside = total == prompt + output + reasoning
        if outside:
            output += reasoning
    uncached = None
    if prompt is not None and read is not None:
        uncached = max(0, prompt - read - (write or 0))
    tier = service_tier if isinstance(service_tier, str) and service_tier else None
    return LLMUsage(
        prompt, output, uncached, read, write, None, None, reasoning, provenance, raw,
        None, None, None, tier,
    )  # fmt: skip


def _count(obj: dict[str, Any], key: str) -> int | None:
    value = obj.get(key)
    return value if type(value) is int else None


def _object(obj: dict[str, Any], key: str) -> dict[str, Any]:
    value = obj.get(key)
    return value if isinstance(value, dict) else {}


_CACHE_READ = ("cached_tokens",), ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens")
_CACHE_WRITE = (
    ("cache_write_tokens", "cache_creation_input_tokens"),
    ("cache_creation_input_tokens",),
)
_REASONING = ("reasoning_tokens",), ("reasoning_tokens",)
"""Names of one count: those among the details, which go first, and those at the top."""


def _first(
    details: dict[str, Any], top: dict[str, Any], names: tuple[tuple[str, ...], tuple[str, ...]]
) -> int | None:
    for place, known in ((details, names[0]), (top, names[1])):
        if place:
            for name in known:
                value = place.get(name)
                if type(value) is int:
                    return value
    return None
