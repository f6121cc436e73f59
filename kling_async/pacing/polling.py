"""How a session is to ask about its generations, as its user says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.pacing.queues import PROFILES, PollCost
from kling_async.pacing.schedules import BackoffSchedule, FixedSchedule
from kling_async.pacing.validators import factor, not_negative, positive, seconds, share, takes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from attrs import Attribute

    from kling_async.pacing.durations import DurationModels
    from kling_async.pacing.schedules import PollSchedule

__all__ = ["Polling"]

_REVIEW_EVERY = 15.0  # seconds: a price or a lesson so old hardly differs from the present one
_QUEUED_GAP = 15.0  # seconds: whatever waits must be taken up first, and then takes minutes


def _asks(value: object) -> bool:
    return value is None or all(hasattr(value, name) for name in ("earliest", "due", "demand"))


_is_profile = takes(lambda value: isinstance(value, str) and value in PROFILES, ", ".join(map(repr, PROFILES)))
_is_cadence = takes(_asks, "None or a cadence, as Polling.fixed makes")


def _was_learned(_: object, __: Attribute[Any], value: object) -> None:
    if value is not None:
        from kling_async.pacing.durations import from_data  # noqa: PLC0415 - few bring any

        from_data(value)


@frozen(kw_only=True)
class Polling:
    """When generations are asked about. Durations are seconds or a ``timedelta``.

    By default that is learned: a poll comes when the chance that the generation has ended since the last one is worth
    it, by what earlier generations of the same model and length took. See `kling_async.pacing.hazard`.

    Attributes:
        profile: How eager to be while the rate allows: ``fast``, ``balanced`` or ``economy``. A video that usually
            takes five and a half minutes is then asked about some 47, 27 or 15 times, and noticed some 2, 3.5 or 6 s
            late; once many were seen, fewer polls do.
        seconds_per_poll: The same as a number: how many seconds of delay one poll is worth. By default the profile's:
            0.05, 0.15 or 0.5.
        min_gap: The shortest time from one poll of a generation to its next. 1 s: more often than that cannot matter
            where generations take minutes.
        max_gap: The longest time from one poll of a generation to its next, the first sleep aside. 120 s: one that was
            judged wrong is found within two minutes. It is stretched while polls are scarce, and never less than half
            of what such generations usually take.
        jitter: How far gaps may be off, as a share of what a poll is worth, either way. 0.2: polls that fell together
            drift apart. The first sleep has none: the rate has spread the submits already.
        retry_base: The longest wait before a request is tried again that failed without telling anything. 1 s. It
            doubles with every such failure in a row, and a random part of it is waited.
        retry_cap: Where that doubling ends. 60 s: an outage is noticed to be over within a minute.
        not_found_grace: How long after its acceptance a generation may be unknown to the vendor before that is
            believed. 30 s: an id may take a moment to be known everywhere.
        scale: How many times as fast as the vendor a stand-in is. 1.0. Divides expected durations, gaps and what a
            poll is worth, retries aside: a stand-in that runs 60 times as fast is asked as often, 60 times as fast.
        learned: What ``session.learned()`` gave, to begin with. By default a durable journal's, if there is any.
        cadence: What decides instead of all that, as `fixed` and `backoff` make it.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    profile: str = field(default="balanced", validator=_is_profile)
    seconds_per_poll: float | None = field(default=None, converter=optional(seconds), validator=if_given(positive))
    min_gap: float = field(default=1.0, converter=seconds, validator=positive)
    max_gap: float = field(default=120.0, converter=seconds, validator=positive)
    jitter: float = field(default=0.2, validator=share)
    retry_base: float = field(default=1.0, converter=seconds, validator=positive)
    retry_cap: float = field(default=60.0, converter=seconds, validator=positive)
    not_found_grace: float = field(default=30.0, converter=seconds, validator=not_negative)
    scale: float = field(default=1.0, validator=factor)
    learned: Mapping[str, Any] | None = field(default=None, repr=False, validator=_was_learned)
    schedule: PollSchedule | None = field(default=None, validator=_is_cadence)

    @classmethod
    def fixed(
        cls,
        interval: float | timedelta,
        *,
        first: float | timedelta | None = None,
        jitter: float = 0.0,
        **settings: Any,  # noqa: ANN401 - this class's own
    ) -> Self:
        """Ask at intervals from acceptance on, as most clients do; ``first`` is when to ask first, if not then.

        Raises:
            ConfigurationError: A value is not usable.
        """
        return cls(schedule=FixedSchedule(interval=interval, first=first, jitter=jitter), **settings)

    @classmethod
    def backoff(
        cls,
        base: float | timedelta = 1.0,
        cap: float | timedelta = 60.0,
        **settings: Any,  # noqa: ANN401 - this class's own
    ) -> Self:
        """Ask ever more rarely: after a random part of ``base``, doubled with every answer up to ``cap``.

        Raises:
            ConfigurationError: A value is not usable.
        """
        return cls(schedule=BackoffSchedule(base=base, cap=cap), **settings)

    def price(self) -> PollCost:
        """What a poll is worth, to begin with."""
        worth = PROFILES[self.profile] if self.seconds_per_poll is None else self.seconds_per_poll
        return PollCost.of(worth / self.scale)

    def asking(self, price: PollCost) -> PollSchedule:
        """The cadence that goes by this price, or the one that was chosen instead."""
        if self.schedule is not None:
            return self.schedule
        from kling_async.pacing.schedules import HazardSchedule  # noqa: PLC0415 - once a session

        return HazardSchedule(
            price,
            min_gap=self.min_gap / self.scale,
            max_gap=self.max_gap / self.scale,
            queued_gap=_QUEUED_GAP / self.scale,
            jitter=self.jitter,
        )

    @property
    def review_every(self) -> float:
        """How often what waits is looked at again, without asking, in seconds."""
        return _REVIEW_EVERY / self.scale

    def experience(self) -> DurationModels:
        """What is known of durations to begin with, ``learned`` included."""
        from kling_async.pacing.durations import (
            DurationModels,
            from_data,
        )

        return DurationModels(self.scale) if self.learned is None else from_data(self.learned, self.scale)
