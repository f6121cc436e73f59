"""What answers say of a generation that is under way, and what they teach of its kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from attrs import frozen

from kling_async.api.results import Status
from kling_async.pacing.course import Course
from kling_async.pacing.experience import Kind, Phase

if TYPE_CHECKING:
    from random import Random

    from kling_async.pacing.experience import Experience

__all__ = ["Forecast", "Learner"]

_SURELY: Final = 0.99  # the share of generations that is as good as all


@frozen
class Forecast:
    """When a generation is expected to have ended. Instants are the loop's, in seconds.

    Attributes:
        median: As likely before as after.
        late: Nine in ten times before.
    """

    median: float
    late: float


class Learner:
    """Follows generations, and learns from every answer how long they take.

    A generation that no poll has found waiting counts as working since it was accepted. When one that was found waiting
    is first found working, its clock starts again in the middle between the two polls.
    """

    __slots__ = ("experience",)

    def __init__(self, experience: Experience) -> None:
        self.experience = experience

    def begin(self, model: str, duration: int | None, accepted_at: float, latest: float = math.inf) -> Course:
        """Follow a generation that was accepted then."""
        waiting = self.experience.table(Kind(model, duration, Phase.QUEUED))
        working = self.experience.table(Kind(model, duration, Phase.GENERATING))
        return Course(waiting, working, accepted_at, accepted_at, latest)

    def running(self, course: Course, at: float, status: Status, rng: Random) -> None:
        """A poll begun at that instant found it running; it sleeps anew."""
        at = max(at, course.seen)
        if status is Status.QUEUED and (course.queued or not course.polls):
            course.waiting.observe_pending(course.seen - course.since, at - course.since)
            course.queued = True
        else:
            self._taken_up(course, at)
            course.working.observe_pending(course.seen - course.since, at - course.since)
        course.seen = at
        course.polls += 1
        course.held = None
        course.swing = 2.0 * rng.random() - 1.0

    def ended(self, course: Course, at: float) -> None:
        """A poll begun at that instant found it completed or failed."""
        at = max(at, course.seen)
        if course.queued:
            course.waiting.observe_detection(course.seen - course.since, at - course.since)
            course.since = course.seen
        course.working.observe_detection(course.seen - course.since, at - course.since)

    def forecast(self, course: Course, now: float) -> Forecast:
        """When it is expected to have ended, going by its last answer; never before ``now``."""
        begun, age = course.since, course.seen - course.since
        if course.queued:
            begun, age = begun + course.waiting.hazard.quantile(0.5, age), 0.0
        median, late = (begun + course.working.hazard.quantile(share, age) for share in (0.5, 0.9))
        return Forecast(max(now, median), max(now, late))

    def longest(self, model: str, duration: int | None) -> float:
        """How long a generation of this kind takes, in seconds, but for one in a hundred."""
        return self.experience.table(Kind(model, duration, Phase.GENERATING)).hazard.quantile(_SURELY)

    def __repr__(self) -> str:
        return f"<Learner with {self.experience}>"

    def _taken_up(self, course: Course, at: float) -> None:
        if course.queued:
            course.waiting.observe_detection(course.seen - course.since, at - course.since)
            course.since = course.seen = (course.seen + at) / 2.0
            course.queued = False
