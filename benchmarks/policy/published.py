"""What the percentiles that the vendor publishes are worth before anything was seen, right or wrong.

The share of the optimum is the mean over 8 to 20 requests a generation. Of models of one length of video the
percentiles are those of its generations; of one with two they are those of both together, in shares nobody tells.
They are those of successes alone: a model without any is not published, and of failures nothing is said.

Where nothing fails, 5 s videos with the right percentiles come to 0.77 of an optimum that knows that nothing fails. Of
the 0.23 that are missing, 0.10 go to early failures, which the prior expects and which never come (0.87 without them in
the prior; but where one in seventy does fail, 0.86 with them and 0.71 without), 0.08 to percentiles that count as 20
generations and no more (0.95 with 200; but with percentiles of ten generations, or wrong ones, that is worse), 0.03 to
a tail that is not quite the assumed one (0.976), and 0.01 to bins (0.987 with the true hazard in them).
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from benchmarks.policy.durations import Mixture, quantile, trace
from benchmarks.policy.exact import Outcome, Survival
from benchmarks.policy.learned import Workload
from benchmarks.policy.policies import ours
from benchmarks.policy.report import Row
from benchmarks.policy.single import (
    COMPARED,
    FIVE,
    SEVENTY,
    TEN,
    TWO,
    WIDE,
    best_curve,
    first_thirty,
    frontier,
    play,
    value_at,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.policy.durations import Distribution
    from benchmarks.policy.size import Size

__all__ = ["play_published"]

_SHARES: Final = (0.5, 0.75, 0.9)
_AT: Final = 12.0  # requests a generation: those of the outcome that is shown
_FIRST_DRAWN: Final = 9000
_DRAWN: Final = 8  # times that few generations are drawn for percentiles to be of them


@frozen
class _World:
    """What is published of what.

    Attributes:
        name: Of what generations take.
        workload: What they take.
        law: What all generations take together, of every length.
    """

    name: str
    workload: Workload
    law: Distribution

    def told(self, times: float = 1.0) -> Workload:
        """With the percentiles of all, times so much."""
        return evolve(self.workload, published=[times * quantile(self.law, share) for share in _SHARES])

    def drawn(self, jobs: int, seed: int) -> Workload:
        """With the percentiles of so few."""
        durations = sorted(trace(self.law, jobs, seed))
        return evolve(self.workload, published=[durations[int(share * jobs)] for share in _SHARES])


def _both(share: float) -> _World:
    mixed = Mixture(((1.0 - share, FIVE), (share, TEN)))
    return _World(f"5 s and 10 s videos, {share:.0%} of 10 s", Workload({5: FIVE, 10: TEN}), mixed)


_WORLDS: Final = (
    _World("5 s video", Workload({5: FIVE}), FIVE),
    _World("wide: spread 0.35, some fail early", Workload({5: WIDE}), WIDE),
    _World("one in seventy fails early", Workload({5: SEVENTY}), FIVE),
    _World("catalogue says 0.6 of the truth", Workload({5: FIVE}, wrong=0.6), FIVE),
    _World("catalogue says 1.5 of the truth", Workload({5: FIVE}, wrong=1.5), FIVE),
    _World("two back ends, of 150 s and 420 s", Workload({5: TWO}), TWO),
    _both(0.0),
    _both(0.3),
    _both(1.0),
)


def play_published(size: Size) -> list[Row]:
    """Every world, nothing seen: without, and with percentiles that are right, wrong, few, or the submit's."""
    rows: list[Row] = []
    for world in _WORLDS[: size.workloads]:
        ways = {
            "nothing": [world.workload],
            "right": [world.told()],
            "of ten generations": [world.drawn(10, seed) for seed in range(_FIRST_DRAWN, _FIRST_DRAWN + _DRAWN)],
            "1.3 times": [world.told(1.3)],
            "twice": [world.told(2.0)],
            "half": [world.told(0.5)],
            "of the submit": [world.told(0.005)],
        }
        best = best_curve(world.workload.laws[5], size.optimum, Survival(world.workload.laws[5]))
        for way, workloads in ways.items():
            curves = [_curve(workload, size) for workload in workloads]
            rows.append(_row(world, f"nothing seen, published: {way}", curves, best))
            if world is _WORLDS[0] and way in ("nothing", "right", "twice"):
                first = [first_thirty(workload, 5, size) for workload in workloads]
                rows.append(_row(world, f"the first 30, published: {way}", first, best))
    return rows


def _curve(workload: Workload, size: Size) -> list[Outcome]:
    learner, survival = workload.learner(), Survival(workload.laws[5])
    return frontier(play(policy, learner, 5, survival) for policy in ours(size.prices))


def _row(world: _World, policy: str, curves: Sequence[Sequence[Outcome]], best: Sequence[Outcome]) -> Row:
    shares = [
        least / delay
        for curve in curves
        for each in COMPARED
        if (least := value_at(each, best)) and (delay := value_at(each, curve))
    ]
    delays = [delay for curve in curves if (delay := value_at(_AT, curve))]
    outcome = Outcome(_AT, fmean(delays) if delays else float("nan"), float("nan"))
    return Row(f"published percentiles: {world.name}", policy, "", outcome, fmean(shares) if shares else None)
