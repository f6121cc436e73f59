"""One member's view of a SQLite file that sessions of one machine share."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
from asyncio import wrap_future
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define

from kling_async.errors import JournalError
from kling_async.journal.paths import absolute
from kling_async.journal.shared import LEASE
from kling_async.journal.sql.rows import Row, as_column, write_row
from kling_async.journal.sql.write_queue import Write
from kling_async.journal.sql.writer import Writer
from kling_async.journal.sqlite import lease, statements
from kling_async.journal.sqlite.connection import transaction
from kling_async.journal.sqlite.file import shared_file
from kling_async.journal.sqlite.term import SQLiteTerm

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Container, Sequence
    from pathlib import Path

    from kling_async.journal.base import Choices, Record
    from kling_async.journal.shared import Entry, Instruction, Lease, Token
    from kling_async.journal.sqlite.connection import Connection

_T = TypeVar("_T")


@define(eq=False)
class _Insert:
    """A job to be inserted; called with a connection, within a transaction."""

    row: Row
    choices: Choices
    on_known: Callable[[Entry], object]
    known: Entry | None = None

    def __call__(self, connection: sqlite3.Connection) -> None:
        self.known = lease.insert(connection, self.row, self.choices)


class SharedSQLite:
    """One member's journal in a file that sessions share; see `SharedJournal`.

    While it is shared, nothing but SQLite opens the file: the close of any other descriptor would drop the locks that
    SQLite has in that process. A process that is stopped amid one of its transactions, of some milliseconds each, holds
    up all members until it goes on or is killed.

    Args:
        path: The file; it is made if there is none.
        now: The clock that all processes of the machine share, and that goes on while it sleeps.
        length: The seconds for which a leader may act without renewing its lease.
        account: What tells the account apart, such as the API's URL; all members have to have the same.

    Raises:
        ConfigurationError: No file has such a path.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        now: Callable[[], float],
        length: float = LEASE,
        account: str | None = None,
    ) -> None:
        self.path: Path = absolute(path)
        self.now = now
        self.lease_length = length
        self.is_local = True
        self._account = account
        self._name = secrets.token_hex(8)
        self._owner = f"process {os.getpid()} on {platform.node()}"
        self._writer: Writer | None = None
        self._numbers = count(1)
        self._place: lease.Place = (0, 0)
        self._on_change: Callable[[], object] = lambda: None
        self._limits = ""
        self._version = -1  # of the file's data, as it was last read

    async def open(self, on_change: Callable[[], object] = lambda: None, *, limits: str = "") -> None:
        """Join; ``on_change`` is called on the loop after this member or its term has written."""
        self._on_change, self._limits = on_change, limits
        self._soon: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()  # a flush under way
        self._soon.set_result(None)
        if self._writer is not None:
            raise JournalError(f"journal {self.path}: it is open already")
        writer = _MemberWriter(self.path, asyncio.get_running_loop(), self._on_written, shared_file)
        self._writer = writer
        try:
            await writer.start()
            self._place = await self._ask(lease.last_place)
            await self._ask(lambda connection: self._see_member(connection, self.now()))
        except BaseException:
            self._writer = None
            await writer.stop()
            raise

    async def close(self) -> None:
        """Write what was inserted and instructed, and leave.

        Raises:
            JournalError: Something could not be written, and is lost.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with suppress(JournalError):
            await wrap_future(writer.ask(partial(lease.drop_member, name=self._name)))
        lost = await writer.stop()
        if lost is not None:
            raise JournalError(lost)

    def _see_member(self, connection: sqlite3.Connection, now: float) -> None:
        lease.see_member(connection, self._name, self._owner, now, self._limits, self._account)

    # The lease

    async def lease(self) -> Lease:
        """Return who leads, and take note that this member lives."""
        now = self.now()

        def read(connection: sqlite3.Connection) -> Lease:
            found = lease.read_lease(connection, now)
            if lease.is_due(connection, self._name, now):
                self._see_member(connection, now)
            return found

        return await self._ask(read)

    async def take(self) -> Token | None:
        """Take the lease if it is free."""
        holder = secrets.token_hex(8)
        return await self._ask(
            lambda connection: lease.take(connection, holder, self._owner, self.now(), self.lease_length)
        )

    async def renew(self, token: Token, stats: str = "") -> bool:
        """Renew the lease from now on."""
        return await self._ask(partial(lease.renew, token=token, now=self.now(), stats=stats))

    async def release(self, token: Token, *, crashed: bool = False) -> None:
        """Let another member take the lease."""
        await self._ask(partial(lease.release, token=token, crashed=crashed))

    def term(self, token: Token, on_fenced: Callable[[], object]) -> SQLiteTerm:
        """Return the journal to lead with, which has a connection of its own."""
        return SQLiteTerm(self.path, token, on_fenced, self._on_change)

    # Jobs

    def insert(self, record: Record, choices: Choices, on_known: Callable[[Entry], object]) -> None:
        """Insert a queued job soon."""
        self._put(_Insert(write_row(record), choices, on_known))

    def instruct(self, instruction: Instruction) -> None:
        """Leave an instruction soon."""
        self._put(partial(lease.instruct, instruction=instruction))

    def _put(self, work: Callable[[sqlite3.Connection], object]) -> None:
        self._opened().put(Write(next(self._numbers), None, work, None))
        if self._soon.done():  # unlike a record that is appended, somebody waits for it
            self._soon = asyncio.get_running_loop().create_future()
            self._opened().put(Write(next(self._numbers), None, None, self._soon))

    async def flush(self) -> None:
        """Return once a crash cannot lose anything inserted or instructed until now."""
        waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._opened().put(Write(next(self._numbers), None, None, waiter))
        reason = await waiter
        if reason is not None:
            raise JournalError(reason)

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        for write in writes:
            if write.waiter is not None and not write.waiter.done():
                write.waiter.set_result(reason)
            if isinstance(write.work, _Insert) and write.work.known is not None and reason is None:
                write.work.on_known(write.work.known)
        self._on_change()

    async def changes(self, wanted: Container[str]) -> Sequence[Entry]:
        """Return the wanted jobs that have changed since the last call; a look costs next to nothing if none has."""

        def read(connection: sqlite3.Connection) -> list[Entry]:
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return []
            found, self._place = lease.changes(connection, self._place, wanted)
            self._version = version
            return found

        return await self._ask(read)

    def look(self, key: str, on_found: Callable[[Entry], object]) -> None:
        """Look a job up soon."""
        answer = asyncio.ensure_future(self._ask(partial(lease.by_key, key=as_column(key))))
        answer.add_done_callback(lambda done: _tell(done, on_found))

    def get(self, key: str) -> Entry | None:
        """Return the job under this key at once."""
        return self._opened().ask(partial(lease.by_key, key=as_column(key))).result()

    def find(self, generation_id: str) -> Entry | None:
        """Return the job of this generation at once."""
        return self._opened().ask(partial(lease.by_generation, generation_id=generation_id)).result()

    async def history(self) -> AsyncIterator[Record]:
        """Yield the record of every key, read a few hundred at a time."""
        records, place = await self._ask(partial(statements.page, after=0))
        while records:
            for record in records:
                yield record
            records, place = await self._ask(partial(statements.page, after=place))

    async def load_learned(self) -> str | None:
        """Return the learned durations that were last saved."""
        return await self._ask(statements.load_learned)

    def _opened(self) -> Writer:
        if self._writer is None:
            raise JournalError(f"journal {self.path}: it is not open")
        return self._writer

    async def _ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        return await wrap_future(self._opened().ask(question))

    def __repr__(self) -> str:
        return f"<SharedSQLite {str(self.path)!r} {'closed' if self._writer is None else 'open'}>"


class _MemberWriter(Writer):
    """Writes what a member may: nothing fences it, as it changes no record."""

    def _commit(self, writes: list[Write], connection: Connection) -> None:
        works: list[Any] = [write.work for write in writes if write.work is not None]
        if works:
            connection.check_unmoved()
            with transaction(connection):
                for work in works:
                    work(connection)


def _tell(done: asyncio.Future[Entry | None], on_found: Callable[[Entry], object]) -> None:
    if not done.cancelled() and done.exception() is None and (entry := done.result()) is not None:
        on_found(entry)
