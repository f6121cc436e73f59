"""The statements by which records are written to a journal's file."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING

from kling_async.journal.sql.queries import NAMES, newest
from kling_async.journal.sql.rows import CHANGING, COLUMNS, as_column
from kling_async.journal.sqlite.connection import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kling_async.journal.media import Content
    from kling_async.journal.sql.rows import Row, Value

_BATCH_SIZES = (1, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # rows in a statement; SQLite limits its parameters
_MAX_BATCH = _BATCH_SIZES[-1]


def _insert(rows: int) -> str:
    names, values = ", ".join(NAMES), _values(len(COLUMNS), rows)
    excluded = ", ".join(f"{name} = excluded.{name}" for name in NAMES)
    return f"INSERT INTO jobs ({names}) VALUES {values} ON CONFLICT (key) DO UPDATE SET {excluded}"


def _update(rows: int) -> str:
    names, values = ", ".join(("key", *CHANGING)), _values(1 + len(CHANGING), rows)
    newer = ", ".join(f"{name} = newer.{name}" for name in CHANGING)
    return f"WITH newer ({names}) AS (VALUES {values}) UPDATE jobs SET {newer} FROM newer WHERE jobs.key = newer.key"


def _values(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


_INSERTS = {rows: _insert(rows) for rows in _BATCH_SIZES}
_UPDATES = {rows: _update(rows) for rows in _BATCH_SIZES}


def write(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write rows in their order, all or none; a job's first one decides its place in the order of jobs.

    It takes few statements, mostly a single one, which is a transaction of its own: after each, this thread has to get
    the interpreter lock back from the event loop's.
    """
    jobs = newest(rows)
    media = {digest: text for row in jobs for digest, text in row.media.items()}
    new = [(*row.fixed, *row.changing) for row in jobs if row.fixed is not None]
    known = [(row.key, *row.changing) for row in jobs if row.fixed is None]
    statements = [*_batches(_INSERTS, new), *_batches(_UPDATES, known)]
    is_one = connection.in_transaction or not (media or len(statements) > 1)
    with nullcontext() if is_one else transaction(connection):
        insert_media(connection, media)
        for statement, values in statements:
            connection.execute(statement, values)


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


def save_learned(connection: sqlite3.Connection, text: str) -> None:
    """Save a text in place of the one before."""
    connection.execute("INSERT OR REPLACE INTO learned (number, content) VALUES (1, ?)", (text,))
