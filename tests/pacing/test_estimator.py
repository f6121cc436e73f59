from __future__ import annotations

import math
from random import Random

import pytest
from hazards import estimator, lognormal, only
from hypothesis import given
from hypothesis import strategies as st

from kling_async.pacing import priors
from kling_async.pacing.estimator import HazardEstimator
from kling_async.pacing.hazard import BINS, AgeBins

anything = st.floats(allow_nan=True, allow_infinity=True) | st.floats(min_value=0.0, max_value=1e4)
observations = st.lists(st.tuples(st.booleans(), anything, anything), max_size=60)


def test_with_nothing_seen_the_hazard_is_the_priors() -> None:
    assert estimator(100.0).hazard.rates == pytest.approx(
        [rate / 100.0 for rate in priors.generating(known=True).rates]
    )


def test_living_through_bins_counts_the_time_in_each() -> None:
    seen = estimator(100.0)
    seen.observe_pending(0.5, 1.1)  # bins end at 1, 1.05, 1.1025 …
    seen.observe_pending(1.01, 1.04)
    events, exposure = seen.seen()
    assert exposure[:4] == pytest.approx([0.5, 0.05 + 0.03, 0.05, 0.0])
    assert sum(events) == 0.0


def test_a_long_wait_counts_in_full_and_in_one_stroke() -> None:
    seen = estimator(100.0)
    for _ in range(3):
        seen.observe_pending(0.0, 300.0)
    _, exposure = seen.seen()
    assert sum(exposure) == pytest.approx(900.0)
    assert exposure[0] == pytest.approx(3.0)


@pytest.mark.parametrize("end", [5.0, 5.1, 500.0])
def test_what_is_retracted_is_as_if_it_had_never_been_observed(end: float) -> None:
    watched, other = estimator(), estimator()
    for each in (watched, other):
        each.observe_pending(0.0, 90.0)
    watched.observe_pending(5.0, end)
    watched.retract_pending(5.0, end)
    watched.retract_pending(math.nan, end)
    watched.retract_pending(10.0, 5.0)
    (events, exposure), (expected_events, expected_exposure) = watched.seen(), other.seen()
    assert events == expected_events
    assert exposure == pytest.approx(expected_exposure)


def test_what_is_retracted_after_it_has_faded_leaves_no_less_than_nothing() -> None:
    watched = estimator()
    watched.retract_pending(5.0, 50.0)
    assert min(watched.seen()[1]) == 0.0


def test_an_end_at_a_known_age_lies_in_its_bin() -> None:
    seen = estimator(100.0)
    seen.observe_detection(101.0, 101.0)
    events, exposure = seen.seen()
    assert events[seen.bins.bin(101.0)] == 1.0
    assert sum(events) == 1.0
    assert sum(exposure) == 0.0


def test_an_end_between_two_polls_is_spread_as_the_hazard_has_it() -> None:
    grid = AgeBins(100.0)
    seen = HazardEstimator(grid, only((0.5,) * BINS))  # half a hundredth ends per second
    start, edge, end = grid.edges[60], grid.edges[61], grid.edges[62]
    seen.observe_detection(start, end)
    events, exposure = seen.seen()
    ended = 1.0 - math.exp(-0.005 * (end - start))
    assert events[60] == pytest.approx((1.0 - math.exp(-0.005 * (edge - start))) / ended)
    assert sum(events) == pytest.approx(1.0)
    # The mean of an exponential that is cut off at the interval's end.
    assert sum(exposure) == pytest.approx(200.0 - (end - start) * (1.0 - ended) / ended)


def test_ends_that_the_prior_cannot_explain_raise_the_hazard_around_them() -> None:
    believed = only(priors.generating(known=True).rates)
    seen, number = HazardEstimator(AgeBins(100.0), believed), AgeBins(100.0).bin(50.0)
    before = seen.hazard.rates
    seen.observe_detection(50.0, 50.0)
    seen.rebuild()
    assert seen.hazard.rates[number] > 1.5 * before[number]
    assert seen.hazard.rates[number + 40] == pytest.approx(before[number + 40])


def test_two_humps_are_told_apart() -> None:
    rng = Random(5)
    seen = lived_and_ended([lognormal(rng.choice([70.0, 140.0]), 0.06, rng) for _ in range(300)])
    first, valley, second = (seen.hazard.rates[seen.bins.bin(age)] for age in (70.0, 98.0, 140.0))
    assert valley < first / 4.0
    assert valley < second / 20.0


def test_exposure_without_an_end_lower_the_hazard() -> None:
    seen, number = estimator(100.0), AgeBins(100.0).bin(100.0)
    before = seen.hazard.rates[number]
    for _ in range(20):
        seen.observe_pending(0.0, 150.0)
    assert seen.hazard.rates[number] < before / 3.0


def lived_and_ended(events: list[float]) -> HazardEstimator:
    seen = estimator(100.0)
    for end in events:
        seen.observe_pending(0.0, end)
        seen.observe_detection(end, end)
    seen.rebuild()
    return seen


