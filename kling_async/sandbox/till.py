"""The account: what is still to spend, and what runs at the moment."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kling_async.sandbox.ledger import Purchase

__all__ = ["Till"]


class Till:
    """Reserves a price when a generation is accepted, and charges it when it completes; a failed one costs nothing."""

    def __init__(self) -> None:
        self._running: list[tuple[float, int, Purchase]] = []  # a heap, by the end of each
        self._taken = 0
        self._reserved = 0.0
        self._charged = 0.0

    def take(self, purchase: Purchase) -> None:
        """Reserve its price until it ends."""
        self._taken += 1
        self._reserved += purchase.credits
        heappush(self._running, (purchase.completed_at, self._taken, purchase))

    def running(self, now: float) -> int:
        """How many generations have not ended."""
        self._settle(now)
        return len(self._running)

    def charged(self, now: float) -> float:
        """What all completed generations cost, in credits."""
        self._settle(now)
        return round(self._charged, 2)

    def committed(self, now: float) -> float:
        """What is charged or reserved, in credits."""
        self._settle(now)
        return round(self._charged + self._reserved, 2)

    def _settle(self, now: float) -> None:
        while self._running and self._running[0][0] <= now:
            _, _, purchase = heappop(self._running)
            self._reserved -= purchase.credits
            if purchase.failure is None:
                self._charged += purchase.credits
