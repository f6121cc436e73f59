"""What all plots share: size, colours, and files that depend on nothing but what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

__all__ = ["FAINT", "OURS", "PALE", "RIVALS", "label", "save"]

OURS: Final = "#0b6e4f"
PALE: Final = "#7cc4a8"
FAINT: Final = "#6b7280"
RIVALS: Final = ("#b4431f", "#8a5a00", "#5b4b9a", "#1f5fa8")

_STYLE: Final[Any] = {
    "svg.hashsalt": "kling_async",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.7,
    "axes.edgecolor": "#9ca3af",
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "path.simplify": True,
}
_WIDTH: Final = 8.9  # inches: 800 pixels at 90 to the inch


def save(draw: Callable[[Sequence[Axes]], None], file: Path, *, rows: int, columns: int, height: float) -> None:
    """Draw panels, row by row, and write them; an SVG, or whatever else the file's name asks for."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw([figure.add_subplot(rows, columns, number + 1) for number in range(rows * columns)])
        metadata = {"Date": None} if file.suffix == ".svg" else None
        figure.savefig(file, metadata=metadata, dpi=90)


def label(axes: Axes, text: str, at: tuple[float, float], colour: str, shift: tuple[float, float] = (4.0, 4.0)) -> None:
    """Write beside a point, this many points off."""
    axes.annotate(text, at, xytext=shift, textcoords="offset points", color=colour, fontsize=8.5)
