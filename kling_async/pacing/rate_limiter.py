"""The spacing of requests at a rate, and the pause after "too many requests" (429)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define, field, fields, setters

from kling_async.pacing.backoff import LONGEST_RETRY_AFTER, doubled
from kling_async.pacing.validators import count, is_rate

if TYPE_CHECKING:
    from random import Random

_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 30.0  # seconds


@define(on_setattr=setters.NO_OP)  # its counters change with every request
class Gcra:
    """Spaces requests evenly: in any t seconds, at most ``burst + rate * t`` of them.

    The generic cell rate algorithm, on absolute instants. An instant is computed from the start of its busy period
    and a count, not from the instant before it, so that rounding errors neither add up nor hold a request back.

    Attributes:
        rate: Requests per second; may be infinite. Change it with ``set_rate``.
        burst: The number that may go at once after idling.
    """

    rate: float = field(validator=is_rate)
    burst: int = field(validator=count)
    _start: float = field(default=-math.inf, init=False)  # of the current busy period
    _taken: float = field(default=0, init=False)  # requests since then; a fraction only after the rate changed

    def ready_at(self, now: float) -> float:
        """Return the earliest instant, not before ``now``, at which a request may go. Consumes nothing.

        Asked again at that instant, it answers with the same instant.
        """
        instant = self._start + (self._taken - self.burst + 1) / self.rate
        return instant if instant > now else now  # much faster than max, which shows: this is asked for every request

    def reserve(self, now: float) -> float:
        """Take the next place, and return its instant: what ``ready_at`` says. It cannot be given back."""
        instant = self.ready_at(now)
        if instant > self._start + self._taken / self.rate:  # the whole burst is there again
            self._start, self._taken = instant, 0
        self._taken += 1
        return instant

    def give_back(self, now: float) -> None:
        """Give one place back, up to the burst."""
        if not self.is_full(now):
            self._taken = max(0.0, self._taken - 1, (now - self._start) * self.rate)

    def is_full(self, now: float) -> bool:
        """Return whether the whole burst is there."""
        return self._start + self._taken / self.rate <= now

    def set_rate(self, now: float, rate: float) -> None:
        """Change the rate from ``now`` on. The part of the burst that was used stays used, places reserved stay.

        Raises:
            ConfigurationError: ``rate`` is not a number of 0.001 or more; nothing changed.
        """
        is_rate(self, fields(Gcra).rate, rate)
        idle_from = self._start + self._taken / self.rate
        used = (idle_from - now) * self.rate if idle_from > now else 0
        self.rate = rate
        self._start, self._taken = now, used


@define
class Cooldown:
    """Holds requests back after the vendor said "too many" (429): all of a session's, or its submits only.

    Attributes:
        until: No request should go before this instant; minus infinity when none was ever refused.
        streak: The number of refusals in a row, each of a request sent after the pause before it began.
        began: When the newest pause began; answers to requests sent by then change nothing.
    """

    until: float = field(default=-math.inf, init=False)
    streak: int = field(default=0, init=False)
    began: float = field(default=-math.inf, init=False)
    _asked: float = field(default=-math.inf, init=False)  # the end of the wait that the vendor itself asked for

    def refused(self, now: float, sent_at: float, retry_after: float | None, rng: Random) -> None:
        """Begin or lengthen a pause, because a request sent at ``sent_at`` was refused; never shortens one.

        A positive ``retry_after`` (seconds) is obeyed up to 300 s, plus up to 5 % so that clients do not all
        return together. Without one the pause is 0.5 s, doubled with each refusal in a row up to 30 s, times a
        random 0.5 to 1. Refusals of requests that were sent before the pause began count as one with its first.
        """
        fresh = sent_at > self.began
        if retry_after is not None and retry_after > 0:
            self._asked = max(self._asked, now + min(retry_after, LONGEST_RETRY_AFTER) * rng.uniform(1.0, 1.05))
            self._hold(self._asked)
        elif fresh:
            whole = doubled(self.streak, base=_FIRST_PAUSE, cap=_LONGEST_PAUSE)
            self._hold(now + whole * rng.uniform(0.5, 1.0))
        if fresh:
            self.streak += 1
            self.began = now

    def accepted(self, sent_at: float) -> None:
        """Count a request sent at ``sent_at`` that passed: it ends the streak if sent after the last pause began."""
        if sent_at > self.began:
            self.streak = 0

    def _hold(self, until: float) -> None:
        self.until = max(self.until, until)
