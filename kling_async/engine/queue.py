"""What waits to be submitted or asked about, and who of it is next."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.journal.base import State
from kling_async.pacing.queues import Agenda

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
    from kling_async.engine.job import Watch
    from kling_async.pacing.admission import Allowance
    from kling_async.pacing.queues import Rota
    from kling_async.pacing.tracking import Course

__all__ = ["Backlog", "Go", "Halt", "Retry", "Step", "Throttled"]


class Go(Enum):
    """The vendor answered."""

    ON = "on"  # the job goes on, as its state asks


@frozen(eq=False)
class Retry:
    """Nothing was learned, and nothing bought: the job is to be tried again, not before this instant."""

    at: float


@frozen(eq=False)
class Throttled:
    """The vendor refused the request for asking too much; the job is as it was."""

    error: RateLimited


@frozen(eq=False)
class Halt:
    """Submits cannot go on, nor, under a bad key, can anything else."""

    error: Refusal


Step = Go | Retry | Throttled | Halt | None
"""None: the job has settled."""

_SUBMITS_PER_POLL = 4  # submits go first, but while polls are due every fifth place is theirs


class Backlog:
    """Every job that waits for a request. A job is never in it while one is under way for it."""

    def __init__(self, rota: Rota[Watch], allowance: Allowance) -> None:
        self._rota = rota
        self._allowance = allowance
        self._submits: Agenda[Watch] = Agenda()
        self._retries: Agenda[Watch] = Agenda()  # polls that told nothing
        self._retrying: set[Watch] = set()  # whose entry among them counts
        self._submits_in_a_row = 0

    # Coming in

    def put_submit(self, watch: Watch, due: float) -> None:
        """Submit it, from this instant on."""
        watch.due = due
        self._submits.put(due, watch)

    def put_poll(self, watch: Watch) -> None:
        """Ask about it when its course says."""
        self._rota.put(_course(watch), watch)

    def put_retry(self, watch: Watch, due: float) -> None:
        """Ask about it again, from this instant on and when a retry may go; its last poll waits for no other's sake."""
        course = _course(watch)
        course.held = due
        if due >= watch.deadline:
            self._rota.put(course, watch)
        else:
            self._retrying.add(watch)
            self._retries.put(due, watch)

    def hurry(self, watch: Watch, now: float) -> None:
        """Its time is up: if it waits for a retry, it waits no longer."""
        if watch in self._retrying:
            self._retrying.discard(watch)
            self.put_retry(watch, max(now, watch.deadline))

    def drop(self, watch: Watch) -> None:
        """Forget what there was to ask about it."""
        self._retrying.discard(watch)
        if watch.course is not None:
            self._rota.drop(watch.course)

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
        at = self._rota.next_at()
        return min(at, self._retry_at(now)) if self._retrying else at

    def submit_goes_first(self, *, polls_due: bool) -> bool:
        """Whether a submit takes the next place, where polls may be due as well."""
        return not polls_due or self._submits_in_a_row < _SUBMITS_PER_POLL

    def take_submit(self, now: float) -> Watch | None:
        """The next one that is still to be submitted, or None."""
        watch = self._submits.take_due(now)
        if watch is None or watch.settled or watch.record.state is not State.QUEUED:
            return None
        self._submits_in_a_row += 1
        if watch.failures:
            self._allowance.take_retry(now)
        return watch

    def take_poll(self, now: float) -> Watch | None:
        """The one that most needs to be asked about now, or None."""
        watch = self._take_retry(now) if self._retrying and self._retry_at(now) <= now else self._rota.take(now)
        if watch is None or watch.settled:
            return None
        self._submits_in_a_row = 0
        return watch

    def review(self, now: float, rate: float) -> bool:
        """Look again at some more of those that sleep; whether that was the last of them."""
        return self._rota.review(now, rate)

    @property
    def polls(self) -> int:
        """How many wait to be asked about."""
        return len(self._rota) + len(self._retrying)

    def _retry_at(self, now: float) -> float:
        due = self._retries.next_due
        return due if due == math.inf else max(due, self._allowance.retry_at(now))

    def _take_retry(self, now: float) -> Watch | None:
        watch = self._retries.take_due(now)
        if watch is None or watch not in self._retrying:
            return None
        self._retrying.discard(watch)
        self._allowance.take_retry(now)
        return watch

    def __repr__(self) -> str:
        return f"<Backlog of {len(self._submits)} submits and {self.polls} polls>"


def _course(watch: Watch) -> Course:
    """What a poll goes by: everything accepted has one, and without it a job would never be asked about again."""
    assert watch.course is not None  # noqa: S101 - only what was accepted is asked about
    return watch.course
