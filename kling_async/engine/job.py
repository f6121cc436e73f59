"""A job as callers see it: awaitable by any number of waiters, any number of times."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from attrs import Factory, define, evolve, field, frozen

from kling_async.api.arguments import is_number, refused
from kling_async.engine.event_bus import Event
from kling_async.errors import SubmissionUncertain
from kling_async.journal.token import write_token
from kling_async.pacing.fair_queue import Line

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import AsyncGenerator, Callable, Generator

    from kling_async.api.requests import Request
    from kling_async.api.results import Video
    from kling_async.engine.event_bus import Subscription
    from kling_async.engine.tasks import Clock
    from kling_async.errors import KlingError
    from kling_async.journal.base import JobState, Record
    from kling_async.pacing.tracking import GenerationTracker


class Milestone(Enum):
    """The points in a job's life that can be awaited."""

    ACCEPTED = "accepted"
    SETTLED = "settled"


def log_fields(key: str, generation_id: str | None, model: str = "", status: str | None = None) -> dict[str, object]:
    """Return the attributes that every log record about one job has; what is not known is None."""
    return {"key": key, "generation_id": generation_id, "model": model or None, "status": status}


@define(eq=False, weakref_slot=False)
class Trouble:
    """A job's failures, apart from it as few jobs have any: when they began, and why its POST's outcome is unknown."""

    failing_since: float | None = None  # when those without an outcome began
    refused_at: float | None = None  # when the newest of them was refused (429)
    missing_since: float | None = None  # when the vendor first answered that there is no generation, or no file
    uncertain_cause: KlingError | None = None  # why the outcome of its POST is unknown
    lost_at: float | None = None  # see `ActiveJob.lost_at`


_shared_line = lru_cache(maxsize=1024)(Line)


