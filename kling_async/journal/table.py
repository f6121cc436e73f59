"""The statements by which records are written to a journal's file and read from it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.base import Record, State
from kling_async.journal.fingerprints import Fingerprints
from kling_async.journal.rows import CHANGING, COLUMNS, as_column, as_text, read_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from kling_async.journal.rows import Row

__all__ = ["by_generation", "by_key", "counts", "generations", "keys", "open_records", "page", "write"]

_PAGE = 250  # records read at once: some milliseconds' work

_OPEN = tuple(state.value for state in State if not state.is_terminal)

# Of the statements, the names of columns are the only parts that are not written here.
_SELECT = f"SELECT {', '.join(COLUMNS)}, number FROM jobs"  # noqa: S608 - see above
_INSERT = f"""
    INSERT INTO jobs ({", ".join(COLUMNS)}) VALUES ({", ".join("?" * len(COLUMNS))})
    ON CONFLICT (key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
"""  # noqa: S608 - see above
_UPDATE = f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE key = ?"  # noqa: S608 - see above


def write(connection: sqlite3.Connection, row: Row) -> None:
    """Write a row; a job's first one decides its place in the order."""
    for digest, text in row.media.items():
        # Looked for first: handing over megabytes to have them ignored takes as long as storing them.
        if connection.execute("SELECT 1 FROM media WHERE digest = ?", (digest,)).fetchone() is None:
            connection.execute("INSERT INTO media VALUES (?, ?)", (digest, as_column(text)))
    if row.fixed is None:
        connection.execute(_UPDATE, (*row.changing, row.key))
    else:
        connection.execute(_INSERT, row.fixed + row.changing)


def by_key(connection: sqlite3.Connection, key: str) -> Record | None:
    """The record under this key.

    Raises:
        JournalError: It is unreadable. So it is with all that read records.
    """
    rows = connection.execute(f"{_SELECT} WHERE key = ?", (as_column(key),)).fetchall()
    return next(_records(connection, rows), None)


def by_generation(connection: sqlite3.Connection, generation_id: str) -> Record | None:
    """The newest record of this generation."""
    condition = "WHERE generation_id = ? ORDER BY number DESC LIMIT 1"
    rows = connection.execute(f"{_SELECT} {condition}", (as_column(generation_id),)).fetchall()
    return next(_records(connection, rows), None)


def open_records(connection: sqlite3.Connection) -> list[Record]:
    """The records that are not terminal, in the order in which they were queued."""
    rows = connection.execute(f"{_SELECT} WHERE state IN (?, ?, ?, ?) ORDER BY number", _OPEN).fetchall()
    return list(_records(connection, rows))


def page(connection: sqlite3.Connection, after: int) -> tuple[list[Record], int]:
    """The next records after this place in the order, and the place of the last of them; none at the end."""
    rows = connection.execute(f"{_SELECT} WHERE number > ? ORDER BY number LIMIT {_PAGE}", (after,)).fetchall()
    return list(_records(connection, rows)), (rows[-1][-1] if rows else after)


def counts(connection: sqlite3.Connection) -> Counter[State]:
    """How many jobs are in each state."""
    found: Counter[State] = Counter()
    for name, count in connection.execute("SELECT state, count(*) FROM jobs GROUP BY state"):
        try:
            found[State(name)] = count
        except ValueError:
            raise JournalError(f"{count} records are in a state that does not exist: {name!r}") from None
    return found


def keys(connection: sqlite3.Connection) -> Fingerprints:
    """Which keys there are."""
    return Fingerprints(as_text(key) for (key,) in connection.execute("SELECT key FROM jobs"))


def generations(connection: sqlite3.Connection) -> Fingerprints:
    """Which generations there are."""
    rows = connection.execute("SELECT generation_id FROM jobs WHERE generation_id IS NOT NULL")
    return Fingerprints(as_text(generation_id) for (generation_id,) in rows)


def _records(connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> Iterator[Record]:
    media: dict[str, str] = {}  # records that share media share the text, too

    def fetch(digest: str) -> str:
        if digest not in media:
            row = connection.execute("SELECT content FROM media WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                raise LookupError(f"the media it refers to, {digest}, is missing")
            media[digest] = as_text(row[0])
        return media[digest]

    return (read_row(row[:-1], fetch) for row in rows)
