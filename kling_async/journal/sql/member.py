"""A journal in a database that sessions share, as one member has it."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
from asyncio import wrap_future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from kling_async.errors import JournalError
from kling_async.journal.sql import queries
from kling_async.journal.sql.database import Database
from kling_async.journal.sql.rows import check_tag, write_row
from kling_async.journal.sql.tables import Insertion
from kling_async.journal.sql.write_queue import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from kling_async.journal.base import Choices, Record
    from kling_async.journal.shared import Entry, Instruction, Lease, Token
    from kling_async.journal.sql.tables import OfMember, Own, Tables
    from kling_async.journal.sql.term import DatabaseTerm


class SharedDatabase(Database):
    """A journal as one of the sessions has it that share it; see `SharedJournal`.

    Args:
        database: As for `Database`.
        tables: The statements of this kind of database.
        now: The members' clock, which goes on while the machine sleeps.
        length: The seconds for which a leader may act without renewing its lease.
        account: What tells the account apart, such as the API's URL; all members have to have the same.
        is_local: Whether all members are on one machine.
    """

    def __init__(
        self,
        *database: Any,  # noqa: ANN401 - as said
        tables: Tables,
        now: Callable[[], float],
        length: float,
        account: str | None,
        is_local: bool,
    ) -> None:
        super().__init__(*database)
        self.now = now
        self.lease_length = length
        self.is_local = is_local
        self._tables = tables
        self._account = account
        self._name = secrets.token_hex(8)
        self._owner = f"process {os.getpid()} on {platform.node()}"
        self._change_place: queries.Place = (0, 0)
        self._on_change: Callable[[], object] = lambda: None
        self._limits = ""
        self._on_free: Callable[[], object] = lambda: None

    def wall(self) -> float | None:
        """Return the time for records by the database's clock; None as long as it is not known."""
        return None

    async def open(
        self,
        on_change: Callable[[], object] = lambda: None,
        *,
        limits: str = "",
        on_free: Callable[[], object] = lambda: None,
    ) -> None:
        """Join; ``on_change`` is called on the loop after this member or its term has written."""
        await self._begin(partial(self._join, on_change, limits, on_free))

    async def _join(self, on_change: Callable[[], object], limits: str, on_free: Callable[[], object]) -> None:
        self._on_change, self._limits, self._on_free = on_change, limits, on_free
        self._soon: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()  # a flush under way
        self._soon.set_result(None)
        self._change_place = await self._ask(queries.last_place)
        await self._ask(lambda connection: self._see_member(connection, self.now()))

    def leave(self) -> None:
        """Do nothing: a file is not silent."""

    async def close(self) -> None:
        """Write what was inserted and instructed, and leave.

        Raises:
            JournalError: Something could not be written, and is lost.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with suppress(JournalError):
            await wrap_future(writer.ask(lambda connection: self._tables.drop_member(connection, self._name)))
        lost = await writer.stop()
        if lost is not None:
            raise JournalError(lost)

    def _see_member(self, connection: Own, now: float) -> None:
        self._tables.see_member(connection, self._name, self._owner, now, self._limits, self._account)

    # The lease

    async def lease(self) -> Lease:
        """Return who leads, and take note that this member lives."""
        now = self.now()

        def read(connection: Own) -> Lease:
            found = self._tables.read_lease(connection, now)
            if self._tables.is_due(connection, self._name, now):
                self._see_member(connection, now)
            return found

        return await self._ask(read)

    async def take(self) -> Token | None:
        """Take the lease if it is free."""
        holder = secrets.token_hex(8)
        return await self._ask(
            lambda connection: self._tables.take(connection, holder, self._owner, self.now(), self.lease_length)
        )

    async def renew(self, token: Token, stats: str = "") -> bool:
        """Renew the lease from now on."""
        now = self.now()
        return await self._ask(lambda connection: self._tables.renew(connection, token, now, stats))

    async def release(self, token: Token, *, crashed: bool = False) -> None:
        """Let another member take the lease."""
        await self._ask(lambda connection: self._tables.release(connection, token, crashed=crashed))

    def term(self, token: Token, on_fenced: Callable[[], object]) -> DatabaseTerm:
        """Return the journal to lead with, which has a connection of its own."""
        raise NotImplementedError

    # Jobs

    def insert(self, record: Record, choices: Choices, on_known: Callable[[Entry], object]) -> None:
        """Insert a queued job soon."""
        self._put(Insertion(record, write_row(record), choices, on_known))

    def instruct(self, instruction: Instruction) -> None:
        """Leave an instruction soon."""
        check_tag(instruction.data.get("tag"))
        self._put(instruction)

    def _put(self, work: OfMember) -> None:
        self._opened().put(Write(next(self._numbers), None, work, None))
        if self._soon.done():  # unlike a record that is appended, somebody waits for it
            self._soon = asyncio.get_running_loop().create_future()
            self._opened().put(Write(next(self._numbers), None, None, self._soon))

    def _commit(self, writes: list[Write], connection: Own) -> None:
        works: list[Any] = [write.work for write in writes if write.work is not None]
        if works:
            self._tables.write_of_member(connection, works)

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        for write in writes:
            if write.waiter is not None and not write.waiter.done():
                write.waiter.set_result(reason)
            if isinstance(write.work, Insertion) and write.work.known is not None and reason is None:
                write.work.on_known(write.work.known)
        self._on_change()

    async def changes(self, wanted: Container[str]) -> Sequence[Entry]:
        """Return the wanted jobs that have changed since the last call."""
        return await self._ask(partial(self._read_changes, wanted=wanted))

    def _read_changes(self, connection: Own, wanted: Container[str]) -> Sequence[Entry]:
        found, self._change_place = queries.changes(connection, self._change_place, wanted)
        return found

    def look(self, key: str, on_found: Callable[[Entry], object]) -> None:
        """Look a job up soon."""
        answer = asyncio.ensure_future(self._ask(partial(queries.entry_by_key, key=key)))
        answer.add_done_callback(lambda done: _tell(done, on_found))

    def get(self, key: str) -> Entry | None:
        """Return the job under this key at once."""
        return self._opened().answer(partial(queries.entry_by_key, key=key))

    def find(self, generation_id: str) -> Entry | None:
        """Return the job of this generation at once."""
        return self._opened().answer(partial(queries.entry_by_generation, generation_id=generation_id))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self._place)!r} {'closed' if self._writer is None else 'open'}>"


def _tell(done: asyncio.Future[Entry | None], on_found: Callable[[Entry], object]) -> None:
    if not done.cancelled() and done.exception() is None and (entry := done.result()) is not None:
        on_found(entry)
