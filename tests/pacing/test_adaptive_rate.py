from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.errors import ConfigurationError
from kling_async.pacing.adaptive_rate import AdaptiveRate

LONG_AFTER = 11.0  # seconds after a cut: past its cool-down

# What happens to a rate: time passes, and then a request passes, is refused, waits, or nothing is due.
events = st.lists(
    st.tuples(
        st.floats(min_value=0.0, max_value=20.0), st.sampled_from(["go", "accepted", "refused", "binding", "idle"])
    ),
    max_size=80,
)


def pass_steadily(rate: AdaptiveRate, now: float, seconds: float) -> float:
    """Send whatever the rate lets through, answered at once, while more is due; returns when that ended."""
    rate.saturated(now)
    end = now + seconds
    while (instant := rate.ready_at(now)) < end:
        now = rate.reserve(instant)
        rate.accepted(now, now)
    return end


def cut(rate: AdaptiveRate, now: float) -> None:
    rate.refused(now, now)


def test_it_begins_at_ten_a_second() -> None:
    assert AdaptiveRate().rate == 10.0


@pytest.mark.parametrize(
    ("most", "initial", "expected"),
    [(3.0, 10.0, 3.0), (50.0, 20.0, 20.0), (0.01, 10.0, 0.01), (50.0, 0.01, 0.1), (math.inf, 10.0, math.inf)],
)
def test_the_callers_cap_wins_over_where_it_would_begin(most: float, initial: float, expected: float) -> None:
    assert AdaptiveRate(most=most, initial=initial).rate == expected


def test_a_useless_burst_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="burst is 0"):
        AdaptiveRate(burst=0)


def test_a_cut_goes_to_85_percent_of_what_was_accepted() -> None:
    rate = AdaptiveRate(most=10.0)
    now = pass_steadily(rate, 0.0, 60.0)
    cut(rate, now)
    assert rate.level == pytest.approx(10.0, rel=0.01)
    assert rate.rate == pytest.approx(8.5, rel=0.01)


def test_where_less_was_accepted_than_asked_the_level_lies_between_the_two() -> None:
    rate = AdaptiveRate(most=10.0)
    rate.saturated(0.0)
    for second in range(30):
        for _ in range(6):
            rate.accepted(float(second), float(second))
    cut(rate, 30.0)
    assert rate.level == pytest.approx(6.0 + 0.3 * (10.0 - 6.0), rel=0.05)


def test_a_level_at_most_halves_at_once() -> None:
    rate = AdaptiveRate()
    cut(rate, 5.0)
    assert rate.level == 5.0
    assert rate.rate == pytest.approx(4.25)


def test_time_in_which_nothing_was_due_does_not_lower_what_was_accepted() -> None:
    busy, now_and_then = AdaptiveRate(most=10.0), AdaptiveRate(most=10.0)
    cut(busy, pass_steadily(busy, 0.0, 20.0))
    now = 0.0
    for _ in range(4):
        now = pass_steadily(now_and_then, now, 5.0)
        now_and_then.idle(now)
        now_and_then.idle(now + 50.0)
        now += 100.0
    cut(now_and_then, now)
    assert now_and_then.level == pytest.approx(busy.level, rel=0.1)


def test_what_was_accepted_longer_ago_than_half_a_minute_does_not_count() -> None:
    rate = AdaptiveRate(most=1.0)
    now = pass_steadily(rate, 0.0, 60.0)
    cut(rate, now + 31.0)
    assert rate.level == 0.5


def test_what_was_accepted_before_the_last_cut_does_not_count() -> None:
    rate = AdaptiveRate(most=10.0)
    now = pass_steadily(rate, 0.0, 30.0)
    cut(rate, now)
    for half_second in range(1, 25):
        rate.accepted(now + half_second / 2, now + half_second / 2)
    asked = rate.rate
    cut(rate, now + 12.0)
    assert rate.level == pytest.approx(max(2.0 + 0.3 * (asked - 2.0), asked / 2), rel=0.05)


def test_all_refusals_of_what_was_sent_before_a_cut_are_one() -> None:
    rate = AdaptiveRate()
    cut(rate, 5.0)
    after = rate.rate
    for late in range(64):
        rate.refused(30.0 + late, 4.9)
    assert rate.rate == after


def test_refusals_within_ten_seconds_of_a_cut_are_part_of_it() -> None:
    rate = AdaptiveRate()
    cut(rate, 5.0)
    after = rate.rate
    rate.refused(14.9, 14.9)
    assert rate.rate == after
    rate.refused(15.0, 15.0)
    assert rate.rate < after


def test_no_row_of_refusals_takes_it_below_its_least() -> None:
    rate = AdaptiveRate()
    for count in range(100):
        cut(rate, count * LONG_AFTER)
    rate.saturated(2_000.0)
    for _ in range(10):
        assert rate.rate >= 0.1
        rate.accepted(2_000.0, 2_000.0)


def test_a_burst_is_given_up_at_a_refusal_until_the_rate_is_at_its_most_again() -> None:
    rate = AdaptiveRate(most=10.0, burst=5)
    cut(rate, 0.0)
    assert rate.reserve(100.0) < rate.reserve(100.0)
    now = pass_steadily(rate, 200.0, 300.0)
    rate.idle(now)
    assert [rate.reserve(1_000.0) for _ in range(5)] == [1_000.0] * 5


