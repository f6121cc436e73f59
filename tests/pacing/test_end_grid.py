from __future__ import annotations

import json
import math
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hazards import estimator, wild
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.results import GenerationStatus
from kling_async.pacing.durations import DurationModels, GenerationKind, from_data, to_data
from kling_async.pacing.end_grid import EndGrid, _survival
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import HazardSchedule
from kling_async.pacing.tracking import DurationLearner, GenerationTracker

if TYPE_CHECKING:
    from kling_async.pacing.hazard import Hazard

PERIODS = (5.0, 10.0, 15.0, 20.0, 30.0)
ages = st.floats(0.0, 5000.0)
jitters = st.floats(-1.0, 1.0)


def lognormal(rng: Random) -> float:
    return 330.0 * math.exp(rng.gauss(0.0, 0.2))


def observed(grid: EndGrid, end: float, rng: Random, hazard: Hazard, gap: float = 8.0) -> None:
    """Count an end that polls of a running generation would have found."""
    begin = 0.0
    while (at := begin + gap * rng.uniform(0.6, 1.4)) < end:
        begin = at
    grid.observe(hazard, begin, at)


def believing(period: float = 15.0) -> EndGrid:
    grid, rng = EndGrid(), Random(1)
    for _ in range(60):
        end = math.ceil(lognormal(rng) / period) * period + rng.random()
        observed(grid, end, rng, estimator(330.0).hazard, gap=0.35 * period)
    return grid


BELIEVING = believing()  # not to be changed


@pytest.mark.parametrize("period", PERIODS)
def test_a_few_ends_on_a_grid_tell_its_period(period: float) -> None:
    assert believing(period).period == period


@pytest.mark.parametrize("gap", [1.5, 4.0, 8.0, 12.0, 30.0])
def test_no_grid_is_believed_where_there_is_none(gap: float) -> None:
    hazard = estimator(330.0).hazard
    for seed in range(20):
        grid, rng = EndGrid(), Random(seed)
        for _ in range(200):
            observed(grid, hazard.quantile(rng.random()), rng, hazard, gap)
            assert grid.period is None


@pytest.mark.parametrize("gap", [2.0, 4.0, 7.0, 10.0, 14.0])
def test_many_that_began_together_do_not_look_like_a_grid(gap: float) -> None:
    """They are polled at much the same ages, while the hazard is hardly known: their ends come in clusters."""
    hazard = estimator(330.0).hazard
    for seed in range(4):
        grid, rng = EndGrid(), Random(seed)
        found: list[tuple[float, float]] = []
        for _ in range(500):
            end, begin = lognormal(rng), 240.0 + rng.uniform(0.0, 1.0)
            while (at := begin + gap * rng.uniform(0.8, 1.2)) < end:
                begin = at
            found.append((at, begin))
        for at, begin in sorted(found):
            grid.observe(hazard, begin, at)
            assert grid.period is None


def test_a_grid_that_no_longer_holds_is_given_up() -> None:
    learner, rng = learned()
    grid = learner.track("a", 5, 0.0).run_estimator.grid
    assert grid.period == 15.0
    for _ in range(150):
        polled(learner, lognormal(rng), rng)
    assert grid.period is None


@given(st.integers(0, 1000), st.lists(ages, min_size=1, max_size=30, unique=True), st.sampled_from(PERIODS))
def test_the_mean_of_the_ratio_is_one_without_a_grid(seed: int, polls: list[float], period: float) -> None:
    hazard = wild(seed)
    plan = [0.0, *sorted(polls), 1e7]
    moved = [_survival(hazard, one, period) - _survival(hazard, other, period) for one, other in pairwise(plan)]
    assert sum(moved) == pytest.approx(1.0, abs=1e-9)
    assert min(moved) >= -1e-9  # the survival of what is moved never rises either


@given(ages, ages, jitters)
def test_polls_stay_where_they_are_while_no_grid_is_believed(age: float, least: float, jitter: float) -> None:
    assert EndGrid().aligned(age, least, jitter) == age


@given(ages, ages, ages, st.floats(-0.9, 0.9))
def test_polls_move_to_just_after_the_nearest_instant(age: float, other: float, least: float, jitter: float) -> None:
    grid, planned = BELIEVING, max(age, least)
    moved = grid.aligned(planned, least, jitter)
    assert moved >= least - 1e-9
    assert moved % 15.0 == pytest.approx(2.0)
    assert abs(moved - planned) <= 15.0
    assert moved <= grid.aligned(max(planned, other), least, jitter)


@given(ages, st.sampled_from([-1.0, -0.95, 0.95, 1.0]))
def test_one_in_ten_stays_where_it_is_to_test_the_grid(age: float, jitter: float) -> None:
    assert BELIEVING.aligned(age, 0.0, jitter) == age


