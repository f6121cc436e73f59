"""Requests that failed, until they may be tried again."""

from __future__ import annotations

import math
from typing import Final, Generic, TypeVar

from kling_async.pacing.fair_queue import AGEING, FairQueue, Line, Obstacle
from kling_async.pacing.queues import DelayQueue
from kling_async.pacing.rate_limiter import Gcra

T = TypeVar("T")

_AT_ONCE: Final = 50  # retries of a session, and of a line, that may go at once, ...
_PER_SECOND: Final = 1.0  # ... and after that, however many jobs wait
_MAX_MOVED: Final = 64  # that have become due, in one step: no step is long


class RetryQueue(Generic[T]):
    """Items that wait for the instants of their retries, and then for their turns under a quota for all and one a line.

    A first retry goes when it is due: many that are sick must not hold up those that had one hiccup. For further ones
    lines take turns as in a `FairQueue`, and in a line those go first that have failed less often, by ten minutes for
    each failure. Costs are those of a `FairQueue`.

    A success gives a retry back, so that all have gone within seconds once an outage is over. A retry that waits for a
    quota never fails for it.

    Attributes:
        is_in_use: True once a retry was taken from the quotas; until then successes have nothing to give back.
    """

    __slots__ = ("_due", "_most_quotas", "_quota", "_quotas", "_waiting", "is_in_use")

    def __init__(self) -> None:
        self._waiting: DelayQueue[tuple[Line, T, float | None]] = DelayQueue()
        self._due: FairQueue[T] = FairQueue(self._take_quotas)
        self._quota = _quota()
        self._quotas: dict[Line, Gcra] = {}  # those that may not be full
        self._most_quotas = _MAX_MOVED
        self.is_in_use: bool = False

    def put(self, line: Line, item: T, due: float, failures: int) -> None:
        """Keep an item that has failed so often in a row until it is due, and its turn has come."""
        self._waiting.put(due, (line, item, due + AGEING * failures if failures > 1 else None))

    def next_at(self, now: float) -> float:
        """Return the instant at which `take` may next return an item; it may be past, and infinity."""
        due_at = self._due.next_at()
        if due_at < math.inf:
            due_at = max(due_at, self._quota.ready_at(now))
        return min(self._waiting.next_due, due_at)

    def take(self, now: float) -> T | None:
        """Remove and return the item whose turn it is, with a retry from both quotas; None if there is none yet."""
        for _ in range(_MAX_MOVED):
            entry = self._waiting.take_due(now)
            if entry is None:
                return self._take_due(now)
            line, item, order = entry
            if order is None:
                return item
            self._due.put(line, item, order, now)
        return None

    def _take_due(self, now: float) -> T | None:
        return self._due.take(now) if self._quota.ready_at(now) <= now else None

    def _take_quotas(self, line: Line, now: float) -> Obstacle | None:
        """Take a retry from both quotas, or return until when there is none."""
        if line not in self._quotas and len(self._quotas) >= self._most_quotas:
            self._quotas = {line: quota for line, quota in self._quotas.items() if not quota.is_full(now)}
            self._most_quotas = 2 * len(self._quotas) + _MAX_MOVED
        quota = self._quotas.setdefault(line, _quota())
        if (ready_at := quota.ready_at(now)) > now:
            return Obstacle(line, ready_at)
        self.is_in_use = True
        quota.reserve(now)
        self._quota.reserve(now)
        return None

    def succeeded(self, line: Line, now: float) -> None:
        """Count a request of this line that the vendor answered: gives a retry back to both quotas."""
        self._quota.give_back(now)
        quota = self._quotas.get(line)
        if quota is not None:
            quota.give_back(now)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._due)

    def __repr__(self) -> str:
        return f"<RetryQueue of {len(self)}, {self._quota!r}>"


def _quota() -> Gcra:
    return Gcra(_PER_SECOND, _AT_ONCE)
