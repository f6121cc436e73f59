"""What is due when: items by instant, the earliest first."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Agenda"]

T = TypeVar("T")


class Agenda(Generic[T]):
    """Items waiting for their instants. Putting and taking cost O(log n); items are never compared nor hashed.

    An item may be put in more than once, and then comes out as often. Nothing is ever removed but by taking it:
    whoever loses interest in an item drops it when it comes.
    """

    __slots__ = ("_entries", "_sequence")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []
        self._sequence = 0  # breaks ties, first in first out

    def put(self, due: float, item: T) -> None:
        """Keep the item until ``due``; with infinity, for good.

        Raises:
            ValueError: ``due`` is NaN, which has no place in any order and would spoil everyone else's.
        """
        if math.isnan(due):
            raise ValueError(f"{item!r} cannot be due at NaN")
        heappush(self._entries, (due, self._sequence, item))
        self._sequence += 1

    @property
    def next_due(self) -> float:
        """When the earliest item is due; infinity when there is none."""
        return self._entries[0][0] if self._entries else math.inf

    @property
    def first(self) -> T:
        """The earliest item, left where it is.

        Raises:
            IndexError: There is none.
        """
        return self._entries[0][2]

    def take_due(self, now: float) -> T | None:
        """Remove and return the earliest item due by ``now``, or None. Equals come out in the order they went in."""
        if not self._entries or self._entries[0][0] > now:
            return None
        return heappop(self._entries)[2]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        """Every item waiting, in no promised order. Nothing may be put or taken meanwhile."""
        return (item for _, _, item in self._entries)

    def __repr__(self) -> str:
        return f"<Agenda of {len(self)}, next due {self.next_due}>"
