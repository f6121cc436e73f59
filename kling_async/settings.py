"""A session's settings, each with its default, its unit and its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, TypeVar, cast

from attrs import evolve, field, frozen
from attrs.converters import optional
from attrs.validators import optional as if_given

from kling_async.api.arguments import COUNT, GROUP, is_count, is_number, is_text
from kling_async.api.catalogue.lookup import typical_seconds
from kling_async.api.parsing import dollars
from kling_async.pacing.poll_cost import PollCost
from kling_async.pacing.schedules import BackoffSchedule, FixedSchedule, HazardSchedule
from kling_async.pacing.validators import (
    count,
    flag,
    is_rate,
    non_negative_duration,
    positive_duration,
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


_T = TypeVar("_T")


def _kept(limits: Any) -> Any:  # noqa: ANN401 - anything else is left for the validator
    """Copy a mapping, which its owner may change."""
    return dict(cast("Mapping[object, object]", limits)) if isinstance(limits, Mapping) else limits


def _are_counts(value: object, is_name: Callable[[object], bool]) -> bool:
    if isinstance(value, Mapping):
        counts = cast("Mapping[object, object]", value).items()
        return all(is_name(name) and is_count(most) for name, most in counts)
    return value is None or is_count(value)


_is_per_group = takes(
    lambda value: _are_counts(value, GROUP.fits),
    f"None, {COUNT.allowed}, or a mapping of groups (None, or texts) to such numbers",
)
_is_per_model = takes(
    lambda value: _are_counts(value, is_text), f"None, {COUNT.allowed}, or a mapping of models' ids to such"
)
_is_amount = takes(
    lambda value: isinstance(value, Decimal) and value.is_finite() and value >= 0, "a number of US dollars, 0 or more"
)


def _as_amount(value: Decimal | float | None) -> Decimal | None:
    """Read a number as it is written; anything else is left for the validator."""
    return dollars(value) if is_number(value) else cast("Decimal | None", value)


_FIRST_PER_SECOND = 10.0  # what a session begins with
_MOST_PER_SECOND = 200.0  # what a loop that runs client and sandbox at once does with ease
_SHORTEST_WATCH = 60.0  # seconds: work on this side takes real time, whatever a sandbox's speed


@frozen(kw_only=True)
class Limits:
    """Limits on concurrency, rates and spending. The vendor publishes no limits; these are cautious.

    Attributes:
        requests_per_second: The highest and the first rate of all requests, per second. By default the rate begins at
            10, and may rise to 50 while requests wait. Either way it falls when the vendor refuses a request (429),
            and rises again. From 0.001 up; ``math.inf`` sets no rate until one is refused.
        submits_per_second: The highest rate of submits, per second. Infinity: limited as all requests are.
        burst: The number of requests that may follow each other at once after a pause. 5: a handful of submits need
            not wait for one another, and a vendor that counts by the second hardly sees the difference.
        max_in_flight: Generations bought and not yet finished; also the default of ``as_completed``. A submit whose
            outcome is unknown counts for as long as its generation could be running.
            1000: the whole of most batches, and a bound on what a mistake can cost.
        per_group: The same of each group, as a number for all or as a mapping of those groups that have a limit; None
            stands for jobs without a group. A group at its limit holds up no other. None: no limit.
        per_model: The same of each model, by the vendor's ids.
        max_submits: POSTs under way at once, each on a connection of its own. 16: at 10 per second this binds only
            once each takes over 1.6 s, and it bounds how many jobs a crash leaves uncertain.
        max_polls: GETs under way at once, over kept-alive connections. 64: at 10 per second this binds only once
            answers take over 6 s.
        max_downloads: Files coming in at once. 4: that fills most lines, and keeps each file quick.
        max_spend_usd: The most to spend in all, in US dollars by the vendor's price list: before a submit that could
            exceed it, submits halt with `SpendLimitReached`. Generations bought by the journal's earlier sessions
            count. None: no limit of the session's own.
        allow_unpriced: Whether, with ``max_spend_usd``, jobs of unknown price are submitted; they count once they have
            ended and the vendor has stated their costs. False: each is refused by itself.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    requests_per_second: float | None = field(default=None, validator=if_given(is_rate))
    submits_per_second: float = field(default=math.inf, validator=is_rate)
    burst: int = field(default=5, validator=count)
    max_in_flight: int = field(default=1000, validator=count)
    per_group: int | Mapping[str | None, int] | None = field(default=None, converter=_kept, validator=_is_per_group)
    per_model: int | Mapping[str, int] | None = field(default=None, converter=_kept, validator=_is_per_model)
    max_submits: int = field(default=16, validator=count)
    max_polls: int = field(default=64, validator=count)
    max_downloads: int = field(default=4, validator=count)
    max_spend_usd: Decimal | None = field(default=None, converter=_as_amount, validator=if_given(_is_amount))
    allow_unpriced: bool = field(default=False, validator=flag)

    def at_speed(self, speed: float) -> Self:
        """Return the same for a sandbox whose time passes ``speed`` times as fast as the vendor's."""
        if self.requests_per_second is not None or speed == 1:
            return self
        return evolve(self, requests_per_second=min(_FIRST_PER_SECOND * max(1.0, speed), _MOST_PER_SECOND))


