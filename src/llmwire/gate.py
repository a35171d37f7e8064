"""Who may ask now: the calls of one key, held back together. Pure arithmetic; times are arguments.

A call that was told to wait is told so on behalf of all calls with its key. When the wait is over
they do not all go in the same millisecond: each has a turn of its own, further apart at first,
closer with every answer that comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

from .error_body import parse_duration
from .errors import ConfigError

SPACING = 0.25
"""Seconds between two turns right after a wait, where no limit says how often one may ask. Four a
second is little beside what providers allow; it is halved with each answer."""

SMALLEST_SPACING = 0.001
"""From here on turns are not kept apart any more."""

LONGEST_HOLD = 600.0
"""Seconds that a header can close the gate for. A reset further away is a quota's, not a rate's."""


class RateLimits(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How often one key may be used. Raises `ConfigError` for limits that let nothing through."""

    requests_per_minute: float | None = None
    """Calls begun in any minute, on average; None sets no limit."""
    tokens_per_minute: float | None = None
    """Tokens asked for in any minute, estimated before the call: a quarter of the characters,
    and `max_tokens` where the call has one."""
    learn: bool = True
    """Whether the providers' headers (`x-ratelimit-*`, `anthropic-ratelimit-*`) close the gate when
    they say that nothing is left."""

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"rate limits: {name} must be above 0, not {value}")


class _Bucket:
    """So many in a minute: full at first, refilled as time goes by, and in debt where more was
    taken than was there."""

    __slots__ = ("_at", "_left", "_size")

    def __init__(self, per_minute: float) -> None:
        self._size = self._left = per_minute
        self._at: float | None = None

    def take(self, now: float, amount: float) -> float:
        """Seconds until what was taken is there."""
        if self._at is not None and now > self._at:
            self._left = min(self._size, self._left + (now - self._at) * self._size / 60)
        self._at = now if self._at is None else max(now, self._at)
        # What is more than a minute's worth never fits; it goes when the bucket is full.
        self._left -= min(amount, self._size)
        return max(0.0, -self._left * 60 / self._size)


class RateGate:
    """The turns of one key. One for a backend, for all its event loops and threads."""

    __slots__ = ("_buckets", "_closed_until", "_learn", "_next_turn", "_spacing", "wanted")

    def __init__(self, limits: RateLimits | None = None) -> None:
        limits = limits or RateLimits()
        self._learn = limits.learn
        self._buckets = [
            None if limit is None else _Bucket(limit)
            for limit in (limits.requests_per_minute, limits.tokens_per_minute)
        ]
        self._closed_until = self._next_turn = float("-inf")
        self._spacing = 0.0
        self.wanted = any(self._buckets)
        """Whether calls have to ask for a turn at all; False nearly always."""

    @property
    def counts_tokens(self) -> bool:
        return self._buckets[1] is not None

    def turn(self, now: float, tokens: float = 0.0) -> float:
        """Takes a turn: seconds until it comes, 0 for now. Turns come in the order they are taken."""
        wait = 0.0
        for bucket, amount in zip(self._buckets, (1.0, tokens), strict=True):
            if bucket is not None:
                wait = max(wait, bucket.take(now, amount))
        return self._apart(now, wait) if self._spacing else wait

    def turn_again(self, now: float) -> float:
        """When a turn has come: 0, or the seconds to another one, if all were told to wait since."""
        return self._apart(now, 0.0) if self._closed_until > now else 0.0

    def _apart(self, now: float, wait: float) -> float:
        at = max(now + wait, self._closed_until, self._next_turn)
        self._next_turn = at + self._spacing
        return at - now

    def hold(self, now: float, seconds: float) -> None:
        """The provider said to wait: nobody asks before."""
        until = now + min(seconds, LONGEST_HOLD)
        if until > self._closed_until:
            self._closed_until = self._next_turn = until
        self._spacing = SPACING
        self.wanted = True

    def answered(self) -> None:
        """An answer came: turns may come closer."""
        if self._spacing:
            self._spacing /= 2
            if self._spacing < SMALLEST_SPACING:
                self._spacing = 0.0
                self.wanted = any(self._buckets)

    def read_headers(
        self, now: float, wall: Callable[[], float], headers: Mapping[str, str]
    ) -> None:
        """Closes the gate until a limit of which nothing is left is reset.

        `wall` gives the seconds since 1970, for the providers that name a time of day. An answer
        that names a wait of its own is left to `hold`: it knows when one may ask again, while a
        reset is when all of the limit is there again (OpenAI's guide to rate limits, 2026-11-22).
        """
        if not self._learn or not any(name in headers for name in _SIGNS):
            return
        if "retry-after" in headers or "retry-after-ms" in headers:
            return
        for remaining, reset in _HEADERS:
            if headers.get(remaining, "").strip() == "0" and reset in headers:
                seconds = _seconds_until(headers[reset].strip(), wall)
                if seconds is not None and 0 < seconds <= LONGEST_HOLD:
                    self.hold(now, seconds)


_SIGNS = ("x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining")

_HEADERS = tuple(
    (name.format("remaining"), name.format("reset"))
    for name in (
        "x-ratelimit-{}-requests",
        "x-ratelimit-{}-tokens",
        "anthropic-ratelimit-requests-{}",
        "anthropic-ratelimit-tokens-{}",
        "anthropic-ratelimit-input-tokens-{}",
        "anthropic-ratelimit-output-tokens-{}",
    )
)
"""Wire reference 9.3 (2026-11-22). `...-requests-day` and the like are quotas and not read."""


def _seconds_until(word: str, wall: Callable[[], float]) -> float | None:
    """`1.2s`, `6m0s`, `88ms` or a time as RFC 3339 has it; None for anything else."""
    if "T" in word:
        try:
            return datetime.fromisoformat(word).timestamp() - wall()
        except ValueError:
            return None
    return parse_duration(word)
