"""How long generations take: made up, by the law that `benchmarks.policy.truth` describes, but none fails.

Lognormal around a median, spread 0.35; one in twenty takes two to four times as long as it would have. Assumptions,
until real traces exist.
"""

from __future__ import annotations

import math
from random import Random
from statistics import fmean

__all__ = ["durations", "mean_seconds"]

_SIGMA = 0.35
_SLOW, _LEAST, _MOST = 0.05, 2.0, 4.0


def durations(jobs: int, seed: int, median: float) -> list[float]:
    """Seconds from acceptance to completion, by the number of the job; the same for every client."""
    rng = Random(f"durations {seed}")  # noqa: S311 - repeatable on purpose
    return [median * _share(rng) for _ in range(jobs)]


def mean_seconds(jobs: int, seed: int, median: float) -> float:
    """How long a generation takes on average."""
    return fmean(durations(jobs, seed, median))


def _share(rng: Random) -> float:
    usual = math.exp(rng.gauss(0.0, _SIGMA))
    return usual * rng.uniform(_LEAST, _MOST) if rng.random() < _SLOW else usual
