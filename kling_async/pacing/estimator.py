"""The estimator of one kind's hazard, from polls that found generations running or ended."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from operator import mul
from typing import TYPE_CHECKING, Final

from kling_async.pacing.end_grid import EndGrid
from kling_async.pacing.hazard import BINS, RATIO, WIDTHS, Hazard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kling_async.pacing.hazard import AgeBins
    from kling_async.pacing.priors import PriorFamily

_PRIOR_WEIGHT: Final = 30.0  # generations: the weight of the prior, ...
_LEAST_PRIOR_WEIGHT: Final = 0.5  # ... which is at least so many ends around any bin
_MEMORY: Final = 400.0  # generations: older ones fade
_STALENESS: Final = 20  # observations until the hazard is worked out anew, ...
_NEWS: Final = 0.1  # ... or this share of all there were, whichever is more, ...
_STALEST: Final = 1000  # ... but no more than so many
_REFIT: Final = 0.2  # of all observations: so many new ones make the prior be weighed anew
_UNINFORMATIVE: Final = 0.95  # an end within an interval of so much probability tells nothing
_LEAST: Final = 1e-4  # the least hazard, per typical duration
_OLDEST: Final = 1e9  # seconds; an age beyond this is a mistake
_SPREAD: Final = 0.35 / math.log(RATIO)  # in bins: how far ends lie apart, until a few were seen
_FEW: Final = 5.0
_LOWER: Final = 0.2  # shares of ends between which ...
_UPPER: Final = 0.7
_APART: Final = 1.366  # ... so many spreads of a normal distribution lie
_NEARER: Final = 0.3  # of the reach, for the second, finer comparison
_TRIANGLE: Final = 1.22  # how far a triangle reaches for a spread of one, halved: it is boxed twice


class HazardEstimator:
    """Learns a hazard from polls that found a generation running, and from the one that found it ended.

    Generations still running count for as long as they have run (right-censoring): without them, generations would seem
    quicker than they are whenever many are under way. An end lies between two polls (interval-censoring), and is spread
    over the interval by the hazard so far: one step of expectation maximisation.

    Few observations tell which members of the prior are likely, many how the hazard differs from theirs at some ages.

    An observation costs O(1) for intervals like those between polls. None raises; one that makes no sense, or tells
    nothing, is ignored.

    Attributes:
        bins: The bins.
        prior: The hazards its kind may have, with their weights before anything was seen.
        generations: The number of ends that were seen, older ones counting less.
        grid: The grid that its ends may fall on, which is learned apart.
    """

    def __init__(
        self,
        bins: AgeBins,
        prior: PriorFamily,
        events: Sequence[float] | None = None,
        exposure: Sequence[float] | None = None,
        generations: float = 0.0,
    ) -> None:
        """Begin with the prior, or with what ``seen`` and ``generations`` of an earlier estimator were."""
        self.bins: AgeBins = bins
        self.prior: PriorFamily = prior
        self.generations: float = generations
        self.grid: EndGrid = EndGrid()
        self._events = [0.0] * BINS if events is None else list(events)
        self._exposure = [0.0] * BINS if exposure is None else list(exposure)
        self._whole_bins = [0.0] * BINS  # changes, from bin to bin, in how many lived through the whole of it
        self._new_events = 0
        self._observed = self._unfitted = 0  # since the last rebuild, and since the family was fitted
        self._total_observed = 0.0  # until the last rebuild, older ones counting less
        self._stale_after: float = _STALENESS  # observations
        self._fitted = prior.rates
        self._prior_weights: dict[int, list[float]] = {}  # by how many bins to either side
        if events is not None:
            self._fit()
        self._hazard = Hazard(bins, self._rates())

    @property
    def hazard(self) -> Hazard:
        """The hazard as of the last rebuild.

        One comes when this is asked for 20 observations later, or after 10 % of all there were if those are more, but
        at most 1,000: nothing is computed for a schedule that is not learned.
        """
        if self._observed >= self._stale_after:
            self.rebuild(refit=self._unfitted + self._observed >= _REFIT * self._total_observed)
        return self._hazard

    def observe_pending(self, start: float, end: float) -> None:
        """Count a generation that was running at age ``end``; its time before age ``start`` was counted already."""
        start = 0.0 if start < 0.0 else start
        if not start <= end < _OLDEST:
            return
        self._live(start, end, 1.0)
        self._observed += 1

    def retract_pending(self, start: float, end: float) -> None:
        """Take back that a generation was running between these ages, as `observe_pending` had counted."""
        start = max(start, 0.0)
        if start <= end < _OLDEST:
            self._live(start, end, -1.0)

    def observe_detection(self, start: float, end: float) -> None:
        """Count a generation that had ended by age ``end``; its time before age ``start`` was counted already."""
        start = max(start, 0.0)
        if not start <= end < _OLDEST:
            return
        pieces = list(self._pieces(start, end))
        cumulative = sum(rate * width for _, width, rate in pieces)
        ended = -math.expm1(-cumulative)
        if ended > _UNINFORMATIVE:
            return
        if ended > 0.0:
            self._spread(pieces, ended, math.exp(-cumulative))
        else:
            self._events[pieces[0][0]] += 1.0
        self.generations += 1.0
        self._new_events += 1
        self._observed += 1

    def seen(self) -> tuple[list[float], list[float]]:
        """Return the ends in each bin, and the exposure in seconds, for a later estimator to begin with."""
        self._fold()
        return list(self._events), list(self._exposure)

    def expect(self, prior: PriorFamily) -> None:
        """Replace the prior by another; what was seen stays."""
        self.prior = prior
        self.rebuild()

    def rebuild(self, *, refit: bool = True) -> None:
        """Compute the hazard from all observations so far, and let old ones fade."""
        self._fold()
        self._fade()
        if refit:
            self._fit()
        self._hazard = Hazard(self.bins, self._rates())

    def __repr__(self) -> str:
        return f"<HazardEstimator of {self.generations:.1f} jobs, median {self.hazard.quantile(0.5):.1f} s>"

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
        """Yield the bins between two ages: number, seconds within it, and hazard."""
        edges, rates = self.bins.edges, self.hazard.rates
        last = self.bins.bin(end)
        for number in range(self.bins.bin(start), last + 1):
            until = end if number == last else edges[number + 1]
            yield number, until - max(start, edges[number]), rates[number]

    def _spread(self, pieces: list[tuple[int, float, float]], ended: float, left: float) -> None:
        """Spread one end, and the exposure until then, by probability."""
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
        """Let old observations count less, by the number of new ones."""
        kept = (1.0 - 1.0 / _MEMORY) ** self._new_events
        if self._new_events:
            self._events = [each * kept for each in self._events]
            self._exposure = [each * kept for each in self._exposure]
        self.generations *= kept
        self._total_observed = (self._total_observed + self._observed) * kept
        self._stale_after = max(_STALENESS, min(_STALEST, _NEWS * self._total_observed))
        self._unfitted += self._observed
        self._new_events = self._observed = 0

    def _fit(self) -> None:
        """Weigh the members of the prior by the observations."""
        self._fitted = self.prior.posterior(self._events, [lived / self.bins.unit for lived in self._exposure])
        self._prior_weights = {}
        self._unfitted = 0

    def _rates(self) -> list[float]:
        """Return the prior's hazards, each times the ratio of ends that were seen and expected around its bin.

        First over as many bins as few ends call for, then over fewer, to resolve several humps. The prior counts on
        both sides of the ratio, with as many ends as it expects there of `_TRUST` generations.
        """
        unit, near = self.bins.unit, self._bandwidth()
        rates = [rate / unit for rate in self._fitted]
        for reach in (near, max(1, round(_NEARER * near))):
            due = _around(list(map(mul, rates, self._exposure)), reach)
            compared = zip(rates, _around(self._events, reach), due, self._prior_weight(reach), strict=True)
            rates = [rate * (weight + seen) / (weight + expected) for rate, seen, expected, weight in compared]
        return [max(_LEAST / unit, rate) for rate in rates]

    def _prior_weight(self, reach: int) -> list[float]:
        """Return the weight of the prior around each bin, in ends."""
        if reach not in self._prior_weights:
            left = [math.exp(-cumulative) for cumulative in accumulate(map(mul, self._fitted, WIDTHS), initial=0.0)]
            expected = _around([before - after for before, after in pairwise(left)], reach)
            self._prior_weights[reach] = [max(_LEAST_PRIOR_WEIGHT, _PRIOR_WEIGHT * each) for each in expected]
        return self._prior_weights[reach]

    def _bandwidth(self) -> int:
        """Return the bandwidth, in bins to either side, for as many ends as were seen.

        It falls with the fifth root of their number (Silverman 1986, "Density estimation").
        """
        count = sum(self._events)
        spread = _SPREAD if count < _FEW else self._spread_of_ends(count)
        return max(1, round(_TRIANGLE * spread * math.pow(max(1.0, count), -0.2)))

    def _spread_of_ends(self, count: float) -> float:
        """Return the spread of ends, in bins, by the middle half of them, which no tail changes."""
        until = list(accumulate(self._events))
        low, high = (bisect_left(until, share * count) for share in (_LOWER, _UPPER))
        return (self._within(until, high, _UPPER * count) - self._within(until, low, _LOWER * count)) / _APART

    def _within(self, until: list[float], number: int, wanted: float) -> float:
        """Return the place within this bin, as a fraction of bins, where so many have ended."""
        return number + 1.0 - (until[number] - wanted) / self._events[number]


def _around(values: list[float], reach: int) -> list[float]:
    """Return the mean of each bin and its neighbours, with triangular weights."""
    width = 2 * reach + 1
    return [total / width for total in _boxed(_boxed(values, reach), reach)]


def _boxed(values: list[float], reach: int) -> list[float]:
    """Return the sum of each bin and so many to either side, with zeros beyond the ends."""
    sums = list(accumulate(values, initial=0.0))
    padded = [0.0] * reach + sums + [sums[-1]] * reach
    return [end - start for start, end in zip(padded, padded[2 * reach + 1 :], strict=False)]
