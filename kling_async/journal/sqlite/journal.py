"""The journal that outlives the process: one SQLite file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kling_async.journal.paths import absolute
from kling_async.journal.sql.journal import DatabaseJournal
from kling_async.journal.sql.rows import Row
from kling_async.journal.sqlite import statements
from kling_async.journal.sqlite.connection import journal_errors
from kling_async.journal.sqlite.file import owned_file
from kling_async.journal.sqlite.prune import drop_unused_media

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from kling_async.journal.sql.tables import Own
    from kling_async.journal.sql.write_queue import Write


class SQLiteJournal(DatabaseJournal):
    """Records in a SQLite file, durable once committed: neither a crash nor a power cut loses them.

    One session at a time owns the file, under all its names, on one machine; `JournalReader` reads it meanwhile. A
    program that opens and closes the file by itself takes SQLite's own locks from the writer, after which another
    writer that is no session may corrupt it. Beside it stands ``<name>-owner``, which names the owner, and while a
    session is open the files by which SQLite undoes an interrupted transaction. It finds them by the name: a copy, a
    hard link or a new name of the file alone is whole only while no session is open, and after none was killed.

    Writes are gathered, so that thousands of jobs share one wait for the disk, on a thread. Only ``get`` and ``find``
    block the event loop, for some tenths of a millisecond or until the disk has finished a write, and only for a
    finished job that is no longer in memory.

    The file holds requests, tags, outcomes and the URLs of finished videos, and never the API key. Data URIs and files'
    contents in requests are stored once each, by their digests; of a file given by its path only the path is stored,
    so the file has to stay where it is until it was sent.

    Tags come back as JSON has them: tuples as lists. A request or tag is recorded as it is when the job is first
    recorded. Errors come back with their attributes, without their causes.

    Args:
        path: The file; it is made if there is none, its directory is not.

    Raises:
        ConfigurationError: No file has such a path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = absolute(path)
        super().__init__(self.path, partial(owned_file, self.path), partial(journal_errors, self.path))

    async def open(self) -> None:
        """Own the file, check that it is not corrupt, and read which jobs it holds.

        The check reads the whole file: with 100,000 finished jobs in 150 MB, opening takes 0.2 s if the system has them
        cached, and otherwise as long as the disk takes.

        Raises:
            JournalError: It is owned by another session, corrupt, of a newer version, or no journal; or there is no
                thread to write it in.
        """
        await super().open()

    def _commit(self, writes: list[Write], connection: Own) -> None:
        rows = [write.work for write in writes if isinstance(write.work, Row)]
        if rows:
            connection.check_unmoved()
            statements.write(connection, rows)

    def _drop_unused_media(self, connection: Own) -> object:
        return drop_unused_media(connection, is_shared=False)

    async def save_learned(self, text: str) -> None:
        """Save a text in place of the one before, and return once a crash cannot lose it.

        Raises:
            JournalError: It could not be written.
        """
        await self._ask(partial(statements.save_learned, text=text))
