"""Jobs that wait for their submits, polls, deadlines or a search of the log, and the halt that stops submits."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import TYPE_CHECKING

from kling_async.api.protocol import bare_id
from kling_async.engine.results import halted_states, stops_all
from kling_async.engine.tasks import Wakeup
from kling_async.errors import SpendLimitReached
from kling_async.journal.base import JobState
from kling_async.pacing.fair_queue import AGEING, FairQueue
from kling_async.pacing.in_flight import limits_on
from kling_async.pacing.queues import DelayQueue
from kling_async.pacing.retry_queue import RetryQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from kling_async.engine.job import ActiveJob
    from kling_async.engine.results import Halt
    from kling_async.engine.tasks import Clock
    from kling_async.pacing.admission import AdmissionControl
    from kling_async.pacing.queues import PollQueue
    from kling_async.pacing.tracking import DurationLearner, Forecast, GenerationTracker


_logger = logging.getLogger("kling_async.queue")

_PENDING = JobState.PENDING  # looked up after every poll: a member of its Enum takes five times as long
_SUBMITS_PER_POLL = 4  # submits go first, but while polls are due every fifth request is a poll
# And the other way round while the ledger has shown ends that no poll has seen yet: each job takes one submit and one
# such poll, so neither can pile up.
_POLLS_PER_SUBMIT = 4


class JobQueue:
    """Holds every job that waits. `JobStore` puts jobs in and discards them; scheduler and reconciler take them.

    A job never waits for a request while one is under way for it. Instants are the loop's time in seconds.

    Attributes:
        changed: Wakes the scheduler.
        uncertain: Jobs that may have been bought, for the reconciler to take.
        uncertain_added: Wakes the reconciler.
        halted: The error that has halted submits; None while they go on. It changes by `halt` and `resume`.
        halt_number: Counts the halts.
        stopped: Jobs to settle because of the halt, for the scheduler to take.
        halts: Wakes the credit monitor.
        accepted: Set when a generation has been accepted, for `PublishedDurations`.
        polls: Jobs at the vendor that wait until they are worth a poll.
    """

    def __init__(
        self, polls: PollQueue[ActiveJob], admission: AdmissionControl, learner: DurationLearner, clock: Clock
    ) -> None:
        self.changed: Wakeup = Wakeup(clock)
        self.uncertain: list[ActiveJob] = []
        self.uncertain_added: Wakeup = Wakeup(clock)
        self.halted: Halt | None = None
        self.halt_number: int = 0
        self.stopped: deque[ActiveJob] = deque()
        self.halts: Wakeup = Wakeup(clock)
        self.accepted: asyncio.Event = asyncio.Event()
        self.polls: PollQueue[ActiveJob] = polls
        self._admission = admission
        self._learner = learner
        self._submits: FairQueue[ActiveJob] = FairQueue(admission.obstacle)
        self._retries: RetryQueue[ActiveJob] = RetryQueue()  # of submits and polls
        self._retrying: set[ActiveJob] = set()  # jobs whose entry in _retries is valid
        self._deadlines: DelayQueue[ActiveJob] = DelayQueue()  # of jobs that no poll is scheduled for
        self._submits_in_a_row = 0
        self._polls_in_a_row = 0
        self._generations: dict[str, ActiveJob] = {}  # jobs at the vendor, by generation id
        self._endings: set[str] = set()  # of those ids, beyond their bare parts: one for each model

    # Adding

    def put(self, active: ActiveJob, now: float) -> None:
        """Add a job for the next request of its state."""
        state = active.record.state
        if state is _PENDING:
            self.polls.put(active.tracker or self._begin_polling(active, now), active)
        elif state is JobState.QUEUED:
            self._leave_flight(active)
            if active.begun_at == -math.inf:  # only once, not after each refusal
                self._expect_deadline(active)
            self._put_submit(active, now)
        else:
            self._enter_flight(active)
            self.put_uncertain(active)

    def put_uncertain(self, active: ActiveJob) -> None:
        """Add a job that may have been bought, for the reconciler."""
        self.uncertain.append(active)
        self.uncertain_added.wake()
        self._expect_deadline(active)
        self.changed.wake()

    def _put_submit(self, active: ActiveJob, now: float) -> None:
        line = active.line
        if self._admission.breakers.suspect not in (None, line.model):
            self._admission.try_others(now)
        self._submits.put(line, active, now + AGEING * active.failures, now)
        self.changed.wake()

    def _begin_polling(self, active: ActiveJob, now: float) -> GenerationTracker:
        self._enter_flight(active)
        tracker = self._learner.track(active.model, active.duration, active.accepted_at, active.deadline)
        if active.record.request is None:  # resumed by its id alone: ask at once whether there is such a generation
            tracker.forced_at = now
        # What another process asked may have made the vendor record a charge.
        tracker.unanswered = active.taken_over
        if (generation_id := active.record.generation_id) is not None:
            self._generations[generation_id] = active
            self._endings.add(generation_id[len(bare_id(generation_id)) :])
        active.tracker = tracker
        self.changed.wake()
        self.accepted.set()
        return tracker

    def put_retry(self, active: ActiveJob, due: float) -> None:
        """Add a job whose last request failed, for the same again: due at that instant, and in its turn."""
        if active.record.state is not JobState.PENDING:
            self._leave_flight(active)
        elif due <= active.deadline:
            self._expect_deadline(active)
        elif active.trouble.refused_at is None:  # a poll due at the deadline bypasses the quotas
            self._force_poll(active, due)
            return
        self._retrying.add(active)
        self._retries.put(active.line, active, due, active.failures)
        self.changed.wake()

    def _force_poll(self, active: ActiveJob, at: float) -> None:
        if active.tracker is not None:
            active.tracker.forced_at = at
            self.polls.put(active.tracker, active)

    def retry_at(self, now: float) -> float:
        """Return the instant at which `release_retry` is to be called; infinity without any retries."""
        return self._retries.next_at(now) if self._retrying else math.inf

    def release_retry(self, now: float) -> None:
        """Put the job whose retry's turn has come among the others: no retry goes before what was due earlier."""
        active = self._retries.take(now)
        if active is None or active not in self._retrying:
            return
        self._retrying.discard(active)
        if active.record.state is JobState.QUEUED:
            self._put_submit(active, now)
        else:
            self._force_poll(active, now)

    def poll_at_deadline(self, active: ActiveJob, now: float) -> None:
        """Move a job whose deadline has passed from the retries to its last poll."""
        if active in self._retrying:
            self._retrying.discard(active)
            self._force_poll(active, max(now, active.deadline))

    def discard(self, active: ActiveJob) -> None:
        """Drop a job that has settled, and wake the scheduler: another job may take its slot."""
        self._retrying.discard(active)
        self._leave_flight(active)
        if active.tracker is not None:
            self.polls.drop(active.tracker)
            self._generations.pop(active.record.generation_id or "", None)
        self.changed.wake()

    # In flight

    def _enter_flight(self, active: ActiveJob) -> None:
        if active.in_flight is None:
            active.in_flight = active.line
            self._admission.in_flight.add(active.line)

    def _leave_flight(self, active: ActiveJob) -> None:
        """Let other jobs of its group and model have its place."""
        if (line := active.in_flight) is not None:
            active.in_flight = None
            self._admission.in_flight.remove(line)
            self._admission.breakers.freed(line.model)
            self._wake(line.model, *limits_on(line))

    def _wake(self, *causes: Hashable, every: bool = False) -> None:
        if self._submits.parked:
            for cause in causes:
                self._submits.wake(cause, every=every)

    def release_slot(self, active: ActiveJob) -> None:
        """Stop counting a job as in flight whose generation would have ended."""
        self._leave_flight(active)
        self.changed.wake()

    # What the ledger shows

    def find(self, generation_id: str) -> ActiveJob | None:
        """Return the job at the vendor whose generation has this bare id; None if there is none."""
        found = (self._generations.get(generation_id + ending) for ending in self._endings)
        return next(filter(None, found), None)

    def show(self, generation_id: str) -> None:
        """Poll this generation before all others: the ledger shows that it has completed."""
        active = self.find(generation_id)
        if active is not None and active.tracker is not None:
            self.polls.show(active.tracker, active)

    # Deadlines

    def _expect_deadline(self, active: ActiveJob) -> None:
        if active.deadline < math.inf:
            self._deadlines.put(active.deadline, active)

    def recheck_at(self, active: ActiveJob, at: float) -> None:
        """Have `take_expired` return this job at that instant as well."""
        self._deadlines.put(at, active)

    def forecast(self, active: ActiveJob, accepted_at: float, now: float) -> Forecast:
        """Return when a generation at the vendor is expected to have ended, also one that is not polled here."""
        if active.tracker is not None:
            return active.tracker.forecast(now)
        return self._learner.forecast(active.model, active.duration, accepted_at, now)

    def longest(self, active: ActiveJob) -> float:
        """Return the seconds within which 99 in 100 generations of this model and length end."""
        return self._learner.longest(active.model, active.duration)

    @property
    def next_deadline(self) -> float:
        """The instant at which `take_expired` may next return a job; infinity without any."""
        return self._deadlines.next_due

    def take_expired(self, now: float) -> ActiveJob | None:
        """Take a job whose deadline or recheck has passed; it may have settled."""
        return self._deadlines.take_due(now)

    # Halts

    def halt(self, error: Halt, jobs_in: Callable[..., list[ActiveJob]]) -> None:
        """Stop submits, or all requests where `stops_all`; ``jobs_in`` returns the open jobs in some states."""
        if self.halted is not None and stops_all(self.halted) and not stops_all(error):
            return  # the present halt stops more
        if self.halted is None or halted_states(self.halted) != halted_states(error):
            _logger.error("submits cannot go on: %s", error)
            self.stopped.extend(jobs_in(*halted_states(error)))
        self.halt_number += type(self.halted) is not type(error)
        self.halted = error
        self.halts.wake()
        self.changed.wake()

    def halt_of(self, active: ActiveJob) -> Halt | None:
        """Return the error that stops this job; None if it can go on."""
        halted = self.halted
        if halted is None or active.record.state not in halted_states(halted):
            return None
        return None if isinstance(halted, SpendLimitReached) and active.reserved else halted

    def resume(self) -> None:
        """End the halt."""
        self.halted = None
        self.changed.wake()

    # Taking

    def has_only_polls(self, now: float) -> bool:
        """Return whether nothing but polls is to be begun now: no submit, no retry, and no settling after a halt."""
        return not (self._submits or self.stopped) and (not self._retrying or self._retries.next_at(now) > now)

    @property
    def has_submits(self) -> bool:
        """True while any submit waits."""
        return bool(self._submits)

    def submit_at(self) -> float:
        """Return the instant from which the next submit may go; infinity if none may for now."""
        return self._submits.next_at()

    def submit_goes_first(self, *, polls_due: bool) -> bool:
        """Return whether the next request is a submit, given that one is due and polls may be as well."""
        if polls_due and self.polls.has_shown:
            return self._polls_in_a_row >= _POLLS_PER_SUBMIT
        return not polls_due or self._submits_in_a_row < _SUBMITS_PER_POLL

    def take_submit(self, now: float) -> ActiveJob | None:
        """Take the job that is to be submitted; None if it has settled or is not queued any more, or none may go."""
        active = self._submits.take(now)
        if active is None:
            return None
        if active.settled or active.record.state is not JobState.QUEUED:
            # Its line may have left its ring for the place that this one does not need.
            self._wake(*limits_on(active.line))
            return None
        self._submits_in_a_row += 1
        self._polls_in_a_row = 0
        self._enter_flight(active)
        self._admission.breakers.begun(active.line, now)
        return active

    def submit_ended(self, active: ActiveJob, begun: float) -> None:
        """Let the lines go on that waited for the outcome of this submit."""
        line = active.line
        self._admission.breakers.ended(line, begun)
        self._wake(line, line.model, every=True)

    def others_wait(self, model: str) -> bool:
        """Return whether a submit of another model waits."""
        return any(line.model != model for line in self._submits.lines)

    def passed(self, active: ActiveJob, now: float) -> None:
        """Count a request that the vendor answered: retries may follow it."""
        if self._retries.is_in_use:
            self._retries.succeeded(active.line, now)

    def take_poll(self, now: float) -> ActiveJob | None:
        """Take the job whose poll is worth most now; None if there is none or it has settled."""
        active = self.polls.take(now)
        if active is None or active.settled:
            return None
        self._submits_in_a_row = 0
        self._polls_in_a_row += 1
        return active

    def take_uncertain(self) -> list[ActiveJob]:
        """Take all jobs that have become uncertain since the last call."""
        taken, self.uncertain = self.uncertain, []
        return taken

    def __repr__(self) -> str:
        return f"<JobQueue of {len(self._submits)} submits and {len(self.polls)} polls>"
