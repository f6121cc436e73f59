"""The plot of unknown limits: requests let in and refused, while the limit goes up and down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.limits.scenarios import LOOPS, OURS
from benchmarks.plots.page import OURS as GREEN
from benchmarks.plots.page import RIVALS, label, save

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.limits.report import Report
    from benchmarks.limits.scenarios import Stepped

__all__ = ["draw"]

_LIMITS: Final = (5.0, 2.0, 10.0)
_TALLEST: Final = 30.0  # requests per second: what the loops send is far beyond


def draw(report: Report, phase: float, file: Path) -> None:
    """Write it, as the file's name asks: ``.svg``, ``.png``."""

    def panels(axes: Sequence[Axes]) -> None:
        limiter = next(each.limiter for each in report.stepped if each.client == LOOPS)
        for one, client in zip(axes, (OURS, LOOPS), strict=True):
            found = next(each for each in report.stepped if (each.client, each.limiter) == (client, limiter))
            _panel(one, found, phase)
            one.set_title(f"{client}: {found.refused:.1%} refused")
        axes[0].set_ylabel("requests per second")

    save(panels, file, rows=1, columns=2, height=3.5)


def _panel(axes: Axes, found: Stepped, phase: float) -> None:
    width = len(_LIMITS) * phase / len(found.rates) / 60.0
    minutes = [(number + 0.5) * width for number in range(len(found.rates))]
    passed = [each for each, _ in found.rates]
    asked = [sum(each) for each in found.rates]
    edges = [number * phase / 60.0 for number in range(len(_LIMITS) + 1)]
    axes.fill_between(minutes, passed, asked, color=RIVALS[0], alpha=0.55, linewidth=0.0)
    axes.plot(minutes, passed, color=GREEN, linewidth=1.6)
    axes.stairs(_LIMITS, edges, color="black", linestyle="--", linewidth=1.0, baseline=None)
    axes.set_ylim(0.0, min(_TALLEST, 1.15 * max(asked)))
    axes.set_xlim(0.0, edges[-1])
    axes.set_xlabel("minutes")
    label(axes, "the limit, told to nobody", (edges[0], _LIMITS[0]), "black", (6.0, 5.0))
    label(axes, "let in", (edges[2], _LIMITS[2]), GREEN, (44.0, -40.0))
    if found.refused > 0.1:  # noqa: PLR2004 - otherwise there is nothing to point at
        label(axes, "refused", (edges[1] / 2.0, _TALLEST * 0.6), RIVALS[0], (0.0, 0.0))
