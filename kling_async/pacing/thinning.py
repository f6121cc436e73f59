"""The thinning of single polls where the account's ledger shows most ends.

Let q be the share of ends that the ledger never shows. The others it shows with a lag that is taken to be exponential
around a mean l, half the gap between two looks included. A generation of which h ends per second, polled every x
seconds, is then noticed late by D(x) = q x / 2 + (1 - q) l I(x) / x on average, with I(x) = x - l (1 - exp(-x / l)):
the mean of the lesser of the lag and the wait for the next poll. If one poll is worth c seconds, c / x + h D(x) is
least where

    c = h x^2 D'(x) = h { q x^2 / 2 + (1 - q) l^2 (1 - (1 + y) exp(-y)) },    with y = x / l

which is the usual c = h x^2 / 2 (`kling_async.pacing.hazard`) but for a factor: polls for what is never shown go on as
if only that share ended, and polls for what is shown save no more than the rest of the lag. With z = sqrt(2 c / h) the
gap without a ledger, it is x = z / sqrt(phi), as if a poll's cost w = sqrt(2 c) were w / sqrt(phi). phi depends on z
alone; it is 1 where the lag is long beside z, and never less than q, so polls never stop.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kling_async.pacing.recording_lag import RecordingLag

_SHORTEST: Final = 0.1  # seconds; gaps are tabulated from here on, ...
_STEP: Final = 1.08  # ... each so many times the one before, ...
_GAPS: Final = 140  # ... up to 4,400 s
_UNLIKELY: Final = 1e-4  # a lag no likelier than that changes nothing


class Thinning:
    """The factors for one belief and one gap between looks. Never changes.

    Attributes:
        stretches: By how much a gap between own polls is longer than without the ledger: 1 / sqrt(phi).
        shown: The share of ends that the ledger shows before the next own poll.
        savings: By how many seconds an end costs less than without the ledger: delay, and own polls at their worth.
    """

    __slots__ = ("_limits", "savings", "shown", "stretches")

    def __init__(self, lag: RecordingLag, look_gap: float, scale: float = 1.0, *, stretched: bool = True) -> None:
        """Compute the factors. Without ``stretched``, own polls go on as if there were no ledger."""
        gaps = [_SHORTEST / scale * _STEP**number for number in range(_GAPS)]
        likely = [(mean + look_gap / 2.0, weight) for mean, weight in lag if weight > _UNLIKELY]
        never = 1.0 - sum(weight for _, weight in likely)
        self._limits: list[float] = []
        self.stretches: list[float] = []
        self.shown: list[float] = []
        self.savings: list[float] = []
        for gap in gaps:
            shown, delay, slope = _means(gap, likely, never, lag.unrecorded)
            usual = math.sqrt(2.0 * slope) if stretched else gap
            self._limits.append(usual)
            self.stretches.append(max(1.0, gap / usual))
            self.shown.append(shown)
            self.savings.append(usual - usual * usual / (2.0 * gap) - delay)

    def place(self, gap: float) -> int:
        """Return the index in the lists for a generation that is polled at these gaps without a ledger."""
        return max(0, bisect_right(self._limits, gap) - 1)

    def stretch(self, gap: float) -> float:
        """Return the factor, 1 or more, by which such a gap is stretched."""
        return self.stretches[self.place(gap)]

    def __repr__(self) -> str:
        return f"<Thinning, at most {self.stretches[-1]:.2f} times the gaps>"


def _means(
    gap: float, likely: list[tuple[float, float]], never: float, unrecorded: float
) -> tuple[float, float, float]:
    """Return the share of ends shown before a poll at this gap, their mean delay, and its derivative times gap^2."""
    shown, delay, slope = 0.0, never * gap / 2.0, never * gap * gap / 2.0
    for lag, weight in likely:
        left = math.exp(-gap / lag)
        recorded = 1.0 - lag / gap * (1.0 - left)
        shown += weight * recorded
        delay += weight * lag * recorded
        slope += weight * lag * (lag - (lag + gap) * left)
    recorded_share = 1.0 - unrecorded
    return (
        recorded_share * shown,
        unrecorded * gap / 2.0 + recorded_share * delay,
        unrecorded * gap * gap / 2.0 + recorded_share * slope,
    )
