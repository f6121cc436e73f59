"""Many generations under one rate: the library's poll queue, driven through virtual time.

Quick, because there is no event loop: it decides as the scheduler does, by the same poll queue, schedule and learner.
`benchmarks.policy.session` plays the same in a whole session, to show that both come to the same.
"""

from __future__ import annotations

import math
from heapq import heapreplace
from random import Random
from typing import TYPE_CHECKING, Final

from attrs import define, frozen

from benchmarks.policy.exact import outcome
from benchmarks.policy.learned import MODEL
from kling_async.api.results import GenerationStatus
from kling_async.pacing.completion_feed import CompletionFeed
from kling_async.pacing.queues import PollQueue
from kling_async.pacing.schedules import HazardSchedule

if TYPE_CHECKING:
    from benchmarks.policy.exact import Outcome
    from benchmarks.policy.feed.ledger import Ledger
    from benchmarks.policy.policies import Policy
    from kling_async.pacing.recording_lag import RecordingLag
    from kling_async.pacing.tracking import DurationLearner, GenerationTracker

__all__ = ["Generation", "SimulatedSession", "Vendor", "play", "run"]

_REVIEW_EVERY: Final = 15.0  # seconds
_SUBMITS_PER_POLL: Final = 4  # while polls are due, as the scheduler has it


@frozen
class Generation:
    """One that is to be made.

    Attributes:
        at: When it is asked for.
        length: Of the video.
        duration: How long it will take once it is taken up.
        fails: Whether it then fails, and is not charged.
        counts: Whether it is part of what is measured.
    """

    at: float
    length: int
    duration: float
    counts: bool = True
    fails: bool = False


class Vendor:
    """Takes up generations in the order they come, so many at a time."""

    def __init__(self, slots: int | None = None, *, tells: bool = True) -> None:
        """``tells`` is whether those that wait are said to be queued."""
        self._free = None if slots is None else [-math.inf] * slots  # when each slot is; a heap
        self._tells = tells

    def accept(self, now: float, duration: float) -> tuple[float, float]:
        """Return when it is taken up, and when it ends."""
        if self._free is None:
            return now, now + duration
        begins = max(now, self._free[0])
        heapreplace(self._free, begins + duration)
        return begins, begins + duration

    def status(self, begins: float, now: float) -> GenerationStatus:
        """Return the status of one that has not ended."""
        return GenerationStatus.QUEUED if self._tells and now < begins else GenerationStatus.GENERATING


@define(eq=False)
class _Open:
    number: str
    tracker: GenerationTracker
    begins: float
    ends: float
    generation: Generation


