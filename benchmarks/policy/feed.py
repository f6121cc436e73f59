"""The completion feed on and off, side by side, at vendors that record charges in every way."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Final

from attrs import astuple, frozen

from benchmarks.policy.batch import Desk, Generation, Vendor, play
from benchmarks.policy.durations import even, trace
from benchmarks.policy.exact import Outcome, mean
from benchmarks.policy.learned import Workload
from benchmarks.policy.ledger import LEDGERS, Ledger
from benchmarks.policy.policies import ours
from benchmarks.policy.report import Row
from benchmarks.policy.single import FIVE
from kling_async.pacing.recording_lag import RecordingLag
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.policy.ledger import Recording
    from benchmarks.policy.size import Size
    from kling_async.pacing.tracking import DurationLearner

__all__ = ["Cell", "Figures", "compare", "play_cell", "play_feed"]

_SHOWN: Final = ("lag 0", "lag 2 s", "lag 60 s", "once polled")  # of the ledgers, in the policy benchmark's tables
_FAILING: Final = 0.02  # the share of generations
_SEEN: Final = 500  # generations that a warm session has seen
_MANY: Final = 50
_FIRST_SEED: Final = 5000


@frozen
class Cell:
    """What is played: so many at once, at a profile, under a rate, on a session that is warm or not."""

    jobs: int
    profile: str
    rate: float = math.inf
    warm: bool = False

    def generations(self, seed: int) -> list[Generation]:
        """With no luck in their durations but in their order; a few are drawn."""
        rng = Random(seed)  # noqa: S311 - to be drawn again
        durations = trace(FIVE, self.jobs, seed) if self.jobs < _MANY else even(FIVE, self.jobs)
        rng.shuffle(durations)
        failing = set(rng.sample(range(self.jobs), round(_FAILING * self.jobs)))
        return [Generation(0.0, 5, each, fails=number in failing) for number, each in enumerate(durations)]

    def __str__(self) -> str:
        rate = "" if self.rate == math.inf else f" under {self.rate:g}/s"
        return f"{self.jobs:,}{rate}, {self.profile}, {'warm' if self.warm else 'cold'}"


@frozen
class Figures:
    """What came of it.

    Attributes:
        requests: Submit, polls and looks, by generation.
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
        """What is to be as little as possible: delay, and requests at their worth."""
        return PROFILES[profile] * self.requests + self.delay


def play_cell(cell: Cell, recording: Recording | None, seed: int) -> Figures:
    """Once; without a recording, with the feed off."""
    learner = Workload({5: FIVE}).learner()
    lag = _warmed(cell, recording, learner, seed) if cell.warm else None
    desk = _desk(cell, recording, learner, seed, lag)
    play(desk, cell.generations(seed), cell.rate)
    return _figures(desk, cell.jobs)


def _warmed(cell: Cell, recording: Recording | None, learner: DurationLearner, seed: int) -> RecordingLag | None:
    """Let a session see five hundred before; what it then knows of the ledger."""
    before = Cell(_SEEN, cell.profile)
    desk = _desk(before, recording, learner, seed + 1, RecordingLag())
    play(desk, before.generations(seed + 1), before.rate)
    return None if desk.feed is None else desk.feed.lag


def _desk(
    cell: Cell, recording: Recording | None, learner: DurationLearner, seed: int, lag: RecordingLag | None
) -> Desk:
    [policy] = ours([PROFILES[cell.profile]])
    ledger = None if recording is None else Ledger(recording, seed)
    return Desk(policy, learner, Vendor(), cell.rate, seed, ledger=ledger, lag=lag)


def _figures(desk: Desk, jobs: int) -> Figures:
    delays = sorted(delay for _, delay, _ in desk.results)
    return Figures(
        requests=1.0 + (sum(polls for polls, _, _ in desk.results) + desk.looks) / jobs,
        completed=fmean(delay for _, delay, generation in desk.results if not generation.fails),
        delay=fmean(delays),
        p99=delays[math.ceil(0.99 * jobs) - 1],
        looks=desk.looks / jobs,
        told=0.0 if desk.feed is None else desk.feed.told_first / jobs,
    )


def play_feed(size: Size) -> list[Row]:
    """Some of it, as rows beside those of other policies; requests count submits and looks as well."""
    runs = range(_FIRST_SEED, _FIRST_SEED + size.runs)
    rows: list[Row] = []
    for cell in (Cell(jobs, "economy", rate) for jobs, rate in size.feeds):
        for name in (None, *_SHOWN):
            played = [play_cell(cell, None if name is None else LEDGERS[name], seed) for seed in runs]
            found = mean([Outcome(each.requests, each.delay, each.p99) for each in played])
            policy = "without the ledger" if name is None else f"with a ledger, {name}"
            rows.append(Row(f"completion feed: {cell}", policy, "economy", found))
    return rows


def compare(cell: Cell, ledgers: Sequence[str], seeds: int) -> None:
    """Print a line for each."""
    runs = range(_FIRST_SEED, _FIRST_SEED + seeds)
    off = [play_cell(cell, None, seed) for seed in runs]
    _print(cell, "off", off, off)
    for name in ledgers:
        _print(cell, name, [play_cell(cell, LEDGERS[name], seed) for seed in runs], off)


def _print(cell: Cell, name: str, on: list[Figures], off: list[Figures]) -> None:
    costs = [one.cost(cell.profile) / fmean(other.cost(cell.profile) for other in off) - 1.0 for one in on]
    spread = (fmean((each - fmean(costs)) ** 2 for each in costs) / max(1, len(costs) - 1)) ** 0.5
    means = Figures(*(fmean(values) for values in zip(*map(astuple, on), strict=True)))
    sys.stdout.write(
        f"| {cell} | {name} | {means.requests:.2f} | {means.completed:.2f} | {means.delay:.2f} | {means.p99:.1f} "
        f"| {means.looks:.2f} | {means.told:.0%} | {fmean(costs):+.1%} ± {spread:.1%} |\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Play what the command line asks for."""
    parser = ArgumentParser("python -m benchmarks.policy.feed", description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--profile", default="balanced", choices=PROFILES)
    parser.add_argument("--rate", type=float, default=math.inf)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--ledger", action="append", choices=LEDGERS)
    wanted = parser.parse_args()
    compare(Cell(wanted.jobs, wanted.profile, wanted.rate, wanted.warm), wanted.ledger or list(LEDGERS), wanted.seeds)


if __name__ == "__main__":
    main()
