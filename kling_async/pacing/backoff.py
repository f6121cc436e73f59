"""Retries: exponential backoff with full jitter, and the quota that a session's jobs share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from random import Random

LONGEST_RETRY_AFTER = 300.0
"""Seconds for which a ``Retry-After`` is obeyed at most."""

_LARGEST_EXPONENT = 1023  # 2.0 to any higher power overflows, long after every cap


def doubled(attempt: int, *, base: float, cap: float) -> float:
    """Return ``base`` seconds doubled ``attempt`` times (0 or more, without overflow), at most ``cap``."""
    return min(cap, base * 2.0 ** min(attempt, _LARGEST_EXPONENT))


def full_jitter(attempt: int, *, base: float, cap: float, rng: Random) -> float:
    """Draw a wait in seconds, uniform between 0 and ``base`` doubled ``attempt`` times, at most ``cap``.

    The first retry is attempt 0. Drawing from the whole range spreads retries after an outage furthest.
    """
    return rng.uniform(0.0, doubled(attempt, base=base, cap=cap))


@frozen(kw_only=True)
class Backoff:
    """The wait before a failed request is tried again: full jitter with one base, cap and source of randomness.

    Attributes:
        base: The longest first wait, in seconds.
        cap: The longest wait, in seconds.
        rng: The source of the jitter.
    """

    base: float
    cap: float
    rng: Random

    def wait(self, failures: int) -> float:
        """Draw the wait in seconds that follows a failure after so many others in a row."""
        return full_jitter(failures, base=self.base, cap=self.cap, rng=self.rng)

    def wait_refused(self, failures: int, retry_after: float | None) -> float:
        """Draw the same after a refusal (429), at least half of the whole and what the vendor asks for, up to 300 s."""
        whole = doubled(failures, base=self.base, cap=self.cap)
        asked = min(retry_after or 0.0, LONGEST_RETRY_AFTER) * self.rng.uniform(1.0, 1.05)
        return max(whole * self.rng.uniform(0.5, 1.0), asked)


class RetryQuota:
    """A token bucket of retries, shared by a session's or a line's jobs: a retry takes one, a success gives one back.

    ``capacity`` retries may go at once, and ``per_second`` after that. In an outage a session so sends ``per_second``
    requests a second, however many jobs wait; after it each success lets another retry follow, so that all have gone
    within seconds. A retry that waits for the quota never fails for it.
    """

    __slots__ = ("_at", "_capacity", "_left", "_per_second")

    def __init__(self, capacity: int = 50, per_second: float = 1.0) -> None:
        """Begin full.

        Raises:
            ValueError: ``capacity`` is less than 1, or ``per_second`` is not finite and more than 0.
        """
        if not capacity >= 1:
            raise ValueError(f"capacity is {capacity!r}; it takes 1 or more")
        if not 0 < per_second < math.inf:
            raise ValueError(f"per_second is {per_second!r}; it takes a finite number, more than 0")
        self._capacity = capacity
        self._per_second = per_second
        self._left = float(capacity)  # at the instant below, which lies ahead when a retry was taken in advance
        self._at = -math.inf

    def ready_at(self, now: float) -> float:
        """Return the earliest instant, not before ``now``, at which a retry may go. Takes nothing.

        Asked again at that instant, it answers with the same instant.
        """
        if self._left >= 1.0:
            return now
        return max(now, self._at + (1.0 - self._left) / self._per_second)

    def take(self, now: float) -> float:
        """Take the next retry, and return its instant: what ``ready_at`` says."""
        instant = self.ready_at(now)
        if instant > self._at:
            self._left, self._at = self._available(instant), instant
        self._left -= 1.0
        return instant

    def succeeded(self, now: float) -> None:
        """Count a request that the vendor answered, retry or not: gives one retry back, up to the capacity."""
        if self._left >= self._capacity:  # as nearly always
            return
        if now > self._at:
            self._left, self._at = self._available(now), now
        self._left = min(self._capacity, self._left + 1.0)

    def is_full(self, now: float) -> bool:
        """Return whether it is as at the beginning."""
        return now >= self._at and self._available(now) >= self._capacity

    def _available(self, now: float) -> float:
        if self._left >= self._capacity:  # from the start, also
            return self._left
        return min(self._capacity, self._left + (now - self._at) * self._per_second)

    def __repr__(self) -> str:
        return f"<RetryQuota {self._left:.3g} of {self._capacity} left>"
