"""The cost of a poll: one number, by which every generation is polled."""

from __future__ import annotations

import math
from typing import Final

from attrs import Factory, define, field

_TRIM: Final = 0.6
"""The share, while polls are scarce, of the cost at which the rate would just do if no hazard changed between polls.

Hazards do change then. At less than that cost, generations that were not polled for longest come sooner: in made-up
batches and streams the latest hundredth is noticed 5 to 25 % sooner, and the mean is within 3 %.
"""


@define
class PollCost:
    """The cost of a poll as `kling_async.pacing.hazard` has it, w: the root of twice the seconds it is worth.

    Attributes:
        least: While polls are not short; more than 0.
        now: At present; never less than ``least``.
        is_short: True while there are fewer polls than are worth their cost.
    """

    least: float
    now: float = field(default=Factory(lambda cost: cost.least, takes_self=True), init=False)
    is_short: bool = field(default=False, init=False, repr=False)

    @classmethod
    def of(cls, seconds: float) -> PollCost:
        """Return the cost of polls that are each worth so many seconds of delay, more than 0."""
        return cls(math.sqrt(2.0 * seconds))

    def spread(self, demand: float, rate: float) -> None:
        """Spread ``rate`` polls per second (more than 0; infinity: no limit) over all that are pending.

        ``demand`` is how many they should have at a cost of 1: the sum of the roots of their hazards.
        """
        self.now = max(self.least, _TRIM * demand / rate)
        self.is_short = self.now > self.least

    @property
    def scarcity(self) -> float:
        """How many times rarer polls are than they would be without a limit: 1 or more."""
        return self.now / self.least
