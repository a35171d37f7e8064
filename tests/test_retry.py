"""When to try again: rules as tables, and the budget's arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import errors
from llmwire.errors import BackendError, ConfigError
from llmwire.retry import RetryBudget, RetryPolicy

POLICY = RetryPolicy()


def limited(retry_after: float | None, **more: object) -> BackendError:
    return errors.RateLimitError("m", retry_after=retry_after, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempt", "jitter", "delay"),
    [(0, 0.0, 0.25), (0, 1.0, 0.5), (1, 1.0, 1.0), (2, 0.0, None), (3, 0.0, None)],
)
def test_own_backoff(attempt: int, jitter: float, delay: float | None) -> None:
    assert POLICY.next_delay(attempt, errors.ServerError("m"), None, jitter) == delay


def test_backoff_grows_to_the_cap() -> None:
    patient = RetryPolicy(max_attempts=10_000)
    delays = [patient.next_delay(n, errors.ServerError("m"), None, 1.0) for n in range(6)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert patient.next_delay(9_000, errors.ServerError("m"), None, 1.0) == 8.0


RETRY_AFTER = [
    # asked, time left, jitter, delay
    (5.0, None, 0.0, 5.0),
    (5.0, None, 0.9, 5.45),
    (60.0, None, 0.5, 63.0),
    (0.0, None, 0.0, 0.25),
    (0.1, None, 0.0, 0.25),
    (120.0, None, 0.0, 120.0),
    (120.1, None, 0.0, None),
    (5.0, 6.0, 0.0, 5.0),
    (5.0, 5.0, 0.0, None),
    (5.0, 5.2, 0.9, None),
    (None, 0.2, 0.0, None),
    (None, 0.0, 0.0, None),
    (None, -1.0, 0.0, None),
    (None, 1.0, 0.0, 0.25),
    (math.nan, None, 0.0, 0.25),
    (math.inf, None, 0.0, 0.25),
    (-3.0, None, 0.0, 0.25),
]


@pytest.mark.parametrize(("asked", "left", "jitter", "delay"), RETRY_AFTER)
def test_what_the_provider_asks_for(
    asked: float | None, left: float | None, jitter: float, delay: float | None
) -> None:
    got = POLICY.next_delay(0, limited(asked), left, jitter)
    assert got == (None if delay is None else pytest.approx(delay))


WORTH_IT: list[tuple[BackendError, bool]] = [
    (errors.RateLimitError("m"), True),
    (errors.OverloadedError("m"), True),
    (errors.ServerError("m"), True),
    (errors.ConflictError("m"), True),
    (errors.TransportError("m"), True),
    (errors.TimeoutError_("m"), True),
    (errors.IncompleteStreamError("m"), True),
    (errors.StreamOverloadedError("m"), True),
    (errors.QuotaError("m"), False),
    (errors.QuotaError("m", retryable=True), False),
    (errors.StreamQuotaError("m", retryable=True), False),
    (errors.RateLimitError("m", retryable=False), False),
    (errors.InvalidRequestError("m"), False),
    (errors.InvalidRequestError("m", retryable=True), True),
    (errors.AuthenticationError("m"), False),
    (errors.ConfigError("m"), False),
    (errors.UnsupportedError("m"), False),
    (errors.DecodeError("m"), False),
    (errors.StreamError("m"), False),
    (errors.StatusError("m"), False),
]


@pytest.mark.parametrize(("error", "worth"), WORTH_IT, ids=lambda v: type(v).__name__)
def test_what_is_tried_again(error: BackendError, worth: bool) -> None:
    assert (POLICY.next_delay(0, error, None, 0.0) is not None) is worth


def test_one_attempt_means_one() -> None:
    assert RetryPolicy(max_attempts=1).next_delay(0, errors.ServerError("m"), None, 0.0) is None


@given(
    st.integers(0, 5), st.none() | st.floats(), st.none() | st.floats(-10, 1000),
    st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_delays_keep_their_bounds(
    attempt: int, asked: float | None, left: float | None, jitter: float
) -> None:
    delay = RetryPolicy(max_attempts=5).next_delay(attempt, limited(asked), left, jitter)
    if delay is None:
        return
    assert 0 <= delay <= 132
    assert left is None or delay < left
    if asked is not None and 0 <= asked < math.inf:
        assert delay >= asked


@pytest.mark.parametrize(
    "bad",
    [{"max_attempts": 0}, {"base": -1}, {"cap": math.inf}, {"factor": math.nan},
     {"max_retry_after": -0.1}],
)  # fmt: skip
def test_bad_settings_are_named(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        RetryPolicy(**bad)  # type: ignore[arg-type]


def test_budget_in_an_outage_and_after_it() -> None:
    budget = RetryBudget(capacity=3, gain=0.5)
    assert [budget.spend() for _ in range(5)] == [True, True, True, False, False]
    budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()
    assert not budget.spend()


def test_budget_is_never_above_its_capacity() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.earn()
    assert budget.tokens == budget.capacity
    assert sum(budget.spend() for _ in range(1000)) == budget.capacity


@given(st.lists(st.booleans(), max_size=200))
def test_retries_are_bounded_by_successes(calls: list[bool]) -> None:
    budget = RetryBudget()
    retries = successes = 0
    for good in calls:
        if good:
            budget.earn()
            successes += 1
        else:
            retries += budget.spend()
    assert retries <= budget.capacity + budget.gain * successes + 1e-6
