from __future__ import annotations

import math
from random import Random

import pytest
from hazards import only
from hypothesis import given
from hypothesis import strategies as st

from kling_async.pacing import priors
from kling_async.pacing.hazard import BINS, EDGES, RATIO, WIDTHS, AgeBins, Hazard
from kling_async.pacing.priors import Prior, PriorFamily

pytestmark = pytest.mark.untraced

NOTHING = [0.0] * BINS
counts = st.lists(st.floats(0.0, 50.0), min_size=BINS, max_size=BINS)


def seen_of(durations: list[float]) -> tuple[list[float], list[float]]:
    """Ends in each bin and lives lived through in it, of durations in typical ones."""
    events, exposure = [0.0] * BINS, [0.0] * BINS
    for duration in durations:
        events[AgeBins(1.0).bin(duration)] += 1.0
        for number, (start, width) in enumerate(zip(EDGES, WIDTHS, strict=True)):
            exposure[number] += min(max(0.0, duration - start), width)
    return events, exposure


def drawn(median: float, spread: float, count: int = 40) -> list[float]:
    rng = Random(6)
    return [median * math.exp(rng.gauss(0.0, spread)) for _ in range(count)]


def hazard(rates: list[float]) -> Hazard:
    return Hazard(AgeBins(1.0), rates)


def believed(known: bool = True) -> PriorFamily:  # noqa: FBT001, FBT002 - a test's
    return priors.generating(known=known)


# A shape


@given(events=counts, exposure=counts)
def test_the_likelihood_of_a_prior_is_that_of_its_hazards(events: list[float], exposure: list[float]) -> None:
    rng = Random(1)
    rates = [rng.uniform(0.01, 5.0) for _ in range(BINS)]
    told = sum(e * math.log(rate) - rate * lived for e, lived, rate in zip(events, exposure, rates, strict=True))
    assert Prior(rates).log_likelihood(0, events, exposure) == pytest.approx(told, rel=1e-9, abs=1e-6)


@given(move=st.integers(-24, 24), number=st.integers(30, 140))
def test_a_shifted_prior_ends_later_by_that_much_and_as_often(move: int, number: int) -> None:
    shape = Prior([1.0] * 90 + [2.0] * (BINS - 90))
    events, exposure = [0.0] * BINS, [0.0] * BINS
    events[number], exposure[number] = 3.0, 0.5
    rate = (1.0 if number - move < 90 else 2.0) / RATIO**move
    assert shape.log_likelihood(move, events, exposure) == pytest.approx(3.0 * math.log(rate) - 0.5 * rate)
    if 0 <= number - move < BINS:
        assert shape.survival(move)[number] == shape.survival(0)[number - move]
        assert shape.density(move)[number] == shape.density(0)[number - move]


# A family


@given(events=counts, exposure=counts)
def test_of_one_member_nothing_is_to_be_learned(events: list[float], exposure: list[float]) -> None:
    rng = Random(2)
    rates = [rng.uniform(0.01, 5.0) for _ in range(BINS)]
    assert only(rates).posterior(events, exposure) == pytest.approx(rates)


@given(events=counts, exposure=counts, known=st.booleans())
def test_whatever_was_seen_hazards_stay_hazards(events: list[float], exposure: list[float], known: bool) -> None:  # noqa: FBT001
    rates = believed(known).posterior(events, exposure)
    assert len(rates) == BINS
    assert all(0.0 < rate < math.inf for rate in rates)


def test_with_nothing_seen_the_posterior_is_the_prior() -> None:
    assert believed().posterior(NOTHING, NOTHING) == pytest.approx(believed().rates)


@pytest.mark.parametrize("median", [0.4, 0.6, 1.0, 1.5, 2.5])
def test_forty_ends_tell_how_long_a_kind_takes(median: float) -> None:
    learned = hazard(believed().posterior(*seen_of(drawn(median, 0.15))))
    assert learned.median == pytest.approx(median, rel=0.1)


@pytest.mark.parametrize("spread", [0.08, 0.15, 0.3, 0.6])
def test_forty_ends_tell_how_wide_it_spreads(spread: float) -> None:
    learned = hazard(believed().posterior(*seen_of(drawn(1.0, spread))))
    # A lognormal's middle half reaches over 1.349 spreads.
    assert math.log(learned.quantile(0.75) / learned.quantile(0.25)) / 1.349 == pytest.approx(spread, rel=0.5)


def test_the_likelier_of_two_priors_wins_by_what_was_seen() -> None:
    quick, slow = [2.0] * BINS, [0.5] * BINS
    two = PriorFamily([(1.0, Prior(quick)), (1.0, Prior(slow))])
    assert two.rates[0] == pytest.approx(1.25)
    events, exposure = list(NOTHING), list(NOTHING)
    events[100], exposure[100] = 2.0, 2.0
    # Likelihoods are 4 exp(-4) and 0.25 exp(-1), to the power of 0.35.
    odds = math.pow(4.0 * math.exp(-4.0) / (0.25 * math.exp(-1.0)), 0.35)
    assert two.posterior(events, exposure)[0] == pytest.approx((2.0 * odds + 0.5) / (odds + 1.0))


def test_those_that_still_run_make_it_slower() -> None:
    _, exposure = seen_of([1.5] * 10)
    assert hazard(believed().posterior(NOTHING, exposure)).median > 1.3


def test_the_prior_of_an_unknown_model_has_a_wider_spread() -> None:
    seen = seen_of([2.2])
    known, unknown = (hazard(believed(each).posterior(*seen)).median for each in (True, False))
    assert 1.0 < known < unknown


# Early failures


def test_how_many_fail_early_is_what_was_seen_and_a_little_of_the_prior() -> None:
    density = [0.0] * BINS
    density[50] = 1.0 / WIDTHS[50]
    prior = PriorFamily([(1.0, Prior([1e-6] * BINS))], early_share=0.02, early_density=density)
    events, exposure = list(NOTHING), list(NOTHING)
    exposure[50] = 40.0 * WIDTHS[50]
    none = prior.posterior(events, exposure)[50] * WIDTHS[50]
    assert none == pytest.approx(0.02 * 0.05 / (0.05 + 0.02 * 40.0), rel=1e-3)
    events[50] = 2.0
    some = prior.posterior(events, exposure)[50] * WIDTHS[50]
    assert some == pytest.approx(0.02 * (0.05 + 2.0) / (0.05 + 0.02 * 40.0), rel=1e-2)


def test_early_failures_do_not_make_a_kind_seem_quicker() -> None:
    usual = drawn(1.0, 0.15)
    without, with_some = (hazard(believed().posterior(*seen_of(each))) for each in (usual, [0.03, 0.05, 0.08, *usual]))
    assert with_some.quantile(0.6, 0.5) == pytest.approx(without.quantile(0.6, 0.5), rel=0.03)
    assert with_some.survival(0.2) < 0.96 < without.survival(0.2)


@pytest.mark.parametrize("slow", [2.8, 3.0])
def test_thirty_ends_tell_two_back_ends_apart(slow: float) -> None:
    learned = hazard(believed().posterior(*seen_of([*drawn(0.6, 0.15, 15), *drawn(0.6 * slow, 0.15, 15)])))
    between = learned.survival(0.6 * slow**0.4) - learned.survival(0.6 * slow**0.6)
    assert between < 0.08
