"""How a session is set up: every setting, with its default, its unit and its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.api.arguments import is_number
from kling_async.api.catalogue.lookup import typical_seconds
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import BackoffSchedule, FixedSchedule
from kling_async.pacing.validators import (
    count,
    factor,
    flag,
    is_rate,
    not_negative,
    positive,
    seconds,
    share,
    takes,
    times,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from attrs import Attribute

    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.durations import DurationModels
    from kling_async.pacing.recording_lag import RecordingLag
    from kling_async.pacing.schedules import PollSchedule

__all__ = ["PROFILES", "Limits", "Polling", "Reconciliation", "Timeouts"]

_is_amount = takes(lambda value: is_number(value) and value >= 0, "a number of US dollars, 0 or more")


@frozen(kw_only=True)
class Limits:
    """How much a session does at once, and how fast. The vendor publishes no limits; these are cautious.

    Attributes:
        requests_per_second: The most that submits and polls may be together, per second, and what they begin with. By
            default they begin with 10, and may rise to 50 while requests wait for their places. Either way the rate
            falls when the vendor refuses a request (429), and rises again. From 0.001 up; ``math.inf`` sets no pace
            until one is refused.
        submits_per_second: The most that submits may be, per second. Infinity: no less than all requests.
        burst: How many requests may go back to back after a quiet spell. 5: a handful of submits need not wait for
            one another, and a vendor that counts by the second hardly sees the difference.
        max_in_flight: Generations bought and not yet finished; also how many jobs ``as_completed`` holds at once. A
            submit whose outcome is unknown counts for as long as its generation could be running.
            1000: the whole of most batches, and a bound on what a mistake can cost.
        max_submits: POSTs under way at once, each on a connection of its own. 16: at 10 per second this binds only
            once each takes over 1.6 s, and it bounds how many jobs a crash leaves uncertain.
        max_polls: GETs under way at once, over kept-alive connections. 64: at 10 per second this binds only once
            answers take over 6 s.
        max_downloads: Files coming in at once. 4: that fills most lines, and keeps each file quick.
        max_spend_usd: How much may be spent in all, in US dollars, by the vendor's price list: before a submit that
            could pass it, submits stop with `SpendLimitReached`. What the journal's earlier sessions bought counts.
            None: whatever the account has.
        allow_unpriced: Whether, with ``max_spend_usd``, jobs are submitted whose price is not known beforehand; they
            count once they have ended and the vendor has said what they cost. False: each is refused by itself.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    requests_per_second: float | None = field(default=None, validator=if_given(is_rate))
    submits_per_second: float = field(default=math.inf, validator=is_rate)
    burst: int = field(default=5, validator=count)
    max_in_flight: int = field(default=1000, validator=count)
    max_submits: int = field(default=16, validator=count)
    max_polls: int = field(default=64, validator=count)
    max_downloads: int = field(default=4, validator=count)
    max_spend_usd: float | None = field(default=None, validator=if_given(_is_amount))
    allow_unpriced: bool = field(default=False, validator=flag)


PROFILES: Final = {"fast": 0.05, "balanced": 0.15, "economy": 0.5}
"""How many seconds of delay one poll is worth when there is no lack of polls, by profile.

Of made-up videos that usually take five and a half minutes, that asks about each 47, 27 and 15 times at first, and
notices that it is done 2, 3.5 and 6 s late; once many were seen, 37, 21 and 11 times are enough for a little less.
"""


_REVIEW_EVERY = 15.0  # seconds: a price or a lesson so old hardly differs from the present one
_QUEUED_GAP = 15.0  # seconds: whatever waits must be taken up first, and then takes minutes


def _asks(value: object) -> bool:
    return value is None or all(hasattr(value, name) for name in ("earliest", "due", "demand"))


_is_profile = takes(lambda value: isinstance(value, str) and value in PROFILES, ", ".join(map(repr, PROFILES)))
_is_feed = takes(lambda value: value == "auto" or value is False, '"auto" or False')
_is_schedule = takes(_asks, "None or a schedule, as Polling.fixed makes")


def _was_learned(polling: Polling, _: Attribute[Any], value: object) -> None:
    if value is not None:
        from kling_async.pacing.durations import from_data  # noqa: PLC0415 - few bring any

        from_data(value)
        polling.recording_lag(value)


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
        schedule: What decides instead of all that, as `fixed` and `backoff` make it.
        feed: Whether to look at the account's ledger, too, which may show a charge before any poll has shown that the
            generation has completed. ``"auto"``: now and then until it is known whether it does, within 0.5 % of the
            requests; often once it does, and then single generations are polled less. False: never, as with a
            ``schedule``.

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
    schedule: PollSchedule | None = field(default=None, validator=_is_schedule)
    feed: Literal["auto", False] = field(default="auto", validator=_is_feed)

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

    def poll_cost(self) -> PollCost:
        """What a poll is worth, to begin with."""
        worth = PROFILES[self.profile] if self.seconds_per_poll is None else self.seconds_per_poll
        return PollCost.of(worth / self.scale)

    def make_schedule(self, cost: PollCost, feed: CompletionFeed | None = None) -> PollSchedule:
        """The schedule that goes by this price, or the one that was chosen instead."""
        if self.schedule is not None:
            return self.schedule
        from kling_async.pacing.schedules import HazardSchedule  # noqa: PLC0415 - once a session

        return HazardSchedule(
            cost,
            min_gap=self.min_gap / self.scale,
            max_gap=self.max_gap / self.scale,
            queued_gap=_QUEUED_GAP / self.scale,
            feed=feed,
            jitter=self.jitter,
        )

    def completion_feed(self, cost: PollCost, requests: Callable[[], int]) -> CompletionFeed | None:
        """What decides about looks at the ledger, or None for no looks; ``requests`` counts those made so far."""
        if self.feed is False or self.schedule is not None:
            return None
        from kling_async.pacing.completion_feed import CompletionFeed  # noqa: PLC0415 - once a session

        return CompletionFeed(cost, requests, lag=self.recording_lag(self.learned), scale=self.scale)

    def recording_lag(self, learned: object) -> RecordingLag | None:
        """What an earlier session's `learned` says of the ledger; None if it had no completion feed.

        Raises:
            ConfigurationError: It cannot be read.
        """
        found: object = cast("Mapping[str, object]", learned).get("ledger") if isinstance(learned, Mapping) else None
        if found is None:
            return None
        from kling_async.pacing.recording_lag import RecordingLag  # noqa: PLC0415 - once a session

        return RecordingLag.from_data(found, self.scale)

    @property
    def review_every(self) -> float:
        """How often what waits is looked at again, without asking, in seconds."""
        return _REVIEW_EVERY / self.scale

    def duration_models(self) -> DurationModels:
        """What is known of durations to begin with, ``learned`` included."""
        from kling_async.pacing.durations import DurationModels, from_data  # noqa: PLC0415 - once a session

        return DurationModels(self.scale) if self.learned is None else from_data(self.learned, self.scale)


