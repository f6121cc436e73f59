"""Slots and durations of generations, and the credits they reserve and cost."""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.seeded import SeededRandom

_QUEUE_SHARE = 0.06
"""The largest share of a generation that is spent queueing although a slot is free: the vendor's published runs say
"queued" once in about twenty polls."""


@frozen
class Run:
    """The instants at which a generation gets its slot and ends."""

    started_at: float
    completed_at: float


class GenerationSlots:
    """The vendor's slots.

    Without contention a generation lasts, from acceptance to its end, a log-normal time around its model's published
    duration. When all slots are taken it waits, first come first served, for the next that falls free. Everything is
    decided when it is accepted, so that nothing has to run meanwhile.
    """

    def __init__(self, random: SeededRandom, *, slots: int, sigma: float, speed: float) -> None:
        self._random = random
        self._sigma = sigma
        self._speed = speed
        self._free_at = [float("-inf")] * slots  # a heap of the instants at which slots become free

    def assign(self, typical_seconds: float, now: float, *about: object) -> Run:
        """Assign a slot and a duration; ``about`` seeds the randomness."""
        spread = self._sigma * NormalDist().inv_cdf(self._random.uniform("duration", *about))
        whole = typical_seconds * exp(spread) / self._speed
        queued = whole * _QUEUE_SHARE * self._random.uniform("queue", *about)
        started_at = max(now + queued, self._free_at[0])
        completed_at = started_at + whole - queued
        heapreplace(self._free_at, completed_at)
        return Run(started_at, completed_at)


class CreditAccount:
    """Reserves a price when a generation is accepted, and charges it when it completes; a failed one costs nothing."""

    def __init__(self) -> None:
        self._running: list[tuple[float, int, Purchase]] = []  # a heap, by the end of each
        self._taken = 0
        self._reserved = 0.0
        self._charged = 0.0

    def reserve(self, purchase: Purchase) -> None:
        """Reserve a purchase's price until it ends."""
        self._taken += 1
        self._reserved += purchase.credits
        heappush(self._running, (purchase.completed_at, self._taken, purchase))

    def running(self, now: float) -> int:
        """Count the generations that have not ended."""
        self._settle(now)
        return len(self._running)

    def charged(self, now: float) -> float:
        """Return the cost of all completed generations, in credits."""
        self._settle(now)
        return round(self._charged, 2)

    def committed(self, now: float) -> float:
        """Return what is charged or reserved, in credits."""
        self._settle(now)
        return round(self._charged + self._reserved, 2)

    def _settle(self, now: float) -> None:
        while self._running and self._running[0][0] <= now:
            _, _, purchase = heappop(self._running)
            self._reserved -= purchase.credits
            if purchase.failure is None:
                self._charged += purchase.credits
