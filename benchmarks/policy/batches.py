"""Many generations at once under one rate."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.policy.batch import Generation, run
from benchmarks.policy.bound import Group, bound
from benchmarks.policy.exact import Outcome, Survival, mean
from benchmarks.policy.policy import ours, rivals
from benchmarks.policy.real import run_session
from benchmarks.policy.report import Row
from benchmarks.policy.single import best_curve, value_at
from benchmarks.policy.singles import FIVE, TEN, WARMED, WIDE
from benchmarks.policy.truth import even, quantile
from benchmarks.policy.world import World
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.policy.policy import Policy
    from benchmarks.policy.size import Size

__all__ = ["BOUND", "COLD_START", "SESSION", "play_batches", "title"]

BOUND: Final = "bound"
COLD_START: Final = "learned, from nothing"
SESSION: Final = "learned, from nothing, in a whole session"

_MIXED: Final = 1000
_MANY: Final = 5000  # of so many, each is played at fewer settings: they hardly differ where polls are so scarce
_SUBMITTED_FIRST: Final = 1e-3  # the share that has ended when polls begin to take places from submits
_POLLS_SHARE: Final = 0.2  # of the places, while submits wait as well


def title(jobs: int, rate: float, kind: str = "5 s videos") -> str:
    """What a batch is called."""
    return f"{jobs:,} {kind} at once, {rate:g} requests/s"


@frozen
class Batch:
    """Generations asked for at once, that share a rate."""

    name: str
    world: World
    jobs: int
    rate: float
    step: float | None

    def durations(self, seed: int) -> dict[int, list[float]]:
        """By length of video; with no luck in them but in their order."""
        rng = Random(seed)  # noqa: S311 - to be drawn again
        found = {length: even(law, self.jobs // len(self.world.laws)) for length, law in self.world.laws.items()}
        for each in found.values():
            rng.shuffle(each)
        return found

    def generations(self, seed: int) -> list[Generation]:
        """The lengths take turns."""
        found = self.durations(seed)
        turns = zip(*found.values(), strict=True)
        return [Generation(0.0, *each) for turn in turns for each in zip(found, turn, strict=True)]

    def bound(self, groups: int, step: float) -> float:
        """The least mean delay for any policy that submits as the library does: first, but for every fifth place."""
        laws = list(self.world.laws.values())
        alone = min(self.jobs / self.rate, *(quantile(law, _SUBMITTED_FIRST) for law in laws), math.inf)
        begun = alone * self.rate
        shared = (self.jobs - begun) / (self.rate * (1.0 - _POLLS_SHARE))

        def start(place: float) -> float:
            first = place * self.jobs / self.rate
            return first if first <= alone else alone + (place * self.jobs - begun) / (self.rate * (1 - _POLLS_SHARE))

        def rate(at: float) -> float:
            if at >= alone + shared:
                return self.rate
            return self.rate * _POLLS_SHARE if at >= alone else 0.0

        count = groups * len(laws)
        parts = [Group(laws[each % len(laws)], start((each + 0.5) / count), self.jobs / count) for each in range(count)]
        return bound(parts, rate, step=step)


def play_batches(size: Size) -> list[Row]:
    """Many at once. A rival is shown at its best setting: the one with the least mean delay."""
    batches = [Batch(title(jobs, rate), World({5: FIVE}), jobs, rate, step) for jobs, rate, step in size.batches]
    if any(jobs == _MIXED for jobs, _, _ in size.batches):
        batches += [
            Batch(title(_MIXED, 10.0, "5 s and 10 s videos"), World({5: FIVE, 10: TEN}), _MIXED, 10.0, 2.5),
            Batch(title(_MIXED, 10.0, "5 s videos, wide"), World({5: WIDE}), _MIXED, 10.0, 2.5),
            Batch(
                title(_MIXED, 10.0, "5 s videos, catalogue says 0.6"), World({5: FIVE}, wrong=0.6), _MIXED, 10.0, 2.5
            ),
            Batch(
                title(_MIXED, 10.0, "5 s videos, catalogue says 1.5"), World({5: FIVE}, wrong=1.5), _MIXED, 10.0, 2.5
            ),
        ]
    return [row for batch in batches for row in _batch(batch, size)]


def _batch(batch: Batch, size: Size) -> list[Row]:
    least = _least(batch, size)
    shared = least(math.inf)
    rows = [] if shared is None else [Row(batch.name, BOUND, "", Outcome(math.nan, shared, math.nan), 1.0)]
    for policy in ours(_prices(batch)):
        for name, jobs in ((COLD_START, 0), (WARMED, 500)):
            result = _played(batch, policy, size, jobs)
            rows.append(Row(batch.name, name, policy.knob, result, _share(least, result)))
    rows += _sessions(batch, size, least)
    best: dict[str, Row] = {}
    intervals = size.batch_intervals[: None if batch.jobs < _MANY else 1]
    law = next(iter(batch.world.laws.values()))
    for policy in rivals(law, intervals, typical=law.median * batch.world.wrong, few=True):
        result = _played(batch, policy, size, 0)
        if policy.name not in best or result.delay < best[policy.name].outcome.delay:
            share = _share(least, result)
            best[policy.name] = Row(batch.name, policy.name, policy.knob, result, share)
    return rows + list(best.values())


def _prices(batch: Batch) -> list[float]:
    return list(PROFILES.values()) if batch.jobs < _MANY else [PROFILES["balanced"]]


def _share(least: Callable[[float], float | None], result: Outcome) -> float | None:
    delay = least(result.requests)
    return None if delay is None else delay / result.delay


def _least(batch: Batch, size: Size) -> Callable[[float], float | None]:
    """The least delay there can be: for the rate, and for so many requests a generation; None where nobody knows."""
    if batch.step is None:
        return lambda _: None
    shared = batch.bound(size.groups, batch.step)
    if len(batch.world.laws) > 1:
        return lambda _: shared
    [law] = batch.world.laws.values()
    curve = best_curve(law, size.optimum, Survival(law))
    return lambda requests: max(shared, value_at(requests, curve) or 0.0)


def _sessions(batch: Batch, size: Size, least: Callable[[float], float | None]) -> list[Row]:
    """The same in the library's whole session, once."""
    if (batch.jobs, batch.rate) not in size.sessions or len(batch.world.laws) > 1 or batch.world.wrong != 1.0:
        return []
    rows: list[Row] = []
    for profile, price in PROFILES.items():
        if price in _prices(batch):
            [durations] = batch.durations(size.seeds[0]).values()
            experience = batch.world.learner().models
            result = run_session(experience, durations, batch.rate, profile, size.seeds[0])
            rows.append(Row(batch.name, SESSION, f"{price:g} s a poll", result, _share(least, result)))
    return rows


def _played(batch: Batch, policy: Policy, size: Size, jobs: int) -> Outcome:
    return mean(
        [run(policy, batch.world.learner(jobs, seed), batch.generations(seed), batch.rate, seed) for seed in size.seeds]
    )
