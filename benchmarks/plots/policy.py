"""The policy benchmark's plot: requests against delay, and what that comes to when many share a rate."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from benchmarks.plots.page import FAINT, OURS, PALE, RIVALS, label, save
from benchmarks.policy.policies import BACKOFF, FIXED, RUNWAY, SLEEP
from benchmarks.policy.scenarios import BOUND, COLD_START, steady_title, title
from benchmarks.policy.single import COLD, MAIN, OPTIMUM, THIRTY, WARMED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.policy.exact import Outcome
    from benchmarks.policy.report import Report, Row

__all__ = ["draw"]

_FROM, _TO = 4.5, 70.0  # requests
_COLOURS: Final = {FIXED: RIVALS[0], BACKOFF: RIVALS[1], SLEEP: RIVALS[2], RUNWAY: RIVALS[3]}
_LINES: Final = (
    (FIXED, _COLOURS[FIXED], "-", 1.3),
    (BACKOFF, _COLOURS[BACKOFF], "-", 1.3),
    (SLEEP, _COLOURS[SLEEP], "-", 1.3),
    (COLD, PALE, ":", 1.6),
    (THIRTY, PALE, "-", 1.8),
    (WARMED, OURS, "-", 2.4),
    (OPTIMUM, "black", "--", 1.0),
)
_LABELS: Final = {  # where in the left panel: at how many requests, and how far off
    FIXED: (11.0, (6.0, 4.0)),
    BACKOFF: (25.0, (6.0, 6.0)),
    COLD: (5.0, (8.0, 3.0)),
    WARMED: (13.0, (-104.0, -40.0)),
    OPTIMUM: (34.0, (-66.0, -12.0)),
}
_LABELS_OF_P99: Final = {SLEEP: (9.0, (-66.0, -22.0))}  # where its line keeps off the others
_SHORT: Final = {
    COLD: "learned, before any",
    WARMED: "learned, after 500; pale: after 30",
    OPTIMUM: "optimum",
}


def draw(report: Report, file: Path) -> None:
    """Write it, as the file's name asks: ``.svg``, ``.png``."""

    def panels(axes: Sequence[Axes]) -> None:
        curves = {curve.policy: curve.points for curve in report.curves if curve.scenario == MAIN}
        _trade(axes[0], curves, "delay")
        axes[0].set_title(f"{MAIN}: mean delay, s")
        _trade(axes[1], curves, "p99")
        axes[1].set_title(f"{MAIN}: 99 in 100 noticed within, s")
        _bars(axes[2], [row for row in report.rows if row.scenario == title(1000, 10.0)], COLD_START)
        axes[2].set_title("1,000 at once, 10 requests/s: mean delay, s")
        _bars(axes[3], [row for row in report.rows if row.scenario == steady_title(1000, 10.0)], "learned")
        axes[3].set_title("always 1,000, 10 requests/s: mean delay, s")

    save(panels, file, rows=2, columns=2, height=7.2)


def _trade(axes: Axes, curves: dict[str, Sequence[Outcome]], figure: str) -> None:
    for policy, colour, style, width in _LINES:
        points = [each for each in curves.get(policy, ()) if _FROM * 0.9 <= each.requests <= _TO * 1.1]
        across = [each.requests for each in points]
        up = list(accumulate((getattr(each, figure) for each in points), min))  # the best for at most so many requests
        axes.plot(across, up, style, color=colour, linewidth=width)
        wanted, shift = (_LABELS if figure == "delay" else _LABELS_OF_P99).get(policy, (None, (0.0, 0.0)))
        if wanted is not None and points:
            _, near = min((abs(requests - wanted), place) for place, requests in enumerate(across))
            label(axes, _SHORT.get(policy, policy), (across[near], up[near]), colour, shift)
    for runway in curves.get(RUNWAY, ()):
        at = (runway.requests, getattr(runway, figure))
        axes.plot(*at, "o", color=_COLOURS[RUNWAY])
        label(axes, "Runway", at, _COLOURS[RUNWAY], (-16.0, 7.0))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(_FROM, _TO)
    axes.set_xlabel("requests a generation")
    for axis, ticks in ((axes.xaxis, (5, 10, 20, 40)), (axes.yaxis, (1, 2, 5, 10, 20, 50, 100, 200))):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def _bars(axes: Axes, rows: Sequence[Row], ours: str) -> None:
    """Everybody at the best setting."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.policy in (ours, *_COLOURS) and (
            row.policy not in best or row.outcome.delay < best[row.policy].outcome.delay
        ):
            best[row.policy] = row
    order = sorted(best.values(), key=lambda row: -row.outcome.delay)
    for place, row in enumerate(order):
        colour = _COLOURS.get(row.policy, OURS)
        axes.barh(place, row.outcome.delay, color=colour, height=0.45)
        label(axes, f"{row.outcome.delay:.1f}", (row.outcome.delay, place), colour, (3.0, -3.0))
        label(axes, row.policy, (0.0, place + 0.25), colour, (2.0, 2.0))
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    least = [row.outcome.delay * row.share for row in order if row.share is not None and row.policy == ours]
    bounds = [row.outcome.delay for row in rows if row.policy == BOUND] or least
    if bounds:
        axes.axvline(bounds[0], color="black", linestyle="--", linewidth=1.0)
        label(axes, "nobody can do better", (bounds[0], -0.55), FAINT, (3.0, 0.0))
    if order:
        axes.set_xlim(0.0, 1.12 * order[0].outcome.delay)
        axes.set_ylim(-0.7, len(order) - 0.3)
