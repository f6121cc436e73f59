"""The jobs that have not settled: by their keys, counted by state, and how they settle."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any

from kling_async.engine import events
from kling_async.engine.job import ActiveJob, ExpectedCompletion, Job, Milestone, Progress, active_job
from kling_async.journal.base import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.engine.event_bus import EventBus, Subscription
    from kling_async.engine.job import JobEvent
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.tasks import Clock
    from kling_async.errors import KlingError
    from kling_async.journal.base import Record
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.tracking import Forecast

_EVENTS_KEPT = 1000  # for one who follows a job and falls behind
_MOST, _SHORTEST = 0.99, 1e-6  # of a video that is not there yet; seconds that it takes


class OpenJobs(ABC):
    """Holds every job until it settles, and is what a caller's `Job` asks of the session; records change elsewhere.

    Attributes:
        clock: The session's clock.
        bus: Hands out events.
        open: Unsettled jobs by key, in the order they came.
        open_by_state: The number of them in each state.
        settled_by_state: The number of settled ones, by the state that each had when it settled.
    """

    def __init__(
        self,
        queue: JobQueue,
        bus: EventBus,
        clock: Clock,
        feed: CompletionFeed | None,
        park: Callable[[Record, KlingError], object] | None,
    ) -> None:
        self.clock = clock
        self.open: dict[str, Job] = {}
        self.open_by_state: Counter[JobState] = Counter()
        self.settled_by_state: Counter[JobState] = Counter()
        self._overdue: set[ActiveJob] = set()  # uncertain jobs whose generations, if there are any, should have ended
        self._queue = queue
        self.bus = bus
        self._feed = feed  # None without a completion feed
        self._park = park  # told of each job that settles before its generation's life has ended; None for nobody
        self._idle = asyncio.Event()  # set while nothing is open
        self._idle.set()

    def _register(self, record: Record) -> ActiveJob:
        active, now = _make_active(record), self.clock.now()
        if record.generation_id is not None:
            accepted_at = now if record.accepted_at is None else self.clock.to_instant(record.accepted_at)
            active.taken_over, active.accepted_at = True, min(now, accepted_at)
        self.open[record.key] = Job(active, self)
        self.open_by_state[record.state] += 1
        self._idle.clear()
        return active

    def _settled_job(self, record: Record) -> Job:
        active = _make_active(record)
        active.settled, active.error = True, record.error
        return Job(active, self)

    def _set_record(self, active: ActiveJob, record: Record) -> None:
        if not active.settled:
            self.open_by_state[active.record.state] -= 1
            self.open_by_state[record.state] += 1
        self._overdue.discard(active)
        active.record = record

    def active_jobs(self, *states: JobState) -> list[ActiveJob]:
        """Return the open jobs in one of these states, or all of them if none is given."""
        return [active for active in map(active_job, self.open.values()) if not states or active.record.state in states]

    @property
    def in_flight(self) -> int:
        """The number of generations of open jobs that are running, or may be."""
        return self.open_by_state[JobState.PENDING] + self.open_by_state[JobState.UNCERTAIN] - len(self._overdue)

    # Settling

    def settle(self, active: ActiveJob, error: KlingError | None) -> None:
        """Settle a job with its video or with this error, and wake its waiters; a second call does nothing."""
        if active.settled:
            return
        if error is not None:
            active.error = self._add_context(active, error)
        active.settled = True
        self._overdue.discard(active)
        record = active.record
        if error is not None and self._park is not None and not record.state.is_terminal:
            self._park(record, error)
        self.open_by_state[record.state] -= 1
        self.settled_by_state[record.state] += 1
        self._emit_settled(active, error)
        del self.open[record.key]
        active.reach(Milestone.SETTLED)
        self._queue.discard(active)
        if not self.open:
            self._idle.set()

    def _emit_settled(self, active: ActiveJob, error: KlingError | None) -> None:
        record, feed = active.record, self._feed
        if error is not None:
            is_failure = record.state in (JobState.FAILED, JobState.REJECTED)
            self.emit(active, events.Failed if is_failure else events.Interrupted, error=error)
        elif self.bus.is_watched(record.key):
            shown = active.tracker is not None and active.tracker.shown is not None
            lag, told = (None, 0) if feed is None else (feed.lag.mean, feed.told_first)
            video = record.video
            self.emit(active, events.Completed, video=video, shown_by_ledger=shown, ledger_lag=lag, told_first=told)

    def _add_context(self, active: ActiveJob, error: KlingError) -> KlingError:
        record = active.record
        return error.about(
            key=record.key,
            generation_id=record.generation_id,
            last_status=active.last_status,
            polls=active.polls,
        )

    async def idle(self) -> None:
        """Wait until no job is open."""
        while self.open:
            await self._idle.wait()

    # What callers and their jobs ask for

    @abstractmethod
    def abandon(self, job: Job) -> None:
        """Stop watching a job for good."""

    @abstractmethod
    async def flush(self) -> None:
        """Wait until everything recorded so far is durable."""

    def expected(self, active: ActiveJob) -> ExpectedCompletion | None:
        """Return when a generation is expected to be done; None unless it is at the vendor."""
        forecast, wall = self._forecast(active), self.clock.to_datetime
        return None if forecast is None else ExpectedCompletion(wall(forecast.median), wall(forecast.late))

    def progress(self, active: ActiveJob) -> Progress:
        """Return how far a job is."""
        forecast = self._forecast(active)
        if forecast is None:
            is_done = active.settled and active.error is None
            return Progress(1.0, 0.0) if is_done else Progress(0.0, None)
        remaining = forecast.median - self.clock.now()
        elapsed = max(0.0, self.clock.now() - self._accepted_at(active))
        return Progress(min(_MOST, elapsed / max(elapsed + remaining, _SHORTEST)), remaining)

    def _forecast(self, active: ActiveJob) -> Forecast | None:
        if active.settled or active.record.state is not JobState.PENDING:
            return None
        return self._queue.forecast(active, self._accepted_at(active), self.clock.now())

    def _accepted_at(self, active: ActiveJob) -> float:
        accepted_at = active.record.accepted_at  # which a member knows by the record alone
        return self.clock.now() if accepted_at is None else min(active.accepted_at, self.clock.to_instant(accepted_at))

    def follow(self, job: Job) -> Subscription[JobEvent]:
        """Return a subscription to a job's events until it settles."""
        subscription = self.bus.subscribe(_EVENTS_KEPT, job.key, events.SETTLING)
        if job.done():
            subscription.close()
        return subscription

    def emit(self, active: ActiveJob, kind: type[JobEvent], **values: Any) -> None:  # noqa: ANN401 - the event's own
        """Emit an event about an open job, made only if somebody gets it."""
        key = active.record.key
        if self.bus.is_watched(key) and (job := self.open.get(key)) is not None:
            self.bus.emit(kind, key, job=job, **values)

    @property
    def summary(self) -> str:
        """The number of open jobs in each state as a text, such as ``2 queued, 1 pending``; ``idle`` without any."""
        return ", ".join(f"{count} {state.value}" for state, count in self.open_by_state.items() if count) or "idle"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary}>"


def _make_active(record: Record) -> ActiveJob:
    return ActiveJob(record, polls=record.polls, last_status=record.last_status)
