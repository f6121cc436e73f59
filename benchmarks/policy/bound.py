"""What no policy can beat on average when generations share a rate.

Let every poll at instant t cost some price, paid to nobody, and refund what all the capacity would fetch. Then each
generation can be planned by itself, and whatever the prices, no policy that keeps to the rate has less delay than the
sum of the plans' costs less the refund (Lagrangian relaxation). The prices are raised where the plans ask for more than
there is and lowered where they ask for less; the greatest sum on the way is the bound. Even a policy that knows every
distribution and every start is bound by it.

Plans poll on a grid of instants only, so a coarse grid makes them worse than they need be, and the bound too high: it
is one only while the step is small beside the gaps between polls. For 100 generations at 10 polls per second, where
gaps are a few seconds, steps of 5, 1 and 0.5 s give 3.24, 2.57 and 2.55 s. It also takes submits to be made as fast as
the rate allows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

from attrs import define, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.policy.durations import Distribution

__all__ = ["Group", "bound"]

_LEFT: Final = 2e-3  # the share of generations beyond which a plan ends: theirs counts as no delay at all


@frozen
class Group:
    """Generations that begin at about the same instant: what they take, and how many they are."""

    law: Distribution
    start: float
    count: float


@define
class _Plans:
    """The distributions on a grid."""

    step: float
    alive: list[float]
    area: list[float]

    @classmethod
    def of(cls, law: Distribution, step: float) -> _Plans:
        alive = [1.0]
        while alive[-1] > _LEFT:
            alive.append(law.survival(len(alive) * step))
        ended = ((2.0 - one - other) / 2.0 * step for one, other in pairwise(alive))
        return cls(step, alive, list(accumulate(ended, initial=0.0)))

    def best(self, prices: Sequence[float]) -> tuple[float, list[tuple[int, float]]]:
        """Return the least cost under prices from the start on, and where polls fall: the step, and the share left."""
        last = len(self.alive) - 1
        cost, following = [0.0] * (last + 1), [last] * (last + 1)
        for here in range(last - 1, -1, -1):
            alive, area, lowest = self.alive[here], self.area[here], math.inf
            ended = (1.0 - alive) * self.step
            for there in range(here + 1, last + 1):
                late = self.area[there] - area - ended * (there - here)
                if late >= lowest:  # it only grows from here on
                    break
                value = late + cost[there] + prices[there] * alive
                if value < lowest:
                    lowest, following[here] = value, there
            cost[here] = lowest
        polls: list[tuple[int, float]] = []
        here = 0
        while here < last:
            polls.append((following[here], self.alive[here]))
            here = following[here]
        return cost[0], polls


def bound(groups: Sequence[Group], rate: Callable[[float], float], *, step: float, rounds: int = 60) -> float:
    """Return the least mean delay in seconds, where polls have this ``rate`` at an instant.

    Raises:
        ValueError: There never is any.
    """
    plans = {group.law: _Plans.of(group.law, step) for group in groups}
    count = sum(group.count for group in groups)
    horizon = max(group.start + len(plans[group.law].alive) * step for group in groups) + step
    instants = _grid(horizon, step)
    offered = [rate(at) * step for at in instants]
    busy_until = next((at for at, room in zip(instants, offered, strict=True) if room), None)
    if busy_until is None:
        raise ValueError("no polls may ever be made")
    knots = _knots(busy_until, horizon)
    room = _spread(knots, zip(instants, offered, strict=True))
    values = [1.0] * len(knots)
    best = 0.0
    for turn in range(rounds):
        prices = [_between(knots, values, at) for at in instants]
        cost, polls = 0.0, [0.0] * len(prices)
        for group in groups:
            offset = int(group.start / step)
            least, asked = plans[group.law].best(prices[offset:])
            cost += least * group.count
            for place, alive in asked:
                polls[offset + place] += alive * group.count
        refund = sum(price * places for price, places in zip(prices, offered, strict=True))
        best = max(best, (cost - refund) / count)
        asked_for = _spread(knots, zip(instants, polls, strict=True))
        pull = 0.9 / (1.0 + 0.1 * turn)
        pressed = zip(values, asked_for, room, strict=True)
        values = [max(1e-4, v * min(3.0, max(0.3, (a + 1.0) / (r + 1.0))) ** pull) for v, a, r in pressed]
    return best


def _grid(horizon: float, step: float) -> list[float]:
    return [index * step for index in range(int(horizon / step) + 1)]


def _knots(busy_until: float, horizon: float) -> list[float]:
    """Return the instants at which prices are set: close together at first, then ever further apart."""
    knots, gap = [0.0, max(1.0, busy_until)], 30.0
    while knots[-1] < horizon:
        knots.append(knots[-1] + gap)
        gap *= 1.08
    return knots


def _between(knots: Sequence[float], values: Sequence[float], at: float) -> float:
    right = min(max(1, bisect_right(knots, at)), len(knots) - 1)
    way = (at - knots[right - 1]) / (knots[right] - knots[right - 1])
    return values[right - 1] * (1.0 - way) + values[right] * way


def _spread(knots: Sequence[float], amounts: Iterable[tuple[float, float]]) -> list[float]:
    """Amounts at instants, shared between the knots around them."""
    sums = [0.0] * len(knots)
    for at, amount in amounts:
        right = min(max(1, bisect_right(knots, at)), len(knots) - 1)
        way = (at - knots[right - 1]) / (knots[right] - knots[right - 1])
        sums[right - 1] += amount * (1.0 - way)
        sums[right] += amount * way
    return sums
