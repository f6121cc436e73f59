"""What is played, how often, and what it is to come to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from benchmarks.policy.feed.ledger import LEDGERS
from benchmarks.policy.feed.play import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AIMS", "FULL", "MOST_HARM", "QUICK", "Aim", "Plan"]

_FIRST_SEED: Final = 8000  # those below were used while the feed was tuned, and would flatter it
MOST_HARM: Final = 0.02


@frozen
class Aim:
    """What a cell should come to at a ledger: at most so many requests, seconds of those that completed, and of all."""

    cell: Cell
    ledger: str
    requests: float
    completed: float
    delay: float | None = None


AIMS: Final = (
    Aim(Cell(500, "economy"), "lag 0", 5.0, 1.0),
    Aim(Cell(500, "economy", warm=True), "lag 0", 4.0, 1.0),
    Aim(Cell(500, "economy"), "lag 2 s", 5.5, 3.0, 4.0),
    Aim(Cell(500, "economy", warm=True), "lag 2 s", 4.5, 3.0, 4.0),
    Aim(Cell(500, "balanced"), "lag 2 s", 9.0, 2.7),
    Aim(Cell(1000, "economy", 10.0), "lag 2 s", 5.0, 3.2, 4.2),
    Aim(Cell(10_000, "economy", 50.0), "lag 0", 2.9, 0.8, 2.2),
    Aim(Cell(50, "economy", warm=True), "lag 0", 7.5, 2.0),
    Aim(Cell(50, "economy"), "lag 0", 11.0, 5.0),
)


@frozen
class Plan:
    """The extent of a run of the benchmark.

    Attributes:
        cells: What is played.
        runs: How often, by the number of generations: more often where chance decides more.
        ledgers: Where.
        bounds: The step in seconds to which the bound is worked out, by the number of generations, under a rate.
        groups: Into how many the bound takes those together that begin one after the other.
    """

    cells: Sequence[Cell]
    runs: Mapping[int, int]
    ledgers: Sequence[str] = tuple(LEDGERS)
    bounds: Mapping[int, float] = field(factory=dict[int, float])
    groups: int = 10

    def seeds(self, cell: Cell) -> range:
        """Return what each run of it is drawn from."""
        return range(_FIRST_SEED, _FIRST_SEED + self.runs[cell.jobs])


# Under a rate it is the rate that sets the price of a poll, so that the profiles hardly differ.
_SIZES: Final = (
    *((jobs, profile, math.inf) for jobs in (1, 50, 500) for profile in ("balanced", "economy")),
    (1000, "economy", 10.0),
    (10_000, "economy", 50.0),
)
FULL: Final = Plan(
    cells=[Cell(*size, warm=warm) for size in _SIZES for warm in (False, True)],
    runs={1: 8, 50: 16, 500: 8, 1000: 8, 10_000: 8},
    bounds={1000: 2.5, 10_000: 2.5},
)
QUICK: Final = Plan(
    cells=[Cell(40, "economy"), Cell(40, "economy", warm=True), Cell(80, "economy", 4.0)],
    runs={40: 1, 80: 1},
    ledgers=("lag 0", "lag 2 s", "each minute", "refused"),
    bounds={80: 10.0},
    groups=4,
)
