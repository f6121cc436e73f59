"""What a run of the demo came to."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.cli.text import count, percentile, span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kling_async.sandbox import CallRecorder

__all__ = ["Outcome", "Report", "flaws", "lines"]


@frozen
class Outcome:
    """What became of one job.

    Attributes:
        name: The job's.
        model: Its model.
        path: Its file, if it has one.
        size: The file's size in bytes.
        flaw: Why it has none, or why the file is no good.
    """

    name: str
    model: str
    path: Path | None = None
    size: int = 0
    flaw: str | None = None


@frozen
class Report:
    """A run, in figures, as the sandbox saw it.

    Attributes:
        outcomes: What became of each job.
        bought: How many generations were bought.
        submits: How many POSTs there were.
        polls: How many GETs about generations.
        delays: How long after its end each generation was noticed, in seconds, shortest first.
        throttled: How many requests got 429.
        errors: How many others got an error status or a dropped connection.
        elapsed: How long it all took, in seconds.
        speed: How many times as fast as the vendor's the sandbox's time passes.
    """

    outcomes: tuple[Outcome, ...]
    bought: int
    submits: int
    polls: int
    delays: tuple[float, ...]
    throttled: int
    errors: int
    elapsed: float
    speed: float

    @classmethod
    def of(cls, outcomes: tuple[Outcome, ...], ledger: CallRecorder, *, elapsed: float, speed: float) -> Report:
        """Take the figures from a ledger."""
        answers = ledger.answers
        asked = {kind: sum(n for (of, _), n in answers.items() if of == kind) for kind in ("submit", "poll")}
        good = sum(n for (_, status), n in answers.items() if status is not None and status < 400)  # noqa: PLR2004 - HTTP's
        return cls(
            outcomes=outcomes,
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
        """How many jobs ended with a whole file."""
        return sum(outcome.flaw is None for outcome in self.outcomes)

    @property
    def is_good(self) -> bool:
        """Whether every job did, and none was paid for twice."""
        return self.done == len(self.outcomes) == self.bought


def flaws(report: Report) -> Iterator[str]:
    """What is not as it should be, a line for each."""
    for outcome in report.outcomes:
        if outcome.flaw is not None:
            yield f"{outcome.name} ({outcome.model}): {outcome.flaw}"
    if report.bought != len(report.outcomes):
        yield f"{count(report.bought, 'generation')} bought for {count(len(report.outcomes), 'job')}"


def lines(report: Report) -> Iterator[str]:
    """The figures, a line for each."""
    for name, figure in _figures(report):
        yield f"{name:<18}{figure}"


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    jobs = len(report.outcomes)
    yield "jobs", f"{jobs}: {report.done} completed, {jobs - report.done} failed, {report.bought} bought"
    yield "models", f"{len({outcome.model for outcome in report.outcomes})}"
    each = (report.submits + report.polls) / jobs
    yield "requests per job", f"{each:.1f} ({count(report.submits, 'submit')}, {count(report.polls, 'poll')})"
    if report.delays:
        yield "noticed late by", _delays(report)
    yield "refused (429)", f"{report.throttled}"
    yield "other errors", f"{report.errors} error answers and dropped connections"
    yield "bytes", f"{sum(outcome.size for outcome in report.outcomes):,}"
    yield "elapsed", f"{report.elapsed:.1f} s"


def _delays(report: Report) -> str:
    mean, p99 = fmean(report.delays), percentile(report.delays, 0.99)
    in_vendor_time = f"{span(mean * report.speed)} and {span(p99 * report.speed)}"
    return f"{span(mean)} mean, {span(p99)} p99 (in the vendor's time {in_vendor_time})"
