"""A journal's file while it is owned: opened with care, and left as one plain file."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.paths import strangeness
from kling_async.journal.sqlite.connection import connect, journal_errors, reading
from kling_async.journal.sqlite.ownership import own, own_name, warn_of_network
from kling_async.journal.sqlite.schema import bring_up_to_date, identify

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.sqlite.connection import Connection

__all__ = ["journal_mode", "owned_file"]

_OLDEST = (3, 33)  # knows UPDATE … FROM
_WAL_IS_SAFE = (3, 51, 3)  # before, a rare race of writer and checkpoint could corrupt it (SQLite, "The WAL-Reset Bug")


def journal_mode(version: tuple[int, ...]) -> str:
    """How this version of SQLite makes transactions whole."""
    return "WAL" if version >= _WAL_IS_SAFE else "TRUNCATE"


@contextmanager
def owned_file(path: Path) -> Generator[Connection]:
    """The one writing connection to a journal, made if there is none, brought up to date if it is older.

    Raises:
        JournalError: It is owned by somebody else, corrupt, of a newer version, or no journal; it was left as it was.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise JournalError(f"journal {path}: SQLite is {sqlite3.sqlite_version}; allowed: 3.33 or later")
    with journal_errors(path):
        _be_there(path)
        with own(path) as file, _checked(path), closing(connect(path, "rw")) as connection:
            connection.check_place(file)
            warn_of_network(path, file)
            _prepare(connection)
            bring_up_to_date(connection, path)
            try:
                yield connection
            finally:
                _tidy(connection)


def _be_there(path: Path) -> None:
    """Make sure that there is a file, and such a one as a journal may be."""
    strange = strangeness(path)
    if strange:
        raise JournalError(f"journal {strange}")
    if not path.exists():
        connect(path, "rwc").close()


@contextmanager
def _checked(path: Path) -> Generator[None]:
    """Look before anything is written, be it beside the file, and then look whether all of it is whole."""
    with reading(path, as_owner=True) as connection:
        identify(connection, path)
    with own_name(path):
        with reading(path, as_owner=True) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise JournalError(f"journal {path}: the file is corrupt: {verdict}")
        yield


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: an ordinary fsync leaves it in the drive's cache
    connection.execute(f"PRAGMA journal_mode = {journal_mode(sqlite3.sqlite_version_info)}")


def _tidy(connection: sqlite3.Connection) -> None:
    # A file at rest in WAL mode would make each of its readers create files beside it.
    with suppress(sqlite3.Error):  # somebody is reading: the next to close it does this
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")
