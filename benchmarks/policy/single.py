"""Single generations: requests against delay, each kind of policy at all its settings, and the optimum."""

from __future__ import annotations

import math
from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING

from attrs import evolve

from benchmarks.policy.exact import Outcome, outcome
from benchmarks.policy.optimum import optimum
from benchmarks.policy.world import MODEL
from kling_async.api.results import GenerationStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.policy.exact import Survival
    from benchmarks.policy.policy import Policy
    from benchmarks.policy.truth import Law
    from kling_async.pacing.tracking import DurationLearner

__all__ = ["best_curve", "frontier", "in_turn", "late_at", "play", "requests_at", "value_at"]


def play(policy: Policy, learner: DurationLearner, length: int, survival: Survival, seed: int = 0) -> Outcome:
    """A policy on one generation, with all the polls it likes; nothing more is learned."""
    rng = Random(seed)  # noqa: S311 - to be drawn again
    return survival.outcome([_plan(policy, learner, length, survival.end, rng) for _ in range(policy.draws)])


def _plan(policy: Policy, learner: DurationLearner, length: int, end: float, rng: Random) -> list[float]:
    """When it asks about one that does not end before ``end``."""
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


def best_curve(law: Law, prices: Iterable[float], survival: Survival) -> list[Outcome]:
    """The optimum's outcomes at several prices of a poll."""
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
    """The delay that a frontier has at that many requests, in between on logarithmic scales; None where it ends."""
    right = bisect_right([each.requests for each in curve], requests)
    if right in (0, len(curve)):
        return None
    one, other = curve[right - 1], curve[right]
    way = math.log(requests / one.requests) / math.log(other.requests / one.requests)
    return one.delay * math.pow(other.delay / one.delay, way)


def late_at(requests: float, curve: Sequence[Outcome]) -> float | None:
    """The same of the 99 in 100."""
    return value_at(requests, [evolve(each, delay=each.p99) for each in curve])


def requests_at(delay: float, curve: Sequence[Outcome]) -> float | None:
    """How many requests a frontier needs for that delay; None where it ends."""
    turned = [Outcome(each.delay, each.requests, each.p99) for each in reversed(curve)]
    return value_at(delay, turned)
