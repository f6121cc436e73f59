"""Track a session's jobs by its events, estimate when they will be done, and take snapshots to display."""

from __future__ import annotations

import math
from collections import deque
from decimal import Decimal
from itertools import islice
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async import (
    Accepted,
    Completed,
    Downloaded,
    Failed,
    GenerationStatus,
    Interrupted,
    JobState,
    Polled,
    Retrying,
)
from kling_async.cli.text import label_for, one_line, prompt_of, short_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kling_async import Event, Job, LearnedDuration, Request, Stats


class RateMeter:
    """The rate of a count over a sliding window of seconds."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._readings: deque[tuple[float, int]] = deque()

    def record(self, now: float, total: int) -> None:
        """Add a reading. Instants never go back."""
        self._readings.append((now, total))
        # One reading from before the window stays: the growth is counted from there.
        while len(self._readings) > 1 and self._readings[1][0] <= now - self._window:
            self._readings.popleft()

    @property
    def per_second(self) -> float:
        """The rate between the first and the last reading; 0 with fewer than two."""
        if not self._readings or self._readings[0][0] == self._readings[-1][0]:
            return 0.0
        (begun, first), (ended, last) = self._readings[0], self._readings[-1]
        return (last - first) / (ended - begun)


_USUAL = 240.0  # seconds for a model of which nothing is known: the middle of what is published
_SPREAD = 1.25  # the 90th percentile by the median, where nothing is learned
_USUAL_SPREAD = NormalDist().inv_cdf(0.9)  # the same in standard deviations, of the logarithms
_SURE = 0.75  # up to this share of its time, a generation is taken to be on time
_OVERDUE = 0.1  # what is overdue takes this share of its time yet, if nothing else tells


class EtaEstimator:
    """Estimates from the durations of each kind that the session goes by, the catalogue's until it has learned any."""

    def __init__(self) -> None:
        self._learned: dict[tuple[str, int | None], LearnedDuration] = {}

    def learn(self, learned: Iterable[LearnedDuration]) -> None:
        """Replace what was learned by what the session has learned since."""
        self._learned = {(each.model, each.duration): each for each in learned}

    def seconds(self, request: Request | None) -> float:
        """Return the expected duration of a generation, in seconds; of an unknown kind, the mean of the others."""
        learned = self._of(request)
        if learned is not None:
            return learned.median
        return fmean(each.median for each in self._learned.values()) if self._learned else _USUAL

    def _of(self, request: Request | None) -> LearnedDuration | None:
        return None if request is None else self._learned.get((request.model, request.duration_seconds))

    def _slowest(self, request: Request | None, of: int) -> float:
        """Return the expected duration of the slowest of so many, in seconds."""
        learned = self._of(request)
        spread = _SPREAD if learned is None else learned.p90 / learned.median
        deviations = NormalDist().inv_cdf(0.5 ** (1 / max(1, of)))  # the median of the largest
        return self.seconds(request) * math.pow(spread, deviations / _USUAL_SPREAD)

    def left(
        self, queued: int, running: int, newest: Iterable[tuple[Request | None, float]], finishing: float = 0.0
    ) -> float | None:
        """Estimate the seconds until everything is done; None without any evidence.

        Args:
            queued: Jobs that wait, to be submitted or in the vendor's queue.
            running: Jobs that are being made. As many are assumed to run at once from now on, but no fewer than it
                takes to finish as many as do: one that has just begun is not known to have.
            newest: The requests of those that began last, and their ages in seconds.
            finishing: Jobs that finish per second. It counts more the nearer the newest come to their expected end, as
                the vendor may have a queue of its own that it does not tell of.
        """
        requests = list(newest)
        if not requests:
            return None if queued else 0.0
        last = [(self._slowest(request, running), age) for request, age in requests]
        mean = sum(self.seconds(request) for request, _ in requests) / len(requests)
        expected, age = max(last, key=lambda one: one[0] - one[1])
        seen = running / finishing if finishing else _OVERDUE * mean
        turns = queued / max(1.0, running, finishing * mean)
        return turns * mean + max(expected - age, _overdue_weight(age / expected) * seen)


def _overdue_weight(share: float) -> float:
    """Return the weight, 0 to 1, of the observed finishing rate for one that has used this share of its time."""
    return min(1.0, max(0.0, (share - _SURE) / (1 - _SURE)))


_NEWEST = 32  # jobs, those accepted last, that the estimate uses


@frozen
class Row:
    """A job that is under way.

    Attributes:
        name: Its tag, or else its key or id.
        prompt: Its prompt.
        model: Its model, without the supplier's name.
        status: The vendor's own word, or ``downloading``.
        age: Seconds since it was accepted, or since its download began.
        share: The age as a share of the expected duration, 0 to 1.
        polls: The number of polls.
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
    """The progress at one instant.

    Attributes:
        total: The number of jobs.
        finished: Jobs that have ended, files included.
        counts: Jobs at each stage, in the order of a job's life; empty stages are left out.
        elapsed: Seconds since the start.
        left: Estimated seconds until the end; None without evidence.
        requests: Requests sent for generations, those for the account's ledger included.
        per_second: Requests per second.
        throttled: Requests that got 429.
        paused_for: Seconds for which all requests are paused.
        spent: Cost of this run's videos in US dollars, as far as the vendor has said.
        ledger: What the account's ledger told before any poll did, and how late; empty without anything.
        halted: Why submits have stopped, or None.
        rows: The oldest jobs under way, up to the number asked for.
        more: The number of other jobs under way.
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
    spent: Decimal
    ledger: str
    halted: str | None
    rows: tuple[Row, ...]
    more: int