@frozen(kw_only=True)
class Timeouts:
    """How long things may take. Every field takes seconds or a ``timedelta``.

    Attributes:
        connect: Making a connection, TLS included. 10 s: a host that has not answered by then is not there.
        submit: One POST, whole. 60 s: the vendor answers within a few seconds, and giving up early leaves the job
            uncertain, the most expensive outcome there is. One that carries files has 10 s more for each megabyte.
        call: One poll or account call, whole. 30 s.
        file: The longest silence while a file comes in. 30 s. A file as a whole has no limit.
        download: How long a file is tried again while nothing new of it comes. 600 s: hosts were seen to have a file
            minutes after its generation was said to be completed.
        submission: How long one job's submit is tried while nothing is bought, as with no connection. 900 s: outlasts a
            passing outage, and a wrong host name still surfaces.
        generation: How long a job is watched, from acceptance. 3600 s: four times the slowest published run.
        close: How long leaving a session lets POSTs in flight finish. 10 s: shorter than most supervisors' patience.
    """

    connect: float = field(default=10.0, converter=seconds, validator=positive)
    submit: float = field(default=60.0, converter=seconds, validator=positive)
    call: float = field(default=30.0, converter=seconds, validator=positive)
    file: float = field(default=30.0, converter=seconds, validator=positive)
    download: float = field(default=600.0, converter=seconds, validator=positive)
    submission: float = field(default=900.0, converter=seconds, validator=positive)
    generation: float = field(default=3600.0, converter=seconds, validator=positive)
    close: float = field(default=10.0, converter=seconds, validator=positive)


_AT_LEAST = 3600.0  # the account's log lags, and may show a generation only once that has ended
_MEDIANS = 4.0  # by how many typical durations even a slow generation has ended
_SOONEST = 5.0  # requests take real time, whatever the scale

_FIRST_GAP, _LONGEST_GAP = 15.0, 300.0  # seconds; the gap between looks doubles
_UNREADABLE = 3600.0  # how much longer a job waits for a log that cannot be read, in seconds


_is_verdict = takes(lambda value: value in ("report", "resubmit"), '"report" or "resubmit"')


@frozen(kw_only=True)
class Reconciliation:
    """What becomes of a job whose submit may or may not have been accepted.

    It is looked for in the account's log of requests, under the name it was sent under, and goes on if it is found.

    Attributes:
        after: How long after the POST a complete look through the log counts as proof that it is not there, in
            seconds or as a ``timedelta``. By default the greater of an hour and four times the model's typical
            duration: rows lag, and one may appear only when its generation ends. Time that the machine sleeps does not
            count, nor, before a job is sent again, what this machine's clock says of an earlier process.
        then: What follows when it is not there. ``"report"``: the job settles with `SubmissionUncertain`.
            ``"resubmit"``: it is sent again; **if the log is wrong, that buys it twice**. It is still reported if the
            log proves nothing: because it shows no later job of this journal under its name, or not everything, or a
            row under the job's own name that cannot be used, or because clocks were set by more than a day.
        max_resubmits: How often one job may be sent again so. 1.
        scale: How many times as fast as the vendor a stand-in is. 1.0. Divides the time between looks, and the default
            of ``after``, which stays 5 s at least.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    after: float | None = field(default=None, converter=optional(seconds), validator=if_given(not_negative))
    then: Literal["report", "resubmit"] = field(default="report", validator=_is_verdict)
    max_resubmits: int = field(default=1, validator=times)
    scale: float = field(default=1.0, validator=factor)

    def give_up_after(self, model: str, duration: int | None) -> float:
        """How long after its POST a job is looked for at least, in seconds."""
        if self.after is not None:
            return self.after
        return max(max(_AT_LEAST, _MEDIANS * typical_seconds(model, duration)) / self.scale, _SOONEST)

    @property
    def first_gap(self) -> float:
        """How long after a submit became doubtful the first look comes, in seconds."""
        return _FIRST_GAP / self.scale

    def gap_after(self, gap: float) -> float:
        """How long after a look the next one comes, at the latest, given the time between it and the one before."""
        return min(2 * gap, self.longest_gap)

    @property
    def longest_gap(self) -> float:
        """How long after a look the next one comes at the latest, in seconds."""
        return _LONGEST_GAP / self.scale

    @property
    def log_grace(self) -> float:
        """How much longer a job waits for a log that cannot be read, in seconds."""
        return _UNREADABLE / self.scale
