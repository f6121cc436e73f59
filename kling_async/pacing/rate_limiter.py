"""How much at once, and how fast: the limits, the spacing of requests, and the pause after "too many"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define, field, fields, frozen, setters
from attrs.validators import optional as if_given

from kling_async.api.arguments import is_number
from kling_async.pacing.backoff import doubled
from kling_async.pacing.validators import count, flag, is_rate, takes

if TYPE_CHECKING:
    from random import Random

__all__ = ["Cooldown", "Gcra", "Limits"]

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_RETRY_AFTER = 300.0

_is_amount = takes(lambda value: is_number(value) and value >= 0, "a number of US dollars, 0 or more")


@frozen(kw_only=True)
class Limits:
    """How much a session does at once, and how fast. The vendor publishes no limits; these are cautious.

    Attributes:
        requests_per_second: The most that submits and polls may be together, per second, and what they begin with. By
            default they begin with 10, and may rise to 50 while requests wait for their places. Either way the rate
            falls when the vendor refuses a request (429), and rises again. From 0.001 up; ``math.inf`` sets no pace
            until one is refused.
        submits_per_second: The most that submits may be, per second. Infinity: no less than all requests.
        burst: How many requests may go back to back after a quiet spell. 5: a handful of submits need not wait for
            one another, and a vendor that counts by the second hardly sees the difference.
        max_in_flight: Generations bought and not yet finished; also how many jobs ``as_completed`` holds at once. A
            submit whose outcome is unknown counts for as long as its generation could be running.
            1000: the whole of most batches, and a bound on what a mistake can cost.
        max_submits: POSTs under way at once, each on a connection of its own. 16: at 10 per second this binds only
            once each takes over 1.6 s, and it bounds how many jobs a crash leaves uncertain.
        max_polls: GETs under way at once, over kept-alive connections. 64: at 10 per second this binds only once
            answers take over 6 s.
        max_downloads: Files coming in at once. 4: that fills most lines, and keeps each file quick.
        max_spend_usd: How much may be spent in all, in US dollars, by the vendor's price list: before a submit that
            could pass it, submits stop with `SpendLimitReached`. What the journal's earlier sessions bought counts.
            None: whatever the account has.
        allow_unpriced: Whether, with ``max_spend_usd``, jobs are submitted whose price is not known beforehand; they
            count once they have ended and the vendor has said what they cost. False: each is refused by itself.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    requests_per_second: float | None = field(default=None, validator=if_given(is_rate))
    submits_per_second: float = field(default=math.inf, validator=is_rate)
    burst: int = field(default=5, validator=count)
    max_in_flight: int = field(default=1000, validator=count)
    max_submits: int = field(default=16, validator=count)
    max_polls: int = field(default=64, validator=count)
    max_downloads: int = field(default=4, validator=count)
    max_spend_usd: float | None = field(default=None, validator=if_given(_is_amount))
    allow_unpriced: bool = field(default=False, validator=flag)


@define(on_setattr=setters.NO_OP)  # its counters change with every request
class Gcra:
    """Spaces requests evenly: in any t seconds, at most ``burst + rate * t`` of them.

    The generic cell rate algorithm, on absolute instants. An instant is computed from the start of its busy spell
    and a count, not from the instant before it, so that rounding errors neither add up nor hold a request back.

    Attributes:
        rate: Requests per second; may be infinite. Change it with ``set_rate``.
        burst: How many may go back to back after idling.
    """

    rate: float = field(validator=is_rate)
    burst: int = field(validator=count)
    _start: float = field(default=-math.inf, init=False)  # when the current busy spell began
    _taken: float = field(default=0, init=False)  # requests since then; a fraction only after the rate changed

    def ready_at(self, now: float) -> float:
        """The earliest instant, not before ``now``, at which a request may go. Consumes nothing.

        Asked again at that instant, it answers with the same instant.
        """
        return max(now, self._start + (self._taken - self.burst + 1) / self.rate)

    def reserve(self, now: float) -> float:
        """Take the next place, and return its instant: what ``ready_at`` says. It cannot be given back."""
        instant = self.ready_at(now)
        if instant > self._idle_from:
            self._start, self._taken = instant, 0
        self._taken += 1
        return instant

    def set_rate(self, now: float, rate: float) -> None:
        """Go on at another rate from ``now``. What was used of the burst stays used, what was reserved stays.

        Raises:
            ConfigurationError: ``rate`` is not a number of 0.001 or more; nothing changed.
        """
        is_rate(self, fields(Gcra).rate, rate)
        backlog = (self._idle_from - now) * self.rate if self._idle_from > now else 0
        self.rate = rate
        self._start, self._taken = now, backlog

    @property
    def _idle_from(self) -> float:
        """From when on the whole burst is there again."""
        return self._start + self._taken / self.rate


@define
class Cooldown:
    """Holds requests back after the vendor said "too many" (429): all of a session's, or its submits only.

    Attributes:
        until: No request should go before this instant; minus infinity when none was ever refused.
        streak: How many refusals in a row, each of a request sent after the pause before it began.
    """

    until: float = field(default=-math.inf, init=False)
    streak: int = field(default=0, init=False)
    _began: float = field(default=-math.inf, init=False)  # what was sent by then is old news
    _asked: float = field(default=-math.inf, init=False)  # until when the vendor itself asked to wait

    def refused(self, now: float, sent_at: float, retry_after: float | None, rng: Random) -> None:
        """Begin or lengthen a pause, because a request sent at ``sent_at`` was refused; never shortens one.

        A positive ``retry_after`` (seconds) is obeyed up to 300 s, plus up to 5 % so that clients do not all
        return together. Without one the pause is 0.5 s, doubled with each refusal in a row up to 30 s, times a
        random 0.5 to 1. What was under way when the pause began counts as one refusal with the one that began it.
        """
        fresh = sent_at > self._began
        if retry_after is not None and retry_after > 0:
            self._asked = max(self._asked, now + min(retry_after, _LONGEST_RETRY_AFTER) * rng.uniform(1.0, 1.05))
            self._hold(self._asked)
        elif fresh:
            whole = doubled(self.streak, base=_FIRST_PAUSE, cap=_LONGEST_PAUSE)
            self._hold(now + whole * rng.uniform(0.5, 1.0))
        if fresh:
            self.streak += 1
            self._began = now

    def accepted(self, sent_at: float) -> None:
        """A request sent at ``sent_at`` passed. That ends the streak, if it was sent after the last pause began."""
        if sent_at > self._began:
            self.streak = 0

    def _hold(self, until: float) -> None:
        self.until = max(self.until, until)