@define(eq=False, weakref_slot=False)
class ActiveJob:
    """One job's state in this session. Instants are the loop's time, in seconds.

    Waiters are futures that are made on demand and resolved with None; the outcome is kept here, so that asyncio does
    not complain about a failure that is never retrieved.
    """

    record: Record
    begun_at: float = -math.inf  # when its last POST was begun, if by this process
    accepted_at: float = math.inf
    deadline: float = math.inf  # the first poll begun at or after this is the last
    tracker: GenerationTracker | None = None  # once it is polled
    last_status: str | None = None  # as the vendor spelled it
    polls: int = 0
    failures: int = 0  # requests in a row that were refused (429) or had no outcome
    _trouble: Trouble | None = field(default=None, init=False)
    reserved: bool = False  # its cost is set aside, so a spend limit does not stop it any more
    taken_over: bool = False  # another process may have asked about its generation
    in_flight: Line | None = None  # the line it is counted in as such
    settled: bool = False
    error: KlingError | None = None  # why it settled without a video
    waiters: dict[Future[None], Milestone] | None = None

    @property
    def model(self) -> str:
        """The vendor's id of its model; without a request, the part of the generation id after its first colon."""
        request = self.record.request
        return request.model if request is not None else (self.record.generation_id or "").partition(":")[2]

    @property
    def duration(self) -> int | None:
        """The length of the video in seconds, if it was asked for."""
        request = self.record.request
        return None if request is None else request.duration_seconds

    @property
    def trouble(self) -> Trouble:
        """Its trouble; made when it is first asked for, as few have any."""
        if self._trouble is None:
            self._trouble = Trouble()
        return self._trouble

    @property
    def lost_at(self) -> float | None:
        """When the journal lost what may have told that it was bought, by the wall clock; None if it did not."""
        return None if self._trouble is None else self._trouble.lost_at

    @property
    def line(self) -> Line:
        """The line in which its requests wait; jobs of one line share its value."""
        return self.in_flight or _shared_line(self.record.priority, self.record.group, self.model)

    @property
    def log_fields(self) -> dict[str, object]:
        """What log records about it have as ``extra``."""
        return log_fields(self.record.key, self.record.generation_id, self.model, self.last_status)

    def uncertain_error(self) -> SubmissionUncertain:
        """Return the error of a job that may have been bought: what is known, and how to find out by hand."""
        key, name, cause = self.record.key, self.record.client_request_id, self.trouble.uncertain_cause
        named = f"client_request_id {name}" if name else f"a client_request_id that begins with {key}:"
        error = SubmissionUncertain(
            f"job {key} may have been bought: {cause or 'its submit was begun, and no answer is known'}. It is not "
            f"sent again. If the account's log (GET /v2/logs) ever has a row with {named}, resume its inference_id",
            client_request_id=name,
        )
        error.__cause__ = cause
        return error

    def waiter(self, milestone: Milestone, loop: AbstractEventLoop) -> Future[None]:
        """Return a future that is resolved once this milestone is reached, or cannot be any more."""
        future: Future[None] = loop.create_future()
        if self.waiters is None:
            self.waiters = {}
        self.waiters[future] = milestone
        return future

    def forget(self, waiter: Future[None]) -> None:
        """Drop a future that is not waited for any more."""
        if self.waiters is not None:
            self.waiters.pop(waiter, None)

    def reach(self, milestone: Milestone) -> None:
        """Resolve the waiters for this milestone; settling resolves all."""
        if self.waiters is None:
            return
        woken = [w for w, wanted in self.waiters.items() if wanted is milestone or milestone is Milestone.SETTLED]
        for waiter in woken:
            del self.waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)

    def count_failure(self, now: float) -> int:
        """Count a request without an outcome, and return how many failed before it in a row."""
        if self.trouble.failing_since is None:
            self.trouble.failing_since = now
        self.failures += 1
        return self.failures - 1

    def count_refusal(self, now: float) -> int:
        """Count a request that was refused (429), and return how many failed before it in a row."""
        self.trouble.refused_at = now
        self.failures += 1
        return self.failures - 1

    def clear_failures(self) -> None:
        """Reset the counts of requests without an outcome."""
        self.failures = 0
        self._trouble = None

    def failing_for(self, now: float) -> float:
        """Return the seconds for which requests have had no outcome."""
        since = self.trouble.failing_since
        return 0.0 if since is None else now - since

    def missing_for(self, now: float, *, missing: bool) -> float:
        """Return the seconds for which all answers, this one included, have said that there is nothing."""
        since = self.trouble.missing_since
        self.trouble.missing_since = None if not missing else now if since is None else since
        return 0.0 if since is None or not missing else now - since


@frozen
class ExpectedCompletion:
    """The time at which a generation is expected to be done, by earlier ones of its model and length. Both are in UTC.

    Attributes:
        median: The time before which half of such generations are done.
        p90: The time before which nine in ten are.
    """

    median: datetime
    p90: datetime


@frozen
class Progress:
    """How far a job is, as far as is known at one moment.

    Attributes:
        fraction: From 0.0, until the vendor has accepted it, to 1.0, once the video is there and not before.
        remaining: The seconds until the video is expected to be there: half of such generations are done by then. 0.0
            once it is there. None where nothing tells, as before it is accepted and after a failure.
    """

    fraction: float
    remaining: float | None


class JobOwner(Protocol):
    """The part of the job store that a job uses."""

    @property
    def clock(self) -> Clock:
        """The session's clock."""
        ...

    def abandon(self, job: Job) -> None:
        """Stop watching a job."""
        ...

    def expected(self, active: ActiveJob) -> ExpectedCompletion | None:
        """Return when a generation is expected to be done."""
        ...

    def progress(self, active: ActiveJob) -> Progress:
        """Return how far a job is."""
        ...

    def follow(self, job: Job) -> Subscription[JobEvent]:
        """Return a subscription to a job's events until it settles."""
        ...

    async def flush(self) -> None:
        """Wait until everything recorded so far is durable."""
        ...


def value_of(name: str) -> Any:  # noqa: ANN401 - a default, as attrs takes it
    """Return a default for an event's attribute: the job's value of this name when the event is made."""
    return Factory(lambda event: getattr(event.job, name), takes_self=True)


