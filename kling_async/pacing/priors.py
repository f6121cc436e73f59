"""What is believed of durations before any is seen.

Shapes are in typical durations, so that one serves every model. That of generating is lognormal, with a slow tail, and
a few that fail early. How wide it is, and around what, is doubtful: together, the doubts make it about as wide as a
lognormal with a spread of 0.35, or of 0.6 for a model whose typical duration is itself a guess.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from kling_async.pacing.family import Family, Shape
from kling_async.pacing.grid import EDGES, RATIO, WIDTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["borrowed", "generating", "queued"]

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
def generating(*, known: bool) -> Family:
    """The time from being taken up to the end; wider for a model that is not in the catalogue."""
    return Family(_lognormals(), _DOUBT if known else _UNKNOWN_DOUBT, early_share=_EARLY_SHARE, early=_density(*_EARLY))


@cache
def queued() -> Family:
    """The time from acceptance to being taken up, of those that have to wait at all."""
    return Family([(1.0, Shape(_mixture(_QUEUED)))])


def borrowed(rates: Sequence[float], *, known: bool) -> Family:
    """What was learned of another kind, in typical durations of each."""
    return Family([(1.0, Shape(rates))], _DOUBT if known else _UNKNOWN_DOUBT, lent=rates)


@cache
def _lognormals() -> tuple[tuple[float, Shape], ...]:
    usual = 1.0 - _TAIL[0]
    return tuple((weight, Shape(_mixture((usual, 1.0, sigma), _TAIL))) for sigma, weight in _SIGMAS.items())


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
