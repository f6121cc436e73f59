"""Schedules of polls: when one generation is due, at intervals, backing off, or by the learned hazard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.pacing.backoff import doubled
from kling_async.pacing.validators import positive_duration, seconds, share

if TYPE_CHECKING:
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.poll_cost import PollCost
    from kling_async.pacing.thinning import Thinning
    from kling_async.pacing.tracking import GenerationTracker


class PollSchedule(Protocol):
    """Decides when a generation is due for a poll, by its tracker alone. Instants are the loop's."""

    def earliest(self, tracker: GenerationTracker) -> float:
        """Return the earliest instant at which it is worth a poll, if there is one to spare; may be past."""
        ...

    def due(self, tracker: GenerationTracker) -> float:
        """Return the instant at which it is due at the present cost; the earliest is the most urgent. May be past."""
        ...

    def demand(self, tracker: GenerationTracker, now: float) -> float:
        """Return the polls per second that it is worth at a cost of 1."""
        ...


def _at(tracker: GenerationTracker, gap: float) -> float:
    at = tracker.seen + gap if tracker.forced_at is None else tracker.forced_at
    return at if at <= tracker.latest else min(at, max(tracker.seen, tracker.latest))


class _Unhurried:
    """A schedule that goes by no cost."""

    __slots__ = ()

    def due(self: PollSchedule, tracker: GenerationTracker) -> float:
        """Return the earliest instant: nothing makes one more urgent than another but how long it has waited."""
        return self.earliest(tracker)

    def demand(self, tracker: GenerationTracker, now: float) -> float:  # noqa: ARG002 - the protocol's
        """Return none: there is no cost to set."""
        return 0.0


@frozen(kw_only=True)
class FixedSchedule(_Unhurried):
    """Polls at intervals. Durations are seconds or a ``timedelta``.

    Attributes:
        interval: The time from poll to poll.
        first: The time from acceptance to the first poll; None for an interval.
        jitter: The share by which an interval may be off, either way; the first never is.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    interval: float = field(converter=seconds, validator=positive_duration)
    first: float | None = field(default=None, converter=optional(seconds), validator=if_given(positive_duration))
    jitter: float = field(default=0.0, validator=share)

    def earliest(self, tracker: GenerationTracker) -> float:
        """Return the instant an interval after the last answer."""
        if self.first is not None and not tracker.polls:
            return _at(tracker, self.first)
        return _at(tracker, self.interval * (1.0 + self.jitter * tracker.jitter))


@frozen(kw_only=True)
class BackoffSchedule(_Unhurried):
    """Polls ever more rarely: each gap is random, up to a length that doubles with every answer.

    Durations are seconds or a ``timedelta``.

    Attributes:
        base: The longest first gap.
        cap: The longest gap of all.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    base: float = field(converter=seconds, validator=positive_duration)
    cap: float = field(converter=seconds, validator=positive_duration)

    def earliest(self, tracker: GenerationTracker) -> float:
        """Return the instant a random part of the doubled base after the last answer; half of it at first."""
        return _at(tracker, doubled(tracker.polls, base=self.base, cap=self.cap) * (0.5 + 0.5 * tracker.jitter))


_SHORTEST_GAP: Final = 0.5  # of the median time: a gap up to this is never cut to the longest gap
_QUEUED_SHARE: Final = 0.2  # of the median time to generate: the least gap of a queued one
_QUEUED_WAIT: Final = 0.5  # of the median wait that is left: the same


class HazardSchedule:
    """Polls by the learned hazard and the present cost (`kling_async.pacing.hazard` has the theory).

    A generation that was found queued is polled slowly, as it has to be started first.
    """

    __slots__ = ("_cost", "_feed", "_jitter", "_max_gap", "_min_gap", "_queued_gap")

    def __init__(
        self,
        cost: PollCost,
        *,
        min_gap: float = 1.0,
        max_gap: float = 120.0,
        queued_gap: float = 15.0,
        jitter: float = 0.2,
        feed: CompletionFeed | None = None,
    ) -> None:
        """Take the cost of a poll, and bounds of the gaps from one poll of a generation to its next, in seconds.

        The longest is multiplied as polls get scarce, is at least half of the median time, and does not apply before
        the first poll. ``queued_gap`` is the shortest for a queued one. Jitter is a share of the cost, either way; the
        first gap has none. Where the ``feed`` shows ends, polls are as rare as it says.
        """
        self._feed = feed
        self._queued_gap = queued_gap
        self._cost = cost
        self._min_gap = min_gap
        self._max_gap = max_gap
        self._jitter = jitter

    def earliest(self, tracker: GenerationTracker) -> float:
        """Return the instant at which it would be due at the least cost."""
        return self._after(tracker, self._cost.least, 1.0)

    def due(self, tracker: GenerationTracker) -> float:
        """Return the instant at which it is due at the present cost; not before ``earliest``."""
        return self._after(tracker, self._cost.now, self._cost.scarcity)

    def demand(self, tracker: GenerationTracker, now: float) -> float:
        """Return the root of its hazard at its present age; of a queued one, the value that makes its gaps."""
        if tracker.queued:
            return self._cost.least / self._least_queued_gap(tracker)
        root = tracker.run_estimator.hazard.sqrt_hazard(max(0.0, now - tracker.since))
        thinning = self._thinning(tracker)
        return root if thinning is None else root / thinning.stretch(self._cost.now / root)

    def __repr__(self) -> str:
        return f"<HazardSchedule at {self._cost}>"

    def _after(self, tracker: GenerationTracker, cost: float, scarcity: float) -> float:
        at = tracker.forced_at
        if at is None:
            thinning = None if self._feed is None or tracker.plain else self._feed.thinning
            gap, grid = self._gap(tracker, cost, scarcity, thinning), tracker.run_estimator.grid
            at = tracker.seen + (gap if gap > self._min_gap else self._min_gap)
            if grid.period is not None and not tracker.queued and thinning is None:
                begun, least = tracker.since, tracker.seen + self._min_gap
                at = begun + grid.aligned(at - begun, least - begun, tracker.jitter)
        return at if at <= tracker.latest else min(at, max(tracker.seen, tracker.latest))

    def _gap(self, tracker: GenerationTracker, cost: float, scarcity: float, thinning: Thinning | None) -> float:
        hazard, age = tracker.run_estimator.hazard, tracker.seen - tracker.since
        if not tracker.polls:
            return hazard.first_poll(cost, thinning)
        longest = max(self._max_gap, _SHORTEST_GAP * hazard.median) * scarcity
        stretch = 1.0 + self._jitter * tracker.jitter
        if tracker.queued:
            return min(self._least_queued_gap(tracker) * scarcity * stretch, longest)
        if thinning is None:
            gap = hazard.next_poll(age, cost * stretch) - age
            return gap if gap < longest else longest
        gap = hazard.next_poll(age, cost * stretch, hazard.thinned(thinning, cost)) - age
        return min(gap, longest * thinning.stretch(cost / hazard.sqrt_hazard(age)))

    def _thinning(self, tracker: GenerationTracker) -> Thinning | None:
        return None if self._feed is None or tracker.plain else self._feed.thinning

    def _least_queued_gap(self, tracker: GenerationTracker) -> float:
        age = tracker.seen - tracker.since
        left = tracker.queue_estimator.hazard.quantile(0.5, age) - age
        return max(self._queued_gap, _QUEUED_SHARE * tracker.run_estimator.hazard.median, _QUEUED_WAIT * left)
