"""``kling-async resume``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async import ConfigurationError, InvalidRequest, JobState
from kling_async.cli.batch.run import BatchRun
from kling_async.cli.journal_summary import check_sandbox, file_of, records_of
from kling_async.cli.journals import JournalArgument, Shared, folder_of, is_shared_journal, shown
from kling_async.cli.options import CONNECTION, RUNNING, AsJson, Connection, Output, Running
from kling_async.cli.tags import label_for
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import count
from kling_async.engine.identity import may_retry

if TYPE_CHECKING:
    from kling_async import Job, KlingSession, Record
    from kling_async.cli.batch.run import ActiveRun


def resume(
    journal: JournalArgument,
    /,
    *,
    shared: Shared = False,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    running: Running = RUNNING,
    connection: Connection = CONNECTION,
) -> int:
    """Go on with what a journal has left open: submit what waits, follow what runs, and download what is missing.

    What has failed is told, and made again with --retry-failed.

    Args:
        journal: The journal of a batch, or of a program of yours: its file, or the URL of its database.
    """
    terminal = Terminal(as_json=as_json)
    is_shared = is_shared_journal(journal, connection, wanted=shared)
    batch_run = BatchRun(
        journal=journal, output=output, connection=connection, running=running, terminal=terminal, shared=is_shared
    )
    return Resumption.of(batch_run, with_open=True).run()


@frozen(eq=False)
class Resumption:
    """The jobs of a journal that are open, or whose files are missing."""

    batch_run: BatchRun
    records: dict[str, Record]

    @classmethod
    def of(cls, batch_run: BatchRun, *, with_open: bool) -> Resumption:
        """Read the journal, and choose the jobs to go on with.

        Args:
            batch_run: The run it is for.
            with_open: Whether to include open and failed jobs, beside completed ones whose files may be missing.

        Raises:
            ConfigurationError: There is no such journal.
            JournalError: It cannot be read.
        """
        if isinstance(batch_run.journal, Path) and not os.path.isfile(batch_run.journal):  # noqa: PTH113 - Path's raises for some names
            raise ConfigurationError(f"journal {batch_run.journal}: there is no such file")
        every = records_of(batch_run.journal)
        if batch_run.connection.sandbox:
            check_sandbox(batch_run.journal, every.values(), batch_run.output)
        left_out = {JobState.ABANDONED} if with_open else set(JobState) - {JobState.COMPLETED}
        return cls(batch_run, {key: record for key, record in every.items() if record.state not in left_out})

    def run(self) -> int:
        """Run the chosen jobs."""
        to_do = [record for record in self.records.values() if not (self._has_file(record) or self._has_failed(record))]
        said = f"{count(len(to_do), 'video')} to come of {len(self.records):,} in {shown(self.batch_run.journal)}"
        self.batch_run.terminal.message(said)
        return self.batch_run.run(len(self.records), self._add_jobs)

    def _has_file(self, record: Record) -> bool:
        return file_of(record, folder_of(self.batch_run.journal), self.batch_run.output) is not None

    def _has_failed(self, record: Record) -> bool:
        retried = may_retry(record, self.batch_run.running.retry_failed)
        return record.state in (JobState.FAILED, JobState.REJECTED) and not retried

    async def _add_jobs(self, active: ActiveRun) -> None:
        waiting = {job.key: job for job in active.kling.pending}
        for key, record in self.records.items():
            try:
                job = waiting.get(key) or self._job(active.kling, record)
            except InvalidRequest as error:  # as of a file that is not there any more
                active.collector.refuse(label_for(record), record.request, {"key": key}, error)
            else:
                if job is not None:
                    active.add(job, record)

    def _job(self, kling: KlingSession, record: Record) -> Job | None:
        retry_failed = self.batch_run.running.retry_failed
        if may_retry(record, retry_failed) and record.request is not None:
            return kling.submit(record.request, key=record.key, retry_failed=retry_failed)
        job = kling.find(record.key)
        if job is None and record.request is not None:  # nobody works on it, until it is submitted again
            return kling.submit(record.request, key=record.key)
        return job
