"""The mean outcome of a polling plan, computed instead of drawn, and the plan with the least cost.

For one generation without a limit on the rate a policy is a plan: the ages at which it asks, until the end is noticed.
With S the survival, plan ages a1, a2, ... and a0 = 0, it takes the sum of S(a_i) polls from i = 0 on, and its delay is
the sum of the integrals of F(t) - F(a_i) from a_i to the next. There is no luck in either, so that differences of a
percent show without a million draws. A plan with jitter is the mean of a few. The best plan, if the distribution is
known, is found by a dynamic programme over instants.
"""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.policy.durations import Distribution

__all__ = ["Outcome", "Survival", "least_product", "mean", "optimum", "outcome"]


_LEFT: Final = 1e-6  # the share beyond which nobody is counted

_STEP: Final = 1.0  # seconds; between them survival is taken as straight

_LATE: Final = 0.01

_HALVINGS: Final = 18


@frozen
class Outcome:
    """The result of a policy.

    Attributes:
        requests: Polls per generation.
        delay: Mean seconds from a generation's end until that is noticed.
        p99: What ninety-nine in a hundred are noticed by.
    """

    requests: float
    delay: float
    p99: float


def outcome(results: Iterable[tuple[int, float]]) -> Outcome:
    """Return the means of polls and delays, one pair a generation."""
    polls, delays = zip(*results, strict=True)
    count = len(delays)
    return Outcome(sum(polls) / count, sum(delays) / count, sorted(delays)[math.ceil(0.99 * count) - 1])


def mean(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the means of what each came to."""
    count = len(outcomes)
    return Outcome(
        sum(each.requests for each in outcomes) / count,
        sum(each.delay for each in outcomes) / count,
        sum(each.p99 for each in outcomes) / count,
    )


class Survival:
    """A law's survival and the integral of it, in a table. Ages beyond ``end`` are of no account."""

    def __init__(self, law: Distribution) -> None:
        self._left, self._lived = [1.0], [0.0]
        while self._left[-1] > _LEFT:
            self._left.append(law.survival(len(self._left) * _STEP))
            self._lived.append(self._lived[-1] + (self._left[-1] + self._left[-2]) / 2.0 * _STEP)
        self.end = (len(self._left) - 1) * _STEP

    def at(self, age: float) -> float:
        """Return the share that takes longer than this."""
        if age >= self.end:
            return 0.0
        place = int(age / _STEP)
        way = age / _STEP - place
        return self._left[place] * (1.0 - way) + self._left[place + 1] * way

    def until(self, age: float) -> float:
        """Return the integral of that, up to this age."""
        if age >= self.end:
            return self._lived[-1]
        place = int(age / _STEP)
        return self._lived[place] + (self._left[place] + self.at(age)) / 2.0 * (age - place * _STEP)

    def outcome(self, plans: Sequence[Sequence[float]]) -> Outcome:
        """Return the mean outcome of these plans, each as likely as any other."""
        requests = delay = 0.0
        for plan in plans:
            for one, other in pairwise((0.0, *plan)):
                left = self.at(one)
                requests += left
                delay += left * (other - one) - (self.until(other) - self.until(one))
        return Outcome(requests / len(plans), delay / len(plans), self._late(plans))

    def _late(self, plans: Sequence[Sequence[float]]) -> float:
        """Return the delay that one in a hundred exceeds."""
        gaps = [gap for plan in plans for gap in pairwise((0.0, *plan)) if self.at(gap[0]) > _LEFT]
        low, high = 0.0, max(other - one for one, other in gaps)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            later = sum(self.at(one) - self.at(other - middle) for one, other in gaps if other - one > middle)
            low, high = (middle, high) if later > _LATE * len(plans) else (low, middle)
        return high


_HORIZON: Final = 8.0  # medians: hardly anybody is left

_FINE: Final = 0.5  # seconds

_NEGLIGIBLE: Final = 1e-9


def optimum(law: Distribution, seconds_per_poll: float, *, step: float = 1.0) -> list[float]:
    """Return the plan with the least of polls times their price plus delay, to the step.

    With S the survival, the cost of asking at age j after age i is price S(i) + integral of F(t) - F(i) from i to j.
    """
    count = int(law.median * _HORIZON / step)
    alive = [law.survival(index * step) for index in range(count + 1)]
    lived = list(accumulate(((one + other) / 2.0 * step for one, other in pairwise(alive)), initial=0.0))
    best = [0.0] * (count + 1)
    following = [count] * (count + 1)
    for here in range(count - 1, -1, -1):
        left = alive[here] * step
        lowest = math.inf
        for there in range(here + 1, count + 1):
            late = left * there - lived[there]
            if late >= lowest:  # it only grows from here on
                break
            cost = late + best[there]
            if cost < lowest:
                lowest, following[here] = cost, there
        best[here] = lowest - left * here + lived[here] + seconds_per_poll * alive[here]
    return _follow(following, step)


def _follow(following: Sequence[int], step: float) -> list[float]:
    ages: list[float] = []
    here = 0
    while here < len(following) - 1:
        here = following[here]
        ages.append(here * step)
    return ages


def least_product(law: Distribution) -> float:
    """Return the least product of polls and delay (in seconds) for any policy with many polls: Phi squared, halved.

    Phi is the integral of sqrt(f S). A density of n polls per second takes P = integral of S n polls, and is late by
    D = integral of f / 2n. By Cauchy and Schwarz, 2 P D is at least the square of the integral of sqrt(S n f / n). No
    dynamic programme is in this, so it checks the one above.
    """
    total, age, before = 0.0, 0.0, 1.0
    while before > _NEGLIGIBLE:
        age += _FINE
        after = law.survival(age)
        total += math.sqrt(max(0.0, before - after) * (before + after) / 2.0 * _FINE)
        before = after
    return total * total / 2.0
