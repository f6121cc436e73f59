"""What a shared file has beside its jobs: the lease, members, instructions and late answers; and the statements."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from kling_async.errors import JournalError
from kling_async.journal.shared import (
    Entry,
    Fenced,
    Instruction,
    LateAnswer,
    Lease,
    Member,
    Sharing,
    Token,
    read_choices,
    write_choices,
)
from kling_async.journal.sql.rows import COLUMNS, as_column, as_text, read_error, write_error
from kling_async.journal.sqlite.connection import transaction
from kling_async.journal.sqlite.schema import STEPS, version_of
from kling_async.journal.sqlite.statements import NAMES, OPEN, insert_media, records_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Generator, Iterable, Sequence

    from kling_async.errors import KlingError
    from kling_async.journal.base import Choices, Record
    from kling_async.journal.sql.rows import Row, Value

_PAGE = 250  # rows read at once: some milliseconds' work
_MEMBER_LIVES = 60.0  # seconds after it was seen last for which a member is counted

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS lease (
        number INTEGER PRIMARY KEY CHECK (number = 1),
        term INTEGER NOT NULL,
        holder TEXT NOT NULL,    -- random; empty if nobody leads
        owner TEXT NOT NULL,     -- for people
        since REAL NOT NULL,     -- by the members' common clock, as is the next
        renewed REAL NOT NULL,
        length REAL NOT NULL,    -- seconds
        day REAL NOT NULL,       -- when it was renewed by SQLite's clock, for sessions that do not share
        crashes INTEGER NOT NULL,
        stats TEXT NOT NULL
    )
    """,
    "INSERT OR IGNORE INTO lease VALUES (1, 0, '', '', 0, 0, 0, 0, 0, '')",
    """
    CREATE TABLE IF NOT EXISTS members (
        name TEXT PRIMARY KEY, owner TEXT NOT NULL, seen REAL NOT NULL, limits TEXT NOT NULL, account TEXT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS instructions (
        number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL, data TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS late_answers (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        generation_id TEXT,
        kept INTEGER NOT NULL DEFAULT 0  -- 1 for one that was acted on, which people should know of
    )
    """,
)
_COLUMNS = (
    "change INTEGER NOT NULL DEFAULT 0",  # the number of the transaction that wrote the row last
    "parked TEXT",  # JSON
    "choices TEXT",  # JSON
)
_MORE = "parked, choices, number, change FROM jobs"
_ENTRY = f"SELECT {', '.join(NAMES)}, {_MORE}"
_CHANGED = f"SELECT NULL, {', '.join(NAMES[1:])}, {_MORE}"  # without the first, the request


def prepare(connection: sqlite3.Connection) -> None:
    """Create what only a shared file has, unless it is there; the jobs' own schema stays as it is."""
    with transaction(connection):
        for statement in _TABLES:
            connection.execute(statement)
        known = {name for (_, name, *_) in connection.execute("PRAGMA table_info(jobs)")}
        for column in _COLUMNS:
            if column.split()[0] not in known:
                connection.execute(f"ALTER TABLE jobs ADD COLUMN {column}")
        connection.execute("CREATE INDEX IF NOT EXISTS jobs_by_change ON jobs (change, number)")


