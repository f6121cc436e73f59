from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hazards import MODEL, learner
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.results import GenerationStatus
from kling_async.pacing.durations import GenerationKind, Phase
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import BackoffSchedule, FixedSchedule, HazardSchedule
from kling_async.pacing.tracking import still_running
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from kling_async.pacing.tracking import DurationLearner, GenerationTracker

QUEUED, GENERATING = GenerationStatus.QUEUED, GenerationStatus.GENERATING
GAP = 9.834  # seconds between polls at a price of 1, where one in a hundred ends per second


def answered(learner: DurationLearner, *answers: tuple[float, GenerationStatus], seed: int = 0) -> GenerationTracker:
    tracker = learner.track(MODEL, 5, 1000.0)
    for at, status in answers:
        learner.running(tracker, at, status, Random(seed))
    return tracker


def seen(learner: DurationLearner, phase: Phase = Phase.GENERATING) -> tuple[float, float]:
    """How many ends were seen, and how long lives."""
    events, exposure = learner.models.estimator(GenerationKind(MODEL, 5, phase)).seen()
    return sum(events), sum(exposure)


# The price


def test_profiles_from_fast_to_economy_poll_ever_less() -> None:
    assert list(PROFILES) == ["fast", "balanced", "economy"]
    assert [PollCost.of(seconds).least for seconds in PROFILES.values()] == pytest.approx([0.316, 0.548, 1.0], abs=1e-3)


def test_polls_are_shared_out_by_price() -> None:
    price = PollCost(0.5)
    assert (price.now, price.scarcity) == (0.5, 1.0)
    price.spread(demand=50.0, rate=10.0)
    assert (price.now, price.scarcity) == (3.0, 6.0)


@given(demand=st.floats(0.0, 1e6), rate=st.floats(0.001, 1e6) | st.just(math.inf))
def test_no_price_is_below_the_least(demand: float, rate: float) -> None:
    price = PollCost(0.5)
    price.spread(demand, rate)
    assert 0.5 <= price.now < math.inf


# What answers say


def test_a_poll_that_finds_it_running_counts_the_time_since_the_last() -> None:
    learning = learner()
    answered(learning, (1100.0, GENERATING), (1130.0, GENERATING))
    events, exposure = seen(learning)
    assert events == 0.0
    assert exposure == pytest.approx(130.0)
    assert seen(learning, Phase.QUEUED) == (0.0, 0.0)


def test_its_end_is_counted_between_the_last_two_polls() -> None:
    learning = learner()
    tracker = answered(learning, (1200.0, GENERATING))
    learning.ended(tracker, 1210.0)
    events, exposure = seen(learning)
    assert events == pytest.approx(1.0)
    assert 200.0 < exposure < 210.0


def test_one_found_waiting_begins_to_work_between_the_two_polls() -> None:
    learning = learner()
    tracker = answered(learning, (1040.0, QUEUED), (1100.0, QUEUED), (1140.0, GENERATING), (1150.0, GENERATING))
    assert (tracker.since, tracker.seen, tracker.queued) == (1120.0, 1150.0, False)
    events, exposure = seen(learning)
    assert events == 0.0
    assert exposure == pytest.approx(30.0)
    events, exposure = seen(learning, Phase.QUEUED)
    assert events == pytest.approx(1.0)
    assert 100.0 < exposure < 140.0


def test_one_that_was_waiting_until_its_end_worked_for_less_than_a_gap() -> None:
    learning = learner()
    learning.ended(answered(learning, (1040.0, QUEUED)), 1060.0)
    events, exposure = seen(learning)
    assert events == pytest.approx(1.0)
    assert 0.0 < exposure < 20.0
    assert seen(learning, Phase.QUEUED)[0] == pytest.approx(1.0)


def test_one_in_two_hundred_is_plain() -> None:
    following = learner()
    assert sum(following.track(MODEL, 5, 0.0).plain for _ in range(1000)) == 5


def test_running_without_a_poll_is_counted_once_and_only_where_it_is_worth_it() -> None:
    following = learner()
    tracker = answered(following, (1100.0, GENERATING))
    still_running(tracker, 1104.0)
    assert seen(following)[1] == pytest.approx(100.0)
    still_running(tracker, 1150.0)
    still_running(tracker, 1150.0)
    following.running(tracker, 1160.0, GENERATING, Random(0))
    assert seen(following)[1] == pytest.approx(160.0)


def test_running_without_a_poll_is_taken_back_if_it_still_waits() -> None:
    following = learner()
    tracker = answered(following)
    still_running(tracker, 1050.0)
    following.running(tracker, 1060.0, QUEUED, Random(0))
    assert seen(following)[1] == pytest.approx(0.0)
    assert seen(following, Phase.QUEUED)[1] == pytest.approx(60.0)


