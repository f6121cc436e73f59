"""The kinds of events, as typed values: the basis of progress displays, traces and metrics."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING

from attrs import field, frozen

from kling_async.engine.event_bus import Event
from kling_async.engine.job import JobEvent, value_of

if TYPE_CHECKING:
    from contextvars import Context
    from pathlib import Path

    from kling_async.api.results import GenerationStatus, Video
    from kling_async.errors import KlingError


@frozen(eq=False, repr=False)
class Queued(JobEvent):
    """The job waits for its turn to be submitted.

    Attributes:
        context: The context variables at ``submit``, such as those of whoever traces it; in no comparison and no data.
    """

    context: Context = field(factory=copy_context, kw_only=True, eq=False)


@frozen(eq=False, repr=False)
class Submitted(JobEvent):
    """A POST for it was begun.

    Attributes:
        attempt: The number of POSTs begun for it, this one included.
    """

    attempt: int


@frozen(eq=False, repr=False)
class Accepted(JobEvent):
    """The vendor accepted it; it is charged unless it fails."""

    generation_id: str = field(default=value_of("generation_id"), kw_only=True)


@frozen(eq=False, repr=False)
class Polled(JobEvent):
    """The vendor gave its status.

    Attributes:
        status: The status.
        polls: The number of polls of this job, this one included.
        expected_at: The expected (median) end, in the loop's time; None once it has ended.
    """

    status: GenerationStatus
    polls: int
    expected_at: float | None


@frozen(eq=False, repr=False)
class Retrying(JobEvent):
    """A submit or a poll failed without an outcome, and is tried again.

    Attributes:
        error: Why it failed.
        retry_at: When it is tried again, in the loop's time.
    """

    error: KlingError
    retry_at: float


@frozen(eq=False, repr=False)
class Throttled(JobEvent):
    """The vendor refused a request because of a rate limit (429). The job is as it was; the session slows down.

    Attributes:
        is_submit: True for a submit, after which submits pause; False for a poll, after which all requests do.
        until: When requests go on, in the loop's time.
    """

    is_submit: bool
    until: float


@frozen(eq=False, repr=False)
class Completed(JobEvent):
    """The video is there.

    Attributes:
        video: The video.
        shown_by_ledger: Whether it was polled because the account's ledger had shown its charge.
        ledger_lag: How many seconds after an end the ledger shows its charge on average; None while it does not lead.
        told_first: How many completions it has shown before any poll did, this one included.
    """

    video: Video
    shown_by_ledger: bool = False
    ledger_lag: float | None = None
    told_first: int = 0


@frozen(eq=False, repr=False)
class Failed(JobEvent):
    """The vendor refused the request, or failed to make the video."""

    error: KlingError


@frozen(eq=False, repr=False)
class Interrupted(JobEvent):
    """The job settled although its generation's life goes on; it can be resumed."""

    error: KlingError


@frozen(eq=False, repr=False)
class Downloading(JobEvent):
    """The download of its file has begun; `Downloaded` or `DownloadFailed` follows."""

    path: Path


@frozen(eq=False, repr=False)
class DownloadFailed(JobEvent):
    """The download failed or was cancelled; it can be begun again."""

    path: Path
    error: KlingError


@frozen(eq=False, repr=False)
class Downloaded(JobEvent):
    """Its file is complete on disk."""

    path: Path
    size: int


@frozen(eq=False, repr=False)
class LeadershipChanged(Event):
    """The session begins or ceases to act for all that share its journal; there is none where it shares with nobody.

    Attributes:
        leads: Whether it leads from now on, as ``is_leader`` tells at any time.
    """

    leads: bool


SETTLING = (Completed, Failed, Interrupted)
"""The kinds that tell of a job's end in this session."""
