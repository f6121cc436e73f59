"""The demo's report: figures from the sandbox's ledger, and what failed."""

from __future__ import annotations

from http import HTTPStatus
from statistics import fmean
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.cli.text import count, percentile, span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kling_async.sandbox import CallRecorder


@frozen
class JobResult:
    """The outcome of one job.

    Attributes:
        name: The job's.
        model: Its model.
        path: Its file, if it has one.
        size: The file's size in bytes.
        problem: Why it has no file, or what is wrong with the file.
    """

    name: str
    model: str
    path: Path | None = None
    size: int = 0
    problem: str | None = None


@frozen
class Report:
    """The figures of a run, from the sandbox's ledger.

    Attributes:
        results: The outcome of each job.
        bought: Generations bought.
        submits: POSTs.
        polls: GETs about generations.
        delays: Seconds from each generation's end until it was noticed, shortest first.
        throttled: Requests that got 429.
        errors: Other requests that got an error status or a dropped connection.
        elapsed: Seconds for the whole run.
        speed: The speed of the sandbox's time.
    """

    results: tuple[JobResult, ...]
    bought: int
    submits: int
    polls: int
    delays: tuple[float, ...]
    throttled: int
    errors: int
    elapsed: float
    speed: float

    @classmethod
    def of(cls, results: tuple[JobResult, ...], ledger: CallRecorder, *, elapsed: float, speed: float) -> Report:
        """Build the report from a sandbox's ledger."""
        answers = ledger.answers
        asked = {kind: sum(n for (of, _), n in answers.items() if of == kind) for kind in ("submit", "poll")}
        good = sum(n for (_, status), n in answers.items() if status is not None and status < HTTPStatus.BAD_REQUEST)
        return cls(
            results=results,
            bought=len(ledger.purchases),
            submits=asked["submit"],
            polls=asked["poll"],
            delays=tuple(sorted(ledger.delays.values())),
            throttled=ledger.throttled,
            errors=answers.total() - good - ledger.throttled,
            elapsed=elapsed,
            speed=speed,
        )

    @property
    def done(self) -> int:
        """The number of jobs that ended with a whole file."""
        return sum(result.problem is None for result in self.results)

    @property
    def is_good(self) -> bool:
        """True if every job has a whole file and none was bought twice."""
        return self.done == len(self.results) == self.bought


def problems(report: Report) -> Iterator[str]:
    """Yield a line for each failed job, and one if more was bought than asked for."""
    for result in report.results:
        if result.problem is not None:
            yield f"{result.name} ({result.model}): {result.problem}"
    if report.bought != len(report.results):
        yield f"{count(report.bought, 'generation')} bought for {count(len(report.results), 'job')}"


def figures(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the names of figures, and the figures."""
    jobs = len(report.results)
    yield "jobs", f"{jobs}: {report.done} completed, {jobs - report.done} failed, {report.bought} bought"
    yield "models", f"{len({result.model for result in report.results})}"
    each = (report.submits + report.polls) / jobs
    yield "requests per job", f"{each:.1f} ({count(report.submits, 'submit')}, {count(report.polls, 'poll')})"
    if report.delays:
        yield "noticed late by", _delays(report)
    yield "refused (429)", f"{report.throttled}"
    yield "other errors", f"{report.errors} error answers and dropped connections"
    yield "bytes", f"{sum(result.size for result in report.results):,}"
    yield "elapsed", f"{report.elapsed:.1f} s"


def _delays(report: Report) -> str:
    mean, p99 = fmean(report.delays), percentile(report.delays, 0.99)
    in_vendor_time = f"{span(mean * report.speed)} and {span(p99 * report.speed)}"
    return f"{span(mean)} mean, {span(p99)} p99 (in the vendor's time {in_vendor_time})"
