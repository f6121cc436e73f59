"""How SQLite files are opened, read and changed here."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from threading import Event
from typing import TYPE_CHECKING, Literal

from kling_async.errors import JournalError
from kling_async.journal.sqlite.locks import identity_of, in_use, out_of_use
from kling_async.journal.sqlite.ownership import is_owned

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.sqlite.locks import Identity

__all__ = ["Connection", "connect", "journal_errors", "reading", "transaction"]

_PATIENCE = 10.0  # seconds to wait while another process has the file
_GLANCES = 500  # how often to look in that time


class Connection(sqlite3.Connection):
    """A connection whose file keeps its locks for as long as it is open."""

    _path: Path
    _file: Identity | None = None

    def holds(self, path: Path) -> None:
        """Take note of the file that was opened."""
        self._path, self._file = path, identity_of(path)
        in_use(self._file)

    def check_place(self, owned: Identity | None = None) -> None:
        """Make sure that the file is still where it was opened: SQLite finds by that name what a crash leaves undone.

        Args:
            owned: Which file it has to be.

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
        """Close it, which can be done again."""
        super().close()
        file, self._file = self._file, None
        if file is not None:
            out_of_use(file)


@contextmanager
def journal_errors(path: Path) -> Generator[None]:
    """Raise what SQLite and the file system raise as a `JournalError` that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"journal {path}: {error}") from error


def connect(path: Path, mode: Literal["ro", "rw", "rwc"], *, patience: float = _PATIENCE) -> Connection:
    """A connection to an absolute path, on which every statement is a transaction unless one is begun."""
    # A URI, for its mode; it also keeps a name like ":memory:" or "a?b" what it is: the name of a file.
    uri = f"{path.as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience, factory=Connection)
    try:
        connection.holds(path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(path: Path, *, as_owner: bool = False) -> Generator[sqlite3.Connection]:
    """Read one state of the file, whatever others write meanwhile; they can finish nothing until this ends.

    Nothing is changed, except that a file whose writer died amid a transaction is first put back into the state before
    it, as anybody must who opens such a file.

    Args:
        path: The file.
        as_owner: Whether the caller owns it.

    Raises:
        sqlite3.Error: It cannot be read.
        OSError: Likewise.
    """
    with closing(_snapshot(path, as_owner=as_owner)) as connection:
        yield connection


def _snapshot(path: Path, *, as_owner: bool) -> sqlite3.Connection:
    for _ in range(_GLANCES):
        try:
            return _begin_reading(connect(path, "ro"))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        # SQLite takes the writer for dead, as it has no lock; but one whose process has closed a descriptor of the file
        # has none either, and goes on writing.
        if as_owner or not is_owned(path):
            return _begin_reading(connect(path, "rw"))
        Event().wait(_PATIENCE / _GLANCES)
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
    """Write all that is written in the block, or none of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors end it themselves
            connection.execute("ROLLBACK")
        raise
