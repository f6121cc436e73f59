"""Making a journal's file smaller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kling_async.journal.sql.prune import Pruned, media_in_use, prune
from kling_async.journal.sqlite.connection import journal_errors, transaction
from kling_async.journal.sqlite.file import owned_file, shared_file
from kling_async.journal.sqlite.reader import SQLiteReader

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


def prune_file(path: Path, before: float, *, forget_keys: bool) -> Pruned:
    """Cut down what was over before this time; see `prune`. The file is made smaller if no sessions share it.

    Raises:
        JournalError: There is no journal, a session owns it, or it cannot be done.
    """
    is_shared = SQLiteReader(path).sharing(0.0) is not None
    with journal_errors(path), (shared_file if is_shared else owned_file)(path) as connection:
        drop_media = partial(drop_unused_media, connection, is_shared=is_shared)
        within = partial(transaction, connection)
        pruned = prune(connection, before, within, drop_media, forget_keys=forget_keys, is_shared=is_shared)
        if not is_shared:
            connection.execute("VACUUM")
        return pruned


def drop_unused_media(connection: sqlite3.Connection, *, is_shared: bool) -> int:
    """Remove the media that no job may still have to be sent with; others may write meanwhile if the file is shared."""
    stored = connection.execute("SELECT digest FROM media").fetchall()
    if not stored:
        return 0
    (last,) = connection.execute(f"SELECT max({'change' if is_shared else 'number'}) FROM jobs").fetchone()
    used = media_in_use(connection)
    with transaction(connection):
        if is_shared:  # what has come meanwhile
            used |= media_in_use(connection, f"change > {last or 0}")
        unused = [row for row in stored if row[0] not in used]
        connection.executemany("DELETE FROM media WHERE digest = ?", unused)
    return len(unused)
