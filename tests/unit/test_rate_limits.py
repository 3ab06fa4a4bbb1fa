"""How fast one may go: worked out from times alone, without a clock."""

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
    """Whoever asks early has a place in the line, and time that did not pass fills nothing."""
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


def test_a_refusal_halves_the_window_once_for_all_that_came_in_together() -> None:
    """A hundred refusals of one crowd count as one; the next crowd counts again."""
    window = AdaptiveLimit(maximum=100)
    assert [window.throttled(0) for _ in range(100)].count(True) == 1
    assert window.size == 50
    assert window.throttled(window.epoch)
    assert window.size == 25


def test_the_window_never_closes_nor_opens_wider_than_it_was() -> None:
    """One may always go in; success opens it up to where it began."""
    window = AdaptiveLimit(maximum=4)
    for _ in range(10):
        window.throttled(window.epoch)
    assert window.size == 1
    for _ in range(100):
        window.succeeded()
    assert window.size == 4


def test_the_window_grows_by_one_when_as_many_have_passed_as_fit_into_it() -> None:
    """Additive increase: a round of successes makes room for one more."""
    window = AdaptiveLimit(maximum=100)
    window.throttled(0)
    for _ in range(50):
        window.succeeded()
    assert window.size == pytest.approx(51, abs=0.05)
