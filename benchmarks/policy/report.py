"""What was found: rows to read, curves to draw, and targets that are met or not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import asdict, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.policy.exact import Outcome

__all__ = ["Curve", "Report", "Row", "Target", "table", "verdict"]

_ROW = ("scenario", "policy", "setting", "requests a job", "mean delay s", "p99 s", "share of the optimum")
_TARGET = ("target", "figure", "wanted", "")


@frozen
class Row:
    """A policy's outcome, and the optimum's share in its delay.

    Attributes:
        scenario: What was played.
        policy: Who played.
        knob: At which setting.
        outcome: What came of it.
        share: The least delay there can be, as a share of its delay; None where that is not known.
    """

    scenario: str
    policy: str
    knob: str
    outcome: Outcome
    share: float | None = None


@frozen
class Curve:
    """A policy at all its settings, by requests; those that another setting beats in both are left out."""

    scenario: str
    policy: str
    points: Sequence[Outcome]


@frozen
class Target:
    """A figure and what it should be: at least, or at ``most``; ``within_reach`` if the optimum is that."""

    name: str
    figure: float
    wanted: float
    most: bool = False
    within_reach: bool = True

    @property
    def met(self) -> bool:
        """True if the figure is as it should be."""
        return self.figure <= self.wanted if self.most else self.figure >= self.wanted


@frozen
class Report:
    """All of it, and ``notes`` to read with it."""

    rows: Sequence[Row]
    curves: Sequence[Curve]
    targets: Sequence[Target]
    notes: str = ""

    def as_markdown(self) -> str:
        """Two tables: the targets, and a line a row; the notes between them."""
        targets = [
            (each.name, f"{each.figure:.3f}", f"{'≤' if each.most else '≥'} {each.wanted:g}", verdict(each))
            for each in self.targets
        ]
        return "\n".join(filter(None, [table([_TARGET, *targets]), self.notes, table([_ROW, *map(_cells, self.rows)])]))

    def as_data(self) -> dict[str, object]:
        """Return the same for ``json.dumps``, and the curves."""
        return {
            "targets": [asdict(each) | {"met": each.met} for each in self.targets],
            "rows": [_plain(each) for each in self.rows],
            "curves": [_plain_curve(each) for each in self.curves],
        }


def verdict(target: Target) -> str:
    """Say in a word whether it is met."""
    if target.met:
        return "met"
    return "**missed**" if target.within_reach else "out of anybody's reach"


def table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown, with the first line as its head."""
    head, *rest = lines
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ("---",) * len(head), *rest])


def _cells(row: Row) -> tuple[str, ...]:
    figures = (row.outcome.requests, row.outcome.delay, row.outcome.p99)
    share = "" if row.share is None else f"{row.share:.1%}"
    return (row.scenario, row.policy, row.knob, *("" if math.isnan(each) else f"{each:.1f}" for each in figures), share)


def _plain(row: Row) -> dict[str, object]:
    data: dict[str, object] = asdict(row)
    del data["outcome"]
    figures = asdict(row.outcome)
    return data | {name: None if math.isnan(value) else _rounded(value) for name, value in figures.items()}


def _plain_curve(curve: Curve) -> dict[str, object]:
    points = [{name: _rounded(value) for name, value in asdict(each).items()} for each in curve.points]
    return {"scenario": curve.scenario, "policy": curve.policy, "points": points}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
