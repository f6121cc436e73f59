"""Generations under way, as polls have seen them, and what their answers teach the estimators."""

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


_QUEUED: Final = GenerationStatus.QUEUED  # looked up at every poll: a member of its Enum takes five times as long
_NEARLY_ALL: Final = 0.99  # of generations


@define(eq=False, weakref_slot=False)
class GenerationTracker:
    """One generation, as polls have seen it. Instants are the loop's, in seconds.

    Attributes:
        queue_estimator: The estimator of how long its kind is queued.
        run_estimator: The estimator of how long its kind then takes.
        since: The begin of its present phase, as far as is known.
        seen: The last instant at which it was found running; its acceptance before that.
        latest: The latest instant for its next poll, which is its deadline.
        polls: The number of polls that have found it running.
        queued: True if it was queued at the last of them.
        jitter: The place of its next poll within the schedule's jitter, from -1 to 1; 0 for the first.
        plain: True if it is polled as if there were no completion feed, which would not show what that misses.
        lived: The instant until which it is counted as running in what was learned; never before ``seen``.
        shown: The instant of the look at the completion feed that shows its end; None if none has.
        unanswered: True if a poll since ``seen`` was refused or told nothing, though it may have reached the vendor.
        forced_at: The instant of its next poll whatever the schedule says, as after an error; None otherwise.
        entry: The number of its entry in the `PollQueue`; None if it is not there. Set by the queue alone.
        awake: True if it is worth a poll if there is one to spare. Set by the queue alone.
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
        """Return when it is expected to have ended, by its last answer; never before ``now``."""
        begun, age = self.since, max(self.seen, self.lived) - self.since
        if self.queued:
            begun, age = begun + self.queue_estimator.hazard.quantile(0.5, age), 0.0
        median, late = (begun + self.run_estimator.hazard.quantile(share, age) for share in (0.5, 0.9))
        return Forecast(max(now, median), max(now, late))


_PLAIN: Final = 200  # one in so many is asked about as if there were no completion feed
_WORTHWHILE = 0.05  # of a life so far: no less than that more is counted


@frozen
class Forecast:
    """The instants by which a generation is expected to have ended, by the loop's clock in seconds.

    Attributes:
        median: The median.
        late: The 90th percentile.
    """

    median: float
    late: float


class DurationLearner:
    """Tracks generations, and learns from every answer how long they take.

    A generation that no poll has found queued counts as generating since it was accepted. When one that was found
    queued is first found generating, its second phase begins in the middle between the two polls.
    """

    __slots__ = ("_begun", "models")

    def __init__(self, models: DurationModels) -> None:
        self.models: DurationModels = models
        self._begun = 0

    def track(
        self, model: str, duration: int | None, accepted_at: float, latest: float = math.inf
    ) -> GenerationTracker:
        """Track a generation that was accepted at that instant; ``latest`` is its deadline."""
        self._begun += 1
        estimators = self._estimators(model, duration)
        return GenerationTracker(*estimators, accepted_at, accepted_at, latest, plain=self._begun % _PLAIN == 0)

    def forecast(self, model: str, duration: int | None, accepted_at: float, now: float) -> Forecast:
        """Return when one that was accepted at that instant, and is not tracked, is expected to have ended."""
        return GenerationTracker(*self._estimators(model, duration), accepted_at, now).forecast(now)

    def _estimators(self, model: str, duration: int | None) -> tuple[HazardEstimator, HazardEstimator]:
        queue = self.models.estimator(GenerationKind(model, duration, Phase.QUEUED))
        return queue, self.models.estimator(GenerationKind(model, duration, Phase.GENERATING))

    def running(self, tracker: GenerationTracker, at: float, status: GenerationStatus, rng: Random) -> None:
        """Count a poll, begun at that instant, that found it queued or generating."""
        at = at if at > tracker.seen else tracker.seen
        if status is _QUEUED and (tracker.queued or not tracker.polls):
            _retract(tracker)
            tracker.queue_estimator.observe_pending(tracker.seen - tracker.since, at - tracker.since)
            tracker.queued = True
        else:
            if tracker.queued:
                self._started(tracker, at)
            counted = tracker.lived if tracker.lived > tracker.seen else tracker.seen
            tracker.run_estimator.observe_pending(counted - tracker.since, at - tracker.since)
        if tracker.shown is not None and at >= tracker.shown:  # the vendor contradicts its ledger
            tracker.shown = None
        tracker.seen = at
        tracker.unanswered = False
        tracker.polls += 1
        tracker.forced_at = None
        tracker.jitter = 2.0 * rng.random() - 1.0

    def ended(self, tracker: GenerationTracker, at: float) -> None:
        """Count a poll, begun at that instant, that found it completed or failed."""
        at = max(at, tracker.seen)
        if tracker.queued:
            tracker.queue_estimator.observe_detection(tracker.seen - tracker.since, at - tracker.since)
            tracker.since = tracker.seen
        begun, estimator = tracker.seen, tracker.run_estimator
        if tracker.shown is None:
            _retract(tracker)
            # Not those that the ledger shows: how late it is hides where in an interval they were.
            estimator.grid.observe(estimator.hazard, begun - tracker.since, at - tracker.since)
        else:
            begun, at = max(begun, tracker.lived), max(begun, tracker.shown)
        estimator.observe_detection(begun - tracker.since, max(begun, at) - tracker.since)

    def longest(self, model: str, duration: int | None) -> float:
        """Return the seconds within which 99 % of the generations of this kind end."""
        return self.models.estimator(GenerationKind(model, duration, Phase.GENERATING)).hazard.quantile(_NEARLY_ALL)

    def __repr__(self) -> str:
        return f"<DurationLearner with {self.models}>"

    def _started(self, tracker: GenerationTracker, at: float) -> None:
        tracker.queue_estimator.observe_detection(tracker.seen - tracker.since, at - tracker.since)
        tracker.since = tracker.seen = (tracker.seen + at) / 2.0
        tracker.queued = False


def still_running(tracker: GenerationTracker, until: float) -> None:
    """Count a generation, not a queued one, as running until then, as the feed has not shown its end."""
    counted = max(tracker.seen, tracker.lived)
    if until - counted > _WORTHWHILE * (counted - tracker.since):
        tracker.run_estimator.observe_pending(counted - tracker.since, until - tracker.since)
        tracker.lived = until


def _retract(tracker: GenerationTracker) -> None:
    """Take back what was counted as running because the feed had not shown an end: only polls prove that."""
    if tracker.lived > tracker.seen:
        tracker.run_estimator.retract_pending(tracker.seen - tracker.since, tracker.lived - tracker.since)
        tracker.lived = tracker.seen