@given(most=st.floats(min_value=0.1, max_value=200.0), cuts=st.integers(min_value=0, max_value=40))
def test_recovery_reaches_the_most_from_wherever_it_was_cut_to(most: float, cuts: int) -> None:
    rate = AdaptiveRate(most=most)
    for count in range(cuts):
        cut(rate, count * LONG_AFTER)
    passed = 0
    rate.saturated(10_000.0)
    while rate.rate < most:
        rate.accepted(10_000.0, 10_000.0)
        passed += 1
        assert passed < 200 * max(1.0, most)  # about 150 s' worth of requests


def test_recovery_from_the_bottom_takes_less_than_three_minutes_of_passing_requests() -> None:
    rate = AdaptiveRate()
    for count in range(50):
        cut(rate, count * LONG_AFTER)
    now = pass_steadily(rate, 1_000.0, 175.0)
    assert rate.rate == 50.0
    assert now == 1_175.0


def test_recovery_is_within_a_tenth_of_the_level_in_five_seconds_and_never_above_it_for_a_minute() -> None:
    rate = AdaptiveRate(most=20.0)
    now = pass_steadily(rate, 0.0, 20.0)
    cut(rate, now)
    now = pass_steadily(rate, now, 5.0)
    assert rate.rate >= 0.9 * rate.level
    pass_steadily(rate, now, 80.0)
    assert rate.rate <= rate.level


def test_while_something_else_holds_requests_back_nothing_is_learned() -> None:
    rate = AdaptiveRate()
    for second in range(1_000):
        rate.accepted(float(second), float(second))
    rate.saturated(1_000.0)
    rate.idle(1_001.0)
    rate.accepted(1_001.5, 1_001.4)
    assert rate.rate == 10.0


def test_what_was_sent_before_a_cut_says_nothing_of_the_rate_after_it() -> None:
    rate = AdaptiveRate()
    rate.saturated(0.0)
    cut(rate, 5.0)
    after = rate.rate
    for late in range(100):
        rate.accepted(5.0 + late / 10, 4.9)
    assert rate.rate == after


def test_a_long_pause_neither_deepens_a_cut_nor_delays_the_way_back() -> None:
    through, paused = AdaptiveRate(), AdaptiveRate()
    for rate, wait in ((through, 0.0), (paused, 300.0)):
        now = pass_steadily(rate, 0.0, 10.0)
        cut(rate, now)
        pass_steadily(rate, now + wait, 30.0)
    assert paused.rate == pytest.approx(through.rate, rel=0.01)


def test_an_unbounded_session_is_not_paced_until_it_is_refused() -> None:
    rate = AdaptiveRate(most=math.inf)
    assert {rate.reserve(1.0) for _ in range(1_000)} == {1.0}
    cut(rate, 2.0)
    assert rate.rate == pytest.approx(0.85 * 25.0)
    pass_steadily(rate, 2.0, 200.0)
    assert rate.rate == 50.0


def test_an_unbounded_session_counts_what_passes_at_once() -> None:
    rate = AdaptiveRate(most=math.inf)
    rate.saturated(0.0)
    for count in range(400):
        rate.accepted(count / 40, count / 40)
    cut(rate, 10.0)
    assert rate.level == pytest.approx(40.0 + 0.3 * 10.0, rel=0.05)


def test_it_shows_its_live_state() -> None:
    rate = AdaptiveRate()
    cut(rate, 5.0)
    assert repr(rate) == "<AdaptiveRate 4.25/s, level 5/s, most 50/s>"


@given(most=st.floats(min_value=0.5, max_value=20.0), burst=st.integers(min_value=1, max_value=8), happenings=events)
def test_no_window_holds_more_than_the_burst_and_the_cap_allow(
    most: float, burst: int, happenings: list[tuple[float, str]]
) -> None:
    rate, now = AdaptiveRate(most=most, burst=burst), 0.0
    instants: list[float] = []
    for wait, what in happenings:
        now += wait / 10
        if what == "go":
            instants.extend(rate.reserve(rate.ready_at(now)) for _ in range(burst))
        else:
            _tell(rate, what, now)
        assert min(0.1, most) <= rate.rate <= most
    for first, opening in enumerate(instants):
        for last, closing in enumerate(instants[first:], start=first):
            assert last - first + 1 <= burst + most * (closing - opening) + 1e-5


@given(happenings=events)
def test_a_request_that_waits_for_the_instant_it_names_goes_then_and_after_one_gap_at_most(
    happenings: list[tuple[float, str]],
) -> None:
    rate, now = AdaptiveRate(), 0.0
    for wait, what in happenings:
        now += wait
        if what == "go":
            ready = rate.ready_at(now)
            assert now <= ready <= now + 1 / rate.rate + 1e-6
            assert ready == rate.ready_at(ready) == rate.reserve(ready)
            now = ready
        else:
            _tell(rate, what, now)


@given(happenings=events, delay=st.floats(min_value=0.0, max_value=30.0))
def test_no_two_cuts_are_of_requests_sent_less_than_ten_seconds_apart(
    happenings: list[tuple[float, str]], delay: float
) -> None:
    rate, now, cuts = AdaptiveRate(), 0.0, []
    for wait, what in happenings:
        now += wait
        if what != "refused":
            _tell(rate, what, now)
            continue
        before = repr(rate)
        rate.refused(now + delay, now)
        if repr(rate) != before:
            cuts.append(now)
    assert all(later - earlier >= 10.0 for earlier, later in pairwise(cuts))


def _tell(rate: AdaptiveRate, what: str, now: float) -> None:
    match what:
        case "accepted":
            rate.accepted(now, now)
        case "refused":
            rate.refused(now, now)
        case "binding":
            rate.saturated(now)
        case "idle":
            rate.idle(now)
        case _:  # a request that only goes out
            pass