def test_one_that_works_does_not_wait_again() -> None:
    tracker = answered(learner(), (1040.0, GENERATING), (1050.0, QUEUED), (1060.0, GenerationStatus.UNKNOWN))
    assert (tracker.since, tracker.queued, tracker.polls) == (1000.0, False, 3)


@given(
    answers=st.lists(
        st.tuples(st.floats(0.0, 1e5), st.sampled_from([QUEUED, GENERATING, GenerationStatus.UNKNOWN])), max_size=20
    ),
    end=st.floats(0.0, 1e5),
)
def test_answers_in_any_order_never_raise(answers: list[tuple[float, GenerationStatus]], end: float) -> None:
    learning = learner()
    tracker = answered(learning, *answers)
    forecast = tracker.forecast(end)
    assert end <= forecast.median <= forecast.late < math.inf
    learning.ended(tracker, end)


# What is expected


def test_a_forecast_goes_by_the_last_answer() -> None:
    learning = learner(rate=0.01)
    tracker = answered(learning, (1050.0, GENERATING))
    forecast = tracker.forecast(1060.0)
    assert forecast.median == pytest.approx(1050.0 + 100.0 * math.log(2.0), abs=2.0)
    assert forecast.late == pytest.approx(1050.0 + 100.0 * math.log(10.0), abs=3.0)


def test_what_should_have_ended_is_expected_now() -> None:
    learning = learner(rate=0.01)
    assert answered(learning).forecast(9000.0).median == 9000.0


def test_one_that_waits_is_expected_to_be_taken_up_first() -> None:
    learning = learner(rate=0.01)
    tracker = answered(learning, (1030.0, QUEUED))
    assert tracker.forecast(1030.0).median == pytest.approx(1030.0 + 200.0 * math.log(2.0), abs=3.0)
    assert repr(learning) == "<DurationLearner with <DurationModels of 2 kinds>>"


# When to ask


def ripe_gap(tracker: GenerationTracker, price: PollCost, **settings: Any) -> float:
    return HazardSchedule(price, **settings).earliest(tracker) - tracker.seen


def test_the_first_sleep_has_no_jitter() -> None:
    assert ripe_gap(answered(learner(0.01)), PollCost(1.0)) == pytest.approx(GAP, abs=1e-3)


def test_later_sleeps_are_off_by_up_to_a_fifth_of_the_price() -> None:
    gaps = [ripe_gap(answered(learner(0.01), (1000.0, GENERATING), seed=seed), PollCost(1.0)) for seed in range(100)]
    assert min(gaps) == pytest.approx(0.8 * GAP, rel=0.02)
    assert max(gaps) == pytest.approx(1.2 * GAP, rel=0.02)


def test_a_sleep_is_the_same_whenever_it_is_looked_at() -> None:
    tracker, schedule = answered(learner(0.01), (1010.0, GENERATING)), HazardSchedule(PollCost(1.0))
    assert len({schedule.earliest(tracker) for _ in range(5)}) == 1


def test_scarce_polls_come_later_than_they_would_be_worth() -> None:
    price = PollCost(1.0)
    price.spread(demand=50.0, rate=7.5)
    tracker, schedule = answered(learner(0.01)), HazardSchedule(price)
    assert schedule.earliest(tracker) == pytest.approx(1000.0 + GAP, abs=1e-3)
    assert schedule.due(tracker) == pytest.approx(1000.0 + 100.0 * math.log1p(0.4 + 0.16 / 3.0))


def test_the_least_gap_holds() -> None:
    assert ripe_gap(answered(learner(0.01)), PollCost(0.01), min_gap=3.0) == 3.0


def test_the_longest_gap_holds_after_the_first_poll_and_is_stretched_as_polls_get_scarce() -> None:
    price = PollCost(1.0)
    schedule = HazardSchedule(price, max_gap=200.0)
    learning = learner(1e-5)
    first = learning.track(MODEL, 5, 1000.0)
    assert schedule.earliest(first) == pytest.approx(1316.0, abs=1.0)
    first.run_estimator.hazard.median = 300.0
    polled = answered(learning, (1000.0, GENERATING))
    assert schedule.earliest(polled) == 1200.0
    polled.run_estimator.hazard.median = 500.0
    assert schedule.earliest(polled) == 1250.0  # half of what its kind takes
    price.spread(demand=25.0, rate=7.5)
    assert schedule.due(polled) == 1500.0


def test_one_that_waits_is_asked_about_slowly() -> None:
    learning = learner(0.01)
    tracker = answered(learning, (1000.0, QUEUED))
    gap = ripe_gap(tracker, PollCost(0.1), jitter=0.0)
    assert gap == pytest.approx(0.5 * 100.0 * math.log(2.0), abs=0.5)
    assert HazardSchedule(PollCost(0.1)).demand(tracker, 1000.0) == pytest.approx(0.1 / gap)
    quick = answered(learner(1.0), (1000.0, QUEUED))
    assert ripe_gap(quick, PollCost(0.1), jitter=0.0) == 15.0


