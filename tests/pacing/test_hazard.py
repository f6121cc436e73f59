from __future__ import annotations

import math

import pytest
from hazards import flat, wild
from hypothesis import given
from hypothesis import strategies as st

from kling_async.pacing import priors
from kling_async.pacing.hazard import BINS, AgeBins, Hazard

seeds = st.integers(min_value=0, max_value=2**32)
ages = st.floats(min_value=0.0, max_value=1e5)
prices = st.floats(min_value=0.01, max_value=30.0)


# The bins


@given(unit=st.floats(min_value=1e-3, max_value=1e5), share=st.floats(min_value=0.0, max_value=100.0))
def test_every_age_has_the_one_bin_it_lies_in(unit: float, share: float) -> None:
    grid, age = AgeBins(unit), share * unit
    number = grid.bin(age)
    assert grid.edges[number] <= age
    assert number == BINS - 1 or age < grid.edges[number + 1]


def test_bins_are_a_twentieth_longer_each() -> None:
    grid = AgeBins(100.0)
    assert grid.edges[:3] == pytest.approx((0.0, 1.0, 1.05))
    assert grid.widths[:3] == pytest.approx((1.0, 0.05, 0.0525))
    assert len(grid.edges) == len(grid.widths) == BINS
    assert 4500.0 < grid.edges[-1] < 5500.0


# Survival


def test_a_constant_hazard_is_an_exponential() -> None:
    hazard = flat(0.01)
    assert hazard.cumulative_hazard(250.0) == pytest.approx(2.5)
    assert hazard.survival(100.0) == pytest.approx(math.exp(-1.0))
    assert hazard.median == pytest.approx(100.0 * math.log(2.0))
    assert hazard.quantile(0.9, 40.0) == pytest.approx(40.0 + 100.0 * math.log(10.0))
    assert hazard.sqrt_hazard(123.0) == pytest.approx(0.1)


@given(seed=seeds, first=ages, second=ages)
def test_the_cumulative_hazard_only_rises_and_its_inverse_undoes_it(seed: int, first: float, second: float) -> None:
    hazard = wild(seed)
    low, high = sorted((first, second))
    assert 0.0 <= hazard.cumulative_hazard(low) <= hazard.cumulative_hazard(high) < math.inf
    assert hazard.age(hazard.cumulative_hazard(high)) == pytest.approx(high, rel=1e-6, abs=1e-6)


@given(seed=seeds, age=ages, shares=st.tuples(st.floats(0.0, 0.99), st.floats(0.0, 0.99)))
def test_quantiles_come_in_order_and_never_before_the_age(seed: int, age: float, shares: tuple[float, float]) -> None:
    hazard = wild(seed)
    low, high = sorted(shares)
    assert age <= hazard.quantile(low, age) <= hazard.quantile(high, age) < math.inf


@pytest.mark.parametrize("known", [True, False])
def test_the_prior_is_centred_on_what_is_typical(known: bool) -> None:  # noqa: FBT001 - a parameter
    hazard = Hazard(AgeBins(1.0), priors.generating(known=known).rates)
    assert hazard.median == pytest.approx(1.03, abs=0.03)
    assert 1.0 - hazard.survival(0.2) == pytest.approx(0.015, abs=0.01)  # early failures
    assert 0.03 < hazard.survival(2.2) < 0.13  # a slow tail
    assert all(0.0 < rate < 20.0 for rate in hazard.rates)


def test_what_waits_may_wait_for_any_time() -> None:
    hazard = Hazard(AgeBins(1.0), priors.queued().rates)
    assert hazard.median == pytest.approx(0.5, rel=0.02)
    assert hazard.quantile(0.9) > 2.0


# When to ask next


def test_the_gap_for_a_constant_hazard_by_hand() -> None:
    # x = w sqrt(h) = 0.1, so the odds are to be 0.1 + 0.01 / 3, and ln(1.10333) / 0.01 = 9.834 s
    hazard = flat(0.01)
    assert hazard.next_poll(0.0, 1.0) == pytest.approx(9.834, abs=1e-3)
    assert hazard.next_poll(500.0, 1.0) == pytest.approx(509.834, abs=1e-3)
    assert hazard.first_poll(1.0) == hazard.next_poll(0.0, 1.0)


@pytest.mark.parametrize("seconds_per_poll", [0.05, 0.5, 5.0, 20.0])
def test_no_other_constant_gap_costs_less_by_a_thousandth(seconds_per_poll: float) -> None:
    rate = 0.01

    def cost(gap: float) -> float:
        ended = -math.expm1(-rate * gap)
        return (seconds_per_poll + gap - ended / rate) / ended

    chosen = flat(rate).next_poll(0.0, math.sqrt(2.0 * seconds_per_poll))
    assert cost(chosen) <= 1.001 * min(cost(chosen * factor / 100.0) for factor in range(50, 200))


def test_the_poll_comes_as_the_hazard_drops_after_a_hump() -> None:
    grid = AgeBins(100.0)
    rates = [0.002 if edge < 20.0 else 1e-6 for edge in grid.edges]
    drop = next(edge for edge in grid.edges if edge >= 20.0)
    assert Hazard(grid, rates).next_poll(0.0, 1.0) == pytest.approx(drop)


def test_one_poll_serves_a_hump_and_the_rise_right_after_it() -> None:
    grid = AgeBins(100.0)
    hump = [0.0005 if edge < 20.0 else 1e-6 for edge in grid.edges]
    risen = [0.02 if edge >= 24.0 else rate for edge, rate in zip(grid.edges, hump, strict=True)]
    assert Hazard(grid, risen).next_poll(0.0, 1.0) > 24.0 > Hazard(grid, hump).next_poll(0.0, 1.0)


def test_one_poll_does_not_serve_a_hump_and_a_rise_much_later() -> None:
    grid = AgeBins(100.0)
    rates = [0.002 if edge < 20.0 else 1e-6 if edge < 400.0 else 0.02 for edge in grid.edges]
    assert Hazard(grid, rates).next_poll(0.0, 1.0) < 25.0


@given(seed=seeds, age=ages, price=prices)
def test_the_next_poll_is_always_later_and_some_time(seed: int, age: float, price: float) -> None:
    assert age < wild(seed).next_poll(age, price) < math.inf


@given(rate=st.floats(1e-5, 1.0), age=ages, low=prices, high=prices)
def test_dearer_polls_are_rarer(rate: float, age: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    hazard = flat(rate)
    assert hazard.next_poll(age, low) <= hazard.next_poll(age, high) * (1 + 1e-12)


@given(seed=seeds, prices=st.lists(prices, min_size=1, max_size=6))
def test_first_polls_are_remembered_right(seed: int, prices: list[float]) -> None:
    hazard = wild(seed)
    assert [hazard.first_poll(price) for price in prices] == [hazard.next_poll(0.0, price) for price in prices]
