"""``kling-async batch``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from attrs import frozen
from cyclopts import Parameter

from kling_async import InvalidRequest, JobState
from kling_async.cli.batch.quote import check_places, lines, notes, prices, quote, total
from kling_async.cli.batch.rows import WISHES, Source, VideoOptions
from kling_async.cli.batch.run import BatchRun
from kling_async.cli.exit_codes import Exit
from kling_async.cli.journal_summary import records_of
from kling_async.cli.json_output import request_facts
from kling_async.cli.options import CONNECTION, RUNNING, AsJson, Connection, Output, Running
from kling_async.cli.paths import checked_folder
from kling_async.cli.terminal import Terminal
from kling_async.cli.text import command, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async import Job, KlingSession, Record
    from kling_async.cli.batch.rows import Row
    from kling_async.cli.batch.run import Workshop

__all__ = ["batch"]

_CHUNK = 100  # rows submitted in a row before anything else gets its turn


def batch(  # noqa: D417 - what commands share is described once, in options
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    journal: Path | None = None,
    output: Output = Path("videos"),
    dry_run: bool = False,
    as_json: AsJson = False,
    wishes: VideoOptions = WISHES,
    running: Running = RUNNING,
    connection: Connection = CONNECTION,
) -> int:
    """Make a video for every row of a file, many at once, and download them.

    A row is a JSON object on a line of its own, or a row of a CSV file whose first row names the columns. The columns
    are the model's fields, such as prompt, duration and image_url, and beside them: model; tag, a label of yours; and
    output, the name for the video's file. What a row leaves out is taken from the options. Files in a row are paths,
    relative to the folder of the batch, or URLs. Two equal rows are two videos.

    All rows are checked before anything is submitted. What happens is kept in the journal: run the same command again
    after Ctrl-C or a crash, or with rows added, and nothing is bought twice, only what is missing is made and fetched.
    Ctrl-C once saves everything and says how to go on; twice ends it at once.

    Args:
        file: The batch, as JSON Lines or CSV; - for standard input.
        journal: Where to keep what happens; by default beside the batch, such as prompts.db for prompts.csv.
        dry_run: Submit nothing: print what would be sent, under which names, and what it would cost.
    """
    terminal = Terminal(as_json=as_json)
    source = Source(file)
    rows = source.rows(wishes)
    checked_folder(output)
    check_places(rows, output, source.name)
    journal = journal or source.journal(sandbox=connection.sandbox)
    if dry_run:
        return _rehearse(rows, journal, connection, terminal)
    again = command("resume", journal, "-o", output, *running.words(), *connection.words())
    work = BatchRun(
        journal=journal, output=output, connection=connection, running=running, terminal=terminal, again=again
    )
    return _Batch(rows, records_of(journal), journal, terminal).run(work)


@frozen(eq=False)
class _Batch:
    """Rows, and what the journal knows of them."""

    rows: Sequence[Row]
    records: dict[str, Record]
    journal: Path
    terminal: Terminal

    def run(self, work: BatchRun) -> Exit:
        keys = {row.key for row in self.rows}
        known = sum(row.key in self.records for row in self.rows)
        others = sum(not record.state.is_terminal and key not in keys for key, record in self.records.items())
        self.terminal.say(f"{count(len(self.rows), 'row')}; the journal is {self.journal}")
        if known:
            self.terminal.say(f"{known:,} of them are in the journal already, and are not bought again")
        if others:
            self.terminal.say(f"{count(others, 'job')} that an earlier run left open in the journal also go on")
        return work.run(len(self.rows) + others, self._enter)

    async def _enter(self, shop: Workshop) -> None:
        others = {job.key: job for job in shop.kling.pending}
        for number, row in enumerate(self.rows, start=1):
            others.pop(row.key, None)
            self._submit(row, shop)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        for job in others.values():
            shop.add(job, self.records.get(job.key))

    def _submit(self, row: Row, shop: Workshop) -> None:
        record, label = self.records.get(row.key), f"line {row.line}"
        if row.tag is not None:
            label = f"{label} ({row.tag})"
        try:
            job = self._job(row, record, shop.kling)
        except InvalidRequest as error:
            facts = {"key": row.key, "tag": row.tag, "output": row.output, **request_facts(row.request)}
            shop.collector.refuse(label, facts, error)
            return
        shop.add(job, record, label=label)

    def _job(self, row: Row, record: Record | None, kling: KlingSession) -> Job:
        # What is recorded under the key counts: its paths may lead elsewhere since the folder was moved.
        request = row.request if record is None or record.request is None else record.request
        return kling.submit(request, tag=row.job_tag, key=row.key)


def _rehearse(rows: Sequence[Row], journal: Path, connection: Connection, terminal: Terminal) -> Exit:
    """Say what would happen."""
    states = {key: _told(record) for key, record in records_of(journal).items()}
    cost, unknown = asyncio.run(prices(connection, rows))
    quotes = quote(rows, cost, states)
    new = [one for one in quotes if one.state is None]
    if terminal.as_json:
        for one in quotes:
            terminal.tell_facts(one.facts())
    else:
        for line in lines(quotes):
            terminal.tell(line)
    for note in [unknown] if unknown else notes(quotes):
        terminal.say(f"costs are not known exactly: {note}", "yellow")
    terminal.say(f"{count(len(new), 'video')} to buy of {count(len(rows), 'row')}: {total(new) if new else '$0.00'}")
    terminal.say("Nothing was submitted.")
    return Exit.OK


def _told(record: Record) -> str:
    """How far a recorded row is, in a word."""
    return "downloaded" if record.state is JobState.COMPLETED and record.file is not None else record.state.value
