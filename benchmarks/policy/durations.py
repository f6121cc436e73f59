"""How long made-up generations really take, which no policy is told.

Nobody has published real traces, so these are assumptions: lognormal around a median, one in twenty taking two to four
times as long as it would have. How wide the lognormal is, and whether some fail early, differs from scenario to
scenario, as it decides more than anything else how much can be gained.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import lru_cache
from random import Random
from typing import Final, Protocol

from attrs import frozen

__all__ = [
    "Delayed",
    "Distribution",
    "Exponential",
    "Gridded",
    "Lognormal",
    "Mixture",
    "Weibull",
    "even",
    "quantile",
    "trace",
]

_STEPS: Final = 40  # of the tail's factor, where it is integrated over
_HALVINGS: Final = 40
_LONGEST: Final = 1e5  # seconds


class Distribution(Hashable, Protocol):
    """The distribution of a generation's duration, in seconds."""

    @property
    def median(self) -> float:
        """The typical duration that a catalogue would publish."""
        ...

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        ...

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        ...


_FACTORS: Final = tuple(math.log(2.0 + 2.0 * (step + 0.5) / _STEPS) for step in range(_STEPS))  # their logarithms


@frozen
class Lognormal:
    """Lognormal, with a slow tail and perhaps early failures.

    Attributes:
        median: Of those that neither fail early nor are slow.
        sigma: The spread of the logarithm.
        slow: The share that takes two to four times as long.
        early: The share that fails early.
        early_mean: How long those take on average.
    """

    median: float = 330.0
    sigma: float = 0.15
    slow: float = 0.05
    early: float = 0.0
    early_mean: float = 20.0

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        kind = rng.random()
        if kind < self.early:
            return rng.expovariate(1.0 / self.early_mean)
        usual = self.median * math.exp(rng.gauss(0.0, self.sigma))
        return usual * rng.uniform(2.0, 4.0) if kind < self.early + self.slow else usual

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        if age <= 0.0:
            return 1.0
        usual = 1.0 - self.slow - self.early
        place, width, erfc = math.log(age / self.median), self.sigma * math.sqrt(2.0), math.erfc
        late = sum([erfc((place - factor) / width) for factor in _FACTORS]) / _STEPS
        return 0.5 * (usual * erfc(place / width) + self.slow * late) + self.early * math.exp(-age / self.early_mean)


@frozen
class Exponential:
    """Exponential: the hazard is flat, so nothing that is learned tells when to ask."""

    mean: float

    @property
    def median(self) -> float:
        """Half take longer than this."""
        return self.mean * math.log(2.0)

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        return rng.expovariate(1.0 / self.mean)

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        return math.exp(-max(0.0, age) / self.mean)


@frozen
class Mixture:
    """Several in shares: back ends of different speed, or videos of different length."""

    parts: tuple[tuple[float, Distribution], ...]

    @property
    def median(self) -> float:
        """Half take longer than this."""
        return quantile(self, 0.5)

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        [law] = rng.choices([law for _, law in self.parts], [share for share, _ in self.parts])
        return law.draw(rng)

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        return sum(share * law.survival(age) for share, law in self.parts)


@frozen
class Weibull:
    """Weibull: the hazard rises as a power of the age."""

    scale: float
    shape: float

    @property
    def median(self) -> float:
        """Half take longer than this."""
        return self.scale * math.pow(math.log(2.0), 1.0 / self.shape)

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        return rng.weibullvariate(self.scale, self.shape)

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        return math.exp(-math.pow(max(0.0, age) / self.scale, self.shape))


@frozen
class Delayed:
    """Never sooner than a certain time, and exponential from there."""

    least: float
    mean: float

    @property
    def median(self) -> float:
        """Half take longer than this."""
        return self.least + self.mean * math.log(2.0)

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        return self.least + rng.expovariate(1.0 / self.mean)

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        return math.exp(-max(0.0, age - self.least) / self.mean)


@frozen
class Gridded:
    """Another law, of whose ends a gateway hears at instants on a grid from acceptance, and tells within a second."""

    law: Distribution
    period: float

    @property
    def median(self) -> float:
        """That of the other law, as a catalogue would have it."""
        return self.law.median

    def draw(self, rng: Random) -> float:
        """One generation's duration."""
        return math.ceil(self.law.draw(rng) / self.period) * self.period + rng.random()

    def survival(self, age: float) -> float:
        """Return the share that takes longer than this."""
        instant = max(0.0, age) // self.period * self.period
        left, within = self.law.survival(instant), max(0.0, age) - instant
        if within >= 1.0:
            return left
        return left + (1.0 - within) * (self.law.survival(instant - self.period) - left)


def quantile(law: Distribution, share: float) -> float:
    """Return the age by which this share has ended."""
    low, high = 0.0, _LONGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if 1.0 - law.survival(middle) >= share else (middle, high)
    return high


def even(law: Distribution, jobs: int) -> list[float]:
    """Return that many durations with no luck in them: one from the middle of each equal share."""
    return list(_even(law, jobs))


@lru_cache  # many are played with the same ones
def _even(law: Distribution, jobs: int) -> tuple[float, ...]:
    return tuple(quantile(law, (index + 0.5) / jobs) for index in range(jobs))


def trace(law: Distribution, jobs: int, seed: int) -> list[float]:
    """Return that many durations, the same for the same seed."""
    rng = Random(f"{law} {seed}")  # noqa: S311 - a trace that everybody can draw again
    return [law.draw(rng) for _ in range(jobs)]
