"""The command: play every cell at every ledger, and show what came of it."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.command import read, show
from benchmarks.policy import feed
from benchmarks.policy.feed.plan import FULL, QUICK
from benchmarks.policy.feed.play import play_cell
from benchmarks.policy.feed.report import OFF, Played, Report, one_by_one, shared_bound

if TYPE_CHECKING:
    from benchmarks.policy.feed.plan import Plan
    from benchmarks.policy.feed.play import Cell


def main() -> None:
    """Play, print the tables, and write what is asked for."""
    wanted = read(feed)
    report = play(QUICK if wanted.quick else FULL)
    show(report, wanted)
    if wanted.svg is not None:
        from benchmarks.plots.feed import draw  # noqa: PLC0415 - needs what only plots need

        draw(report, wanted.svg)


def play(plan: Plan) -> Report:
    """Everything."""
    played: dict[tuple[Cell, str], Played] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for cell in plan.cells:
            for ledger in (OFF, *plan.ledgers):
                seeds = plan.seeds(cell)
                cells, ledgers = [cell] * len(seeds), [None if ledger == OFF else ledger] * len(seeds)
                played[cell, ledger] = Played(cell, ledger, list(pool.map(play_cell, cells, ledgers, seeds)))
            sys.stderr.write(f"{cell}: played\n")
    bounds = {cell.jobs: bound for cell in plan.cells if (bound := shared_bound(cell, plan)) is not None}
    return Report(played, one_by_one(), bounds)


if __name__ == "__main__":
    main()
