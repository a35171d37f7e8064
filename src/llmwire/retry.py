"""Whether and when to try again: pure arithmetic, with no clock and no randomness of its own."""

from __future__ import annotations

import math

from msgspec import Struct

from .errors import BackendError, ConfigError, QuotaError


class RetryPolicy(Struct, frozen=True, omit_defaults=True):
    """When a failed attempt is worth another. Raises `ConfigError` for values that can't work.

    The defaults are what the official SDKs agree on (openai-python and anthropic-sdk-python,
    2026-11: two retries, 0.5 s doubling up to 8 s, waits above 120 s are not sat through).
    """

    max_attempts: int = 3
    """Attempts in all; 1 never tries again."""
    base: float = 0.5
    """Seconds before the second attempt."""
    factor: float = 2.0
    """By what each further wait grows."""
    cap: float = 8.0
    """The longest wait of our own choosing, in seconds. Longer waits are the provider's to ask."""
    max_retry_after: float = 120.0
    """The longest wait a provider may ask for, in seconds. Beyond it the error surfaces at once,
    with `retry_after` set: people and schedulers decide better than a hanging call."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ConfigError(f"retry: max_attempts must be at least 1, not {self.max_attempts}")
        for name in ("base", "factor", "cap", "max_retry_after"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"retry: {name} must be a number from 0 up, not {value}")

    def next_delay(
        self, attempt: int, error: BackendError, time_left: float | None, jitter: float
    ) -> float | None:
        """Seconds to wait before the next attempt; None: raise the error.

        `attempt` is the number of the failed attempt, from 0; `time_left` the seconds until the
        call's deadline (None: no deadline); `jitter` a random number from 0 up to 1. Once content
        was delivered the caller must not ask: nothing is repeated then.

        What the provider asks for is a lower bound, jitter goes on top, so that clients told the
        same moment do not come back in it together. Nonsense counts as not said.
        """
        if attempt + 1 >= self.max_attempts:
            return None
        if not error.retryable or isinstance(error, QuotaError):
            return None
        own = self._backoff(attempt)
        delay = own * (0.5 + 0.5 * jitter)
        asked = error.retry_after
        if asked is not None and math.isfinite(asked) and asked >= 0:
            if asked > self.max_retry_after:
                return None
            delay = max(delay, asked + jitter * max(own, asked / 10))
        if time_left is not None and delay >= time_left:
            return None
        return delay

    def _backoff(self, attempt: int) -> float:
        try:
            return float(min(self.base * self.factor**attempt, self.cap))
        except OverflowError:
            return self.cap


class RetryBudget:
    """What a total outage may cost one backend: a retry costs a token, a success earns a part.

    With the defaults an outage lets through 20 retries over all calls, and from then on every
    call fails at its first attempt; while most calls succeed, one retry in five calls is free for
    ever. After gRPC's retry throttling (gRFC A6): no clock, so nothing refills while nobody asks.
    """

    __slots__ = ("capacity", "gain", "tokens")

    def __init__(self, capacity: float = 20.0, gain: float = 0.2) -> None:
        self.capacity = capacity
        self.gain = gain
        self.tokens = capacity

    def spend(self) -> bool:
        """Takes the price of one retry. False: the budget is spent, and the error surfaces."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def earn(self) -> None:
        """Counts one call that succeeded."""
        self.tokens = min(self.capacity, self.tokens + self.gain)
