"""Made-up kinds of generations, and what a session has learned of them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.policy.durations import trace
from kling_async.api.account.usage import Quantiles
from kling_async.api.results import GenerationStatus
from kling_async.pacing import priors
from kling_async.pacing.durations import DurationModels, GenerationKind
from kling_async.pacing.estimator import HazardEstimator
from kling_async.pacing.percentiles import believable
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import HazardSchedule
from kling_async.pacing.tracking import DurationLearner
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.policy.durations import Distribution
    from kling_async.pacing.priors import PriorFamily
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["MODEL", "Workload"]

MODEL: Final = "klingai/v2-master-text-to-video"  # any that is in the catalogue; how long it takes is made up


@frozen
class Workload:
    """Kinds of generations, told apart by the length of their video.

    Attributes:
        laws: What they take, by that length.
        wrong: How many times the real median the catalogue has.
        published: The p50, p75 and p90 that the vendor publishes, in seconds, of all lengths together; None: nothing.
    """

    laws: Mapping[int, Distribution]
    wrong: float = 1.0
    published: Sequence[float] | None = None

    def learner(self, jobs: int = 0, seed: int = 0) -> DurationLearner:
        """Return a session that has seen so many generations of each kind, one after the other."""
        models = DurationModels()
        prior = self._prior()
        for length, law in self.laws.items():
            grid = models.bins(law.median * self.wrong)
            models.restore(GenerationKind(MODEL, length), HazardEstimator(grid, prior))
        learner = DurationLearner(models)
        rng = Random(seed)  # noqa: S311 - to be drawn again
        for length, law in self.laws.items():
            for duration in trace(law, jobs, seed):
                self._observe(learner, learner.track(MODEL, length, 0.0), duration, rng)
            models.estimator(GenerationKind(MODEL, length)).rebuild()
        return learner

    def _prior(self) -> PriorFamily:
        prior = priors.generating(known=True)
        if self.published is None:
            return prior
        milliseconds = Quantiles(*(1000.0 * each for each in self.published))
        found = believable(milliseconds, [law.median * self.wrong for law in self.laws.values()])
        return prior if found is None else prior.given(found)

    def _observe(self, learner: DurationLearner, tracker: GenerationTracker, duration: float, rng: Random) -> None:
        schedule = HazardSchedule(PollCost.of(PROFILES["balanced"]))
        while (at := schedule.due(tracker)) < duration:
            learner.running(tracker, at, GenerationStatus.GENERATING, rng)
        learner.ended(tracker, at)
