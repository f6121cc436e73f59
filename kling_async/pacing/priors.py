"""Which hazards a kind of generation may have, and how likely what was seen makes each of them.

The members of a family have a shape, or one of a few; they differ in how many times the typical duration they take. As
bins grow in proportion to age, a member is its shape, moved by some bins. With e ends seen in each bin, and L lived
through in it, a member of hazard h becomes as likely as it was believed to be, times the product of h^e exp(-hL) over
all bins: the likelihood of hazards that are constant within bins, those still running included. As it is not known
which member is true, what is expected is the mean of them all, each weighed by how likely it is and by how many it has
reach the age ("Bayesian model averaging", Hoeting, Madigan, Raftery and Volinsky 1999). As no member is quite true,
likelihoods count for less than they would if one were: they are tempered, as "safe" Bayesian learning has it (Grünwald
and van Ommen 2017).

Early failures are a risk of their own beside the members', so that they do not make a kind seem quicker. At which ages
they come is believed; how many there are is learned, by a gamma prior.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import accumulate, pairwise
from operator import mul
from typing import TYPE_CHECKING, Final

from kling_async.pacing.hazard import BINS, EDGES, RATIO, WIDTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Prior", "PriorFamily", "borrowed", "generating", "queued"]

# Spreads of the logarithm, and how likely each is: assumptions, as is all here, until real traces exist.
_SIGMAS: Final = {0.07: 0.8, 0.11: 1.1, 0.17: 1.6, 0.26: 1.6, 0.4: 1.0, 0.65: 0.5}
_DOUBT: Final = 0.2  # that of how many times its typical duration a model takes
_UNKNOWN_DOUBT: Final = 0.5
_TAIL: Final = (0.12, 1.7, 0.6)  # one in eight takes longer, and some of them much longer
_EARLY_SHARE: Final = 0.015  # one in seventy ...
_EARLY: Final = (0.05, 1.0)  # ... fails before it has well begun
_QUEUED: Final = (1.0, 0.5, 1.2)  # how long a line is, nobody knows
_TRUSTED: Final = 1e-4  # once fewer are left than this, the hazard goes on as it was
_LEAST: Final = 1e-3  # the least hazard
_BOUNDS: Final = (*EDGES, EDGES[-1] * RATIO)


@cache
def generating(*, known: bool) -> PriorFamily:
    """The time from being taken up to the end; wider for a model that is not in the catalogue."""
    return PriorFamily(
        _lognormals(), _DOUBT if known else _UNKNOWN_DOUBT, early_share=_EARLY_SHARE, early=_density(*_EARLY)
    )


@cache
def queued() -> PriorFamily:
    """The time from acceptance to being taken up, of those that have to wait at all."""
    return PriorFamily([(1.0, Prior(_mixture(_QUEUED)))])


def borrowed(rates: Sequence[float], *, known: bool) -> PriorFamily:
    """What was learned of another kind, in typical durations of each."""
    return PriorFamily([(1.0, Prior(rates))], _DOUBT if known else _UNKNOWN_DOUBT, lent=rates)


@cache
def _lognormals() -> tuple[tuple[float, Prior], ...]:
    usual = 1.0 - _TAIL[0]
    return tuple((weight, Prior(_mixture((usual, 1.0, sigma), _TAIL))) for sigma, weight in _SIGMAS.items())


def _density(median: float, sigma: float) -> list[float]:
    """That of a lognormal, bin by bin."""
    left = (_survival(edge, median, sigma) for edge in _BOUNDS)
    return [(before - after) / width for (before, after), width in zip(pairwise(left), WIDTHS, strict=True)]


def _mixture(*parts: tuple[float, float, float]) -> tuple[float, ...]:
    """Hazards, bin by bin, of lognormals, each by its share, median and spread."""
    left = [sum(share * _survival(edge, median, sigma) for share, median, sigma in parts) for edge in _BOUNDS]
    rates = [_LEAST]
    for (before, after), width in zip(pairwise(left), WIDTHS, strict=True):
        rates.append(max(_LEAST, math.log(before / after) / width) if after > _TRUSTED else rates[-1])
    return tuple(rates[1:])


def _survival(age: float, median: float, sigma: float) -> float:
    """The share of a lognormal above an age."""
    return 0.5 * math.erfc(math.log(age / median) / (sigma * math.sqrt(2))) if age > 0 else 1.0


_STEP: Final = 3  # bins from member to member: a sixth of the duration
_FURTHEST: Final = 24  # bins to either side: three times as quick or slow
_CAUTION: Final = 0.35  # the power of likelihoods: no member is quite true, and the first ends of a batch are no sample
_UNLIKELY: Final = 1e-3  # beside the likeliest; less counts for nothing
_NEVER: Final = 1e-12  # the least share that reaches an age, so that each member says something of all
_EARLY_TRUST: Final = 0.05  # in early failures: what the belief in how many there are weighs
_NOTHING: Final = (0.0,) * BINS


class Prior:
    """Hazards bin by bin, per typical duration, each more than 0; to be moved to longer or shorter durations."""

    __slots__ = ("_ended", "_left", "_logs", "_rates")

    def __init__(self, rates: Sequence[float]) -> None:
        strains = accumulate(map(mul, rates[:-1], WIDTHS), initial=0.0)
        self._rates = _padded(rates)
        self._logs = [math.log(rate) for rate in self._rates]
        self._left = _padded([max(_NEVER, math.exp(-strain)) for strain in strains])
        self._ended = list(map(mul, self._left, self._rates))

    def log_likelihood(self, move: int, events: Sequence[float], exposure: Sequence[float]) -> float:
        """How likely it makes what was seen, moved by so many bins."""
        start = _FURTHEST - move
        ended: float = sum(map(mul, events, self._logs[start:])) - sum(events) * move * math.log(RATIO)
        lived: float = sum(map(mul, exposure, self._rates[start:])) / math.pow(RATIO, move)
        return ended - lived

    def survival(self, move: int) -> list[float]:
        """The share that reaches each bin, moved by so many."""
        return self._left[_FURTHEST - move :][:BINS]

    def density(self, move: int) -> list[float]:
        """The share that ends in each bin, moved by so many; per duration that is typical then."""
        return self._ended[_FURTHEST - move :][:BINS]


class PriorFamily:
    """What may be true of a kind of generation, before and after some were seen."""

    __slots__ = ("_early", "_early_share", "_members", "_taken_early", "borrowed_rates", "rates")

    def __init__(
        self,
        shapes: Iterable[tuple[float, Prior]],
        log_sigma: float = 0.0,
        *,
        early_share: float = 0.0,
        early: Sequence[float] = _NOTHING,
        lent: Sequence[float] | None = None,
    ) -> None:
        """Shapes come with how likely each is, in any unit.

        ``doubt`` is the spread of the logarithm of how many times the typical duration they take; 0: just once.
        ``early_share`` is how many fail early, and ``early`` is when, as a density per typical duration. ``lent`` is
        the shape, if it is one that was learned of another kind.
        """
        self.borrowed_rates = lent
        moves = range(-_FURTHEST, _FURTHEST + 1, _STEP) if log_sigma else (0,)
        self._members = [
            (math.log(weight) - _unlikeliness(move, log_sigma), shape, move)
            for weight, shape in shapes
            for move in moves
        ]
        self._early_share = early_share
        self._early = early
        usual = self._mean(_NOTHING, _NOTHING)
        self._taken_early = [
            early_share * failing / (early_share * failing + rate) for failing, rate in zip(early, usual, strict=True)
        ]
        self.rates = self.posterior(_NOTHING, _NOTHING)

    def posterior(self, events: Sequence[float], exposure: Sequence[float]) -> list[float]:
        """The hazards to expect, where so many were seen to end in each bin, and so long was lived through in it.

        Per typical duration, as are the lives. With nothing seen they are ``rates``.
        """
        early_events = list(map(mul, events, self._taken_early))
        late_events = [all_ - early for all_, early in zip(events, early_events, strict=True)]
        expected = self._early_share * sum(map(mul, self._early, exposure))
        share = self._early_share * (_EARLY_TRUST + sum(early_events)) / (_EARLY_TRUST + expected)
        return [
            late + share * early for late, early in zip(self._mean(late_events, exposure), self._early, strict=True)
        ]

    def _mean(self, events: Sequence[float], exposure: Sequence[float]) -> list[float]:
        """That of the members."""
        events, exposure = _without_end(events), _without_end(exposure)
        told = [
            believed + _CAUTION * shape.log_likelihood(move, events, exposure)
            for believed, shape, move in self._members
        ]
        most = max(told)
        weights = [math.exp(each - most) for each in told]
        likely = [(each, *member[1:]) for each, member in zip(weights, self._members, strict=True) if each > _UNLIKELY]
        of_left = [weight for weight, _, _ in likely]
        of_ended = [weight / math.pow(RATIO, move) for weight, _, move in likely]
        left = zip(*(shape.survival(move) for _, shape, move in likely), strict=True)
        ended = zip(*(shape.density(move) for _, shape, move in likely), strict=True)
        return [
            sum(map(mul, of_ended, gone)) / sum(map(mul, of_left, there))
            for gone, there in zip(ended, left, strict=True)
        ]


def _unlikeliness(move: int, doubt: float) -> float:
    """What is lost of a member's weight, as a logarithm, as it lies so far off."""
    return (move * math.log(RATIO) / doubt) ** 2 / 2.0 if move else 0.0


def _without_end(values: Sequence[float]) -> Sequence[float]:
    """Up to the last that is not 0."""
    last = next((number for number in range(len(values), 0, -1) if values[number - 1]), 0)
    return values[:last]


def _padded(values: Sequence[float]) -> list[float]:
    """With room to be moved either way."""
    return [values[0]] * _FURTHEST + list(values) + [values[-1]] * _FURTHEST
