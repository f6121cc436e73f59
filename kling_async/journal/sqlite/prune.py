"""Making a journal's file smaller."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kling_async.journal.sql.prune import Pruned, prune
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
        drop_media = partial(_drop_media, connection)
        within = partial(transaction, connection)
        pruned = prune(connection, before, within, drop_media, forget_keys=forget_keys, is_shared=is_shared)
        if not is_shared:
            connection.execute("VACUUM")
        return pruned


def _drop_media(connection: sqlite3.Connection, used: set[str]) -> int:
    unused = [row for row in connection.execute("SELECT digest FROM media") if row[0] not in used]
    connection.executemany("DELETE FROM media WHERE digest = ?", unused)
    return len(unused)
