"""Plays one cell: so many generations at once, with a vendor's ledger or without."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import cache
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Final

from attrs import astuple, frozen

from benchmarks.policy.batch import Generation, SimulatedSession, Vendor, play
from benchmarks.policy.durations import even
from benchmarks.policy.exact import Survival
from benchmarks.policy.feed.ledger import LEDGERS, Ledger
from benchmarks.policy.learned import Workload
from benchmarks.policy.policies import ours
from benchmarks.policy.single import FIVE
from benchmarks.policy.single import play as play_alone
from kling_async.pacing.recording_lag import RecordingLag
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async.pacing.tracking import DurationLearner

__all__ = ["Cell", "Figures", "mean", "play_cell"]

_FAILING: Final = 0.02  # the share of generations
_SEEN: Final = 500  # generations that a warm session has seen


@frozen
class Cell:
    """What is played: so many at once, at a profile, under a rate, on a session that is warm or not."""

    jobs: int
    profile: str
    rate: float = math.inf
    warm: bool = False

    def generations(self, seed: int) -> list[Generation]:
        """Draw them: with no luck in their durations but in their order, and in which fail."""
        rng = Random(seed)  # noqa: S311 - to be drawn again
        durations = list(_even(self.jobs))
        rng.shuffle(durations)
        failing = set(rng.sample(range(self.jobs), round(_FAILING * self.jobs)))
        return [Generation(0.0, 5, each, fails=number in failing) for number, each in enumerate(durations)]

    def __str__(self) -> str:
        rate = "" if self.rate == math.inf else f" under {self.rate:g}/s"
        return f"{self.jobs:,}{rate}, {self.profile}, {'warm' if self.warm else 'cold'}"


@cache
def _even(count: int) -> tuple[float, ...]:
    return tuple(even(FIVE, count))


@frozen
class Figures:
    """The result of a run.

    Attributes:
        requests: Submits, polls and looks, by generation.
        completed: Mean delay of those that completed, in seconds.
        delay: That of all.
        p99: What ninety-nine in a hundred of all are noticed by.
        looks: Pages of the ledger, by generation.
        told: The share that the ledger showed first.
    """

    requests: float
    completed: float
    delay: float
    p99: float
    looks: float
    told: float

    def cost(self, profile: str) -> float:
        """Return what is to be as little as possible: delay, and requests at their worth."""
        return PROFILES[profile] * self.requests + self.delay


def mean(figures: Sequence[Figures]) -> Figures:
    """Return the means of all."""
    return Figures(*(fmean(values) for values in zip(*map(astuple, figures), strict=True)))


def play_cell(cell: Cell, ledger: str | None, seed: int) -> Figures:
    """One run; without the name of a ledger, with the feed off."""
    learner = Workload({5: FIVE}).learner()
    lag = _warmed(cell.profile, ledger, learner, seed) if cell.warm else None
    simulated = _desk(cell, ledger, deepcopy(learner), 1000 * seed, lag)
    play(simulated, cell.generations(seed), cell.rate)
    return _alone(cell, learner, seed) if cell.jobs == 1 and not simulated.looks else _figures(simulated)


def _alone(cell: Cell, learner: DurationLearner, seed: int) -> Figures:
    """Work out what one comes to that nobody looked at the ledger for, as one draw says next to nothing."""
    [policy] = ours([PROFILES[cell.profile]])
    found = play_alone(policy, learner, 5, Survival(FIVE), seed)
    return Figures(1.0 + found.requests, found.delay, found.delay, found.p99, looks=0.0, told=0.0)


def _warmed(profile: str, ledger: str | None, learner: DurationLearner, seed: int) -> RecordingLag | None:
    """Let a session see five hundred before; what it then knows of the ledger."""
    before = Cell(_SEEN, profile)
    simulated = _desk(before, ledger, learner, seed + 1, None)
    play(simulated, before.generations(seed + 1), before.rate)
    return None if simulated.feed is None else RecordingLag.from_data(simulated.feed.lag.as_data())


def _desk(
    cell: Cell, ledger: str | None, learner: DurationLearner, seed: int, lag: RecordingLag | None
) -> SimulatedSession:
    [policy] = ours([PROFILES[cell.profile]])
    recorded = None if ledger is None else Ledger(LEDGERS[ledger], seed)
    return SimulatedSession(policy, learner, Vendor(), cell.rate, seed, ledger=recorded, lag=lag)


def _figures(simulated: SimulatedSession) -> Figures:
    results = simulated.results
    delays = sorted(delay for _, delay, _ in results)
    told = 0 if simulated.feed is None else simulated.feed.told_first
    return Figures(
        requests=1.0 + (sum(polls for polls, _, _ in results) + simulated.looks) / len(results),
        completed=fmean(delay for _, delay, generation in results if not generation.fails),
        delay=fmean(delays),
        p99=delays[math.ceil(0.99 * len(results)) - 1],
        looks=simulated.looks / len(results),
        told=told / len(results),
    )
