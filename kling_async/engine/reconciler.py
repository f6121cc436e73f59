"""Searches the account's log of requests for submits whose outcome is unknown."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kling_async.api.account.logs import LogEntry, LogReading, are_one_model
from kling_async.api.account.usage import span_query
from kling_async.engine.log_search import LogSearch, UncertainJob
from kling_async.errors import AuthenticationError, GenerationFailed, JournalError, KlingError
from kling_async.journal.base import JobState
from kling_async.pacing.absence import MAX_SKEW, USUAL_SKEW, LoggedPost, elapsed_at_vendor, query_spans

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from kling_async.engine.account import Account
    from kling_async.engine.credit import Confirmation
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.store import JobStore
    from kling_async.journal.base import Choices
    from kling_async.pacing.absence import PostOrder
    from kling_async.settings import Reconciliation

_logger = logging.getLogger("kling_async.reconcile")

_TICK = 0.01  # seconds: a wall clock's time, counted from 1970, is not as exact as the loop's
_TRIES = 8  # of one page, about a minute in all: as long as the log refuses requests that were too many


class Reconciler:
    """Continues jobs that were bought after all, and gives up only on those that a late, complete search does not show.

    One search serves every uncertain job. A row belongs to a job only if it has the exact name the job's POST was sent
    under, which no other POST of any program ever had, and the job's model.
    """

    def __init__(
        self,
        account: Callable[[], Account],
        confirmation: Confirmation,
        store: JobStore,
        queue: JobQueue,
        settings: Reconciliation,
        *,
        order: PostOrder,
        choices: Callable[[str], Choices],
        before_resubmit: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._account = account
        self._confirmation = confirmation
        self._store = store
        self._queue = queue
        self._settings = settings
        self._order = order
        self._choices = choices  # by key: what the caller chose
        self._before_resubmit = before_resubmit  # something else may tell by then what became of it
        self._clock = store.clock
        self._gap = settings.first_gap
        self._search_at = math.inf
        self._uncertain: dict[str, UncertainJob] = {}

    async def run(self) -> None:
        """Search whenever jobs are uncertain, until cancelled."""
        while True:
            now = await self._queue.uncertain_added.sleep_until(self._search_at)
            self._take_new(now)
            if now < self._search_at:
                continue
            self._search_at = math.inf  # a job that becomes uncertain during this search needs another
            if self._open_jobs():
                await self._search(now)
            if self._open_jobs():
                self._schedule_next(self._clock.now())

    def _take_new(self, now: float) -> None:
        """Take the jobs that have become uncertain; the first search comes soon, later ones at growing gaps."""
        for active in self._queue.take_uncertain():
            ended_at = None if active.begun_at == -math.inf else self._clock.wall()
            self._uncertain[active.record.key] = UncertainJob(active, now, ended_at, active.lost_at)
            self._gap = self._settings.first_gap
            self._search_at = min(self._search_at, now + self._gap)

    def _open_jobs(self) -> list[UncertainJob]:
        self._uncertain = {key: job for key, job in self._uncertain.items() if job.is_open}
        return list(self._uncertain.values())

    # When

    def _schedule_next(self, now: float) -> None:
        """Set the time of the next search: after a growing gap, or as soon as one may decide about some job."""
        self._gap = min(2 * self._gap, self._settings.longest_gap)
        decisive = [at for job in self._uncertain.values() for at in self._decisive_instants(job, now) if at > now]
        self._search_at = min(self._search_at, now + self._gap, *decisive)

    def _decisive_instants(self, job: UncertainJob, now: float) -> tuple[float, ...]:
        """Return the instants from which on a search may be the last one for a job."""
        wait = self._give_up_after(job)
        late_at = job.since + wait
        by_wall = now + wait - self._age_by_wall(job, self._clock.wall()) + _TICK if job.is_inherited else late_at
        return (late_at, by_wall, late_at + self._settings.longest_gap, late_at + self._settings.log_grace)

    def _give_up_after(self, job: UncertainJob) -> float:
        chosen = self._choices(job.active.record.key).after
        return self._settings.give_up_after(job.active.model, job.active.duration) if chosen is None else chosen

    def _age_by_wall(self, job: UncertainJob, wall: float) -> float:
        return 0.0 if job.posted_until is None else wall - job.posted_until

    # Searching

    async def _search(self, begun: float) -> None:
        """Search for every uncertain job once. An error on the way makes the search incomplete: it proves nothing."""
        jobs, wall = self._open_jobs(), self._clock.wall()
        may_prove = any(self._may_be_late(job, begun, wall) for job in jobs)
        names = {name: dict[str | None, LogEntry]() for job in jobs for name in job.names}
        search = LogSearch(begun, wall, MAX_SKEW if may_prove else USUAL_SKEW, names)
        try:
            for start, end in self._windows(jobs, search):
                await self._read(search, start, end)
        except Exception as error:  # noqa: BLE001 - a mistake in here must not leave jobs waiting for ever
            if isinstance(error, AuthenticationError) and await self._confirmation.confirms(error):
                self._store.halt(error)
                return
            _logger.warning("the account's log could not be read to its end: %r", error)
            search.broke_off = True
        for job in jobs:
            await self._conclude(job, search)

    def _may_be_late(self, job: UncertainJob, begun: float, wall: float) -> bool:
        wait = self._give_up_after(job)
        return begun >= job.since + wait or self._age_by_wall(job, wall) >= wait

    def _windows(self, jobs: Sequence[UncertainJob], search: LogSearch) -> Iterator[tuple[float, float]]:
        """Return the spans to read: from before the oldest POST to after the newest, by both clocks.

        Recorded times and measured ages differ if the clock was set or the machine slept; using both only makes the
        search longer.
        """
        recorded = [at for job in jobs if (at := job.posted_from) is not None]
        measured = [search.wall - (search.begun - job.since) for job in jobs]
        times = [search.wall, *recorded, *measured]
        return query_spans(min(times) - search.skew, max(times) + search.skew)

    async def _read(self, search: LogSearch, start: float, end: float) -> None:
        """Read one span of the log to its end; pages overlap by a row, so that none is lost between them."""
        reading, stretch = LogReading(overlap=1), span_query(None, _moment(start), _moment(end))
        while not reading.ended:
            rows = await self._account().read_log(reading, stretch, tries=_TRIES)
            search.compare(reading.began, self._clock.wall())
            for row in rows:
                self._keep_row(search, row, row.client_request_id or "")
        search.complete = search.complete and reading.complete

    def _keep_row(self, search: LogSearch, row: LogEntry, name: str) -> None:
        """Keep a row if it is searched for or is a POST of this journal's; the log is the whole account's."""
        key = name.rpartition(":")[0]
        for wanted in {name, f"{key}:"} & search.rows.keys():
            search.rows[wanted].setdefault(row.inference_id, row)
        try:
            if not name and not (row.inference_id and self._store.has_generation(row.inference_id)):
                search.nameless.append(row)
            record = self._store.recorded(key)
        except JournalError:  # it is of this journal, whose record is damaged
            return
        if record is not None and record.client_request_id == name and record.submitted_at is not None:
            created = None if row.created is None else row.created.timestamp()
            search.shown.setdefault(name, LoggedPost(record.submitted_at, created))

    # Deciding

    async def _conclude(self, job: UncertainJob, search: LogSearch) -> None:
        try:
            await self._decide(job, search)
        except Exception:  # one job's error must not end the others' search
            _logger.exception("job %s could not be searched for", job.active.record.key, extra=job.active.log_fields)
        # A log that contradicts itself may do so again: after one more search the job is reported.
        grace = self._settings.log_grace if search.broke_off else self._settings.longest_gap
        if job.is_open and self._clock.now() >= job.since + self._give_up_after(job) + grace:
            self._report(job, "it could not be read to its end")

    async def _decide(self, job: UncertainJob, search: LogSearch) -> None:
        named = [row for row in search.under(job.names) if not _is_past(job, row)]
        found = [row for row in named if await self._matches(job.active, row)]
        if not job.is_open:
            return
        if found:
            await self._accept(job.active, found)
        elif search.covers(job):
            later = self._shown_later(job, search)
            if self._is_late(job, search, later):
                # Any row under its name, even an unusable one, is a sign that something was bought.
                shows = search.has_names if job.is_queued else bool(later)
                proven = (shows or job.is_queued) and not named
                if proven and not (job.is_queued and shows):
                    proven = not await self._may_have_lost_its_name(job, search)
                await self._give_up(job, proven=proven)

    def _shown_later(self, job: UncertainJob, search: LogSearch) -> list[LoggedPost]:
        """Return the POSTs of this journal in the log that were certainly begun after this job's.

        If there are any, the log does keep the names of submits, and has caught up with this job's.
        """
        submitted_at = job.active.record.submitted_at or math.inf
        later = (shown for shown in search.shown.values() if self._order.is_later(shown.submitted_at, submitted_at))
        return [shown for shown in later if shown.was_timed_rightly(search.ahead)]

    def _is_late(self, job: UncertainJob, search: LogSearch, later: Sequence[LoggedPost]) -> bool:
        """Return whether the search was begun late enough for the log to show the POST, had it been accepted.

        Before a resubmit only a clock counts that cannot have been set: the loop's, or the vendor's alone.
        """
        wait = self._give_up_after(job)
        # One that was begun while this one was under way may have been accepted long before it.
        after = [
            shown for shown in later if job.ended_at is None or self._order.is_later(shown.submitted_at, job.ended_at)
        ]
        if search.begun >= job.since + wait or elapsed_at_vendor(after, search.asked_at) >= wait:
            return True
        # The time of a loss is the database's, as is the age here, whichever process takes the job up.
        is_sent_again = self._may_resubmit(job) and not job.is_queued
        trusted = job.is_inherited and abs(search.ahead or 0.0) <= USUAL_SKEW and not is_sent_again
        return trusted and self._age_by_wall(job, search.wall) >= wait

    async def _may_have_lost_its_name(self, job: UncertainJob, search: LogSearch) -> bool:
        """Return whether the log shows something bought without a name, of this job's model and when it was POSTed."""
        model = job.active.model
        for row in search.nameless:
            if row.status == "failed" or not job.may_be(row, search.ahead):
                continue
            if not (row.model and model) or await self._is_of_model(model, row.model):
                return True
        return False

    async def _matches(self, active: ActiveJob, row: LogEntry) -> bool:
        name, extra = row.client_request_id, active.log_fields
        if row.inference_id is None:
            _logger.error("%s is in the log without a usable id: %r", name, row.raw.get("inference_id"), extra=extra)
            return False
        if row.model is not None and active.model and not await self._is_of_model(active.model, row.model):
            _logger.error("%s is in the log for model %s, not %s", name, row.model, active.model, extra=extra)
            return False
        if self._store.has_generation(row.inference_id):
            _logger.error("%s is in the log as %s, which another job has", name, row.inference_id, extra=extra)
            return False
        return True

    async def _is_of_model(self, model: str, told: str) -> bool:
        if are_one_model(model, told):
            return True
        try:  # it may have been renamed, or be logged under an alias
            return any(are_one_model(name, told) for name in await self._account().model_names(model))
        except KlingError as error:
            _logger.warning("the aliases of model %s could not be read: %s", model, error)
            return False

    async def _accept(self, active: ActiveJob, found: Sequence[LogEntry]) -> None:
        """Continue with the generation that was bought; of several, with the oldest that has not failed."""
        key, extra = active.record.key, active.log_fields
        row = next((row for row in found if row.status != "failed"), found[0])
        generation_id = row.inference_id
        assert generation_id is not None  # noqa: S101 - see _matches
        if len(found) > 1:
            ids = ", ".join(str(row.inference_id) for row in found)
            said = "job %s is in the log %d times, as %s; going on with %s"
            _logger.error(said, key, len(found), ids, generation_id, extra=extra)
        _logger.info("job %s was accepted after all, as %s", key, generation_id, extra=extra)
        self._uncertain.pop(key, None)
        post: dict[str, Any] = {}
        if active.lost_at is not None:
            post = {"client_request_id": row.client_request_id, "attempts": max(1, active.record.attempts)}
            if row.created is not None:
                post["submitted_at"] = min(row.created.timestamp(), self._clock.wall())
        if row.status == "failed":
            error = GenerationFailed("generation failed: so says the account's log, without a reason")
            await self._store.finish(active, JobState.FAILED, generation_id=generation_id, error=error, **post)
            return
        await self._store.accept(active, generation_id, late=True, post=post)

    def _may_resubmit(self, job: UncertainJob) -> bool:
        """Return whether it may be submitted again once it is proven that it was not accepted."""
        record = job.active.record
        chosen = len(record.former_request_ids) < self._choices(record.key).resubmits
        # A job posted elsewhere, and known here by its token alone, is never posted here.
        return chosen and record.attempts > 0

    async def _give_up(self, job: UncertainJob, *, proven: bool) -> None:
        if not (proven and (job.is_queued or self._may_resubmit(job))):
            self._report(job, "it has rows that may be this job's")
            return
        if self._before_resubmit is not None:
            await self._before_resubmit()
            if not job.is_open:
                return
        active, record = job.active, job.active.record
        self._uncertain.pop(record.key, None)
        if job.is_queued:
            _logger.info("job %s is not in the account's log, and is submitted", record.key, extra=active.log_fields)
            self._store.enqueue(active, is_unsent=True)
            return
        _logger.warning(
            "job %s is not in the account's log, and is submitted again", record.key, extra=active.log_fields
        )
        former = (*record.former_request_ids, record.client_request_id or "")
        try:
            await self._store.commit(active, JobState.QUEUED, former_request_ids=former)
        except JournalError as error:
            self._store.settle(active, error)
        else:
            self._store.enqueue(active)

    def _report(self, job: UncertainJob, reason: str) -> None:
        self._uncertain.pop(job.active.record.key, None)
        self._store.settle(job.active, _lost(reason) if job.is_queued else job.active.uncertain_error())


def _is_past(job: UncertainJob, row: LogEntry) -> bool:
    """Return whether a row under the name of a queued job bought nothing, or what its record knows to have failed."""
    record, known = job.active.record, (*job.active.record.former_request_ids, job.active.record.client_request_id)
    is_known = row.inference_id in (None, *record.former_generation_ids) or row.client_request_id in known
    return job.is_queued and row.status == "failed" and is_known


def _lost(reason: str) -> JournalError:
    return JournalError(
        "the database was restored, or another one took over, so that it may have lost that this job was bought, which"
        f" the account's log does not tell: {reason}; look for it there, then call resume_submissions()"
    )


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)
