"""A SQLite file that sessions of one machine share."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from kling_async.journal.paths import absolute
from kling_async.journal.shared import LEASE, News
from kling_async.journal.sql import queries
from kling_async.journal.sql.member import SharedDatabase
from kling_async.journal.sql.term import DatabaseTerm
from kling_async.journal.sqlite import lease
from kling_async.journal.sqlite.connection import journal_errors
from kling_async.journal.sqlite.file import joined_file, shared_file
from kling_async.journal.sqlite.ownership import LeaderLock
from kling_async.journal.sqlite.prune import drop_unused_media

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Container, Sequence
    from pathlib import Path

    from kling_async.journal.shared import Entry, Lease, Token


_TRIES, _GAP = 10, 0.005  # to get a leader's lock, and the seconds between them


class SharedSQLite(SharedDatabase):
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
        place = (self.path, partial(shared_file, self.path), partial(journal_errors, self.path))
        super().__init__(*place, tables=lease, now=now, length=length, account=account, is_local=True)
        self._version = -1  # of the file's data, as it was last read
        self._lock: LeaderLock | None = None

    def term(self, token: Token, on_fenced: Callable[[], object]) -> SQLiteTerm:
        """Return the journal to lead with, which has a connection of its own."""
        place = (self.path, partial(joined_file, self.path), self._errors)
        return SQLiteTerm(*place, tables=lease, token=token, on_fenced=on_fenced, on_change=self._on_change)

    # The lease: beside it, the leader's process has a lock, which a process that is killed lets go of at once

    async def open(self, *on_change: Any, **others: Any) -> None:  # noqa: ANN401 - as above
        """Join; see `SharedJournal`."""
        await super().open(*on_change, **others)
        with journal_errors(self.path):
            self._lock = LeaderLock(self.path)

    async def close(self) -> None:
        """Write what was inserted and instructed, and leave."""
        try:
            await super().close()
        finally:
            lock, self._lock = self._lock, None
            if lock is not None:
                lock.close()

    async def lease(self) -> Lease:
        """Return who leads: nobody, if the one that did is dead; and take note that this member lives."""
        found = await super().lease()
        return found.without_holder(is_dead=self._lock is not None and self._lock.is_free(found.lock))

    async def take(self) -> Token | None:
        """Take the lease if it is free, or if the leader is dead."""
        lock = None if self._lock is None or self._lock.is_held else self._lock
        for _ in range(_TRIES):
            if lock is None or lock.hold():
                break
            await asyncio.sleep(_GAP)  # another member may just be looking whether it is free
        number, token = lock.number if lock is not None and lock.is_held else 0, None
        seen = (0, 0) if self._lock is None else self._lock.seen()
        take = partial(lease.take, owner=self._owner, now=self.now(), length=self.lease_length, lock=number, seen=seen)
        try:
            token = await self._ask(partial(take, holder=secrets.token_hex(8)))
        finally:
            if token is None and lock is not None:
                lock.let_go()
        if token is not None and self._lock is not None:
            self._lock.note(token.term, self._change_place[0], is_first=True)
        return token

    async def renew(self, token: Token, stats: str = "") -> bool:
        """Renew the lease from now on."""
        is_held = await super().renew(token, stats)
        if is_held and self._lock is not None:
            self._lock.note(token.term, self._change_place[0])
        return is_held

    async def release(self, token: Token, *, crashed: bool = False) -> None:
        """Let another member take the lease."""
        try:
            change, _ = await self._ask(queries.last_place)
            await super().release(token, crashed=crashed)
            if self._lock is not None:
                self._lock.note(token.term, change)
        finally:
            if self._lock is not None:
                self._lock.let_go()

    def _read_changes(self, connection: sqlite3.Connection, wanted: Container[str]) -> Sequence[Entry]:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:  # a look costs next to nothing if nothing has changed
            return []
        found = super()._read_changes(connection, wanted)
        self._version = version
        return found


class SQLiteTerm(DatabaseTerm):
    """The leader's view of the file."""

    _version = -1  # of the file's data, as it was last read
    _is_caught_up = False  # with everything but what others write from now on

    def _drop_unused_media(self, connection: sqlite3.Connection) -> object:
        return drop_unused_media(connection, is_shared=True)

    def _read_news(self, connection: sqlite3.Connection, after: int) -> tuple[News, int]:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version and self._is_caught_up:
            return News(), after
        found, newest = super()._read_news(connection, after)
        self._version = version
        self._is_caught_up = newest == lease.newest_job(connection) and not (found.instructions or found.late)
        return found, newest
