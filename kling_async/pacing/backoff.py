"""How long to wait before trying again: doubling, capped, and spread so that many do not return at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["doubled", "full_jitter"]

_LARGEST_EXPONENT = 1023  # 2.0 to any higher power overflows, long after every cap


def doubled(attempt: int, *, base: float, cap: float) -> float:
    """``base`` seconds doubled ``attempt`` times (0 or more, however many), and never more than ``cap``."""
    return min(cap, base * 2.0 ** min(attempt, _LARGEST_EXPONENT))


def full_jitter(attempt: int, *, base: float, cap: float, rng: Random) -> float:
    """A wait in seconds, uniform between 0 and ``base`` doubled ``attempt`` times, at most ``cap``.

    The first retry is attempt 0. Drawing from the whole range spreads the victims of an outage furthest.
    """
    return rng.uniform(0.0, doubled(attempt, base=base, cap=cap))
