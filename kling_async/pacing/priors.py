"""What is believed of durations before any is seen.

Shapes are in typical durations, so that one serves every model. That of generating is lognormal around 1, with a slow
tail, and a few that fail early.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from typing import Final

from kling_async.pacing.grid import EDGES, RATIO

__all__ = ["generating", "queued"]

_SIGMA: Final = 0.35  # spread of the logarithm: an assumption until real traces exist
_UNKNOWN_SIGMA: Final = 0.6  # of a model whose typical duration is itself a guess
_TAIL: Final = (0.08, 2.2, _SIGMA)  # one in twelve takes about twice as long
_EARLY: Final = (0.015, 0.05, 1.0)  # one in seventy fails before it has well begun
_QUEUED: Final = (1.0, 0.5, 1.2)  # how long a line is, nobody knows
_TRUSTED: Final = 1e-4  # once fewer are left than this, the hazard goes on as it was
_LEAST: Final = 1e-3  # the least hazard
_BOUNDS: Final = (*EDGES, EDGES[-1] * RATIO)


@cache
def generating(*, known: bool) -> tuple[float, ...]:
    """The time from being taken up to the end; wider for a model that is not in the catalogue."""
    sigma = _SIGMA if known else _UNKNOWN_SIGMA
    return _mixture((1.0 - _TAIL[0] - _EARLY[0], 1.0, sigma), _TAIL, _EARLY)


@cache
def queued() -> tuple[float, ...]:
    """The time from acceptance to being taken up, of those that have to wait at all."""
    return _mixture(_QUEUED)


def _mixture(*parts: tuple[float, float, float]) -> tuple[float, ...]:
    """Hazards, bin by bin, of lognormals, each by its share, median and spread."""
    left = [sum(share * _survival(edge, median, sigma) for share, median, sigma in parts) for edge in _BOUNDS]
    rates = [_LEAST]
    for (start, end), (before, after) in zip(pairwise(_BOUNDS), pairwise(left), strict=True):
        rates.append(max(_LEAST, math.log(before / after) / (end - start)) if after > _TRUSTED else rates[-1])
    return tuple(rates[1:])


def _survival(age: float, median: float, sigma: float) -> float:
    """The share of a lognormal above an age."""
    return 0.5 * math.erfc(math.log(age / median) / (sigma * math.sqrt(2))) if age > 0 else 1.0
