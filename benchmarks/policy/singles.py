"""One generation at a time, with no limit on the rate: the whole trade of requests against delay."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from attrs import evolve

from benchmarks.policy.exact import Outcome, Survival, mean
from benchmarks.policy.policy import RUNWAY, ours, rivals
from benchmarks.policy.report import Curve, Row
from benchmarks.policy.single import best_curve, frontier, in_turn, late_at, play, value_at
from benchmarks.policy.truth import Flat, Truth, even
from benchmarks.policy.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.policy.policy import Policy
    from benchmarks.policy.size import Size
    from kling_async.pacing.tracking import DurationLearner

__all__ = ["COLD", "FIVE", "MAIN", "OPTIMUM", "TEN", "THIRTY", "WARMED", "WIDE", "WIDER", "play_singles"]

FIVE: Final = Truth(330.0)
TEN: Final = Truth(750.0)
WIDE: Final = Truth(330.0, sigma=0.35, early=0.015)

MAIN: Final = "5 s video"
WIDER: Final = "wide: spread 0.35, some fail early"
_WORLDS: Final = {
    MAIN: (World({5: FIVE}), 5),
    "10 s video": (World({10: TEN}), 10),
    WIDER: (World({5: WIDE}), 5),
    "one in seventy fails early": (World({5: Truth(330.0, early=0.015)}), 5),
    "catalogue says 0.6 of the truth": (World({5: FIVE}, wrong=0.6), 5),
    "catalogue says 1.5 of the truth": (World({5: FIVE}, wrong=1.5), 5),
    "flat hazard": (World({5: Flat(367.0)}), 5),
}

OPTIMUM: Final = "optimum"
COLD: Final = "learned, nothing seen"
FIRST: Final = "learned, the first 30"
THIRTY: Final = "learned, after 30"
WARMED: Final = "learned, after 500"

_FIRST_JOBS: Final = 30


def play_singles(size: Size) -> tuple[list[Row], list[Curve]]:
    """Every world: each policy at some numbers of requests, and its curve."""
    rows: list[Row] = []
    curves: list[Curve] = []
    for scenario, (world, length) in list(_WORLDS.items())[: size.worlds]:
        found = _curves(world, length, size)
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


def _curves(world: World, length: int, size: Size) -> dict[str, list[Outcome]]:
    law = world.laws[length]
    survival = Survival(law)
    found = {OPTIMUM: best_curve(law, size.optimum, survival)}
    for name, jobs in ((COLD, 0), (THIRTY, _FIRST_JOBS), (WARMED, 500)):
        learners = {seed: world.learner(jobs, seed) for seed in size.seen[: None if jobs else 1]}
        found[name] = frontier(_ours(policy, learners, length, survival) for policy in ours(size.prices))
    found[FIRST] = frontier(_first(policy, world, length, size) for policy in ours(size.prices))
    learner = world.learner()
    unlucky: dict[str, list[Outcome]] = {}
    for policy in rivals(law, size.intervals, typical=law.median * world.wrong):
        unlucky.setdefault(policy.name, []).append(play(policy, learner, length, survival))
    return found | {name: frontier(outcomes) for name, outcomes in unlucky.items()}


def _ours(policy: Policy, learners: Mapping[int, DurationLearner], length: int, survival: Survival) -> Outcome:
    """The mean over sessions that have seen other generations each."""
    return mean([play(policy, learner, length, survival, seed) for seed, learner in learners.items()])


def _first(policy: Policy, world: World, length: int, size: Size) -> Outcome:
    """The first thirty of a session, one after the other, with no luck but in their order."""
    outcomes: list[Outcome] = []
    for seed in size.seen:
        durations = even(world.laws[length], _FIRST_JOBS)
        Random(seed).shuffle(durations)  # noqa: S311 - to be drawn again
        outcomes.append(in_turn(policy, world.learner(), length, durations, seed))
    return evolve(mean(outcomes), p99=max(each.p99 for each in outcomes))
