"""The vendor's published percentiles of a model's durations, as evidence on how long its kinds take.

They are taken to be those of all recent generations, of every length of video together in unknown shares. They may also
be those of the submits alone, which are far quicker than any generation, or of something else. So a likelihood here
never falls below the one they have if they are not about generations at all.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kling_async.api.account.usage import Quantiles

_BETWEEN: Final = (0.5, 0.25, 0.15, 0.1)  # the shares up to p50, between the percentiles, and beyond p90
# The generations they are worth, and the likelihood of what does not fit at all, beside that of what fits exactly: for
# a model of one length, and for one of several. As nobody publishes the shares of lengths, twice the durations of some
# mixture look much like those of another, so that these must fit better, and say less.
_WEIGHT, _DOUBT = 20.0, 0.02
_MIXED_WEIGHT, _MIXED_DOUBT = 80.0, 0.1
_MIXES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of the longer of two lengths
_LEAST_SHARE: Final = 1e-3  # between two percentiles, as members of a family are not that exact
_SHORTEST, _LONGEST = 0.2, 5.0  # of the typical duration: what is beyond does not time generations


@frozen
class Percentiles:
    """Three percentiles in typical durations, once for each length of video that they may be about.

    Attributes:
        ages: p50, p75 and p90, by length.
    """

    ages: tuple[tuple[float, float, float], ...]

    def likelihood(self, survival: Callable[[float], float]) -> float:
        """Return the likelihood of durations of which ``survival`` is the share beyond so many typical ones.

        It is relative to that of durations with exactly these percentiles, in whatever shares of lengths fit best, and
        never less than 0.02.
        """
        beyond = [[survival(age) for age in ages] for ages in self.ages]
        weight, doubt = (_WEIGHT, _DOUBT) if len(self.ages) == 1 else (_MIXED_WEIGHT, _MIXED_DOUBT)
        best = max(_log_likelihood(mixed) for mixed in _mixtures(beyond))
        return doubt + (1.0 - doubt) * math.exp(weight * best)


def believable(published: Quantiles, typical: Sequence[float]) -> Percentiles | None:
    """Return percentiles in typical durations if they can be those of generations; None otherwise.

    ``typical`` are the usual seconds by length, one or two. They can if all lie between a fifth of the least of those
    and five times the greatest, each no less than the one before.
    """
    seconds = [math.nan if each is None else each / 1000.0 for each in (published.p50, published.p75, published.p90)]
    least, greatest = _SHORTEST * min(typical), _LONGEST * max(typical)
    if not least <= seconds[0] <= seconds[1] <= seconds[2] <= greatest:  # nor if one is NaN
        return None
    p50, p75, p90 = seconds
    return Percentiles(tuple((p50 / each, p75 / each, p90 / each) for each in typical))


def _mixtures(beyond: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    """Return the shares beyond each percentile, for every share that the second length may have of the two."""
    if len(beyond) == 1:
        return beyond
    return [[(1.0 - mix) * short + mix * long for short, long in zip(*beyond, strict=True)] for mix in _MIXES]


def _log_likelihood(beyond: Sequence[float]) -> float:
    """Return the logarithm of the likelihood of one generation's place between the percentiles, 0 at most."""
    shares = (before - after for before, after in pairwise((1.0, *beyond, 0.0)))
    return sum(
        expected * math.log(max(share, _LEAST_SHARE) / expected)
        for expected, share in zip(_BETWEEN, shares, strict=True)
    )