Profile: TypeAlias = Literal["fast", "balanced", "economy"]
PROFILES: Final[Mapping[str, float]] = {"fast": 0.05, "balanced": 0.15, "economy": 0.5}
"""The seconds of delay that one poll is worth while the rate allows all polls, by profile.

In simulations of videos that typically take five and a half minutes, that makes 47, 27 and 15 polls a video at first,
and notices the end 2, 3.5 and 6 s late; once many were seen, 37, 21 and 11 polls do for slightly shorter delays.
"""


_REVIEW_EVERY = 15.0  # seconds; within that, poll costs and learned durations hardly change
_QUEUED_GAP = 15.0  # seconds; a generation in the vendor's queue has to start first, and then takes minutes


_RETRY_BASE, _RETRY_CAP = 1.0, 60.0  # seconds


def _with_scale(settings: _T, speed: float) -> _T:
    object.__setattr__(settings, "scale", speed)
    return settings


_is_profile = takes(lambda value: isinstance(value, str) and value in PROFILES, ", ".join(map(repr, PROFILES)))
_is_auto = takes(lambda value: value == "auto" or value is False, '"auto" or False')
_is_schedule = takes(
    lambda value: value is None or all(hasattr(value, name) for name in ("earliest", "due", "demand")),
    "None or a schedule, as Polling.fixed makes",
)


def _was_learned(polling: Polling, _: Attribute[Any], value: object) -> None:
    if value is not None:
        from kling_async.pacing.durations import from_data  # noqa: PLC0415 - few bring any

        from_data(value)
        polling.recording_lag(value)


