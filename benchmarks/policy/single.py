"""One generation at a time, without a limit on the rate: requests against delay, for every policy and the optimum."""

from __future__ import annotations

import math
from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import evolve

from benchmarks.policy.durations import Delayed, Exponential, Gridded, Lognormal, Mixture, Weibull, even
from benchmarks.policy.exact import Outcome, Survival, mean, optimum, outcome
from benchmarks.policy.learned import MODEL, Workload
from benchmarks.policy.policies import RUNWAY, ours, rivals
from benchmarks.policy.report import Curve, Row
from kling_async.api.results import GenerationStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.policy.durations import Distribution
    from benchmarks.policy.policies import Policy
    from benchmarks.policy.size import Size
    from kling_async.pacing.tracking import DurationLearner

__all__ = [
    "COLD",
    "COMPARED",
    "FIVE",
    "GRIDDED",
    "MAIN",
    "OPTIMUM",
    "SEVENTY",
    "TEN",
    "THIRTY",
    "TWO",
    "TWO_ENDS",
    "WARMED",
    "WIDE",
    "WIDER",
    "best_curve",
    "first_thirty",
    "frontier",
    "in_turn",
    "late_at",
    "play",
    "play_singles",
    "requests_at",
    "value_at",
]


def play(policy: Policy, learner: DurationLearner, length: int, survival: Survival, seed: int = 0) -> Outcome:
    """Play a policy on one generation, with all the polls it likes; nothing more is learned."""
    rng = Random(seed)  # noqa: S311 - to be drawn again
    return survival.outcome([_plan(policy, learner, length, survival.end, rng) for _ in range(policy.draws)])


def _plan(policy: Policy, learner: DurationLearner, length: int, end: float, rng: Random) -> list[float]:
    """Return the ages at which the policy asks about a generation that does not end before ``end``."""
    schedule = policy.make(policy.price())
    tracker = learner.track(MODEL, length, 0.0)
    ages: list[float] = []
    while tracker.seen < end:
        at = schedule.due(tracker)
        ages.append(at)
        tracker.seen = at
        tracker.polls += 1
        tracker.jitter = rng.uniform(-1.0, 1.0)
    return ages


def in_turn(policy: Policy, learner: DurationLearner, length: int, durations: Iterable[float], seed: int) -> Outcome:
    """These generations one after the other, each teaching how to ask about the next."""
    rng = Random(seed)  # noqa: S311 - to be drawn again
    schedule = policy.make(policy.price())
    results: list[tuple[int, float]] = []
    for duration in durations:
        tracker = learner.track(MODEL, length, 0.0)
        while (at := schedule.due(tracker)) < duration:
            learner.running(tracker, at, GenerationStatus.GENERATING, rng)
        learner.ended(tracker, at)
        results.append((tracker.polls + 1, at - duration))
    return outcome(results)


def best_curve(law: Distribution, prices: Iterable[float], survival: Survival) -> list[Outcome]:
    """Return the optimum's outcomes at several prices of a poll."""
    scale = law.median / 330.0
    plans = [optimum(law, price * scale, step=scale if price >= 0.1 else scale / 2.0) for price in prices]  # noqa: PLR2004 - where gaps are 3 s
    return frontier([survival.outcome([plan]) for plan in plans])


