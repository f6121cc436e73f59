"""The jobs being watched: who they are, how their states change, and how they settle."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

from attrs import evolve

from kling_async.engine import events
from kling_async.engine.job import ActiveJob, ExpectedCompletion, Job, Milestone, active_job
from kling_async.engine.queue import HaltSubmits, RetryAt
from kling_async.errors import InvalidRequest, JobAbandoned, JournalError, copied
from kling_async.journal.base import JobState, Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.api.requests import Request
    from kling_async.engine.queue import Halt, JobQueue, RequestResult
    from kling_async.engine.tasks import Clock
    from kling_async.errors import KlingError
    from kling_async.journal.base import Journal

__all__ = ["JobStore"]

_logger = logging.getLogger("kling_async.jobs")


class JobStore:
    """Every open job by its key, and the one place where records change.

    A record changes in the journal first and here second, as its `JobState` allows; a terminal one never changes again.
    """

    def __init__(
        self,
        journal: Journal,
        queue: JobQueue,
        bus: events.EventBus,
        clock: Clock,
        *,
        generation_timeout: float,
    ) -> None:
        self.clock = clock
        self.open: dict[str, Job] = {}  # unsettled jobs by key, in the order they came
        self.open_by_state: Counter[JobState] = Counter()  # how many of those are in each state
        self._over: set[ActiveJob] = set()  # uncertain ones whose generations, if there are any, should have ended
        self.settled_by_state: Counter[JobState] = Counter()  # in which states the others were when they settled
        self._journal = journal
        self._bus = bus
        self._queue = queue
        self._generation_timeout = generation_timeout  # how long a generation is watched, in seconds
        self._held: list[ActiveJob] = []  # jobs of an earlier session that wait to be told to go on
        self._idle = asyncio.Event()  # set while nothing is open
        self._idle.set()

    # Coming in

    def find_key(self, key: str, digest: bytes) -> Job | None:
        """The job under this key, if there is one: open, or with its recorded outcome.

        Raises:
            InvalidRequest: The key stands for another request.
        """
        record = self._journal.get(key)
        if record is None:
            return None
        if record.digest != digest:
            raise _misused(key)
        return self.open.get(key) or (self._finished(record) if record.state.is_terminal else None)

    def find_generation(self, generation_id: str, key: str | None = None) -> Job | None:
        """The job of this generation, if there is one: open, or with its recorded outcome.

        Raises:
            InvalidRequest: It is not the job of this key.
        """
        record = self._journal.find(generation_id)
        if record is None:
            return None
        if key not in (None, record.key):
            raise _taken(generation_id, record.key)
        return self.open.get(record.key) or (self._finished(record) if record.state.is_terminal else None)

    def create(self, request: Request, *, digest: bytes, key: str | None, tag: object, deadline: float | None) -> Job:
        """Take on a request that is to be bought, or one whose last job settled before its life ended."""
        record = self._journal.get(key) if key is not None else None
        if record is None:
            record = Record(
                key=key or _new_key(),
                state=JobState.QUEUED,
                request=request,
                digest=digest,
                tag=tag,
                endpoint=request.endpoint,
                queued_at=self.clock.wall(),
            )
        active = self._continue(record, deadline)
        job = self.open[active.record.key]
        self.emit(active, events.Queued)
        self.enqueue(active)
        return job

    def record_of(self, generation_id: str, endpoint: str, key: str | None) -> Record:
        """The record of a generation that was bought already, by whomever."""
        wall = self.clock.wall()
        return Record(
            key=key or _new_key(),
            state=JobState.PENDING,
            endpoint=endpoint,
            generation_id=generation_id,
            queued_at=wall,
            accepted_at=wall,
        )

    def attach(self, record: Record, *, tag: object, deadline: float | None) -> Job:
        """Take on a job that was begun elsewhere, or whose generation was found by other means.

        If its key has a job here that has no generation yet, that job goes on with this one: it is never posted again.

        Raises:
            InvalidRequest: Its key stands for something else here, or is being submitted at this moment.
        """
        active = self._attached(record, tag, deadline)
        job = self.open[active.record.key]
        self.enqueue(active)
        return job

    def _attached(self, record: Record, tag: object, deadline: float | None) -> ActiveJob:
        known = self._journal.find(record.generation_id) if record.generation_id else None
        known = known or self._journal.get(record.key)
        if known is None:
            return self._continue(evolve(record, tag=tag), deadline)
        if record.generation_id is not None and known.generation_id is None:
            return self._attach_generation(known, record, deadline)
        same = known.generation_id == record.generation_id if record.generation_id else known.digest == record.digest
        if not same:
            raise _misused(record.key)
        return self._continue(known, deadline)

    def _attach_generation(self, known: Record, record: Record, deadline: float | None) -> ActiveJob:
        """Give a job the generation that it was looking for, or that a token of its own says was bought elsewhere."""
        same = record.digest == known.digest
        takes_it = (
            same or not record.digest if known.state is JobState.UNCERTAIN else same and known.state is JobState.QUEUED
        )
        if not takes_it:
            raise _misused(record.key)
        accepted_at = record.accepted_at or self.clock.wall()
        job = self.open.get(known.key)
        if job is None:
            bought = evolve(known, state=JobState.PENDING, generation_id=record.generation_id, accepted_at=accepted_at)
            return self._continue(bought, deadline)
        active = active_job(job)
        self.update(active, JobState.PENDING, generation_id=record.generation_id, accepted_at=accepted_at)
        active.accepted_at = min(self.clock.now(), self.clock.to_instant(accepted_at))
        active.taken_over = True
        active.deadline = min(active.deadline, self.clock.now() + self._generation_timeout)
        active.reach(Milestone.ACCEPTED)
        return active

    def reopen(self, record: Record, *, hold: bool) -> None:
        """Take on a job that an earlier session left open; its time has passed meanwhile.

        With ``hold``, one that is queued waits for `resume_submissions`.
        """
        active = self._register(record)
        if record.deadline is not None:
            active.deadline = self.clock.to_instant(record.deadline)
        if record.generation_id is not None:
            active.deadline = min(active.deadline, active.accepted_at + self._generation_timeout)
        if hold and record.state is JobState.QUEUED:
            self._held.append(active)
        else:
            self.enqueue(active)

    def invalid(self, request: Request, tag: object, error: KlingError) -> Job:
        """A job that settled before it began, for a request that cannot be submitted; it is not recorded."""
        job = self._finished(Record(_new_key(), JobState.REJECTED, request, tag=tag, error=error))
        error.about(key=job.key, generation_id=None, last_status=None, polls=0)
        return job

    def _continue(self, record: Record, deadline: float | None) -> ActiveJob:
        """Watch from now on, for as long as the caller and a new span of patience allow."""
        now = self.clock.now()
        record = evolve(record, deadline=None if deadline is None else self.clock.wall() + deadline)
        self._journal.append(record)
        active = self._register(record)
        active.deadline = math.inf if deadline is None else now + deadline
        if record.generation_id is not None:
            active.deadline = min(active.deadline, now + self._generation_timeout)
        return active

    def _register(self, record: Record) -> ActiveJob:
        active = _make_active(record)
        now = self.clock.now()
        if record.generation_id is not None:
            active.taken_over = True
            active.accepted_at = (
                now if record.accepted_at is None else min(now, self.clock.to_instant(record.accepted_at))
            )
        self.open[record.key] = Job(active, self)
        self.open_by_state[record.state] += 1
        self._idle.clear()
        return active

    def begun_at(self, active: ActiveJob) -> float:
        """When a job's last POST was begun: estimated by the wall clock if another process did that."""
        if active.begun_at > -math.inf:
            return active.begun_at
        submitted_at = active.record.submitted_at
        return self.clock.now() if submitted_at is None else min(self.clock.now(), self.clock.to_instant(submitted_at))

    def _finished(self, record: Record) -> Job:
        active = _make_active(record)
        active.settled = True
        active.error = record.error
        return Job(active, self)

    # Waiting for what comes next

    def enqueue(self, active: ActiveJob, due: float | None = None) -> None:
        """Have a job wait for what its state asks, from now or from an instant on; settle it if it cannot go on."""
        if active.settled:
            return
        if active.record.state is JobState.SUBMITTING:  # whoever watched it before was gone before its POST ended
            self.update(active, JobState.UNCERTAIN)
        self.settle_if_halted(active)
        if active.settled:
            return
        self.release_slot(active)
        self._queue.put(active, self.clock.now() if due is None else due)

    def apply(self, active: ActiveJob, result: RequestResult) -> None:
        """Do what a request's result asks of the job and of the session."""
        if isinstance(result, HaltSubmits):
            self.halt(result.error)
        if isinstance(result, RetryAt):
            self.enqueue(active, result.at)
        elif result is not None:
            self.enqueue(active, active.due)

    def halt(self, error: Halt) -> None:
        """Stop submits, or under a bad key everything; the jobs concerned settle with a copy of this error."""
        self._queue.halt(error, self.active_jobs)

    @property
    def halted(self) -> Halt | None:
        """Why submits do not go on, if they do not."""
        return self._queue.halted

    def lift_halt(self, kind: type[Halt]) -> bool:
        """Let submits go on if it is an error of this kind that stopped them; return whether it was."""
        if not isinstance(self._queue.halted, kind):
            return False
        self._queue.resume()
        return True

    def settle_if_halted(self, active: ActiveJob) -> None:
        """Settle a job that cannot go on as submits have stopped."""
        if not active.settled and (error := self._queue.halt_of(active)) is not None:
            self.settle(active, copied(error))

    def resume_submissions(self) -> None:
        """Submit what was held, and go on after a halt."""
        self._queue.resume()
        while self._held:
            self.enqueue(self._held.pop(0))

    # Changing state

    async def commit(self, active: ActiveJob, state: JobState, **changes: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Change a job's state, once the journal cannot lose it.

        Raises:
            JournalError: It could not be recorded; the job is as it was.
        """
        before = active.record
        record = self._changed(active, state, changes)
        await self._journal.commit(record)
        if active.record is before:  # and was not abandoned meanwhile, which the journal then has after this
            self._put(active, record)

    def update(self, active: ActiveJob, state: JobState, **changes: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Change a job's state at once; the journal may write it later."""
        record = self._changed(active, state, changes)
        self._journal.append(record)
        self._put(active, record)

    def restore(self, active: ActiveJob) -> None:
        """Take back a change that was cancelled while it was being recorded."""
        self._journal.append(active.record)

    def _changed(self, active: ActiveJob, state: JobState, changes: dict[str, Any]) -> Record:
        before = active.record.state
        if not before.may_become(state):
            raise AssertionError(f"job {active.record.key} cannot go from {before.value} to {state.value}")
        return evolve(active.record, state=state, polls=active.polls, last_status=active.last_status, **changes)

    def _put(self, active: ActiveJob, record: Record) -> None:
        if not active.settled:
            self.open_by_state[active.record.state] -= 1
            self.open_by_state[record.state] += 1
        self._over.discard(active)
        active.record = record

    async def accept(self, active: ActiveJob, generation_id: str, *, late: bool = False) -> None:
        """Record what was bought, now or, where that was found out late, when its POST was begun.

        It is kept in mind and logged even if the journal fails: it is paid for. A job that was being looked for waits
        for its first poll from then on; one that was being submitted does so once its submit's result is applied.
        """
        was_uncertain = active.record.state is JobState.UNCERTAIN
        accepted_at = self.begun_at(active) if late else self.clock.now()
        begun = active.record.submitted_at if late else None
        changes: dict[str, Any] = {"generation_id": generation_id, "accepted_at": begun or self.clock.wall()}
        if active.record.state is not JobState.ABANDONED:
            await self._commit_regardless(active, JobState.PENDING, changes)
        if active.record.state is JobState.ABANDONED:
            active.record = evolve(active.record, **changes)
            self._journal.append(active.record)
            return
        active.accepted_at = accepted_at
        active.begun_at = active.due = -math.inf  # of no use any more, and many jobs are pending for long
        active.deadline = min(active.deadline, self.clock.now() + self._generation_timeout)
        active.reach(Milestone.ACCEPTED)
        self.emit(active, lambda at, job: events.Accepted(at, job, generation_id))
        if was_uncertain:
            self.enqueue(active)

    async def finish(self, active: ActiveJob, state: JobState, **outcome: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Record the end of a generation's life, and settle the job with it; an outcome is told even if unrecorded."""
        error: KlingError | None = outcome.get("error")
        if error is not None:
            self._add_context(active, error)
        changes = {**outcome, "settled_at": self.clock.wall()}
        try:
            await self._commit_regardless(active, state, changes)
        except asyncio.CancelledError:  # the session ends while it is being recorded; it is known all the same
            if active.record.state.may_become(state):
                self.update(active, state, **changes)
            self.settle(active, error)
            raise
        self.settle(active, error)

    async def _commit_regardless(self, active: ActiveJob, state: JobState, changes: dict[str, Any]) -> None:
        try:
            await self.commit(active, state, **changes)
        except JournalError as error:
            known = changes.get("generation_id", active.record.generation_id)
            _logger.exception("job %s is %s (generation %s), unrecorded", active.record.key, state.value, known)
            if active.record.state.may_become(state):  # it was not abandoned meanwhile
                self.update(active, state, **changes)
            self.halt(error)

    def downloaded(self, generation_id: str, path: str, size: int, digest: str) -> None:
        """Record where a video's file is now, if it is a job's."""
        record = self._journal.find(generation_id) if generation_id else None
        if record is not None:
            self._journal.append(evolve(record, file=path, file_size=size, file_digest=digest))

    # Settling

    def settle(self, active: ActiveJob, error: KlingError | None) -> None:
        """End this session's watch over a job, with its video or with this error. Only the first time counts."""
        if active.settled:
            return
        if error is not None:
            active.error = self._add_context(active, error)
        active.settled = True
        self._over.discard(active)
        record = active.record
        self.open_by_state[record.state] -= 1
        self.settled_by_state[record.state] += 1
        self._announce(active, error)
        del self.open[record.key]
        active.reach(Milestone.SETTLED)
        self._queue.discard(active)
        if not self.open:
            self._idle.set()

    def _announce(self, active: ActiveJob, error: KlingError | None) -> None:
        state, video = active.record.state, active.record.video
        if error is None and video is not None:
            shown = active.tracker is not None and active.tracker.shown is not None
            self.emit(active, lambda at, job: events.Completed(at, job, video, shown))
        elif error is not None:
            kind = events.Failed if state in (JobState.FAILED, JobState.REJECTED) else events.Interrupted
            self.emit(active, lambda at, job: kind(at, job, error))

    def active_jobs(self, *states: JobState) -> list[ActiveJob]:
        """The working states of the open jobs in one of these states; of all without any."""
        return [active for active in map(active_job, self.open.values()) if not states or active.record.state in states]

    def abandon(self, job: Job) -> None:
        """Stop watching a job for good; a POST under way ends first, so that what it bought is known."""
        active = active_job(job)
        if active.settled:
            return
        bought = active.record.state is not JobState.QUEUED
        message = f"job {job.key} was abandoned; {'its charge stands' if bought else 'it was never submitted'}"
        error = self._add_context(active, JobAbandoned(message))
        self.update(active, JobState.ABANDONED, settled_at=self.clock.wall(), error=error)
        self.settle(active, error)

    def _add_context(self, active: ActiveJob, error: KlingError) -> KlingError:
        record = active.record
        return error.about(
            key=record.key,
            generation_id=record.generation_id,
            last_status=active.last_status,
            polls=active.polls,
        )

    # Asking

    def recorded(self, key: str) -> Record | None:
        """What is recorded under this key."""
        return self._journal.get(key)

    def owns(self, generation_id: str) -> bool:
        """Whether a job has this generation already."""
        return self._journal.find(generation_id) is not None

    @property
    def in_flight(self) -> int:
        """Generations that are bought, or may be, and not yet over, as far as this session watches them."""
        return self.open_by_state[JobState.PENDING] + self.open_by_state[JobState.UNCERTAIN] - len(self._over)

    def release_slot(self, active: ActiveJob) -> None:
        """Count an uncertain job among those in flight only for as long as its generation may be running."""
        if active.record.state is not JobState.UNCERTAIN:
            return
        over_at = self.begun_at(active) + min(self._generation_timeout, self._queue.longest(active))
        if over_at <= self.clock.now():
            self._over.add(active)
        else:
            self._queue.recheck_at(active, over_at)

    def expected(self, active: ActiveJob) -> ExpectedCompletion | None:
        """When a generation will be done, if it is being watched."""
        if active.tracker is None or active.settled:
            return None
        forecast = active.tracker.forecast(self.clock.now())
        return ExpectedCompletion(self.clock.to_datetime(forecast.median), self.clock.to_datetime(forecast.late))

    async def idle(self) -> None:
        """Wait until no job is open."""
        while self.open:
            await self._idle.wait()

    async def flush(self) -> None:
        """Return once everything recorded until now is durable."""
        await self._journal.flush()

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody ever listened to events."""
        return self._bus.has_subscribers

    def emit(self, active: ActiveJob, make: Callable[[float, Job], events.Event]) -> None:
        """Tell whoever listens what happened to an open job."""
        if self.has_subscribers and (job := self.open.get(active.record.key)) is not None:
            self._bus.emit(lambda at: make(at, job))

    def __repr__(self) -> str:
        standing = ", ".join(f"{count} {state.value}" for state, count in self.open_by_state.items() if count)
        return f"<JobStore {standing or 'idle'}>"


def _make_active(record: Record) -> ActiveJob:
    return ActiveJob(record, polls=record.polls, last_status=record.last_status)


def _new_key() -> str:
    return secrets.token_hex(12)


def _misused(key: str) -> InvalidRequest:
    allowed = "a new key, or the same request again"
    message = f"key {key!r} already stands for another request; allowed: {allowed}"
    return InvalidRequest(message, field="key", value=key, allowed=allowed)


def _taken(generation_id: str, key: str) -> InvalidRequest:
    allowed = f"the key {key!r}, or none"
    message = f"generation {generation_id} is the job {key!r} already; allowed: {allowed}"
    return InvalidRequest(message, field="key", value=key, allowed=allowed)
