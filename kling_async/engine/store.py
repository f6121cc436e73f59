"""The session's jobs and their records: which job a key stands for, and the changes of states."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve

from kling_async.engine import events
from kling_async.engine.identity import (
    check_digest,
    check_key_of,
    may_retry,
    merged,
    new_key,
    queued_again,
    record_of_request,
    without_generation,
)
from kling_async.engine.job import Milestone, active_job
from kling_async.engine.open_jobs import OpenJobs
from kling_async.engine.results import HaltSubmits, RetryAt
from kling_async.errors import JobAbandoned, JournalError, copied
from kling_async.files.uploads import check_files
from kling_async.journal.base import JobState, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kling_async.api.requests import Request
    from kling_async.engine.event_bus import EventBus
    from kling_async.engine.job import ActiveJob, Job
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.results import Halt, RequestResult
    from kling_async.engine.tasks import Clock
    from kling_async.errors import KlingError
    from kling_async.journal.base import Choices, Journal
    from kling_async.pacing.completion_feed import CompletionFeed

_logger = logging.getLogger("kling_async.jobs")


class JobStore(OpenJobs):
    """The one place where records change.

    A record changes in the journal first and here second, as its `JobState` allows; a terminal one never changes again.
    Each change of state puts the job into the queue or takes it out.
    """

    def __init__(
        self,
        journal: Journal,
        queue: JobQueue,
        bus: EventBus,
        clock: Clock,
        feed: CompletionFeed | None = None,
        *,
        choices: Callable[[str], Choices],
        park: Callable[[Record, KlingError], object] | None = None,
        lost_at: Callable[[Record], float | None] = lambda _: None,
    ) -> None:
        super().__init__(queue, bus, clock, feed, park)
        self._journal = journal
        self._lost_at = lost_at  # when the journal lost what may have told that a job was bought
        self._choices = choices  # by key: what the caller chose
        self._on_hold: list[ActiveJob] = []  # jobs of an earlier session that wait for `resume_submissions`

    # Identity

    def submit(
        self,
        request: Request,
        *,
        key: str | None,
        tag: object,
        deadline: float | None,
        priority: int,
        group: str | None,
        retry_failed: bool | Literal["all"],
    ) -> Job:
        """Return the job under this key, or take on a request that is to be bought, if need be again.

        The files of a request that is still to be sent are checked.

        Raises:
            InvalidRequest: The key stands for another request, or a file cannot be sent.
        """
        digest = request.digest()
        record = self._journal.get(key) if key is not None else None
        if record is not None and (job := self._known(record, digest, retry_failed)) is not None:
            return job
        if record is None or record.state is JobState.QUEUED or record.state.is_terminal:
            check_files(request)
        if record is None:
            record = record_of_request(request, digest=digest, key=key, tag=tag, now=self.clock.wall())
        elif record.state.is_terminal:
            record = queued_again(record)
        active = self.watch(record, deadline, priority=priority, group=group)
        job = self.open[active.record.key]
        self.emit(active, events.Queued)
        self.enqueue(active)
        return job

    def _known(self, record: Record, digest: bytes, retry_failed: bool | Literal["all"] = False) -> Job | None:  # noqa: FBT001, FBT002 - as for `submit`
        """Return this record's job, open or with its recorded outcome; None if it has neither, or is one to retry."""
        check_digest(record, digest)
        if record.key in self.open or not record.state.is_terminal or may_retry(record, retry_failed):
            return self.open.get(record.key)
        return self._settled_job(record)

    def find(self, key: str) -> Job | None:
        """Return the job under this key, open or with its recorded outcome; None if there is none."""
        record = self._journal.get(key)
        return None if record is None else self._known(record, record.digest)

    def resume(self, record: Record, *, key: str | None, tag: object, deadline: float | None) -> Job:
        """Return the job of a token or a generation, or take it on as one that was begun already, by any program.

        Raises:
            InvalidRequest: It is not the job of ``key``, or that stands for something else.
        """
        return self._find_begun(record, key) or self.attach(record, tag=tag, deadline=deadline)

    def _find_begun(self, record: Record, key: str | None) -> Job | None:
        if record.generation_id is None:
            known = self._journal.get(record.key)
        elif (known := self._journal.find(record.generation_id)) is not None:
            check_key_of(known, key)
        if known is None:
            return None
        return self._known(known, known.digest if record.generation_id else record.digest)

    def attach(self, record: Record, *, tag: object, deadline: float | None) -> Job:
        """Take on a job that was begun elsewhere, or whose generation was found by other means.

        If its key has a job here that has no generation yet, that job continues with this one, and is never POSTed
        again. ``deadline`` is in seconds from now.

        Raises:
            InvalidRequest: Its key stands for something else here, or is being submitted at this moment.
        """
        known = self._journal.find(record.generation_id) if record.generation_id else None
        record = merged(known or self._journal.get(record.key), record, tag=tag, now=self.clock.wall())
        if record.key in self.open:
            active = active_job(self.open[record.key])
            self._attach_generation(active, record)
        else:
            active = self.watch(record, deadline)
        job = self.open[record.key]
        self.enqueue(active)  # which may settle it
        return job

    def _attach_generation(self, active: ActiveJob, record: Record) -> None:
        accepted_at = record.accepted_at or self.clock.wall()
        self.update(active, JobState.PENDING, generation_id=record.generation_id, accepted_at=accepted_at)
        active.accepted_at = min(self.clock.now(), self.clock.to_instant(accepted_at))
        active.taken_over = True
        active.deadline = min(active.deadline, self.clock.now() + self._patience(active.record))
        active.reach(Milestone.ACCEPTED)

    def reopen(self, record: Record, *, hold: bool) -> None:
        """Take on a job that an earlier session left open; its deadlines count from then.

        With ``hold``, a queued one waits for `resume_submissions`.
        """
        active = self._register(record)
        if record.deadline is not None:
            active.deadline = self.clock.to_instant(record.deadline)
        if record.generation_id is not None:
            active.deadline = min(active.deadline, active.accepted_at + self._patience(record))
        if hold and record.state is JobState.QUEUED:
            self._on_hold.append(active)
        else:
            self.enqueue(active)

    def invalid(self, request: Request | None, tag: object, error: KlingError) -> Job:
        """Return a job that has settled with this error, for a request that cannot be submitted; it is not recorded."""
        job = self._settled_job(Record(new_key(), JobState.REJECTED, request, tag=tag, error=error))
        error.about(key=job.key, generation_id=None, last_status=None, polls=0)
        return job

    def watch(self, record: Record, deadline: float | None, **changes: Any) -> ActiveJob:  # noqa: ANN401 - the record's own
        """Watch a job from now on, until the caller's deadline or a full ``Timeouts.generation`` from now.

        It is not in the queue yet. ``deadline`` is in seconds from now, and ``changes`` are of its record.
        """
        now = self.clock.now()
        record = evolve(record, deadline=None if deadline is None else self.clock.wall() + deadline, **changes)
        self._journal.append(record)
        active = self._register(record)
        active.deadline = math.inf if deadline is None else now + deadline
        if record.generation_id is not None:
            active.deadline = min(active.deadline, now + self._patience(record))
        return active

    def extend(self, active: ActiveJob, deadline: float | None) -> None:
        """Watch an open job until a later deadline, in seconds from now; an earlier one changes nothing."""
        now, until = self.clock.now(), math.inf if deadline is None else self.clock.now() + deadline
        if active.record.generation_id is not None:
            until = min(until, now + self._patience(active.record))
        if until <= active.deadline:
            return
        active.deadline = until
        active.record = evolve(active.record, deadline=None if deadline is None else self.clock.wall() + deadline)
        self._journal.append(active.record)
        if active.tracker is not None:
            active.tracker.latest = until
        elif until < math.inf:
            self._queue.recheck_at(active, until)

    def _patience(self, record: Record) -> float:
        """Return for how many seconds the caller has a generation watched."""
        return self._choices(record.key).generation

    def note_purchase(self, record: Record, generation_id: str) -> None:
        """Record what an abandoned job has bought all the same."""
        accepted_at = record.submitted_at or self.clock.wall()
        self._journal.append(evolve(record, generation_id=generation_id, accepted_at=accepted_at))

    def begun_at(self, active: ActiveJob) -> float:
        """Return the instant a job's last POST was begun, estimated by the wall clock if another process began it."""
        if active.begun_at > -math.inf:
            return active.begun_at
        submitted_at = active.record.submitted_at
        return self.clock.now() if submitted_at is None else min(self.clock.now(), self.clock.to_instant(submitted_at))

    # Queueing and halts

    def enqueue(self, active: ActiveJob, retry_at: float | None = None, *, is_unsent: bool = False) -> None:
        """Put a job into the queue for its next request, or for the same again; settle it if submits have halted.

        One that may have been bought, as the journal may have lost that, is searched for first, unless it ``is_unsent``
        for sure.
        """
        if active.settled:
            return
        if active.record.state is JobState.SUBMITTING:  # its session or process ended before its POST did
            self.update(active, JobState.UNCERTAIN)
        if self._queue.halted is not None:
            self.settle_if_halted(active)
            if active.settled:
                return
        if active.record.state is not JobState.PENDING:
            lost_at = None if is_unsent else self._lost_at(active.record)
            if lost_at != active.lost_at:
                active.trouble.lost_at = lost_at
            self.release_slot(active)
        if active.record.state is JobState.QUEUED and active.lost_at is not None:
            self._queue.put_uncertain(active)
        elif retry_at is None:
            self._queue.put(active, self.clock.now())
        else:
            self._queue.put_retry(active, retry_at)

    def apply(self, active: ActiveJob, result: RequestResult) -> None:
        """Put a job back into the queue, and halt submits, as a request's result says."""
        if isinstance(result, HaltSubmits):
            self.halt(result.error)
        if result is not None:
            self.enqueue(active, result.at if isinstance(result, RetryAt) else None)

    def halt(self, error: Halt) -> None:
        """Stop submits, or all requests where nothing can pass; the jobs concerned settle with copies of this error."""
        self._queue.halt(error, self.active_jobs)

    @property
    def halted(self) -> Halt | None:
        """The error that has halted submits; None while they go on."""
        return self._queue.halted

    def lift_halt(self, kind: type[Halt]) -> bool:
        """End a halt that an error of this class caused; return whether there was one."""
        if not isinstance(self._queue.halted, kind):
            return False
        self._queue.resume()
        return True

    def settle_if_halted(self, active: ActiveJob) -> None:
        """Settle a job that the halt concerns."""
        if not active.settled and (error := self._queue.halt_of(active)) is not None:
            self.settle(active, copied(error))

    def resume_submissions(self) -> None:
        """End a halt, and submit the jobs on hold, and those that are searched for though nothing was lost."""
        self._queue.resume()
        for active in self.active_jobs(JobState.QUEUED):
            if active.lost_at is not None and self._lost_at(active.record) is None:
                self.enqueue(active)
        while self._on_hold:
            self.enqueue(self._on_hold.pop(0))

    # Changing state

    async def commit(self, active: ActiveJob, state: JobState, **changes: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Change a job's state once the journal has it durably.

        Raises:
            JournalError: It could not be recorded; the job is as it was.
        """
        before = active.record
        record = self._next_record(active, state, changes)
        await self._journal.commit(record)
        if active.record is before:  # else it was abandoned meanwhile, which the journal has after this
            self._set_record(active, record)

    def update(self, active: ActiveJob, state: JobState, **changes: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Change a job's state at once; the journal writes it later."""
        record = self._next_record(active, state, changes)
        self._journal.append(record)
        self._set_record(active, record)

    def restore(self, active: ActiveJob) -> None:
        """Undo a change that was cancelled while it was being recorded."""
        self._journal.append(active.record)

    def _next_record(self, active: ActiveJob, state: JobState, changes: dict[str, Any]) -> Record:
        before = active.record.state
        if not before.may_become(state):
            raise AssertionError(f"job {active.record.key} cannot go from {before.value} to {state.value}")
        return evolve(active.record, state=state, polls=active.polls, last_status=active.last_status, **changes)

    async def accept(
        self, active: ActiveJob, generation_id: str, *, late: bool = False, post: Mapping[str, Any] | None = None
    ) -> None:
        """Record the generation a job has bought; with ``late``, as bought when its POST was begun.

        ``post`` has what was found out about the POST. It is kept in memory and logged even if the journal fails, as it
        is paid for. The job is then in the queue for its first poll.
        """
        accepted_at, changes = self.clock.now(), {**(post or {}), "generation_id": generation_id}
        begun = changes.get("submitted_at", active.record.submitted_at) if late else None
        changes["accepted_at"] = begun or self.clock.wall()
        if active.record.state is not JobState.ABANDONED:
            await self._commit_regardless(active, JobState.PENDING, changes)
        if active.record.state is JobState.ABANDONED:
            active.record = evolve(active.record, **changes)
            self._journal.append(active.record)
            return
        active.accepted_at = self.begun_at(active) if late else accepted_at
        active.begun_at = -math.inf  # not needed any more, and many jobs are pending for long
        active.deadline = min(active.deadline, self.clock.now() + self._patience(active.record))
        active.reach(Milestone.ACCEPTED)
        self.emit(active, events.Accepted)
        self.enqueue(active)

    async def buy_again(self, active: ActiveJob) -> None:
        """Record that a job is queued again, as its generation has failed; its deadline is the caller's again.

        Raises:
            JournalError: It could not be recorded; the job is as it was.
        """
        self._queue.discard(active)
        await self.commit(active, JobState.QUEUED, **without_generation(active.record))
        active.clear_failures()
        active.tracker, active.taken_over, active.accepted_at = None, False, math.inf
        deadline = active.record.deadline
        if deadline is None:
            active.deadline = math.inf
        else:
            active.deadline = self.clock.to_instant(deadline)
            self._queue.recheck_at(active, active.deadline)

    async def finish(self, active: ActiveJob, state: JobState, **outcome: Any) -> None:  # noqa: ANN401 - the record's own fields
        """Record the end of a generation's life, and settle the job with it, even if it could not be recorded."""
        error: KlingError | None = outcome.get("error")
        if error is not None:
            self._add_context(active, error)
        changes = {**outcome, "settled_at": self.clock.wall()}
        try:
            await self._commit_regardless(active, state, changes)
        except asyncio.CancelledError:  # the session ends while it is being recorded; the outcome is known all the same
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
            _logger.exception(
                "job %s is %s (generation %s), unrecorded",
                active.record.key,
                state.value,
                known,
                extra=active.log_fields,
            )
            if active.record.state.may_become(state):  # else it was abandoned meanwhile
                self.update(active, state, **changes)
            self.halt(error)

    async def downloaded(self, generation_id: str, path: str, size: int, digest: str) -> None:
        """Record durably the path, bytes and SHA-256 of a video's file, if the video is a job's.

        Raises:
            JournalError: It is not recorded yet.
        """
        record = self.find_record(generation_id)
        if record is not None:
            self._journal.append(evolve(record, file=path, file_size=size, file_digest=digest))
            await self._journal.flush()

    def find_record(self, generation_id: str) -> Record | None:
        """Return the record of a generation's job, if there is one."""
        return self._journal.find(generation_id) if generation_id else None

    def abandon(self, job: Job) -> None:
        """Stop watching a job for good; a POST under way goes on, so that a generation it buys is recorded."""
        active = active_job(job)
        if active.settled:
            return
        bought = active.record.state is not JobState.QUEUED or active.lost_at is not None
        message = f"job {job.key} was abandoned; {'its charge stands' if bought else 'it was never submitted'}"
        error = self._add_context(active, JobAbandoned(message))
        self.update(active, JobState.ABANDONED, settled_at=self.clock.wall(), error=error)
        self.settle(active, error)

    # Asking

    def recorded(self, key: str) -> Record | None:
        """Return the record under this key."""
        return self._journal.get(key)

    def has_generation(self, generation_id: str) -> bool:
        """Return whether a job has this generation already."""
        return self._journal.find(generation_id) is not None

    def release_slot(self, active: ActiveJob) -> None:
        """Stop counting an uncertain job as in flight once its generation would have ended."""
        if active.record.state is not JobState.UNCERTAIN:
            return
        over_at = self.begun_at(active) + min(self._patience(active.record), self._queue.longest(active))
        if over_at <= self.clock.now():
            self._overdue.add(active)
            self._queue.release_slot(active)
        else:
            self._queue.recheck_at(active, over_at)

    async def flush(self) -> None:
        """Wait until everything recorded so far is durable."""
        await self._journal.flush()
