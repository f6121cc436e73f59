from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.errors import ConfigurationError
from kling_async.pacing.rate_limiter import Gcra

rates = st.floats(min_value=0.1, max_value=1000.0)
bursts = st.integers(min_value=1, max_value=20)
starts = st.floats(min_value=0.0, max_value=1e6)
gaps = st.lists(st.one_of(st.just(0.0), st.floats(min_value=0.0, max_value=5.0)), min_size=1, max_size=60)


def instants_of(start: float, waits: list[float]) -> list[float]:
    instants = [start]
    for wait in waits:
        instants.append(instants[-1] + wait)
    return instants


def test_a_burst_goes_at_once_and_the_rest_at_even_distances() -> None:
    limiter = Gcra(10.0, 5)
    assert [limiter.reserve(0.0) for _ in range(8)] == [0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3]


def test_instants_far_into_a_busy_spell_are_exact() -> None:
    limiter = Gcra(10.0, 1)
    assert [limiter.reserve(0.0) for _ in range(100_001)][-1] == 10_000.0


def test_instants_stay_exact_when_each_is_waited_for() -> None:
    limiter, now, instants = Gcra(10.0, 1), 0.0, []
    for _ in range(31):
        now = limiter.reserve(limiter.ready_at(now))
        instants.append(now)
    assert instants == [count / 10 for count in range(31)]


def test_idling_brings_back_the_burst_and_never_more() -> None:
    limiter = Gcra(2.0, 3)
    for _ in range(3):
        limiter.reserve(0.0)
    assert [limiter.reserve(100.0) for _ in range(5)] == [100.0, 100.0, 100.0, 100.5, 101.0]


def test_a_short_rest_brings_back_a_part_of_the_burst() -> None:
    limiter = Gcra(2.0, 3)
    for _ in range(3):
        limiter.reserve(0.0)
    assert [limiter.reserve(1.0) for _ in range(3)] == [1.0, 1.0, 1.5]


def test_looking_consumes_nothing() -> None:
    limiter = Gcra(1.0, 1)
    assert [limiter.ready_at(5.0) for _ in range(3)] == [5.0, 5.0, 5.0]
    assert limiter.reserve(5.0) == 5.0
    assert [limiter.ready_at(5.0) for _ in range(3)] == [6.0, 6.0, 6.0]


def test_an_infinite_rate_holds_nothing_back() -> None:
    limiter = Gcra(math.inf, 1)
    assert [limiter.reserve(now) for now in (0.0, 0.0, 0.0, 3.0, 3.0)] == [0.0, 0.0, 0.0, 3.0, 3.0]


def test_a_lower_rate_counts_at_once_and_what_was_used_stays_used() -> None:
    limiter = Gcra(10.0, 2)
    assert [limiter.reserve(0.0) for _ in range(2)] == [0.0, 0.0]
    limiter.set_rate(0.0, 1.0)
    assert limiter.ready_at(0.0) == 1.0


def test_a_higher_rate_gives_no_second_burst() -> None:
    limiter = Gcra(1.0, 2)
    assert [limiter.reserve(0.0) for _ in range(2)] == [0.0, 0.0]
    limiter.set_rate(0.5, 4.0)
    assert [limiter.reserve(0.5) for _ in range(2)] == [0.625, 0.875]


def test_a_rate_set_while_idle_leaves_the_burst_whole() -> None:
    limiter = Gcra(1.0, 2)
    limiter.reserve(0.0)
    limiter.set_rate(50.0, 4.0)
    assert [limiter.reserve(50.0) for _ in range(3)] == [50.0, 50.0, 50.25]


def test_a_bound_set_on_an_unbounded_limiter_starts_with_a_whole_burst() -> None:
    limiter = Gcra(math.inf, 2)
    for _ in range(10):
        limiter.reserve(1.0)
    limiter.set_rate(1.0, 1.0)
    assert [limiter.reserve(1.0) for _ in range(3)] == [1.0, 1.0, 2.0]