@given(st.floats(), st.floats(), st.integers(0, 100))
def test_nothing_that_is_observed_raises(start: float, end: float, seed: int) -> None:
    EndGrid().observe(wild(seed), start, end)


def polled(learner: DurationLearner, duration: float, rng: Random, *, shown: bool = False, price: float = 0.15) -> None:
    """Poll a generation by the schedule until its end is noticed, which the ledger may have shown."""
    schedule, tracker = HazardSchedule(PollCost.of(price)), learner.track("a", 5, 100.0)
    while (at := schedule.due(tracker)) < 100.0 + duration:
        learner.running(tracker, at, GenerationStatus.GENERATING, rng)
    tracker.shown = at if shown else None
    learner.ended(tracker, at)


def learned(*, shown: bool = False) -> tuple[DurationLearner, Random]:
    """A learner whose generations of a kind ended on a grid of 15 s."""
    learner, rng = DurationLearner(DurationModels()), Random(3)
    for _ in range(60):
        polled(learner, math.ceil(lognormal(rng) / 15.0) * 15.0 + rng.random(), rng, shown=shown)
    return learner, rng


def test_the_schedule_moves_the_polls_of_a_kind_on_a_grid() -> None:
    learner, rng = learned()
    schedule = HazardSchedule(PollCost.of(0.15))
    tracker = learner.track("a", 5, 7.0)
    on_grid = 0
    for _ in range(20):
        at = schedule.due(tracker)
        assert at >= tracker.seen + 1.0
        assert schedule.earliest(tracker) <= at
        on_grid += math.isclose((at - 7.0) % 15.0, 2.0, abs_tol=1e-6)
        learner.running(tracker, at, GenerationStatus.GENERATING, rng)
    assert on_grid >= 14  # one in ten is not moved
    tracker.latest = tracker.seen + 0.5
    assert schedule.due(tracker) == tracker.latest


@pytest.mark.parametrize(("late", "within"), [(0.5, 1.0), (0.0, 2.0), (1.5, 1.0), (3.0, 1.0), (0.0, 8.0)])
def test_a_grid_that_is_not_quite_one_is_believed_only_where_polls_after_it_find_the_ends(
    late: float, within: float
) -> None:
    learner, rng = DurationLearner(DurationModels()), Random(6)
    for _ in range(100):
        polled(learner, math.ceil(lognormal(rng) / 15.0) * 15.0 + late + within * rng.random(), rng)
    believed = learner.track("a", 5, 0.0).run_estimator.grid.period is not None
    assert believed == (late + within <= 2.0)


def test_ends_that_the_ledger_shows_tell_of_no_grid() -> None:
    learner, _ = learned(shown=True)
    estimator = learner.track("a", 5, 0.0).run_estimator
    assert estimator.generations > 30.0
    assert estimator.grid.period is None


def test_evidence_is_kept_with_what_was_learned() -> None:
    """A session whose few ends say little goes on where the one before it ended."""
    models, rng = DurationModels(), Random(3)
    for _ in range(60):
        polled(DurationLearner(models), math.ceil(lognormal(rng) / 15.0) * 15.0 + rng.random(), rng, price=0.5)
        models = from_data(json.loads(json.dumps(to_data(models), allow_nan=False)))
    grid = models.estimator(GenerationKind("a", 5)).grid
    assert grid.period == 15.0
    assert [each for each in grid.evidence() if each[0] == 10.0] == []  # what speaks against one is not


def test_evidence_in_seconds_is_nothing_to_a_stand_in_of_another_speed() -> None:
    models = learned()[0].models
    assert from_data(to_data(models), scale=60.0).estimator(GenerationKind("a", 5)).grid.evidence() == []
    models = from_data(to_data(models), scale=60.0)
    models.estimator(GenerationKind("a", 5)).grid = believing()
    assert to_data(models)["tables"][0]["instants"] == []


@given(st.lists(st.tuples(st.floats(-1e12, 1e12) | st.sampled_from(PERIODS), st.floats(-1e12, 1e12), st.floats(-9, 9))))
def test_any_numbers_are_evidence(evidence: list[tuple[float, float, float]]) -> None:
    grid = EndGrid(evidence)
    assert grid.aligned(100.0, 0.0, 0.0) > 0.0
    assert EndGrid(grid.evidence()).period == grid.period


def test_a_queued_one_and_other_kinds_are_left_alone() -> None:
    learner, rng = learned()
    schedule = HazardSchedule(PollCost.of(0.15))
    queued = learner.track("a", 5, 0.0)
    learner.running(queued, 20.0, GenerationStatus.QUEUED, rng)
    plain = GenerationTracker(queued.queue_estimator, estimator(330.0), 0.0, 20.0, polls=1, queued=True)
    plain.run_estimator._hazard = queued.run_estimator.hazard
    plain.jitter = queued.jitter
    assert schedule.due(queued) == schedule.due(plain)
    assert learner.track("another", 5, 0.0).run_estimator.grid.period is None
