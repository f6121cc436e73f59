"""Ages in bins, each a twentieth longer than the one before: as fine, in proportion, for seconds as for hours."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Final

__all__ = ["BINS", "EDGES", "FIRST", "RATIO", "WIDTHS", "Grid"]

FIRST: Final = 0.01  # the end of the first bin, in typical durations
RATIO: Final = 1.05
BINS: Final = 176  # the last one begins at about 49 typical durations, and has no end

EDGES: Final = (0.0, *(FIRST * RATIO**step for step in range(BINS - 1)))
"""Where the bins begin, in typical durations."""

WIDTHS: Final = tuple(end - start for start, end in pairwise((*EDGES, EDGES[-1] * RATIO)))
"""How long they are; the last has no end, and the width it would have."""


class Grid:
    """The bins of one kind of generation.

    Attributes:
        unit: The kind's typical duration, in seconds; finite, and more than 0.
        edges: Where the bins begin, in seconds, from 0 upwards.
        widths: How long they are.
    """

    __slots__ = ("edges", "unit", "widths")

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self.edges = tuple(edge * unit for edge in EDGES)
        self.widths = tuple(width * unit for width in WIDTHS)

    def bin(self, age: float) -> int:
        """The number of the bin that an age of 0 s or more falls into."""
        return bisect_right(self.edges, age) - 1
