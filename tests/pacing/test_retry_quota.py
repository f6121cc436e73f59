"""A `Gcra` as a quota of retries, to which successes give back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.pacing.rate_limiter import Gcra

capacities = st.integers(min_value=1, max_value=20)
speeds = st.floats(min_value=0.01, max_value=50.0)
events = st.lists(
    st.tuples(st.floats(min_value=0.0, max_value=30.0), st.sampled_from(["take", "wait and take", "succeeded"])),
    max_size=80,
)


def emptied(capacity: int = 5, per_second: float = 1.0, now: float = 0.0) -> Gcra:
    quota = Gcra(per_second, capacity)
    for _ in range(capacity):
        quota.reserve(now)
    return quota


def test_a_full_quota_holds_nothing_back_and_an_empty_one_gives_one_a_second() -> None:
    quota = Gcra(1.0, 3)
    assert [quota.reserve(7.0) for _ in range(6)] == [7.0, 7.0, 7.0, 8.0, 9.0, 10.0]


def test_looking_takes_nothing() -> None:
    quota = emptied()
    assert [quota.ready_at(0.0) for _ in range(3)] == [1.0, 1.0, 1.0]


def test_a_success_gives_one_back() -> None:
    quota = emptied()
    quota.give_back(0.0)
    assert [quota.reserve(0.0) for _ in range(2)] == [0.0, 1.0]


def test_successes_give_no_more_than_the_capacity() -> None:
    quota = emptied(capacity=3)
    for _ in range(100):
        quota.give_back(0.5)
    assert [quota.reserve(0.5) for _ in range(4)] == [0.5, 0.5, 0.5, 1.5]


def test_time_gives_no_more_than_the_capacity() -> None:
    quota = emptied(capacity=3)
    assert [quota.reserve(1e6) for _ in range(4)] == [1e6, 1e6, 1e6, 1e6 + 1.0]


def test_a_part_of_a_retry_is_kept() -> None:
    quota = emptied(per_second=2.0)
    quota.give_back(0.25)
    quota.reserve(0.25)
    assert quota.ready_at(0.25) == 0.5


def test_a_success_that_is_older_than_a_retry_taken_ahead_still_counts() -> None:
    quota = emptied(capacity=1)
    assert quota.reserve(0.0) == 1.0
    quota.give_back(0.5)
    assert quota.ready_at(0.5) == 1.0


def test_it_is_full_until_one_is_taken_and_once_all_are_there_again() -> None:
    quota = Gcra(1.0, 5)
    assert quota.is_full(0.0)
    quota.reserve(0.0)
    assert not quota.is_full(0.9)
    assert quota.is_full(1.0)
    quota.give_back(0.0)
    assert quota.is_full(0.0)


@given(capacity=capacities, per_second=speeds, happenings=events)
def test_no_stretch_sees_more_retries_than_the_capacity_the_time_and_the_successes_give(
    capacity: int, per_second: float, happenings: list[tuple[float, str]]
) -> None:
    quota, now = Gcra(per_second, capacity), 0.0
    log: list[tuple[float, int]] = []  # instants, and how many retries were given (1) or given back (-1)
    for wait, what in happenings:
        now += wait
        if what == "succeeded":
            quota.give_back(now)
            log.append((now, -1))
        elif what == "wait and take" or quota.ready_at(now) <= now:
            now = quota.reserve(now)
            log.append((now, 1))
    for first, (opening, _) in enumerate(log):
        taken = given_back = 0
        for instant, count in log[first:]:
            taken, given_back = taken + (count > 0), given_back + (count < 0)
            assert taken <= capacity + per_second * (instant - opening) + given_back + 1e-6


@given(capacity=capacities, per_second=speeds, happenings=events)
def test_nothing_that_was_given_is_lost_below_the_capacity(
    capacity: int, per_second: float, happenings: list[tuple[float, str]]
) -> None:
    """Against plain bookkeeping: what is at hand is never less than a bucket holds that is filled by hand."""
    quota, now, held = Gcra(per_second, capacity), 0.0, float(capacity)
    for wait, what in happenings:
        held, now = min(capacity, held + wait * per_second), now + wait
        if what == "succeeded":
            quota.give_back(now)
            held = min(capacity, held + 1.0)
        elif held >= 1.0 + 1e-6:
            assert quota.reserve(now) == now
            held -= 1.0
        else:
            assert quota.ready_at(now) <= now + (1.0 - held) / per_second + 1e-6


@given(capacity=capacities, per_second=speeds, happenings=events)
def test_the_instant_it_names_is_one_at_which_a_retry_is_ready(
    capacity: int, per_second: float, happenings: list[tuple[float, str]]
) -> None:
    quota, now = Gcra(per_second, capacity), 0.0
    for wait, what in happenings:
        now += wait
        if what == "succeeded":
            quota.give_back(now)
            continue
        ready = quota.ready_at(now)
        assert now <= ready <= now + 1 / per_second + 1e-6
        assert ready == quota.ready_at(ready) == quota.reserve(ready)
        now = ready


@pytest.mark.parametrize("jobs", [10, 1_000])
def test_an_outage_costs_the_same_however_many_jobs_wait(jobs: int) -> None:
    quota, now, tried = Gcra(1.0, 50), 0.0, 0
    waiting = [0.0] * jobs  # when each may try again, by its own backoff
    while (now := quota.ready_at(now)) < 600.0:
        index = min(range(jobs), key=waiting.__getitem__)
        now = max(now, waiting[index])
        quota.reserve(now)
        waiting[index] = now + 60.0
        tried += 1
    assert tried <= 50 + 600


def test_after_an_outage_a_thousand_jobs_are_on_their_way_within_seconds() -> None:
    quota, now, tried = emptied(capacity=50, now=0.0), 0.0, 0
    answers: list[float] = []  # each 0.2 s after its request, and good
    while tried < 1_000:
        ready = quota.ready_at(now)
        if answers and answers[0] <= ready:
            now = answers.pop(0)
            quota.give_back(now)
        else:
            now = max(now + 0.02, ready)  # 50 requests a second at most
            quota.reserve(now)
            answers.append(now + 0.2)
            tried += 1
    assert now < 40.0
