"""The scheduler: one coroutine that decides which job's submit or poll goes next, and when.

What is to be done waits in the backlog. One request at a time takes its place from the session's allowance, the most
urgent one first, and a worker sends it. Nothing is decided in a worker but what its own answer means; what that asks of
the session comes back here as a step. A worker that has become free asks here for its next poll at once, which spares
the coroutine a turn of the loop wherever there is nothing else to weigh.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import TYPE_CHECKING

from kling_async.api.account.billing import Opinion
from kling_async.engine import events
from kling_async.engine.job import doubt
from kling_async.engine.queue import HaltSubmits, RateLimitHit, RetryAt
from kling_async.engine.tasks import Wakeup, WorkerPool, sleep_until, was_asked_for
from kling_async.errors import (
    AuthenticationError,
    DeadlineExceeded,
    KlingError,
    SpendLimitReached,
    copied,
)
from kling_async.journal.base import JobState
from kling_async.pacing.queues import DelayQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from kling_async.api.protocol import SubmitAnswer
    from kling_async.engine.confirmation import Confirmation
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.poller import Poller
    from kling_async.engine.queue import JobQueue, Refusal, RequestResult
    from kling_async.engine.stats import Counters
    from kling_async.engine.store import JobStore
    from kling_async.engine.submitter import Submitter
    from kling_async.errors import GatewayError, OutOfCredits
    from kling_async.pacing.admission import AdmissionControl

__all__ = ["Scheduler"]

_logger = logging.getLogger("kling_async.scheduler")

_STRIDE = 64  # decisions in a row before other tasks get the loop
_POST_GRACE = 1.0  # how long after a deadline a POST under way is looked at again, in seconds


class Scheduler:
    """Spends the session's requests: submits first, then the poll that is needed most."""

    def __init__(
        self,
        store: JobStore,
        submitter: Submitter,
        poller: Poller,
        confirmation: Confirmation,
        queue: JobQueue,
        admission: AdmissionControl,
        counters: Counters,
        *,
        max_polls: int,
        review_every: float,
    ) -> None:
        self.on_doubt: Callable[[ActiveJob], None] = lambda _: None  # who looks for what may have been bought
        self.on_halt: Callable[[], None] = lambda: None  # who looks whether it is over
        self._store = store
        self._submitter = submitter
        self._poller = poller
        self._confirmation = confirmation
        self._queue = queue
        self._admission = admission
        self._counters = counters
        self._max_polls = max_polls
        self._review_every = review_every  # seconds from one look at all that sleep to the next
        self.now = self._now = store.loop.time
        self._wakeup = Wakeup(store.loop)
        # Deadlines of jobs that are not asked about in time by themselves, and when what doubtful ones may have bought
        # has ended.
        self._expiries: DelayQueue[ActiveJob] = DelayQueue()
        self._review_at = -math.inf
        self._submitting = 0  # submits begun whose outcome is not recorded yet
        self._posting = 0  # those of them whose POST is not over
        self._polling = 0  # GETs under way
        self._halted: Refusal | None = None
        self._concerned: deque[ActiveJob] = deque()  # jobs that are to be told of it
        store.on_settled = self._room_again
        store.on_unrecorded = self.halt

    # What callers ask

    def take_up(self, active: ActiveJob) -> None:
        """Begin to act for a job, as its state asks."""
        state = active.record.state
        if state is JobState.SUBMITTING:  # its last watch ended before its POST did
            self._store.update(active, JobState.UNCERTAIN)
        if state is not JobState.PENDING:
            self._expect_expiry(active)
        self._put(active, self._now())
        self._wakeup.wake()

    def resume(self) -> None:
        """Let submits go on after they were stopped."""
        self._halted = None
        self._wakeup.wake()

    async def turn(self) -> None:
        """Wait for a place among the session's requests, and take it."""
        self._counters.calls += 1
        await sleep_until(self._admission.take(self._now()))

    @property
    def halted(self) -> Refusal | None:
        """Why submits do not go on, if they do not."""
        return self._halted

    def _room_again(self, active: ActiveJob) -> None:
        """A job has settled, so the account may have a slot free."""
        self._queue.discard(active)
        self._wakeup.wake()

    # Deciding

    async def run(self, polls: TaskGroup, submits: TaskGroup) -> None:
        """Decide until cancelled. Polls and submits run in groups of their own, as they end differently."""
        pool = WorkerPool(polls, self._store.loop, self._poll, self._more)
        now, decisions = self._now(), 0
        while True:
            start_at = self._next_start(now)
            if self._concerned:
                self._tell(self._concerned.popleft())
            elif self._expiries.next_due <= now:
                self._expire(self._expiries.take_due(now), now)
            elif start_at <= now:
                self._start(now, pool, submits)
            elif self._next_review > now:
                now = await self._wakeup.sleep_until(min(start_at, self._expiries.next_due, self._next_review))
                continue
            decisions += 1
            if self._next_review <= now:
                self._review(now)
                await asyncio.sleep(0)  # each piece of a review is long enough for one turn of the loop
            elif decisions % _STRIDE == 0:
                await asyncio.sleep(0)
            now = max(now, self._now())

    def _next_start(self, now: float) -> float:
        """The earliest instant at which some request may be started, as far as is known now."""
        wanted = min(self._submit_at(now), self._poll_at(now))
        if wanted == math.inf:
            self._admission.waiting(now, due=False)
            return wanted
        start_at = max(wanted, self._admission.request_at(now))
        if start_at > now:
            self._admission.waiting(now, due=wanted <= now)
        return start_at

    def _submit_at(self, now: float) -> float:
        if not self._queue.submits:  # the usual case, asked about before every poll
            return math.inf
        at = max(
            self._queue.submit_due,
            self._admission.submit_at(now, self._store.in_flight, self._submitting, self._posting),
        )
        return max(at, self._admission.retry_at(now)) if self._queue.submit_is_retry else at

    def _poll_at(self, now: float) -> float:
        return math.inf if self._polling >= self._max_polls else self._queue.poll_at(now)

    def _start(self, now: float, pool: WorkerPool, submits: TaskGroup) -> None:
        """Start what is due and most urgent; a job that has settled meanwhile just leaves the backlog."""
        submit_due, polls_due = self._submit_at(now) <= now, self._poll_at(now) <= now
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
            self._admission.take(now)
            self._polling += 1
        return active

    def _more(self) -> ActiveJob | None:
        """The next poll, for a worker that has just become free; all but the plain case is left to the coroutine."""
        now = self._now()
        if not self._queue.submits and not self._concerned:
            start_at = self._next_start(now)
            if start_at > now:
                self._wakeup.wake_by(start_at)
                return None
            if (poll := self._take_poll(now)) is not None:
                return poll
        self._wakeup.wake()
        return None

    @property
    def _next_review(self) -> float:
        return self._review_at if self._queue.polls else math.inf

    def _review(self, now: float) -> None:
        """Look at some more of those that sleep: what was learned meanwhile may make them due sooner."""
        if self._queue.review(now, self._admission.rate):
            self._review_at = now + self._review_every

    # Deadlines

    def _expect_expiry(self, active: ActiveJob) -> None:
        if active.deadline < math.inf:
            self._expiries.put(active.deadline, active)

    def _expire(self, active: ActiveJob | None, now: float) -> None:
        if active is None or active.settled:
            return
        if now < active.deadline:
            self._end_doubt(active, now)
        elif active.record.state is JobState.PENDING:
            self._queue.poll_at_deadline(active, now)
        elif active.record.state is JobState.UNCERTAIN:
            self._store.settle(active, doubt(active))
        elif active.record.state is JobState.QUEUED:
            message = f"job {active.record.key} was still queued at its deadline; nothing was bought"
            self._store.settle(active, DeadlineExceeded(message))
        elif active.record.state is JobState.SUBMITTING:  # its POST ends by itself in a little while
            self._expiries.put(now + _POST_GRACE, active)

    def _end_doubt(self, active: ActiveJob, now: float) -> None:
        """Count an uncertain job at the vendor for as long as its generation may be running, and no longer."""
        if active.record.state is not JobState.UNCERTAIN:
            return
        over_at = self._poller.over_at(active)
        if over_at <= now:
            self._store.presume_over(active)
        else:
            self._expiries.put(over_at, active)

    # Acting on what came of it

    async def _submit(self, active: ActiveJob) -> None:
        self._tell(active)  # submits may have been stopped since this one was started
        if active.settled:
            self._submitting -= 1
            self._posting -= 1
            return
        self._counters.submits += 1
        begun = self._now()
        try:
            step = await self._submitter.conclude(active, await self._posted(active))
        except (Exception, asyncio.CancelledError) as mistake:  # noqa: BLE001 - see _mistaken
            step = self._mistaken(active, mistake)
        finally:
            self._submitting -= 1
            self._wakeup.wake()
        now, running = self._now(), self._store.in_flight
        if isinstance(step, RateLimitHit):
            until = self._admission.submit_refused(now, begun, running, step.error.retry_after)
            self._refused(active, step, until, submit=True)
        elif active.record.state is JobState.PENDING:
            self._admission.submit_passed(now, begun, running)
        self._follow(active, step)

    async def _posted(self, active: ActiveJob) -> SubmitAnswer | HaltSubmits | None:
        try:
            return await self._submitter.post(active)
        finally:  # the next POST need not wait until this one's answer is recorded
            self._posting -= 1
            self._wakeup.wake()

    async def _poll(self, active: ActiveJob) -> None:
        self._counters.polls += 1
        begun = self._now()
        try:
            step = await self._poller.poll(active, begun)
        except (Exception, asyncio.CancelledError) as mistake:  # noqa: BLE001 - see _mistaken
            step = self._mistaken(active, mistake)
        finally:
            self._polling -= 1
        now = self._now()
        if isinstance(step, RateLimitHit):
            until = self._admission.poll_refused(now, begun, step.error.retry_after)
            self._refused(active, step, until, submit=False)
        elif not isinstance(step, RetryAt):
            self._admission.poll_passed(now, begun)
        self._follow(active, step)

    def _mistaken(self, active: ActiveJob, mistake: BaseException) -> RequestResult:
        """A mistake in the handling of one job settles that job and nothing else."""
        if was_asked_for(mistake):
            raise mistake
        _logger.error("job %s could not be handled", active.record.key, exc_info=mistake)
        error = KlingError(f"job {active.record.key} could not be handled: {mistake!r}")
        error.__cause__ = mistake
        self._store.settle(active, error)
        return None

    def _refused(self, active: ActiveJob, step: RateLimitHit, until: float, *, submit: bool) -> None:
        self._counters.throttled += 1
        _logger.info("the vendor refused a %s; pausing: %s", "submit" if submit else "poll", step.error)
        self._store.emit(active, lambda at, job: events.Throttled(at, job, submit, until))

    def _follow(self, active: ActiveJob, step: RequestResult) -> None:
        if isinstance(step, HaltSubmits):
            self.halt(step.error)
        if isinstance(step, RetryAt):
            self._put(active, step.at)
        elif step is not None:
            self._put(active, active.due)

    def _put(self, active: ActiveJob, due: float) -> None:
        """Have a job wait for its next request; ``due`` says when, unless that is for its course to say."""
        if self._halted is not None:
            self._tell(active)
        if active.settled:
            return
        state = active.record.state
        if state is JobState.UNCERTAIN:
            self._end_doubt(active, self._now())
            self.on_doubt(active)
        elif state is JobState.QUEUED:
            self._queue.put_submit(active, due)
        elif active.tracker is None:
            self._poller.begin(active)
            self._queue.put_poll(active)
        elif active.failures:
            self._queue.put_retry(active, due)
            self._expect_expiry(active)
        else:
            self._queue.put_poll(active)

    async def halt_if_confirmed(self, error: AuthenticationError | GatewayError | OutOfCredits) -> bool:
        """Halt if a second request says so, too; otherwise the answer concerned what was asked alone."""
        confirmed = await self._confirmation.opinion(error) is Opinion.CONFIRMED
        if confirmed:
            self.halt(error)
        return confirmed

    def halt(self, error: Refusal) -> None:
        """Stop submits, or under a bad key everything, and tell every job concerned."""
        if isinstance(self._halted, AuthenticationError) and not isinstance(error, AuthenticationError):
            return  # which stops more
        if self._halted is None or _stopped_by(self._halted) != _stopped_by(error):
            _logger.error("submits cannot go on: %s", error)
            self._concerned.extend(self._store.active_jobs(*_stopped_by(error)))
        self._halted = error
        self.on_halt()
        self._wakeup.wake()

    def _tell(self, active: ActiveJob) -> None:
        if self._halted is not None and active.record.state in _stopped_by(self._halted):
            if isinstance(self._halted, SpendLimitReached) and active.reserved:
                return
            self._store.settle(active, copied(self._halted))


def _stopped_by(error: Refusal) -> tuple[JobState, ...]:
    """In which states jobs cannot go on after this; one being submitted is dealt with when its answer is there."""
    if isinstance(error, AuthenticationError):
        return (JobState.QUEUED, JobState.PENDING, JobState.UNCERTAIN)
    return (JobState.QUEUED,)
