"""Made-up hazards and generations, for several test files."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING

from kling_async.pacing import priors
from kling_async.pacing.durations import DurationModels, GenerationKind, Phase
from kling_async.pacing.estimator import HazardEstimator
from kling_async.pacing.hazard import BINS, AgeBins, Hazard
from kling_async.pacing.priors import Prior, PriorFamily
from kling_async.pacing.tracking import DurationLearner

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL = "klingai/v2.1-master-text-to-video"  # usually takes 220 s


def flat(rate: float, unit: float = 100.0) -> Hazard:
    return Hazard(AgeBins(unit), [rate] * BINS)


def wild(seed: int, unit: float = 100.0) -> Hazard:
    """Any hazard at all, over five orders of magnitude."""
    rng = Random(seed)
    return Hazard(AgeBins(unit), [10 ** rng.uniform(-5.0, 0.0) for _ in range(BINS)])


def only(rates: Sequence[float]) -> PriorFamily:
    """A prior in which nothing else is possible."""
    return PriorFamily([(1.0, Prior(rates))])


def estimator(unit: float = 100.0) -> HazardEstimator:
    return HazardEstimator(AgeBins(unit), priors.generating(known=True))


def learner(rate: float | None = None) -> DurationLearner:
    """A learner that has one hazard for every kind, if one is given."""
    models = DurationModels()
    if rate is not None:
        for phase in Phase:
            kind = GenerationKind(MODEL, 5, phase)
            models.restore(kind, HazardEstimator(AgeBins(220.0), only((rate * 220.0,) * BINS)))
    return DurationLearner(models)


def lognormal(median: float, sigma: float, rng: Random) -> float:
    return median * math.exp(rng.gauss(0.0, sigma))
