"""The scheduler: one coroutine that decides which job's submit or poll goes next, and when.

What is to be done waits on agendas, by instant. One request at a time takes its place from the shared rate, the most
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

from kling_async.engine import events
from kling_async.engine.alarm import Alarm, sleep_until
from kling_async.engine.cancellation import was_asked_for
from kling_async.engine.doubt import doubt
from kling_async.engine.steps import Halt, Throttled
from kling_async.engine.workers import Workers
from kling_async.errors import AuthenticationError, DeadlineExceeded, KlingError, copied
from kling_async.journal.base import State
from kling_async.pacing.agenda import Agenda
from kling_async.pacing.rate import Gcra, Pause

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from anyio.abc import TaskGroup

    from kling_async.engine.poller import Poller
    from kling_async.engine.roster import Roster
    from kling_async.engine.steps import Refusal, Step
    from kling_async.engine.submitter import Submitter
    from kling_async.engine.tally import Tally
    from kling_async.engine.watch import Watch
    from kling_async.errors import RateLimited
    from kling_async.pacing.rate import Limits

__all__ = ["Scheduler"]

_logger = logging.getLogger("kling_async.scheduler")

_STRIDE = 64  # decisions in a row before other tasks get the loop
_SUBMITS_PER_POLL = 4  # submits go first, but while polls are due every fifth place is theirs
_POST_GRACE = 1.0  # how long after a deadline a POST under way is looked at again, in seconds


class Scheduler:
    """Spends the session's requests: submits first, then the poll that is most overdue."""

    def __init__(
        self,
        roster: Roster,
        submitter: Submitter,
        poller: Poller,
        limits: Limits,
        tally: Tally,
        *,
        rng: Random,
    ) -> None:
        self.on_doubt: Callable[[Watch], None] = lambda _: None  # who looks for what may have been bought
        self.on_halt: Callable[[], None] = lambda: None  # who looks whether it is over
        self._roster = roster
        self._submitter = submitter
        self._poller = poller
        self._limits = limits
        self._tally = tally
        self._rng = rng
        self.now = self._now = roster.loop.time
        self._alarm = Alarm(roster.loop)
        self._rate = Gcra(limits.requests_per_second, limits.burst)
        self._pause = Pause()  # after a refused poll: holds everything
        self._submit_pause = Pause()  # after a refused submit: holds submits, as the account's slots may be full
        self._submits: Agenda[Watch] = Agenda()
        self._polls: Agenda[Watch] = Agenda()
        self._expiries: Agenda[Watch] = Agenda()  # deadlines of jobs that may still be queued then
        self._submitting = 0  # POSTs under way
        self._polling = 0  # GETs under way
        self._submits_in_a_row: int = 0
        self._halted: Refusal | None = None
        self._concerned: deque[Watch] = deque()  # jobs that are to be told of it
        roster.on_settled = self.room_again
        roster.on_unrecorded = self.halt

    # What callers ask

    def take_up(self, watch: Watch) -> None:
        """Begin to act for a job, as its state asks."""
        state = watch.record.state
        if state is State.SUBMITTING:  # its last watch ended before its POST did
            self._roster.note(watch, State.UNCERTAIN)
        if state is not State.PENDING and watch.deadline < math.inf:
            self._expiries.put(watch.deadline, watch)
            self._alarm.wake_by(watch.deadline)
        self._put(watch, self._poller.first(watch) if state is State.PENDING else self._now())
        self._alarm.wake_by(watch.due)

    def resume(self) -> None:
        """Let submits go on after the account refused them."""
        self._halted = None
        self.room_again()

    def room_again(self) -> None:
        """A job has settled, so the account may have a slot free: submits need not wait for their pause to end."""
        self._submit_pause.lift(self._now())
        self._alarm.wake()

    async def turn(self) -> None:
        """Wait for a place among the session's requests, and take it."""
        self._tally.calls += 1
        await sleep_until(max(self._rate.reserve(self._now()), self._pause.until))

    @property
    def halted(self) -> Refusal | None:
        """Why submits do not go on, if they do not."""
        return self._halted

    @property
    def paused_until(self) -> float:
        """Until when everything is held after a refusal, in the loop's time; in the past if nothing is."""
        return self._pause.until

    # Deciding

    async def run(self, polls: TaskGroup, submits: TaskGroup) -> None:
        """Decide until cancelled. Polls and submits run in groups of their own, as they end differently."""
        pool = Workers(polls, self._roster.loop, self._poll, self._more)
        now, decisions = self._now(), 0
        while True:
            start_at = self._next_start(now)
            if self._concerned:
                self._tell(self._concerned.popleft())
            elif self._expiries.next_due <= now:
                self._expire(self._expiries.take_due(now))
            elif start_at <= now:
                self._start(now, pool, submits)
            else:
                now = await self._alarm.sleep_until(min(start_at, self._expiries.next_due))
                continue
            decisions += 1
            if decisions % _STRIDE == 0:
                await asyncio.sleep(0)
            now = max(now, self._now())

    def _next_start(self, now: float) -> float:
        """The earliest instant at which some request may be started, as far as is known now."""
        wanted = min(self._submit_at, self._poll_at)
        return wanted if wanted == math.inf else max(wanted, self._pause.until, self._rate.ready_at(now))

    @property
    def _submit_at(self) -> float:
        if not self._submits:  # the usual case, asked about before every poll
            return math.inf
        in_flight = self._submitting + self._roster.at_vendor
        at_once = 1 if self._submit_pause.streak else self._limits.max_submits  # after a refusal, one tries for all
        if self._submitting >= at_once or in_flight >= self._limits.max_in_flight:
            return math.inf
        return max(self._submits.next_due, self._submit_pause.until)

    @property
    def _poll_at(self) -> float:
        return math.inf if self._polling >= self._limits.max_polls else self._polls.next_due

    def _start(self, now: float, pool: Workers, submits: TaskGroup) -> None:
        """Start what is due and most urgent; a job that has settled meanwhile just leaves its agenda."""
        submit = self._submit_at <= now and not (self._poll_at <= now and self._submits_in_a_row >= _SUBMITS_PER_POLL)
        if not submit:
            if (poll := self._take_poll(now)) is not None:
                pool.give(poll)
            return
        watch = self._submits.take_due(now)
        if watch is not None and not watch.settled and watch.record.state is State.QUEUED:
            self._rate.reserve(now)
            self._submits_in_a_row += 1
            self._submitting += 1
            submits.start_soon(self._submit, watch, name="kling_async submit")

    def _take_poll(self, now: float) -> Watch | None:
        watch = self._polls.take_due(now)
        if watch is None or watch.settled:
            return None
        self._rate.reserve(now)
        self._submits_in_a_row = 0
        self._polling += 1
        return watch

    def _more(self) -> Watch | None:
        """The next poll, for a worker that has just become free; all but the plain case is left to the coroutine."""
        now = self._now()
        if not self._submits and not self._concerned:
            start_at = self._next_start(now)
            if start_at > now:
                self._alarm.wake_by(start_at)
                return None
            if (poll := self._take_poll(now)) is not None:
                return poll
        self._alarm.wake()
        return None

    def _expire(self, watch: Watch | None) -> None:
        if watch is None or watch.settled:
            return
        if watch.record.state is State.UNCERTAIN:
            self._roster.settle(watch, doubt(watch))
        elif watch.record.state is State.QUEUED:
            message = f"job {watch.record.key} was still queued at its deadline; nothing was bought"
            self._roster.settle(watch, DeadlineExceeded(message))
        elif watch.record.state is State.SUBMITTING:  # its POST ends by itself in a little while
            self._expiries.put(self._now() + _POST_GRACE, watch)

    # Acting on what came of it

    async def _submit(self, watch: Watch) -> None:
        self._tell(watch)  # submits may have been stopped since this one was started
        if watch.settled:
            self._submitting -= 1
            return
        self._tally.submits += 1
        begun = self._now()
        try:
            step = await self._submitter.submit(watch)
        except (Exception, asyncio.CancelledError) as mistake:  # noqa: BLE001 - see _mistaken
            step = self._mistaken(watch, mistake)
        finally:
            self._submitting -= 1
            self._alarm.wake()
        self._follow(watch, step, self._submit_pause, begun)

    async def _poll(self, watch: Watch) -> None:
        self._tally.polls += 1
        begun = self._now()
        try:
            step = await self._poller.poll(watch, begun)
        except (Exception, asyncio.CancelledError) as mistake:  # noqa: BLE001 - see _mistaken
            step = self._mistaken(watch, mistake)
        finally:
            self._polling -= 1
        self._follow(watch, step, self._pause, begun)

    def _mistaken(self, watch: Watch, mistake: BaseException) -> Step:
        """A mistake in the handling of one job settles that job and nothing else."""
        if was_asked_for(mistake):
            raise mistake
        _logger.error("job %s could not be handled", watch.record.key, exc_info=mistake)
        error = KlingError(f"job {watch.record.key} could not be handled: {mistake!r}")
        error.__cause__ = mistake
        self._roster.settle(watch, error)
        return None

    def _follow(self, watch: Watch, step: Step, pause: Pause, begun: float) -> None:
        if isinstance(step, Throttled):
            self._refused(watch, step.error, pause, begun)
        elif isinstance(step, Halt):
            self.halt(step.error)
            self._put(watch, watch.due)
        else:
            pause.accepted(begun)
            if step is not None:
                self._put(watch, step)

    def _refused(self, watch: Watch, error: RateLimited, pause: Pause, begun: float) -> None:
        """Slow down, and put the job back as it was: nothing was learned about it."""
        self._tally.throttled += 1
        pause.refused(self._now(), begun, error.retry_after, self._rng)
        submit = pause is self._submit_pause
        _logger.info("the vendor refused a %s; pausing: %s", "submit" if submit else "poll", error)
        self._roster.emit(watch, lambda at, job: events.Throttled(at, job, submit, pause.until))
        self._put(watch, watch.due)

    def _put(self, watch: Watch, due: float) -> None:
        if self._halted is not None:
            self._tell(watch)
        if watch.settled:
            return
        if watch.record.state is State.UNCERTAIN:
            self.on_doubt(watch)
            return
        watch.due = due
        agenda = self._submits if watch.record.state is State.QUEUED else self._polls
        agenda.put(due, watch)

    def halt(self, error: Refusal) -> None:
        """Stop submits, or under a bad key everything, and tell every job concerned."""
        if self._halted is None or _stopped_by(self._halted) != _stopped_by(error):
            _logger.error("submits cannot go on: %s", error)
            self._concerned.extend(self._roster.watches(*_stopped_by(error)))
        self._halted = error
        self.on_halt()
        self._alarm.wake()

    def _tell(self, watch: Watch) -> None:
        if self._halted is not None and watch.record.state in _stopped_by(self._halted):
            self._roster.settle(watch, copied(self._halted))


def _stopped_by(error: Refusal) -> tuple[State, ...]:
    """In which states jobs cannot go on after this; one being submitted is dealt with when its answer is there."""
    if isinstance(error, AuthenticationError):
        return (State.QUEUED, State.PENDING, State.UNCERTAIN)
    return (State.QUEUED,)