class ProgressTracker:
    """Tracks a session's jobs by its events.

    It keeps only jobs that are at the vendor or downloading; a snapshot costs as much as it has rows, however many jobs
    there are.

    Args:
        total: The number of jobs.
        started: The start, in the loop's time, as are all instants here.
    """

    def __init__(self, total: int, *, started: float) -> None:
        self._total = total
        self._started = started
        self._eta = EtaEstimator()
        self._sending = RateMeter()
        self._finishing = RateMeter(window=20.0)
        self._running: dict[Job, float] = {}  # since when, oldest first
        self._generating: dict[Job, float] = {}  # likewise, without those that the vendor has in its queue
        self._downloading: dict[Job, float] = {}
        self._given_up: set[Job] = set()  # before their completion was heard of
        self._settled_before = 0  # settled before this run; not in the session's counts
        self._lost = 0  # completed jobs without a file
        self._spent = Decimal(0)

    def add_pending(self, job: Job, since: float) -> None:
        """Add a job that was accepted before the tracker began, at this instant."""
        self._running[job] = self._generating[job] = since

    def add_settled(self, job: Job, at: float) -> None:
        """Add a job that was settled before; a completed one counts as downloading from now on."""
        self._settled_before += 1
        if job.exception() is None:
            self._downloading[job] = at
        else:
            self._lost += 1

    def handle(self, event: Event) -> None:
        """Apply an event."""
        match event:
            case Accepted():
                self.add_pending(event.job, event.at)
            case Polled():
                self._polled(event)
            case Completed():
                self._drop(event.job)
                self._spent += event.video.usage.usd_spent or 0
                if event.job not in self._given_up:
                    self._downloading[event.job] = event.at
            case Failed() | Interrupted() | Retrying(state=JobState.QUEUED):
                self._drop(event.job)
            case Downloaded():
                self._downloading.pop(event.job, None)
            case _:
                pass

    def _polled(self, event: Polled) -> None:
        if event.status is GenerationStatus.QUEUED:
            self._generating.pop(event.job, None)
        elif event.job in self._running and event.job not in self._generating:
            self._generating[event.job] = event.at

    def _drop(self, job: Job) -> None:
        self._running.pop(job, None)
        self._generating.pop(job, None)

    def download_failed(self, job: Job) -> None:
        """Count a job whose file will not come."""
        self._lost += 1
        self.downloaded(job)

    def downloaded(self, job: Job) -> None:
        """Mark a job whose file is on disk already."""
        if self._downloading.pop(job, None) is None:
            self._given_up.add(job)

    def snapshot(self, stats: Stats, now: float, *, rows: int = 0) -> Snapshot:
        """Take a snapshot.

        Args:
            stats: The session's.
            now: The instant.
            rows: The number of jobs to show.
        """
        feed, ledger = stats.feed, ""
        if feed is not None and feed.told_first:
            ledger = f"{feed.told_first:,} told by the ledger{'' if feed.lag is None else f', {feed.lag:.1f} s late'}"
        requests = stats.submits + stats.polls + (0 if feed is None else feed.pages)
        self._sending.record(now, requests)
        self._finishing.record(now, stats.settled)
        self._eta.learn(stats.learned)
        shown = tuple(islice(self._rows(now), rows))
        return Snapshot(
            total=self._total,
            finished=stats.settled + self._settled_before - len(self._downloading),
            counts=tuple((name, count) for name, count in self._counts(stats) if count),
            elapsed=now - self._started,
            left=self._left(stats, now),
            requests=requests,
            per_second=self._sending.per_second,
            throttled=stats.throttled,
            paused_for=stats.paused_for,
            spent=self._spent,
            ledger=ledger,
            halted=stats.halted,
            rows=shown,
            more=max(0, stats.pending + len(self._downloading) - len(shown)),
        )

    def _counts(self, stats: Stats) -> Iterator[tuple[str, int]]:
        yield "to come", max(0, self._total - stats.open - stats.settled - self._settled_before)
        yield "queued", stats.queued
        yield "submitting", stats.submitting
        yield "uncertain", stats.uncertain
        yield "in the vendor's queue", min(stats.pending, self._in_their_queue)
        yield "generating", max(0, stats.pending - self._in_their_queue)
        yield "downloading", len(self._downloading)
        yield "done", stats.completed + self._settled_before - len(self._downloading) - self._lost
        yield "failed", stats.failed + stats.rejected + self._lost
        yield "stopped", stats.interrupted + stats.abandoned

    @property
    def _in_their_queue(self) -> int:
        return len(self._running) - len(self._generating)

    def _left(self, stats: Stats, now: float) -> float | None:
        newest = islice(reversed(self._generating.items()), _NEWEST)
        generating = max(0, stats.pending - self._in_their_queue)
        waiting = max(0, self._total - stats.settled - self._settled_before - generating)
        ages = ((job.request, now - since) for job, since in newest)
        return self._eta.left(waiting, generating, ages, self._finishing.per_second)

    def _rows(self, now: float) -> Iterator[Row]:
        for job, since in self._downloading.items():
            yield self._row(job, "downloading", now - since, 1.0)
        for job, since in self._running.items():
            if job.done():  # its last event is still on its way, or was missed
                continue
            share = (now - self._generating.get(job, now)) / self._eta.seconds(job.request)
            yield self._row(job, one_line(job.last_status or "accepted"), now - since, min(1.0, share))

    def _row(self, job: Job, status: str, age: float, share: float) -> Row:
        request = job.request
        model = "" if request is None else request.model
        return Row(
            label_for(job), one_line(prompt_of(request) or ""), short_model(model), status, age, share, job.polls
        )