def test_a_limiter_set_free_holds_nothing_back() -> None:
    limiter = Gcra(1.0, 1)
    limiter.reserve(10.0)
    limiter.set_rate(10.0, math.inf)
    assert limiter.ready_at(10.0) == 10.0


def test_a_bad_rate_changes_nothing() -> None:
    limiter = Gcra(1.0, 1)
    limiter.reserve(0.0)
    with pytest.raises(ConfigurationError, match="rate is 0"):
        limiter.set_rate(0.5, 0)
    assert (limiter.rate, limiter.ready_at(0.5)) == (1.0, 1.0)


def test_it_shows_its_live_state() -> None:
    limiter = Gcra(10.0, 5)
    limiter.reserve(3.0)
    assert repr(limiter) == "Gcra(rate=10.0, burst=5, _start=3.0, _taken=1)"


@given(rate=rates, burst=bursts, start=starts, waits=gaps)
def test_it_is_the_cell_rate_algorithm_to_within_rounding(
    rate: float, burst: int, start: float, waits: list[float]
) -> None:
    """Against the textbook's form of it (a theoretical arrival time), in exact fractions."""
    limiter, step = Gcra(rate, burst), 1 / Fraction(rate)
    arrival = Fraction(start)
    for now in instants_of(start, waits):
        expected = max(Fraction(now), arrival - (burst - 1) * step)
        arrival = max(expected, arrival) + step
        assert limiter.reserve(now) == pytest.approx(float(expected), rel=1e-12, abs=1e-9)


@given(rate=rates, burst=bursts, start=starts, waits=gaps)
def test_no_window_holds_more_than_the_burst_and_the_rate_allow(
    rate: float, burst: int, start: float, waits: list[float]
) -> None:
    limiter = Gcra(rate, burst)
    instants = [limiter.reserve(now) for now in instants_of(start, waits)]
    for first, opening in enumerate(instants):
        for last, closing in enumerate(instants[first:], start=first):
            assert last - first + 1 <= burst + rate * (closing - opening) + 1e-5


@given(
    burst=bursts, start=starts, phases=st.lists(st.tuples(rates, st.floats(min_value=0.0, max_value=2.0)), max_size=20)
)
def test_no_run_of_changing_rates_allows_more_than_they_add_up_to(
    burst: int, start: float, phases: list[tuple[float, float]]
) -> None:
    limiter, now = Gcra(1.0, burst), start
    # At most ``burst`` more than the rates add up to, over every stretch: its excess over its own lowest point.
    excess = lowest = 0.0
    for rate, length in phases:
        limiter.set_rate(now, rate)
        for _ in range(3 * burst):
            if limiter.ready_at(now) > now:
                break
            limiter.reserve(now)
            excess += 1.0
        assert excess - lowest <= burst + 1e-5
        excess -= rate * length
        lowest = min(lowest, excess)
        now += length


@given(rate=rates, burst=bursts, start=starts, waits=gaps, rate_after=rates)
def test_the_instant_it_names_is_one_at_which_it_is_ready(
    rate: float, burst: int, start: float, waits: list[float], rate_after: float
) -> None:
    limiter = Gcra(rate, burst)
    for index, now in enumerate(instants_of(start, waits)):
        if index == len(waits) // 2:
            limiter.set_rate(now, rate_after)
        ready = limiter.ready_at(now)
        assert ready >= now
        assert limiter.ready_at(ready) == ready
        assert limiter.reserve(ready) == ready


@given(rate=rates, burst=bursts, start=starts, waits=gaps)
def test_places_are_given_in_order(rate: float, burst: int, start: float, waits: list[float]) -> None:
    limiter = Gcra(rate, burst)
    instants = [limiter.reserve(now) for now in instants_of(start, waits)]
    assert all(earlier <= later for earlier, later in pairwise(instants))
