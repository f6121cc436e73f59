"""What a plan comes to on average, worked out instead of drawn.

For one generation without a limit on the rate a policy is a plan: the ages at which it asks, until the end is noticed.
With S the survival, plan ages a1, a2, ... and a0 = 0, it takes the sum of S(a_i) polls from i = 0 on, and its delay is
the sum of the integrals of F(t) - F(a_i) from a_i to the next. There is no luck in either, so that differences of a
percent show without a million draws. A plan with jitter is the mean of a few.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.policy.truth import Law

__all__ = ["Outcome", "Survival", "mean", "outcome"]

_LEFT: Final = 1e-6  # the share beyond which nobody is counted
_STEP: Final = 1.0  # seconds; between them survival is taken as straight
_LATE: Final = 0.01
_HALVINGS: Final = 18


@frozen
class Outcome:
    """What a policy came to.

    Attributes:
        requests: Polls per generation.
        delay: Mean seconds from a generation's end until that is noticed.
        p99: What ninety-nine in a hundred are noticed by.
    """

    requests: float
    delay: float
    p99: float


def outcome(results: Iterable[tuple[int, float]]) -> Outcome:
    """The means of polls and delays, one pair a generation."""
    polls, delays = zip(*results, strict=True)
    count = len(delays)
    return Outcome(sum(polls) / count, sum(delays) / count, sorted(delays)[math.ceil(0.99 * count) - 1])


def mean(outcomes: Sequence[Outcome]) -> Outcome:
    """The means of what each came to."""
    count = len(outcomes)
    return Outcome(
        sum(each.requests for each in outcomes) / count,
        sum(each.delay for each in outcomes) / count,
        sum(each.p99 for each in outcomes) / count,
    )


class Survival:
    """A law's survival and the integral of it, in a table. Ages beyond ``end`` are of no account."""

    def __init__(self, law: Law) -> None:
        self._left, self._lived = [1.0], [0.0]
        while self._left[-1] > _LEFT:
            self._left.append(law.survival(len(self._left) * _STEP))
            self._lived.append(self._lived[-1] + (self._left[-1] + self._left[-2]) / 2.0 * _STEP)
        self.end = (len(self._left) - 1) * _STEP

    def at(self, age: float) -> float:
        """The share that takes longer than this."""
        if age >= self.end:
            return 0.0
        place = int(age / _STEP)
        way = age / _STEP - place
        return self._left[place] * (1.0 - way) + self._left[place + 1] * way

    def until(self, age: float) -> float:
        """The integral of that, up to this age."""
        if age >= self.end:
            return self._lived[-1]
        place = int(age / _STEP)
        return self._lived[place] + (self._left[place] + self.at(age)) / 2.0 * (age - place * _STEP)

    def outcome(self, plans: Sequence[Sequence[float]]) -> Outcome:
        """What one of these plans, each as likely as any other, comes to."""
        requests = delay = 0.0
        for plan in plans:
            for one, other in pairwise((0.0, *plan)):
                left = self.at(one)
                requests += left
                delay += left * (other - one) - (self.until(other) - self.until(one))
        return Outcome(requests / len(plans), delay / len(plans), self._late(plans))

    def _late(self, plans: Sequence[Sequence[float]]) -> float:
        """What 99 in 100 are noticed by."""
        gaps = [gap for plan in plans for gap in pairwise((0.0, *plan)) if self.at(gap[0]) > _LEFT]
        low, high = 0.0, max(other - one for one, other in gaps)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            later = sum(self.at(one) - self.at(other - middle) for one, other in gaps if other - one > middle)
            low, high = (middle, high) if later > _LATE * len(plans) else (low, middle)
        return high
