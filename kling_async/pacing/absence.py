"""The proof, by several clocks, that a submit which the account's log does not show was not accepted.

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

USUAL_SKEW = 3600.0  # seconds that the vendor's clock and this machine's may be apart if neither is wrong
MAX_SKEW = 86_400.0  # seconds, with a wrong time zone or day

_LONGEST = 92 * 86_400.0 - 7200.0  # seconds: the vendor shows 92 days at once ("Logs")
_SAME = 300.0  # seconds: within which two readings of how far the clocks are apart agree; a POST itself takes some


def query_spans(start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield the spans from start to end that the log can be queried for, newest first, in seconds since the epoch."""
    start = max(0.0, start)
    while end > start:
        earlier = max(start, end - _LONGEST)
        yield earlier, end
        end = earlier


@define
class PostOrder:
    """The order in which POSTs were begun, by their wall-clock times, although that clock may be set back."""

    _newest: float = field(default=-math.inf, init=False)
    _blurred: float = field(default=-math.inf, init=False)  # up to here the clock may have shown a time twice

    def begin(self, at: float) -> None:
        """Count a POST that is begun at this time."""
        if at < self._newest:
            self._blurred = self._newest
        self._newest = max(self._newest, at)

    def is_later(self, one: float, than: float) -> bool:
        """Return whether a POST was certainly begun later than another, by their times."""
        return one > max(than, self._blurred)


@frozen
class LoggedPost:
    """A POST of this session that the log shows.

    Attributes:
        submitted_at: The time it was begun, by this machine's wall clock then.
        created: The same by the vendor's clock; None where the log has none.
    """

    submitted_at: float
    created: float | None

    def was_timed_rightly(self, ahead: float | None) -> bool:
        """Return whether this machine's clock had the same offset from the vendor's then as now.

        ``ahead`` is how far the vendor's is ahead now, in seconds; None where unknown.
        """
        if ahead is None or self.created is None:
            return True
        return abs(self.created - self.submitted_at - ahead) <= _SAME


def elapsed_at_vendor(later: Iterable[LoggedPost], now: float | None) -> float:
    """Return how many seconds ago a submit was made at least, by the vendor's clock alone, from later ones."""
    if now is None:
        return 0.0
    return max((now - shown.created for shown in later if shown.created is not None), default=0.0)
