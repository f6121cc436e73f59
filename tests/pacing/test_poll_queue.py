from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

import pytest
from hazards import MODEL, learner, lognormal
from hypothesis import given
from hypothesis import strategies as st

from kling_async.api.results import GenerationStatus
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.queues import PollQueue
from kling_async.pacing.schedules import FixedSchedule, HazardSchedule

if TYPE_CHECKING:
    from kling_async.pacing.tracking import DurationLearner, GenerationTracker

GAP = 9.834  # seconds between polls at a price of 1, where one in a hundred ends per second


def poll_queue(least: float = 1.0) -> tuple[PollQueue[int], PollCost]:
    price = PollCost(least)
    return PollQueue(HazardSchedule(price, jitter=0.0), price), price


def filled(accepted: list[float], rate: float = 0.01) -> tuple[PollQueue[int], PollCost, list[GenerationTracker]]:
    learning, (waiting, price) = learner(rate), poll_queue()
    trackers = [learning.track(MODEL, 5, at) for at in accepted]
    for number, tracker in enumerate(trackers):
        waiting.put(tracker, number)
    return waiting, price, trackers


def taken(waiting: PollQueue[int], now: float) -> list[int]:
    found: list[int] = []
    while (item := waiting.take(now)) is not None:
        found.append(item)
    return found


def test_none_is_taken_before_it_is_worth_a_poll() -> None:
    waiting, _, _ = filled([100.0])
    assert waiting.next_at() == pytest.approx(100.0 + GAP, abs=1e-3)
    assert waiting.take(109.8) is None
    assert waiting.take(109.9) == 0
    assert waiting.take(200.0) is None
    assert waiting.next_at() == math.inf


def test_the_earliest_due_comes_first() -> None:
    waiting, _, _ = filled([130.0, 110.0, 120.0])
    assert taken(waiting, 200.0) == [1, 2, 0]


def test_a_poll_to_spare_goes_to_one_that_is_not_due_yet_but_worth_it() -> None:
    waiting, price, _ = filled([100.0])
    price.spread(demand=50.0, rate=10.0)  # due after about 56 s
    assert waiting.take(111.0) == 0


def test_the_most_urgent_is_whose_hazard_is_highest_when_polls_are_scarce() -> None:
    price = PollCost(1.0)
    waiting: PollQueue[str] = PollQueue(HazardSchedule(price, jitter=0.0), price)
    slow, quick = learner(0.001).track(MODEL, 5, 90.0), learner(0.1).track(MODEL, 5, 100.0)
    waiting.put(slow, "slow")
    waiting.put(quick, "quick")
    price.spread(demand=50.0, rate=10.0)
    assert waiting.take(200.0) == "quick"
    assert waiting.take(200.0) == "slow"


def test_one_that_is_put_back_unchanged_keeps_its_place() -> None:
    waiting, _, trackers = filled([100.0, 101.0])
    first = waiting.take(150.0)
    assert first == 0
    waiting.put(trackers[0], 0)
    assert taken(waiting, 150.0) == [0, 1]


def test_one_that_is_dropped_never_comes() -> None:
    waiting, _, trackers = filled([100.0, 101.0])
    waiting.drop(trackers[0])
    waiting.drop(trackers[0])
    assert len(waiting) == 1
    assert waiting.next_at() == pytest.approx(101.0 + GAP, abs=1e-3)
    assert taken(waiting, 150.0) == [1]
    assert len(waiting) == 0


def test_one_that_is_dropped_when_awake_never_comes_either() -> None:
    waiting, _, trackers = filled([100.0, 101.0])
    assert waiting.take(150.0) == 0
    assert waiting.next_at() <= 150.0
    waiting.drop(trackers[1])
    assert waiting.next_at() == math.inf
    assert waiting.take(150.0) is None


def test_a_whole_round_sets_the_price_by_what_is_demanded() -> None:
    waiting, price, trackers = filled([0.0] * 100)
    assert not waiting.review(50.0, rate=1.0, most=60)
    assert price.now == 1.0
    assert waiting.review(50.0, rate=1.0, most=60)
    assert price.now == pytest.approx(0.6 * 100 * 0.1)
    waiting.drop(trackers[0])
    assert waiting.review(50.0, rate=2.0)
    assert price.now == pytest.approx(0.6 * 99 * 0.1 / 2.0)
    assert repr(waiting) == "<PollQueue of 99 at 2.97>"


def test_a_review_of_an_empty_queue_is_a_round_too() -> None:
    waiting, price = poll_queue()
    price.spread(100.0, 1.0)
    assert waiting.review(0.0, rate=1.0)
    assert price.now == 1.0


def test_a_round_brings_forward_those_that_became_due_sooner() -> None:
    learning, (waiting, _) = learner(0.0001), poll_queue()
    tracker = learning.track(MODEL, 5, 0.0)
    waiting.put(tracker, 7)
    sleeps_until = waiting.next_at()
    for _ in range(40):  # others end much sooner
        tracker.run_estimator.observe_detection(20.0, 20.0)
    assert waiting.next_at() == sleeps_until
    waiting.review(0.0, rate=10.0)
    assert waiting.next_at() < 0.7 * sleeps_until
    assert taken(waiting, 1e6) == [7]


