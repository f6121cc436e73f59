"""The settings of a run's vendor, the durations of its generations, and the ledger of what was bought."""

from __future__ import annotations

import math
import re
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ledger", "Purchase", "VendorSettings", "durations", "mean_seconds"]


_BURST = 5  # requests that may come at once under a limit

_NUMBER = re.compile(rb"take (\d+)")  # how every client's prompts end, in whatever form they are sent


@frozen
class Purchase:
    """A generation that was accepted. Instants are the shared clock's.

    Attributes:
        id: Its id.
        job: The number of the job it was bought for.
        accepted_at: When it was accepted.
        completes_at: When it is done.
        model: The model that was asked for, if that was said in the way of AI/ML API.
        name: What it was submitted under (``X-Client-Request-Id``), if anything.
    """

    id: str
    job: int
    accepted_at: float
    completes_at: float
    model: str | None = None
    name: str | None = None


@define
class Ledger:
    """The record of one run."""

    settings: VendorSettings
    now: Callable[[], float]
    purchases: dict[str, Purchase] = field(factory=dict[str, Purchase])
    requests: int = 0
    posts: int = 0
    refused: int = 0
    _durations: list[float] = field(init=False)
    _lags: list[float] = field(init=False)  # in means, exponential
    _unanswered: set[int] = field(init=False)  # jobs whose next answer to a submit is lost
    _tokens: float = field(default=_BURST, init=False)
    _counted_at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        self._durations = durations(settings.jobs, settings.seed, settings.median)
        late = Random(f"lag {settings.seed}")  # noqa: S311 - repeatable on purpose
        self._lags = [late.expovariate(1.0) for _ in range(settings.jobs)]
        lost = max(1, round(settings.jobs * settings.lost)) if settings.lost else 0
        rng = Random(f"lost {settings.seed}")  # noqa: S311 - repeatable on purpose
        self._unanswered = set(rng.sample(range(settings.jobs), lost))
        self._counted_at = self.now()

    def admit(self, *, is_post: bool) -> bool:
        """Count a request; False if it is one too many."""
        self.requests += 1
        self.posts += is_post
        if self.settings.rate is None or self._has_room(self.settings.rate):
            return True
        self.refused += 1
        return False

    def _has_room(self, rate: float) -> bool:
        now = self.now()
        self._tokens = min(_BURST, self._tokens + (now - self._counted_at) * rate)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def buy(self, body: bytes, *, model: str | None = None, name: str | None = None) -> Purchase:
        """Accept a generation for the job whose number the body holds."""
        found = _NUMBER.search(body)
        if found is None:
            raise ValueError(f"no job's number is in {body!r}")
        job, now = int(found[1]), self.now()
        generation_id = f"gen-{job:05d}-{len(self.purchases):05d}"
        purchase = Purchase(generation_id, job, now, now + self._durations[job], model, name)
        self.purchases[generation_id] = purchase
        return purchase

    def loses_answer(self, purchase: Purchase) -> bool:
        """Return whether the answer to this submit is lost; the next one to the same job is not."""
        lost = purchase.job in self._unanswered
        self._unanswered.discard(purchase.job)
        return lost

    def charged(self) -> list[Purchase]:
        """Return what AI/ML API's ledger shows by now, newest first."""
        lag, now = self.settings.lag, self.now()
        if lag is None:
            return []
        shown = ((each.completes_at + lag * self._lags[each.job], each) for each in self.purchases.values())
        return [each for at, each in sorted(shown, key=lambda one: one[0], reverse=True) if at <= now]

    def as_data(self) -> dict[str, Any]:
        """Return the ledger as plain JSON data."""
        return {
            "purchases": [asdict(purchase) for purchase in self.purchases.values()],
            "requests": self.requests,
            "posts": self.posts,
            "refused": self.refused,
        }


@frozen(kw_only=True)
class VendorSettings:
    """The settings of a run's vendor.

    Attributes:
        jobs: How many jobs there are; their numbers begin at 0.
        seed: What generations' durations and lost answers are drawn from.
        median: The median duration, in seconds.
        lost: The share of jobs whose first submit is accepted and never answered.
        rate: The requests a second above which it says "too many" (429), without a word on when to come back; None for
            no limit.
        lag: How many seconds after a generation's end, on average, AI/ML API's ledger shows its charge; None for never.
    """

    jobs: int
    seed: int
    median: float
    lost: float = 0.0
    rate: float | None = None
    lag: float | None = None


_SIGMA = 0.35

_SLOW, _LEAST, _MOST = 0.05, 2.0, 4.0


def durations(jobs: int, seed: int, median: float) -> list[float]:
    """Seconds from acceptance to completion, by the number of the job; the same for every client."""
    rng = Random(f"durations {seed}")  # noqa: S311 - repeatable on purpose
    return [median * _share(rng) for _ in range(jobs)]


def mean_seconds(jobs: int, seed: int, median: float) -> float:
    """Return the mean duration of a generation."""
    return fmean(durations(jobs, seed, median))


def _share(rng: Random) -> float:
    usual = math.exp(rng.gauss(0.0, _SIGMA))
    return usual * rng.uniform(_LEAST, _MOST) if rng.random() < _SLOW else usual
