"""All runs, kept as data while they come in, so that a long run can be broken off and gone on with."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen

from benchmarks.peers.outcome import Outcome, middle
from kling_async import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.run import Case

__all__ = ["Figures", "Run", "read"]


@frozen(kw_only=True)
class Run:
    """One run, and what came of it, or why nothing did."""

    setting: str
    condition: str
    jobs: int
    seed: int
    outcome: Outcome | None = None
    reason: str | None = None


@define
class Figures:
    """The runs measured so far.

    Attributes:
        quick: Whether the figures are too rough to quote.
        runs: All runs, in the order in which they were made.
    """

    quick: bool
    runs: list[Run] = field(factory=list[Run])

    def add(self, case: Case, outcome: Outcome | None, reason: str | None = None) -> None:
        """Take in a run; an earlier one of the same case is forgotten."""
        place = (case.setting.name, case.condition, case.jobs, case.seed)
        self.runs = [run for run in self.runs if _place(run) != place]
        name, condition, jobs, seed = place
        self.runs.append(Run(setting=name, condition=condition, jobs=jobs, seed=seed, outcome=outcome, reason=reason))

    def has(self, case: Case) -> bool:
        """Return whether this case has been run to its end."""
        place = (case.setting.name, case.condition, case.jobs, case.seed)
        return any(_place(run) == place and run.outcome is not None for run in self.runs)

    def of(self, setting: str, condition: str, jobs: int) -> Outcome | str | None:
        """Return the median over all seeds; or why there is nothing; or None if it was not run."""
        found = [run for run in self.runs if _place(run)[:3] == (setting, condition, jobs)]
        outcomes = [run.outcome for run in found if run.outcome is not None]
        if outcomes:
            return middle(outcomes)
        return found[0].reason if found else None

    def outcome(self, setting: str, condition: str, jobs: int) -> Outcome | None:
        """Return the median over all seeds, if there is one."""
        found = self.of(setting, condition, jobs)
        return found if isinstance(found, Outcome) else None

    @property
    def sizes(self) -> list[int]:
        """The numbers of jobs there are figures for."""
        return sorted({run.jobs for run in self.runs})

    def as_data(self) -> dict[str, Any]:
        """Everything as plain JSON data."""
        return {
            "kling_async": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "date": datetime.now(UTC).date().isoformat(),
            "quick": self.quick,
            "runs": [asdict(run) for run in self.runs],
        }


def read(path: Path) -> Figures:
    """Read what ``as_data`` wrote."""
    data = json.loads(path.read_text("utf-8"))
    figures = Figures(data["quick"])
    for run in data["runs"]:
        outcome = run.pop("outcome")
        figures.runs.append(Run(**run, outcome=None if outcome is None else Outcome(**outcome)))
    return figures


def _place(run: Run) -> tuple[str, str, int, int]:
    return (run.setting, run.condition, run.jobs, run.seed)
