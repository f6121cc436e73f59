"""What the vendor has and takes: the key and the limits behind 429, slots and durations, prices and credits."""

from __future__ import annotations

import re
from collections import deque
from decimal import Decimal
from heapq import heappop, heappush, heapreplace
from math import ceil, exp
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async.api.catalogue.lookup import find_model
from kling_async.sandbox.exchange import ErrorResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.sandbox.faults import SeededRandom
    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.settings import Settings


class SlidingWindow:
    """At most so many requests in any stretch of so many seconds. Refused ones do not count."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._admitted: deque[float] = deque(maxlen=count)

    @classmethod
    def per_second(cls, rate: float) -> SlidingWindow:
        """Make a limit of this many a second; below one a second it is one in a longer time."""
        count = max(1, int(rate))
        return cls(count, count / rate)

    def admit(self, now: float) -> bool:
        """Count one more if there is room for it now, and return whether there was."""
        if len(self._admitted) == self._count and now - self._admitted[0] < self._seconds:
            return False
        self._admitted.append(now)
        return True


_LOG_CALLS, _LOG_SECONDS = 200, 60.0  # the one limit the vendor publishes ("Logs")


class RequestLimits:
    """Checks requests against the settings as they are at that moment. Every refusal is an ``ErrorResponse``."""

    def __init__(self, settings: Settings) -> None:
        self.is_revoked = False
        self._settings = settings
        self._rate = settings.requests_per_second
        self._requests = SlidingWindow.per_second(self._rate or 1)
        self._log_calls = SlidingWindow(_LOG_CALLS, _LOG_SECONDS / settings.speed)

    def check_key(self, authorization: str | None) -> None:
        """Refuse a request without the key, or after the key was revoked."""
        if self.is_revoked or authorization != f"Bearer {self._settings.api_key}":
            raise ErrorResponse(401, "Unauthorized: the API key is missing, unknown or revoked")

    def admit_request(self, now: float) -> None:
        """Refuse a request beyond the rate limit."""
        if self._rate != self._settings.requests_per_second:
            self._rate = self._settings.requests_per_second
            self._requests = SlidingWindow.per_second(self._rate or 1)
        if self._rate is not None and not self._requests.admit(now):
            raise self.too_many("Too Many Requests")

    def admit_generation(self, running: int) -> None:
        """Refuse a submit while as many generations as allowed are unfinished."""
        most = self._settings.max_concurrent
        if most is not None and running >= most:
            raise self.too_many(f"Too many concurrent generations: {running} are unfinished")

    def admit_log_call(self, now: float) -> None:
        """Refuse a request beyond the log's own limit."""
        if not self._log_calls.admit(now):
            raise self.too_many("Too Many Requests")

    def too_many(self, message: str) -> ErrorResponse:
        """Return a 429, with ``Retry-After`` only if the settings ask for it."""
        wait = self._settings.retry_after
        text = wait if isinstance(wait, str) or wait is None else str(ceil(wait))
        return ErrorResponse(429, message, headers={} if text is None else {"Retry-After": text})


CREDITS_PER_USD = 100
"""A made-up rate, easy to reckon with."""

_TIERS = {"master": Decimal("0.28"), "pro": Decimal("0.1"), "1080p": Decimal("0.1")}  # US dollars per second of video
_BASE_TIER = Decimal("0.06")
_SILENT = Decimal("0.7")  # the share of the price that is paid without sound
_DEFAULT_SECONDS = 5
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")


@frozen
class Price:
    """The cost of one generation."""

    usd: Decimal
    credits: float


def price_of(model: str, body: Mapping[str, Any]) -> Price:
    """Return the cost of a request if it succeeds."""
    rate = _rate(model)
    if _has_sound(model) and body.get("generate_audio") is False:
        rate *= _SILENT
    usd = rate * video_seconds(body)
    return Price(usd, float(usd * CREDITS_PER_USD))


def video_seconds(body: Mapping[str, Any]) -> int:
    """Return the requested length of the video, also when it is given as a string."""
    return int(asked) if _SECONDS.fullmatch(asked := str(body.get("duration"))) else _DEFAULT_SECONDS