def test_after_thirty_that_did_not_fail_early_hardly_any_is_expected_to() -> None:
    before = 1.0 - estimator(100.0).hazard.survival(20.0)
    seen = lived_and_ended([90.0 + step for step in range(30)])
    assert before > 0.01
    assert 1.0 - seen.hazard.survival(20.0) < before / 4.0


def test_one_early_failure_of_thirty_is_learned() -> None:
    seen = lived_and_ended([5.0, *(90.0 + step for step in range(29))])
    assert 1.0 - seen.hazard.survival(20.0) > 0.02


def test_what_ends_closer_together_is_drawn_sharper() -> None:
    rng = Random(4)
    near, far = (lived_and_ended([lognormal(100.0, spread, rng) for _ in range(300)]) for spread in (0.1, 0.35))
    assert near.hazard.survival(80.0) > 0.95 > far.hazard.survival(80.0)
    assert near.hazard.survival(125.0) < 0.05 < far.hazard.survival(125.0)


def test_the_hazard_is_worked_out_anew_after_twenty_observations() -> None:
    seen = estimator()
    before = seen.hazard
    for _ in range(19):
        seen.observe_pending(10.0, 20.0)
    assert seen.hazard is before
    seen.observe_pending(10.0, 20.0)
    assert seen.hazard is not before


def test_an_end_at_some_time_or_other_tells_nothing() -> None:
    seen = estimator(100.0)
    seen.observe_detection(0.0, 36_000.0)
    assert seen.generations == 0.0
    assert not any(map(any, seen.seen()))


@pytest.mark.parametrize(("start", "end"), [(5.0, 4.0), (math.nan, 4.0), (0.0, math.nan), (0.0, math.inf), (0.0, 1e12)])
def test_what_makes_no_sense_is_ignored(start: float, end: float) -> None:
    seen = estimator()
    seen.observe_pending(start, end)
    seen.observe_detection(start, end)
    assert not any(map(any, seen.seen()))


def test_an_age_before_the_beginning_is_the_beginning() -> None:
    seen = estimator(100.0)
    seen.observe_pending(-5.0, 0.5)
    assert seen.seen()[1][0] == 0.5


@given(observations=observations)
def test_no_observation_raises_or_spoils_the_hazard(observations: list[tuple[bool, float, float]]) -> None:
    seen = estimator()
    for ended, start, end in observations:
        (seen.observe_detection if ended else seen.observe_pending)(start, end)
    seen.rebuild()
    assert all(0.0 < rate < math.inf for rate in seen.hazard.rates)
    assert 0.0 < seen.hazard.median < math.inf
    assert 0.0 <= seen.generations <= len(observations)


def test_what_is_old_fades() -> None:
    seen, rng = estimator(100.0), Random(1)
    for _ in range(3000):
        end = lognormal(100.0, 0.35, rng)
        seen.observe_pending(0.0, end)
        seen.observe_detection(end, end)
    assert 350.0 < seen.generations < 450.0
    for _ in range(1500):
        end = lognormal(60.0, 0.35, rng)
        seen.observe_pending(0.0, end)
        seen.observe_detection(end, end)
    seen.rebuild()
    assert seen.hazard.median == pytest.approx(60.0, rel=0.05)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.5])
def test_it_learns_how_long_things_really_take(factor: float) -> None:
    seen, rng = estimator(100.0), Random(2)
    for _ in range(200):
        end = lognormal(100.0 * factor, 0.35, rng)
        polled = end // 5.0 * 5.0
        seen.observe_pending(0.0, polled)
        seen.observe_detection(polled, polled + 5.0)
    seen.rebuild()
    assert seen.hazard.median == pytest.approx(100.0 * factor, rel=0.07)


def test_those_still_running_teach_more_than_the_finished_alone() -> None:
    rng = Random(3)
    whole, finished_only = estimator(100.0), estimator(100.0)
    for duration in [lognormal(150.0, 0.35, rng) for _ in range(300)]:
        ended_at = min(duration, 130.0)  # all began 130 s ago
        whole.observe_pending(0.0, ended_at)
        if duration <= 130.0:
            whole.observe_detection(ended_at, ended_at)
            finished_only.observe_pending(0.0, ended_at)
            finished_only.observe_detection(ended_at, ended_at)
    whole.rebuild()
    finished_only.rebuild()
    true_share = 0.5 * math.erfc(math.log(150.0 / 130.0) / (0.35 * math.sqrt(2.0)))
    error = abs(1.0 - whole.hazard.survival(130.0) - true_share)
    assert error < 0.06
    assert abs(1.0 - finished_only.hazard.survival(130.0) - true_share) > 5.0 * error


def test_an_estimator_shows_what_it_has_learned() -> None:
    assert repr(estimator(100.0)) == f"<HazardEstimator of 0.0 jobs, median {estimator(100.0).hazard.median:.1f} s>"
