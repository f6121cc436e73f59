"""Admission of requests: rate, pauses, the account's slots and retries, as one decision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kling_async.pacing.adaptive_rate import AdaptiveRate
from kling_async.pacing.backoff import RetryQuota
from kling_async.pacing.concurrency_limiter import ConcurrencyLimiter
from kling_async.pacing.rate_limiter import Cooldown, Gcra

if TYPE_CHECKING:
    from random import Random


class AdmissionControl:
    """Decides when the next request may go, and learns the vendor's limits from every answer. Instants are the loop's.

    A refused poll (429) concerns the rate: it pauses everything and slows the session. A refused submit concerns the
    account's slots, unless a submit passes soon after: it holds submits alone. ``sent_at`` is the instant at which the
    answered request was begun.
    """

    __slots__ = ("_concurrency", "_cooldown", "_max_in_flight", "_max_submits", "_quota", "_rate", "_rng", "_submits")

    def __init__(
        self,
        rng: Random,
        *,
        requests_per_second: float | None = None,
        submits_per_second: float = math.inf,
        burst: int = 5,
        max_in_flight: int = 1000,
        max_submits: int = 16,
    ) -> None:
        """Begin with nothing refused; `kling_async.settings.Limits` explains the numbers."""
        self._rng = rng
        self._max_in_flight = max_in_flight
        self._max_submits = max_submits
        self._rate = (
            AdaptiveRate(burst=burst)
            if requests_per_second is None
            else AdaptiveRate(most=requests_per_second, burst=burst, initial=requests_per_second)
        )
        self._submits = Gcra(submits_per_second, burst)
        self._cooldown = Cooldown()
        self._concurrency = ConcurrencyLimiter()
        self._quota = RetryQuota()

    @property
    def rate(self) -> float:
        """Requests per second, as they are spaced now."""
        return self._rate.rate

    @property
    def slots(self) -> int | None:
        """The number of generations that the account seems to run at once; None while no limit was met."""
        return self._concurrency.level

    @property
    def paused_until(self) -> float:
        """The instant until which everything is held after a refusal; in the past if nothing is."""
        return self._cooldown.until

    def request_at(self, now: float) -> float:
        """Return the earliest instant, not before ``now``, at which any request may go."""
        return max(self._cooldown.until, self._rate.ready_at(now))

    def submit_at(self, now: float, running: int, under_way: int, posting: int) -> float:
        """Return the earliest instant for a submit, beside ``request_at``; infinity until an answer has come.

        ``running`` generations are accepted and not known to have ended; ``under_way`` submits are not known to be
        accepted or refused, and ``posting`` of those are not answered.
        """
        if posting >= self._max_submits or running + under_way >= self._max_in_flight:
            return math.inf
        return max(self._submits.ready_at(now), self._concurrency.ready_at(running, under_way))

    def retry_at(self, now: float) -> float:
        """Return the earliest instant for a retry, beside ``request_at``."""
        return self._quota.ready_at(now)

    def take(self, now: float) -> float:
        """Take the next place for a request, and return its instant."""
        return max(self._rate.reserve(now), self._cooldown.until)

    def take_submit(self, now: float) -> None:
        """Take the place of a submit that goes now."""
        self._rate.reserve(now)
        self._submits.reserve(now)

    def take_retry(self, now: float) -> None:
        """Take a retry from the quota, beside its place."""
        self._quota.take(now)

    def waiting(self, now: float, *, due: bool) -> None:
        """Note that nothing is started from ``now`` on: for want of a place if anything is ``due``, else of work."""
        if due:
            self._rate.saturated(now)
        else:
            self._rate.idle(now)

    def poll_passed(self, now: float, sent_at: float) -> None:
        """Count a poll that the vendor answered, and not with a refusal."""
        self._cooldown.accepted(sent_at)
        self._rate.accepted(now, sent_at)
        self._concurrency.polled(sent_at, passed=True)
        self._quota.succeeded(now)

    def poll_refused(self, now: float, sent_at: float, retry_after: float | None) -> float:
        """Count a poll that was answered with 429; returns the instant until which everything is held."""
        self._cooldown.refused(now, sent_at, retry_after, self._rng)
        self._rate.refused(now, sent_at)
        self._concurrency.polled(sent_at, passed=False)
        return self._cooldown.until

    def submit_passed(self, now: float, sent_at: float, running: int) -> None:
        """Count a submit that was accepted; ``running`` includes it."""
        self._rate.accepted(now, sent_at)
        self._quota.succeeded(now)
        if self._concurrency.accepted(sent_at, running):
            self._rate.refused(now, sent_at)

    def submit_refused(self, now: float, sent_at: float, running: int, retry_after: float | None) -> float:
        """Count a submit that was answered with 429; returns the instant until which submits are held."""
        self._concurrency.refused(now, sent_at, running, retry_after, self._rng)
        return self._concurrency.ready_at(running, 0)

    def __repr__(self) -> str:
        return f"<AdmissionControl {self._rate!r} {self._concurrency!r} {self._quota!r}>"
