"""Admission of requests: rate, pauses, the account's slots and retries, as one decision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kling_async.pacing.adaptive_rate import AdaptiveRate
from kling_async.pacing.circuit_breaker import SubmitBreakers
from kling_async.pacing.concurrency_limiter import ConcurrencyLimiter
from kling_async.pacing.in_flight import InFlight
from kling_async.pacing.rate_limiter import Cooldown, Gcra

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from kling_async.pacing.fair_queue import Line, Obstacle

_NEWS = 5.0  # seconds for which a poll that has passed shows that it is not the rate by which a submit was refused


class AdmissionControl:
    """Decides when the next request may go, and learns the vendor's limits from every answer. Instants are the loop's.

    A poll that is refused (429) may have met the account's rate, or concern its generation alone. So it slows the
    session and pauses everything, but one other poll may go meanwhile, and the pause ends if that passes. A job's
    further refusals, if others have passed since the last, are its own. A refused submit concerns its model or the
    account's slots (see `SubmitBreakers`), unless a submit passes soon after. ``sent_at`` is the instant at which the
    answered request was begun.

    Attributes:
        in_flight: The generations in flight by group and model.
        breakers: The lines and models whose submits wait by themselves.
    """

    def __init__(
        self,
        rng: Random,
        *,
        requests_per_second: float | None = None,
        submits_per_second: float = math.inf,
        burst: int = 5,
        max_in_flight: int = 1000,
        max_submits: int = 16,
        per_group: int | Mapping[str | None, int] | None = None,
        per_model: int | Mapping[str, int] | None = None,
    ) -> None:
        """Begin with nothing refused; `kling_async.settings.Limits` explains the numbers."""
        self.in_flight: InFlight = InFlight(per_group, per_model)
        self.breakers: SubmitBreakers = SubmitBreakers(rng)
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
        self._suspect: str | None = None  # the model of the refused poll, while others may show that it is not the rate
        self._may_probe = False  # whether one of them may go during the pause

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
        ready_at, until = self._rate.ready_at(now), self._cooldown.until
        return until if until > ready_at and not self._may_probe else ready_at

    def submit_at(self, now: float, running: int, under_way: int, posting: int) -> float:
        """Return the earliest instant for a submit, beside ``request_at``; infinity until an answer has come.

        ``running`` generations are accepted and not known to have ended; ``under_way`` submits are not known to be
        accepted or refused, and ``posting`` of those are not answered.
        """
        if posting >= self._max_submits or running + under_way >= self._max_in_flight:
            return math.inf
        if under_way and self.breakers.is_trying:
            return math.inf
        slot_at = self._concurrency.ready_at(running, under_way)
        return max(self._cooldown.until, self._submits.ready_at(now), slot_at)

    def obstacle(self, line: Line, now: float) -> Obstacle | None:
        """Return the obstacle to a submit of this line, apart from what holds for all; None if there is none."""
        return self.breakers.obstacle(line, now) or self.in_flight.obstacle(line)

    def take(self, now: float) -> float:
        """Take the next place for a request, and return its instant."""
        return max(self._rate.reserve(now), self._cooldown.until)

    def take_poll(self, now: float) -> None:
        """Take the place of a poll that goes now."""
        self._rate.reserve(now)
        self._may_probe = False

    def take_submit(self, now: float) -> None:
        """Take the place of a submit that goes now."""
        self._rate.reserve(now)
        self._submits.reserve(now)

    def waiting(self, now: float, *, due: bool) -> None:
        """Note that nothing is started from ``now`` on: for want of a place if anything is ``due``, else of work."""
        if due:
            self._rate.saturated(now)
        else:
            self._rate.idle(now)

    def poll_passed(self, now: float, sent_at: float) -> None:
        """Count a poll that the vendor answered, and not with a refusal."""
        if self._suspect is not None and sent_at > self._cooldown.began:
            self._suspect, self._may_probe = None, False
            self._cooldown.until = min(self._cooldown.until, now)
        if self._cooldown.streak:
            self._cooldown.accepted(sent_at)
        if self._rate.is_binding:
            self._rate.accepted(now, sent_at)
        if sent_at > self._concurrency.poll_passed_at:
            self._concurrency.poll_passed_at = sent_at

    def poll_refused(
        self, now: float, sent_at: float, retry_after: float | None, *, model: str = "", last: float | None = None
    ) -> float:
        """Count a poll that was answered with 429; returns the instant until which everything is held.

        ``last`` is the instant of the refusal before it, if its job was refused before and not answered since.
        """
        if last is not None and self._concurrency.poll_passed_at > last:
            return now
        is_first = not self._cooldown.streak
        self._cooldown.refused(now, sent_at, retry_after, self._rng)
        self._rate.refused(now, sent_at)
        self._concurrency.poll_refused_at = max(self._concurrency.poll_refused_at, sent_at)
        self._may_probe = is_first or (model == self._suspect and self.in_flight.models > 1)
        self._suspect = model if self._may_probe else None
        return self._cooldown.until

    def submit_passed(self, now: float, sent_at: float, running: int, line: Line) -> None:
        """Count a submit that was accepted; ``running`` includes it."""
        self._rate.accepted(now, sent_at)
        by_rate = self._concurrency.accepted(sent_at, running)
        refused_at = self.breakers.passed(line, sent_at, unlimited=self._concurrency.level is None)
        if by_rate or (refused_at is not None and self._concurrency.poll_passed_at <= refused_at - _NEWS):
            self._rate.refused(now, sent_at)

    def submit_refused(
        self, now: float, sent_at: float, running: int, retry_after: float | None, line: Line, *, others: bool
    ) -> tuple[float, bool]:
        """Count a submit that was answered with 429.

        Returns the instant until which submits are held, and whether all are, and not only those of its model;
        ``others`` says whether any others wait.
        """
        level = self._concurrency.level
        full = level is not None and running >= level
        if self.breakers.is_accounts(line, now, full=full, others=others):
            self._concurrency.refused(now, sent_at, running, retry_after, self._rng)
            return self._concurrency.ready_at(running, 0), True
        return self.breakers.refused(line, now, sent_at, retry_after), False

    def try_others(self, now: float) -> None:
        """Note that a submit of another model waits, which may pass although one model alone was refused so far."""
        if not self.breakers.is_trying:
            self.breakers.try_others(now)
            self._concurrency.reset()

    def __repr__(self) -> str:
        return f"<AdmissionControl {self._rate!r} {self._concurrency!r} {self.breakers!r} {self.in_flight!r}>"
