"""``kling-async demo``: the main job, start to end, without a key."""

from __future__ import annotations

import asyncio
from random import Random
from time import monotonic
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from kling_async import KlingError
from kling_async.cli.demo.prompts import prompts
from kling_async.cli.demo.report import Outcome, Report, flaws, lines
from kling_async.cli.exit_codes import Exit
from kling_async.cli.mp4 import flaw
from kling_async.cli.paths import made_folder
from kling_async.cli.progress.progress import progress
from kling_async.cli.signals import run
from kling_async.cli.text import count, one_line
from kling_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Job, KlingSession
    from kling_async.cli.progress.tracker import ProgressTracker
    from kling_async.cli.terminal import Terminal
    from kling_async.sandbox.faults import Kind, Trigger

__all__ = ["Demo"]

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
"""A bit of everything that a day brings, none of which costs a job anything. Polls suffer early on: waits after an
error take their real time, whatever the speed, so that later ones would make completions look noticed late."""


@frozen
class Demo:
    """A run of the demo.

    Attributes:
        output: The folder for the videos.
        jobs: How many.
        speed: How many times as fast as the vendor's the sandbox's time passes.
        seed: What ids, durations and waits follow from.
    """

    output: Path
    jobs: int
    speed: float
    seed: int

    def run(self, terminal: Terminal) -> Exit:
        """Run it, say what came of it, and return whether all is well.

        Raises:
            ConfigurationError: The sandbox does not take this speed, or there is no such folder to be had.
            OSError: The sandbox cannot listen.
        """
        sandbox = Sandbox(speed=self.speed, seed=self.seed, slots=_SLOTS, faults=_FAULTS)
        made_folder(self.output)
        report = run(self._produce(sandbox, terminal), lambda: terminal.end("interrupted at once"))
        report = evolve(report, outcomes=tuple(map(_checked, report.outcomes)))
        _tell(report, self.output, terminal)
        return Exit.OK if report.is_good else Exit.FAILED

    async def _produce(self, sandbox: Sandbox, terminal: Terminal) -> Report:
        terminal.say(f"{count(self.jobs, 'video')} from a sandbox that is {self.speed:g} times as fast as the vendor")
        started = monotonic()
        rng = Random(self.seed)  # noqa: S311 - for a run that can be repeated
        async with (
            sandbox,
            sandbox.session(rng=rng) as kling,
            progress(kling, terminal, self.jobs, pace=1 / self.speed, interval=_INTERVAL) as board,
        ):
            jobs = [kling.submit(request, tag=name) for name, request in prompts(self.jobs)]
            outcomes = await asyncio.gather(*(self._obtain(job, kling, board) for job in jobs))
        return Report.of(tuple(outcomes), sandbox.ledger, elapsed=monotonic() - started, speed=self.speed)

    async def _obtain(self, job: Job, kling: KlingSession, board: ProgressTracker) -> Outcome:
        outcome = Outcome(str(job.tag), job.request.model if job.request else "")
        try:
            video = await job
            path = await kling.download(job, self.output / f"{job.tag}.mp4")
        except KlingError as error:
            board.give_up(job)
            return evolve(outcome, flaw=f"{type(error).__name__}: {one_line(str(error))}")
        return evolve(outcome, path=path, size=video.file_size or 0)


def _checked(outcome: Outcome) -> Outcome:
    """An outcome whose file has been looked at."""
    if outcome.path is None:
        return outcome
    try:
        return evolve(outcome, flaw=flaw(outcome.path, outcome.size), size=outcome.path.stat().st_size)
    except OSError as error:
        return evolve(outcome, flaw=f"{outcome.path} cannot be read: {error}")


def _tell(report: Report, output: Path, terminal: Terminal) -> None:
    for line in flaws(report):
        terminal.say(line, "red")
    terminal.tell(f"{report.done} of {count(len(report.outcomes), 'video')} in {output}")
    terminal.tell()
    for line in lines(report):
        terminal.tell(line)
