"""``kling-async resume``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async import ConfigurationError, JobState
from kling_async.cli.batch.run import BatchRun
from kling_async.cli.journal_summary import file_of, records_of
from kling_async.cli.options import CONNECTION, RUNNING, AsJson, Connection, Output, Running
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command, count

if TYPE_CHECKING:
    from kling_async import Record
    from kling_async.cli.batch.run import Workshop

__all__ = ["Resumption", "resume"]


def resume(  # noqa: D417 - what commands share is described once, in options
    journal: Path,
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    running: Running = RUNNING,
    connection: Connection = CONNECTION,
) -> int:
    """Go on with what a journal has left open: submit what waits, follow what runs, and download what is missing.

    Args:
        journal: The journal of a batch, or of a program of yours.
    """
    terminal = Terminal(as_json=as_json)
    again = command("resume", journal, "-o", output, *running.words(), *connection.words())
    work = BatchRun(
        journal=journal, output=output, connection=connection, running=running, terminal=terminal, again=again
    )
    return Resumption.of(work, with_open=True).run()


@frozen(eq=False)
class Resumption:
    """A journal's jobs that are not at their ends, files included."""

    work: BatchRun
    records: dict[str, Record]

    @classmethod
    def of(cls, work: BatchRun, *, with_open: bool) -> Resumption:
        """What there is to do.

        Args:
            work: The run it is for.
            with_open: Whether jobs go on that are open, beside those whose files are missing.

        Raises:
            ConfigurationError: There is no such journal.
            JournalError: It cannot be read.
        """
        if not os.path.isfile(work.journal):  # noqa: PTH113 - Path's raises for some names
            raise ConfigurationError(f"journal {work.journal}: there is no such file")
        every = records_of(work.journal)
        chosen = {
            key: record
            for key, record in every.items()
            if (with_open and not record.state.is_terminal) or (record.state is JobState.COMPLETED and record.video)
        }
        return cls(work, chosen)

    def run(self) -> int:
        """Do it."""
        to_do = [record for record in self.records.values() if not self._has_file(record)]
        said = f"{count(len(to_do), 'video')} to come of {len(self.records):,} in {self.work.journal}"
        self.work.terminal.say(said)
        return self.work.run(len(self.records), self._enter)

    def _has_file(self, record: Record) -> bool:
        return file_of(record, self.work.journal.parent, self.work.output) is not None

    async def _enter(self, shop: Workshop) -> None:
        waiting = {job.key: job for job in shop.kling.pending}
        for key, record in self.records.items():
            job = waiting.get(key)
            if job is None and record.generation_id is not None:
                job = shop.kling.resume(record.generation_id)
            if job is not None:
                shop.add(job, record)
