"""Generations that keep coming: in a steady flow, to a vendor with a queue, and on a day on which they slow down."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from benchmarks.policy.batch import Generation, Vendor, run
from benchmarks.policy.exact import Outcome, Survival, mean
from benchmarks.policy.policy import ours, rivals
from benchmarks.policy.report import Curve, Row
from benchmarks.policy.single import best_curve, frontier, value_at
from benchmarks.policy.singles import FIVE
from benchmarks.policy.truth import Truth, even, trace
from benchmarks.policy.world import World
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.policy.policy import Policy
    from benchmarks.policy.size import Size

__all__ = ["DRIFT", "QUEUE", "play_drift", "play_queue", "play_steady", "steady_title"]

QUEUE: Final = "a queue before 50 slots"
DRIFT: Final = "a day on which durations grow by half"

_IN_FLIGHT: Final = 1000
_WARM_UP: Final = 1500.0  # seconds until as many end as come
_AFTER: Final = 1500.0  # seconds
_SLOTS: Final = 50
_DAY: Final = 86_400.0
_GROWTH: Final = 0.5
_NO_LIMIT: Final = 50.0  # requests per second: far more than those few have use for
_STAGES: Final = (1 / 6, 3 / 6, 5 / 6)  # of the day, that the optimum is worked out at


def steady_title(rate: float) -> str:
    """What a steady flow is called."""
    return f"{_IN_FLIGHT:,} in flight, {rate:g} requests/s"


def play_steady(size: Size) -> list[Row]:
    """They come at random, as many as end; a rival is shown at its best setting."""
    rows: list[Row] = []
    mean_duration = Survival(FIVE).until(1e9)
    per_second = _IN_FLIGHT / mean_duration
    best = best_curve(FIVE, size.optimum, Survival(FIVE))
    for rate in size.streams:
        # Every instant is like any other, so the best is one plan for all, with as many polls as there are places.
        least = value_at(rate / per_second - 1.0, best)

        def played(policy: Policy, rate: float = rate) -> Outcome:
            return mean([_steady(policy, per_second, rate, size.stream_jobs, seed) for seed in size.seeds])

        rows += _compared(steady_title(rate), ours(tuple(PROFILES.values())), played, least, every=True)
        rows += _compared(steady_title(rate), rivals(FIVE, size.batch_intervals, few=True), played, least)
    return rows


def _steady(policy: Policy, per_second: float, rate: float, jobs: int, seed: int) -> Outcome:
    rng = Random(seed)  # noqa: S311 - to be drawn again
    until = _WARM_UP + jobs / per_second
    generations: list[Generation] = []
    at = 0.0
    while (at := at + rng.expovariate(per_second)) < until + _AFTER:
        generations.append(Generation(at, 5, FIVE.draw(rng), counts=_WARM_UP <= at < until))
    return run(policy, World({5: FIVE}).learner(), generations, rate, seed, until=until + _AFTER)


def play_queue(size: Size) -> list[Row]:
    """A vendor that works at fifty at a time, and says which wait; and ours with one that does not say."""
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


def _queue(policy: Policy, law: Truth, jobs: int, seed: int, *, tells: bool) -> Outcome:
    durations = even(law, jobs)
    Random(seed).shuffle(durations)  # noqa: S311 - to be drawn again
    generations = [Generation(0.0, 5, each) for each in durations]
    return run(policy, World({5: law}).learner(), generations, 10.0, seed, vendor=Vendor(_SLOTS, tells=tells))


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
    return run(policy, World({5: FIVE}).learner(), generations, _NO_LIMIT, seed)


def _drifting_optimum(size: Size) -> list[Outcome]:
    """One that knows at any time how long they take then."""
    laws = [Truth(FIVE.median * (1.0 + _GROWTH * stage)) for stage in _STAGES]
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
    """A row for each policy, or for the best setting of each kind."""
    best: dict[str, Row] = {}
    for policy in policies:
        result = played(policy)
        name = f"{policy.name} {policy.knob}" if every else policy.name
        if name not in best or result.delay < best[name].outcome.delay:
            share = None if least is None else least / result.delay
            best[name] = Row(scenario, policy.name, policy.knob, result, share)
    return list(best.values())
