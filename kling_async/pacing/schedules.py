"""When to ask about a generation: the protocol every schedule keeps, and the two that learn nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.pacing.backoff import doubled
from kling_async.pacing.validators import positive, seconds, share

if TYPE_CHECKING:
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.poll_cost import PollCost
    from kling_async.pacing.thinning import Thinning
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["BackoffSchedule", "FixedSchedule", "HazardSchedule", "PollSchedule"]


class PollSchedule(Protocol):
    """Decides when a generation is worth asking about. Pure: everything is in the course. Instants are the loop's."""

    def earliest(self, tracker: GenerationTracker) -> float:
        """When it is worth asking about if there are polls to spare; may be past."""
        ...

    def due(self, tracker: GenerationTracker) -> float:
        """When it is to be asked about as polls are now; the earliest is the most urgent. May be past."""
        ...

    def demand(self, tracker: GenerationTracker, now: float) -> float:
        """What it adds to the demand for polls: how many per second it should have at a price of 1."""
        ...


def _at(tracker: GenerationTracker, gap: float) -> float:
    at = tracker.seen + gap if tracker.forced_at is None else tracker.forced_at
    return min(at, max(tracker.seen, tracker.latest))


@frozen(kw_only=True)
class FixedSchedule:
    """Asks at intervals. Durations are seconds or a ``timedelta``.

    Attributes:
        interval: From poll to poll.
        first: From acceptance to the first poll; None for an interval.
        jitter: How far an interval may be off, as a share of it, either way; the first never is.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    interval: float = field(converter=seconds, validator=positive)
    first: float | None = field(default=None, converter=optional(seconds), validator=if_given(positive))
    jitter: float = field(default=0.0, validator=share)

    def earliest(self, tracker: GenerationTracker) -> float:
        """An interval after the last answer."""
        if self.first is not None and not tracker.polls:
            return _at(tracker, self.first)
        return _at(tracker, self.interval * (1.0 + self.jitter * tracker.jitter))

    def due(self, tracker: GenerationTracker) -> float:
        """The same: nothing makes one more urgent than another but how long it has waited."""
        return self.earliest(tracker)

    def demand(self, tracker: GenerationTracker, now: float) -> float:  # noqa: ARG002 - the protocol's
        """None: there is no price to set."""
        return 0.0


@frozen(kw_only=True)
class BackoffSchedule:
    """Asks ever more rarely: each gap is random, up to a length that doubles with every answer.

    Durations are seconds or a ``timedelta``.

    Attributes:
        base: The longest first gap.
        cap: Where the doubling ends.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    base: float = field(converter=seconds, validator=positive)
    cap: float = field(converter=seconds, validator=positive)

    def earliest(self, tracker: GenerationTracker) -> float:
        """After a random part of the doubled base; half of it at first."""
        return _at(tracker, doubled(tracker.polls, base=self.base, cap=self.cap) * (0.5 + 0.5 * tracker.jitter))

    def due(self, tracker: GenerationTracker) -> float:
        """The same: nothing makes one more urgent than another but how long it has waited."""
        return self.earliest(tracker)

    def demand(self, tracker: GenerationTracker, now: float) -> float:  # noqa: ARG002 - the protocol's
        """None: there is no price to set."""
        return 0.0


_SHORTEST_GAP: Final = 0.5  # of the median time: a gap of no more is never too long
_QUEUED_SHARE: Final = 0.2  # the same, of the median time it will take once it is taken up
_QUEUED_WAIT: Final = 0.5  # the same, of the median of how long it will still wait


class HazardSchedule:
    """Goes by the learned hazard and the present price (`kling_async.pacing.hazard` has the theory).

    One that was found waiting is asked about slowly, as it has to be taken up first.
    """

    __slots__ = ("_cost", "_feed", "_jitter", "_max_gap", "_min_gap", "_queued_gap")

    def __init__(
        self,
        price: PollCost,
        *,
        min_gap: float = 1.0,
        max_gap: float = 120.0,
        queued_gap: float = 15.0,
        jitter: float = 0.2,
        feed: CompletionFeed | None = None,
    ) -> None:
        """Gaps are seconds from one poll of a generation to its next.

        The longest is stretched as polls get scarce, is at least half of what its kind takes, and does not apply to the
        sleep before the first poll. ``queued_gap`` is the shortest for one that waits. Jitter is a share of the price,
        either way; that first sleep has none. Where the ``feed`` tells of ends, polls are as rare as it says.
        """
        self._feed = feed
        self._queued_gap = queued_gap
        self._cost = price
        self._min_gap = min_gap
        self._max_gap = max_gap
        self._jitter = jitter

    def earliest(self, tracker: GenerationTracker) -> float:
        """When it would be asked about at the least price."""
        return self._after(tracker, self._cost.least, 1.0)

    def due(self, tracker: GenerationTracker) -> float:
        """When it is asked about at the present price; not before `ripe`."""
        return self._after(tracker, self._cost.now, self._cost.scarcity)

    def demand(self, tracker: GenerationTracker, now: float) -> float:
        """The root of its hazard at its present age; of one that waits, what makes its gaps as they are."""
        if tracker.queued:
            return self._cost.least / self._waiting_gap(tracker)
        root = tracker.run_estimator.hazard.sqrt_hazard(max(0.0, now - tracker.since))
        thinning = self._thinning(tracker)
        return root if thinning is None else root / thinning.stretch(self._cost.now / root)

    def __repr__(self) -> str:
        return f"<HazardSchedule at {self._cost}>"

    def _after(self, tracker: GenerationTracker, price: float, scarcity: float) -> float:
        if tracker.forced_at is not None:
            at = tracker.forced_at
        else:
            at = tracker.seen + max(self._min_gap, self._gap(tracker, price, scarcity))
        return min(at, max(tracker.seen, tracker.latest))

    def _gap(self, tracker: GenerationTracker, price: float, scarcity: float) -> float:
        hazard, age = tracker.run_estimator.hazard, tracker.seen - tracker.since
        thinning = self._thinning(tracker)
        if not tracker.polls:
            return hazard.first_poll(price, thinning)
        longest = max(self._max_gap, _SHORTEST_GAP * hazard.median) * scarcity
        stretch = 1.0 + self._jitter * tracker.jitter
        if tracker.queued:
            return min(self._waiting_gap(tracker) * scarcity * stretch, longest)
        if thinning is None:
            return min(hazard.next_poll(age, price * stretch) - age, longest)
        gap = hazard.next_poll(age, price * stretch, hazard.thinned(thinning, price)) - age
        return min(gap, longest * thinning.stretch(price / hazard.sqrt_hazard(age)))

    def _thinning(self, tracker: GenerationTracker) -> Thinning | None:
        return None if self._feed is None or tracker.plain else self._feed.thinning

    def _waiting_gap(self, tracker: GenerationTracker) -> float:
        age = tracker.seen - tracker.since
        left = tracker.queue_estimator.hazard.quantile(0.5, age) - age
        return max(self._queued_gap, _QUEUED_SHARE * tracker.run_estimator.hazard.median, _QUEUED_WAIT * left)
