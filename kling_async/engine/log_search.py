"""A search of the account's log, and the jobs that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from kling_async.api.account.logs import LogEntry
from kling_async.journal.base import JobState
from kling_async.pacing.absence import MAX_SKEW, USUAL_SKEW, LoggedPost

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from kling_async.engine.job import ActiveJob


@define(eq=False)
class UncertainJob:
    """A job whose submit is searched for.

    Attributes:
        active: The job.
        since: When the session learned that its POST's outcome is unknown: an instant. Until then it may be accepted.
        ended_at: The same by the wall clock; None if another process began it.
        lost_at: When its record lost what may have told of POSTs, by the wall clock; None if it did not.
    """

    active: ActiveJob
    since: float
    ended_at: float | None
    lost_at: float | None

    @property
    def is_inherited(self) -> bool:
        """True if another process began it."""
        return self.ended_at is None

    @property
    def is_open(self) -> bool:
        """True while it is still to be searched for."""
        return not self.active.settled and (self.active.record.state is JobState.UNCERTAIN or self.is_queued)

    @property
    def is_queued(self) -> bool:
        """True if its record knows of no POST that may have bought something."""
        return self.active.record.state is JobState.QUEUED and self.active.lost_at is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The client request ids its POSTs were sent under, oldest first; one that ends with a colon begins others."""
        record = self.active.record
        if self.lost_at is not None:
            return (f"{record.key}:",)
        return (*record.former_request_ids, *((record.client_request_id,) if record.client_request_id else ()))

    @property
    def posted_from(self) -> float | None:
        """The earliest time at which it may have been POSTed, by the wall clock as it was then; None if unknown."""
        record = self.active.record
        earlier = record.former_request_ids or record.submitted_at is None or self.lost_at is not None
        return (record.queued_at or None) if earlier else record.submitted_at

    @property
    def posted_until(self) -> float | None:
        """The latest such time; None if unknown."""
        return self.active.record.submitted_at if self.lost_at is None else self.lost_at

    def may_be(self, row: LogEntry, ahead: float | None) -> bool:
        """Return whether a row of no name was made when it may have been POSTed; the vendor's clock is ``ahead``."""
        created = None if row.created is None else row.created.timestamp()
        if self.lost_at is None:
            return LoggedPost(self.posted_until or 0.0, created).was_timed_rightly(ahead)
        return created is None or (self.posted_from or 0.0) - USUAL_SKEW <= created <= self.lost_at + USUAL_SKEW


@define(eq=False)
class LogSearch:
    """One reading of the log, from before the oldest uncertain POST to now.

    Attributes:
        begun: The instant it was begun.
        wall: The same by the wall clock, as a POSIX timestamp.
        skew: The seconds by which it reaches beyond the POSTs on both sides.
        rows: The rows found under the names searched for, by name and generation id, newest first.
        shown: The rows found of any of this journal's POSTs, by name.
        nameless: Rows without a name that belong to no job of this journal.
        complete: Whether its pages leave nothing out.
        broke_off: Whether it could not be read to its end.
        asked_at: When its first page was asked for by the vendor's clock, as a POSIX timestamp, or earlier.
        ahead: The seconds by which that clock was ahead of the wall clock.
    """

    begun: float
    wall: float
    skew: float
    rows: dict[str, dict[str | None, LogEntry]]
    shown: dict[str, LoggedPost] = field(factory=dict[str, LoggedPost])
    nameless: list[LogEntry] = field(factory=list[LogEntry])
    complete: bool = True
    broke_off: bool = False
    asked_at: float | None = None
    ahead: float | None = None

    def compare(self, sent_at: datetime | None, wall: float) -> None:
        """Compare the two clocks, once, by a page sent at one of the vendor's times and received at one of ours.

        What it shows may be from any moment since it was asked for, and either machine may have slept meanwhile.
        """
        if self.asked_at is None and sent_at is not None:
            self.ahead = sent_at.timestamp() - wall
            self.asked_at = min(sent_at.timestamp(), self.wall + self.ahead)

    def under(self, names: Sequence[str]) -> list[LogEntry]:
        """Return the rows under these names, oldest first."""
        return [row for name in names for row in reversed(tuple(self.rows[name].values()))]

    def covers(self, job: UncertainJob) -> bool:
        """Return whether it saw every row that may be this job's."""
        first, last = job.posted_from, job.posted_until
        if self.broke_off or not self.complete or self.skew < MAX_SKEW or first is None or last is None:
            return False
        # A time that is yet to come shows that the clock was set since, by an unknown amount.
        return max(first, last) <= self.wall + USUAL_SKEW

    @property
    def has_names(self) -> bool:
        """Whether it shows POSTs of this journal under their names, so that others' rows alone have none."""
        return bool(self.shown) or any(self.rows.values())
