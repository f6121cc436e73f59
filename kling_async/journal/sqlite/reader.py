"""A journal as whoever does not own it sees it: to be read, at any time, by anybody."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.paths import absolute, strangeness
from kling_async.journal.sqlite import statements as table
from kling_async.journal.sqlite.connection import journal_errors, reading
from kling_async.journal.sqlite.schema import STEPS, identify

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections import Counter
    from collections.abc import Generator, Iterator

    from kling_async.journal.base import JobState, Record

__all__ = ["JournalReader"]


class JournalReader:
    """Reads a journal that a session may be writing, or that a crash left behind. It spends nothing and makes no file.

    It has nothing open between two calls, and holds up whoever writes for some milliseconds at a time. It can be used
    from any thread, and blocks it while it reads.

    Args:
        path: The journal's file.

    Raises:
        JournalError: There is none, or it is unreadable: of another version, or no journal.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute(path)
        with self._connection():
            """It can be read."""

    def records(self) -> Iterator[Record]:
        """The newest record of every key, in the order they were queued, those queued meanwhile included.

        Raises:
            JournalError: They cannot be read.
        """
        place = 0
        while True:
            with self._connection() as connection:
                records, place = table.page(connection, place)
            if not records:
                return
            yield from records

    def counts(self) -> Counter[JobState]:
        """How many jobs are in each state, all at one moment.

        Raises:
            JournalError: They cannot be read.
        """
        with self._connection() as connection:
            return table.counts(connection)

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        strange = strangeness(self.path)
        if strange:
            raise JournalError(f"journal {strange}")
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
