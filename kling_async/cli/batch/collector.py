"""Wait for jobs, download their files, and report the outcome of each."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from kling_async import DownloadError, GenerationFailed, KlingError
from kling_async.cli.exit_codes import Exit
from kling_async.cli.json_output import error_json, job_json
from kling_async.cli.tags import described
from kling_async.cli.text import one_line, reason
from kling_async.files.video_names import free_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kling_async import Job, KlingSession, Request
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

    @property
    def exit(self) -> Exit:
        """The exit code of the run."""
        if self.stopped:
            return Exit.STOPPED
        return Exit.FAILED if self.failed or self.unfetched else Exit.OK


class Collector:
    """Takes jobs as they end, downloads their files, and reports each.

    Args:
        kling: The session of the jobs.
        tracker: The progress of the same session.
        terminal: Failures are printed there as they happen.
        as_json: Whether each job is printed as JSON once it has ended.
        recorded: Returns the file of a job that another session may have downloaded; None if there is no other.
    """

    def __init__(
        self,
        kling: KlingSession,
        tracker: ProgressTracker,
        terminal: Terminal,
        *,
        as_json: bool,
        recorded: Callable[[Job], Path | None] | None = None,
    ) -> None:
        self.summary: RunSummary = RunSummary()
        self._kling = kling
        self._tracker = tracker
        self._terminal = terminal
        self._as_json = as_json
        self._recorded = recorded
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._taken: set[str] = set()

    async def collect(self, items: Sequence[RunItem]) -> RunSummary:
        """Wait for all items and download their files; return the summary."""
        by_key = {item.job.key: item for item in items}
        # All are open already: a window on them would only delay those that are done.
        jobs = self._kling.as_completed([item.job for item in items], max_in_flight=max(1, len(items)))
        try:
            async with asyncio.TaskGroup() as group, aclosing(jobs):
                async for job in jobs:
                    await self._slots.acquire()
                    task = group.create_task(self._finish(by_key[job.key]))
                    task.add_done_callback(lambda _: self._slots.release())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # what went wrong first, bare
        return self.summary

    def refuse(self, label: str, request: Request | None, facts: Mapping[str, object], error: KlingError) -> None:
        """Count a row that could not become a job, and report why."""
        self.summary.failed += 1
        self._report_failure(label, request, error)
        if self._as_json:
            self._print_json({"ok": False, **facts, "error": error_json(error)})

    async def _finish(self, item: RunItem) -> None:
        error = item.job.exception()
        if error is None:
            await self._completed(item)
        else:
            self._failed(item, error)

    def _failed(self, item: RunItem, error: KlingError) -> None:
        if item.job.state.is_terminal:
            self.summary.failed += 1
            self.summary.retriable += isinstance(error, GenerationFailed) and not (error.moderated or error.charged)
            self._report_failure(item.label, item.job.request, error)
        else:
            self.summary.stop(error)
        self._print_result(item, None, error)

    async def _completed(self, item: RunItem) -> None:
        file = item.file
        if file is not None:
            self.summary.kept += 1
        else:
            try:
                file = await (self._download(item) if self._recorded is None else self._share(item, self._recorded))
            except KlingError as error:
                self.summary.unfetched += 1
                self._tracker.download_failed(item.job)
                self._report_failure(item.label, item.job.request, error)
                self._print_result(item, None, error)
                return
        self.summary.done += 1
        self._print_result(item, file, None)

    async def _share(self, item: RunItem, recorded: Callable[[Job], Path | None]) -> Path:
        """Download a file that other sessions may download as well, to the same path: one of them does."""
        looks = _LOOKS
        while (file := recorded(item.job)) is None:
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
        task = asyncio.create_task(self._kling.download(item.job, target, progress=note))
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

    def _print_result(self, item: RunItem, file: Path | None, error: KlingError | None) -> None:
        if self._as_json:
            self._print_json(job_json(item.job, file, error))

    def _print_json(self, facts: Mapping[str, object]) -> None:
        try:
            self._terminal.json_result(facts)
        except BrokenPipeError:  # raised once: after that, output is dropped
            self._terminal.message("nobody reads the results any more; the videos are made all the same", "yellow")
