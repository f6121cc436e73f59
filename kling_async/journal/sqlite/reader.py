"""Reading a journal's file without owning it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from kling_async.errors import JournalError
from kling_async.journal.paths import absolute, unusable_reason
from kling_async.journal.sql.reader import JournalReader
from kling_async.journal.sqlite import lease, ownership
from kling_async.journal.sqlite.connection import journal_errors, reading
from kling_async.journal.sqlite.schema import STEPS, identify

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.shared import Sharing


class SQLiteReader(JournalReader):
    """Reads a journal's file. A call holds up its writer for some milliseconds at a time.

    Args:
        path: The journal's file.

    Raises:
        JournalError: There is none, or it is unreadable: of another version, or no journal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = absolute(path)
        with self._connection():
            pass  # it can be read

    def _sharing(self, connection: sqlite3.Connection, now: float) -> Sharing | None:
        found = lease.sharing(connection, now)
        if found is None:
            return None
        return evolve(found, lease=found.lease.without_holder(is_dead=ownership.is_dead(self.path, found.lease.lock)))

    def has_owner(self) -> bool | None:
        """Return whether a session has it open that does not share it; None where the system does not tell."""
        return ownership.has_owner(self.path)

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        reason = unusable_reason(self.path)
        if reason:
            raise JournalError(f"journal {reason}")
        if not self.path.exists():
            raise JournalError(f"journal {self.path}: there is no such file")
        with journal_errors(self.path), reading(self.path) as connection:
            version = identify(connection, self.path)
            if version != len(STEPS):
                found = f"of version {version}" if version else "empty"
                raise JournalError(f"journal {self.path}: it is {found} until a session opens it once")
            yield connection

    def __repr__(self) -> str:
        return f"<SQLiteReader {str(self.path)!r}>"
