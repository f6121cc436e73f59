"""The hazards that a kind of generation may have, and how likely observations make each of them.

The members of a family are a prior, or one of a few, at several multiples of the typical duration. As bins grow in
proportion to age, such a member is its prior, shifted by some bins. With e events in each bin, and an exposure L, the
weight of a member of hazard h is its prior weight, times the product of h^e exp(-hL) over all bins: the likelihood of
hazards that are constant within bins, right-censored generations included. The expected hazard is the mean over all
members by weight and by the share that survives to the age ("Bayesian model averaging", Hoeting, Madigan, Raftery and
Volinsky 1999). As no member is quite true, likelihoods are tempered by a power below 1, as in "safe" Bayesian learning
(Grünwald and van Ommen 2017).

Early failures are a competing risk beside the members', so that they do not make a kind seem quicker. The ages they
come at are assumed; their share is learned, by a gamma prior.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from copy import copy
from functools import cache, partial
from itertools import accumulate, pairwise
from operator import mul
from typing import TYPE_CHECKING, Final

from kling_async.pacing.hazard import BINS, EDGES, RATIO, WIDTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kling_async.pacing.percentiles import Percentiles

# All figures here are assumptions, until real traces exist. A lognormal is a median in typical durations, and a spread.
# Spreads, and the prior weight of each:
_SIGMAS: Final = {0.07: 0.8, 0.11: 1.1, 0.17: 1.6, 0.26: 1.6, 0.4: 1.0, 0.65: 0.5}
_LOG_SIGMA: Final = 0.2  # the spread of a model's median around its typical duration; ...
_UNKNOWN_LOG_SIGMA: Final = 0.5  # ... of a model that is not in the catalogue
_TAIL: Final = (0.12, 1.7, 0.6)  # share, median and spread of the slow ones
# Or half come from each of two back ends, one so many times as slow; their spread, share of slow ones, and weight:
_TWO_ENDS: Final = (2.0, 3.0)
_ENDS_SIGMA, _ENDS_TAIL, _ENDS_WEIGHT = 0.2, 0.06, 0.05
_EARLY_SHARE: Final = 0.015  # of generations that fail early
_EARLY: Final = (0.05, 1.0)  # median and spread of when they do
_QUEUED: Final = (1.0, 0.5, 1.2)  # share, median and spread of the wait in a queue: wide, as nothing is known
_LEAST_SURVIVAL: Final = 1e-4  # the hazard stays constant beyond
_LEAST: Final = 1e-3  # the least hazard
_BOUNDS: Final = (*EDGES, EDGES[-1] * RATIO)


@cache
def generating(*, known: bool) -> PriorFamily:
    """Return the prior of the time from start to end; wider for a model that is not in the catalogue."""
    return PriorFamily(
        _priors(),
        _LOG_SIGMA if known else _UNKNOWN_LOG_SIGMA,
        early_share=_EARLY_SHARE,
        early_density=_density(*_EARLY),
    )


@cache
def queued() -> PriorFamily:
    """Return the prior of the time from acceptance to start, of generations that wait at all."""
    return PriorFamily([(1.0, Prior(_mixture(_QUEUED)))])


def borrowed(rates: Sequence[float], *, known: bool) -> PriorFamily:
    """Return a prior of the hazards learned for another kind, per typical duration."""
    return PriorFamily([(1.0, Prior(rates))], _LOG_SIGMA if known else _UNKNOWN_LOG_SIGMA, borrowed_rates=rates)


@cache
def _priors() -> list[tuple[float, Prior]]:
    """Return the weights and hazards of lognormals, and of pairs of back ends, around the typical duration."""
    found = [(weight, Prior(_mixture((1.0 - _TAIL[0], 1.0, sigma), _TAIL))) for sigma, weight in _SIGMAS.items()]
    half, (_, median, sigma) = (1.0 - _ENDS_TAIL) / 2.0, _TAIL
    for apart in _TWO_ENDS:
        pair = [(half, math.pow(apart, power), _ENDS_SIGMA) for power in (-0.5, 0.5)]
        found.append((_ENDS_WEIGHT, Prior(_mixture(*pair, (_ENDS_TAIL, median, sigma)))))
    return found


def _density(median: float, sigma: float) -> list[float]:
    """Return the density of a lognormal, bin by bin."""
    left = (_survival(edge, median, sigma) for edge in _BOUNDS)
    return [(before - after) / width for (before, after), width in zip(pairwise(left), WIDTHS, strict=True)]


def _mixture(*parts: tuple[float, float, float]) -> tuple[float, ...]:
    """Return the hazards, bin by bin, of a mixture of lognormals, each by its share, median and spread."""
    left = [sum(share * _survival(edge, median, sigma) for share, median, sigma in parts) for edge in _BOUNDS]
    rates = [_LEAST]
    for (before, after), width in zip(pairwise(left), WIDTHS, strict=True):
        rates.append(max(_LEAST, math.log(before / after) / width) if after > _LEAST_SURVIVAL else rates[-1])
    return tuple(rates[1:])


def _survival(age: float, median: float, sigma: float) -> float:
    """Return the share of a lognormal above an age."""
    return 0.5 * math.erfc(math.log(age / median) / (sigma * math.sqrt(2))) if age > 0 else 1.0


_STEP: Final = 3  # bins from member to member: a sixth of the duration
_MAX_SHIFT: Final = 24  # bins to either side: three times as quick or slow
_LIKELIHOOD_POWER: Final = 0.35  # no member is quite true, and the first events of a batch are no random sample
_LEAST_LIKELIHOOD: Final = 1e-3  # relative to the likeliest; less likely members are left out
_LEAST_SHARE: Final = 1e-12  # the least survival, so that each member has a hazard at all ages
_EARLY_PRIOR_WEIGHT: Final = 0.05  # in early failures
_NO_COUNTS: Final = (0.0,) * BINS


class Prior:
    """Hazards bin by bin, per typical duration, each more than 0; to be shifted to longer or shorter durations."""

    __slots__ = ("_density", "_log_rates", "_rates", "_survival")

    def __init__(self, rates: Sequence[float]) -> None:
        cumulative = accumulate(map(mul, rates[:-1], WIDTHS), initial=0.0)
        self._rates = _padded(rates)
        self._log_rates = [math.log(rate) for rate in self._rates]
        self._survival = _padded([max(_LEAST_SHARE, math.exp(-each)) for each in cumulative])
        self._density = list(map(mul, self._survival, self._rates))

    def log_likelihood(self, shift: int, events: Sequence[float], exposure: Sequence[float], first: int = 0) -> float:
        """Return the log-likelihood of exposure by bin, and events from bin ``first`` on, if shifted by so many."""
        start = _MAX_SHIFT - shift
        log_rates = self._log_rates[start + first : start + first + len(events)]
        rates = self._rates[start : start + len(exposure)]
        ended: float = sum(map(mul, events, log_rates)) - sum(events) * shift * math.log(RATIO)
        lived: float = sum(map(mul, exposure, rates)) / math.pow(RATIO, shift)
        return ended - lived

    def survival(self, shift: int) -> list[float]:
        """Return the share that reaches each bin, if shifted by so many."""
        return self._survival[_MAX_SHIFT - shift :][:BINS]

    def survival_at(self, age: float, shift: int) -> float:
        """Return the share that reaches this age, in typical durations, if shifted by so many bins."""
        age /= math.pow(RATIO, shift)
        number = bisect_right(EDGES, age) - 1
        place = _MAX_SHIFT + number
        return self._survival[place] * math.exp(-self._rates[place] * (age - EDGES[number]))

    def density(self, shift: int) -> list[float]:
        """Return the share that ends in each bin, if shifted by so many; per duration that is typical then."""
        return self._density[_MAX_SHIFT - shift :][:BINS]


class PriorFamily:
    """The hazards that a kind of generation may have, with their prior weights.

    Attributes:
        rates: The expected hazards before anything was seen, per typical duration.
        borrowed_rates: The hazards it was made of, if borrowed from another kind.
    """

    def __init__(
        self,
        priors: Iterable[tuple[float, Prior]],
        log_sigma: float = 0.0,
        *,
        early_share: float = 0.0,
        early_density: Sequence[float] = _NO_COUNTS,
        borrowed_rates: Sequence[float] | None = None,
    ) -> None:
        """Make the members of priors, which come with their weights, in any unit.

        ``log_sigma`` is the spread of the logarithm of the multiples of the typical duration they are shifted to; at 0
        none is shifted. ``early_share`` is the share that fails early, ``early_density`` the density of their ages, per
        typical duration.
        """
        self.borrowed_rates: Sequence[float] | None = borrowed_rates
        shifts = range(-_MAX_SHIFT, _MAX_SHIFT + 1, _STEP) if log_sigma else (0,)
        self._early_share = early_share
        self._early_density = early_density
        self._weigh(
            [
                (math.log(weight) - _log_penalty(shift, log_sigma), prior, shift)
                for weight, prior in priors
                for shift in shifts
            ]
        )

    def _weigh(self, members: Sequence[tuple[float, Prior, int]]) -> None:
        """Compute what is expected of members before anything was seen: by log-weight, prior and shift in bins."""
        self._members = members
        usual = self._mean_rates(_NO_COUNTS, _NO_COUNTS)
        self._early_fractions = [
            self._early_share * failing / (self._early_share * failing + rate)
            for failing, rate in zip(self._early_density, usual, strict=True)
        ]
        self.rates: Sequence[float] = self.posterior(_NO_COUNTS, _NO_COUNTS)

    def given(self, published: Percentiles) -> PriorFamily:
        """Return the family with its members weighed by how likely they make these percentiles."""
        family = copy(self)
        family._weigh(  # noqa: SLF001 - of its own kind
            [
                (log_weight + math.log(published.likelihood(partial(prior.survival_at, shift=shift))), prior, shift)
                for log_weight, prior, shift in self._members
            ]
        )
        return family

    def posterior(self, events: Sequence[float], exposure: Sequence[float]) -> list[float]:
        """Return the expected hazards, given the events and the exposure in each bin.

        Exposure is in typical durations, and hazards are per typical duration. With nothing seen they are ``rates``.
        """
        early_events = list(map(mul, events, self._early_fractions))
        late_events = [all_ - early for all_, early in zip(events, early_events, strict=True)]
        expected = self._early_share * sum(map(mul, self._early_density, exposure))
        share = self._early_share * (_EARLY_PRIOR_WEIGHT + sum(early_events)) / (_EARLY_PRIOR_WEIGHT + expected)
        return [
            late + share * early
            for late, early in zip(self._mean_rates(late_events, exposure), self._early_density, strict=True)
        ]

    def _mean_rates(self, events: Sequence[float], exposure: Sequence[float]) -> list[float]:
        """Return the mean hazards of the members, without early failures."""
        events, exposure = _without_trailing_zeros(events), _without_trailing_zeros(exposure)
        first = next((number for number, each in enumerate(events) if each), 0)
        log_weights = [
            log_weight + _LIKELIHOOD_POWER * prior.log_likelihood(shift, events[first:], exposure, first)
            for log_weight, prior, shift in self._members
        ]
        most = max(log_weights)
        weights = [math.exp(each - most) for each in log_weights]
        likely = [
            (each, *member[1:]) for each, member in zip(weights, self._members, strict=True) if each > _LEAST_LIKELIHOOD
        ]
        survival_weights = [weight for weight, _, _ in likely]
        density_weights = [weight / math.pow(RATIO, shift) for weight, _, shift in likely]
        survivals = zip(*(prior.survival(shift) for _, prior, shift in likely), strict=True)
        densities = zip(*(prior.density(shift) for _, prior, shift in likely), strict=True)
        return [
            sum(map(mul, density_weights, density)) / sum(map(mul, survival_weights, survival))
            for density, survival in zip(densities, survivals, strict=True)
        ]


def _log_penalty(shift: int, log_sigma: float) -> float:
    """Return how much smaller a shifted member's prior weight is, as a logarithm."""
    return (shift * math.log(RATIO) / log_sigma) ** 2 / 2.0 if shift else 0.0


def _without_trailing_zeros(values: Sequence[float]) -> Sequence[float]:
    """Return the values up to the last that is not 0."""
    last = next((number for number in range(len(values), 0, -1) if values[number - 1]), 0)
    return values[:last]


def _padded(values: Sequence[float]) -> list[float]:
    """Return the values with their first and last repeated, so that they can be shifted either way."""
    return [values[0]] * _MAX_SHIFT + list(values) + [values[-1]] * _MAX_SHIFT
