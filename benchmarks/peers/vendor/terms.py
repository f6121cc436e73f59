"""How the stand-in is to behave."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Terms"]


@frozen(kw_only=True)
class Terms:
    """What a run's vendor is like.

    Attributes:
        jobs: How many jobs there are; their numbers begin at 0.
        seed: What generations' durations and lost answers are drawn from.
        median: The median duration, in seconds.
        lost: The share of jobs whose first submit is accepted and never answered.
        rate: The requests a second above which it says "too many" (429), without a word on when to come back; None for
            no limit.
    """

    jobs: int
    seed: int
    median: float
    lost: float = 0.0
    rate: float | None = None