def frontier(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that no other beats in both requests and delay, by requests."""
    kept: list[Outcome] = []
    for each in sorted(outcomes, key=lambda one: (one.requests, one.delay)):
        if not kept or each.delay < kept[-1].delay:
            kept.append(each)
    return kept


def value_at(requests: float, curve: Sequence[Outcome]) -> float | None:
    """Return a frontier's delay at that many requests, in between on logarithmic scales; None where it ends."""
    right = bisect_right([each.requests for each in curve], requests)
    if right in (0, len(curve)):
        return None
    one, other = curve[right - 1], curve[right]
    way = math.log(requests / one.requests) / math.log(other.requests / one.requests)
    return one.delay * math.pow(other.delay / one.delay, way)


def late_at(requests: float, curve: Sequence[Outcome]) -> float | None:
    """Return the same of the 99 in 100."""
    return value_at(requests, [evolve(each, delay=each.p99) for each in curve])


def requests_at(delay: float, curve: Sequence[Outcome]) -> float | None:
    """Return the requests that a frontier needs for that delay; None where it ends."""
    turned = [Outcome(each.delay, each.requests, each.p99) for each in reversed(curve)]
    return value_at(delay, turned)


FIVE: Final = Lognormal(330.0)

TEN: Final = Lognormal(750.0)

WIDE: Final = Lognormal(330.0, sigma=0.35, early=0.015)

MAIN: Final = "5 s video"

WIDER: Final = "wide: spread 0.35, some fail early"

SEVENTY: Final = Lognormal(330.0, early=0.015)

TWO_ENDS: Final = "two back ends, of 150 s and 420 s"

TWO: Final = Mixture(((0.5, Lognormal(150.0, slow=0.0)), (0.5, Lognormal(420.0, slow=0.0))))

GRIDDED: Final = Gridded(FIVE, 15.0)

_WORKLOADS: Final = {
    MAIN: (Workload({5: FIVE}), 5),
    "10 s video": (Workload({10: TEN}), 10),
    WIDER: (Workload({5: WIDE}), 5),
    "one in seventy fails early": (Workload({5: SEVENTY}), 5),
    "catalogue says 0.6 of the truth": (Workload({5: FIVE}, wrong=0.6), 5),
    "catalogue says 1.5 of the truth": (Workload({5: FIVE}, wrong=1.5), 5),
    "flat hazard": (Workload({5: Exponential(367.0)}), 5),
    "Weibull of shape 3": (Workload({5: Weibull(330.0, 3.0)}), 5),
    TWO_ENDS: (Workload({5: TWO}), 5),
    "ends on a grid of 15 s from acceptance": (Workload({5: GRIDDED}), 5),
    "180 s and an exponential of 120 s": (Workload({5: Delayed(180.0, 120.0)}), 5),
}

OPTIMUM: Final = "optimum"

COLD: Final = "learned, nothing seen"

FIRST: Final = "learned, the first 30"

THIRTY: Final = "learned, after 30"

WARMED: Final = "learned, after 500"

_FIRST_JOBS: Final = 30

COMPARED: Final = (8.0, 10.0, 12.0, 15.0, 20.0)  # requests a generation


def play_singles(size: Size) -> tuple[list[Row], list[Curve]]:
    """Every workload: each policy at some numbers of requests, and its curve."""
    rows: list[Row] = []
    curves: list[Curve] = []
    for scenario, (workload, length) in list(_WORKLOADS.items())[: size.workloads]:
        found = _curves(workload, length, size)
        curves += [Curve(scenario, policy, points) for policy, points in found.items()]
        rows += _rows(scenario, found, size.requests)
    return rows, curves


def _rows(scenario: str, curves: dict[str, list[Outcome]], requests: Iterable[float]) -> list[Row]:
    best = curves[OPTIMUM]
    rows = [
        Row(scenario, policy, f"at {each:g} requests", at, least / at.delay)
        for each in requests
        for policy, curve in curves.items()
        if (at := _at(each, curve)) is not None and (least := value_at(each, best)) is not None
    ]
    [runway] = curves[RUNWAY]
    least = value_at(runway.requests, best)
    return [*rows, Row(scenario, RUNWAY, "6 ± 1.5 s", runway, None if least is None else least / runway.delay)]


def _at(requests: float, curve: Sequence[Outcome]) -> Outcome | None:
    delay, late = value_at(requests, curve), late_at(requests, curve)
    return None if delay is None or late is None else Outcome(requests, delay, late)


def _curves(workload: Workload, length: int, size: Size) -> dict[str, list[Outcome]]:
    law = workload.laws[length]
    survival = Survival(law)
    found = {OPTIMUM: best_curve(law, size.optimum, survival)}
    for name, jobs in ((COLD, 0), (THIRTY, _FIRST_JOBS), (WARMED, 500)):
        learners = {seed: workload.learner(jobs, seed) for seed in size.seen[: None if jobs else 1]}
        found[name] = frontier(_ours(policy, learners, length, survival) for policy in ours(size.prices))
    found[FIRST] = first_thirty(workload, length, size)
    learner = workload.learner()
    unlucky: dict[str, list[Outcome]] = {}
    for policy in rivals(law, size.intervals, typical=law.median * workload.wrong):
        unlucky.setdefault(policy.name, []).append(play(policy, learner, length, survival))
    return found | {name: frontier(outcomes) for name, outcomes in unlucky.items()}


def _ours(policy: Policy, learners: Mapping[int, DurationLearner], length: int, survival: Survival) -> Outcome:
    """Return the mean over sessions that have seen other generations each."""
    return mean([play(policy, learner, length, survival, seed) for seed, learner in learners.items()])


def first_thirty(workload: Workload, length: int, size: Size) -> list[Outcome]:
    """Return the outcomes of a session's first thirty generations, at all prices."""
    return frontier(_first(policy, workload, length, size) for policy in ours(size.prices))


def _first(policy: Policy, workload: Workload, length: int, size: Size) -> Outcome:
    """Play the first thirty of a session, one after the other, with no luck but in their order."""
    outcomes: list[Outcome] = []
    for seed in size.seen:
        durations = even(workload.laws[length], _FIRST_JOBS)
        Random(seed).shuffle(durations)  # noqa: S311 - to be drawn again
        outcomes.append(in_turn(policy, workload.learner(), length, durations, seed))
    return evolve(mean(outcomes), p99=max(each.p99 for each in outcomes))
