"""How long a generation will take, and how long all that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async import find_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kling_async import Request

__all__ = ["Forecast"]

_USUAL = 240.0  # seconds for a model of which nothing is known: the middle of what is published
_TRUST = 1000.0  # seconds of generating after which what was seen weighs as much as what was expected
_SLOW = 1.25  # the last of several takes longer than the usual one
_OVERDUE = 0.1  # what is overdue takes at least this share of its time yet


class Forecast:
    """The catalogue's durations, corrected by what this run has seen.

    Args:
        pace: How long things take here, as a share of what the catalogue says: 1 for the vendor itself.
    """

    def __init__(self, pace: float = 1.0) -> None:
        self._usual = _TRUST
        self._actual = _TRUST * pace

    def learn(self, request: Request | None, seconds: float) -> None:
        """Take into account how long a generation took."""
        self._usual += _usual_seconds(request)
        self._actual += seconds

    def seconds(self, request: Request | None) -> float:
        """How long a generation will take."""
        return _usual_seconds(request) * self._actual / self._usual

    def left(self, queued: int, running: int, newest: Iterable[tuple[Request | None, float]]) -> float | None:
        """How long until everything is done, or None if nothing tells.

        Args:
            queued: How many jobs wait to be submitted.
            running: How many are at the vendor. As many are taken to go on side by side.
            newest: What the last accepted of them are, and how long they have been under way.
        """
        last = [(self.seconds(request), age) for request, age in newest]
        if not last:
            return None if queued else 0.0
        mean = sum(expected for expected, _ in last) / len(last)
        end = max(max(_SLOW * expected - age, _OVERDUE * expected) for expected, age in last)
        return queued / max(1, running) * mean + end


def _usual_seconds(request: Request | None) -> float:
    model = None if request is None else find_model(request.model)
    if request is None or model is None:
        return _USUAL
    return model.typical_seconds(request.duration_seconds)
