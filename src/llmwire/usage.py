"""What a reply reports beside its content: tokens, why it stopped, what was adapted."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

_struct_new: Any = msgspec.StructMeta.__call__


Provenance = Literal["reported", "partial", "estimated"]


class LLMUsage(Struct, frozen=True, gc=False, omit_defaults=True):
    """Tokens of one call, as reported. None means that nobody said; it never means zero.

    The buckets are disjoint: input_total = input_uncached + cache_read + cache_write, and
    cache_write is the sum of its lifetimes where a wire tells them. output_total includes
    reasoning. Within one reply a later report replaces what an earlier one said (`merged`):
    providers report running totals. Source: wire reference 12.4.
    """

    input_total: int | None = None
    output_total: int | None = None
    input_uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    provenance: Provenance = "reported"
    """`partial`: a report from before the end of the reply, a lower bound. `estimated`: counted
    by us, not by the provider."""
    raw: dict[str, Any] | None = None
    """The provider's own object, without its nulls."""
    cache_write_30m: int | None = None
    cache_write_12h: int | None = None
    server_tool_calls: dict[str, int] | None = None
    """Calls of tools that the provider ran itself, by its name for them; they cost extra."""
    service_tier: str | None = None
    """The tier or speed that answered, in the provider's word; prices depend on it."""

    @property
    def prompt_tokens(self) -> int | None:
        return self.input_total

    @property
    def completion_tokens(self) -> int | None:
        return self.output_total

    def merged(self, newer: LLMUsage) -> LLMUsage:
        """The newest known value of each field; for reports on one and the same reply."""
        return _struct_new(  # type: ignore[no-any-return]
            LLMUsage,
            *(
                b if b is not None else a
                for a, b in zip(_counts(self), _counts(newer), strict=True)
            ),
            newer.provenance,
            *(
                b if b is not None else a
                for a, b in zip(_others(self), _others(newer), strict=True)
            ),
        )

    def __add__(self, other: LLMUsage) -> LLMUsage:
        """The tokens of two calls together; what either does not know stays unknown."""
        if not isinstance(other, LLMUsage):
            return NotImplemented
        order = ("reported", "partial", "estimated")
        counts = zip(_counts(self), _counts(other), strict=True)
        mine, theirs = self.server_tool_calls, other.server_tool_calls
        tools = None
        if mine is not None and theirs is not None:
            tools = {n: mine.get(n, 0) + theirs.get(n, 0) for n in dict.fromkeys((*mine, *theirs))}
        return _struct_new(  # type: ignore[no-any-return]
            LLMUsage,
            *(_sum(a, b) for a, b in counts),
            max(self.provenance, other.provenance, key=order.index),
            None,
            _sum(self.cache_write_30m, other.cache_write_30m),
            _sum(self.cache_write_12h, other.cache_write_12h),
            tools,
            self.service_tier if self.service_tier == other.service_tier else None,
        )


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _counts(u: LLMUsage) -> tuple[int | None, ...]:
    return (
        u.input_total,
        u.output_total,
        u.input_uncached,
        u.cache_read,
        u.cache_write,
        u.cache_write_5m,
        u.cache_write_1h,
        u.reasoning,
    )


def _others(u: LLMUsage) -> tuple[Any, ...]:
    """What stands behind the provenance, in the order of the constructor."""
    return (u.raw, u.cache_write_30m, u.cache_write_12h, u.server_tool_calls, u.service_tier)


StopReason = Literal[
    "stop",
    "tool_calls",
    "length",
    "stop_sequence",
    "context_window",
    "content_filter",
    "refusal",
    "pause",
    "continuation",
    "compaction",
    "malformed_tool_call",
    "error",
    "cancelled",
    "other",
]


class StopInfo(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why the model stopped: our word, the provider's word, and what else it said about it.

    An unknown word is `other` with `raw` kept. Source: wire reference 12.5.
    """

    reason: StopReason
    raw: str | None = None
    details: dict[str, Any] | None = None


class Retry(Struct, frozen=True, gc=False, omit_defaults=True):
    """An attempt that failed, and after which the call was tried again."""

    error: str
    """The class of the error: `RateLimitError`."""
    message: str
    provider: str = ""
    model: str = ""
    status: int | None = None
    delay: float = 0.0
    """Seconds waited before the next attempt."""
    usage: LLMUsage | None = None
    """Tokens that the failed attempt reported: they are billed beside those of the reply."""


class Adaptation(Struct, frozen=True, gc=False, omit_defaults=True):
    """Something that was asked for, or came, and was changed for a wire. Never silent."""

    path: str
    """Where: `temperature`, `messages[3].parts[0]`, `choices`."""
    action: Literal["dropped", "clamped", "substituted", "added", "moved"]
    reason: str
    before: Any = None
    after: Any = None

    @property
    def changes_history(self) -> bool:
        """Whether something in a message is not sent as it is. A mark that stands for a signature
        which nobody gave changes nothing that was said."""
        is_mark = self.action == "added" and self.path.endswith(".signature")
        return self.path.startswith("messages[") and not is_mark
