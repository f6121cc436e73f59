"""Views and jobs made up for the display's tests."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from attrs import define

from kling_async import Job, JobState, Stats, TextToVideo
from kling_async.cli.progress.tracker import Row, Snapshot

if TYPE_CHECKING:
    from kling_async import KlingError, Request


@define(eq=False)
class _StandIn:
    """What a display reads of a job."""

    tag: object = "01-fox"
    request: Request | None = None
    last_status: str | None = None
    generation_id: str | None = None
    key: str = "some-key"
    state: JobState = JobState.PENDING
    polls: int = 0
    settled: bool = False
    error: KlingError | None = None

    def done(self) -> bool:
        return self.settled

    def exception(self) -> KlingError | None:
        return self.error


def job(**known: Any) -> Job:
    """A job with these known."""
    usual: dict[str, Any] = {"request": TextToVideo("a red fox")}
    return cast("Job", _StandIn(**usual | known))


def stats(**numbers: Any) -> Stats:
    """A session's numbers; those that are not given are 0."""
    names = (
        "queued submitting pending uncertain completed failed rejected abandoned interrupted submits polls calls "
        "throttled paused_for requests_per_second"
    )
    usual: dict[str, Any] = dict.fromkeys(names.split(), 0) | {"halted": None, "slots": None, "learned": ()}
    return Stats(**usual | numbers)


def row(**known: Any) -> Row:
    """A row with these known."""
    usual: dict[str, Any] = {
        "name": "01-fox",
        "prompt": "A red fox runs across the rooftops of Lisbon, tiles slipping under its paws",
        "model": "v2.1-master-text-to-video",
        "status": "generating",
        "age": 65.0,
        "share": 0.5,
        "polls": 3,
    }
    return Row(**usual | known)


def snapshot(**known: Any) -> Snapshot:
    """A snapshot with these known."""
    usual: dict[str, Any] = {
        "total": 24,
        "finished": 12,
        "counts": (("queued", 4), ("generating", 7), ("downloading", 1), ("done", 11), ("failed", 1)),
        "elapsed": 14.0,
        "left": 8.0,
        "requests": 88,
        "per_second": 6.25,
        "throttled": 3,
        "paused_for": 0.0,
        "spent": Decimal(0),
        "ledger": "",
        "halted": None,
        "rows": (),
        "more": 0,
    }
    return Snapshot(**usual | known)
