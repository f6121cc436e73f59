"""Retries: exponential backoff with full jitter."""

from __future__ import annotations

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


@frozen(kw_only=True)
class Backoff:
    """The wait before a failed request is tried again: full jitter with one base, cap and source of randomness.

    Drawing from the whole range spreads retries after an outage furthest.

    Attributes:
        base: The longest first wait, in seconds.
        cap: The longest wait, in seconds.
        rng: The source of the jitter.
    """

    base: float
    cap: float
    rng: Random

    def wait(self, failures: int) -> float:
        """Draw the wait in seconds after so many failures in a row: from 0 to ``base`` doubled so often."""
        return self.rng.uniform(0.0, doubled(failures, base=self.base, cap=self.cap))

    def wait_refused(self, failures: int, retry_after: float | None) -> float:
        """Draw the same after a refusal (429), at least half of the whole and what the vendor asks for, up to 300 s."""
        whole = doubled(failures, base=self.base, cap=self.cap)
        asked = min(retry_after or 0.0, LONGEST_RETRY_AFTER) * self.rng.uniform(1.0, 1.05)
        return max(whole * self.rng.uniform(0.5, 1.0), asked)
