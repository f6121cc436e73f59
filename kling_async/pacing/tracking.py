"""What answers say of a generation that is under way, and what they teach of its kind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from attrs import define, frozen

from kling_async.api.results import GenerationStatus
from kling_async.pacing.durations import GenerationKind, Phase

if TYPE_CHECKING:
    from random import Random

    from kling_async.pacing.durations import DurationModels
    from kling_async.pacing.estimator import HazardEstimator

__all__ = ["DurationLearner", "Forecast", "GenerationTracker", "still_running"]


_SURELY: Final = 0.99  # the share of generations that is as good as all


@define(eq=False, weakref_slot=False)
class GenerationTracker:
    """One generation, as far as polls have told. Instants are the loop's, in seconds.

    Attributes:
        waiting: What is known of how long its kind waits.
        working: What is known of how long its kind then takes.
        since: When its present phase began, as far as is known.
        seen: When it was last found running; its acceptance before that.
        latest: When it is to be asked about at the latest, as its time is up then.
        polls: How many polls have found it running.
        queued: Whether it was waiting then.
        swing: Where within its jitter its present sleep lies, from -1 to 1; the first sleep has none.
        plain: Whether it is asked about as if there were no completion feed, which would not show what that misses.
        lived: Until when it is counted as running in what was learned; never before ``seen``.
        shown: When the completion feed was looked at that shows its end; None if none has.
        unanswered: Whether a poll since ``seen`` was refused or told nothing, though it may have reached the vendor.
        held: When to ask whatever the schedule says, as after an error; None otherwise.
        ticket: Which entry on the rota is its, None if none is. The rota's own, as is ``ripe``.
        ripe: Whether it is worth a poll if there is one to spare.
    """

    queue_estimator: HazardEstimator
    run_estimator: HazardEstimator
    since: float
    seen: float
    latest: float = math.inf
    polls: int = 0
    queued: bool = False
    jitter: float = 0.0
    plain: bool = False
    lived: float = -math.inf
    shown: float | None = None
    unanswered: bool = False
    forced_at: float | None = None
    entry: int | None = None
    awake: bool = False

    def forecast(self, now: float) -> Forecast:
        """Say when it is expected to have ended, going by its last answer; never before ``now``."""
        begun, age = self.since, max(self.seen, self.lived) - self.since
        if self.queued:
            begun, age = begun + self.queue_estimator.hazard.quantile(0.5, age), 0.0
        median, late = (begun + self.run_estimator.hazard.quantile(share, age) for share in (0.5, 0.9))
        return Forecast(max(now, median), max(now, late))


_PLAIN = 100  # one in so many is asked about as if there were no completion feed
_WORTHWHILE = 0.05  # of a life so far: no less than that more is counted


@frozen
class Forecast:
    """When a generation is expected to have ended. Instants are the loop's, in seconds.

    Attributes:
        median: As likely before as after.
        late: Nine in ten times before.
    """

    median: float
    late: float


class DurationLearner:
    """Follows generations, and learns from every answer how long they take.

    A generation that no poll has found waiting counts as working since it was accepted. When one that was found waiting
    is first found working, its clock starts again in the middle between the two polls.
    """

    __slots__ = ("_begun", "models")

    def __init__(self, experience: DurationModels) -> None:
        self.models = experience
        self._begun = 0

    def track(
        self, model: str, duration: int | None, accepted_at: float, latest: float = math.inf
    ) -> GenerationTracker:
        """Follow a generation that was accepted then."""
        waiting = self.models.estimator(GenerationKind(model, duration, Phase.QUEUED))
        working = self.models.estimator(GenerationKind(model, duration, Phase.GENERATING))
        self._begun += 1
        return GenerationTracker(waiting, working, accepted_at, accepted_at, latest, plain=self._begun % _PLAIN == 0)

    def running(self, tracker: GenerationTracker, at: float, status: GenerationStatus, rng: Random) -> None:
        """A poll begun at that instant found it running; it sleeps anew."""
        at = max(at, tracker.seen)
        if status is GenerationStatus.QUEUED and (tracker.queued or not tracker.polls):
            _retract(tracker)
            tracker.queue_estimator.observe_pending(tracker.seen - tracker.since, at - tracker.since)
            tracker.queued = True
        else:
            self._started(tracker, at)
            tracker.run_estimator.observe_pending(max(tracker.seen, tracker.lived) - tracker.since, at - tracker.since)
        if tracker.shown is not None and at >= tracker.shown:  # the vendor contradicts its ledger
            tracker.shown = None
        tracker.seen = at
        tracker.unanswered = False
        tracker.polls += 1
        tracker.forced_at = None
        tracker.jitter = 2.0 * rng.random() - 1.0

    def ended(self, tracker: GenerationTracker, at: float) -> None:
        """A poll begun at that instant found it completed or failed."""
        at = max(at, tracker.seen)
        if tracker.queued:
            tracker.queue_estimator.observe_detection(tracker.seen - tracker.since, at - tracker.since)
            tracker.since = tracker.seen
        begun = tracker.seen
        if tracker.shown is None:
            _retract(tracker)
        else:
            begun, at = max(begun, tracker.lived), max(begun, tracker.shown)
        tracker.run_estimator.observe_detection(begun - tracker.since, max(begun, at) - tracker.since)

    def longest(self, model: str, duration: int | None) -> float:
        """Return how long a generation of this kind takes, in seconds, but for one in a hundred."""
        return self.models.estimator(GenerationKind(model, duration, Phase.GENERATING)).hazard.quantile(_SURELY)

    def __repr__(self) -> str:
        return f"<DurationLearner with {self.models}>"

    def _started(self, tracker: GenerationTracker, at: float) -> None:
        if tracker.queued:
            tracker.queue_estimator.observe_detection(tracker.seen - tracker.since, at - tracker.since)
            tracker.since = tracker.seen = (tracker.seen + at) / 2.0
            tracker.queued = False


def still_running(tracker: GenerationTracker, until: float) -> None:
    """Count one as running until then, as the completion feed has not shown its end. It must not be queued."""
    counted = max(tracker.seen, tracker.lived)
    if until - counted > _WORTHWHILE * (counted - tracker.since):
        tracker.run_estimator.observe_pending(counted - tracker.since, until - tracker.since)
        tracker.lived = until


def _retract(tracker: GenerationTracker) -> None:
    """Only polls have told, so what the feed did not show says nothing of this one."""
    if tracker.lived > tracker.seen:
        tracker.run_estimator.retract_pending(tracker.seen - tracker.since, tracker.lived - tracker.since)
        tracker.lived = tracker.seen
