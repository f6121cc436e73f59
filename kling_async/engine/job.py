"""A job as callers see it: awaitable by any number of waiters, any number of times."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from attrs import define, frozen

from kling_async.api.arguments import refused
from kling_async.errors import SubmissionUncertain
from kling_async.journal.token import write_token

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable, Generator

    from kling_async.api.requests import Request
    from kling_async.api.results import Video
    from kling_async.engine.tasks import Clock
    from kling_async.errors import KlingError
    from kling_async.journal.base import JobState, Record
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["ActiveJob", "ExpectedCompletion", "Job", "JobOwner", "Milestone", "active_job"]


class Milestone(Enum):
    """What somebody may wait for in a job's life."""

    ACCEPTED = "accepted"
    SETTLED = "settled"


@define(eq=False, weakref_slot=False)
class ActiveJob:
    """One job's working state. Instants are the loop's time, in seconds.

    Waiters are futures of their own, made on demand and resolved with nothing; the outcome is kept here, so that a
    failure nobody asks about is not reported as one that was forgotten.
    """

    record: Record
    begun_at: float = -math.inf  # when its last POST was begun, if this process did that
    accepted_at: float = math.inf
    deadline: float = math.inf  # no poll is begun for it after one that was begun later than this
    due: float = -math.inf  # when it was last to be submitted
    tracker: GenerationTracker | None = None  # once it is asked about
    last_status: str | None = None  # the vendor's own word
    polls: int = 0
    failures: int = 0  # tries in a row that told nothing
    failing_since: float | None = None  # when those began
    missing_since: float | None = None  # since when the vendor has denied that there is a generation, or its file
    uncertain_cause: KlingError | None = None  # why nobody knows what became of its POST
    reserved: bool = False  # its cost is set aside, so that a limit on spending stops it no more
    taken_over: bool = False  # another process may have asked about its generation
    settled: bool = False
    error: KlingError | None = None  # why it settled without a video
    waiters: dict[Future[None], Milestone] | None = None

    @property
    def model(self) -> str:
        """The vendor's id of its model; of one that is known by its id alone, what that says after its first colon."""
        request = self.record.request
        return request.model if request is not None else (self.record.generation_id or "").partition(":")[2]

    @property
    def duration(self) -> int | None:
        """The length of the video in seconds, if it was asked for."""
        request = self.record.request
        return None if request is None else request.duration_seconds

    def uncertain_error(self) -> SubmissionUncertain:
        """Make the error of a job that may have been bought: what is known of it, and how to find out by hand."""
        key, name, cause = self.record.key, self.record.client_request_id, self.uncertain_cause
        named = f"client_request_id {name}" if name else f"a client_request_id that begins with {key}:"
        error = SubmissionUncertain(
            f"job {key} may have been bought: {cause or 'its submit was begun, and no answer is known'}. It is not "
            f"sent again. If the account's log (GET /v2/logs) ever has a row with {named}, resume its inference_id",
            client_request_id=name,
        )
        error.__cause__ = cause
        return error

    def waiter(self, milestone: Milestone, loop: AbstractEventLoop) -> Future[None]:
        """A future that is resolved once this milestone is reached, or never will be."""
        future: Future[None] = loop.create_future()
        if self.waiters is None:
            self.waiters = {}
        self.waiters[future] = milestone
        return future

    def forget(self, waiter: Future[None]) -> None:
        """Drop a waiter that has stopped waiting."""
        if self.waiters is not None:
            self.waiters.pop(waiter, None)

    def reach(self, milestone: Milestone) -> None:
        """Wake those who wait for this; settling wakes everybody."""
        if self.waiters is None:
            return
        woken = [w for w, wanted in self.waiters.items() if wanted is milestone or milestone is Milestone.SETTLED]
        for waiter in woken:
            del self.waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)

    def count_failure(self, now: float) -> int:
        """Count a try that told nothing; returns how many came before it in a row."""
        if self.failing_since is None:
            self.failing_since = now
        self.failures += 1
        return self.failures - 1

    def clear_failures(self) -> None:
        """Forget about earlier tries that told nothing."""
        self.failures = 0
        self.failing_since = None
        self.missing_since = None

    def failing_for(self, now: float) -> float:
        """How long tries have told nothing, in seconds."""
        return 0.0 if self.failing_since is None else now - self.failing_since

    def missing_for(self, now: float, *, missing: bool) -> float:
        """How long the vendor has denied in a row that there is anything, in seconds, this answer included."""
        if not missing:
            self.missing_since = None
        elif self.missing_since is None:
            self.missing_since = now
        return 0.0 if self.missing_since is None else now - self.missing_since


