"""Whether the ends of a kind fall on a grid of instants since acceptance, and polls that are placed just after them.

A gateway that itself polls every p seconds tells of ends only at multiples of p after it has accepted. Bins of the
hazard are far wider than that. So this is learned apart: each end fell between two polls, from age a to age b. Without
a grid that had the probability S(a) - S(b); with one, every end moves up to the next multiple of p. The product of the
ratios of both says how much likelier a grid is. Generations that began together are polled at much the same ages: their
ratios go up and down together, and those around one instant of the grid say little, however many they are. So each
instant counts for a little only, and at least four have to agree. A grid that drifts, as by the time that each of a
gateway's own requests takes, is not found, nor one of which polls are rarer than two a period.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kling_async.pacing.hazard import Hazard

_PERIODS: Final = (5.0, 10.0, 15.0, 20.0, 30.0)  # seconds: what gateways are set to
_WITHIN: Final = 0.5  # seconds after a grid's instant, in which an end is told
_AFTER: Final = 2.0  # seconds after it, when polls come: to just miss what is told a little later costs a period
_STRAY: Final = 0.05  # the share of ends, as failures at once, that a grid does not hold
_TELLING: Final = 0.75  # of a period: an end between polls that lie further apart is not counted
_MOST: Final = 2.0  # the logarithm of the ratio of ends around one instant counts for no more, either way, ...
_ENOUGH: Final = 8.0  # ... and a grid is believed from this sum on
_KEPT: Final = 0.998  # of what there was for an instant, for each end around it
_INSTANTS: Final = 200  # of each grid; later ends are not counted
_TRIED: Final = 0.9  # polls with a jitter beyond this, either way, stay where they are, to see whether it still holds


class EndGrid:
    """The evidence for grids of several periods, of one kind of generation. Ages are seconds since acceptance.

    Attributes:
        period: The period of the grid that is believed, in seconds; None if none is.
    """

    __slots__ = ("_evidence", "_sums", "period")

    def __init__(self, evidence: Iterable[Sequence[float]] = ()) -> None:
        """Begin with the `evidence` of an earlier one, or with none."""
        self._evidence: dict[float, dict[int, float]] = {period: {} for period in _PERIODS}  # by instant
        self._sums = dict.fromkeys(_PERIODS, 0.0)
        self.period: float | None = None
        for period, instant, told in evidence:
            if period in self._evidence:
                self._count(period, round(instant), told)
        self._believe()

    def evidence(self) -> list[tuple[float, int, float]]:
        """Return the period, the number of the instant and what it tells of each grid that is likelier than none."""
        return [
            (period, *each)
            for period, sum_ in self._sums.items()
            if sum_ > 0.0
            for each in self._evidence[period].items()
        ]

    def observe(self, hazard: Hazard, start: float, end: float) -> None:
        """Count an end between these ages; ``hazard`` is what is known without a grid. Nonsense is ignored."""
        if not 0.0 <= start < end < _INSTANTS * _PERIODS[-1]:
            return
        smooth = hazard.survival(start) - hazard.survival(end)
        if smooth <= 0.0:
            return
        for period in _PERIODS:
            instant = round((start + end) / 2.0 / period)
            if end - start <= _TELLING * period and instant < _INSTANTS:
                ratio = max(0.0, _survival(hazard, start, period) - _survival(hazard, end, period)) / smooth
                self._count(period, instant, math.log(_STRAY + (1.0 - _STRAY) * ratio))
        self._believe()

    def _count(self, period: float, instant: int, told: float) -> None:
        before = self._evidence[period].get(instant, 0.0)
        after = self._evidence[period][instant] = min(_MOST, _KEPT * before + told)
        self._sums[period] += max(-_MOST, after) - max(-_MOST, before)

    def _believe(self) -> None:
        most, period = max((evidence, period) for period, evidence in self._sums.items())  # where 15 s hold, so do 5
        self.period = period if most >= _ENOUGH else None

    def aligned(self, age: float, least: float, jitter: float) -> float:
        """Return the age of a poll that was planned at ``age``: just after the nearest instant of the grid.

        Never before ``least``, where ``age`` is not. As planned if no grid is believed, and for one in ten.
        """
        if self.period is None or abs(jitter) > _TRIED:
            return age
        nearest = round((age - _AFTER) / self.period)
        return max(nearest, math.ceil((least - _AFTER) / self.period)) * self.period + _AFTER

    def __repr__(self) -> str:
        return f"<EndGrid of {self.period} s>"


def _survival(hazard: Hazard, age: float, period: float) -> float:
    """Return the share that takes longer than this, if each end moves up to the grid, and is told soon after."""
    instant = age // period * period
    left = hazard.survival(instant)
    late = 1.0 - (age - instant) / _WITHIN
    return left if late <= 0.0 else left + late * (hazard.survival(max(0.0, instant - period)) - left)