def test_demand_is_the_root_of_the_hazard() -> None:
    assert HazardSchedule(PollCost(1.0)).demand(answered(learner(0.01)), 1500.0) == pytest.approx(0.1)


def test_an_error_puts_off_the_next_poll_until_an_answer() -> None:
    learning, schedule = learner(0.01), HazardSchedule(PollCost(1.0))
    tracker = answered(learning, (1010.0, GENERATING))
    tracker.forced_at = 1500.0
    assert schedule.earliest(tracker) == schedule.due(tracker) == 1500.0
    learning.running(tracker, 1501.0, GENERATING, Random(0))
    assert schedule.earliest(tracker) < 1520.0


def test_its_last_poll_comes_when_its_time_is_up() -> None:
    learning, schedule = learner(0.01), HazardSchedule(PollCost(1.0))
    tracker = learning.track(MODEL, 5, 1000.0, latest=1004.0)
    assert schedule.earliest(tracker) == schedule.due(tracker) == 1004.0
    tracker.forced_at = 2000.0
    assert schedule.earliest(tracker) == 1004.0


@given(
    answers=st.lists(st.tuples(st.floats(1000.0, 1e5), st.sampled_from([QUEUED, GENERATING])), max_size=8),
    least=st.floats(0.01, 5.0),
    demand=st.floats(0.0, 1e4),
    min_gap=st.floats(0.1, 10.0),
    seed=st.integers(0, 1000),
)
def test_no_poll_comes_sooner_than_the_least_gap_nor_is_due_before_it_is_worth_it(
    answers: list[tuple[float, GenerationStatus]], least: float, demand: float, min_gap: float, seed: int
) -> None:
    price = PollCost(least)
    schedule = HazardSchedule(price, min_gap=min_gap)
    tracker = answered(learner(), *sorted(answers, key=lambda answer: answer[0]), seed=seed)
    price.spread(demand, 10.0)
    assert tracker.seen + min_gap <= schedule.earliest(tracker) * (1 + 1e-12)
    assert schedule.earliest(tracker) <= schedule.due(tracker) * (1 + 1e-9) < math.inf
    assert 0.0 < schedule.demand(tracker, tracker.seen + 5.0) < math.inf


def test_a_schedule_shows_its_price() -> None:
    assert repr(HazardSchedule(PollCost(1.0))) == "<HazardSchedule at PollCost(least=1.0, now=1.0)>"


# The old ways


def test_a_fixed_schedule_asks_at_intervals() -> None:
    tracker = answered(learner(), (1010.0, GENERATING))
    assert FixedSchedule(interval=10.0).earliest(tracker) == FixedSchedule(interval=10.0).due(tracker) == 1020.0
    assert FixedSchedule(interval=10.0).earliest(answered(learner())) == 1010.0
    assert FixedSchedule(interval=10.0).demand(tracker, 1010.0) == 0.0


def test_a_fixed_schedules_jitter_is_a_share_of_the_interval() -> None:
    schedule = FixedSchedule(interval=6.0, jitter=0.25)
    gaps = [schedule.earliest(answered(learner(), (1010.0, GENERATING), seed=seed)) - 1010.0 for seed in range(200)]
    assert min(gaps) == pytest.approx(4.5, abs=0.1)
    assert max(gaps) == pytest.approx(7.5, abs=0.1)


def test_backing_off_doubles_the_range_of_the_gaps() -> None:
    schedule = BackoffSchedule(base=1.0, cap=8.0)
    for polls, longest in [(1, 2.0), (2, 4.0), (3, 8.0), (6, 8.0)]:
        answers = [(1010.0, GENERATING)] * polls
        gaps = [schedule.due(answered(learner(), *answers, seed=seed)) - 1010.0 for seed in range(200)]
        assert 0.0 <= min(gaps) < 0.1 * longest
        assert 0.9 * longest < max(gaps) <= longest
    assert schedule.demand(answered(learner()), 1010.0) == 0.0


def test_a_plain_schedule_keeps_to_what_holds_a_poll_back_and_to_the_deadline() -> None:
    tracker = learner().track(MODEL, 5, 1000.0, latest=1015.0)
    assert FixedSchedule(interval=30.0).earliest(tracker) == 1015.0
    tracker.forced_at = 1012.0
    assert (
        FixedSchedule(interval=1.0).earliest(tracker) == BackoffSchedule(base=1.0, cap=2.0).earliest(tracker) == 1012.0
    )
