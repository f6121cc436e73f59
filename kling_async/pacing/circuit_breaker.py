"""Circuit breakers: lines and models whose submits fail wait by themselves, while the others go on.

A submit that fails (5xx) concerns its line. One that is refused (429) may have met the account's limit, which holds
for all, or one of its model's own, and no answer says which. So its model is *suspected*, and waits, while one submit
of another model is tried: if that passes, the limit is the suspect's own; if it is refused as well, it is the
account's. Where no other model waits, it is taken for the account's, until one comes to try.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define, field

from kling_async.pacing.fair_queue import Line, Obstacle
from kling_async.pacing.rate_limiter import Cooldown

if TYPE_CHECKING:
    from random import Random

_AT_ONCE = 2.0  # seconds: a submit that passes so soon after a refusal was hardly let in by a generation's end


@define
class _Breaker:
    """Open during a pause, which doubles with each failure in a row; then one submit is tried until it is closed."""

    pause: Cooldown = field(factory=Cooldown)
    tried_at: float = math.inf  # when the one was begun whose answer is awaited


class SubmitBreakers:
    """Decides which lines may submit after failures, and whose limit a refusal is. Instants are the loop's.

    Attributes:
        suspect: The model that alone was refused since the account's limit was last known to be met, or not to be.
        is_trying: Whether another model's submit is to decide about the suspect; it goes alone.
    """

    __slots__ = ("_breakers", "_confirmed", "_rng", "_since", "is_trying", "suspect")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._breakers: dict[Line | str, _Breaker] = {}  # by line after failures, by model after refusals
        self._confirmed = False  # two models were refused, so the account's limit is one
        self._since = -math.inf  # when the suspicion began: older submits tell nothing about it
        self.suspect: str | None = None
        self.is_trying: bool = False

    def obstacle(self, line: Line, now: float) -> Obstacle | None:
        """Return the obstacle to a submit of this line; None if there is none."""
        if self._breakers:
            for cause in (line, line.model):
                breaker = self._breakers.get(cause)
                if breaker is None:
                    continue
                if breaker.tried_at < math.inf:
                    return Obstacle(cause)
                if breaker.pause.until > now:
                    return Obstacle(cause, breaker.pause.until)
        return None

    def begun(self, line: Line, now: float) -> None:
        """Count a submit that is begun: where it is a trial, it goes alone."""
        for breaker in self._of(line):
            breaker.tried_at = now

    def ended(self, line: Line, begun: float) -> None:
        """Count a submit that has ended, with any outcome."""
        for breaker in self._of(line):
            if begun >= breaker.tried_at:
                breaker.tried_at = math.inf

    def failed(self, line: Line, now: float, begun: float) -> None:
        """Count a submit that the vendor could not handle: its line waits."""
        self._open(line, now, begun, None)

    def passed(self, line: Line, begun: float, *, unlimited: bool) -> float | None:
        """Count one that was accepted; ``unlimited`` says that no limit of the account is known.

        Returns the instant of the suspect's refusal if that was its first in a row, and is shown by this one, which was
        begun at once after it, to have been its own or the rate's.
        """
        for cause in (line, line.model):
            breaker = self._breakers.get(cause)
            if breaker is not None:
                breaker.pause.accepted(begun)
                if not breaker.pause.streak:
                    del self._breakers[cause]
        self._confirmed = self._confirmed and not unlimited
        if begun <= self._since or not (self.is_trying or line.model != self.suspect or unlimited):
            return None
        accused = self._breakers.get(self.suspect or "")
        self.suspect, self.is_trying = None, False
        at_once = accused is not None and accused.pause.streak == 1 and begun <= self._since + _AT_ONCE
        return self._since if at_once else None

    def is_accounts(self, line: Line, now: float, *, full: bool, others: bool) -> bool:
        """Decide about a refusal: whether the account's limit was met, so that its model is not to wait by itself.

        Args:
            line: The line whose submit was refused.
            now: The instant.
            full: Whether so many generations are running as the account is known to run at once.
            others: Whether submits of other models wait, so that one of them can decide.
        """
        if full and self._confirmed:
            return True
        if self.suspect not in (None, line.model):
            self._breakers.pop(line.model, None)
            self._breakers.pop(self.suspect or "", None)
            self.suspect, self.is_trying, self._confirmed = None, False, True
            return True
        if self.suspect is None:
            self._since = now
        self.suspect, self.is_trying = line.model, others
        if not others:
            self._breakers.pop(line.model, None)
        return not others

    def refused(self, line: Line, now: float, begun: float, retry_after: float | None) -> float:
        """Have the refused model wait by itself; return until when. ``retry_after`` is obeyed as by `Cooldown`."""
        return self._open(line.model, now, begun, retry_after)

    def freed(self, model: str) -> None:
        """Note that a generation of this model has ended: the model waits no longer, if it waited for that."""
        if (breaker := self._breakers.get(model)) is not None:
            breaker.pause.until = -math.inf

    def try_others(self, now: float) -> None:
        """Have a submit of another model, which has come, decide about the suspect; that waits meanwhile."""
        if self.suspect is not None and not self.is_trying:
            self.is_trying = True
            self._open(self.suspect, now, now, None)

    def _open(self, cause: Line | str, now: float, begun: float, retry_after: float | None) -> float:
        breaker = self._breakers.setdefault(cause, _Breaker())
        breaker.pause.refused(now, begun, retry_after, self._rng)
        return breaker.pause.until

    def _of(self, line: Line) -> list[_Breaker]:
        if not self._breakers:  # as nearly always
            return []
        return [self._breakers[cause] for cause in (line, line.model) if cause in self._breakers]

    def __repr__(self) -> str:
        return f"<SubmitBreakers {len(self._breakers)} open, suspect {self.suspect}>"