@frozen(kw_only=True)
class Polling:
    """The times of polls. Durations are seconds or a ``timedelta``.

    By default they are learned: a poll comes when the probability that the generation has ended since the last one is
    worth it, by the durations of earlier generations of the same model and length. See `kling_async.pacing.hazard`.

    Attributes:
        profile: The eagerness while the rate allows all polls: ``fast``, ``balanced`` or ``economy``. A video that
            typically takes five and a half minutes is polled some 47, 27 or 15 times, and its end is noticed some 2,
            3.5 or 6 s late; once many were seen, fewer polls do.
        seconds_per_poll: The seconds of delay that one poll is worth. By default the profile's 0.05, 0.15 or 0.5.
        min_gap: The shortest time from one poll of a generation to its next. 1 s: generations take minutes.
        max_gap: The longest time from one poll of a generation to its next, except before the first. 120 s: a wrong
            expectation is found within two minutes. At least half the typical duration; more while polls are scarce.
        jitter: The random part of gaps, as a share of a poll's worth, either way. 0.2: polls that fell together drift
            apart. The gap before the first poll has none: the rate has spread the submits already.
        retry_base: The longest wait before a request that failed without an answer is tried again. 1 s. It doubles
            with every such failure in a row, and a random part of it is waited.
        retry_cap: The limit of that doubling. 60 s: the end of an outage is noticed within a minute.
        not_found_grace: The time after acceptance for which the vendor may say that a generation is unknown before
            that is believed. 30 s: an id may take a moment to be known everywhere.
        learned: The result of ``session.learned()``, to begin with. By default a durable journal's, if there is any.
        schedule: A schedule that decides instead of all that, as `fixed` and `backoff` make it.
        feed: ``"auto"`` reads the account's ledger as well, which may show a charge before any poll has shown that the
            generation has completed: now and then until it is known whether it does, within 0.5 % of the requests;
            often once it does, and then single generations are polled less. False: never, as with a ``schedule``.
        metrics: ``"auto"`` reads the percentiles of models' durations that the vendor publishes, once the first
            generation is accepted and then at most once an hour, to begin with better expectations. False: never, as
            with a ``schedule``; a test with a transport of its own then sees only the requests of its jobs.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    profile: Profile = field(default="balanced", validator=_is_profile)
    seconds_per_poll: float | None = field(
        default=None, converter=optional(seconds), validator=if_given(positive_duration)
    )
    min_gap: float = field(default=1.0, converter=seconds, validator=positive_duration)
    max_gap: float = field(default=120.0, converter=seconds, validator=positive_duration)
    jitter: float = field(default=0.2, validator=share)
    retry_base: float = field(default=_RETRY_BASE, converter=seconds, validator=positive_duration)
    retry_cap: float = field(default=_RETRY_CAP, converter=seconds, validator=positive_duration)
    not_found_grace: float = field(default=30.0, converter=seconds, validator=non_negative_duration)
    learned: Mapping[str, Any] | None = field(default=None, repr=False, validator=_was_learned)
    schedule: PollSchedule | None = field(default=None, validator=_is_schedule)
    feed: Literal["auto", False] = field(default="auto", validator=_is_auto)
    metrics: Literal["auto", False] = field(default="auto", validator=_is_auto)
    scale: float = field(default=1.0, init=False, repr=False)  # see `at_speed`

    @classmethod
    def fixed(
        cls,
        interval: float | timedelta,
        *,
        first: float | timedelta | None = None,
        jitter: float = 0.0,
        **settings: Any,  # noqa: ANN401 - this class's own
    ) -> Self:
        """Poll at intervals from acceptance on; ``first`` is the time to the first poll, if not ``interval``.

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
        """Poll with growing gaps: a random part of ``base``, doubled with every answer up to ``cap``.

        Raises:
            ConfigurationError: A value is not usable.
        """
        return cls(schedule=BackoffSchedule(base=base, cap=cap), **settings)

    def at_speed(self, speed: float) -> Self:
        """Return the same for a sandbox whose time passes ``speed`` times as fast as the vendor's."""
        base = _RETRY_BASE / speed if self.retry_base == _RETRY_BASE else self.retry_base
        cap = _RETRY_CAP / speed if self.retry_cap == _RETRY_CAP else self.retry_cap
        return _with_scale(evolve(self, retry_base=base, retry_cap=cap), speed)

    def poll_cost(self) -> PollCost:
        """Return the initial worth of a poll."""
        worth = PROFILES[self.profile] if self.seconds_per_poll is None else self.seconds_per_poll
        return PollCost.of(worth / self.scale)

    def make_schedule(self, cost: PollCost, feed: CompletionFeed | None = None) -> PollSchedule:
        """Return the chosen schedule, or else a learned one that uses this cost and, if there is one, the feed."""
        if self.schedule is not None:
            return self.schedule
        return HazardSchedule(
            cost,
            min_gap=self.min_gap / self.scale,
            max_gap=self.max_gap / self.scale,
            queued_gap=_QUEUED_GAP / self.scale,
            feed=feed,
            jitter=self.jitter,
        )

    def completion_feed(self, cost: PollCost, requests: Callable[[], int]) -> CompletionFeed | None:
        """Return what decides about looks at the ledger; None for no looks.

        ``requests`` returns the number of requests made so far.
        """
        if self.feed is False or self.schedule is not None:
            return None
        from kling_async.pacing.completion_feed import CompletionFeed  # noqa: PLC0415 - once a session

        return CompletionFeed(cost, requests, lag=self.recording_lag(self.learned), scale=self.scale)

    @property
    def reads_metrics(self) -> bool:
        """Whether the vendor's published durations are asked for."""
        return self.metrics is not False and self.schedule is None

    def recording_lag(self, learned: object) -> RecordingLag | None:
        """Return the ledger's lag as an earlier session has `learned` it; None if it had no completion feed.

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
        """The seconds between reviews of all waiting polls, which send nothing."""
        return _REVIEW_EVERY / self.scale

    def duration_models(self) -> DurationModels:
        """Return the duration models to begin with, ``learned`` included."""
        from kling_async.pacing.durations import DurationModels, from_data  # noqa: PLC0415 - once a session

        return DurationModels(self.scale) if self.learned is None else from_data(self.learned, self.scale)


@frozen(kw_only=True)
class Timeouts:
    """Limits on durations. Every field takes seconds or a ``timedelta``.

    Attributes:
        connect: Making a connection, TLS included. 10 s: a host that has not answered by then is not there.
        submit: One whole POST. 60 s: the vendor answers within a few seconds, and giving up early leaves the job
            uncertain, the most expensive outcome. One with files has 10 s more for each megabyte.
        call: One whole poll or account call. 30 s.
        file: The longest silence while a file comes in. 30 s. A whole file has no limit.
        download: Retrying a download while nothing new of the file comes. 600 s: hosts were seen to have a file only
            minutes after its generation was completed.
        submission: Retrying one job's submit while nothing is bought, as without a connection. 900 s: longer than most
            outages, and a wrong host name still surfaces.
        generation: Watching a job, from acceptance. 3600 s: four times the slowest published run.
        close: Letting POSTs under way finish while a session is left. 10 s: less than most supervisors wait.
    """

    connect: float = field(default=10.0, converter=seconds, validator=positive_duration)
    submit: float = field(default=60.0, converter=seconds, validator=positive_duration)
    call: float = field(default=30.0, converter=seconds, validator=positive_duration)
    file: float = field(default=30.0, converter=seconds, validator=positive_duration)
    download: float = field(default=600.0, converter=seconds, validator=positive_duration)
    submission: float = field(default=900.0, converter=seconds, validator=positive_duration)
    generation: float = field(default=3600.0, converter=seconds, validator=positive_duration)
    close: float = field(default=10.0, converter=seconds, validator=positive_duration)

    def at_speed(self, speed: float) -> Self:
        """Return the same for a sandbox whose time passes ``speed`` times as fast as the vendor's."""
        generation, download = (max(usual / speed, _SHORTEST_WATCH) for usual in (self.generation, self.download))
        return evolve(self, generation=generation, download=download)


