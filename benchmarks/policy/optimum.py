"""The best that can be done for one generation if its distribution is known: a dynamic programme over instants."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.policy.truth import Law

__all__ = ["least_product", "optimum"]

_HORIZON: Final = 8.0  # medians: hardly anybody is left
_FINE: Final = 0.5  # seconds
_LEFT: Final = 1e-9


def optimum(law: Law, seconds_per_poll: float, *, step: float = 1.0) -> list[float]:
    """The plan with the least of polls times their price plus delay, to the step: when to ask, until it has ended.

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


def least_product(law: Law) -> float:
    """What polls times delay (in seconds) come to at least where polls are many, whoever asks: Phi squared, halved.

    Phi is the integral of sqrt(f S). A density of n polls per second takes P = integral of S n polls, and is late by
    D = integral of f / 2n. By Cauchy and Schwarz, 2 P D is at least the square of the integral of sqrt(S n f / n). No
    dynamic programme is in this, so it checks the one above.
    """
    total, age, before = 0.0, 0.0, 1.0
    while before > _LEFT:
        age += _FINE
        after = law.survival(age)
        total += math.sqrt(max(0.0, before - after) * (before + after) / 2.0 * _FINE)
        before = after
    return total * total / 2.0
