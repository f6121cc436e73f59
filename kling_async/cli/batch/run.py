"""A journal's jobs, run to their ends: what ``batch`` and ``resume`` have in common."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING

from attrs import Factory, define, field, frozen

from kling_async import GatewayError, JobState, SpendLimitReached, SubmissionUncertain
from kling_async.cli.batch.collector import Collector, RunItem
from kling_async.cli.connect import connected, key_of
from kling_async.cli.file_names import Names, named, short, usual_name
from kling_async.cli.journal_summary import discard_if_passing, file_of
from kling_async.cli.paths import made_folder
from kling_async.cli.progress.progress import progress
from kling_async.cli.signals import exit_of, run, told
from kling_async.cli.tags import label_of
from kling_async.cli.text import command, count

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kling_async import Job, KlingSession, Record
    from kling_async.cli.batch.collector import RunSummary
    from kling_async.cli.exit_codes import Exit
    from kling_async.cli.options import Connection, Running
    from kling_async.cli.progress.tracker import ProgressTracker
    from kling_async.cli.terminal import Terminal

__all__ = ["BatchRun", "Workshop"]


_REMEDIES = {
    SpendLimitReached.__name__: ": with a higher --max-spend,",
    GatewayError.__name__: ": once the vendor is reached, or with another --base-url,",
}


@define(kw_only=True, eq=False)
class BatchRun:
    """A run over a journal.

    Attributes:
        journal: The journal's file.
        output: The folder for the videos.
        connection: Where the vendor is.
        running: How fast, and for how much.
        hold: Whether nothing is to be submitted.
        terminal: Where progress, messages and results go.
        again: What goes on with the journal.

    Raises:
        ConfigurationError: The options do not go together, or there is no API key.
    """

    journal: Path
    output: Path
    connection: Connection
    running: Running
    terminal: Terminal
    again: str
    hold: bool = False
    _is_entered: bool = field(init=False, default=False)  # whether the journal has all there is to do

    def __attrs_post_init__(self) -> None:
        key_of(self.connection)

    def run(self, total: int, do: Callable[[Workshop], Awaitable[None]]) -> Exit:
        """Run it, and say what came of it.

        Args:
            total: How many jobs there are.
            do: What puts them in.

        Raises:
            KlingError: There is no session to be had.
            ConfigurationError: There is no such folder to be had, or no file can be written there.
        """
        made_folder(self.output)
        try:
            tally = run(self._run(total, do), self._say_last_words)
        except KeyboardInterrupt as interrupt:
            self.terminal.say(self._how_to_go_on("interrupted;"), "yellow")
            return exit_of(interrupt)
        self._sum_up(tally)
        if not (tally.stopped or tally.unfetched):
            discard_if_passing(self.journal)
        return tally.exit

    async def _run(self, total: int, do: Callable[[Workshop], Awaitable[None]]) -> RunSummary:
        session = connected(
            self.connection,
            journal=self.journal,
            hold=self.hold,
            limits=self.running.limits(),
            resubmit=self.running.resubmit,
        )
        async with (
            session as kling,
            progress(kling, self.terminal, total, pace=1 / self.connection.pace) as board,
        ):
            shop = Workshop(self, kling, board)
            async with told(self.terminal):
                await do(shop)
                self._is_entered = True
                return await shop.collector.collect(shop.items)

    def _say_last_words(self) -> None:
        self.terminal.end(self._how_to_go_on("interrupted at once;"))

    def _how_to_go_on(self, what: str) -> str:
        if self.connection.sandbox:
            return f"{what} the sandbox is gone with all that was in it: delete {self.journal} to begin anew"
        if not self._is_entered:
            return f"{what} it had hardly begun: go on with the same command"
        return f"{what} go on with: {self.again}"

    def _sum_up(self, tally: RunSummary) -> None:
        for kind, number in tally.stopped.items():
            self.terminal.say(f"{count(number, 'job')} stopped early: {kind}: {tally.reasons[kind]}", "yellow")
        if self.running.resubmit and SubmissionUncertain.__name__ in tally.stopped:
            hint = "nothing proves what was not bought until the log shows a later submit, such as that of one more row"
            self.terminal.say(hint, "yellow")
        if tally.unfetched:
            again = command("download", self.journal, "-o", self.output, *self.connection.words())
            self.terminal.say(
                f"{count(tally.unfetched, 'video')} could not be downloaded; try again with: {again}", "red"
            )
        if tally.stopped:
            remedy = next((remedy for kind, remedy in _REMEDIES.items() if kind in tally.stopped), ";")
            self.terminal.say(self._how_to_go_on(f"what is left is saved{remedy}"), "yellow")
        if not self.terminal.as_json:
            self.terminal.tell(_summary(tally, self.output))


@frozen(eq=False)
class Workshop:
    """What a run works with: its session, and the jobs that it sees through."""

    work: BatchRun
    kling: KlingSession
    board: ProgressTracker
    items: list[RunItem] = field(init=False, factory=list[RunItem])
    names: Names = field(init=False, factory=Names)
    collector: Collector = field(
        init=False,
        default=Factory(
            lambda shop: Collector(shop.kling, shop.board, shop.work.terminal, as_json=shop.work.terminal.as_json),
            takes_self=True,
        ),
    )

    def add(self, job: Job, record: Record | None = None, *, label: str = "") -> None:
        """See a job through to its file.

        Args:
            job: The job.
            record: What was known of it before.
            label: What to call it in messages; by default its tag, or its key.
        """
        path = self.work.output / self.names.pick(name_of(job))
        file = None if record is None else file_of(record, self.work.journal.parent, self.work.output)
        known = label_of(job.tag)
        if file is not None and not _is_in(file, self.work.output):
            self.collector.tally.elsewhere = file
        self.items.append(RunItem(job, label or known.tag or known.output or short(job.key), path, file))
        now = asyncio.get_running_loop().time()
        if job.done() and job.state.is_terminal:
            self.board.recall(job, now)
            if file is not None:
                self.board.leave(job)
        elif job.state is JobState.PENDING:
            begun = job.submitted_at
            self.board.join(job, now if begun is None else now - max(0.0, time() - begun.timestamp()))


def name_of(job: Job | Record) -> str:
    """The name for a job's file."""
    output = label_of(job.tag).output
    return usual_name(job.request, job.key) if output is None else named(output)


def _is_in(file: Path, folder: Path) -> bool:
    return folder.absolute() in file.absolute().parents


def _summary(tally: RunSummary, output: Path) -> str:
    stopped = tally.stopped.total()
    everything = tally.done + tally.failed + tally.unfetched + stopped
    parts = [f"{tally.done:,} of {count(everything, 'video')} in {output}"]
    parts += [f"{tally.kept:,} of them from before"] if tally.kept else []
    parts += [f"some elsewhere, such as {tally.elsewhere}"] if tally.elsewhere else []
    parts += [f"{tally.failed:,} failed"] if tally.failed else []
    parts += [f"{tally.unfetched:,} not downloaded"] if tally.unfetched else []
    parts += [f"{stopped:,} not finished"] if stopped else []
    return ", ".join(parts)