@frozen(kw_only=True)
class Retry:
    """Buying again what failed. The vendor does not charge failed generations ("Errors and status codes").

    Attributes:
        failed: How many more generations are bought for a job after its first one has failed, in all sessions of its
            journal together. 0. Not if its content was refused, nor if the vendor says that the failure was charged.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    failed: int = field(default=0, validator=times)


_AT_LEAST = 3600.0  # the account's log lags, and may show a generation only once that has ended
_MEDIANS = 4.0  # typical durations after which even a slow generation has ended
_SOONEST = 5.0  # seconds; requests take real time at any scale

_FIRST_GAP, _LONGEST_GAP = 15.0, 300.0  # seconds between searches; the gap doubles
_UNREADABLE = 3600.0  # additional seconds for which a job waits for a log that cannot be read


_is_verdict = takes(lambda value: value in ("report", "resubmit"), '"report" or "resubmit"')


@frozen(kw_only=True)
class Reconciliation:
    """The treatment of a job whose submit may or may not have been accepted.

    The account's log of requests is searched for the name it was sent under; if it is found, the job goes on.

    Attributes:
        after: The time after the POST has ended from which a complete search without a result counts as proof, in
            seconds or as a ``timedelta``. By default the greater of an hour and four times the model's typical
            duration: rows lag, and one may appear only when its generation ends. Time that the machine sleeps does not
            count, nor, before a resubmit, this machine's wall clock across processes.
        then: The consequence of that proof. ``"report"``: the job settles with `SubmissionUncertain`.
            ``"resubmit"``: it is sent again; **if the log is wrong, that buys it twice**. It is still reported if the
            log proves nothing: because it shows no later job of this journal under its name, or is incomplete, or has
            a row under the job's own name that cannot be used, or one without a name that may be the job's, or because
            this machine's clock was set meanwhile.
        max_resubmits: The number of resubmits of one job. 1.

    Raises:
        ConfigurationError: A value is not usable; names the field, the value and what is allowed.
    """

    after: float | None = field(default=None, converter=optional(seconds), validator=if_given(non_negative_duration))
    then: Literal["report", "resubmit"] = field(default="report", validator=_is_verdict)
    max_resubmits: int = field(default=1, validator=times)
    scale: float = field(default=1.0, init=False, repr=False)  # see `at_speed`

    def at_speed(self, speed: float) -> Self:
        """Return the same for a sandbox whose time passes ``speed`` times as fast as the vendor's."""
        return _with_scale(evolve(self), speed)

    def give_up_after(self, model: str, duration: int | None) -> float:
        """Return the seconds after its POST for which a job is searched for at least."""
        if self.after is not None:
            return self.after
        return max(max(_AT_LEAST, _MEDIANS * typical_seconds(model, duration)) / self.scale, _SOONEST)

    @property
    def first_gap(self) -> float:
        """The seconds from a submit's becoming uncertain to the first search."""
        return _FIRST_GAP / self.scale

    @property
    def longest_gap(self) -> float:
        """The longest time between two searches, in seconds."""
        return _LONGEST_GAP / self.scale

    @property
    def log_grace(self) -> float:
        """The additional seconds for which a job waits for a log that cannot be read."""
        return _UNREADABLE / self.scale
