"""How SQLite files are opened, read and changed here."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Literal

from kling_async.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["connect", "journal_errors", "reading", "transaction"]

_PATIENCE = 10.0  # seconds to wait while another process has the file


@contextmanager
def journal_errors(path: Path) -> Generator[None]:
    """Raise what SQLite and the file system raise as a `JournalError` that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"journal {path}: {error}") from error


def connect(path: Path, mode: Literal["ro", "rw", "rwc"], *, patience: float = _PATIENCE) -> sqlite3.Connection:
    """A connection to an absolute path, on which every statement is a transaction unless one is begun."""
    # A URI, for its mode; it also keeps a name like ":memory:" or "a?b" what it is: the name of a file.
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=patience)


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """Read one state of the file, whatever others write meanwhile; they can finish nothing until this ends.

    Nothing is changed, except that a file whose writer died amid a transaction is first put back into the state before
    it, as anybody must who opens such a file.

    Raises:
        sqlite3.Error: It cannot be read.
    """
    connection = _snapshot(path)
    with closing(connection):
        yield connection


def _snapshot(path: Path) -> sqlite3.Connection:
    try:
        return _begin_reading(connect(path, "ro"))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
    return _begin_reading(connect(path, "rw"))


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
