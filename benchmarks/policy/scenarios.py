"""Many generations under one rate: batches asked for at once, and streams that come one after the other."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.policy.batch import Generation, Vendor, run
from benchmarks.policy.bound import Group, bound
from benchmarks.policy.durations import Lognormal, even, quantile, trace
from benchmarks.policy.exact import Outcome, Survival, mean
from benchmarks.policy.learned import Workload
from benchmarks.policy.policies import ours, rivals
from benchmarks.policy.report import Curve, Row
from benchmarks.policy.session import run_session
from benchmarks.policy.single import FIVE, TEN, WARMED, WIDE, best_curve, frontier, value_at
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.policy.policies import Policy
    from benchmarks.policy.size import Size

__all__ = [
    "BOUND",
    "COLD_START",
    "DRIFT",
    "QUEUE",
    "SESSION",
    "Batch",
    "play_batches",
    "play_drift",
    "play_queue",
    "play_steady",
    "steady_title",
    "title",
]


BOUND: Final = "bound"

COLD_START: Final = "learned, from nothing"

SESSION: Final = "learned, from nothing, in a whole session"

_MIXED: Final = 1000

_MANY: Final = 5000  # of so many, each is played at fewer settings: they hardly differ where polls are so scarce

_SUBMITTED_FIRST: Final = 1e-3  # the share that has ended when polls begin to take places from submits

_POLLS_SHARE: Final = 0.2  # of the places, while submits wait as well


def title(jobs: int, rate: float, kind: str = "5 s videos") -> str:
    """Return the title of a batch."""
    return f"{jobs:,} {kind} at once, {rate:g} requests/s"


@frozen
class Batch:
    """Generations asked for at once, that share a rate."""

    name: str
    workload: Workload
    jobs: int
    rate: float
    step: float | None

    def durations(self, seed: int) -> dict[int, list[float]]:
        """Return durations by length of video, with no luck in them but in their order."""
        rng = Random(seed)  # noqa: S311 - to be drawn again
        found = {length: even(law, self.jobs // len(self.workload.laws)) for length, law in self.workload.laws.items()}
        for each in found.values():
            rng.shuffle(each)
        return found

    def generations(self, seed: int) -> list[Generation]:
        """Return generations whose lengths take turns."""
        found = self.durations(seed)
        turns = zip(*found.values(), strict=True)
        return [Generation(0.0, *each) for turn in turns for each in zip(found, turn, strict=True)]

    def bound(self, groups: int, step: float) -> float:
        """The least mean delay for any policy that submits as the library does: first, but for every fifth place."""
        laws = list(self.workload.laws.values())
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
    batches = [Batch(title(jobs, rate), Workload({5: FIVE}), jobs, rate, step) for jobs, rate, step in size.batches]
    if any(jobs == _MIXED for jobs, _, _ in size.batches):
        batches += [
            Batch(title(_MIXED, 10.0, "5 s and 10 s videos"), Workload({5: FIVE, 10: TEN}), _MIXED, 10.0, 2.5),
            Batch(title(_MIXED, 10.0, "5 s videos, wide"), Workload({5: WIDE}), _MIXED, 10.0, 2.5),
            Batch(
                title(_MIXED, 10.0, "5 s videos, catalogue says 0.6"), Workload({5: FIVE}, wrong=0.6), _MIXED, 10.0, 2.5
            ),
            Batch(
                title(_MIXED, 10.0, "5 s videos, catalogue says 1.5"), Workload({5: FIVE}, wrong=1.5), _MIXED, 10.0, 2.5
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
    law = next(iter(batch.workload.laws.values()))
    for policy in rivals(law, intervals, typical=law.median * batch.workload.wrong, few=True):
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
    """Return the least delay there can be, for the rate and for so many requests each; None where unknown."""
    if batch.step is None:
        return lambda _: None
    shared = batch.bound(size.groups, batch.step)
    if len(batch.workload.laws) > 1:
        return lambda _: shared
    [law] = batch.workload.laws.values()
    curve = best_curve(law, size.optimum, Survival(law))
    return lambda requests: max(shared, value_at(requests, curve) or 0.0)


def _sessions(batch: Batch, size: Size, least: Callable[[float], float | None]) -> list[Row]:
    """Play the same in the library's whole session, once."""
    if (batch.jobs, batch.rate) not in size.sessions or len(batch.workload.laws) > 1 or batch.workload.wrong != 1.0:
        return []
    rows: list[Row] = []
    for profile, price in PROFILES.items():
        if price in _prices(batch):
            [durations] = batch.durations(size.seeds[0]).values()
            models = batch.workload.learner().models
            result = run_session(models, durations, batch.rate, profile, size.seeds[0])
            rows.append(Row(batch.name, SESSION, f"{price:g} s a poll", result, _share(least, result)))
    return rows


def _played(batch: Batch, policy: Policy, size: Size, jobs: int) -> Outcome:
    return mean(
        [
            run(policy, batch.workload.learner(jobs, seed), batch.generations(seed), batch.rate, seed)
            for seed in size.seeds
        ]
    )


QUEUE: Final = "a queue before 50 slots"

DRIFT: Final = "a day on which durations grow by half"

_WARM_UP: Final = 1500.0  # seconds until as many end as come

_AFTER: Final = 1500.0  # seconds

_SLOTS: Final = 50

_DAY: Final = 86_400.0

_GROWTH: Final = 0.5

_NO_LIMIT: Final = 50.0  # requests per second: far more than those few have use for

