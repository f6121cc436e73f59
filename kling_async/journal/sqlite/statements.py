"""The statements by which records are written to a journal's file and read from it."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.base import JobState, Record
from kling_async.journal.sql.rows import CHANGING, COLUMNS, Row, as_column, as_text, read_row
from kling_async.journal.sql.unflushed import HashedKeySet
from kling_async.journal.sqlite.connection import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from kling_async.journal.media import Content
    from kling_async.journal.sql.rows import Value

_PAGE = 250  # records read at once: some milliseconds' work

OPEN = ", ".join(f"'{state.value}'" for state in JobState if not state.is_terminal)  # as the index of them has it

# Only names of columns are put into statements, never values.
NAMES = tuple(f'"{name}"' for name in COLUMNS)  # one of them is a word of SQL
_SELECT = f"SELECT {', '.join(NAMES)}, number FROM jobs"  # noqa: S608 - names of columns alone
_BATCH_SIZES = (1, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # rows in a statement; SQLite limits its parameters
_MAX_BATCH = _BATCH_SIZES[-1]


def _insert(rows: int) -> str:
    names, values = ", ".join(NAMES), _values(len(COLUMNS), rows)
    excluded = ", ".join(f"{name} = excluded.{name}" for name in NAMES)
    return f"INSERT INTO jobs ({names}) VALUES {values} ON CONFLICT (key) DO UPDATE SET {excluded}"  # noqa: S608 - names of columns alone


def _update(rows: int) -> str:
    names, values = ", ".join(("key", *CHANGING)), _values(1 + len(CHANGING), rows)
    newer = ", ".join(f"{name} = newer.{name}" for name in CHANGING)
    return f"WITH newer ({names}) AS (VALUES {values}) UPDATE jobs SET {newer} FROM newer WHERE jobs.key = newer.key"  # noqa: S608 - names of columns alone


def _values(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


_INSERTS = {rows: _insert(rows) for rows in _BATCH_SIZES}
_UPDATES = {rows: _update(rows) for rows in _BATCH_SIZES}


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows in their order, all or none; a job's first one decides its place in the order of jobs.

    It takes few statements, mostly a single one, which is a transaction of its own: after each, this thread has to get
    the interpreter lock back from the event loop's.
    """
    jobs = _newest(rows)
    media = {digest: text for row in jobs for digest, text in row.media.items()}
    new = [(*row.fixed, *row.changing) for row in jobs if row.fixed is not None]
    known = [(row.key, *row.changing) for row in jobs if row.fixed is None]
    statements = [*_batches(_INSERTS, new), *_batches(_UPDATES, known)]
    is_one = connection.in_transaction or not (media or len(statements) > 1)
    with nullcontext() if is_one else transaction(connection):
        insert_media(connection, media)
        for statement, values in statements:
            connection.execute(statement, values)


def _newest(rows: Iterable[Row]) -> Collection[Row]:
    """Merge the rows of each job into its last, with the fixed columns of earlier ones, in the order of the first."""
    newest: dict[Value, Row] = {}
    for row in rows:
        before = newest.get(row.key)
        if before is None or row.fixed is not None:
            newest[row.key] = row
        else:
            newest[row.key] = Row(row.key, before.fixed, row.changing, before.media)
    return newest.values()


def _batches(statements: Mapping[int, str], rows: Sequence[Sequence[Value]]) -> Iterator[tuple[str, Sequence[Value]]]:
    """Yield the statements that write these rows, with their values."""
    for start in range(0, len(rows), _MAX_BATCH):
        run = rows[start : start + _MAX_BATCH]
        size = next(size for size in _BATCH_SIZES if size >= len(run))
        # The last row fills the run: to write it twice is quicker than to prepare a statement for each length.
        yield statements[size], list(chain(*run, *[run[-1]] * (size - len(run))))


def insert_media(connection: sqlite3.Connection, media: Mapping[str, Content]) -> None:
    """Store media by their digests, unless they are."""
    for digest, content in media.items():
        # Looked for first: handing over megabytes to have them ignored takes as long as storing them.
        if connection.execute("SELECT 1 FROM media WHERE digest = ?", (digest,)).fetchone() is None:
            kept = content if isinstance(content, bytes) else as_column(content)
            connection.execute("INSERT INTO media VALUES (?, ?)", (digest, kept))


def by_key(connection: sqlite3.Connection, key: str) -> Record | None:
    """Return the record under this key.

    Raises:
        JournalError: It is damaged. All functions that read records raise this.
    """
    rows = connection.execute(f"{_SELECT} WHERE key = ?", (as_column(key),)).fetchall()
    return next(records_of(connection, rows), None)


def by_generation(connection: sqlite3.Connection, generation_id: str) -> Record | None:
    """Return the newest record of this generation."""
    condition = "WHERE generation_id = ? ORDER BY number DESC LIMIT 1"
    rows = connection.execute(f"{_SELECT} {condition}", (as_column(generation_id),)).fetchall()
    return next(records_of(connection, rows), None)


def open_records(connection: sqlite3.Connection) -> list[Record]:
    """Return the records that are not terminal, in the order in which they were queued."""
    rows = connection.execute(f"{_SELECT} WHERE state IN ({OPEN}) ORDER BY number").fetchall()
    return list(records_of(connection, rows))


def page(connection: sqlite3.Connection, after: int) -> tuple[list[Record], int]:
    """Return up to 250 records after this place in the order, and the last one's place; none at the end."""
    rows = connection.execute(f"{_SELECT} WHERE number > ? ORDER BY number LIMIT {_PAGE}", (after,)).fetchall()
    return list(records_of(connection, rows)), (rows[-1][-1] if rows else after)


def counts(connection: sqlite3.Connection) -> Counter[JobState]:
    """Count the jobs in each state."""
    found: Counter[JobState] = Counter()
    for name, count in connection.execute("SELECT state, count(*) FROM jobs GROUP BY state"):
        try:
            found[JobState(name)] = count
        except ValueError:
            raise JournalError(f"{count} records are in a state that does not exist: {name!r}") from None
    return found


def keys(connection: sqlite3.Connection) -> HashedKeySet:
    """Return the keys of all jobs."""
    return HashedKeySet(as_text(key) for (key,) in connection.execute("SELECT key FROM jobs"))


def generations(connection: sqlite3.Connection) -> HashedKeySet:
    """Return the generation ids of all jobs."""
    rows = connection.execute("SELECT generation_id FROM jobs WHERE generation_id IS NOT NULL")
    return HashedKeySet(as_text(generation_id) for (generation_id,) in rows)


def load_learned(connection: sqlite3.Connection) -> str | None:
    """Return the text that was last saved; None if none ever was."""
    row = connection.execute("SELECT content FROM learned").fetchone()
    return None if row is None else str(row[0])


def save_learned(connection: sqlite3.Connection, text: str) -> None:
    """Save a text in place of the one before."""
    connection.execute("INSERT OR REPLACE INTO learned (number, content) VALUES (1, ?)", (text,))


def records_of(connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> Iterator[Record]:
    """Read rows as records; columns after ``COLUMNS`` are ignored."""
    media: dict[str, Content] = {}  # records that share media share the object, too

    def fetch(digest: str) -> Content:
        if digest not in media:
            row = connection.execute("SELECT content FROM media WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                raise LookupError(f"the media it refers to, {digest}, is missing")
            media[digest] = row[0]
        return media[digest]

    return (read_row(row[: len(COLUMNS)], fetch) for row in rows)
