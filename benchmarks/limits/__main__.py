"""The command: play every limit, and show what came of it."""

from __future__ import annotations

from benchmarks import limits
from benchmarks.command import read, show
from benchmarks.limits.report import Report
from benchmarks.limits.scenarios import FULL, QUICK, play_hidden, play_real, play_stepped


def main() -> None:
    """Play, print the tables, and write what is asked for."""
    wanted = read(limits)
    size = QUICK if wanted.quick else FULL
    report = Report(play_stepped(size), play_hidden(size) + play_real(size))
    show(report, wanted)
    if wanted.svg is not None:
        from benchmarks.plots.limits import draw  # noqa: PLC0415 - needs what only plots need

        draw(report, size.phase, wanted.svg)


if __name__ == "__main__":
    main()
