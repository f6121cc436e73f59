"""Run the jobs of a journal to their ends: wait for them, download their files, and report the outcome of each."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import aclosing, suppress
from time import time
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from kling_async import (
    ConfigurationError,
    DownloadError,
    GatewayError,
    GenerationFailed,
    JobState,
    KlingError,
    SpendLimitReached,
    SubmissionUncertain,
    read_journal,
)
from kling_async.cli.exit_codes import Exit
from kling_async.cli.journals import (
    Place,
    check_sandbox,
    discard_if_temporary,
    file_of,
    folder_of,
    records_of,
    shown,
)
from kling_async.cli.options import Running, api_key, open_session
from kling_async.cli.paths import make_folder
from kling_async.cli.progress.display import show_progress
from kling_async.cli.signals import announced_stop, run_told
from kling_async.cli.text import command, count, described, error_json, job_json, label_for, one_line, reason
from kling_async.engine.job import active_job
from kling_async.files.video_names import NameAllocator, free_path, name_of
from kling_async.journal.open import journal_exists

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from kling_async import Job, KlingSession, Record, Request
    from kling_async.cli.options import Connection
    from kling_async.cli.progress.tracker import ProgressTracker
    from kling_async.cli.terminal import Terminal


_AT_ONCE = 64  # downloads asked for; the session itself fetches a few at a time
_LOOK_EVERY, _LOOKS = 0.25, 8  # seconds between looks at what another session downloads; those at a file in the way
_MOST_SHOWN = 50  # failures that are printed one by one, as they happen


@frozen(eq=False)
class RunItem:
    """A job whose file is to be downloaded.

    Attributes:
        job: The job.
        label: Its name in messages.
        path: The path for its file, numbered if something else is there.
        file: Its file, if it is on disk already.
    """

    job: Job
    label: str
    path: Path
    file: Path | None = None


@define
class RunSummary:
    """The outcomes of jobs so far.

    Attributes:
        done: Jobs whose files are on disk.
        kept: Those of them whose files were there before.
        elsewhere: One of these files that is outside the output folder, if any is.
        failed: Jobs that will never have a video.
        retriable: Those of them that failed uncharged, for another reason than their content.
        unfetched: Jobs whose videos could not be downloaded.
        stopped: Jobs that ended early, by the class of error.
        reasons: The message of the first error of each class.
    """

    done: int = 0
    kept: int = 0
    elsewhere: Path | None = None
    failed: int = 0
    retriable: int = 0
    unfetched: int = 0
    stopped: Counter[str] = field(factory=Counter[str])
    reasons: dict[str, str] = field(factory=dict[str, str])

    def stop(self, error: KlingError) -> None:
        """Count a job that ended early."""
        kind = type(error).__name__
        self.stopped[kind] += 1
        self.reasons.setdefault(kind, one_line(str(error)))

    def text(self, output: Path) -> str:
        """Tell the outcomes in a line; ``output`` is the output folder."""
        missing = {"failed": self.failed, "not downloaded": self.unfetched, "not finished": self.stopped.total()}
        parts = [f"{self.done:,} of {count(self.done + sum(missing.values()), 'video')} in {output}"]
        numbers = {"of them from before": self.kept, **missing}
        parts += [f"{number:,} {what}" for what, number in numbers.items() if number]
        if self.elsewhere:
            parts.insert(1 + bool(self.kept), f"some elsewhere, such as {self.elsewhere}")
        return ", ".join(parts)

    @property
    def exit(self) -> Exit:
        """The exit code of the run."""
        if self.stopped:
            return Exit.STOPPED
        return Exit.FAILED if self.failed or self.unfetched else Exit.OK


class ActiveRun:
    """A run whose session is open: takes jobs, downloads their files as they end, and reports each.

    Args:
        run: The run.
        kling: Its session.
        tracker: The progress of that session.
    """

    def __init__(self, run: BatchRun, kling: KlingSession, tracker: ProgressTracker) -> None:
        self.run = run
        self.kling = kling
        self.summary: RunSummary = RunSummary()
        self._tracker = tracker
        self._terminal = run.terminal
        self._items: dict[str, RunItem] = {}  # by key
        self._names = NameAllocator()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._taken: set[str] = set()

    def add(self, job: Job, record: Record | None = None, *, label: str = "") -> None:
        """Add a job whose file is to be downloaded.

        Args:
            job: The job.
            record: Its record from before the run.
            label: Its name in messages; by default its tag, or its key.
        """
        path = self.run.output / self._names.allocate(name_of(job.request, job.key, job.tag))
        file = None if record is None else self._file_of(record)
        if file is not None and not file.absolute().is_relative_to(self.run.output.absolute()):
            self.summary.elsewhere = file
        self._items[job.key] = RunItem(job, label or label_for(job), path, file)
        now = asyncio.get_running_loop().time()
        if job.done() and job.state.is_terminal:
            self._tracker.add_settled(job, now)
            if file is not None:
                self._tracker.downloaded(job)
        elif job.state is JobState.PENDING:
            begun = job.submitted_at
            self._tracker.add_pending(job, now if begun is None else now - max(0.0, time() - begun.timestamp()))

    def _file_of(self, record: Record) -> Path | None:
        return file_of(record, folder_of(self.run.journal), self.run.output)

    def _recorded(self, job: Job) -> Path | None:
        """Return a job's file, whole, as the journal has it now: other sessions download, too."""
        found = self.kling.find(job.key)
        return None if found is None else self._file_of(active_job(found).record)

    async def collect(self) -> RunSummary:
        """Wait for all jobs and download their files; return the summary."""
        # All are open already: a window on them would only delay those that are done.
        every = [item.job for item in self._items.values()]
        jobs = self.kling.as_completed(every, max_in_flight=max(1, len(every)))
        try:
            async with asyncio.TaskGroup() as group, aclosing(jobs):
                async for job in jobs:
                    await self._slots.acquire()
                    task = group.create_task(self._finish(self._items[job.key]))
                    task.add_done_callback(lambda _: self._slots.release())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # what went wrong first, bare
        return self.summary

    def refuse(self, label: str, request: Request | None, facts: Mapping[str, object], error: KlingError) -> None:
        """Count a row that could not become a job, and report why."""
        self.summary.failed += 1
        self._report_failure(label, request, error)
        self._print_json({"ok": False, **facts, "error": error_json(error)})

    async def _finish(self, item: RunItem) -> None:
        """Download a job's file, and count and report how it ended."""
        job, file, summary = item.job, item.file, self.summary
        error = job.exception()
        if error is None:
            try:
                file = file or await (self._share(item) if self.run.shared else self._download(item))
                summary.done += 1
                summary.kept += item.file is not None
            except KlingError as problem:
                error = problem
                summary.unfetched += 1
                self._tracker.download_failed(job)
                self._report_failure(item.label, job.request, error)
        elif job.state.is_terminal:
            summary.failed += 1
            summary.retriable += isinstance(error, GenerationFailed) and not (error.moderated or error.charged)
            self._report_failure(item.label, job.request, error)
        else:
            summary.stop(error)
        self._print_json(job_json(job, file, error))

    async def _share(self, item: RunItem) -> Path:
        """Download a file that other sessions may download as well, to the same path: one of them does."""
        looks = _LOOKS
        while (file := self._recorded(item.job)) is None:
            try:
                # Whoever has put something there may just be recording it.
                if looks == 0 or not os.path.lexists(item.path):  # noqa: ASYNC240 - as quick as what follows
                    return await self._download(item)
                looks -= 1
            except DownloadError as error:
                if not isinstance(error.__cause__, BlockingIOError):  # which says that another one downloads it
                    raise
            await asyncio.sleep(_LOOK_EVERY)
        self._tracker.downloaded(item.job)
        return file

    async def _download(self, item: RunItem) -> Path:
        """Download a file. One that is whole when Ctrl-C comes is renamed and recorded before the task ends."""
        is_whole = False

        def note(size: int, goal: int | None) -> None:
            nonlocal is_whole
            is_whole = size == goal

        target = free_path(item.path, self._taken)
        task = asyncio.create_task(self.kling.download(item.job, target, progress=note))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not is_whole:
                task.cancel()
            await asyncio.wait([task])
            raise

    def _report_failure(self, label: str, request: Request | None, error: KlingError) -> None:
        shown = self.summary.failed + self.summary.unfetched
        if shown <= _MOST_SHOWN:
            self._terminal.message(f"{described(label, request)}: {reason(error)}", "red")
        if shown == _MOST_SHOWN:
            self._terminal.message("Further failures are only counted here.", "red")

    def _print_json(self, facts: Mapping[str, object]) -> None:
        try:
            if self._terminal.as_json:
                self._terminal.json_result(facts)
        except BrokenPipeError:  # raised once: after that, output is dropped
            self._terminal.message("nobody reads the results any more; the videos are made all the same", "yellow")