@frozen
class ExpectedCompletion:
    """When a generation will be done, by what earlier ones of its model and length took. Both are in UTC.

    Attributes:
        median: As likely before as after.
        p90: Nine in ten times before.
    """

    median: datetime
    p90: datetime


class JobOwner(Protocol):
    """What a job asks of whoever watches it."""

    @property
    def clock(self) -> Clock:
        """The session's clock, which knows the loop it was entered on."""
        ...

    def abandon(self, job: Job) -> None:
        """Stop watching a job."""
        ...

    def expected(self, active: ActiveJob) -> ExpectedCompletion | None:
        """When a generation will be done."""
        ...

    async def flush(self) -> None:
        """Return once everything recorded until now is durable."""
        ...


class Job:
    """One generation, from ``submit`` to its video.

    ``await job`` gives the `Video` or raises why there is none. Cancelling a waiter cancels that waiter alone: the job
    goes on, and may be awaited again. A job whose failure nobody asks about is not complained of.

    A job has a **state**, its generation's life, which outlives the session, and **settles** once in this session:
    ``done()`` says that it has. Settling with `OutOfCredits`, `SpendLimitReached`, `AuthenticationError`,
    `GatewayError`, `DeadlineExceeded`, `SessionClosed`, `NotFound` or `SubmissionUncertain` leaves the state as it was;
    submitting the same key again, or resuming the id, makes a new job that carries on.
    """

    __slots__ = ("__weakref__", "_active", "_owner")

    def __init__(self, active: ActiveJob, owner: JobOwner) -> None:
        self._active = active
        self._owner = owner

    @property
    def key(self) -> str:
        """The job's identity: the same key with the same request is the same job."""
        return self._active.record.key

    @property
    def tag(self) -> object:
        """The caller's own label, as given."""
        return self._active.record.tag

    @property
    def request(self) -> Request | None:
        """What was asked for; None for a generation that was resumed by its id."""
        return self._active.record.request

    @property
    def state(self) -> JobState:
        """Where the generation's life stands."""
        return self._active.record.state

    @property
    def generation_id(self) -> str | None:
        """The vendor's id; None until the submit is accepted."""
        return self._active.record.generation_id

    @property
    def submitted_at(self) -> datetime | None:
        """When the last POST for it was begun, in UTC; None before."""
        begun = self._active.record.submitted_at
        return None if begun is None else datetime.fromtimestamp(begun, UTC)

    @property
    def last_status(self) -> str | None:
        """The vendor's last word on it, as it came."""
        return self._active.last_status

    @property
    def polls(self) -> int:
        """How many times the vendor was asked about it; refusals for asking too often are not counted."""
        return self._active.polls

    @property
    def expected_completion(self) -> ExpectedCompletion | None:
        """When it will be done, as far as is known now; None unless it is at the vendor and being watched."""
        return self._owner.expected(self._active)

    def done(self) -> bool:
        """Whether it has settled in this session."""
        return self._active.settled

    def result(self) -> Video:
        """The video, or why there is none.

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
        """Why there is no video, or None if there is one.

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
        """Wait until it has settled, whatever the outcome; returns the job itself and never raises its failure.

        This is a coroutine, for what takes only those: ``TaskGroup.create_task``, ``start_soon``, ``asyncio.wait``.
        """
        await self._wait_settled()
        return self

    async def accepted(self) -> str:
        """Wait until the vendor has accepted it; returns the generation id.

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
        """Wait until the journal cannot lose it, then return the job: what to await before promising it to anybody.

        Raises:
            JournalError: It could not be recorded.
        """
        await self._owner.flush()
        return self

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
        """The job as a text to go on with elsewhere: ``session.resume(token)`` in another process or on another host.

        Versioned JSON, without secrets; of files it holds URLs and paths, and no contents. Taken before the vendor's id
        is known, it can only be used to look the job up, in the journal or in the log, and never to submit it.
        """
        return write_token(self._active.record)

    def abandon(self) -> None:
        """Stop watching, for good: the state becomes ABANDONED and waiters get `JobAbandoned`.

        A generation that was submitted goes on at the vendor and is charged: there is no way to cancel one. A job that
        was only queued is never sent. On a job that has settled this does nothing.
        """
        self._owner.abandon(self)

    async def _wait_settled(self) -> None:
        if not self._active.settled:
            await self._wait_for(Milestone.SETTLED)

    async def _wait_for(self, milestone: Milestone) -> None:
        waiter = self._active.waiter(milestone, self._owner.clock.loop)
        try:
            await waiter
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
"""What the engine keeps in mind of a job; for the engine alone."""
