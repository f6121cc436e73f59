"""The statements by which records are written to a journal's file and read from it."""

from __future__ import annotations

from collections import Counter
from itertools import chain, groupby
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.base import Record, State
from kling_async.journal.fingerprints import Fingerprints
from kling_async.journal.rows import CHANGING, COLUMNS, as_column, as_text, read_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kling_async.journal.rows import Row, Value

__all__ = ["by_generation", "by_key", "counts", "generations", "keys", "open_records", "page", "write"]

_PAGE = 250  # records read at once: some milliseconds' work

_OPEN = ", ".join(f"'{state.value}'" for state in State if not state.is_terminal)  # as the index of them has it

# Of the statements, the names of columns are the only parts that are not written here.
_SELECT = f"SELECT {', '.join(COLUMNS)}, number FROM jobs"  # noqa: S608 - see above
_RUNS = (32, 8, 1)  # rows in a statement: few enough for every SQLite's limit on parameters


def _insert(rows: int) -> str:
    names, values = ", ".join(COLUMNS), _values(len(COLUMNS), rows)
    excluded = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
    return f"INSERT INTO jobs ({names}) VALUES {values} ON CONFLICT (key) DO UPDATE SET {excluded}"  # noqa: S608 - see above


def _update(rows: int) -> str:
    names, values = ", ".join(("key", *CHANGING)), _values(1 + len(CHANGING), rows)
    newer = ", ".join(f"{name} = newer.{name}" for name in CHANGING)
    return f"WITH newer ({names}) AS (VALUES {values}) UPDATE jobs SET {newer} FROM newer WHERE jobs.key = newer.key"  # noqa: S608 - see above


def _values(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


_INSERTS = {rows: _insert(rows) for rows in _RUNS}
_UPDATES = {rows: _update(rows) for rows in _RUNS}


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows in their order; a job's first one decides its place in the order of jobs.

    Many go into one statement: between any two, this thread has to wait until the event loop's lets it go on.
    """
    for known, run in groupby(rows, lambda row: row.fixed is None):
        if known:
            newest = {row.key: (row.key, *row.changing) for row in run}
            _execute(connection, _UPDATES, list(newest.values()))
        else:
            jobs = list(run)
            for row in jobs:
                _keep(connection, row.media)
            _execute(connection, _INSERTS, [(*(row.fixed or ()), *row.changing) for row in jobs])


def _execute(connection: sqlite3.Connection, statements: Mapping[int, str], rows: Sequence[Sequence[Value]]) -> None:
    done = 0
    for size in _RUNS:
        while len(rows) - done >= size:
            connection.execute(statements[size], list(chain.from_iterable(rows[done : done + size])))
            done += size


def _keep(connection: sqlite3.Connection, media: Mapping[str, str]) -> None:
    for digest, text in media.items():
        # Looked for first: handing over megabytes to have them ignored takes as long as storing them.
        if connection.execute("SELECT 1 FROM media WHERE digest = ?", (digest,)).fetchone() is None:
            connection.execute("INSERT INTO media VALUES (?, ?)", (digest, as_column(text)))


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
    rows = connection.execute(f"{_SELECT} WHERE state IN ({_OPEN}) ORDER BY number").fetchall()
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