_ADVICE = {
    SpendLimitReached.__name__: ": allow more in all, and",
    GatewayError.__name__: ": once the vendor is reached, or with another --base-url or --proxy,",
}


@define(kw_only=True, eq=False)
class BatchRun:
    """A run over a journal.

    Attributes:
        journal: The journal.
        shared: Whether other sessions share it; it is, too, if it ever was.
        records: Its records from before the run, by key.
        output: The folder for the videos.
        connection: Where the vendor is.
        running: Limits and rates.
        hold: Whether queued jobs stay in the journal and nothing is submitted.
        terminal: The output streams.

    Raises:
        ConfigurationError: The options do not go together, there is no API key, or the journal's sandbox is gone.
        JournalError: The journal cannot be read.
    """

    journal: Place
    output: Path
    connection: Connection
    running: Running
    terminal: Terminal
    hold: bool = False
    shared: bool = False
    records: dict[str, Record] = field(init=False)
    _is_entered: bool = field(init=False, default=False)  # whether the journal has all there is to do

    def __attrs_post_init__(self) -> None:
        api_key(self.connection)
        self.records = records_of(self.journal)
        if self.connection.sandbox:
            check_sandbox(self.journal, self.records.values(), self.output)
        if not self.shared:
            was_shared = journal_exists(self.journal) and read_journal(self.journal).sharing(0.0) is not None
            self.shared = isinstance(self.journal, str) or was_shared
        if self.shared and self.connection.sandbox:
            raise ConfigurationError("--sandbox is within this command, so that no journal of it can be shared")

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
        summary = run_told(self._run(total, do), self.terminal, lambda what: self._how_to_go_on(f"{what};"))
        if isinstance(summary, Exit):
            return summary
        self._sum_up(summary)
        if not (summary.stopped or summary.unfetched):
            discard_if_temporary(self.journal)
        return summary.exit

    async def _run(self, total: int, do: Callable[[ActiveRun], Awaitable[None]]) -> RunSummary:
        settings = {"journal": self.journal, "hold": self.hold, "shared": self.shared}
        async with (
            open_session(self.connection, self.running, **settings) as kling,
            show_progress(kling, self.terminal, total) as tracker,
        ):
            active = ActiveRun(self, kling, tracker)
            async with announced_stop(self.terminal):
                await do(active)
                self._is_entered = True
                return await active.collect()

    @property
    def again(self) -> str:
        """The command that goes on with the journal."""
        return self._command("download" if self.hold else "resume", *self.running.arguments())

    def _command(self, name: str, *options: str) -> str:
        return command(name, shown(self.journal), "-o", self.output, *options, *self.connection.arguments())

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
                self.terminal.text([summary.text(self.output)])
