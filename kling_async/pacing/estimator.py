"""What was seen of one kind of generation, and the hazard that this makes likely."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from operator import mul
from typing import TYPE_CHECKING, Final

from kling_async.pacing.hazard import BINS, RATIO, WIDTHS, Hazard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kling_async.pacing.hazard import AgeBins
    from kling_async.pacing.priors import PriorFamily

__all__ = ["HazardEstimator"]

_TRUST: Final = 30.0  # in generations: how many seen ones the fitted family weighs as much as ...
_LEAST_TRUST: Final = 0.5  # ... and no less than so much of an end, wherever it expects none
_MEMORY: Final = 400.0  # in generations: what is older fades
_STALENESS: Final = 20  # observations until the hazard is worked out anew, ...
_NEWS: Final = 0.1  # ... or this share of all there were, whichever is more, ...
_STALEST: Final = 1000  # ... but no more than so many
_REFIT: Final = 0.2  # of all observations there were: how many make the family worth fitting anew
_UNTOLD: Final = 0.95  # an end somewhere in so much of what was possible tells nothing new
_LEAST: Final = 1e-4  # the least hazard, per typical duration
_OLDEST: Final = 1e9  # seconds; an age beyond this is a mistake
_SPREAD: Final = 0.35 / math.log(RATIO)  # in bins: how far ends lie apart, until a few were seen
_FEW: Final = 5.0
_LOWER: Final = 0.2  # shares of ends between which ...
_UPPER: Final = 0.7
_APART: Final = 1.366  # ... so many spreads of a normal distribution lie
_NEARER: Final = 0.3  # of that reach: where it is looked at once more
_TRIANGLE: Final = 1.22  # how far a triangle reaches for a spread of one, halved: it is boxed twice


class HazardEstimator:
    """Learns a hazard from polls that found a generation running, and from the one that found it ended.

    Those still running count for as long as they have run (right-censoring): to learn from finished ones alone would
    make generations seem quicker than they are, whenever many are under way. An end is known to lie between two polls,
    and is spread over what lies between as the hazard has it so far: one step of expectation maximisation.

    What was seen first tells which members of a family of hazards are likely, which takes few ends, then how hazards
    differ from theirs in one place or another, which takes many.

    An observation costs O(1) for intervals like those between polls. None raises; one that makes no sense, or tells
    nothing, is ignored.

    Attributes:
        grid: The bins.
        family: What may be true of its kind, and how likely that was before anything was seen.
        hazard: The hazard as of the last rebuild: 20 observations ago at most while there were few, and when there were
            many, 5 % of them, but no more than 1,000.
        jobs: How many ends were seen, older ones counting less.
    """

    __slots__ = (
        "_events",
        "_exposure",
        "_fitted",
        "_new_events",
        "_observed",
        "_prior_weights",
        "_total_observed",
        "_unfitted",
        "_whole_bins",
        "bins",
        "generations",
        "hazard",
        "prior",
    )

    def __init__(
        self,
        grid: AgeBins,
        prior: PriorFamily,
        events: Sequence[float] | None = None,
        exposure: Sequence[float] | None = None,
        jobs: float = 0.0,
    ) -> None:
        """``ends`` and ``lives`` are what an earlier table had seen: ends a bin, and seconds lived through in it."""
        self.bins = grid
        self.prior = prior
        self.generations = jobs
        self._events = [0.0] * BINS if events is None else list(events)
        self._exposure = [0.0] * BINS if exposure is None else list(exposure)
        self._whole_bins = [0.0] * BINS  # changes, from bin to bin, in how many lived through the whole of it
        self._new_events = 0
        self._observed = self._unfitted = 0  # since the last rebuild, and since the family was fitted
        self._total_observed = 0.0  # until the last rebuild, older ones counting less
        self._fitted = prior.rates
        self._prior_weights: dict[int, list[float]] = {}  # by how many bins to either side
        if events is not None:
            self._fit()
        self.hazard = Hazard(grid, self._rates())

    def observe_pending(self, start: float, end: float) -> None:
        """It was still running at age ``end``, and what came before ``start`` has been counted."""
        start = max(start, 0.0)
        if not start <= end < _OLDEST:
            return
        self._live(start, end, 1.0)
        self._count()

    def retract_pending(self, start: float, end: float) -> None:
        """What was observed as still running between these ages was not."""
        start = max(start, 0.0)
        if start <= end < _OLDEST:
            self._live(start, end, -1.0)

    def observe_detection(self, start: float, end: float) -> None:
        """It was running at age ``start``, which has been counted, and had ended by age ``end``."""
        start = max(start, 0.0)
        if not start <= end < _OLDEST:
            return
        pieces = list(self._pieces(start, end))
        strain = sum(rate * width for _, width, rate in pieces)
        ended = -math.expm1(-strain)
        if ended > _UNTOLD:
            return
        if ended > 0.0:
            self._spread(pieces, ended, math.exp(-strain))
        else:
            self._events[pieces[0][0]] += 1.0
        self.generations += 1.0
        self._new_events += 1
        self._count()

    def seen(self) -> tuple[list[float], list[float]]:
        """Ends a bin, and seconds lived through in it, as the next table may be given them."""
        self._fold()
        return list(self._events), list(self._exposure)

    def rebuild(self, *, refit: bool = True) -> None:
        """Work the hazard out from everything seen by now, and let what is old fade."""
        self._fold()
        self._fade()
        if refit:
            self._fit()
        self.hazard = Hazard(self.bins, self._rates())

    def __repr__(self) -> str:
        return f"<HazardEstimator of {self.generations:.1f} jobs, median {self.hazard.quantile(0.5):.1f} s>"

    def _count(self) -> None:
        self._observed += 1
        if self._observed >= max(_STALENESS, min(_STALEST, _NEWS * self._total_observed)):
            self.rebuild(refit=self._unfitted + self._observed >= _REFIT * self._total_observed)

    def _live(self, start: float, end: float, times: float) -> None:
        edges = self.bins.edges
        first, last = bisect_right(edges, start) - 1, bisect_right(edges, end) - 1
        if first == last:
            self._exposure[first] += times * (end - start)
        else:
            self._exposure[first] += times * (edges[first + 1] - start)
            self._exposure[last] += times * (end - edges[last])
            self._whole_bins[first + 1] += times
            self._whole_bins[last] -= times

    def _pieces(self, start: float, end: float) -> Iterator[tuple[int, float, float]]:
        """The bins between two ages: which, how much of it, and its hazard."""
        edges, rates = self.bins.edges, self.hazard.rates
        last = self.bins.bin(end)
        for number in range(self.bins.bin(start), last + 1):
            until = end if number == last else edges[number + 1]
            yield number, until - max(start, edges[number]), rates[number]

    def _spread(self, pieces: list[tuple[int, float, float]], ended: float, left: float) -> None:
        """Count one end, and the time lived until then, where they are to be expected."""
        alive = 1.0
        for number, width, rate in pieces:
            gone = alive * -math.expm1(-rate * width)
            lived = (gone / rate - width * left) / ended
            self._events[number] += gone / ended
            self._exposure[number] += min(max(lived, 0.0), width)
            alive -= gone

    def _fold(self) -> None:
        through = accumulate(self._whole_bins)
        self._exposure = [
            max(0.0, lived + count * width)  # what is retracted counts in full, even if it has faded
            for lived, count, width in zip(self._exposure, through, self.bins.widths, strict=True)
        ]
        self._whole_bins = [0.0] * BINS

    def _fade(self) -> None:
        """Let what is old count less, by as much as is new."""
        kept = (1.0 - 1.0 / _MEMORY) ** self._new_events
        if self._new_events:
            self._events = [each * kept for each in self._events]
            self._exposure = [each * kept for each in self._exposure]
        self.generations *= kept
        self._total_observed = (self._total_observed + self._observed) * kept
        self._unfitted += self._observed
        self._new_events = self._observed = 0

    def _fit(self) -> None:
        """Find out which members of the family are likely."""
        self._fitted = self.prior.posterior(self._events, [lived / self.bins.unit for lived in self._exposure])
        self._prior_weights = {}
        self._unfitted = 0

    def _rates(self) -> list[float]:
        """The family's hazards, each times how many ended around there for one that was expected to.

        First as far around as few ends call for, then nearer, where several humps would not show otherwise. The family
        counts on both sides of the comparison, with as many ends as it expects there of `_TRUST` generations.
        """
        unit, near = self.bins.unit, self._near()
        rates = [rate / unit for rate in self._fitted]
        for reach in (near, max(1, round(_NEARER * near))):
            due = _around(list(map(mul, rates, self._exposure)), reach)
            compared = zip(rates, _around(self._events, reach), due, self._trust(reach), strict=True)
            rates = [rate * (trust + seen) / (trust + expected) for rate, seen, expected, trust in compared]
        return [max(_LEAST / unit, rate) for rate in rates]

    def _trust(self, reach: int) -> list[float]:
        """How many ends the family counts for around each bin."""
        if reach not in self._prior_weights:
            left = [math.exp(-strain) for strain in accumulate(map(mul, self._fitted, WIDTHS), initial=0.0)]
            expected = _around([before - after for before, after in pairwise(left)], reach)
            self._prior_weights[reach] = [max(_LEAST_TRUST, _TRUST * each) for each in expected]
        return self._prior_weights[reach]

    def _near(self) -> int:
        """How many bins to either side blur what was seen no more than so few ends call for.

        That is a spread's share of one over the fifth root of their number (Silverman 1986, "Density estimation").
        """
        count = sum(self._events)
        spread = _SPREAD if count < _FEW else self._spread_of_ends(count)
        return max(1, round(_TRIANGLE * spread * math.pow(max(1.0, count), -0.2)))

    def _spread_of_ends(self, count: float) -> float:
        """How far ends lie apart, in bins, by the half of them that lies in the middle: no tail tells."""
        until = list(accumulate(self._events))
        low, high = (bisect_left(until, share * count) for share in (_LOWER, _UPPER))
        return (self._within(until, high, _UPPER * count) - self._within(until, low, _LOWER * count)) / _APART

    def _within(self, until: list[float], number: int, wanted: float) -> float:
        """Where, within this bin, so many have ended."""
        return number + 1.0 - (until[number] - wanted) / self._events[number]


def _around(values: list[float], reach: int) -> list[float]:
    """Each bin's value and its neighbours', those further off counting less."""
    width = 2 * reach + 1
    return [total / width for total in _boxed(_boxed(values, reach), reach)]


def _boxed(values: list[float], reach: int) -> list[float]:
    """The sums of each bin and as many to either side; beyond the ends there is nothing."""
    sums = list(accumulate(values, initial=0.0))
    padded = [0.0] * reach + sums + [sums[-1]] * reach
    return [end - start for start, end in zip(padded, padded[2 * reach + 1 :], strict=False)]