def price_list_entry(model: str) -> dict[str, Any]:
    """Return a model's ``pricing`` as "Complete Model List" has it: fixed, by variant, or unknown beforehand."""
    rate = _rate(model)
    if find_model(model) is None:
        return {"kind": "variable", "currency": "USD"}
    if not _has_sound(model):
        unit = {"name": "second", "measure": "output", "price": float(rate), "per": 1}
        return {"kind": "fixed", "currency": "USD", "units": [unit]}
    variants = [
        {"when": {"generate_audio": True}, "price": float(rate), "unit": "second", "per": 1},
        {"when": {"generate_audio": False}, "price": float(rate * _SILENT), "unit": "second", "per": 1},
    ]
    return {"kind": "variants", "currency": "USD", "dimensions": ["generate_audio"], "variants": variants}


def _rate(model: str) -> Decimal:
    return next((rate for tier, rate in _TIERS.items() if tier in model), _BASE_TIER)


def _has_sound(model: str) -> bool:
    known = find_model(canonical(model))
    return known is not None and "generate_audio" in known.fields


_MAKER = "klingai/"


def aliases(model: str) -> list[str]:
    """Return a model's other names: the bare one, for models named after their maker."""
    return [model.removeprefix(_MAKER)] if model.startswith(_MAKER) else []


def canonical(name: str) -> str:
    """Return the id of the model of this name, or the name itself."""
    full = _MAKER + name
    return full if find_model(full) is not None else name


_QUEUE_SHARE = 0.06
"""The largest share of a generation that is spent queueing although a slot is free: the vendor's published runs say
"queued" once in about twenty polls."""


@frozen
class Run:
    """The instants at which a generation gets its slot and ends."""

    started_at: float
    completed_at: float


class GenerationSlots:
    """The vendor's slots.

    Without contention a generation lasts, from acceptance to its end, a log-normal time around its model's published
    duration. When all slots are taken it waits, first come first served, for the next that falls free. Everything is
    decided when it is accepted, so that nothing has to run meanwhile.
    """

    def __init__(self, random: SeededRandom, *, slots: int, sigma: float, speed: float) -> None:
        self._random = random
        self._sigma = sigma
        self._speed = speed
        self._free_at = [float("-inf")] * slots  # a heap of the instants at which slots become free

    def assign(self, typical_seconds: float, now: float, *about: object) -> Run:
        """Assign a slot and a duration; ``about`` seeds the randomness."""
        spread = self._sigma * NormalDist().inv_cdf(self._random.uniform("duration", *about))
        whole = typical_seconds * exp(spread) / self._speed
        queued = whole * _QUEUE_SHARE * self._random.uniform("queue", *about)
        started_at = max(now + queued, self._free_at[0])
        completed_at = started_at + whole - queued
        heapreplace(self._free_at, completed_at)
        return Run(started_at, completed_at)


class CreditAccount:
    """Reserves a price when a generation is accepted, and charges it when it completes; a failed one costs nothing."""

    def __init__(self) -> None:
        self._running: list[tuple[float, int, Purchase]] = []  # a heap, by the end of each
        self._taken = 0
        self._reserved = 0.0
        self._charged = 0.0

    def reserve(self, purchase: Purchase) -> None:
        """Reserve a purchase's price until it ends."""
        self._taken += 1
        self._reserved += purchase.credits
        heappush(self._running, (purchase.completed_at, self._taken, purchase))

    def running(self, now: float) -> int:
        """Count the generations that have not ended."""
        self._settle(now)
        return len(self._running)

    def charged(self, now: float) -> float:
        """Return the cost of all completed generations, in credits."""
        self._settle(now)
        return round(self._charged, 2)

    def committed(self, now: float) -> float:
        """Return what is charged or reserved, in credits."""
        self._settle(now)
        return round(self._charged + self._reserved, 2)

    def _settle(self, now: float) -> None:
        while self._running and self._running[0][0] <= now:
            _, _, purchase = heappop(self._running)
            self._reserved -= purchase.credits
            if purchase.failure is None:
                self._charged += purchase.credits
