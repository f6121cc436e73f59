"""The number of generations that the account may run at once, learned from refused submits (429)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kling_async.pacing.rate_limiter import Cooldown

if TYPE_CHECKING:
    from random import Random

_SHORTEST_WAIT = 0.5  # seconds before a refused submit is followed by another
_LONGEST_WAIT = 240.0  # seconds: probing a full account costs about 20 refusals an hour, beside thousands of polls
_LAST_RETRY = 4.0  # seconds: a vendor may take as long to free the slot of an ended generation
_AT_ONCE = 2.0  # seconds: a submit that passes so soon after a refusal was hardly let in by a generation's end
_SURE = 3  # refusals, each followed by such a submit: where the rate is hardly too high, polls may well pass between
_NEWS = 5.0  # seconds for which a poll's answer counts as evidence of the rate
_OPEN_AFTER = 16  # submits that passed in a row beyond the level: the limit is gone


class ConcurrencyLimiter:
    """Holds submits while the account's slots are full. Open until a submit is refused.

    The *level* is how many generations were running then. Below it submits go freely, so each job that ends makes
    room for exactly one. At the level one submit goes now and then, alone, to see whether there is room for more:
    0.5 s after the first refusal, then after twice as long each time, up to 4 min, and after half as long once
    one passes. It is followed by two at once, then three and so on, until one is refused or 16 have passed; then the
    limiter is open again. A submit that is refused below the level is tried again after 0.5, 1, 2 and 4 s before the
    level is lowered; from then on, until one passes, each refusal lowers it. All waits are times a random 0.5 to 1.

    ``running`` is always how many of the session's generations are accepted and not known to have ended. It is the
    caller's count; the limiter keeps none of its own that could drift from it.

    Attributes:
        poll_passed_at: When the newest poll was sent that passed, for the caller to set: evidence that it is not the
            rate that refuses submits.
        poll_refused_at: When the newest was sent that was answered with 429.
    """

    def __init__(self) -> None:
        self._level: int | None = None
        self._refused_at = -math.inf  # answers to requests sent by then change nothing
        self._passed = 0  # beyond the level, since then
        self._quick = 0  # refusals in a row after each of which one passed at once, and beyond the level
        self._probe_at = -math.inf  # at the level
        self._probe_wait = _SHORTEST_WAIT
        self._retry_at = -math.inf  # below the level
        self._retry_wait = _SHORTEST_WAIT
        self.poll_passed_at: float = -math.inf
        self.poll_refused_at: float = -math.inf
        self._cooldown = Cooldown()  # what the vendor itself asked for, in Retry-After

    @property
    def level(self) -> int | None:
        """The number of generations that seem to be allowed at once; None while no limit is known."""
        return self._level

    def ready_at(self, running: int, under_way: int) -> float:
        """Return the earliest instant at which a submit may go; in the past if it may now.

        ``under_way`` counts the submits not answered yet. While it is not 0 the instant may be infinity, until an
        answer has come. Otherwise it is finite, whatever the level. Ask again after every answer and every end.
        """
        if self._level is None:
            return self._cooldown.until
        if running + under_way < self._level:
            alone = self._retry_wait > _SHORTEST_WAIT
            return math.inf if alone and under_way else max(self._cooldown.until, self._retry_at)
        return max(self._cooldown.until, self._probe_at) if under_way <= self._passed else math.inf

    def accepted(self, sent_at: float, running: int) -> bool:
        """Count a submit that was accepted; ``running`` includes it. Returns whether the refusal before was the rate's.

        It was if this submit passed within 2 s of it and no polls passed meanwhile; or if such a submit has passed
        three times in a row at the level, even if polls passed. The rate is then to be told of the refusal.
        """
        if self._level is None:
            return False
        if sent_at <= self._refused_at:  # both say how many the vendor took before it refused one
            self._level = max(self._level, running)
            return False
        beyond = running > self._level
        first = self._passed == 0 and (beyond or self._retry_wait > _SHORTEST_WAIT)
        self._retry_wait = _SHORTEST_WAIT
        quick = first and sent_at <= self._refused_at + _AT_ONCE
        if beyond:
            self._quick += quick
            self._passed_beyond()
        return quick and (self._quick >= _SURE or not self._polls_pass)

    def refused(self, now: float, sent_at: float, running: int, retry_after: float | None, rng: Random) -> None:
        """Count a submit that was answered with 429. ``retry_after`` (seconds) is obeyed as by ``Cooldown``."""
        if retry_after is not None and retry_after > 0:
            self._cooldown.refused(now, sent_at, retry_after, rng)
        if sent_at <= self._refused_at:
            return
        self._refused_at = now
        if self._level is None:
            self._level = running
        if running < self._level and self._retry_wait <= _LAST_RETRY:
            self._retry_at = now + self._retry_wait * rng.uniform(0.5, 1.0)
            self._retry_wait *= 2
        else:
            self._quick = self._quick if self._passed else 0
            self._lower_level(running)
            self._probe_at = now + self._probe_wait * rng.uniform(0.5, 1.0)
            self._probe_wait = min(2 * self._probe_wait, _LONGEST_WAIT)
        self._passed = 0

    def _lower_level(self, running: int) -> None:
        """Set the level after a refusal at it, beyond it, or again and again below it."""
        assert self._level is not None  # noqa: S101 - the first refusal sets one
        # One that passed beyond it may have had the slot of a job that has ended and was not asked about since.
        self._level = min(running, self._level + max(0, self._passed - 1))

    def _passed_beyond(self) -> None:
        self._passed += 1
        self._probe_at = -math.inf
        self._probe_wait = max(self._probe_wait / 2, _SHORTEST_WAIT)
        if self._passed >= _OPEN_AFTER:
            self.reset()

    def reset(self) -> None:
        """Open again: there is no limit as far as is known."""
        self._level, self._passed, self._probe_wait = None, 0, _SHORTEST_WAIT
        self._cooldown = Cooldown()

    @property
    def _polls_pass(self) -> bool:
        """True if the newest poll sent around the refusal of a submit passed."""
        return self.poll_passed_at > max(self.poll_refused_at, self._refused_at - _NEWS)

    def __repr__(self) -> str:
        level = "open" if self._level is None else f"level {self._level}, probed after {self._probe_wait:.3g} s"
        return f"<ConcurrencyLimiter {level}>"