def test_one_that_became_due_later_sleeps_on() -> None:
    learning, (waiting, _) = learner(0.01), poll_queue()
    tracker = learning.track(MODEL, 5, 0.0)
    waiting.put(tracker, 7)
    for _ in range(200):
        tracker.run_estimator.observe_pending(0.0, 60.0)
    assert waiting.take(GAP + 1.0) is None
    assert waiting.next_at() > GAP + 2.0


def test_one_that_became_less_urgent_lets_others_go_first() -> None:
    price = PollCost(1.0)
    waiting: PollQueue[str] = PollQueue(HazardSchedule(price, jitter=0.0), price)
    first, second, third = (learner(0.01).track(MODEL, 5, at) for at in (0.0, 1.0, 2.0))
    for tracker, name in ((first, "first"), (second, "second"), (third, "third")):
        waiting.put(tracker, name)
    assert waiting.take(100.0) == "first"
    second.forced_at = 99.0
    assert waiting.take(100.0) == "third"
    assert waiting.take(100.0) == "second"


def test_many_that_are_overdue_at_once_wake_bit_by_bit_and_all_come() -> None:
    waiting, _, _ = filled([float(number) for number in range(500)])
    assert sorted(taken(waiting, 1e4)) == list(range(500))


def test_any_schedule_can_decide() -> None:
    price = PollCost(1.0)
    waiting: PollQueue[int] = PollQueue(FixedSchedule(interval=10.0), price)
    waiting.put(learner().track(MODEL, 5, 100.0), 0)
    assert waiting.next_at() == 110.0
    waiting.review(100.0, rate=1.0)
    assert price.now == 1.0


@given(
    steps=st.lists(st.tuples(st.sampled_from(["put", "take", "drop", "review"]), st.floats(0.1, 60.0)), max_size=80),
    seed=st.integers(0, 100),
)
def test_none_is_lost_or_taken_twice_or_too_early(steps: list[tuple[str, float]], seed: int) -> None:
    learning, rng, price = learner(), Random(seed), PollCost(0.5)
    schedule = HazardSchedule(price)
    waiting: PollQueue[int] = PollQueue(schedule, price)
    here: dict[int, GenerationTracker] = {}
    now = 0.0
    for number, (step, wait) in enumerate(steps):
        now += wait
        if step == "put":
            here[number] = learning.track(MODEL, 5, now - rng.uniform(0.0, 300.0))
            waiting.put(here[number], number)
        elif step == "take" and (item := waiting.take(now)) is not None:
            tracker = here.pop(item)
            assert schedule.earliest(tracker) <= now
            learning.running(tracker, now, GenerationStatus.GENERATING, rng)
            if rng.random() < 0.7:
                here[item] = tracker
                waiting.put(tracker, item)
        elif step == "drop" and here:
            waiting.drop(here.pop(next(iter(here))))
        elif step == "review":
            waiting.review(now, rate=1.0, most=2)
        assert len(waiting) == len(here)
    assert sorted(taken(waiting, 1e9)) == sorted(here)


def simulate(
    schedule: HazardSchedule | FixedSchedule, price: PollCost, learning: DurationLearner, rate: float
) -> tuple[float, int]:
    """The mean delay and the polls of two kinds of generations under a shared rate."""
    rng = Random(5)
    waiting: PollQueue[tuple[GenerationTracker, float]] = PollQueue(schedule, price)
    for number in range(200):
        duration = 5 if number % 2 else 10
        accepted = number / rate
        tracker = learning.track(MODEL, duration, accepted)
        end = accepted + lognormal(tracker.run_estimator.bins.unit, 0.35, rng)
        waiting.put(tracker, (tracker, end))
    now, polls, late, reviewed = 200 / rate, 0, 0.0, 0.0
    while len(waiting):
        now = max(now, waiting.next_at())
        if now - reviewed > 15.0:
            reviewed = now
            while not waiting.review(now, rate):
                pass
        if (found := waiting.take(now)) is None:
            continue
        tracker, end = found
        polls += 1
        if now >= end:
            late += now - end
            learning.ended(tracker, now)
        else:
            learning.running(tracker, now, GenerationStatus.GENERATING, rng)
            waiting.put(tracker, found)
        now += 1.0 / rate
    return late / 200, polls


def test_under_a_shared_rate_it_notices_much_sooner_than_intervals_do() -> None:
    price = PollCost(0.5)
    delay, polls = simulate(HazardSchedule(price), price, learner(), rate=2.0)
    fixed_delay, fixed_polls = simulate(FixedSchedule(interval=10.0), PollCost(0.5), learner(), rate=2.0)
    assert delay < 0.8 * fixed_delay
    assert polls < 1.1 * fixed_polls
