"""What makes videos and fetches them: ``generate``, ``batch``, ``resume``, ``download``."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from attrs import asdict, define, evolve, frozen
from cyclopts import Parameter
from cyclopts.types import NonNegativeInt

from kling_async import ConfigurationError, InvalidRequest, JobState, KlingError, from_row, read_journal
from kling_async.api.labels import label_of
from kling_async.cli.batch.quote import check_output_paths, notes, prices, quote, total
from kling_async.cli.batch.quote import rows as quoted_rows
from kling_async.cli.batch.rows import VIDEO_OPTIONS, BatchSource, VideoOptions
from kling_async.cli.batch.run import BatchRun
from kling_async.cli.exit_codes import Exit
from kling_async.cli.journals import (
    JOURNAL,
    JournalArgument,
    Place,
    Shared,
    as_place,
    discard_if_temporary,
    file_of,
    folder_of,
    records_of,
    shown,
    temporary_journal,
)
from kling_async.cli.options import CONNECTION, RUNNING, AsJson, Connection, Output, Running, open_session
from kling_async.cli.paths import check_folder, make_folder
from kling_async.cli.progress.display import show_progress
from kling_async.cli.signals import announced_stop, run_told
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command, count, job_json, label_for, reason, request_json, tag_text
from kling_async.engine.identity import may_retry
from kling_async.files.uploads import check_files
from kling_async.files.video_names import default_name, free_path

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from kling_async import Job, KlingSession, Record, Request
    from kling_async.cli.batch.rows import Row
    from kling_async.cli.batch.run import ActiveRun


_OUTSTANDING = frozenset({JobState.SUBMITTING, JobState.UNCERTAIN, JobState.PENDING, JobState.COMPLETED})
_SHORT = 8  # characters of a generation's id: enough to tell one file from another


def generate(
    prompt: str = "",
    /,
    *,
    output: Output = Path("videos"),
    as_json: AsJson = False,
    retry: NonNegativeInt = 0,
    video: VideoOptions = VIDEO_OPTIONS,
    connection: Connection = CONNECTION,
) -> int:
    """Make one video, wait for it, and download it; the path of its file is printed.

    As soon as the vendor has accepted it, its id is shown: it is paid for, and can be had by that id from then on,
    whatever becomes of this command. Until the video is there, a journal in its folder, such as generate-1f8a03c7.db,
    knows what was bought: `kling-async resume` goes on with it, and removes it in the end.

    Args:
        prompt: What to show.
        retry: How often to make it again if it fails, which is not charged; not if it fails for its content.
    """
    request = from_row(video.fields() | {"prompt": prompt}).request
    check_files(request)
    journal = None if connection.sandbox else temporary_journal(output)  # a sandbox is gone when this ends
    return _SingleRun(request, output, connection, Terminal(as_json=as_json), journal, retry).run()


@define(eq=False)
class _SingleRun:
    """One video, from its request to its file."""

    request: Request
    output: Path
    connection: Connection
    terminal: Terminal
    journal: Path | None
    retry: int
    job: Job | None = None
    path: Path | None = None

    def run(self) -> Exit:
        make_folder(self.output)
        try:
            return run_told(self._make(), self.terminal, self._how_to_go_on)
        finally:
            if self.journal is not None and not self._is_outstanding():
                discard_if_temporary(self.journal)

    def _is_outstanding(self) -> bool:
        """Tell whether something was or may have been bought whose video is not on disk."""
        return self.job is not None and self.path is None and self.job.state in _OUTSTANDING

    async def _make(self) -> Exit:
        async with (
            open_session(self.connection, Running(retry=self.retry), journal=self.journal) as kling,
            show_progress(kling, self.terminal, 1),
            announced_stop(self.terminal),
        ):
            job = self.job = kling.submit(self.request)
            try:
                generation_id = await job.accepted()
                self.terminal.message(f"accepted as {generation_id}")
                await job
                target = free_path(self.output / default_name(self.request, generation_id[:_SHORT]), set())
                self.path = await kling.download(job, target)
            except KlingError as error:
                self.terminal.message(reason(error), "red")
                if self.terminal.as_json:
                    self.terminal.json_result(job_json(job, None, error))
                if not self._is_outstanding():
                    return Exit.FAILED
                self.terminal.message(self._how_to_go_on("it is or may be paid for"), "yellow")
                return Exit.STOPPED
        self.terminal.answer(job_json(job, self.path, None), str(self.path))
        return Exit.OK

    def _how_to_go_on(self, what: str) -> str:
        if self.journal is None:
            return what
        if not self._is_outstanding():
            return f"{what}; nothing was bought" if self.path is None else f"{what}; the video is {self.path}"
        again = command("resume", self.journal, "-o", self.output, *self.connection.arguments())
        return f"{what}; get the video with: {again}"


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
    batch_run = BatchRun(
        journal=journal, output=output, connection=connection, running=running, terminal=terminal, shared=shared
    )
    return _Batch(rows, batch_run).run()


@frozen(eq=False)
class _Batch:
    """Rows, and the run that makes them."""

    rows: Sequence[Row]
    batch_run: BatchRun

    def run(self) -> Exit:
        run, records, say = self.batch_run, self.batch_run.records, self.batch_run.terminal.message
        known = [records[row.key] for row in self.rows if row.key in records]
        retried = sum(may_retry(record, run.running.retry_failed) for record in known)
        open_keys = {key for key, record in records.items() if not record.state.is_terminal}
        # Where others share the journal, what is not of these rows is theirs.
        others = 0 if run.shared else len(open_keys - {row.key for row in self.rows})
        say(f"{count(len(self.rows), 'row')}; the journal is {shown(run.journal)}{', shared' * run.shared}")
        if kept := len(known) - retried:
            say(f"{kept:,} of them are in the journal already, and are not bought again")
        if retried:
            say(f"{retried:,} of them have failed, and are made again")
        if others:
            say(f"{count(others, 'job')} that an earlier run left open in the journal also go on")
        return run.run(len(self.rows) + others, self._add_jobs)

    async def _add_jobs(self, active: ActiveRun) -> None:
        others = {job.key: job for job in active.kling.pending}
        for number, row in enumerate(self.rows, start=1):
            others.pop(row.key, None)
            self._submit(row, active)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        for job in others.values():
            active.add(job, self.batch_run.records.get(job.key))

    def _submit(self, row: Row, active: ActiveRun) -> None:
        record, label = self.batch_run.records.get(row.key), f"line {row.line}"
        if tag := tag_text(row.submission.tag):
            label = f"{label} ({tag})"
        # What is recorded under the key counts: its paths may lead elsewhere since the folder was moved.
        request = row.request if record is None or record.request is None else record.request
        submission = evolve(row.submission, request=request)
        try:
            job = active.kling.submit(submission, retry_failed=self.batch_run.running.retry_failed)
        except InvalidRequest as error:
            facts = {"key": row.key, **asdict(label_of(row.submission.tag)), **request_json(row.request)}
            active.refuse(label, row.request, facts, error)
        else:
            active.add(job, record, label=label)


def _dry_run(rows: Sequence[Row], journal: Place, connection: Connection, terminal: Terminal) -> Exit:
    """Print what would be submitted, and what it would cost."""
    states = {key: _told(record) for key, record in records_of(journal).items()}
    cost, unknown = prices(connection, rows)
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
    if isinstance(journal, Path) and not os.path.isfile(journal):  # noqa: PTH113 - Path's raises for some names
        raise ConfigurationError(f"journal {journal}: there is no such file")
    terminal = Terminal(as_json=as_json)
    batch_run = BatchRun(
        journal=journal, output=output, connection=connection, running=running, terminal=terminal, shared=shared
    )
    return _go_on(batch_run, set(JobState) - {JobState.ABANDONED})


def _go_on(run: BatchRun, states: Container[JobState]) -> Exit:
    """Go on with the jobs in these states."""
    records = {key: record for key, record in run.records.items() if record.state in states}

    def is_to_come(record: Record) -> bool:
        if record.state in (JobState.FAILED, JobState.REJECTED):
            return may_retry(record, run.running.retry_failed)
        return file_of(record, folder_of(run.journal), run.output) is None

    async def add_jobs(active: ActiveRun) -> None:
        waiting = {job.key: job for job in active.kling.pending}
        for key, record in records.items():
            try:
                job = waiting.get(key) or _job(active.kling, record, retry_failed=run.running.retry_failed)
            except InvalidRequest as error:  # as of a file that is not there any more
                active.refuse(label_for(record), record.request, {"key": key}, error)
            else:
                if job is not None:
                    active.add(job, record)

    to_come = count(sum(map(is_to_come, records.values())), "video")
    run.terminal.message(f"{to_come} to come of {len(records):,} in {shown(run.journal)}")
    return run.run(len(records), add_jobs)


def _job(kling: KlingSession, record: Record, *, retry_failed: bool | Literal["all"]) -> Job | None:
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
    place, terminal = as_place(what), Terminal(as_json=as_json)
    if isinstance(place, Path) and not os.path.lexists(what):
        again = command("download", what, "-o", output, *connection.arguments())
        return run_told(_one(what, output, connection, terminal), terminal, lambda what: f"{what}; go on with: {again}")
    read_journal(place)  # which tells what can be none
    batch_run = BatchRun(
        journal=place, output=output, connection=connection, running=RUNNING, terminal=terminal, hold=True
    )
    return _go_on(batch_run, {JobState.COMPLETED})


async def _one(generation_id: str, output: Path, connection: Connection, terminal: Terminal) -> Exit:
    async with open_session(connection) as kling, show_progress(kling, terminal, 1):
        job = kling.resume(generation_id)
        path = await kling.download(job, into=output)
    terminal.answer(job_json(job, path, None), str(path))
    return Exit.OK
