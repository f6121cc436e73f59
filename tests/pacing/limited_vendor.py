"""A vendor with a limit that it does not tell, and a session that finds it, in virtual time."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from attrs import define, field

from kling_async.pacing.queues import DelayQueue
from kling_async.pacing.rate_limiter import Cooldown

if TYPE_CHECKING:
    from random import Random

    from benchmarks.limits.limiters import Limiter
    from kling_async.pacing.adaptive_rate import AdaptiveRate


@define
class Polled:
    """What came of one poll."""

    at: float
    passed: bool


@define
class PendingJobs:
    """So many jobs, each due again some seconds after its last answer; refused ones stay due."""

    rate: AdaptiveRate
    limiter: Limiter
    steps: list[tuple[float, float]]  # from when on the limit is what
    rng: Random
    jobs: int = 500
    interval: float = 8.0
    log: list[Polled] = field(factory=list, init=False)
    _now: float = field(default=0.0, init=False)
    _pause: Cooldown = field(factory=Cooldown, init=False)
    _due: DelayQueue[float] = field(factory=DelayQueue, init=False)
    _arriving: list[tuple[float, float]] = field(factory=list, init=False)  # (arrives, sent)
    _answered: list[tuple[float, float, bool]] = field(factory=list, init=False)  # (comes back, sent, passed)

    def run(self, until: float) -> list[Polled]:
        for _ in range(self.jobs):
            self._due.put(0.0, 0.0)
        while self._now < until:
            self._advance()
        return self.log

    def _advance(self) -> None:
        start_at = self._start_at()
        arrival = self._arriving[0][0] if self._arriving else math.inf
        answer = self._answered[0][0] if self._answered else math.inf
        self._now = max(self._now, min(start_at, arrival, answer))
        if arrival <= self._now:
            self._arrive()
        elif answer <= self._now:
            self._answer()
        else:
            self._send()

    def _start_at(self) -> float:
        wanted = self._due.next_due
        if wanted <= self._now:
            self.rate.saturated(self._now)
        else:
            self.rate.idle(self._now)
        return math.inf if wanted == math.inf else max(wanted, self._pause.until, self.rate.ready_at(self._now))

    def _send(self) -> None:
        self.rate.reserve(self._now)
        self._due.take_due(self._now)
        heappush(self._arriving, (self._now + self.rng.uniform(0.03, 0.05), self._now))

    def _arrive(self) -> None:
        at, sent_at = heappop(self._arriving)
        limit = next(limit for since, limit in reversed(self.steps) if since <= at)
        passed = self.limiter.admit(at, limit)
        self.log.append(Polled(at, passed))
        heappush(self._answered, (at + self.rng.uniform(0.03, 0.25), sent_at, passed))

    def _answer(self) -> None:
        now, sent_at, passed = heappop(self._answered)
        if passed:
            self._pause.accepted(sent_at)
            self.rate.accepted(now, sent_at)
            self._due.put(now + self.interval, now)
        else:
            self._pause.refused(now, sent_at, None, self.rng)
            self.rate.refused(now, sent_at)
            self._due.put(now, now)
