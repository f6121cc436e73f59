"""Sees jobs through to their files, and tells what became of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from kling_async import KlingError
from kling_async.cli.exit_codes import Exit
from kling_async.cli.file_names import free
from kling_async.cli.json_output import error_facts, job_facts
from kling_async.cli.text import one_line, reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kling_async import Job, KlingSession
    from kling_async.cli.progress.tracker import ProgressTracker
    from kling_async.cli.terminal import Terminal

__all__ = ["Collector", "RunItem", "RunSummary"]

_AT_ONCE = 64  # jobs whose files are seen to; the session itself fetches a few at a time
_MOST_TOLD = 50  # failures that are told one by one, as they happen


@frozen(eq=False)
class RunItem:
    """A job, and what is to come of it.

    Attributes:
        job: The job.
        label: What to call it in messages.
        path: Where its file belongs, if nothing else is there.
        file: Where its file is already.
    """

    job: Job
    label: str
    path: Path
    file: Path | None = None


@define
class RunSummary:
    """What became of jobs so far.

    Attributes:
        done: How many have their files on disk.
        kept: How many of those had them before.
        elsewhere: Where one of those is, if not in the output folder.
        failed: How many will never have one.
        unfetched: How many are made, and could not be downloaded.
        stopped: How many others ended early, by the kind of error.
        reasons: What the first of each kind said.
    """

    done: int = 0
    kept: int = 0
    elsewhere: Path | None = None
    failed: int = 0
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
        """The exit code that says so."""
        if self.stopped:
            return Exit.STOPPED
        return Exit.FAILED if self.failed or self.unfetched else Exit.OK


class Collector:
    """Takes jobs as they end, fetches their files, and tells.

    Args:
        kling: The session of the jobs.
        board: What shows how far they are.
        terminal: Where failures are told as they happen.
        as_json: Whether each job is told on standard output once it has ended.
    """

    def __init__(self, kling: KlingSession, board: ProgressTracker, terminal: Terminal, *, as_json: bool) -> None:
        self.tally = RunSummary()
        self._kling = kling
        self._board = board
        self._terminal = terminal
        self._as_json = as_json
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._targets: set[str] = set()

    async def collect(self, items: Sequence[RunItem]) -> RunSummary:
        """See all of them through."""
        by_key = {item.job.key: item for item in items}
        # All are open already: a window on them would only hide who is done.
        jobs = self._kling.as_completed([item.job for item in items], max_in_flight=max(1, len(items)))
        try:
            async with asyncio.TaskGroup() as group, aclosing(jobs):
                async for job in jobs:
                    await self._room.acquire()
                    task = group.create_task(self._finish(by_key[job.key]))
                    task.add_done_callback(lambda _: self._room.release())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # what went wrong first, bare
        return self.tally

    def refuse(self, label: str, facts: Mapping[str, object], error: KlingError) -> None:
        """Take note of what could not even become a job."""
        self.tally.failed += 1
        self._complain(label, error)
        if self._as_json:
            self._terminal.tell_facts({"ok": False, **facts, "error": error_facts(error)})

    async def _finish(self, item: RunItem) -> None:
        error = item.job.exception()
        if error is None:
            await self._fetch(item)
        else:
            self._no_video(item, error)

    def _no_video(self, item: RunItem, error: KlingError) -> None:
        if item.job.state.is_terminal:
            self.tally.failed += 1
            self._complain(item.label, error)
        else:
            self.tally.stop(error)
        self._tell(item, None, error)

    async def _fetch(self, item: RunItem) -> None:
        file = item.file
        if file is not None:
            self.tally.kept += 1
        else:
            try:
                file = await self._download(item)
            except KlingError as error:
                self.tally.unfetched += 1
                self._board.give_up(item.job)
                self._complain(item.label, error)
                self._tell(item, None, error)
                return
        self.tally.done += 1
        self._tell(item, file, None)

    async def _download(self, item: RunItem) -> Path:
        """Fetch a file. One that is whole when Ctrl-C comes is put in its place and recorded first."""
        is_whole = False

        def note(size: int, goal: int | None) -> None:
            nonlocal is_whole
            is_whole = size == goal

        target = free(item.path, self._targets)
        task = asyncio.create_task(self._kling.download(item.job, target, progress=note))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not is_whole:
                task.cancel()
            await asyncio.wait([task])
            raise

    def _complain(self, label: str, error: KlingError) -> None:
        told = self.tally.failed + self.tally.unfetched
        if told <= _MOST_TOLD:
            self._terminal.say(f"{label}: {reason(error)}", "red")
        if told == _MOST_TOLD:
            self._terminal.say("Further failures are only counted here.", "red")

    def _tell(self, item: RunItem, file: Path | None, error: KlingError | None) -> None:
        if self._as_json:
            self._terminal.tell_facts(job_facts(item.job, file, error))
