"""A SQLite file that sessions of one machine share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kling_async.journal.paths import absolute
from kling_async.journal.shared import LEASE, News
from kling_async.journal.sql.member import MemberWriter, SharedDatabase
from kling_async.journal.sql.term import DatabaseTerm, TermWriter
from kling_async.journal.sqlite import lease
from kling_async.journal.sqlite.connection import journal_errors
from kling_async.journal.sqlite.file import joined_file, shared_file

if TYPE_CHECKING:
    import asyncio
    import os
    import sqlite3
    from collections.abc import Callable, Container, Sequence
    from pathlib import Path

    from kling_async.journal.shared import Entry, Token


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
        super().__init__(self.path, lease, now=now, length=length, account=account, is_local=True)
        self._version = -1  # of the file's data, as it was last read

    def _make_writer(self, loop: asyncio.AbstractEventLoop) -> MemberWriter:
        opened, errors = partial(shared_file, self.path), partial(journal_errors, self.path)
        return MemberWriter(lease, self.path, loop, self._on_written, opened, errors)

    def term(self, token: Token, on_fenced: Callable[[], object]) -> SQLiteTerm:
        """Return the journal to lead with, which has a connection of its own."""
        return SQLiteTerm(self.path, token, on_fenced, self._on_change)

    def _read_changes(self, connection: sqlite3.Connection, wanted: Container[str]) -> Sequence[Entry]:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:  # a look costs next to nothing if nothing has changed
            return []
        found = super()._read_changes(connection, wanted)
        self._version = version
        return found


class SQLiteTerm(DatabaseTerm):
    """The file as the one has it that leads."""

    def __init__(self, path: Path, *term: Any) -> None:  # noqa: ANN401 - the term's own
        super().__init__(path, lease, *term)
        self._path = path

    _version = -1  # of the file's data, as it was last read
    _is_caught_up = False  # with everything but what others write from now on

    def _make_term_writer(self, *given: Any) -> TermWriter:  # noqa: ANN401 - the writer's own
        opened, errors = partial(joined_file, self._path), partial(journal_errors, self._path)
        return TermWriter(*given, opened, errors, place=self._path)

    def _read_news(self, connection: sqlite3.Connection, after: int) -> tuple[News, int]:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version and self._is_caught_up:
            return News(), after
        found, newest = super()._read_news(connection, after)
        self._version = version
        self._is_caught_up = newest == lease.newest_job(connection) and not (found.instructions or found.late)
        return found, newest
