"""Format numbers, durations and tables for people, in plain ASCII, so that any terminal and any pipe takes them."""

from __future__ import annotations

import os
import shlex
import subprocess
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def command(*words: object, windows: bool = os.name == "nt") -> str:
    """Format a command of this program for the shell."""
    typed = ["kling-async", *map(str, words)]
    return subprocess.list2cmdline(typed) if windows else shlex.join(typed)


def reason(error: BaseException) -> str:
    """Format an error's class and message in one line."""
    return f"{type(error).__name__}: {one_line(str(error))}"


_LONGEST = 300  # characters of a text that any terminal might show


def clock(seconds: float) -> str:
    """Format seconds as ``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """Format seconds with a unit, to about two digits: ``38 ms``, ``1.2 s``, ``35 s``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - one or two figures


def count(number: int, noun: str) -> str:
    """Format a number with its noun: ``1 video``, ``1,200 videos``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def dollars(usd: float) -> str:
    """Format US dollars: to the cent, amounts below ten cents to two digits."""
    return f"${usd:,.2f}" if abs(usd) >= 0.1 or not usd else f"${usd:.2g}"  # noqa: PLR2004 - below, cents say too little


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted_values[max(0, ceil(share * len(sorted_values)) - 1)]


def one_line(text: str) -> str:
    """Make a text safe to print: one line, no control characters, at most 300 characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])
    return " ".join(shown.split())


def short_model(model: str) -> str:
    """Strip the supplier's name from a model's id."""
    return model.partition("/")[2] or model


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows of cells as aligned columns of plain text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
