"""How long a generation will take, and how long all that is left."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from kling_async import find_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_async import LearnedDuration, Request

__all__ = ["EtaEstimator", "RateMeter"]


class RateMeter:
    """The rate of a count over the last few seconds; it keeps the readings of those seconds, and no more."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def note(self, now: float, total: int) -> None:
        """Take a reading. Instants never go back."""
        self._readings.append((now, total))
        # One reading from before the window stays: the growth is counted from there.
        while len(self._readings) > 1 and self._readings[1][0] <= now - self._window:
            self._readings.popleft()

    @property
    def per_second(self) -> float:
        """The rate between the first and the last reading; 0 as long as there are not two."""
        if len(self._readings) < 2 or self._readings[0][0] == self._readings[-1][0]:  # noqa: PLR2004 - a rate takes two
            return 0.0
        (begun, first), (ended, last) = self._readings[0], self._readings[-1]
        return (last - first) / (ended - begun)


_USUAL = 240.0  # seconds for a model of which nothing is known: the middle of what is published
_SLOW = 1.25  # the last of several takes longer than the usual one
_SURE = 0.75  # up to this share of its time, a generation is taken to be on time
_OVERDUE = 0.1  # what is overdue takes this share of its time yet, if nothing else tells


class EtaEstimator:
    """What the session has learned of durations, and of kinds that it has not met what the catalogue says.

    Args:
        pace: How long things take here, as a share of what the catalogue says: 1 for the vendor itself.
    """

    def __init__(self, pace: float = 1.0) -> None:
        self._pace = pace
        self._medians: dict[tuple[str, int | None], float] = {}

    def learn(self, learned: Iterable[LearnedDuration]) -> None:
        """Go by what the session has learned by now."""
        self._medians = {(each.model, each.duration): each.median for each in learned}

    def seconds(self, request: Request | None) -> float:
        """How long a generation will take."""
        kind = None if request is None else (request.model, request.duration_seconds)
        median = None if kind is None else self._medians.get(kind)
        return _usual_seconds(request) * self._pace if median is None else median

    def left(
        self, queued: int, running: int, newest: Iterable[tuple[Request | None, float]], finishing: float = 0.0
    ) -> float | None:
        """How long until everything is done, or None if nothing tells.

        Args:
            queued: How many jobs wait to be submitted.
            running: How many are at the vendor. As many are taken to go on side by side.
            newest: What the last accepted of them are, and how long they have been under way.
            finishing: How many finish per second. The nearer the newest come to their usual end, the more this counts:
                the vendor may have a queue of its own.
        """
        last = [(_SLOW * self.seconds(request), age) for request, age in newest]
        if not last:
            return None if queued else 0.0
        mean = sum(expected for expected, _ in last) / len(last) / _SLOW
        expected, age = max(last, key=lambda one: one[0] - one[1])
        seen = running / finishing if finishing else _OVERDUE * mean
        return queued / max(1, running) * mean + max(expected - age, _doubt(age / expected) * seen)


def _doubt(share: float) -> float:
    """How little the usual durations tell of a generation that has used this share of its own, from 0 to 1."""
    return min(1.0, max(0.0, (share - _SURE) / (1 - _SURE)))


def _usual_seconds(request: Request | None) -> float:
    model = None if request is None else find_model(request.model)
    if request is None or model is None:
        return _USUAL
    return model.typical_seconds(request.duration_seconds)
