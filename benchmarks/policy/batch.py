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
from kling_async.pacing.queues import PollQueue

if TYPE_CHECKING:
    from benchmarks.policy.exact import Outcome
    from benchmarks.policy.policies import Policy
    from kling_async.pacing.tracking import DurationLearner, GenerationTracker

__all__ = ["Generation", "Vendor", "run"]

_REVIEW_EVERY: Final = 15.0  # seconds
_SUBMITS_PER_POLL: Final = 4  # while polls are due, as the scheduler has it


@frozen
class Generation:
    """One that is to be made.

    Attributes:
        at: When it is asked for.
        length: Of the video.
        duration: How long it will take once it is taken up.
        counts: Whether it is part of what is measured.
    """

    at: float
    length: int
    duration: float
    counts: bool = True


class Vendor:
    """Takes up generations in the order they come, so many at a time."""

    def __init__(self, slots: int | None = None, *, tells: bool = True) -> None:
        """``tells`` is whether those that wait are said to be queued."""
        self._free = None if slots is None else [-math.inf] * slots  # when each slot is; a heap
        self._tells = tells

    def accept(self, now: float, duration: float) -> tuple[float, float]:
        """When it is taken up, and when it ends."""
        if self._free is None:
            return now, now + duration
        begins = max(now, self._free[0])
        heapreplace(self._free, begins + duration)
        return begins, begins + duration

    def status(self, begins: float, now: float) -> GenerationStatus:
        """What it says of one that has not ended."""
        return GenerationStatus.QUEUED if self._tells and now < begins else GenerationStatus.GENERATING


@define(eq=False)
class _Open:
    tracker: GenerationTracker
    begins: float
    ends: float
    counts: bool


class _Desk:
    """One session's polls."""

    def __init__(self, policy: Policy, learner: DurationLearner, vendor: Vendor, rate: float, seed: int) -> None:
        self.results: list[tuple[int, float]] = []
        self.open: set[_Open] = set()
        price = policy.price()
        self.poll_queue: PollQueue[_Open] = PollQueue(policy.make(price), price)
        self._vendor = vendor
        self._learner = learner
        self._rate = rate
        self._rng = Random(seed)  # noqa: S311 - to be drawn again
        self._review_at = 0.0

    def begin(self, generation: Generation, now: float) -> None:
        tracker = self._learner.track(MODEL, generation.length, now)
        found = _Open(tracker, *self._vendor.accept(now, generation.duration), generation.counts)
        self.open.add(found)
        self.poll_queue.put(tracker, found)

    def poll(self, now: float) -> bool:
        """Ask about the most urgent one, if it is worth it."""
        found = self.poll_queue.take(now)
        if found is None:
            return False
        if now < found.ends:
            self._learner.running(found.tracker, now, self._vendor.status(found.begins, now), self._rng)
            self.poll_queue.put(found.tracker, found)
        else:
            self._learner.ended(found.tracker, now)
            self._close(found, found.tracker.polls + 1, now)
        return True

    def give_up(self, now: float) -> None:
        """Whatever has ended and was not noticed counts as noticed now."""
        for found in [each for each in self.open if each.ends < now]:
            self._close(found, found.tracker.polls, now)

    def review(self, now: float) -> None:
        if now >= self._review_at:
            while not self.poll_queue.review(now, self._rate):
                pass
            self._review_at = now + _REVIEW_EVERY

    def _close(self, found: _Open, polls: int, now: float) -> None:
        self.open.discard(found)
        if found.counts:
            self.results.append((polls, now - found.ends))


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
    """All of them, submits and polls sharing so many requests per second, until the last end is noticed or ``until``.

    Raises:
        AssertionError: Something was lost on the way.
    """
    desk = _Desk(policy, learner, vendor or Vendor(), rate, seed)
    left = generations[::-1]
    now = free_at = 0.0
    in_a_row = 0
    while left or len(desk.poll_queue):
        submit_at = left[-1].at if left else math.inf
        now = max(free_at, min(submit_at, desk.poll_queue.next_at()))
        if now >= until:
            break
        desk.review(now)
        polls_first = desk.poll_queue.next_at() <= now and in_a_row >= _SUBMITS_PER_POLL
        if submit_at <= now and not polls_first:
            desk.begin(left.pop(), now)
            in_a_row += 1
        elif desk.poll(now):
            in_a_row = 0
        else:
            continue
        free_at = now + 1.0 / rate
    desk.give_up(min(now, until))
    if until == math.inf and len(desk.results) != sum(each.counts for each in generations):
        raise AssertionError(f"of {len(generations)} generations {len(desk.results)} were noticed")
    return outcome(desk.results)
