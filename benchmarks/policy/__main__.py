"""The command: play every scenario, and show what came of it."""

from __future__ import annotations

import sys
from inspect import cleandoc
from typing import TYPE_CHECKING

from benchmarks import policy
from benchmarks.command import read, show
from benchmarks.policy import published
from benchmarks.policy.published import play_published
from benchmarks.policy.report import Report
from benchmarks.policy.scenarios import play_batches, play_drift, play_queue, play_steady
from benchmarks.policy.single import play_singles
from benchmarks.policy.size import FULL, QUICK
from benchmarks.policy.targets import targets

if TYPE_CHECKING:
    from benchmarks.policy.size import Size


def main() -> None:
    """Play, print the tables, and write what is asked for."""
    wanted = read(policy)
    report = play(QUICK if wanted.quick else FULL)
    show(report, wanted)
    if wanted.svg is not None:
        from benchmarks.plots.policy import draw  # noqa: PLC0415 - needs what only plots need

        draw(report, wanted.svg)


def play(size: Size) -> Report:
    """Everything."""
    rows, curves = play_singles(size)
    rows += play_published(size)
    _say("single generations are played")
    rows += play_batches(size)
    _say("batches are played")
    rows += [*play_steady(size), *play_queue(size)]
    _say("streams are played")
    more_rows, more_curves = play_drift(size)
    rows, curves = rows + more_rows, curves + more_curves
    return Report(rows, curves, targets(rows, curves), cleandoc(published.__doc__ or "") + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
