"""Made-up kinds of generations, and what a session has learned of them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.policy.truth import trace
from kling_async.api.results import GenerationStatus
from kling_async.pacing import priors
from kling_async.pacing.durations import DurationModels, GenerationKind
from kling_async.pacing.estimator import HazardEstimator
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import HazardSchedule
from kling_async.pacing.tracking import DurationLearner
from kling_async.settings import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.policy.truth import Law
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["MODEL", "World"]

MODEL: Final = "klingai/v2-master-text-to-video"  # any that is in the catalogue; how long it takes is made up


@frozen
class World:
    """Kinds of generations, told apart by the length of their video.

    Attributes:
        laws: What they take, by that length.
        wrong: How many times the real median the catalogue has.
    """

    laws: Mapping[int, Law]
    wrong: float = 1.0

    def learner(self, jobs: int = 0, seed: int = 0) -> DurationLearner:
        """A session that has seen so many generations of each kind, one after the other."""
        experience = DurationModels()
        for length, law in self.laws.items():
            grid = experience.bins(law.median * self.wrong)
            experience.restore(GenerationKind(MODEL, length), HazardEstimator(grid, priors.generating(known=True)))
        learner = DurationLearner(experience)
        rng = Random(seed)  # noqa: S311 - to be drawn again
        for length, law in self.laws.items():
            for duration in trace(law, jobs, seed):
                self._active_of(learner, learner.track(MODEL, length, 0.0), duration, rng)
            experience.estimator(GenerationKind(MODEL, length)).rebuild()
        return learner

    def _active_of(self, learner: DurationLearner, tracker: GenerationTracker, duration: float, rng: Random) -> None:
        schedule = HazardSchedule(PollCost.of(PROFILES["balanced"]))
        while (at := schedule.due(tracker)) < duration:
            learner.running(tracker, at, GenerationStatus.GENERATING, rng)
        learner.ended(tracker, at)
