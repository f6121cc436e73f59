"""Run the demo: a sandbox with faults, a session, downloads, and a check of each file."""

from __future__ import annotations

import asyncio
from random import Random
from time import monotonic
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kling_async import KlingError
from kling_async.cli.demo.prompts import prompts
from kling_async.cli.demo.report import JobResult, Report, figures, problems
from kling_async.cli.exit_codes import Exit
from kling_async.cli.mp4 import file_problem
from kling_async.cli.paths import make_folder
from kling_async.cli.progress.progress import show_progress
from kling_async.cli.signals import run
from kling_async.cli.text import count, one_line
from kling_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Job, KlingSession
    from kling_async.cli.progress.tracker import ProgressTracker
    from kling_async.cli.terminal import Terminal
    from kling_async.sandbox.faults import Kind, Trigger

_SLOTS = 16
_INTERVAL = 2.0  # seconds between lines: a demo is short


def _on(kind: Kind, *occasions: int) -> dict[Kind, Trigger]:
    return {kind: occasions}


_FAULTS = Faults(
    server_error=_on("poll", 4, 8),
    gateway_error=_on("poll", 11),
    drop_before=_on("poll", 14),
    malformed_json=_on("poll", 17),
    rate_limited=_on("submit", 8) | _on("poll", 20),
    expired_url={7},
    truncated_file={2, 12},
)
"""Faults of every kind that loses no job. Polls fail early on only: the wait after an error takes real time, whatever
the speed, so that later ones would make completions look noticed late."""


@frozen
class Demo:
    """A run of the demo.

    Attributes:
        output: The folder for the videos.
        jobs: The number of videos.
        speed: The speed of the sandbox's time.
        seed: Determines ids, durations and waits.
    """

    output: Path
    jobs: int
    speed: float
    seed: int

    def run(self, terminal: Terminal) -> Exit:
        """Run it, print the report, and return the exit code.

        Raises:
            ConfigurationError: The speed is out of range, or the folder cannot be made.
            OSError: The sandbox cannot listen.
        """
        sandbox = Sandbox(speed=self.speed, seed=self.seed, slots=_SLOTS, faults=_FAULTS)
        make_folder(self.output)
        report = run(self._produce(sandbox, terminal), lambda: terminal.final_message("interrupted at once"))
        report = evolve(report, results=tuple(map(_checked, report.results)))
        _print_report(report, self.output, terminal)
        return Exit.OK if report.is_good else Exit.FAILED

    async def _produce(self, sandbox: Sandbox, terminal: Terminal) -> Report:
        terminal.message(
            f"{count(self.jobs, 'video')} from a sandbox that is {self.speed:g} times as fast as the vendor"
        )
        started = monotonic()
        rng = Random(self.seed)  # noqa: S311 - for a run that can be repeated
        async with (
            sandbox,
            sandbox.session(rng=rng) as kling,
            show_progress(kling, terminal, self.jobs, interval=_INTERVAL) as tracker,
        ):
            jobs = [kling.submit(request, tag=name) for name, request in prompts(self.jobs)]
            results = await asyncio.gather(*(self._obtain(job, kling, tracker) for job in jobs))
        return Report.of(tuple(results), sandbox.ledger, elapsed=monotonic() - started, speed=self.speed)

    async def _obtain(self, job: Job, kling: KlingSession, tracker: ProgressTracker) -> JobResult:
        result = JobResult(str(job.tag), job.request.model if job.request else "")
        try:
            video = await job
            path = await kling.download(job, self.output / f"{job.tag}.mp4")
        except KlingError as error:
            tracker.download_failed(job)
            return evolve(result, problem=f"{type(error).__name__}: {one_line(str(error))}")
        return evolve(result, path=path, size=video.file_size or 0)


def _checked(result: JobResult) -> JobResult:
    """Check the file of a result."""
    if result.path is None:
        return result
    try:
        return evolve(result, problem=file_problem(result.path, result.size), size=result.path.stat().st_size)
    except OSError as error:
        return evolve(result, problem=f"{result.path} cannot be read: {error}")


def _print_report(report: Report, output: Path, terminal: Terminal) -> None:
    for line in problems(report):
        terminal.message(line, "red")
    terminal.text([f"{report.done} of {count(len(report.results), 'video')} in {output}", ""])
    terminal.table(list(figures(report)))
