"""The jobs of a session on a shared journal: it asks for them, and watches them change, whichever session leads."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve

from kling_async.engine import events
from kling_async.engine.identity import (
    check_digest,
    check_key_of,
    key_conflict,
    may_retry,
    merged,
    record_of_request,
)
from kling_async.engine.job import ActiveJob, Milestone, active_job
from kling_async.engine.store import JobStore
from kling_async.errors import DeadlineExceeded, InvalidRequest, JobAbandoned
from kling_async.files.uploads import check_files, with_contents
from kling_async.journal.base import JobState
from kling_async.journal.shared import Instruction
from kling_async.journal.token import write_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.api.requests import Request
    from kling_async.engine.job import Job
    from kling_async.engine.results import Halt
    from kling_async.errors import KlingError
    from kling_async.journal.base import Record
    from kling_async.journal.shared import Entry, Kind, SharedJournal

_logger = logging.getLogger("kling_async.shared")


class MemberStore(JobStore):
    """The jobs that this session has asked for, as their records change.

    A member writes a job's record only by inserting it. All else it asks of the leader: so its jobs settle by what
    their records say, and at their own deadlines.
    """

    def __init__(
        self,
        shared: SharedJournal,
        on_resume: Callable[[], object],
        *store: Any,  # noqa: ANN401 - the store's own
        **others: Any,  # noqa: ANN401 - likewise
    ) -> None:
        super().__init__(*store, **others)
        self._shared = shared
        self._on_resume = on_resume  # called when submits are to be resumed
        self._grace = shared.lease_length  # seconds after a deadline for which the leader is waited for
        self._stale: dict[str, int] = {}  # jobs to go on: what is not newer than this change does not settle them
        self._retried: dict[str, bool | Literal["all"]] = {}  # those to be bought again if they have failed

    # Identity

    def find(self, key: str) -> Job | None:
        """Return the job under this key, open or with its outcome, and watch it; None if there is none."""
        return self.open.get(key) or self._of_entry(self._shared.get(key))

    def _find_begun(self, record: Record, key: str | None) -> Job | None:
        if record.generation_id is None:
            return self._open_under(record.key, record.digest)
        entry = self._shared.find(record.generation_id)
        if entry is not None:
            check_key_of(entry.record, key)
        return self._of_entry(entry)

    def _open_under(self, key: str, digest: bytes) -> Job | None:
        job = self.open.get(key)
        if job is not None:
            check_digest(active_job(job).record, digest)
        return job

    def _of_entry(self, entry: Entry | None) -> Job | None:
        if entry is None or entry.parked is not None:
            return None
        record = entry.record
        if record.state.is_terminal:
            return self._settled_job(record)
        if record.key not in self.open:
            self._register(record)
            self._shared.look(record.key, self.observe)  # it may have changed before it was watched
        return self.open[record.key]

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
        """Return the open job under this key, or insert a request to be bought; if its key has a job, that is watched.

        With ``retry_failed``, one that has failed is bought again. The files of what may have to be sent are checked:
        whether it was sent is known only once it is inserted.
        """
        digest, sent = self._by_content(request, key)
        if key is not None and (job := self._open_under(key, digest)) is not None:
            return job
        record = record_of_request(request, digest=digest, key=key, tag=tag, now=self.clock.wall())
        record = evolve(record, deadline=self._wall(deadline), priority=priority, group=group)
        if retry_failed:
            self._retried[record.key] = retry_failed
        self._shared.insert(evolve(record, request=sent), self._choices(record.key), self._meet)
        self.emit(self._watch(record, deadline), events.Queued)
        return self.open[record.key]

    def insert_again(self) -> None:
        """Insert all jobs again, as they are known here, and tell of their generations: the journal has lost some."""
        for active in self.active_jobs():
            record, deadline = active.record, active.record.deadline
            if record.request is not None:
                with suppress(InvalidRequest):  # of a file that is gone, without which it cannot be sent
                    _, sent = self._by_content(record.request, record.key)
                    self._shared.insert(evolve(record, request=sent), self._choices(record.key), self._meet)
            if record.generation_id is not None:
                self._ask("attach", record.key, token=write_token(record), tag=record.tag, deadline=deadline)

    def _by_content(self, request: Request, key: str | None) -> tuple[bytes, Request]:
        """Return the digest of a request by its files' contents, and what other members need to send it.

        Raises:
            InvalidRequest: A file cannot be sent, and its key's job may still need it.
        """
        try:
            check_files(request)
            whole = with_contents(request)
        except InvalidRequest:
            known = self.recorded(key) if key is not None else None
            if known is None or known.request != request or known.state is JobState.QUEUED:
                raise
            return known.digest, request
        return whole.digest(), request if self._shared.is_local else whole

    def attach(self, record: Record, *, tag: object, deadline: float | None) -> Job:
        """Ask for a generation that was bought elsewhere to be watched."""
        entry = (self._shared.find(record.generation_id) if record.generation_id else None) or self._shared.get(
            record.key
        )
        record = merged(None if entry is None else entry.record, record, tag=tag, now=self.clock.wall())
        if record.state.is_terminal:
            return self._settled_job(record)
        self._ask("attach", record.key, token=write_token(record), tag=tag, deadline=self._wall(deadline))
        if record.key not in self.open:
            patience = math.inf if record.generation_id is None else self._patience(record)
            self._watch(record, min(patience, math.inf if deadline is None else deadline))
        self._stale[record.key] = 0 if entry is None else entry.change
        return self.open[record.key]

    def _watch(self, record: Record, deadline: float | None) -> ActiveJob:
        active = self._register(record)
        if deadline is not None and deadline < math.inf:
            active.deadline = self.clock.now() + deadline
            self._queue.recheck_at(active, active.deadline)
            self._queue.changed.wake()
        return active

    def _wall(self, deadline: float | None) -> float | None:
        return None if deadline is None else self.clock.wall() + deadline

    def _ask(self, kind: Kind, key: str = "", **data: object) -> None:
        self._shared.instruct(Instruction(kind, key, data))

    # Changes

    def _meet(self, entry: Entry) -> None:
        """Go on with the job that a key had already, and have it watched until this caller's deadline, too."""
        job = self.open.get(entry.record.key)
        if job is None:
            return
        active, record = active_job(job), entry.record
        if record.digest == active.record.digest and not entry.is_refused:
            self._go_on(entry, active.record.deadline)
        self.observe(entry)

    def _go_on(self, entry: Entry, deadline: float | None) -> None:
        record, which = entry.record, self._retried.pop(entry.record.key, False)
        if may_retry(record, which):
            self._stale[record.key] = entry.change
            self._ask("retry", record.key, which=which, settled_at=record.settled_at, deadline=deadline)
        elif not record.state.is_terminal:
            self._stale[record.key] = entry.change
            wanted = math.inf if deadline is None else deadline
            if entry.parked is not None or (record.deadline is not None and record.deadline < wanted):
                self._ask("watch", record.key, deadline=deadline)

    def observe(self, entry: Entry) -> None:
        """Take over what a job's record says now."""
        job = self.open.get(entry.record.key)
        if job is None:
            return
        active, record = active_job(job), entry.record
        if entry.is_refused:
            self.settle(active, entry.parked)
            return
        if active.record.digest and record.digest and record.digest != active.record.digest:
            self.settle(active, key_conflict(record.key))
            return
        is_news = entry.change > self._stale.get(record.key, -1)
        if record.state.is_terminal and not is_news:
            return
        before = active.record
        self._set_record(active, evolve(record, request=record.request or before.request))
        active.polls, active.last_status = record.polls, record.last_status
        if record.attempts > before.attempts:
            self.emit(active, events.Submitted, attempt=record.attempts, state=JobState.SUBMITTING)
        if record.generation_id is not None and before.generation_id is None:
            active.reach(Milestone.ACCEPTED)
            self.emit(active, events.Accepted, state=JobState.PENDING)
        if record.state.is_terminal:
            self.settle(active, record.error)
        elif entry.parked is not None and is_news:
            self.settle(active, entry.parked)

    def settle(self, active: ActiveJob, error: KlingError | None) -> None:
        """Settle a job here; its record is left as it is."""
        self._stale.pop(active.record.key, None)
        self._retried.pop(active.record.key, None)
        super().settle(active, error)

    def expire(self, active: ActiveJob, now: float) -> None:
        """Settle a job whose deadline here has passed, once the leader has had time to do so by its last poll."""
        if active.settled:
            return
        theirs = active.record.deadline
        is_theirs = theirs is not None and self.clock.to_instant(theirs) <= active.deadline + 1.0
        due = active.deadline + (self._grace if is_theirs else 0.0)
        if now < due:
            self._queue.recheck_at(active, due)
            return
        self.settle(
            active, DeadlineExceeded(f"job {active.record.key} was not done by its deadline; it can be resumed")
        )

    # What the leader is asked for

    def abandon(self, job: Job) -> None:
        """Stop watching a job for good."""
        active = active_job(job)
        if active.settled:
            return
        message = f"job {job.key} was abandoned; if it was submitted, its charge stands"
        error = self._add_context(active, JobAbandoned(message))
        self._ask("abandon", job.key)
        self._set_record(active, evolve(active.record, state=JobState.ABANDONED, error=error))
        self.settle(active, error)

    def resume_submissions(self) -> None:
        """Have a halt ended, and what it parked submitted; and stand for leader again if the key was refused."""
        self._on_resume()
        self._ask("resume submissions")

    async def downloaded(self, generation_id: str, path: str, size: int, digest: str) -> None:
        """Have the path, bytes and SHA-256 of a video's file recorded; return once that cannot be forgotten."""
        self._ask("downloaded", generation_id=generation_id, path=path, size=size, digest=digest)
        await self.flush()

    def find_record(self, generation_id: str) -> Record | None:
        """Return the record of a generation's job, if there is one."""
        entry = self._shared.find(generation_id) if generation_id else None
        return None if entry is None else entry.record

    def halt(self, error: Halt) -> None:
        """Halt nothing: what stops this session stops nobody else."""
        _logger.warning("%s", error)

    def recorded(self, key: str) -> Record | None:
        """Return the record under this key."""
        entry = self._shared.get(key)
        return None if entry is None else entry.record

    async def flush(self) -> None:
        """Wait until everything asked for so far is durable."""
        await self._shared.flush()
