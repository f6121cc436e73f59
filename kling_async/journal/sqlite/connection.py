"""Connections to a journal's SQLite file: consistent reads, whole transactions, errors of the journal's own."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Literal

from kling_async.errors import JournalError
from kling_async.journal.sqlite.locks import identity_of, register_connection, unregister_connection
from kling_async.journal.sqlite.ownership import is_owned

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.sqlite.locks import Identity

_BUSY_TIMEOUT = 10.0  # seconds to wait while another process has the file
_ATTEMPTS = 500  # to read, in that time


class Connection(sqlite3.Connection):
    """A connection whose file keeps its locks for as long as it is open."""

    _path: Path
    _file: Identity | None = None

    def register(self, path: Path) -> None:
        """Remember which file was opened, and keep its locks."""
        self._path, self._file = path, identity_of(path)
        register_connection(self._file)

    def check_unmoved(self, owned: Identity | None = None) -> None:
        """Make sure that the file is still where it was opened: SQLite finds by its name what a crash leaves half done.

        Args:
            owned: The identity the file has to have; None for the one it had when it was opened.

        Raises:
            JournalError: It is not.
        """
        try:
            is_there = identity_of(self._path) == self._file == (owned or self._file)
        except OSError:
            is_there = False
        if not is_there:
            raise JournalError("the file was moved, removed or replaced while in use; put it back to go on")

    def close(self) -> None:
        """Close it; may be called again."""
        super().close()
        file, self._file = self._file, None
        if file is not None:
            unregister_connection(file)


@contextmanager
def journal_errors(path: Path) -> Generator[None]:
    """Turn errors of SQLite and the file system into a `JournalError` that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"journal {path}: {error}") from error


def connect(path: Path, mode: Literal["ro", "rw", "rwc"], *, timeout: float = _BUSY_TIMEOUT) -> Connection:
    """Open an absolute path; every statement is a transaction of its own unless one is begun."""
    # A URI, for its mode; it also keeps a name like ":memory:" or "a?b" what it is: the name of a file.
    uri = f"{path.as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout, factory=Connection)
    try:
        connection.register(path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(path: Path, *, as_owner: bool = False) -> Generator[sqlite3.Connection]:
    """Read one consistent state of the file within the block; writers cannot commit meanwhile.

    Nothing is changed, except that a transaction whose writer died amid it is rolled back first.

    Args:
        path: The file.
        as_owner: True if the caller owns it.

    Raises:
        sqlite3.Error: It cannot be read.
        OSError: Likewise.
    """
    with closing(_snapshot(path, as_owner=as_owner)) as connection:
        yield connection


def _snapshot(path: Path, *, as_owner: bool) -> sqlite3.Connection:
    for _ in range(_ATTEMPTS):
        try:
            return _begin_reading(connect(path, "ro"))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # SQLite takes the writer for dead, as it has no lock; but one whose process has closed a descriptor of the file
        # has none either, and goes on writing.
        if as_owner or not is_owned(path):
            return _begin_reading(connect(path, "rw"))
        Event().wait(_BUSY_TIMEOUT / _ATTEMPTS)
    raise sqlite3.OperationalError("its owner does not finish what it is writing")


def _begin_reading(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # the state is that of the first look
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commit what the block writes, or roll all of it back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors end it themselves
            connection.execute("ROLLBACK")
        raise
