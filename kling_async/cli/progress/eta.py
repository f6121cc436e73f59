"""Estimate how long a generation takes, and how long the rest of a batch."""

from __future__ import annotations

import math
from collections import deque
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_async import LearnedDuration, Request


class RateMeter:
    """The rate of a count over a sliding window of seconds."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def record(self, now: float, total: int) -> None:
        """Add a reading. Instants never go back."""
        self._readings.append((now, total))
        # One reading from before the window stays: the growth is counted from there.
        while len(self._readings) > 1 and self._readings[1][0] <= now - self._window:
            self._readings.popleft()

    @property
    def per_second(self) -> float:
        """The rate between the first and the last reading; 0 with fewer than two."""
        if not self._readings or self._readings[0][0] == self._readings[-1][0]:
            return 0.0
        (begun, first), (ended, last) = self._readings[0], self._readings[-1]
        return (last - first) / (ended - begun)


_USUAL = 240.0  # seconds for a model of which nothing is known: the middle of what is published
_SPREAD = 1.25  # the 90th percentile by the median, where nothing is learned
_USUAL_SPREAD = NormalDist().inv_cdf(0.9)  # the same in standard deviations, of the logarithms
_SURE = 0.75  # up to this share of its time, a generation is taken to be on time
_OVERDUE = 0.1  # what is overdue takes this share of its time yet, if nothing else tells


class EtaEstimator:
    """Estimates from the durations of each kind that the session goes by, the catalogue's until it has learned any."""

    def __init__(self) -> None:
        self._learned: dict[tuple[str, int | None], LearnedDuration] = {}

    def learn(self, learned: Iterable[LearnedDuration]) -> None:
        """Replace what was learned by what the session has learned since."""
        self._learned = {(each.model, each.duration): each for each in learned}

    def seconds(self, request: Request | None) -> float:
        """Return the expected duration of a generation, in seconds; of an unknown kind, the mean of the others."""
        learned = self._of(request)
        if learned is not None:
            return learned.median
        return fmean(each.median for each in self._learned.values()) if self._learned else _USUAL

    def _of(self, request: Request | None) -> LearnedDuration | None:
        return None if request is None else self._learned.get((request.model, request.duration_seconds))

    def _slowest(self, request: Request | None, of: int) -> float:
        """Return the expected duration of the slowest of so many, in seconds."""
        learned = self._of(request)
        spread = _SPREAD if learned is None else learned.p90 / learned.median
        deviations = NormalDist().inv_cdf(0.5 ** (1 / max(1, of)))  # the median of the largest
        return self.seconds(request) * math.pow(spread, deviations / _USUAL_SPREAD)

    def left(
        self, queued: int, running: int, newest: Iterable[tuple[Request | None, float]], finishing: float = 0.0
    ) -> float | None:
        """Estimate the seconds until everything is done; None without any evidence.

        Args:
            queued: Jobs that wait, to be submitted or in the vendor's queue.
            running: Jobs that are being made. As many are assumed to run at once from now on, but no fewer than it
                takes to finish as many as do: one that has just begun is not known to have.
            newest: The requests of those that began last, and their ages in seconds.
            finishing: Jobs that finish per second. It counts more the nearer the newest come to their expected end, as
                the vendor may have a queue of its own that it does not tell of.
        """
        requests = list(newest)
        if not requests:
            return None if queued else 0.0
        last = [(self._slowest(request, running), age) for request, age in requests]
        mean = sum(self.seconds(request) for request, _ in requests) / len(requests)
        expected, age = max(last, key=lambda one: one[0] - one[1])
        seen = running / finishing if finishing else _OVERDUE * mean
        turns = queued / max(1.0, running, finishing * mean)
        return turns * mean + max(expected - age, _overdue_weight(age / expected) * seen)


def _overdue_weight(share: float) -> float:
    """Return the weight, 0 to 1, of the observed finishing rate for one that has used this share of its time."""
    return min(1.0, max(0.0, (share - _SURE) / (1 - _SURE)))
