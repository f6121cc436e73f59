"""Counters of a session, and a snapshot of it in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import asdict, define, frozen

from kling_async.journal.base import JobState
from kling_async.pacing.durations import Phase

if TYPE_CHECKING:
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.store import JobStore
    from kling_async.pacing.admission import AdmissionControl
    from kling_async.pacing.durations import DurationModels


@define(eq=False)
class Counters:
    """Counts of requests as they are begun, and of files."""

    submits: int = 0
    polls: int = 0
    throttled: int = 0
    calls: int = 0
    downloading: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0

    @property
    def requests(self) -> int:
        """All requests to the API."""
        return self.submits + self.polls + self.calls


@frozen(kw_only=True)
class FeedStats:
    """What a session has learned of the account's ledger.

    Attributes:
        leads: Whether it has shown charges before polls showed that generations had completed, and still does.
        lag: How long after a generation's end its charge is recorded on average, in seconds; None while the ledger has
            not led.
        told_first: How many completions it showed before any poll did.
        unrecorded: The share of ends, failures among them, that it is thought never to show.
        pages: How many pages of it were asked for; they count among the session's calls.
    """

    leads: bool
    lag: float | None
    told_first: int
    unrecorded: float
    pages: int


@frozen(kw_only=True)
class LearnedDuration:
    """The time one kind of generation takes, from the end of the vendor's queue, as learned.

    Attributes:
        model: The vendor's id of the model.
        duration: The length of the video in seconds, if it was asked for.
        median: The seconds within which half of such generations are done.
        p90: The seconds within which nine in ten are done.
        generations: The number of generations it was learned from, older ones counting less; 0 for the catalogue's.
    """

    model: str
    duration: int | None
    median: float
    p90: float
    generations: float


@frozen(kw_only=True)
class Stats:
    """The numbers of a session at one instant.

    Attributes:
        queued: Open jobs that wait for their submit.
        submitting: Open jobs whose POST is under way.
        pending: Open jobs at the vendor.
        uncertain: Open jobs that may have been bought.
        completed: Jobs that settled with a video.
        failed: Jobs whose generation failed.
        rejected: Jobs the vendor refused.
        abandoned: Jobs the caller abandoned.
        interrupted: Jobs that settled while their generation's life goes on, as at a deadline.
        submits: POSTs begun.
        polls: GETs about generations begun.
        calls: Other requests to the API begun.
        throttled: Requests refused because of a rate limit (429).
        paused_for: The seconds for which all requests pause after such a refusal; 0 without a pause.
        requests_per_second: The present limit on all requests.
        slots: The number of generations the account seems to run at once; None while no limit was met.
        learned: The learned duration of each kind of generation, in the order they were first submitted.
        halted: The reason submits have halted; None while they go on.
        feed: What the account's ledger tells; None where it is not read.
        downloading: Files being downloaded.
        downloaded: Files downloaded.
        downloaded_bytes: The bytes of those together.
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
    requests_per_second: float
    slots: int | None
    learned: tuple[LearnedDuration, ...]
    halted: str | None
    feed: FeedStats | None = None
    downloading: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0

    @property
    def open(self) -> int:
        """The number of jobs that have not settled."""
        return self.queued + self.submitting + self.pending + self.uncertain

    @property
    def settled(self) -> int:
        """The number of jobs that have settled."""
        return self.completed + self.failed + self.rejected + self.abandoned + self.interrupted


def snapshot(
    store: JobStore,
    queue: JobQueue,
    admission: AdmissionControl,
    models: DurationModels,
    counters: Counters,
    feed: FeedStats | None,
) -> Stats:
    """Return the numbers as they are now."""
    jobs: dict[str, Any] = {
        state.value: (store.settled_by_state if state.is_terminal else store.open_by_state)[state] for state in JobState
    }
    return Stats(
        **jobs,
        **asdict(counters),
        interrupted=sum(count for state, count in store.settled_by_state.items() if not state.is_terminal),
        paused_for=max(0.0, admission.paused_until - store.clock.now()),
        requests_per_second=admission.rate,
        slots=admission.slots,
        learned=_learned(models),
        halted=None if queue.halted is None else queue.halted.message,
        feed=feed,
    )


def _learned(models: DurationModels) -> tuple[LearnedDuration, ...]:
    return tuple(
        LearnedDuration(
            model=kind.model,
            duration=kind.duration,
            median=table.hazard.median,
            p90=table.hazard.quantile(0.9),
            generations=table.generations,
        )
        for kind, table in models
        if kind.phase is Phase.GENERATING
    )
