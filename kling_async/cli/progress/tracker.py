"""What there is to show of a session at one instant."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async import Accepted, Completed, Downloaded, Failed, Interrupted
from kling_async.cli.file_names import short
from kling_async.cli.progress.eta import EtaEstimator, RateMeter
from kling_async.cli.tags import label_of
from kling_async.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_async import Event, Job, Request, Stats

__all__ = ["ProgressTracker", "Row", "Snapshot"]

_NEWEST = 32  # how many of the running jobs the forecast looks at


@frozen
class Row:
    """A job that is under way.

    Attributes:
        name: What its caller calls it.
        prompt: What it shows.
        model: Its model, without the supplier's name.
        status: How far it is: the vendor's own word, or ``downloading``.
        age: For how long it is under way, in seconds.
        share: How much of its expected time that is, from 0 to 1.
        polls: How often it was asked about.
    """

    name: str
    prompt: str
    model: str
    status: str
    age: float
    share: float
    polls: int


@frozen
class Snapshot:
    """Everything that is shown at one instant.

    Attributes:
        total: How many jobs there will be.
        finished: How many have come to their end, files included.
        counts: How many jobs are at each stage, in the order of a job's life; stages where nothing is are left out.
        elapsed: For how long this runs, in seconds.
        left: How long it may run yet, in seconds; None if nothing tells.
        requests: How many requests were sent for generations, those for the account's ledger among them.
        per_second: How many are being sent per second.
        throttled: How many got 429.
        paused_for: For how long everything is held, in seconds.
        spent: What the videos of this run cost, in US dollars, as far as the vendor has said.
        told_first: How many completions the account's ledger told of before any poll did.
        halted: Why nothing is submitted any more, if so.
        rows: The jobs that are under way, those that began first; as many as were asked for.
        more: How many further ones there are.
    """

    total: int
    finished: int
    counts: tuple[tuple[str, int], ...]
    elapsed: float
    left: float | None
    requests: int
    per_second: float
    throttled: int
    paused_for: float
    spent: float
    told_first: int
    halted: str | None
    rows: tuple[Row, ...]
    more: int


class ProgressTracker:
    """Follows a session by its events, and says what there is to show.

    It holds an entry for each job that is at the vendor or whose file is coming in, and nothing of those that wait or
    are finished; a view costs as much as it has rows, however many jobs there are.

    Args:
        total: How many jobs there will be.
        started: When it all began, in the loop's time, as are all instants here.
        downloads: Whether a completed job is finished only once its file is on disk.
        pace: How long things take here, as a share of what the catalogue says: 1 for the vendor itself.
    """

    def __init__(self, total: int, *, started: float, downloads: bool = True, pace: float = 1.0) -> None:
        self._total = total
        self._started = started
        self._downloads = downloads
        self._forecast = EtaEstimator(pace)
        self._sending = RateMeter()
        self._finishing = RateMeter(window=20.0)
        self._running: dict[Job, float] = {}  # since when, oldest first
        self._fetching: dict[Job, float] = {}
        self._given_up: set[Job] = set()  # whose end has not been heard of yet
        self._recalled = 0  # jobs whose outcomes were there before this run, which the session does not count
        self._lost = 0  # of those there are videos for, how many have no file
        self._spent = 0.0

    def join(self, job: Job, since: float) -> None:
        """Take on a job that was at the vendor before anybody listened."""
        self._running[job] = since

    def recall(self, job: Job, at: float) -> None:
        """Take on a job whose outcome was there before; if that is a video, its file is on its way from now on."""
        self._recalled += 1
        if job.exception() is None:
            self._fetching[job] = at
        else:
            self._lost += 1

    def take(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case Accepted():
                self._running[event.job] = event.at
            case Completed():
                self._running.pop(event.job, None)
                self._spent += event.video.usage.usd_spent or 0.0
                if self._downloads and event.job not in self._given_up:
                    self._fetching[event.job] = event.at
            case Failed() | Interrupted():
                self._running.pop(event.job, None)
            case Downloaded():
                self._fetching.pop(event.job, None)
            case _:
                pass

    def give_up(self, job: Job) -> None:
        """Take note that this job's file will not come."""
        self._lost += 1
        self.leave(job)

    def leave(self, job: Job) -> None:
        """Take note that this job's file is there already."""
        if self._fetching.pop(job, None) is None:
            self._given_up.add(job)

    def view(self, stats: Stats, now: float, *, rows: int = 0) -> Snapshot:
        """What there is to show now.

        Args:
            stats: The session's.
            now: The instant.
            rows: How many jobs to show one by one.
        """
        self._sending.note(now, requests := stats.submits + stats.polls + _looks(stats))
        self._finishing.note(now, stats.settled)
        self._forecast.learn(stats.learned)
        shown = tuple(islice(self._rows(now), rows))
        return Snapshot(
            total=self._total,
            finished=stats.settled + self._recalled - len(self._fetching),
            counts=tuple((name, count) for name, count in self._counts(stats) if count),
            elapsed=now - self._started,
            left=self._left(stats, now),
            requests=requests,
            per_second=self._sending.per_second,
            throttled=stats.throttled,
            paused_for=stats.paused_for,
            spent=self._spent,
            told_first=0 if stats.feed is None else stats.feed.told_first,
            halted=stats.halted,
            rows=shown,
            more=max(0, stats.pending + len(self._fetching) - len(shown)),
        )

    def _counts(self, stats: Stats) -> Iterator[tuple[str, int]]:
        yield "to come", self._total - stats.open - stats.settled - self._recalled
        yield "queued", stats.queued
        yield "submitting", stats.submitting
        yield "uncertain", stats.uncertain
        yield "generating", stats.pending
        yield "downloading", len(self._fetching)
        yield "done", stats.completed + self._recalled - len(self._fetching) - self._lost
        yield "failed", stats.failed + stats.rejected + self._lost
        yield "stopped", stats.interrupted + stats.abandoned

    def _left(self, stats: Stats, now: float) -> float | None:
        newest = islice(reversed(self._running.items()), _NEWEST)
        waiting = max(0, self._total - stats.settled - self._recalled - stats.pending)
        ages = ((job.request, now - since) for job, since in newest)
        return self._forecast.left(waiting, stats.pending, ages, self._finishing.per_second)

    def _rows(self, now: float) -> Iterator[Row]:
        for job, since in self._fetching.items():
            yield self._row(job, "downloading", now - since, 1.0)
        for job, since in self._running.items():
            if job.done():  # its last event is still on its way, or was missed
                continue
            share = (now - since) / self._forecast.seconds(job.request)
            yield self._row(job, one_line(job.last_status or "accepted"), now - since, min(1.0, share))

    def _row(self, job: Job, status: str, age: float, share: float) -> Row:
        request = job.request
        model = "" if request is None else request.model
        return Row(_name(job), _prompt(request), model.partition("/")[2] or model, status, age, share, job.polls)


def _looks(stats: Stats) -> int:
    return 0 if stats.feed is None else stats.feed.pages


def _name(job: Job) -> str:
    label = label_of(job.tag)
    known = label.tag or label.output
    if known:
        return one_line(known)
    # A row's key says more than an id; any other key says less.
    return short(job.key) if short(job.key) != job.key else one_line(job.generation_id or job.key)


def _prompt(request: Request | None) -> str:
    prompt: object = getattr(request, "prompt", None)
    return one_line(prompt) if isinstance(prompt, str) else ""