@frozen(eq=False, repr=False)
class JobEvent(Event):
    """An event in a job's life. What is said of the job here is as it was then; ``job`` itself goes on.

    Attributes:
        job: The job it happened to.
        key: Its key.
        tag: The caller's label.
        state: The state of its generation's life.
        generation_id: The vendor's id; None until the submit is accepted.
    """

    job: Job
    key: str = field(default=value_of("key"), kw_only=True)
    tag: object = field(default=value_of("tag"), kw_only=True)
    state: JobState = field(default=value_of("state"), kw_only=True)
    generation_id: str | None = field(default=value_of("generation_id"), kw_only=True)


class Job:
    """One generation, from ``submit`` to its video.

    ``await job`` returns the `Video` or raises the error the job settled with. Cancelling a waiter cancels that waiter
    alone: the job goes on, and may be awaited again. A failure that is never retrieved causes no warning.

    A job has a **state**, its generation's life, which outlives the session, and **settles** once in this session:
    ``done()`` says that it has. Settling with `OutOfCredits`, `SpendLimitReached`, `AuthenticationError`,
    `GatewayError`, `DeadlineExceeded`, `SessionClosed`, `NotFound` or `SubmissionUncertain` leaves the state as it was;
    submitting the same key again, or resuming the id, makes a new job that continues.
    """

    __slots__ = ("__weakref__", "_active", "_owner")

    def __init__(self, active: ActiveJob, owner: JobOwner) -> None:
        self._active = active
        self._owner = owner

    @property
    def key(self) -> str:
        """The job's identity: the same key with the same request is the same job. A random one suits web clients."""
        return self._active.record.key

    @property
    def tag(self) -> object:
        """The caller's own label, as given."""
        return self._active.record.tag

    @property
    def priority(self) -> int:
        """The priority it was submitted with."""
        return self._active.record.priority

    @property
    def group(self) -> str | None:
        """The group it was submitted for."""
        return self._active.record.group

    @property
    def request(self) -> Request | None:
        """The request; None for a generation that was resumed by its id."""
        return self._active.record.request

    @property
    def state(self) -> JobState:
        """The state of the generation's life."""
        return self._active.record.state

    @property
    def generation_id(self) -> str | None:
        """The vendor's id; None until the submit is accepted."""
        return self._active.record.generation_id

    @property
    def submitted_at(self) -> datetime | None:
        """The time the last POST for it was begun, in UTC; None before the first."""
        begun = self._active.record.submitted_at
        return None if begun is None else datetime.fromtimestamp(begun, UTC)

    @property
    def last_status(self) -> str | None:
        """The last status the vendor gave, as it was spelled."""
        return self._active.last_status

    @property
    def polls(self) -> int:
        """The number of polls about it; those refused with 429 are not counted."""
        return self._active.polls

    @property
    def expected_completion(self) -> ExpectedCompletion | None:
        """The time at which it is expected to be done, as known now; None unless it is at the vendor."""
        return self._owner.expected(self._active)

    @property
    def progress(self) -> Progress:
        """How far it is, by how long earlier ones of its model and length took; worked out when it is asked for."""
        return self._owner.progress(self._active)

    async def watch(self, every: float = 1.0) -> AsyncGenerator[Progress, None]:
        """Yield how far it is: now, every so many seconds, and once it has settled, with which it ends.

        ``fraction`` never falls from one to the next, unless a generation that has failed is made again (`Retry`). A
        failure is not raised; it is the job's.

        Raises:
            InvalidRequest: ``every`` is no number of seconds above 0.
        """
        if not is_number(every) or every <= 0:
            raise refused("every", every, "a number of seconds above 0")
        last, ends = 0.0, False
        while not ends:
            ends, told = self.done(), self.progress
            last = told.fraction if self.generation_id is None else max(last, told.fraction)
            yield evolve(told, fraction=last)
            if not ends:
                await self._wait_for(Milestone.SETTLED, at_most=every)

    def done(self) -> bool:
        """Return whether it has settled in this session."""
        return self._active.settled

    def result(self) -> Video:
        """Return the video.

        Raises:
            asyncio.InvalidStateError: It has not settled.
            KlingError: What it settled with.
        """
        error = self.exception()
        if error is not None:
            raise error.with_traceback(None)
        video = self._active.record.video
        assert video is not None  # noqa: S101 - settled without an error means completed with a video
        return video

    def exception(self) -> KlingError | None:
        """Return the error it settled with; None if it has a video.

        Raises:
            asyncio.InvalidStateError: It has not settled.
        """
        if not self._active.settled:
            raise asyncio.InvalidStateError(f"job {self.key} has not settled")
        return self._active.error

    def __await__(self) -> Generator[object, None, Video]:
        yield from self._wait_settled().__await__()
        return self.result()

    async def settled(self) -> Job:
        """Wait until it has settled, with any outcome; return the job itself, and never raise its failure.

        This is a coroutine, for calls that take nothing else: ``TaskGroup.create_task``, ``start_soon``.
        """
        await self._wait_settled()
        return self

    async def accepted(self) -> str:
        """Wait until the vendor has accepted it; return the generation id.

        Raises:
            KlingError: It settled without one.
        """
        if self.generation_id is None and not self.done():
            await self._wait_for(Milestone.ACCEPTED)
        if self.generation_id is not None:
            return self.generation_id
        self.result()
        raise AssertionError("a job settles without an id only by failing")  # pragma: no cover - see result()

    async def recorded(self) -> Job:
        """Wait until the journal has it durably, and return the job; await this before promising the video to anyone.

        Raises:
            JournalError: It could not be recorded.
        """
        await self._owner.flush()
        return self

    def events(self) -> Subscription[JobEvent]:
        """Return an async iterator over its events from now on, until it has settled.

        The last one is `Completed`, `Failed` or `Interrupted`; there is none if it has settled already. Other jobs'
        events cost it nothing. ``session.subscribe(job=job)`` tells of its download as well, and has a ``buffer``,
        which is 1,000 events here.
        """
        return self._owner.follow(self)

    def add_done_callback(self, callback: Callable[[Job], object]) -> None:
        """Have ``callback(job)`` called by the loop soon after the job has settled; at once if it has already.

        Raises:
            InvalidRequest: It cannot be called.
        """
        if not callable(callback):
            raise refused("callback", callback, "a function of the job")
        if self._active.settled:
            self._owner.clock.loop.call_soon(callback, self)
        else:
            waiter = self._active.waiter(Milestone.SETTLED, self._owner.clock.loop)
            waiter.add_done_callback(lambda _: callback(self))

    def token(self) -> str:
        """Return the job as a text, to continue it by ``session.resume(token)`` in another process or on another host.

        It is versioned JSON with the prompt and without the API key; of files it holds URLs and paths, not contents. A
        web client gets the `key` instead. A token taken before the vendor's id is known can only be used to find the
        job in the journal or in the log, never to submit it.
        """
        return write_token(self._active.record)

    def abandon(self) -> None:
        """Stop watching for good: the state becomes ABANDONED, and waiters get `JobAbandoned`.

        A generation that was submitted goes on at the vendor and is charged: the API has no way to cancel one. A job
        that was only queued is never sent. A job that has settled is left as it is. To stop waiting alone, cancel the
        waiter.
        """
        self._owner.abandon(self)

    async def _wait_settled(self) -> None:
        if not self._active.settled:
            await self._wait_for(Milestone.SETTLED)

    async def _wait_for(self, milestone: Milestone, at_most: float | None = None) -> None:
        waiter = self._active.waiter(milestone, self._owner.clock.loop)
        try:
            await (waiter if at_most is None else asyncio.wait([waiter], timeout=at_most))
        finally:
            self._active.forget(waiter)

    def __repr__(self) -> str:
        parts = [f"<Job {self.key}", self.state.value]
        if self.generation_id is not None:
            parts.append(self.generation_id)
        if self.polls:
            parts.append(f"{self.polls} poll{'s' if self.polls > 1 else ''}")
        if self.done():
            error = self._active.error
            parts.append("settled" if error is None else f"settled with {type(error).__name__}")
        return f"{' '.join(parts)}>"


active_job: Callable[[Job], ActiveJob] = attrgetter("_active")
"""Returns a job's state in the engine; for the engine alone."""
