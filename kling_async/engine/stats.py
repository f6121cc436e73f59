"""What a session has done and is doing, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.journal.base import State

if TYPE_CHECKING:
    from kling_async.engine.roster import Roster
    from kling_async.engine.scheduler import Scheduler
    from kling_async.engine.tally import Tally

__all__ = ["Stats", "snapshot"]


@frozen(kw_only=True)
class Stats:
    """A session at one instant.

    Attributes:
        queued: Open jobs that wait to be submitted.
        submitting: Open jobs whose POST is under way.
        pending: Open jobs at the vendor.
        uncertain: Open jobs that may have been bought.
        completed: Jobs that settled with a video.
        failed: Jobs whose generation failed.
        rejected: Jobs the vendor refused.
        abandoned: Jobs the caller gave up.
        interrupted: Jobs that settled although their generation's life goes on, as at a deadline.
        submits: POSTs begun.
        polls: GETs about generations begun.
        calls: Other requests to the API begun.
        throttled: Answers that refused a request for asking too much (429).
        paused_for: How long everything is held after such an answer, in seconds from now; 0 if nothing is.
        halted: Why the account refuses submits, if it does.
    """

    queued: int
    submitting: int
    pending: int
    uncertain: int
    completed: int
    failed: int
    rejected: int
    abandoned: int
    interrupted: int
    submits: int
    polls: int
    calls: int
    throttled: int
    paused_for: float
    halted: str | None

    @property
    def open(self) -> int:
        """Jobs that have not settled."""
        return self.queued + self.submitting + self.pending + self.uncertain

    @property
    def settled(self) -> int:
        """Jobs that have."""
        return self.completed + self.failed + self.rejected + self.abandoned + self.interrupted


def snapshot(roster: Roster, scheduler: Scheduler, tally: Tally) -> Stats:
    """The numbers as they are now."""
    standing, settled = roster.standing, roster.settled
    return Stats(
        queued=standing[State.QUEUED],
        submitting=standing[State.SUBMITTING],
        pending=standing[State.PENDING],
        uncertain=standing[State.UNCERTAIN],
        completed=settled[State.COMPLETED],
        failed=settled[State.FAILED],
        rejected=settled[State.REJECTED],
        abandoned=settled[State.ABANDONED],
        interrupted=sum(count for state, count in settled.items() if not state.is_terminal),
        submits=tally.submits,
        polls=tally.polls,
        calls=tally.calls,
        throttled=tally.throttled,
        paused_for=max(0.0, scheduler.paused_until - roster.loop.time()),
        halted=None if scheduler.halted is None else scheduler.halted.message,
    )
