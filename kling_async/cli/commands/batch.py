"""What makes and fetches the videos of a journal: ``batch``, ``resume``, ``download``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from attrs import asdict, evolve, frozen
from cyclopts import Parameter

from kling_async import ConfigurationError, InvalidRequest, JobState
from kling_async.api.labels import label_of
from kling_async.api.reprs import cut
from kling_async.cli.batch.quote import check_output_paths, notes, prices, quote, total
from kling_async.cli.batch.quote import rows as quoted_rows
from kling_async.cli.batch.rows import VIDEO_OPTIONS, BatchSource, VideoOptions
from kling_async.cli.batch.run import BatchRun
from kling_async.cli.exit_codes import Exit
from kling_async.cli.jobs import job_json, label_for, request_json, tag_text
from kling_async.cli.journals import (
    JOURNAL,
    JournalArgument,
    Place,
    Shared,
    as_place,
    check_sandbox,
    file_of,
    folder_of,
    is_shared_journal,
    records_of,
    shown,
)
from kling_async.cli.options import CONNECTION, RUNNING, AsJson, Connection, Output, Running, open_session
from kling_async.cli.paths import check_folder, file_problem
from kling_async.cli.progress.display import show_progress
from kling_async.cli.signals import exit_code, run
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command, count
from kling_async.engine.identity import may_retry

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from kling_async import Job, KlingSession, Record
    from kling_async.cli.batch.rows import Row
    from kling_async.cli.batch.run import ActiveRun


_CHUNK = 100  # rows submitted in a row before anything else gets its turn


def batch(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    journal: Annotated[Place | None, JOURNAL] = None,
    shared: Shared = False,
    output: Output = Path("videos"),
    dry_run: bool = False,
    as_json: AsJson = False,
    video: VideoOptions = VIDEO_OPTIONS,
    running: Running = RUNNING,
    connection: Connection = CONNECTION,
) -> int:
    """Make a video for every row of a file, many at once, and download them.

    A row is a JSON object on a line of its own, or a row of a CSV file whose first row names the columns. The columns
    are the model's fields, such as prompt, duration and image_url, and beside them: model; tag, a label of yours;
    output, the name for the video's file; priority, a whole number, the highest first; group, such as a customer:
    groups take turns; and deadline, in seconds. What a row leaves out is taken from the options. Files in a row are
    paths, relative to the folder of the batch, or URLs. Two equal rows are two videos.

    All rows are checked before anything is submitted. What happens is kept in the journal: run the same command again
    after Ctrl-C or a crash, or with rows added, and nothing is bought twice, only what is missing is made and fetched.
    Ctrl-C once saves everything and says how to go on; twice ends it at once.

    Args:
        file: The batch, as JSON Lines or CSV; - for standard input.
        journal: Where to keep what happens: a file, or the URL of a database; by default a file beside the batch, such
            as prompts.db for prompts.csv, or here, as kling-batch.db, for what comes through a pipe.
        dry_run: Submit nothing: print what would be sent, under which names, and what it would cost.
    """
    terminal = Terminal(as_json=as_json)
    source = BatchSource(file)
    rows = source.rows(video)
    check_folder(output)
    check_output_paths(rows, output, source.name)
    journal = journal or source.journal(sandbox=connection.sandbox, is_written=not dry_run)
    if dry_run:
        return _dry_run(rows, journal, connection, terminal)
    records = records_of(journal)
    if connection.sandbox:
        check_sandbox(journal, records.values(), output)
    is_shared = is_shared_journal(journal, wanted=shared, sandbox=connection.sandbox)
    batch_run = BatchRun(
        journal=journal, output=output, connection=connection, running=running, terminal=terminal, shared=is_shared
    )
    return _Batch(rows, records, journal, terminal).run(batch_run)


@frozen(eq=False)
class _Batch:
    """Rows, and their records in the journal."""

    rows: Sequence[Row]
    records: dict[str, Record]
    journal: Place
    terminal: Terminal

    def run(self, batch_run: BatchRun) -> Exit:
        keys = {row.key for row in self.rows}
        which = batch_run.running.retry_failed
        known = [self.records[row.key] for row in self.rows if row.key in self.records]
        retried = sum(may_retry(record, which) for record in known)
        # Where others share the journal, what is not of these rows is theirs.
        open_keys = {key for key, record in self.records.items() if not record.state.is_terminal}
        others = 0 if batch_run.shared else len(open_keys - keys)
        whose = f"; the journal is {shown(self.journal)}{', shared' if batch_run.shared else ''}"
        self.terminal.message(f"{count(len(self.rows), 'row')}{whose}")
        if len(known) > retried:
            kept = len(known) - retried
            self.terminal.message(f"{kept:,} of them are in the journal already, and are not bought again")
        if retried:
            self.terminal.message(f"{retried:,} of them have failed, and are made again")
        if others:
            self.terminal.message(f"{count(others, 'job')} that an earlier run left open in the journal also go on")
        return batch_run.run(len(self.rows) + others, self._add_jobs)

    async def _add_jobs(self, active: ActiveRun) -> None:
        others = {job.key: job for job in active.kling.pending}
        for number, row in enumerate(self.rows, start=1):
            others.pop(row.key, None)
            self._submit(row, active)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        for job in others.values():
            active.add(job, self.records.get(job.key))

    def _submit(self, row: Row, active: ActiveRun) -> None:
        record, label = self.records.get(row.key), f"line {row.line}"
        if tag := tag_text(row.submission.tag):
            label = f"{label} ({tag})"
        try:
            job = self._job(row, record, active)
        except InvalidRequest as error:
            facts = {"key": row.key, **asdict(label_of(row.submission.tag)), **request_json(row.request)}
            active.collector.refuse(label, row.request, facts, error)
            return
        active.add(job, record, label=label)

    def _job(self, row: Row, record: Record | None, active: ActiveRun) -> Job:
        # What is recorded under the key counts: its paths may lead elsewhere since the folder was moved.
        request = row.request if record is None or record.request is None else record.request
        return active.kling.submit(
            evolve(row.submission, request=request), retry_failed=active.run.running.retry_failed
        )


def _dry_run(rows: Sequence[Row], journal: Place, connection: Connection, terminal: Terminal) -> Exit:
    """Print what would be submitted, and what it would cost."""
    states = {key: _told(record) for key, record in records_of(journal).items()}
    cost, unknown = asyncio.run(prices(connection, rows))
    quotes = quote(rows, cost, states)
    new = [one for one in quotes if one.state is None]
    if terminal.as_json:
        for one in quotes:
            terminal.json_result(one.to_json())
    else:
        terminal.table(quoted_rows(quotes))
    for note in [unknown] if unknown else notes(quotes):
        terminal.message(f"costs are not known exactly: {note}", "yellow")
    terminal.message(
        f"{count(len(new), 'video')} to buy of {count(len(rows), 'row')}: {total(new) if new else '$0.00'}"
    )
    terminal.message("Nothing was submitted.")
    return Exit.OK


def _told(record: Record) -> str:
    """Return the state of a recorded row, or ``downloaded``."""
    return "downloaded" if record.state is JobState.COMPLETED and record.file is not None else record.state.value


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
    is_shared = is_shared_journal(journal, wanted=shared, sandbox=connection.sandbox)
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


def download(
    what: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    connection: Connection = CONNECTION,
) -> int:
    """Download the video of a generation, once it is made, or every finished video of a journal that is missing.

    Nothing is bought. A video that is there already and whole is not fetched again.

    Args:
        what: A generation's id, or a journal's file, or the URL of its database.
    """
    check_folder(output)
    place = as_place(what)
    if os.path.lexists(what) and not os.path.isfile(what):  # noqa: PTH113 - Path's raises for some names
        raise ConfigurationError(f"{cut(what)} is no journal: {file_problem(Path(what))}")
    terminal = Terminal(as_json=as_json)
    if isinstance(place, Path) and not os.path.isfile(what):  # noqa: PTH113 - Path's raises for some names
        again = command("download", what, "-o", output, *connection.arguments())
        return _fetch(_one(what, output, connection, terminal), terminal, again)
    batch_run = BatchRun(
        journal=place,
        output=output,
        connection=connection,
        running=RUNNING,
        terminal=terminal,
        hold=True,
        shared=is_shared_journal(place, wanted=False, sandbox=connection.sandbox),
    )
    return Resumption.of(batch_run, with_open=False).run()


def _fetch(work: Coroutine[object, object, Exit], terminal: Terminal, again: str) -> Exit:
    try:
        return run(work, lambda: terminal.final_message(f"interrupted at once; go on with: {again}"))
    except KeyboardInterrupt as interrupt:
        terminal.message(f"interrupted; go on with: {again}", "yellow")
        return exit_code(interrupt)


async def _one(generation_id: str, output: Path, connection: Connection, terminal: Terminal) -> Exit:
    async with (
        open_session(connection) as kling,
        show_progress(kling, terminal, 1),
    ):
        job = kling.resume(generation_id)
        path = await kling.download(job, into=output)
    if terminal.as_json:
        terminal.json_result(job_json(job, path, None))
    else:
        terminal.result(str(path))
    return Exit.OK
