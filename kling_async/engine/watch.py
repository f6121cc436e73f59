"""What the engine keeps in mind about one job while it watches it."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from kling_async.errors import KlingError
    from kling_async.journal.base import Record
    from kling_async.pacing.tracking import Course

__all__ = ["Milestone", "Watch"]


class Milestone(Enum):
    """What somebody may wait for in a job's life."""

    ACCEPTED = "accepted"
    SETTLED = "settled"


@define(eq=False, weakref_slot=False)
class Watch:
    """One job's working state. Instants are the loop's time, in seconds.

    Waiters are futures of their own, made on demand and resolved with nothing; the outcome is kept here, so that a
    failure nobody asks about is not reported as one that was forgotten.
    """

    record: Record
    begun_at: float = -math.inf  # when its last POST was begun, if this process did that
    accepted_at: float = math.inf
    deadline: float = math.inf  # no poll is begun for it after one that was begun later than this
    due: float = -math.inf  # when it was last to be submitted
    course: Course | None = None  # once it is asked about
    last_status: str | None = None  # the vendor's own word
    polls: int = 0
    failures: int = 0  # tries in a row that told nothing
    troubled_since: float | None = None  # when those began
    missing_since: float | None = None  # since when the vendor has denied that there is a generation, or its file
    doubt: KlingError | None = None  # why nobody knows what became of its POST
    afforded: bool = False  # its cost is set aside, so that a limit on spending stops it no more
    settled: bool = False
    error: KlingError | None = None  # why it settled without a video
    waiters: dict[Future[None], Milestone] | None = None

    @property
    def model(self) -> str:
        """The vendor's id of its model; of one that is known by its id alone, what that says after its first colon."""
        request = self.record.request
        return request.model if request is not None else (self.record.generation_id or "").partition(":")[2]

    @property
    def duration(self) -> int | None:
        """The length of the video in seconds, if it was asked for."""
        request = self.record.request
        return None if request is None else request.duration_seconds

    def waiter(self, milestone: Milestone, loop: AbstractEventLoop) -> Future[None]:
        """A future that is resolved once this milestone is reached, or never will be."""
        future: Future[None] = loop.create_future()
        if self.waiters is None:
            self.waiters = {}
        self.waiters[future] = milestone
        return future

    def forget(self, waiter: Future[None]) -> None:
        """Drop a waiter that has stopped waiting."""
        if self.waiters is not None:
            self.waiters.pop(waiter, None)

    def reach(self, milestone: Milestone) -> None:
        """Wake those who wait for this; settling wakes everybody."""
        if self.waiters is None:
            return
        woken = [w for w, wanted in self.waiters.items() if wanted is milestone or milestone is Milestone.SETTLED]
        for waiter in woken:
            del self.waiters[waiter]
            if not waiter.done():
                waiter.set_result(None)

    def stumbled(self, now: float) -> int:
        """Count a try that told nothing; returns how many came before it in a row."""
        if self.troubled_since is None:
            self.troubled_since = now
        self.failures += 1
        return self.failures - 1

    def recovered(self) -> None:
        """Forget about earlier tries that told nothing."""
        self.failures = 0
        self.troubled_since = None
        self.missing_since = None

    def troubled_for(self, now: float) -> float:
        """How long tries have told nothing, in seconds."""
        return 0.0 if self.troubled_since is None else now - self.troubled_since

    def missing_for(self, now: float, *, missing: bool) -> float:
        """How long the vendor has denied in a row that there is anything, in seconds, this answer included."""
        if not missing:
            self.missing_since = None
        elif self.missing_since is None:
            self.missing_since = now
        return 0.0 if self.missing_since is None else now - self.missing_since
