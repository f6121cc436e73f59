"""The vendor's ledger in virtual time: when the charge of a generation that has completed is recorded."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LEDGERS", "Ledger", "Recording"]

_PAGE: Final = 100  # entries


@frozen
class Recording:
    """How a vendor records charges. Durations are seconds.

    Attributes:
        lag: The mean of the exponential lag from the end.
        grows: How much longer that gets by every second that the vendor has been at it.
        batch: Charges are recorded together, so far apart; 0: each by itself.
        missed: The share that is never recorded.
        polled: Whether nothing is recorded before a poll has shown the end.
        refused: Whether the ledger may not be read.
    """

    lag: float = 0.0
    grows: float = 0.0
    batch: float = 0.0
    missed: float = 0.0
    polled: bool = False
    refused: bool = False


LEDGERS: Final = {
    "lag 0": Recording(),
    "lag 2 s": Recording(lag=2.0),
    "lag 10 s": Recording(lag=10.0),
    "lag 60 s": Recording(lag=60.0),
    "lag growing": Recording(lag=2.0, grows=0.12),
    "each minute": Recording(batch=60.0),
    "a fifth never": Recording(lag=2.0, missed=0.2),
    "once polled": Recording(lag=2.0, polled=True),
    "never": Recording(missed=1.0),
    "refused": Recording(refused=True),
}
"""The vendors that are played, by name."""


class Ledger:
    """What is recorded, and when."""

    def __init__(self, recording: Recording, seed: int) -> None:
        self._recording = recording
        self._rng = Random(f"ledger {seed}")  # noqa: S311 - to be drawn again
        self._entries: list[tuple[float, str]] = []  # by when they are recorded
        self._missed: set[str] = set()

    def charge(self, number: str, ends: float) -> None:
        """Take note that a generation will complete then."""
        if self._rng.random() < self._recording.missed:
            self._missed.add(number)
        elif not self._recording.polled:
            self._record(number, ends)

    def told(self, number: str, now: float) -> None:
        """Take note that a poll has shown that it has completed."""
        if self._recording.polled and number not in self._missed:
            self._record(number, now)

    def pages(self, now: float) -> Iterator[tuple[list[str] | None, bool]]:
        """Page after page, newest first, and whether it is the last; None if it is refused."""
        if self._recording.refused:
            yield None, True
            return
        count = bisect_right(self._entries, (now, "~"))
        for end in range(count, -1, -_PAGE):
            start = max(0, end - _PAGE)
            yield [number for _, number in reversed(self._entries[start:end])], start == 0

    def _record(self, number: str, at: float) -> None:
        mean = self._recording.lag + self._recording.grows * at
        at += self._rng.expovariate(1.0 / mean) if mean else 0.0
        if self._recording.batch:
            at = math.ceil(at / self._recording.batch) * self._recording.batch
        insort(self._entries, (at, number))
