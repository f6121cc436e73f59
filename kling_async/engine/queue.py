"""What waits to be submitted or asked about, and who of it is next."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.journal.base import JobState
from kling_async.pacing.queues import DelayQueue

if TYPE_CHECKING:
    from kling_async.errors import (
        AuthenticationError,
        GatewayError,
        JournalError,
        OutOfCredits,
        RateLimited,
        SpendLimitReached,
        StorageError,
    )

    Refusal = AuthenticationError | GatewayError | JournalError | OutOfCredits | SpendLimitReached | StorageError
    from kling_async.engine.job import ActiveJob
    from kling_async.pacing.admission import AdmissionControl
    from kling_async.pacing.queues import PollQueue
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["HaltSubmits", "JobQueue", "RateLimitHit", "RequestResult", "Requeue", "RetryAt"]


class Requeue(Enum):
    """The vendor answered."""

    ON = "on"  # the job goes on, as its state asks


@frozen(eq=False)
class RetryAt:
    """Nothing was learned, and nothing bought: the job is to be tried again, not before this instant."""

    at: float


@frozen(eq=False)
class RateLimitHit:
    """The vendor refused the request for asking too much; the job is as it was."""

    error: RateLimited


@frozen(eq=False)
class HaltSubmits:
    """Submits cannot go on, nor, under a bad key, can anything else."""

    error: Refusal


RequestResult = Requeue | RetryAt | RateLimitHit | HaltSubmits | None
"""None: the job has settled."""

_SUBMITS_PER_POLL = 4  # submits go first, but while polls are due every fifth place is theirs


class JobQueue:
    """Every job that waits for a request. A job is never in it while one is under way for it."""

    def __init__(self, poll_queue: PollQueue[ActiveJob], admission: AdmissionControl) -> None:
        self._polls = poll_queue
        self._admission = admission
        self._submits: DelayQueue[ActiveJob] = DelayQueue()
        self._retries: DelayQueue[ActiveJob] = DelayQueue()  # polls that told nothing
        self._retrying: set[ActiveJob] = set()  # whose entry among them counts
        self._submits_in_a_row = 0

    # Coming in

    def put_submit(self, active: ActiveJob, due: float) -> None:
        """Submit it, from this instant on."""
        active.due = due
        self._submits.put(due, active)

    def put_poll(self, active: ActiveJob) -> None:
        """Ask about it when its course says."""
        self._polls.put(_tracker(active), active)

    def put_retry(self, active: ActiveJob, due: float) -> None:
        """Ask about it again, from this instant on and when a retry may go; its last poll waits for no other's sake."""
        tracker = _tracker(active)
        tracker.forced_at = due
        if due >= active.deadline:
            self._polls.put(tracker, active)
        else:
            self._retrying.add(active)
            self._retries.put(due, active)

    def poll_at_deadline(self, active: ActiveJob, now: float) -> None:
        """Its time is up: if it waits for a retry, it waits no longer."""
        if active in self._retrying:
            self._retrying.discard(active)
            self.put_retry(active, max(now, active.deadline))

    def discard(self, active: ActiveJob) -> None:
        """Forget what there was to ask about it."""
        self._retrying.discard(active)
        if active.tracker is not None:
            self._polls.drop(active.tracker)

    # Going out

    @property
    def submits(self) -> bool:
        """Whether any submit waits."""
        return bool(self._submits)

    @property
    def submit_due(self) -> float:
        """When the next submit is due; infinity if none waits."""
        return self._submits.next_due

    @property
    def submit_is_retry(self) -> bool:
        """Whether that one told nothing the last time."""
        return self._submits.first.failures > 0

    def poll_at(self, now: float) -> float:
        """The earliest instant at which somebody may be worth a poll."""
        at = self._polls.next_at()
        return min(at, self._retry_at(now)) if self._retrying else at

    def submit_goes_first(self, *, polls_due: bool) -> bool:
        """Whether a submit takes the next place, where polls may be due as well."""
        return not polls_due or self._submits_in_a_row < _SUBMITS_PER_POLL

    def take_submit(self, now: float) -> ActiveJob | None:
        """The next one that is still to be submitted, or None."""
        active = self._submits.take_due(now)
        if active is None or active.settled or active.record.state is not JobState.QUEUED:
            return None
        self._submits_in_a_row += 1
        if active.failures:
            self._admission.take_retry(now)
        return active

    def take_poll(self, now: float) -> ActiveJob | None:
        """The one that most needs to be asked about now, or None."""
        active = self._take_retry(now) if self._retrying and self._retry_at(now) <= now else self._polls.take(now)
        if active is None or active.settled:
            return None
        self._submits_in_a_row = 0
        return active

    def review(self, now: float, rate: float) -> bool:
        """Look again at some more of those that sleep; whether that was the last of them."""
        return self._polls.review(now, rate)

    @property
    def polls(self) -> int:
        """How many wait to be asked about."""
        return len(self._polls) + len(self._retrying)

    def _retry_at(self, now: float) -> float:
        due = self._retries.next_due
        return due if due == math.inf else max(due, self._admission.retry_at(now))

    def _take_retry(self, now: float) -> ActiveJob | None:
        active = self._retries.take_due(now)
        if active is None or active not in self._retrying:
            return None
        self._retrying.discard(active)
        self._admission.take_retry(now)
        return active

    def __repr__(self) -> str:
        return f"<Backlog of {len(self._submits)} submits and {self.polls} polls>"


def _tracker(active: ActiveJob) -> GenerationTracker:
    """What a poll goes by: everything accepted has one, and without it a job would never be asked about again."""
    assert active.tracker is not None  # noqa: S101 - only what was accepted is asked about
    return active.tracker
