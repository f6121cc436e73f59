"""The scheduler: one coroutine that decides which job's submit or poll goes next, and when.

Waiting jobs are in the job queue. One request at a time is admitted by the session's admission control, the most
urgent one first, and a worker sends it. A worker decides only what its own answer means; what that asks of the session
comes back here as a result, for the store to apply. A worker that has become free takes its next poll here at once,
which saves a turn of the event loop when no submit waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from kling_async.engine import events
from kling_async.engine.results import ON, RateLimitHit, RetryAt
from kling_async.engine.tasks import WorkerPool, is_own_cancellation
from kling_async.errors import DeadlineExceeded, KlingError
from kling_async.journal.base import JobState

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from kling_async.api.protocol import SubmitAnswer
    from kling_async.engine.completion_feed import LedgerReader
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.poller import Poller
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.results import HaltSubmits, RequestResult
    from kling_async.engine.stats import Counters
    from kling_async.engine.store import JobStore
    from kling_async.engine.submitter import Submitter
    from kling_async.engine.tasks import Wait
    from kling_async.pacing.admission import AdmissionControl
    from kling_async.pacing.backoff import Backoff

_logger = logging.getLogger("kling_async.scheduler")

_STRIDE = 64  # decisions in a row before other tasks get the loop
_SOONEST_REVIEW = 1 / 15  # of the usual time between reviews, where the completion feed asks for one
_POST_GRACE = 1.0  # seconds after a deadline until a POST under way is checked again


class Scheduler:
    """Starts the session's submits and polls: submits first, then the poll that is worth most."""

    def __init__(
        self,
        store: JobStore,
        queue: JobQueue,
        submitter: Submitter,
        poller: Poller,
        admission: AdmissionControl,
        counters: Counters,
        backoff: Backoff,
        *,
        ledger: LedgerReader | None,
        max_polls: int,
        review_every: float,
    ) -> None:
        self._store = store
        self._queue = queue
        self._submitter = submitter
        self._poller = poller
        self._admission = admission
        self._counters = counters
        self._backoff = backoff  # of requests that were refused (429)
        self._max_polls = max_polls
        self._review_every = review_every  # seconds from one review of all waiting polls to the next
        self._ledger = ledger  # None without a completion feed
        self._now = store.clock.now
        self._review_at = self._reviewed_at = -math.inf
        self._submitting = 0  # submits begun whose outcome is not recorded yet
        self._posting = 0  # those of them whose POST is not over
        self._polling = 0  # GETs under way

    # Deciding

    async def run(self, polls: TaskGroup, submits: TaskGroup) -> None:
        """Decide until cancelled. Polls and submits run in task groups of their own, as they end differently."""
        pool: WorkerPool[ActiveJob] = WorkerPool(polls, self._store.clock.loop, self._poll)
        now, decisions = self._now(), 0
        while True:
            start_at, retry_at = self._next_start(now), self._queue.retry_at(now)
            if self._queue.stopped:
                self._store.settle_if_halted(self._queue.stopped.popleft())
            elif self._queue.next_deadline <= now:
                self._expire(self._queue.take_expired(now), now)
            elif retry_at <= now:
                self._queue.release_retry(now)
            elif start_at <= now:
                self._start(now, pool, polls, submits)
            elif self._next_review > now:
                wake_at = min(start_at, retry_at, self._queue.next_deadline, self._next_review)
                now = await self._queue.changed.sleep_until(wake_at)
                continue
            decisions += 1
            if self._next_review <= now:
                self._review(now)
                await asyncio.sleep(0)  # each step of a review is long enough for one turn of the loop
            elif decisions % _STRIDE == 0:
                await asyncio.sleep(0)
            now = max(now, self._now())

    def _next_start(self, now: float) -> float:
        """Return the earliest instant at which some request may be started, as far as is known now."""
        return self._admitted_at(min(self._submit_at(now), self._poll_at(), self._look_at()), now)

    def _admitted_at(self, wanted: float, now: float) -> float:
        """Return the earliest instant at which a request may be started that is wanted from that instant on."""
        if wanted == math.inf:
            self._admission.waiting(now, due=False)
            return wanted
        admitted_at = self._admission.request_at(now)
        start_at = wanted if wanted > admitted_at else admitted_at
        if start_at > now:
            self._admission.waiting(now, due=wanted <= now)
        return start_at

    def _submit_at(self, now: float) -> float:
        if not self._queue.has_submits:  # the usual case, checked before every poll
            return math.inf
        return max(
            self._queue.submit_at(),
            self._admission.submit_at(now, self._store.in_flight, self._submitting, self._posting),
        )

    def _poll_at(self) -> float:
        return math.inf if self._polling >= self._max_polls else self._queue.polls.next_at()

    def _look_at(self) -> float:
        """Return the instant of the next look at the ledger; there is none while no job waits for a poll."""
        return self._ledger.feed.next_look_at if self._ledger is not None and self._queue.polls else math.inf

    def _start(self, now: float, pool: WorkerPool[ActiveJob], polls: TaskGroup, submits: TaskGroup) -> None:
        """Start the most urgent request that is due; a job that has settled meanwhile just leaves the queue."""
        if self._ledger is not None and self._look_at() <= now:
            self._ledger.begin(now)
            polls.start_soon(self._ledger.look, name="kling_async look at the ledger")
            return
        submit_due, polls_due = self._submit_at(now) <= now, self._poll_at() <= now
        if submit_due and self._queue.submit_goes_first(polls_due=polls_due):
            if (active := self._queue.take_submit(now)) is not None:
                self._admission.take_submit(now)
                self._submitting += 1
                self._posting += 1
                submits.start_soon(self._submit, active, name="kling_async submit")
        elif (poll := self._take_poll(now)) is not None:
            pool.give(poll)

    def _take_poll(self, now: float) -> ActiveJob | None:
        active = self._queue.take_poll(now)
        if active is not None:
            self._admission.take_poll(now)
            self._polling += 1
        return active

    def _next_poll(self, now: float) -> ActiveJob | None:
        """Return the next poll for a worker that has become free; None if the coroutine has to decide."""
        if self._queue.has_only_polls(now):
            start_at = self._admitted_at(self._queue.polls.next_at(), now)
            if start_at > now:
                self._queue.changed.wake_by(min(start_at, self._queue.retry_at(now)))
                return None
            no_look = self._ledger is None or self._ledger.feed.next_look_at > now
            if no_look and (poll := self._take_poll(now)) is not None:
                return poll
        self._queue.changed.wake()
        return None

    @property
    def _next_review(self) -> float:
        if not self._queue.polls:
            return math.inf
        if self._ledger is not None and self._ledger.feed.wants_round:
            return min(self._review_at, self._reviewed_at + _SOONEST_REVIEW * self._review_every)
        return self._review_at

    def _review(self, now: float) -> None:
        """Review some more of the waiting polls: durations learned meanwhile may make them due sooner."""
        self._review_at = min(self._review_at, now)  # so that a round that was asked for is also finished
        if self._queue.polls.review(now, self._admission.rate):
            self._reviewed_at = now
            self._review_at = now + self._review_every

    # Deadlines

    def _expire(self, active: ActiveJob | None, now: float) -> None:
        if active is None or active.settled:
            return
        if now < active.deadline:
            self._store.release_slot(active)
        elif active.record.state is JobState.PENDING:
            self._queue.poll_at_deadline(active, now)
        elif active.record.state is JobState.UNCERTAIN:
            self._store.settle(active, active.uncertain_error())
        elif active.record.state is JobState.QUEUED:
            known = "nothing was bought" if active.lost_at is None else "it is not known yet whether it was bought"
            message = f"job {active.record.key} was still queued at its deadline; {known}"
            self._store.settle(active, DeadlineExceeded(message))
        elif active.record.state is JobState.SUBMITTING:  # its POST ends by itself soon
            self._queue.recheck_at(active, now + _POST_GRACE)

    # Applying results

    async def _submit(self, active: ActiveJob) -> None:
        self._store.settle_if_halted(active)  # submits may have been stopped since this one was started
        begun = self._now()
        if active.settled:
            self._submitting -= 1
            self._posting -= 1
            self._queue.submit_ended(active, begun)
            return
        self._counters.submits += 1
        try:
            result = await self._submitter.conclude(active, await self._post(active))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see _fail
            result = self._fail(active, error)
        finally:
            self._submitting -= 1
            self._queue.changed.wake()
        now, running = self._now(), self._store.in_flight
        if isinstance(result, RateLimitHit):
            result = self._submit_refused(active, result, now, begun)
        elif isinstance(result, RetryAt):
            self._admission.breakers.failed(active.line, now, begun)
        elif active.record.state is JobState.PENDING:
            self._admission.submit_passed(now, begun, running, active.line)
            self._queue.passed(active, now)
        self._queue.submit_ended(active, begun)
        self._store.apply(active, result)

    def _submit_refused(self, active: ActiveJob, hit: RateLimitHit, now: float, begun: float) -> RequestResult:
        """Return when the job is tried again: in its turn if the account's limit was met, else on its own account."""
        retry_after, others = hit.error.retry_after, self._queue.others_wait(active.model)
        until, is_accounts = self._admission.submit_refused(
            now, begun, self._store.in_flight, retry_after, active.line, others=others
        )
        self._throttled(active, hit, until, submit=True)
        failures = active.count_refusal(now)
        return ON if is_accounts else RetryAt(now + self._backoff.wait_refused(failures, retry_after))

    async def _post(self, active: ActiveJob) -> SubmitAnswer | HaltSubmits | None:
        try:
            return await self._submitter.post(active)
        finally:  # the next POST need not wait until this one's answer is recorded
            self._posting -= 1
            self._queue.changed.wake()

    async def _poll(self, active: ActiveJob, wait: Wait[ActiveJob]) -> None:
        """Poll this job, and then one after another."""
        while True:
            self._counters.polls += 1
            if self._counters.polls % _STRIDE == 0:
                await asyncio.sleep(0)
            begun = self._now()
            try:
                result = await self._poller.poll(active, begun)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see _fail
                result = self._fail(active, error)
            finally:
                self._polling -= 1
            now = self._now()
            if isinstance(result, RateLimitHit):
                result = self._poll_refused(active, result, now, begun)
            elif not isinstance(result, RetryAt):
                self._admission.poll_passed(now, begun)
                self._queue.passed(active, now)
            if result is ON and self._queue.halted is None:  # as nearly always
                self._queue.put(active, now)
            else:
                self._store.apply(active, result)
            active = self._next_poll(now) or await wait()

    def _poll_refused(self, active: ActiveJob, hit: RateLimitHit, now: float, begun: float) -> RetryAt:
        retry_after, last = hit.error.retry_after, active.trouble.refused_at
        until = self._admission.poll_refused(now, begun, retry_after, model=active.model, last=last)
        retry_at = now + self._backoff.wait_refused(active.count_refusal(now), retry_after)
        self._throttled(active, hit, max(until, retry_at), submit=False)
        return RetryAt(min(retry_at, active.deadline) if now < active.deadline else retry_at)

    def _fail(self, active: ActiveJob, cause: BaseException) -> RequestResult:
        """Settle a job whose handling has raised; no other job is concerned."""
        if is_own_cancellation(cause):
            raise cause
        _logger.error("job %s could not be handled", active.record.key, exc_info=cause, extra=active.log_fields)
        error = KlingError(f"job {active.record.key} could not be handled: {cause!r}")
        error.__cause__ = cause
        self._store.settle(active, error)
        return None

    def _throttled(self, active: ActiveJob, result: RateLimitHit, until: float, *, submit: bool) -> None:
        self._counters.throttled += 1
        kind = "submit" if submit else "poll"
        _logger.info("the vendor refused a %s; pausing: %s", kind, result.error, extra=active.log_fields)
        self._store.emit(active, events.Throttled, is_submit=submit, until=until)
