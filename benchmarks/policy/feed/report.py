"""What came of it: aims, figures with the feed on and off, and how far on is worse than off."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Final

from attrs import asdict, frozen

from benchmarks.policy.exact import Survival
from benchmarks.policy.feed.plan import AIMS, MOST_HARM
from benchmarks.policy.feed.play import mean
from benchmarks.policy.learned import Workload
from benchmarks.policy.report import Target, table, verdict
from benchmarks.policy.scenarios import Batch
from benchmarks.policy.single import FIVE, best_curve, value_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.policy.exact import Outcome
    from benchmarks.policy.feed.plan import Aim, Plan
    from benchmarks.policy.feed.play import Cell, Figures

__all__ = ["OFF", "Harm", "Played", "Report", "one_by_one", "shared_bound"]

OFF: Final = "off"
_PRICES: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.4, 0.8, 1.6, 3.2, 6.0, 12.0, 24.0, 48.0)


@frozen
class Played:
    """All runs of a cell at a ledger, or with the feed off."""

    cell: Cell
    ledger: str
    runs: Sequence[Figures]


@frozen
class Harm:
    """How much worse than off: the mean over runs with the same seeds, and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, on: Played, off: Played) -> Harm:
        """Return an order by requests at their worth plus delay."""
        profile = on.cell.profile
        worse = [one.cost(profile) / other.cost(profile) - 1.0 for one, other in zip(on.runs, off.runs, strict=True)]
        middle = fmean(worse)
        spread = math.sqrt(fmean((each - middle) ** 2 for each in worse))
        return cls(middle, spread / math.sqrt(max(1, len(worse) - 1)))

    def __str__(self) -> str:
        text = f"{100 * self.mean:+.1f} ± {100 * self.error:.1f}"
        return f"**{text}**" if self.mean > MOST_HARM else text


def one_by_one() -> list[Outcome]:
    """Return the least delay there can be of asking one by one, by polls: without a limit, all durations known."""
    return best_curve(FIVE, _PRICES, Survival(FIVE))


def shared_bound(cell: Cell, plan: Plan) -> float | None:
    """Return the same for those who share a rate; None where it is not worked out."""
    if cell.jobs not in plan.bounds:
        return None
    batch = Batch(str(cell), Workload({5: FIVE}), cell.jobs, cell.rate, plan.bounds[cell.jobs])
    return batch.bound(plan.groups, plan.bounds[cell.jobs])


@frozen
class Report:
    """All of it.

    Attributes:
        played: By cell and ledger.
        curve: See `one_by_one`.
        bounds: See `shared_bound`, by the number of generations.
    """

    played: Mapping[tuple[Cell, str], Played]
    curve: Sequence[Outcome]
    bounds: Mapping[int, float]

    def figures(self, cell: Cell, ledger: str) -> Figures:
        """Return the means over its runs."""
        return mean(self.played[cell, ledger].runs)

    def harm(self, cell: Cell, ledger: str) -> Harm:
        """Return how much worse than off."""
        return Harm.of(self.played[cell, ledger], self.played[cell, OFF])

    def least(self, cell: Cell, requests: float) -> float | None:
        """Return the least delay of asking one by one, with so many requests by generation, submits among them."""
        alone = value_at(requests - 1.0, self.curve)
        if cell.rate == math.inf:
            return alone
        return max(self.bounds[cell.jobs], alone or 0.0) if cell.jobs in self.bounds else None

    @property
    def targets(self) -> list[Target]:
        """The aims, as far as they were played, and that nothing is worse than off."""
        found = [target for aim in AIMS if (aim.cell, aim.ledger) in self.played for target in self._aimed(aim)]
        worst = max((self.harm(*at).mean, f"{at[0]}, {at[1]}") for at in self.played if at[1] != OFF)
        return [*found, Target(f"most harm: {worst[1]}", worst[0], MOST_HARM, most=True)]

    def _aimed(self, aim: Aim) -> Iterator[Target]:
        found = self.figures(aim.cell, aim.ledger)
        name = f"{aim.cell}, {aim.ledger}"
        yield Target(f"{name}: requests", found.requests, aim.requests, most=True)
        yield Target(f"{name}: mean delay of completed, s", found.completed, aim.completed, most=True)
        if aim.delay is not None:
            yield Target(f"{name}: mean delay of all, s", found.delay, aim.delay, most=True)

    def as_markdown(self) -> str:
        """Three tables."""
        return "\n".join([table(self._target_lines()), table(list(self._harm_lines())), table(list(self._lines()))])

    def _target_lines(self) -> list[tuple[str, ...]]:
        lines = [(each.name, f"{each.figure:.3g}", f"≤ {each.wanted:g}", verdict(each)) for each in self.targets]
        return [("aim", "figure", "wanted", ""), *lines]

    def _harm_lines(self) -> Iterator[tuple[str, ...]]:
        ledgers = list(dict.fromkeys(ledger for _, ledger in self.played if ledger != OFF))
        yield "requests at their worth + delay, beside off: % ± standard error", "runs", *ledgers
        for cell in dict.fromkeys(cell for cell, _ in self.played):
            harms = [str(self.harm(cell, each)) if (cell, each) in self.played else "" for each in ledgers]
            yield str(cell), str(len(self.played[cell, OFF].runs)), *harms

    def _lines(self) -> Iterator[tuple[str, ...]]:
        yield _HEAD
        for cell, ledger in self.played:
            found = self.figures(cell, ledger)
            least = self.least(cell, found.requests)
            yield (
                str(cell),
                ledger,
                f"{found.requests:.2f}",
                f"{found.completed:.2f}",
                f"{found.delay:.2f}",
                f"{found.p99:.1f}",
                f"{found.looks:.2f}",
                f"{found.told:.0%}",
                "" if least is None else f"{least:.1f}",
            )

    def as_data(self) -> dict[str, object]:
        """Return the same for ``json.dumps``, run by run."""
        return {
            "targets": [asdict(each) | {"met": each.met} for each in self.targets],
            "runs": [
                _finite(asdict(cell))
                | {"ledger": ledger}
                | {name: _rounded(value) for name, value in asdict(run).items()}
                for (cell, ledger), played in self.played.items()
                for run in played.runs
            ],
            "one by one": [{name: _rounded(value) for name, value in asdict(each).items()} for each in self.curve],
            "one by one under a rate": dict(self.bounds),
        }


_HEAD: Final = (
    "generations at once",
    "ledger",
    "requests a job",
    "completed s",
    "all s",
    "p99 of all s",
    "looks a job",
    "told first",
    "all s, one by one at best",
)


def _finite(data: dict[str, object]) -> dict[str, object]:
    return {name: None if value == math.inf else value for name, value in data.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
