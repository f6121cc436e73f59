"""The hazard of a generation by age, and when its next poll is due.

Let T be the time a generation takes, S(t) the share that takes longer than t, and h = -S'/S its hazard: of those still
under way at age t, the share that ends per second. A poll that answers "not yet" tells only that T is greater, so a
plan is a series of ages, followed until the end is noticed. If one poll is worth c seconds of delay, the plan to follow
is the one with the least of c * polls + delay.

*Where many polls come while h hardly changes*, a plan is a density n(t) of polls. It costs c n for the polls and h / 2n
for the delay, per second and generation that is still under way, which is least at

    n = sqrt(h / 2c) = sqrt(h) / w,    with w = sqrt(2c), and then costs w sqrt(h)

(Keller 1974, "Optimum checking schedules for systems subject to random failure"). Exponential backoff, equal gaps, and
densities that follow the density of T instead of its hazard all miss this: polling stops when the end is noticed.

*For one poll after another* (Barlow, Hunter and Proschan 1963, "Optimum checking procedures"): after a poll at a, to
ask next at b costs c S(a), the delay of those that end between, and what is to come after b, for which the cost of the
density is taken. That is least where

    S(a) / S(b) - 1 = x + x^2 / 3,    with x = w sqrt(h(b))

so the next poll comes when the odds that the generation has ended since the last one have grown to a value that the
hazard sets. The second term makes that right to the second order for a constant hazard, with polls as discrete as they
are. No plan need be worked out: a cost w and an age give the next age. On made-up durations this costs within half a
percent of the dynamic programme's plan, from 5 polls a generation to 50. To ask whenever the warped clock, the integral
of sqrt(h), has advanced by w is the same for small w, but brings up to 7 % more delay for the same polls where the
hazard turns quickly, as after early failures.

*Where the ledger shows most ends before a poll*, x is larger (`kling_async.pacing.thinning`), and the factor of x^2
grows by a quarter of the share that is shown. Near its least, the cost hardly depends on it: with one end in fifty not
recorded, that saves an eighth of the polls at a cost within 1 % of the dynamic programme's.

*Where many generations share* R polls per second, the same argument with R as a bound gives all of them one cost,
w = sum of sqrt(h) over all that are pending / R, if polls are dense (`kling_async.pacing.queues` says what if not).

*What can be gained* follows from the first formula: polls times delay come to at least (integral of sqrt(-S' S))^2 / 2,
by any plan. For an exponential that is half the mean, which equal gaps reach as well: where the hazard is flat, there
is nothing to learn. For a lognormal around 330 s of which one in twenty takes two to four times as long it is 61 s with
a spread of 0.15, and 120 s with 0.35: to be 5 s late takes 12 or 24 polls, and 37 or 39 at equal gaps of 10 s.

*How the hazard is learned*: ends and exposure are counted bin by bin, generations still running included; an end
between two polls is spread over the interval (one step of expectation maximisation, Dempster, Laird and Rubin
1977). A few ends tell which of a family of hazards is likely: how long a kind takes, how far that spreads, how many
fail early (`kling_async.pacing.priors`). Many tell where the hazard differs from the family's, ends being compared with
those that were to be expected of the time lived through (the estimator of events by exposure, as actuaries have it);
there the family weighs as much as thirty generations (`kling_async.pacing.estimator`).

What is assumed: until they are learned, durations are lognormal around what the vendor's samples took, more or less
wide, with a slow tail and a few early failures, all in all as wide as a spread of 0.35 makes them
(`kling_async.pacing.priors`). One model and length at one time is taken to have one distribution, which drifts slowly;
nothing is made of the hour or of the account. No real traces went into this yet: until some exist, every figure here
and in the benchmarks is one of made-up durations.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async.pacing.thinning import Thinning

FIRST: Final = 0.01  # the end of the first bin, in typical durations
RATIO: Final = 1.05
BINS: Final = 176  # the last one begins at about 49 typical durations, and has no end

EDGES: Final = (0.0, *(FIRST * RATIO**step for step in range(BINS - 1)))
"""The lower edges of the bins, in typical durations."""

WIDTHS: Final = tuple(end - start for start, end in pairwise((*EDGES, EDGES[-1] * RATIO)))
"""The widths of the bins; the last has no end, and the width it would have."""


class AgeBins:
    """The bins of one kind of generation.

    Attributes:
        unit: The kind's typical duration, in seconds; finite, and more than 0.
        edges: The lower edges of the bins, in seconds, from 0 upwards.
        widths: The widths of the bins, in seconds.
    """

    __slots__ = ("edges", "unit", "widths")

    def __init__(self, unit: float) -> None:
        self.unit: float = unit
        self.edges: tuple[float, ...] = tuple(edge * unit for edge in EDGES)
        self.widths: tuple[float, ...] = tuple(width * unit for width in WIDTHS)

    def bin(self, age: float) -> int:
        """Return the number of the bin that an age of 0 s or more falls into."""
        return bisect_right(self.edges, age) - 1


_SECOND: Final = 1.0 / 3.0  # the factor of x^2, ...
_SPARED: Final = 0.25  # ... and by how much it grows with the share of ends that the ledger shows before a poll
_COSTS: Final = 4  # that what follows is remembered for: the least and the present one, thinned and not


class Hazard:
    """The hazard of one kind of generation by age, constant within each bin. Ages are seconds, 0 or more.

    It never changes: new observations make a new one.
    """

    __slots__ = ("_cumulative", "_edges", "_first", "_roots", "_terms", "_thinned", "median", "rates")

    def __init__(self, bins: AgeBins, rates: Sequence[float]) -> None:
        """Take the hazard of each bin, per second, each more than 0 and finite."""
        self.rates: Sequence[float] = rates
        self._edges = bins.edges
        self._roots = [math.sqrt(rate) for rate in rates]
        self._terms = [(root, _SECOND) for root in self._roots]
        rises = (rate * width for rate, width in zip(rates[:-1], bins.widths[:-1], strict=True))
        self._cumulative = list(accumulate(rises, initial=0.0))
        self.median: float = self.quantile(0.5)
        # By cost: all generations of a kind begin alike.
        self._first: dict[float | tuple[Thinning, float], float] = {}
        self._thinned: dict[tuple[Thinning, float], list[tuple[float, float]]] = {}

    def sqrt_hazard(self, age: float) -> float:
        """Return the polls per second that a generation of this age is worth at a cost of 1."""
        return self._roots[bisect_right(self._edges, age) - 1]

    def cumulative_hazard(self, age: float) -> float:
        """Return the integral of the hazard up to an age: survival is exp of its negative."""
        piece = bisect_right(self._edges, age) - 1
        return self._cumulative[piece] + self.rates[piece] * (age - self._edges[piece])

    def age(self, cumulative_hazard: float) -> float:
        """Return the age at which the cumulative hazard has this value."""
        piece = bisect_right(self._cumulative, cumulative_hazard) - 1
        return self._edges[piece] + (cumulative_hazard - self._cumulative[piece]) / self.rates[piece]

    def survival(self, age: float) -> float:
        """Return the share of generations that take longer than this."""
        return math.exp(-self.cumulative_hazard(age))

    def quantile(self, share: float, age: float = 0.0) -> float:
        """Return the age by which this share (at least 0, less than 1) has ended of those that have reached ``age``."""
        return max(age, self.age(self.cumulative_hazard(age) - math.log1p(-share)))

    def first_poll(self, cost: float, thinning: Thinning | None = None) -> float:
        """Return the age of the first poll, at this cost (more than 0)."""
        key = cost if thinning is None else (thinning, cost)
        if key not in self._first:
            if len(self._first) >= _COSTS:
                self._first.clear()
            self._first[key] = self.next_poll(0.0, cost, self.thinned(thinning, cost))
        return self._first[key]

    def thinned(self, thinning: Thinning | None, cost: float) -> list[tuple[float, float]]:
        """Return the x of a cost of 1 in each bin, as far as this cost is thinned there, and the factor of x^2."""
        if thinning is None:
            return self._terms
        key = thinning, cost
        if key not in self._thinned:
            if len(self._thinned) >= _COSTS:
                self._thinned.clear()
            places = [thinning.place(cost / root) for root in self._roots]
            self._thinned[key] = [
                (root * thinning.stretches[place], _SECOND + _SPARED * thinning.shown[place])
                for root, place in zip(self._roots, places, strict=True)
            ]
        return self._thinned[key]

    def next_poll(self, age: float, cost: float, terms: list[tuple[float, float]] | None = None) -> float:
        """Return the age of the next poll, after one at this age, at this cost (more than 0).

        ``terms`` are what `thinned` returned, if polls are thinned.
        """
        terms = terms or self._terms
        place, cumulative, piece = self._enough(age, 0.0, bisect_right(self._edges, age) - 1, cost, terms)
        # Past a hump of the hazard, one poll at the next rise may serve for both, unless it keeps those that have
        # ended waiting for longer than a poll is worth.
        worth = cost * terms[piece][0] / self._roots[piece]
        latest = place + worth * worth / 2.0 / math.expm1(cumulative)
        if piece + 1 == len(self._edges) or self._edges[piece + 1] >= latest:
            return place
        later = self._past_rise(place, cumulative, piece, cost, terms, latest)
        return later if later <= latest else place

    def _enough(
        self, place: float, cumulative: float, piece: int, cost: float, terms: list[tuple[float, float]]
    ) -> tuple[float, float, int]:
        """Return the first age from here on where the cumulative hazard since the last poll is what a poll needs."""
        while True:
            root, second = terms[piece]
            x = cost * root
            needed = math.log1p(x + second * x * x)  # `_needed`, without a call for every poll
            if cumulative >= needed:
                return place, cumulative, piece
            reached = place + (needed - cumulative) / self.rates[piece]
            if piece + 1 == len(self._edges) or reached <= self._edges[piece + 1]:
                return reached, needed, piece
            cumulative += self.rates[piece] * (self._edges[piece + 1] - place)
            place, piece = self._edges[piece + 1], piece + 1

    def _past_rise(
        self, place: float, cumulative: float, piece: int, cost: float, terms: list[tuple[float, float]], latest: float
    ) -> float:
        """Return the next such age after a rise of the hazard has made a poll need more; infinity if too late."""
        while piece + 1 < len(self._edges) and self._edges[piece + 1] < latest:
            cumulative += self.rates[piece] * (self._edges[piece + 1] - place)
            place, piece = self._edges[piece + 1], piece + 1
            if cumulative < _needed(cost, *terms[piece]):
                return self._enough(place, cumulative, piece, cost, terms)[0]
        return math.inf


def _needed(cost: float, root: float, second: float) -> float:
    """Return the cumulative hazard since the last poll at which the next is due; ``second`` is the factor of x^2."""
    x = cost * root
    return math.log1p(x + second * x * x)
