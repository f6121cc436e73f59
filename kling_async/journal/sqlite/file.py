"""A journal's file while it is owned: checked before anything is written, and left as one plain file."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.paths import unusable_reason
from kling_async.journal.sqlite.connection import connect, journal_errors, reading
from kling_async.journal.sqlite.lease import prepare, take_from_members
from kling_async.journal.sqlite.ownership import (
    owned,
    owned_name,
    refuse_network,
    seen_by_leaders,
    shared_name,
    warn_of_network,
)
from kling_async.journal.sqlite.schema import bring_up_to_date, identify

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.sqlite.connection import Connection

_OLDEST = (3, 33)  # knows UPDATE … FROM
_WAL_IS_SAFE = (3, 51, 3)  # before, a rare race of writer and checkpoint could corrupt it (SQLite, "The WAL-Reset Bug")


def journal_mode(version: tuple[int, ...]) -> str:
    """Return the journal mode that is safe with this version of SQLite."""
    return "WAL" if version >= _WAL_IS_SAFE else "TRUNCATE"


@contextmanager
def owned_file(path: Path) -> Generator[Connection]:
    """Own a journal within the block, created or upgraded as needed; yields the connection that writes.

    Raises:
        JournalError: It is owned by another session, corrupt, of a newer version, or no journal; it was left as it was.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise JournalError(f"journal {path}: SQLite is {sqlite3.sqlite_version}; allowed: 3.33 or later")
    with journal_errors(path):
        _ensure_file(path)
        with owned(path) as file, _checked(path), closing(connect(path, "rw")) as connection:
            connection.check_unmoved(file)
            warn_of_network(path, file)
            _configure(connection)
            bring_up_to_date(connection, path)
            take_from_members(connection, seen_by_leaders(path))
            try:
                yield connection
            finally:
                _leave_wal(connection)


@contextmanager
def shared_file(path: Path) -> Generator[Connection]:
    """Share a journal within the block, created or upgraded as needed; yields a connection that writes.

    Whether it is corrupt is checked only while nobody leads: that reads the whole file, and holds up all who write.

    Raises:
        JournalError: As for `owned_file`; or the system has no locks that can be shared.
    """
    if sys.platform == "win32":
        raise JournalError(f"journal {path}: it cannot be shared on Windows, which has no locks that can be")
    with journal_errors(path):
        _ensure_file(path)
        with shared_name(path):
            with reading(path, as_owner=True) as connection:
                identify(connection, path)
            refuse_network(path)
            with closing(connect(path, "rw")) as connection:
                _configure(connection)
                bring_up_to_date(connection, path)
                prepare(connection)
                try:
                    yield connection
                finally:
                    _leave_wal(connection)


@contextmanager
def joined_file(path: Path) -> Generator[Connection]:
    """Open another connection that writes within the block, to a file that this process shares already.

    Raises:
        JournalError: It cannot be opened.
    """
    with journal_errors(path), closing(connect(path, "rw")) as connection:
        _configure(connection)
        yield connection


def _ensure_file(path: Path) -> None:
    """Create the file if there is none, unless no journal can be there."""
    reason = unusable_reason(path)
    if reason:
        raise JournalError(f"journal {reason}")
    if not path.exists():
        connect(path, "rwc").close()


@contextmanager
def _checked(path: Path) -> Generator[None]:
    """Identify the file before anything is written, also beside it, and then check that it is not corrupt."""
    with reading(path, as_owner=True) as connection:
        identify(connection, path)
    with owned_name(path):
        with reading(path, as_owner=True) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise JournalError(f"journal {path}: the file is corrupt: {verdict}")
        yield


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: an ordinary fsync leaves it in the drive's cache
    connection.execute(f"PRAGMA journal_mode = {journal_mode(sqlite3.sqlite_version_info)}")


def _leave_wal(connection: sqlite3.Connection) -> None:
    # A file at rest in WAL mode would make each of its readers create files beside it.
    with suppress(sqlite3.Error):  # another process is reading: the next to close the file does this
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")