def take_from_members(connection: sqlite3.Connection) -> None:
    """Take the lease of a file that was shared, for an owner that shares it with nobody, so that no member writes.

    Raises:
        JournalError: A member leads, under another name of the file.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone() is None:
        return
    with transaction(connection):
        is_led = "holder <> '' AND (julianday('now') - day) * 86400 BETWEEN 0 AND length"
        if connection.execute(f"SELECT 1 FROM lease WHERE {is_led}").fetchone() is not None:  # noqa: S608 - a constant
            raise JournalError("it is shared by other sessions; open it with shared=True, as they do")
        connection.execute("UPDATE lease SET term = term + 1, holder = ''")


# The lease


def read_lease(connection: sqlite3.Connection, now: float) -> Lease:
    """Return who leads.

    Raises:
        JournalError: The file is of a newer version by now.
    """
    if version_of(connection) > len(STEPS):
        raise JournalError("a newer version of kling_async has upgraded it; go on with that one")
    living = "SELECT owner, limits FROM members WHERE seen BETWEEN ? AND ?"
    members = [Member(owner, limits) for owner, limits in connection.execute(living, (now - _MEMBER_LIVES, now))]
    term, holder, owner, since, renewed, length, crashes, stats = connection.execute(
        "SELECT term, holder, owner, since, renewed, length, crashes, stats FROM lease"
    ).fetchone()
    return Lease(Token(term, holder), owner, since, renewed, length, crashes, members, stats)


def take(connection: sqlite3.Connection, holder: str, owner: str, now: float, length: float) -> Token | None:
    """Take the lease if it is free."""
    if not read_lease(connection, now).may_be_taken(now):  # the usual case, without a write
        return None
    with transaction(connection):
        lease = read_lease(connection, now)
        if not lease.may_be_taken(now):
            return None
        token = Token(lease.token.term + 1, holder)
        connection.execute(
            "UPDATE lease SET term = ?, holder = ?, owner = ?, since = ?, renewed = ?, length = ?,"
            " day = julianday('now'), stats = ''",
            (token.term, token.holder, owner, now, now, length),
        )
        return token


def renew(connection: sqlite3.Connection, token: Token, now: float, stats: str) -> bool:
    """Renew the lease, if this token has it."""
    with transaction(connection):
        found = connection.execute(
            "UPDATE lease SET renewed = max(renewed, ?), day = julianday('now'), stats = ?"
            " WHERE term = ? AND holder = ?",
            (now, stats, token.term, token.holder),
        )
        return found.rowcount == 1


def release(connection: sqlite3.Connection, token: Token, *, crashed: bool) -> None:
    """Let go of the lease, if this token has it."""
    with transaction(connection):
        connection.execute(
            "UPDATE lease SET holder = '', crashes = CASE WHEN ? THEN crashes + 1 ELSE 0 END"
            " WHERE term = ? AND holder = ?",
            (crashed, token.term, token.holder),
        )


@contextmanager
def fenced(connection: sqlite3.Connection, token: Token) -> Generator[None]:
    """Write in one transaction within the block, if this token has the lease.

    Raises:
        Fenced: It has not; the block is not entered.
    """
    with transaction(connection):
        condition = "term = ? AND holder = ?"
        if connection.execute(f"SELECT 1 FROM lease WHERE {condition}", (token.term, token.holder)).fetchone() is None:  # noqa: S608 - a constant
            raise Fenced
        yield


# Members


def see_member(
    connection: sqlite3.Connection, name: str, owner: str, now: float, limits: str, account: str | None
) -> None:
    """Take note that a member lives, of its limits, and of the account that it uses, if that is known.

    Raises:
        JournalError: Another one that lives uses another account.
    """
    others = "SELECT owner, account FROM members WHERE account <> ? AND name <> ? AND seen BETWEEN ? AND ?"
    with transaction(connection):
        other = connection.execute(others, (account, name, now - _MEMBER_LIVES, now)).fetchone()
        if other is not None:
            raise JournalError(f"{other[0]} shares it with {other[1]}, and this session would with {account}")
        connection.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)", (name, owner, now, limits, account))


def is_due(connection: sqlite3.Connection, name: str, now: float) -> bool:
    """Return whether it is time to note again that a member lives."""
    row = connection.execute("SELECT seen FROM members WHERE name = ?", (name,)).fetchone()
    return row is None or not 0 <= now - row[0] < _MEMBER_LIVES / 3


def drop_member(connection: sqlite3.Connection, name: str) -> None:
    """Take note that a member has left."""
    connection.execute("DELETE FROM members WHERE name = ?", (name,))


# Jobs


def insert(connection: sqlite3.Connection, row: Row, choices: Choices) -> Entry | None:
    """Insert a job unless its key has one; return that one. To be called within a transaction."""
    assert row.fixed is not None  # noqa: S101 - nothing was written of it before
    given = (*row.fixed, *row.changing, write_choices(choices), next_change(connection))
    names, values = ", ".join((*NAMES, "choices", "change")), ", ".join("?" * len(given))
    statement = f"INSERT INTO jobs ({names}) VALUES ({values}) ON CONFLICT (key) DO NOTHING"  # noqa: S608 - names of columns alone
    if connection.execute(statement, given).rowcount == 1:
        insert_media(connection, row.media)
        return None
    return by_key(connection, row.key)


def next_change(connection: sqlite3.Connection) -> int:
    """Return the number of this transaction: one more than any before. To be called within a transaction."""
    (last,) = connection.execute("SELECT max(change) FROM jobs").fetchone()
    return (last or 0) + 1


def mark_changed(connection: sqlite3.Connection, keys: Iterable[object], change: int) -> None:
    """Have members see rows that were written in this transaction, as jobs that somebody works on."""
    connection.executemany("UPDATE jobs SET change = ?, parked = NULL WHERE key = ?", ((change, key) for key in keys))


def park(connection: sqlite3.Connection, key: str, error: KlingError) -> None:
    """Keep a job from being worked on. To be called within a transaction."""
    given = (next_change(connection), write_error(error), as_column(key))
    connection.execute(f"UPDATE jobs SET change = ?, parked = ? WHERE key = ? AND state IN ({OPEN})", given)  # noqa: S608 - a constant


def _entries(connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> list[Entry]:
    found: list[Entry] = []
    for row, record in zip(rows, records_of(connection, rows), strict=True):
        parked, choices, _, change = row[len(COLUMNS) :]
        found.append(
            Entry(
                record,
                read_error(str(parked)) if parked is not None and not record.state.is_terminal else None,
                read_choices(cast("str | None", choices)),
                int(str(change)),
            )
        )
    return found


def by_key(connection: sqlite3.Connection, key: Value) -> Entry | None:
    """Return the job under this key, which is given as a column has it."""
    return next(iter(_entries(connection, _select(connection, "key = ?", key))), None)


def by_generation(connection: sqlite3.Connection, generation_id: str) -> Entry | None:
    """Return the job of this generation."""
    return next(iter(_entries(connection, _select(connection, "generation_id = ?", as_column(generation_id)))), None)


def _select(connection: sqlite3.Connection, condition: str, *given: object) -> list[Sequence[object]]:
    return connection.execute(f"{_ENTRY} WHERE {condition} ORDER BY number", given).fetchall()


def led(connection: sqlite3.Connection) -> tuple[list[Entry], int]:
    """Return the open jobs that are not parked, in the order they were queued, and the number of the newest job."""
    newest = newest_job(connection)  # first: others may insert more meanwhile
    rows = _select(connection, f"state IN ({OPEN}) AND parked IS NULL AND number <= ?", newest)
    return _entries(connection, rows), newest


def parked(connection: sqlite3.Connection) -> list[Record]:
    """Return the queued jobs that are parked."""
    return [
        entry.record for entry in _entries(connection, _select(connection, "state = 'queued' AND parked IS NOT NULL"))
    ]


def all_choices(connection: sqlite3.Connection) -> dict[str, Choices]:
    """Return what the callers of open jobs chose, parked ones included, where it is not the usual."""
    statement = f"SELECT key, choices FROM jobs WHERE state IN ({OPEN}) AND choices IS NOT NULL"  # noqa: S608 - a constant
    return {as_text(key): read_choices(choices) for key, choices in connection.execute(statement)}


def newest_job(connection: sqlite3.Connection) -> int:
    """Return the number of the job that was inserted last; 0 without any."""
    (number,) = connection.execute("SELECT max(number) FROM jobs").fetchone()
    return number or 0


def inserted(connection: sqlite3.Connection, after: int) -> tuple[list[Entry], int]:
    """Return jobs that were inserted after the one of this number, and the number to go on after."""
    newest = min(after + _PAGE, newest_job(connection))  # first: others may insert more meanwhile
    condition = f"number > ? AND number <= ? AND state IN ({OPEN}) AND parked IS NULL"
    return _entries(connection, _select(connection, condition, after, newest)), newest


Place = tuple[int, int]
"""A place among the changes: the number of the transaction, and that of the job."""


def last_place(connection: sqlite3.Connection) -> Place:
    """Return the place of the newest change."""
    found = connection.execute("SELECT change, number FROM jobs ORDER BY change DESC, number DESC LIMIT 1").fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def changes(connection: sqlite3.Connection, place: Place, wanted: Container[str]) -> tuple[list[Entry], Place]:
    """Return the wanted jobs that have changed after this place, and the place of the newest change.

    Pages are read each by itself, so that nobody who writes waits for long.
    """
    found: list[Entry] = []
    while True:
        page = connection.execute(
            "SELECT change, number, key FROM jobs WHERE (change, number) > (?, ?) ORDER BY change, number LIMIT ?",
            (*place, _PAGE),
        ).fetchall()
        numbers = [number for _, number, key in page if as_text(key) in wanted]
        if numbers:
            chosen = f"number IN ({', '.join('?' * len(numbers))})"
            rows = connection.execute(f"{_CHANGED} WHERE {chosen} ORDER BY change, number", numbers).fetchall()
            found += _entries(connection, rows)
        if page:
            place = page[-1][:2]
        if len(page) < _PAGE:
            return found, place


# Instructions and late answers


def instruct(connection: sqlite3.Connection, instruction: Instruction) -> None:
    """Leave an instruction."""
    given = (instruction.kind, as_column(instruction.key), json.dumps(dict(instruction.data)))
    connection.execute("INSERT INTO instructions (kind, key, data) VALUES (?, ?, ?)", given)


def instructions(connection: sqlite3.Connection) -> list[Instruction]:
    """Return the oldest instructions."""
    rows = connection.execute(f"SELECT kind, key, data, number FROM instructions ORDER BY number LIMIT {_PAGE}")  # noqa: S608 - a constant
    return [Instruction(kind, as_text(key), json.loads(data), number) for kind, key, data, number in rows]


def add_late(connection: sqlite3.Connection, late: LateAnswer) -> None:
    """Keep a late answer; nothing fences it."""
    given = (as_column(late.key), late.name, None if late.generation_id is None else as_column(late.generation_id))
    connection.execute("INSERT INTO late_answers (key, name, generation_id) VALUES (?, ?, ?)", given)


def late_answers(connection: sqlite3.Connection, *, kept: bool = False) -> list[LateAnswer]:
    """Return the oldest late answers that were not acted on, or those that are kept for people."""
    rows = connection.execute(
        "SELECT key, name, generation_id, number FROM late_answers WHERE kept = ? ORDER BY number LIMIT ?",
        (kept, _PAGE),
    )
    return [
        LateAnswer(as_text(key), name, None if found is None else as_text(found), number)
        for key, name, found, number in rows
    ]


def sharing(connection: sqlite3.Connection, now: float) -> Sharing | None:
    """Return how a file is shared; None if it never was."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone() is None:
        return None
    parked = f"SELECT parked FROM jobs WHERE state IN ({OPEN}) AND parked IS NOT NULL"  # noqa: S608 - a constant
    reasons = Counter(type(read_error(text)).__name__ for (text,) in connection.execute(parked))
    waiting = "SELECT count(*) FROM late_answers WHERE NOT kept"
    (undone,) = connection.execute(f"SELECT (SELECT count(*) FROM instructions) + ({waiting})").fetchone()  # noqa: S608 - a constant
    return Sharing(read_lease(connection, now), reasons, undone, late_answers(connection, kept=True))


def settle(connection: sqlite3.Connection, item: Instruction | LateAnswer, *, keep: bool) -> None:
    """Drop what was acted on, or keep a late answer for people alone."""
    what = "DELETE FROM instructions" if isinstance(item, Instruction) else "DELETE FROM late_answers"
    connection.execute(f"{'UPDATE late_answers SET kept = 1' if keep else what} WHERE number = ?", (item.number,))  # noqa: S608 - constants
