"""Made-up kinds of generations, and what a session has learned of them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.policy.truth import trace
from kling_async.api.results import Status
from kling_async.pacing import priors
from kling_async.pacing.durations import Experience, Kind
from kling_async.pacing.estimator import Table
from kling_async.pacing.queues import PROFILES, Price
from kling_async.pacing.schedules import LearnedCadence
from kling_async.pacing.tracking import Learner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.policy.truth import Law
    from kling_async.pacing.tracking import Course

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

    def learner(self, jobs: int = 0, seed: int = 0) -> Learner:
        """A session that has seen so many generations of each kind, one after the other."""
        experience = Experience()
        for length, law in self.laws.items():
            grid = experience.grid(law.median * self.wrong)
            experience.restore(Kind(MODEL, length), Table(grid, priors.generating(known=True)))
        learner = Learner(experience)
        rng = Random(seed)  # noqa: S311 - to be drawn again
        for length, law in self.laws.items():
            for duration in trace(law, jobs, seed):
                self._watch(learner, learner.begin(MODEL, length, 0.0), duration, rng)
            experience.table(Kind(MODEL, length)).rebuild()
        return learner

    def _watch(self, learner: Learner, course: Course, duration: float, rng: Random) -> None:
        cadence = LearnedCadence(Price.of(PROFILES["balanced"]))
        while (at := cadence.due(course)) < duration:
            learner.running(course, at, Status.GENERATING, rng)
        learner.ended(course, at)
