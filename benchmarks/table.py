"""Figures as a table to read, and as data."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from attrs import asdict

from kling_async import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.figure import Figure

__all__ = ["as_data", "as_markdown", "as_table", "summary"]

_HEADER = ("", "figure", "target", "met", "raw")
_MET = {True: "yes", False: "NO", None: ""}


def as_table(figures: Sequence[Figure]) -> str:
    """One line a figure, in columns."""
    rows = [_HEADER, *(_row(figure) for figure in figures)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(figures: Sequence[Figure]) -> str:
    """Return the same as a Markdown table."""
    rows = [("", *_HEADER[1:]), ("---",) * len(_HEADER), *(_row(figure) for figure in figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def summary(figures: Sequence[Figure]) -> str:
    """Say how many targets are met, and list those that are not."""
    aimed = [figure for figure in figures if figure.target is not None]
    missed = [figure.name for figure in aimed if not figure.met]
    tail = f"; missed: {', '.join(missed)}" if missed else ""
    return f"{len(aimed) - len(missed)} of {len(aimed)} targets met{tail}"


def as_data(figures: Sequence[Figure], *, quick: bool) -> dict[str, Any]:
    """Return the figures, and what they were measured on, as plain JSON data."""
    return {
        "kling_async": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "quick": quick,
        "figures": [asdict(figure) | {"met": figure.met} for figure in figures],
    }


def _row(figure: Figure) -> tuple[str, ...]:
    raw = ", ".join(f"{name}={_number(value)}" for name, value in figure.raw.items())
    return (
        figure.name,
        _quantity(figure.value, figure.unit),
        _target(figure),
        _MET[figure.met],
        raw,
    )


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"{'≥' if figure.at_least else '≤'} {_quantity(figure.target, figure.unit)}"


def _quantity(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}" if unit else f"{value:.2f}"


def _number(value: float) -> str:
    return f"{value:,.2f}" if value < 100 and value != int(value) else f"{value:,.0f}"  # noqa: PLR2004 - what is readable
