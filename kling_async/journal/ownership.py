"""One owner at a time for a journal, among all sessions and processes of a machine.

The owner of ``batch.db`` holds a write transaction open on ``batch.db-owner``, a SQLite file in which it signed. The
operating system lets go of it when the process ends, however it ends, so nothing stale is left; the file itself stays,
since removing a lock's file can give it two holders. Those who only read the journal do not ask.
"""

from __future__ import annotations

import os
import platform
import secrets
import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.connections import connect, journal_errors

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["own"]

_PATIENCE = 2000  # milliseconds for those who are refused and look who was first


def own(path: Path) -> sqlite3.Connection:
    """Become the owner of the journal, until the returned connection is closed.

    Raises:
        JournalError: Another session is; the message says which.
    """
    side = path.with_name(f"{path.name}-owner")
    with journal_errors(side), ExitStack() as unless_held:
        connection = connect(side, "rwc", patience=0)
        unless_held.callback(connection.close)
        try:
            _hold(connection)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise JournalError(
                f"journal {path}: it is in use by {_owner(connection)}, and can have one owner at a time;"
                " close that session first, or read the journal with JournalReader"
            ) from None
        unless_held.pop_all()
        return connection


def _hold(connection: sqlite3.Connection) -> None:
    signature = secrets.token_hex(8)
    while True:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("BEGIN IMMEDIATE")
        if _signature(connection) == signature:
            return
        # What is not committed nobody can read; between this commit and the next BEGIN somebody else may be first.
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        _sign(connection, signature)
        connection.execute("COMMIT")


def _sign(connection: sqlite3.Connection, signature: str) -> None:
    connection.execute("DROP TABLE IF EXISTS owner")
    connection.execute("CREATE TABLE owner (signature TEXT, pid INTEGER, host TEXT, since TEXT)")
    statement = "INSERT INTO owner VALUES (?, ?, ?, strftime('%Y-%m-%d %H:%M:%S UTC', 'now'))"
    connection.execute(statement, (signature, os.getpid(), platform.node()))


def _signature(connection: sqlite3.Connection) -> str | None:
    try:
        (signature,) = connection.execute("SELECT signature FROM owner").fetchone()
    except (sqlite3.OperationalError, TypeError):  # nobody has signed yet
        return None
    return str(signature)


def _owner(connection: sqlite3.Connection) -> str:
    try:
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        pid, host, since = connection.execute("SELECT pid, host, since FROM owner").fetchone()
    except (sqlite3.OperationalError, TypeError):  # it has not signed yet
        return "another process"
    return f"process {pid} on {host} since {since}"