_STAGES: Final = (1 / 6, 3 / 6, 5 / 6)  # of the day, that the optimum is worked out at


def steady_title(in_flight: int, rate: float) -> str:
    """Return the title of a steady stream."""
    return f"{in_flight:,} in flight, {rate:g} requests/s"


def play_steady(size: Size) -> list[Row]:
    """Play arrivals at random, as many as end; a rival is shown at its best setting."""
    rows: list[Row] = []
    mean_duration = Survival(FIVE).until(1e9)
    per_second = size.in_flight / mean_duration
    best = best_curve(FIVE, size.optimum, Survival(FIVE))
    for rate in size.streams:
        # Every instant is like any other, so the best is one plan for all, with as many polls as there are places.
        least = value_at(rate / per_second - 1.0, best)

        def played(policy: Policy, rate: float = rate) -> Outcome:
            return mean([_steady(policy, per_second, rate, size.stream_jobs, seed) for seed in size.seeds])

        name = steady_title(size.in_flight, rate)
        rows += _compared(name, ours(tuple(PROFILES.values())), played, least, every=True)
        rows += _compared(name, rivals(FIVE, size.batch_intervals, few=True), played, least)
    return rows


def _steady(policy: Policy, per_second: float, rate: float, jobs: int, seed: int) -> Outcome:
    rng = Random(seed)  # noqa: S311 - to be drawn again
    until = _WARM_UP + jobs / per_second
    generations: list[Generation] = []
    at = 0.0
    while (at := at + rng.expovariate(per_second)) < until + _AFTER:
        generations.append(Generation(at, 5, FIVE.draw(rng), counts=_WARM_UP <= at < until))
    return run(policy, Workload({5: FIVE}).learner(), generations, rate, seed, until=until + _AFTER)


def play_queue(size: Size) -> list[Row]:
    """Play a vendor that works at fifty at a time, and says which wait; and ours with one that does not say."""
    ranges = (0.5, 1.5)
    law = FIVE

    def played(policy: Policy, *, tells: bool = True) -> Outcome:
        return mean([_queue(policy, law, size.queued, seed, tells=tells) for seed in size.seeds])

    rows = _compared(QUEUE, ours((*PROFILES.values(), *ranges)), played, None, every=True)
    blind = [
        Row(QUEUE, "learned, not told who waits", each.knob, played(each, tells=False))
        for each in ours(tuple(PROFILES.values()))
    ]
    told = [
        Row(QUEUE, policy.name, policy.knob, played(policy))
        for policy in rivals(law, (10.0, 30.0), few=True)
        if not policy.knob.startswith("10%")
    ]
    return [*rows, *blind, *told]


def _queue(policy: Policy, law: Lognormal, jobs: int, seed: int, *, tells: bool) -> Outcome:
    durations = even(law, jobs)
    Random(seed).shuffle(durations)  # noqa: S311 - to be drawn again
    generations = [Generation(0.0, 5, each) for each in durations]
    return run(policy, Workload({5: law}).learner(), generations, 10.0, seed, vendor=Vendor(_SLOTS, tells=tells))


def play_drift(size: Size) -> tuple[list[Row], list[Curve]]:
    """Few at a time, each a little slower than the one before; a rival is told what held in the morning."""
    best = _drifting_optimum(size)
    outcomes: dict[str, list[Outcome]] = {"optimum": best}
    for policy in ours((0.05, 0.15, 0.3, 0.6, 1.2)):
        result = mean([_drift(policy, size.drifting, seed) for seed in size.seeds])
        outcomes.setdefault(policy.name, []).append(result)
    for policy in rivals(FIVE, size.batch_intervals, few=True):
        outcomes.setdefault(policy.name, []).append(_drift(policy, size.drifting, size.seeds[0]))
    rows = [
        Row(DRIFT, name, "", each, None if (least := value_at(each.requests, best)) is None else least / each.delay)
        for name, points in outcomes.items()
        for each in frontier(points)
    ]
    return rows, [Curve(DRIFT, name, frontier(points)) for name, points in outcomes.items()]


def _drift(policy: Policy, jobs: int, seed: int) -> Outcome:
    generations = [
        Generation(at := _DAY * number / jobs, 5, duration * (1.0 + _GROWTH * at / _DAY))
        for number, duration in enumerate(trace(FIVE, jobs, seed))
    ]
    return run(policy, Workload({5: FIVE}).learner(), generations, _NO_LIMIT, seed)


def _drifting_optimum(size: Size) -> list[Outcome]:
    """One that knows at any time how long they take then."""
    laws = [Lognormal(FIVE.median * (1.0 + _GROWTH * stage)) for stage in _STAGES]
    scaled = [
        [best_curve(law, [price * 330.0 / law.median], Survival(law))[0] for law in laws] for price in size.optimum
    ]
    return frontier(mean(stages) for stages in scaled)


def _compared(
    scenario: str,
    policies: Iterable[Policy],
    played: Callable[[Policy], Outcome],
    least: float | None,
    *,
    every: bool = False,
) -> list[Row]:
    """Return a row for each policy, or for the best setting of each kind."""
    best: dict[str, Row] = {}
    for policy in policies:
        result = played(policy)
        name = f"{policy.name} {policy.knob}" if every else policy.name
        if name not in best or result.delay < best[name].outcome.delay:
            share = None if least is None else least / result.delay
            best[name] = Row(scenario, policy.name, policy.knob, result, share)
    return list(best.values())
