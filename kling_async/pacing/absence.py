"""When a submit that the account's log does not show was not accepted: what a look covers, and what it proves.

Three clocks are read, none of which is trusted alone. This machine's wall clock is what is recorded; it may be set. The
loop's never goes back, but stands still while the machine sleeps and means nothing in the next process. The vendor's
own dates the rows of the log and its answers, and may be apart from this machine's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FAR", "NEAR", "PostOrder", "Shown", "elapsed_at_vendor", "stretches"]

NEAR = 3600.0  # how far the vendor's clock and this machine's are apart, in seconds, if nothing is wrong with either
FAR = 86_400.0  # how far at most, with a wrong time zone or a day

_LONGEST = 92 * 86_400.0 - 7200.0  # seconds: the vendor shows 92 days at once ("Logs")
_SAME = 300.0  # seconds: within which two readings of how far the clocks are apart agree; a POST itself takes some


def stretches(start: float, end: float) -> Iterator[tuple[float, float]]:
    """The time from start to end as the log can be asked for it, the newest first. Seconds since the epoch."""
    start = max(0.0, start)
    while end > start:
        earlier = max(start, end - _LONGEST)
        yield earlier, end
        end = earlier


@define
class PostOrder:
    """Which of two POSTs was begun later, by the wall-clock times recorded of them, although that clock may go back."""

    _newest: float = field(default=-math.inf, init=False)
    _blurred: float = field(default=-math.inf, init=False)  # up to here the clock has shown some times twice

    def begin(self, at: float) -> None:
        """Another POST is begun, at this time."""
        if at < self._newest:
            self._blurred = self._newest
        self._newest = max(self._newest, at)

    def is_later(self, one: float, than: float) -> bool:
        """Whether a POST was certainly begun later than another, by their times."""
        return one > max(than, self._blurred)


@frozen
class Shown:
    """A POST of ours that the log shows.

    Attributes:
        submitted_at: When it was begun, by this machine's wall clock then.
        created: The same by the vendor's clock; None where the log does not say.
    """

    submitted_at: float
    created: float | None

    def was_timed_rightly(self, ahead: float | None) -> bool:
        """Whether this machine's clock ran then as it does now, as far as the vendor's tells.

        ``ahead`` is how far the vendor's is ahead now, in seconds.
        """
        if ahead is None or self.created is None:
            return True
        return abs(self.created - self.submitted_at - ahead) <= _SAME


def elapsed_at_vendor(later: Iterable[Shown], now: float | None) -> float:
    """How long ago a submit was made at least, in seconds, by the vendor's clock alone: later ones of ours tell."""
    if now is None:
        return 0.0
    return max((now - shown.created for shown in later if shown.created is not None), default=0.0)
