"""Usage and why it stopped. Wire reference 2.3, 12.4, 12.5 (2026-11-22)."""

from __future__ import annotations

from typing import Any

from ...types import JSON, IncompleteReason, LLMUsage, StopInfo, StopReason
from ..openai.usage import without_nulls

INCOMPLETE: dict[str, StopReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "max_messages": "pause",
    "steered": "pause",
}
"""By incomplete_details.reason."""

CUT: dict[StopReason, IncompleteReason] = {
    "length": "length",
    "content_filter": "content_filter",
}
"""Stops that cut an item short."""


def usage_of(raw: JSON, service_tier: JSON = None) -> LLMUsage | None:
    """The tokens that a usage object reports; None for none. The input includes the cache."""
    raw = without_nulls(raw) if isinstance(raw, dict) else None
    if not raw:
        return None
    total = _count(raw, "input_tokens")
    details = raw.get("input_tokens_details")
    read, write = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    lifetimes = details.get("cache_write_tokens_details") if isinstance(details, dict) else None
    uncached = None
    if total is not None and read is not None:
        uncached = max(0, total - read - (write or 0))
    return LLMUsage(
        input_total=total,
        output_total=_count(raw, "output_tokens"),
        input_uncached=uncached,
        cache_read=read,
        cache_write=write,
        reasoning=_count(raw.get("output_tokens_details"), "reasoning_tokens"),
        raw=raw,
        cache_write_30m=_count(lifetimes, "ttl_30m_tokens"),
        cache_write_12h=_count(lifetimes, "ttl_12h_tokens"),
        service_tier=service_tier if isinstance(service_tier, str) and service_tier else None,
    )


def _count(holder: JSON, name: str) -> int | None:
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if type(value) is int else None


def stop_of(
    status: str, incomplete: JSON, filters: JSON, *, called: bool, refused: bool
) -> StopInfo:
    """There is no stop reason on this wire: status, reason and content together are one."""
    if status == "incomplete":
        word = incomplete.get("reason") if isinstance(incomplete, dict) else None
        word = word if isinstance(word, str) and word else status
        reason = INCOMPLETE.get(word, "other")
        details: dict[str, Any] | None = None
        if reason == "content_filter" and filters:
            details = {"content_filters": filters}
        return StopInfo(reason, word, details)
    if status == "completed":
        return StopInfo("tool_calls" if called else "refusal" if refused else "stop", status)
    return StopInfo("cancelled" if status == "cancelled" else "other", status)