class SimulatedSession:
    """One session's requests.

    Attributes:
        results: Polls, delay, and what was asked for, one a generation that counts.
        looks: How many pages of the ledger were asked for.
    """

    def __init__(
        self,
        policy: Policy,
        learner: DurationLearner,
        vendor: Vendor,
        rate: float,
        seed: int,
        *,
        ledger: Ledger | None = None,
        lag: RecordingLag | None = None,
    ) -> None:
        self.results: list[tuple[int, float, Generation]] = []
        self.open: dict[str, _Open] = {}
        self.looks = 0
        price = policy.price()
        self.feed = None if ledger is None else CompletionFeed(price, lambda: self._requests, lag=lag)
        schedule = policy.make(price) if self.feed is None else HazardSchedule(price, feed=self.feed)
        self.poll_queue: PollQueue[_Open] = PollQueue(schedule, price, self.feed)
        self._ledger = ledger
        self._vendor = vendor
        self._learner = learner
        self._rate = rate
        self._rng = Random(seed)  # noqa: S311 - to be drawn again
        self._review_at = 0.0
        self._requests = 0

    def begin(self, generation: Generation, now: float) -> None:
        """Submit it."""
        self._requests += 1
        tracker = self._learner.track(MODEL, generation.length, now)
        found = _Open(f"g{self._requests}", tracker, *self._vendor.accept(now, generation.duration), generation)
        if self._ledger is not None and not generation.fails:
            self._ledger.charge(found.number, found.ends)
        self.open[found.number] = found
        self.poll_queue.put(tracker, found)

    def next_at(self) -> float:
        """Return the instant at which something other than a submit may have to be done."""
        if not self.poll_queue:
            return math.inf
        at = min(self.poll_queue.next_at(), self._review_at)
        return at if self.feed is None else min(at, self.feed.next_look_at)

    @property
    def is_urgent(self) -> bool:
        """Whether submits have to wait."""
        return self.poll_queue.has_shown

    def poll(self, now: float) -> bool:
        """Look at the ledger or ask about the most urgent one, if it is worth it."""
        if self.feed is not None and not self.poll_queue.has_shown and self.feed.next_look_at <= now:
            return self._look(now)
        found = self.poll_queue.take(now)
        if found is None:
            return False
        self._requests += 1
        if now < found.ends:
            self._learner.running(found.tracker, now, self._vendor.status(found.begins, now), self._rng)
            self.poll_queue.put(found.tracker, found)
            return True
        if self.feed is not None:
            assert self._ledger is not None  # noqa: S101 - one comes with the other
            self.feed.polled(found.tracker, found.number, now, completed=not found.generation.fails)
            if not found.generation.fails:
                self._ledger.told(found.number, now)
        self._learner.ended(found.tracker, now)
        self._close(found, found.tracker.polls + 1, now)
        return True

    def _look(self, now: float) -> bool:
        """Read all pages of a look at once."""
        assert self.feed is not None  # noqa: S101 - there are no looks without
        assert self._ledger is not None  # noqa: S101 - one comes with the other
        self.feed.begin_look(now)
        for ids, last in self._ledger.pages(now):
            self.looks += 1
            self._requests += 1
            if ids is None:
                self.feed.failed(now)
                break
            for each in self.feed.page(ids, self._tracker, last=last):
                self.poll_queue.show(self.open[each].tracker, self.open[each])
            if not self.feed.goes_on:
                break
        return True

    def _tracker(self, number: str) -> GenerationTracker | None:
        found = self.open.get(number)
        return None if found is None else found.tracker

    def give_up(self, now: float) -> None:
        """Count what has ended and was not noticed as noticed now."""
        for found in [each for each in self.open.values() if each.ends < now]:
            self._close(found, found.tracker.polls, now)

    def review(self, now: float) -> None:
        """Look again at all that wait, if it is time to."""
        if now >= self._review_at or (self.feed is not None and self.feed.wants_round):
            while not self.poll_queue.review(now, self._rate):
                pass
            self._review_at = now + _REVIEW_EVERY

    def _close(self, found: _Open, polls: int, now: float) -> None:
        del self.open[found.number]
        if found.generation.counts:
            self.results.append((polls, now - found.ends, found.generation))


def run(
    policy: Policy,
    learner: DurationLearner,
    generations: list[Generation],
    rate: float,
    seed: int,
    *,
    vendor: Vendor | None = None,
    until: float = math.inf,
) -> Outcome:
    """Play all of them, sharing so many requests per second, until the last end is noticed or ``until``.

    Raises:
        AssertionError: Something was lost on the way.
    """
    session = SimulatedSession(policy, learner, vendor or Vendor(), rate, seed)
    play(session, generations, rate, until=until)
    return outcome([(polls, delay) for polls, delay, _ in session.results])


def play(session: SimulatedSession, generations: list[Generation], rate: float, *, until: float = math.inf) -> None:
    """Play the same with a session of any kind.

    Raises:
        AssertionError: Something was lost on the way.
    """
    left = generations[::-1]
    now = free_at = 0.0
    in_a_row = 0
    while left or len(session.poll_queue):
        submit_at = left[-1].at if left else math.inf
        now = max(free_at, min(submit_at, session.next_at()))
        if now >= until:
            break
        session.review(now)
        polls_first = session.is_urgent or (session.next_at() <= now and in_a_row >= _SUBMITS_PER_POLL)
        if submit_at <= now and not polls_first:
            session.begin(left.pop(), now)
            in_a_row += 1
        elif session.poll(now):
            in_a_row = 0
        else:
            continue
        free_at = now + 1.0 / rate
    session.give_up(min(now, until))
    if until == math.inf and len(session.results) != sum(each.counts for each in generations):
        raise AssertionError(f"of {len(generations)} generations {len(session.results)} were noticed")
