"""The leader's view of a shared SQLite file: whatever it writes is fenced by its token."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from kling_async.journal.base import Choices, JobState
from kling_async.journal.shared import Fenced, News, late_answer
from kling_async.journal.sql.rows import Row
from kling_async.journal.sql.write_queue import Write
from kling_async.journal.sql.writer import Writer
from kling_async.journal.sqlite import lease, statements
from kling_async.journal.sqlite.connection import transaction
from kling_async.journal.sqlite.file import joined_file
from kling_async.journal.sqlite.journal import SQLiteJournal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kling_async.errors import KlingError
    from kling_async.journal.base import Record
    from kling_async.journal.shared import Entry, Instruction, LateAnswer, Token
    from kling_async.journal.sqlite.connection import Connection


_CHUNK = 256  # jobs taken over in a row before other tasks get the loop


class SQLiteTerm(SQLiteJournal):
    """The journal of the one that leads; see `TermJournal`. What cannot be written is tried again."""

    def __init__(
        self, path: Path, token: Token, on_fenced: Callable[[], object], on_change: Callable[[], object]
    ) -> None:
        super().__init__(path)
        self._on_change = on_change
        self._token = token
        self._on_fenced = on_fenced
        self._term_writer: _TermWriter | None = None
        self._choices: dict[str, Choices] = {}  # of open jobs, where they are not the usual ones
        self._last_job = 0  # the number of the job that was inserted last, as far as is known
        self._version = -1  # of the file's data, as it was last read

    @property
    def is_fenced(self) -> bool:
        """True once another member has taken the lease, as far as is known here."""
        return self._term_writer is not None and self._term_writer.is_fenced

    def _make_writer(self, loop: asyncio.AbstractEventLoop) -> Writer:
        self._term_writer = _TermWriter(self.path, loop, self._on_written, self._token, self._on_fenced)
        return self._term_writer

    async def load_open(self) -> Sequence[Record]:
        """Return the open jobs that are not parked, in the order they were queued."""
        self._choices = await self._ask(lease.all_choices)
        entries, self._last_job = await self._ask(lease.led)
        records: list[Record] = []
        for entry in entries:
            records.append(self._take(entry))
            if len(records) % _CHUNK == 0:
                await asyncio.sleep(0)
        return records

    def _take(self, entry: Entry) -> Record:
        if entry.choices != Choices():
            self._choices[entry.record.key] = entry.choices
        if entry.record.key not in self._keys:
            self._keys.add(entry.record.key)
        return self._unflushed.load(entry.record)

    async def news(self) -> News:
        """Return what is new for the one that leads."""
        after = self._last_job

        def read(connection: sqlite3.Connection) -> tuple[News, int]:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version == self._version and self._is_caught_up:
                return News(), after
            entries, newest = lease.inserted(connection, after)
            found = News(entries, lease.instructions(connection), lease.late_answers(connection))
            self._version = version
            self._is_caught_up = newest == lease.newest_job(connection) and not (found.instructions or found.late)
            return found, newest

        news, self._last_job = await self._ask(read)
        for entry in news.entries:
            self._take(entry)
        return news

    _is_caught_up = False  # with everything but what others write from now on

    def park(self, record: Record, error: KlingError) -> None:
        """Keep a job from being worked on."""
        self._put(partial(lease.park, key=record.key, error=error))

    def settle(self, item: Instruction | LateAnswer, *, keep: bool = False) -> None:
        """Drop what was acted on, or keep it for people alone."""
        self._put(partial(lease.settle, item=item, keep=keep))

    async def parked(self) -> Sequence[Record]:
        """Return the queued jobs that are parked."""
        return await self._ask(lease.parked)

    def choices(self, key: str) -> Choices:
        """Return what the caller chose for an open job."""
        return self._choices.get(key, Choices())

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        super()._on_written(writes, reason)
        self._on_change()

    async def save_learned(self, text: str) -> None:
        """Save a text in place of the one before, soon: the end of a term does not wait for it."""
        self._put(partial(statements.save_learned, text=text))

    def _put(self, work: Callable[[sqlite3.Connection], object]) -> None:
        self._opened().put(Write(next(self._numbers), None, work, None))
        self._opened().put(Write(next(self._numbers), None, None, asyncio.get_running_loop().create_future()))  # soon


class _TermWriter(Writer):
    """Writes under a token; once that is fenced, it keeps what the writes say about POSTs as late answers."""

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        on_written: Callable[[Sequence[Write], str | None], None],
        token: Token,
        on_fenced: Callable[[], object],
    ) -> None:
        super().__init__(path, loop, on_written, joined_file)
        self._token = token
        self._on_fenced = on_fenced
        self.is_fenced = False

    def _commit(self, writes: list[Write], connection: Connection) -> None:
        if not any(write.work is not None for write in writes):
            return
        connection.check_unmoved()
        if not self.is_fenced:
            try:
                with lease.fenced(connection, self._token):
                    _write_all(writes, connection)
            except Fenced:
                self.is_fenced = True
                self._loop.call_soon_threadsafe(self._on_fenced)
        if self.is_fenced:
            self._keep_late(writes, connection)

    def _keep_late(self, writes: list[Write], connection: Connection) -> None:
        records = [write.record for write in writes if write.record is not None]
        found = [answer for answer in map(late_answer, records) if answer is not None]
        with transaction(connection):
            for answer in found:
                lease.add_late(connection, answer)

    def _notify(self, writes: list[Write]) -> None:
        """Tell that writes are done, and that nothing must be sent whose submit could not be recorded."""
        begun = [write for write in writes if self.is_fenced and _is_begun(write)]
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._on_written, begun, "another member leads by now")
        super()._notify([write for write in writes if write not in begun])

    def _give_up(self, writes: list[Write]) -> None:
        """Keep all writes for the next transaction: while they cannot be written, nothing is submitted."""
        if self.is_fenced:
            super()._give_up(writes)
        else:
            self._retained = writes


def _is_begun(write: Write) -> bool:
    return write.record is not None and write.record.state is JobState.SUBMITTING


def _write_all(writes: list[Write], connection: Connection) -> None:
    """Write rows as few statements, and everything in its order."""
    change = lease.next_change(connection)
    works = [write.work for write in writes if write.work is not None]
    for are_rows, run in groupby(works, lambda work: isinstance(work, Row)):
        if are_rows:
            rows = [work for work in run if isinstance(work, Row)]
            statements.write(connection, rows)
            lease.mark_changed(connection, {row.key for row in rows}, change)
        else:
            for work in run:
                if callable(work):
                    work(connection)
