"""When to ask about a generation: the protocol every cadence keeps, and the first cadence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from attrs import field, frozen

from kling_async.api.catalogue import typical_seconds
from kling_async.errors import ConfigurationError
from kling_async.pacing.durations import not_negative, positive, seconds

if TYPE_CHECKING:
    from random import Random

    from attrs import Attribute

    from kling_async.api.results import Status

__all__ = ["Cadence", "Polling", "SleepThenInterval", "Watch"]

_SIGMA = 0.35  # spread of the logarithm of a model's durations: an assumption, until durations are learned


class Watch(Protocol):
    """What a cadence sees of a generation that is under way. Instants are the loop's, in seconds."""

    @property
    def model(self) -> str:
        """The vendor's id of the model."""
        ...

    @property
    def duration(self) -> int | None:
        """The length of the video in seconds, if it was asked for."""
        ...

    @property
    def accepted_at(self) -> float:
        """When the vendor accepted it."""
        ...

    @property
    def polled_at(self) -> float | None:
        """When the newest answered poll said that it is not done yet; None before the first."""
        ...

    @property
    def status(self) -> Status:
        """How far it was then."""
        ...


class Cadence(Protocol):
    """Decides when to ask about each generation. Pure: the instant and the randomness are arguments."""

    def next_poll(self, watch: Watch, now: float, rng: Random) -> float:
        """The instant of the next poll: finite, and ``now`` for one that is overdue, never before."""
        ...


def _is_quantile(_: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_number(value) or not 0 < value < 1:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a number between 0 and 1, both excluded")


def _is_share(_: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_number(value) or not 0 <= value < 1:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a number from 0 up to, not including, 1")


def _is_factor(_: object, attribute: Attribute[Any], value: object) -> None:
    if not _is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a finite number, more than 0")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@frozen(kw_only=True)
class Polling:
    """When generations are asked about. Durations are seconds or a ``timedelta``.

    Attributes:
        quantile: The first poll comes when this share of the model's generations is expected to be done. 0.05:
            asking earlier is nearly always in vain, and few are noticed late by it.
        interval: From one poll of a generation to its next, on average. 8 s: a completion is noticed about 4 s
            late, after minutes of waiting for it.
        jitter: How far an interval may be off, as a share of it, either way. 0.2: polls that fell together drift
            apart.
        min_gap: The shortest time from one poll of a generation to its next, whatever the rest says. 1 s: more
            often than that cannot matter where generations take minutes.
        retry_base: The longest wait before a request is tried again that failed without telling anything. 1 s. It
            doubles with every such failure in a row, and a random part of it is waited.
        retry_cap: Where that doubling ends. 60 s: an outage is noticed to be over within a minute.
        scale: Divides every expected duration, and nothing else. 1.0: the vendor's own pace; a stand-in that runs
            60 times as fast takes 60.
        not_found_grace: How long after its acceptance a generation may be unknown to the vendor before that is
            believed. 30 s: an id may take a moment to be known everywhere.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    quantile: float = field(default=0.05, validator=_is_quantile)
    interval: float = field(default=8.0, converter=seconds, validator=positive)
    jitter: float = field(default=0.2, validator=_is_share)
    min_gap: float = field(default=1.0, converter=seconds, validator=positive)
    retry_base: float = field(default=1.0, converter=seconds, validator=positive)
    retry_cap: float = field(default=60.0, converter=seconds, validator=positive)
    scale: float = field(default=1.0, validator=_is_factor)
    not_found_grace: float = field(default=30.0, converter=seconds, validator=not_negative)

    def cadence(self) -> Cadence:
        """A cadence of one session's own, with these settings."""
        return SleepThenInterval(self)


class SleepThenInterval:
    """Sleeps until a generation may well be done, then asks at jittered intervals.

    A model's durations are taken to be lognormal around its typical one. The long sleep has no jitter of its own:
    the request rate has spread the submits already.
    """

    __slots__ = ("_polling", "_sleep_share")

    def __init__(self, polling: Polling) -> None:
        from statistics import NormalDist  # noqa: PLC0415 - slow to import, needed once a session

        self._polling = polling
        # The first sleep, as a share of the typical duration.
        self._sleep_share = math.exp(_SIGMA * NormalDist().inv_cdf(polling.quantile)) / polling.scale

    def next_poll(self, watch: Watch, now: float, rng: Random) -> float:
        """When ``quantile`` of such generations are done, then an interval after each answer; at least ``now``."""
        if watch.polled_at is None:
            sleep = typical_seconds(watch.model, watch.duration) * self._sleep_share
            return max(now, watch.accepted_at + sleep)
        return max(now, watch.polled_at + self._gap(rng))

    def __repr__(self) -> str:
        return f"<SleepThenInterval {self._polling}>"

    def _gap(self, rng: Random) -> float:
        jitter = self._polling.jitter
        return max(self._polling.min_gap, self._polling.interval * rng.uniform(1 - jitter, 1 + jitter))
