"""Reading a journal without owning it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.paths import absolute, unusable_reason
from kling_async.journal.sql import queries
from kling_async.journal.sqlite import lease, ownership
from kling_async.journal.sqlite.connection import journal_errors, reading
from kling_async.journal.sqlite.schema import STEPS, identify

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections import Counter
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from kling_async.journal.base import JobState, Record
    from kling_async.journal.shared import Sharing


class JournalReader:
    """Reads a journal that a session may be writing, or that a crash left behind. It creates no file.

    Nothing is open between two calls. A call blocks its thread, which may be any, and holds up the writer for some
    milliseconds at a time.

    Args:
        path: The journal's file.

    Raises:
        JournalError: There is none, or it is unreadable: of another version, or no journal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = absolute(path)
        with self._connection():
            pass  # it can be read

    def records(self) -> Iterator[Record]:
        """Yield the newest record of every key, in the order they were queued, those queued meanwhile included.

        Raises:
            JournalError: They cannot be read.
        """
        place = 0
        while True:
            with self._connection() as connection:
                records, place = queries.page(connection, place)
            if not records:
                return
            yield from records

    def counts(self) -> Counter[JobState]:
        """Count the jobs in each state, all at one moment.

        Raises:
            JournalError: They cannot be read.
        """
        with self._connection() as connection:
            return queries.counts(connection)

    def sharing(self, now: float) -> Sharing | None:
        """Return how sessions share it, by the clock that they share; None if they never did.

        Raises:
            JournalError: It cannot be read.
        """
        with self._connection() as connection:
            return lease.sharing(connection, now)

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
        return f"<JournalReader {str(self.path)!r}>"
