from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kling_async.sandbox.capacity import GenerationSlots, Run
from kling_async.sandbox.faults import SeededRandom


def generation_slots(*, seed: int = 1, slots: int = 1000, sigma: float = 0.35, speed: float = 1.0) -> GenerationSlots:
    return GenerationSlots(SeededRandom(seed), slots=slots, sigma=sigma, speed=speed)


def overlapping_at(instant: float, runs: list[Run]) -> int:
    return sum(run.started_at <= instant < run.completed_at for run in runs)


def test_without_spread_a_generation_lasts_exactly_its_typical_time_over_the_speed() -> None:
    run = generation_slots(sigma=0, speed=60).assign(300, 100.0, "a prompt")
    assert run.completed_at == pytest.approx(105.0)


def test_durations_spread_log_normally_around_the_typical_time() -> None:
    taken = generation_slots(slots=5000)
    durations = [taken.assign(300, 0.0, n).completed_at for n in range(2000)]
    assert median(durations) == pytest.approx(300, rel=0.05)
    within = sum(300 / 1.4191 < duration < 300 * 1.4191 for duration in durations)  # one sigma of 0.35
    assert within / len(durations) == pytest.approx(0.6827, abs=0.04)


def test_a_short_queue_comes_first_even_when_slots_are_free() -> None:
    runs = [generation_slots().assign(300, 0.0, n) for n in range(50)]
    assert all(0 < run.started_at < 0.07 * run.completed_at for run in runs)


def test_what_finds_no_slot_waits_for_the_first_to_fall_free() -> None:
    taken = generation_slots(slots=2, sigma=0)
    first, second = (taken.assign(seconds, 0.0, seconds) for seconds in (100, 200))
    third = taken.assign(100, 0.0, "third")
    assert third.started_at == min(first.completed_at, second.completed_at)


@given(st.integers(1, 4), st.lists(st.floats(1, 500), min_size=1, max_size=30))
def test_never_more_generations_run_than_there_are_slots(slots: int, lengths: list[float]) -> None:
    taken = generation_slots(slots=slots)
    runs = [taken.assign(length, float(n), n) for n, length in enumerate(lengths)]
    assert max(overlapping_at(run.started_at, runs) for run in runs) <= slots


def test_the_same_prompt_takes_the_same_time_in_whatever_order_it_comes() -> None:
    one, other = generation_slots(), generation_slots()
    forward = {name: one.assign(300, 0.0, name) for name in ("a", "b", "c")}
    backward = {name: other.assign(300, 0.0, name) for name in ("c", "b", "a")}
    assert forward == backward


def test_another_seed_gives_other_durations() -> None:
    assert generation_slots(seed=1).assign(300, 0.0, "a") != generation_slots(seed=2).assign(300, 0.0, "a")
