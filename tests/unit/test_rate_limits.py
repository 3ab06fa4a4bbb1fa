"""Token bucket and adaptive concurrency limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbay_async._bulk.rate_limits import AdaptiveLimit, TokenBucket


def test_a_burst_passes_at_once_and_the_rest_at_the_rate() -> None:
    """Three may go at once; the fourth waits for one token, the fifth for two."""
    bucket = TokenBucket(rate=2.0, burst=3)
    assert [bucket.take(10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]


def test_a_rest_fills_the_bucket_no_higher_than_the_burst() -> None:
    """After an hour as many may pass at once as after two seconds."""
    bucket = TokenBucket(rate=1.0, burst=2)
    bucket.take(0.0)
    assert [bucket.take(3600.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_clock_that_stands_still_or_goes_back_gives_no_tokens() -> None:
    """Early callers wait their turn, and time that did not pass adds no tokens."""
    bucket = TokenBucket(rate=1.0, burst=1)
    assert [bucket.take(5.0), bucket.take(4.0), bucket.take(5.0)] == [0.0, 1.0, 1.0]


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_span_of_time_sees_more_than_rate_and_burst_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    """In any stretch of `t` seconds at most `burst + rate * t` pass."""
    bucket, now, passed = TokenBucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        passed.append(now + bucket.take(now))
    for first, begin in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= burst + rate * (passed[last] - begin) + 1 + 1e-6


def test_throttling_halves_the_limit_once_per_epoch() -> None:
    """A hundred throttled calls of one epoch count as one; the next epoch counts again."""
    limit = AdaptiveLimit(maximum=100)
    assert [limit.throttled(0) for _ in range(100)].count(True) == 1
    assert limit.size == 50
    assert limit.throttled(limit.epoch)
    assert limit.size == 25


def test_the_limit_stays_between_one_and_the_maximum() -> None:
    """One call is always allowed; successes raise the limit up to the maximum."""
    limit = AdaptiveLimit(maximum=4)
    for _ in range(10):
        limit.throttled(limit.epoch)
    assert limit.size == 1
    for _ in range(100):
        limit.succeeded()
    assert limit.size == 4


def test_a_round_of_successes_raises_the_limit_by_one() -> None:
    """Additive increase."""
    limit = AdaptiveLimit(maximum=100)
    limit.throttled(0)
    for _ in range(50):
        limit.succeeded()
    assert limit.size == pytest.approx(51, abs=0.05)
