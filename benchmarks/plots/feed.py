"""The completion feed's plot: what it saves where the ledger leads, and that it costs nothing where it does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from benchmarks.plots.page import FAINT, OURS, PALE, RIVALS, label, save
from benchmarks.policy.feed.plan import MOST_HARM
from benchmarks.policy.feed.report import OFF

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.policy.feed.play import Cell
    from benchmarks.policy.feed.report import Report

__all__ = ["draw"]

_LAGS: Final = ("lag 0", "lag 2 s", "lag 10 s", "lag 60 s")
_OFF: Final = RIVALS[0]
_FEWEST, _MOST = 3.3, 36.0  # requests that are drawn
_LEFTMOST: Final = -40.0  # percent: what is better still is drawn there


def draw(report: Report, file: Path) -> None:
    """Write it, as the file's name asks: ``.svg``, ``.png``."""
    cells = list(dict.fromkeys(cell for cell, _ in report.played))
    limited = [cell for cell in cells if cell.rate < math.inf and not cell.warm][:2]

    def panels(axes: Sequence[Axes]) -> None:
        _trade(axes[0], report, [cell for cell in cells if cell.rate == math.inf and cell.jobs == _largest(cells)])
        for panel, cell in zip(axes[1:], limited, strict=False):
            _bars(panel, report, cell)
        _harm(axes[3], report, cells)

    save(panels, file, rows=2, columns=2, height=7.4)


def _largest(cells: Sequence[Cell]) -> int:
    return max(cell.jobs for cell in cells if cell.rate == math.inf)


def _trade(axes: Axes, report: Report, cells: Sequence[Cell]) -> None:
    """Draw requests against the delay of all, without a limit."""
    across, up = [each.requests + 1.0 for each in report.curve], [each.delay for each in report.curve]
    axes.plot(across, up, "--", color="black", linewidth=1.0)
    place = min(range(len(across)), key=lambda number: abs(across[number] - 7.0))
    label(axes, "nobody who asks one by one\ncan do better", (across[place], up[place]), FAINT, (6.0, 4.0))
    for cell in cells:
        colour = OURS if cell.warm else PALE
        lags = [ledger for ledger in _LAGS if (cell, ledger) in report.played]
        found = [report.figures(cell, ledger) for ledger in lags]
        axes.plot([each.requests for each in found], [each.delay for each in found], "-o", color=colour, markersize=4)
        without = report.figures(cell, OFF)
        axes.plot(
            without.requests, without.delay, "s", color=_OFF, markersize=5, fillstyle="full" if cell.warm else "none"
        )
        if cell.warm and cell.profile == "economy":
            for ledger, each in zip(lags[:3], found, strict=False):
                label(axes, ledger, (each.requests, each.delay), OURS, (-6.0, -11.0))
        if cell.warm:
            label(axes, f"off, {cell.profile}", (without.requests, without.delay), _OFF, (7.0, 1.0))
    axes.set_title(f"{_largest(cells)} at once: mean delay of all, s (dark: warm)")
    axes.set_xlabel("requests a generation, submit and looks among them")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(_FEWEST, _MOST)
    axes.set_ylim(0.4, 30.0)
    for axis, ticks in ((axes.xaxis, (4, 5, 10, 20)), (axes.yaxis, (0.5, 1, 2, 5, 10, 20))):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def _bars(axes: Axes, report: Report, cell: Cell) -> None:
    ledgers = [ledger for ledger in (OFF, *reversed(_LAGS)) if (cell, ledger) in report.played]
    for place, ledger in enumerate(ledgers):
        delay, colour = report.figures(cell, ledger).delay, _OFF if ledger == OFF else OURS
        axes.barh(place, delay, color=colour, height=0.45)
        label(axes, f"{delay:.1f}", (delay, place), colour, (3.0, -3.0))
        label(axes, "one by one (off)" if ledger == OFF else ledger, (0.0, place + 0.25), colour, (2.0, 2.0))
    if cell.jobs in report.bounds:
        axes.axvline(report.bounds[cell.jobs], color="black", linestyle="--", linewidth=1.0)
        label(axes, "the best, one by one", (report.bounds[cell.jobs], -0.62), FAINT, (-86.0, 0.0))
    axes.set_title(f"{cell.jobs:,} at once, {cell.rate:g} requests/s: mean delay of all, s")
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    axes.set_ylim(-0.8, len(ledgers) - 0.2)
    axes.set_xlim(0.0, 1.12 * max(report.figures(cell, ledger).delay for ledger in ledgers))


def _harm(axes: Axes, report: Report, cells: Sequence[Cell]) -> None:
    """Draw a point a cell."""
    ledgers = list(dict.fromkeys(ledger for _, ledger in report.played if ledger != OFF))[::-1]
    for place, ledger in enumerate(ledgers):
        for number, cell in enumerate(cells):
            if (cell, ledger) not in report.played:
                continue
            worse = max(_LEFTMOST, 100.0 * report.harm(cell, ledger).mean)
            colour = _OFF if worse > 100.0 * MOST_HARM else OURS if cell.warm else PALE
            axes.plot(worse, place + 0.5 * (number / len(cells) - 0.5), "o", color=colour, markersize=3.5)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.axvline(100.0 * MOST_HARM, color=_OFF, linestyle=":", linewidth=1.2)
    axes.set_yticks(range(len(ledgers)), ledgers)
    axes.grid(visible=False, axis="y")
    worst = max(100.0 * report.harm(*at).mean for at in report.played if at[1] != OFF)
    axes.set_xlim(_LEFTMOST - 1.5, max(6.0, worst + 1.5))
    axes.set_title("requests at their worth + delay, beside off")
    axes.set_xlabel(f"%, a point a batch ({_LEFTMOST:g}: or better); dotted: 2 % worse")
