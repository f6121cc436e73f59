"""Run the jobs of a journal to their ends, for ``batch``, ``resume`` and ``download``."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING

from attrs import Factory, define, field, frozen

from kling_async import GatewayError, JobState, SpendLimitReached, SubmissionUncertain
from kling_async.cli.batch.collector import Collector, RunItem
from kling_async.cli.connect import api_key, open_session
from kling_async.cli.journal_summary import discard_if_temporary, file_of
from kling_async.cli.journals import Place, folder_of, shown
from kling_async.cli.options import Running
from kling_async.cli.paths import make_folder
from kling_async.cli.progress.progress import show_progress
from kling_async.cli.signals import announced_stop, exit_code, run
from kling_async.cli.tags import label_for
from kling_async.cli.text import command, count
from kling_async.engine.job import active_job
from kling_async.files.video_names import NameAllocator, name_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kling_async import Job, KlingSession, Record
    from kling_async.cli.batch.collector import RunSummary
    from kling_async.cli.exit_codes import Exit
    from kling_async.cli.options import Connection
    from kling_async.cli.progress.tracker import ProgressTracker
    from kling_async.cli.terminal import Terminal


_ADVICE = {
    SpendLimitReached.__name__: ": allow more in all, and",
    GatewayError.__name__: ": once the vendor is reached, or with another --base-url or --proxy,",
}


@define(kw_only=True, eq=False)
class BatchRun:
    """A run over a journal.

    Attributes:
        journal: The journal.
        shared: Whether other sessions share it.
        output: The folder for the videos.
        connection: Where the vendor is.
        running: Limits and rates.
        hold: Whether queued jobs stay in the journal and nothing is submitted.
        terminal: The output streams.

    Raises:
        ConfigurationError: The options do not go together, or there is no API key.
    """

    journal: Place
    output: Path
    connection: Connection
    running: Running
    terminal: Terminal
    hold: bool = False
    shared: bool = False
    _is_entered: bool = field(init=False, default=False)  # whether the journal has all there is to do

    def __attrs_post_init__(self) -> None:
        api_key(self.connection)

    def run(self, total: int, do: Callable[[ActiveRun], Awaitable[None]]) -> Exit:
        """Run the jobs, print a summary, and return the exit code.

        Args:
            total: The number of jobs.
            do: Adds them.

        Raises:
            KlingError: The session cannot be opened.
            ConfigurationError: The folder cannot be made, or no file can be written there.
        """
        make_folder(self.output)
        try:
            summary = run(self._run(total, do), self._before_exit)
        except KeyboardInterrupt as interrupt:
            self.terminal.message(self._how_to_go_on("interrupted;"), "yellow")
            return exit_code(interrupt)
        self._sum_up(summary)
        if not (summary.stopped or summary.unfetched):
            discard_if_temporary(self.journal)
        return summary.exit

    async def _run(self, total: int, do: Callable[[ActiveRun], Awaitable[None]]) -> RunSummary:
        session = open_session(
            self.connection,
            journal=self.journal,
            hold=self.hold,
            shared=self.shared,
            limits=self.running.limits(),
            resubmit=self.running.resubmit,
            retries=self.running.retry,
        )
        async with (
            session as kling,
            show_progress(kling, self.terminal, total) as tracker,
        ):
            active = ActiveRun(self, kling, tracker)
            async with announced_stop(self.terminal):
                await do(active)
                self._is_entered = True
                return await active.collector.collect(active.items)

    @property
    def again(self) -> str:
        """The command that goes on with the journal."""
        return self._command("download" if self.hold else "resume", *self.running.arguments())

    def _command(self, name: str, *options: str) -> str:
        return command(name, shown(self.journal), "-o", self.output, *options, *self.connection.arguments())

    def _before_exit(self) -> None:
        self.terminal.final_message(self._how_to_go_on("interrupted at once;"))

    def _how_to_go_on(self, what: str, *, spent_up: bool = False) -> str:
        if self.connection.sandbox:
            return f"{what} the sandbox is gone with all that was in it: delete {shown(self.journal)} to begin anew"
        if not self._is_entered:
            return f"{what} it had hardly begun: go on with the same command"
        limit = " ".join(Running(max_spend=self.running.max_spend).arguments())
        again = self.again.replace(limit, "--max-spend AMOUNT") if spent_up else self.again
        return f"{what} go on with: {again}"

    def _sum_up(self, summary: RunSummary) -> None:
        for kind, number in summary.stopped.items():
            self.terminal.message(f"{count(number, 'job')} stopped early: {kind}: {summary.reasons[kind]}", "yellow")
        if self.running.resubmit and SubmissionUncertain.__name__ in summary.stopped:
            hint = "nothing proves what was not bought until the log shows a later submit, such as that of one more row"
            self.terminal.message(hint, "yellow")
        if summary.unfetched:
            said = f"{count(summary.unfetched, 'video')} could not be downloaded"
            self.terminal.message(f"{said}; try again with: {self._command('download')}", "red")
        if summary.retriable and not summary.stopped:
            said = f"{count(summary.retriable, 'failure')} not charged"
            self.terminal.message(f"{said}; try again with: {self.again} --retry-failed", "yellow")
        if summary.stopped:
            advice = next((advice for kind, advice in _ADVICE.items() if kind in summary.stopped), ";")
            spent_up = SpendLimitReached.__name__ in summary.stopped
            self.terminal.message(self._how_to_go_on(f"what is left is saved{advice}", spent_up=spent_up), "yellow")
        if not self.terminal.as_json:
            with suppress(BrokenPipeError):  # the videos are made all the same
                self.terminal.text([_summary(summary, self.output)])


@frozen(eq=False)
class ActiveRun:
    """A run whose session is open: the jobs added so far, and their collector."""

    run: BatchRun
    kling: KlingSession
    tracker: ProgressTracker
    items: list[RunItem] = field(init=False, factory=list[RunItem])
    names: NameAllocator = field(init=False, factory=NameAllocator)
    collector: Collector = field(
        init=False,
        default=Factory(
            lambda active: Collector(
                active.kling,
                active.tracker,
                active.run.terminal,
                as_json=active.run.terminal.as_json,
                recorded=active.recorded if active.run.shared else None,
            ),
            takes_self=True,
        ),
    )

    def add(self, job: Job, record: Record | None = None, *, label: str = "") -> None:
        """Add a job whose file is to be downloaded.

        Args:
            job: The job.
            record: Its record from before the run.
            label: Its name in messages; by default its tag, or its key.
        """
        path = self.run.output / self.names.allocate(name_of(job.request, job.key, job.tag))
        file = None if record is None else self._file_of(record)
        if file is not None and not file.absolute().is_relative_to(self.run.output.absolute()):
            self.collector.summary.elsewhere = file
        self.items.append(RunItem(job, label or label_for(job), path, file))
        now = asyncio.get_running_loop().time()
        if job.done() and job.state.is_terminal:
            self.tracker.add_settled(job, now)
            if file is not None:
                self.tracker.downloaded(job)
        elif job.state is JobState.PENDING:
            begun = job.submitted_at
            self.tracker.add_pending(job, now if begun is None else now - max(0.0, time() - begun.timestamp()))

    def _file_of(self, record: Record) -> Path | None:
        return file_of(record, folder_of(self.run.journal), self.run.output)

    def recorded(self, job: Job) -> Path | None:
        """Return a job's file, whole, as the journal has it now: other sessions download, too."""
        found = self.kling.find(job.key)
        return None if found is None else self._file_of(active_job(found).record)


def _summary(summary: RunSummary, output: Path) -> str:
    stopped = summary.stopped.total()
    everything = summary.done + summary.failed + summary.unfetched + stopped
    parts = [f"{summary.done:,} of {count(everything, 'video')} in {output}"]
    parts += [f"{summary.kept:,} of them from before"] if summary.kept else []
    parts += [f"some elsewhere, such as {summary.elsewhere}"] if summary.elsewhere else []
    parts += [f"{summary.failed:,} failed"] if summary.failed else []
    parts += [f"{summary.unfetched:,} not downloaded"] if summary.unfetched else []
    parts += [f"{stopped:,} not finished"] if stopped else []
    return ", ".join(parts)
