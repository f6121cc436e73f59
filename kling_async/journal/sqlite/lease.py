"""What a shared file has beside its jobs: the lease, members, instructions and late answers; and the statements."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.shared import Fenced, Instruction, Lease, Member, Token, write_choices
from kling_async.journal.sql import queries
from kling_async.journal.sql.rows import Row, as_column, write_error
from kling_async.journal.sql.tables import Learned, Parking, Settling, Trusting
from kling_async.journal.sqlite.connection import transaction
from kling_async.journal.sqlite.schema import STEPS, version_of
from kling_async.journal.sqlite.statements import insert_media, save_learned, write

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterable, Sequence

    from kling_async.journal.shared import Entry, LateAnswer, Sharing
    from kling_async.journal.sql.tables import Insertion, OfLeader, OfMember
    from kling_async.journal.sqlite.connection import Connection

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
        stats TEXT NOT NULL,
        lock INTEGER NOT NULL    -- see `LeaderLock`
    )
    """,
    """
    INSERT OR IGNORE INTO lease (number, term, holder, owner, since, renewed, length, day, crashes, stats, lock)
    VALUES (1, 0, '', '', 0, 0, 0, 0, 0, '', 0)
    """,
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
    "jobs ADD COLUMN change INTEGER NOT NULL DEFAULT 0",  # the number of the transaction that wrote the row last
    "jobs ADD COLUMN parked TEXT",  # JSON
    "jobs ADD COLUMN choices TEXT",  # JSON
    "lease ADD COLUMN lost_at REAL",  # when commits were found to be lost, in seconds since the epoch
    "lease ADD COLUMN least_change INTEGER NOT NULL DEFAULT 0",  # the number that changes began after then
)
_NOW = "(julianday('now') - 2440587.5) * 86400"  # in seconds since the epoch


def prepare(connection: sqlite3.Connection) -> None:
    """Make what a shared file has more than another, unless it is there; the jobs' own schema is untouched by it."""
    with transaction(connection):
        for statement in _TABLES:
            connection.execute(statement)
        for column in _COLUMNS:
            table, _, _, name, *_ = column.split()
            if name not in {name for (_, name, *_) in connection.execute(f"PRAGMA table_info({table})")}:
                connection.execute(f"ALTER TABLE {column}")
        connection.execute("CREATE INDEX IF NOT EXISTS jobs_by_change ON jobs (change, number)")


def take_from_members(connection: sqlite3.Connection, seen: tuple[int, int]) -> None:
    """Have an owner that shares with nobody take the lease of a file that was shared, so that nobody else writes.

    Raises:
        JournalError: A member leads, under another name of the file; or it has lost what was bought, as `take` finds.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone() is None:
        return
    prepare(connection)
    with transaction(connection):
        is_led = "holder <> '' AND (julianday('now') - day) * 86400 BETWEEN 0 AND length"
        if connection.execute(f"SELECT 1 FROM lease WHERE {is_led}").fetchone() is not None:
            raise JournalError("it is shared by other sessions; open it with shared=True, as they do")
        (term,) = connection.execute("SELECT term FROM lease").fetchone()
        unsure = f"SELECT 1 FROM lease, jobs WHERE state IN ({queries.OPEN}) AND generation_id IS NULL"
        unsure += " AND (? OR max(queued_at, coalesce(submitted_at, 0)) <= lost_at)"
        if connection.execute(unsure, (_is_older(connection, term, seen),)).fetchone() is not None:
            raise JournalError(
                "it came back from a backup, so that it may have lost what was bought; open it with shared=True, which"
                " looks for that in the account's log"
            )
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
    found = connection.execute("SELECT * FROM lease")
    kept = dict(zip((name for name, *_ in found.description), found.fetchone(), strict=True))
    told = {name: kept[name] for name in ("owner", "since", "renewed", "length", "crashes", "stats", "lock")}
    return Lease(Token(kept["term"], kept["holder"]), members=members, lost_at=kept.get("lost_at"), **told)


def take(
    connection: sqlite3.Connection,
    holder: str,
    owner: str,
    now: float,
    length: float,
    lock: int = 0,
    seen: tuple[int, int] = (0, 0),
) -> Token | None:
    """Take the lease if it is free, or if its holder should have the lock of this number, which the caller has.

    ``seen`` are a term and the number of a change that the file had once: one that was led, and has less, was restored.
    """

    def free() -> Lease | None:
        lease = read_lease(connection, now)
        return lease if lease.without_holder(is_dead=lock != 0 and lease.lock == lock).may_be_taken(now) else None

    if free() is None:  # the usual case, without a write
        return None
    with transaction(connection):
        lease = free()
        if lease is None:
            return None
        token = Token(lease.token.term + 1, holder)
        connection.execute(
            "UPDATE lease SET term = ?, holder = ?, owner = ?, since = ?, renewed = ?, length = ?,"
            " day = julianday('now'), stats = '', lock = ?",
            (token.term, token.holder, owner, now, now, length, lock),
        )
        if _is_older(connection, lease.token.term, seen):
            change = _next_change(connection)  # members may have heard of more than there is
            connection.execute(f"UPDATE lease SET lost_at = {_NOW}, least_change = ?", (change - 1,))
            connection.execute(f"UPDATE jobs SET change = ? WHERE state IN ({queries.OPEN})", (change,))
        return token


def _is_older(connection: sqlite3.Connection, term: int, seen: tuple[int, int]) -> bool:
    return bool(term) and (term, _next_change(connection) - 1) < seen


def restored(connection: sqlite3.Connection) -> tuple[float | None, int]:
    """Return when commits were found to be lost, if that is not trusted, and the number that changes began after."""
    found: tuple[float | None, int] = connection.execute("SELECT lost_at, least_change FROM lease").fetchone()
    return found


def renew(connection: sqlite3.Connection, token: Token, now: float, stats: str) -> bool:
    """Renew the lease, if this token has it."""
    return _update(connection, token, "renewed = max(renewed, ?), day = julianday('now'), stats = ?", now, stats)


def release(connection: sqlite3.Connection, token: Token, *, crashed: bool) -> None:
    """Let go of the lease, if this token has it."""
    _update(connection, token, f"holder = '', crashes = {'crashes + 1' if crashed else '0'}")


def _update(connection: sqlite3.Connection, token: Token, change: str, *given: object) -> bool:
    statement = f"UPDATE lease SET {change} WHERE term = ? AND holder = ?"
    with transaction(connection):
        return connection.execute(statement, (*given, token.term, token.holder)).rowcount == 1


@contextmanager
def fenced(connection: sqlite3.Connection, token: Token) -> Generator[None]:
    """Write in one transaction within the block, if this token has the lease.

    Raises:
        Fenced: It has not; the block is not entered.
    """
    with transaction(connection):
        condition = "term = ? AND holder = ?"
        if connection.execute(f"SELECT 1 FROM lease WHERE {condition}", (token.term, token.holder)).fetchone() is None:
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


def write_of_member(connection: Connection, works: Sequence[OfMember]) -> None:
    """Insert jobs and leave instructions, in one transaction."""
    connection.check_unmoved()
    with transaction(connection):
        for work in works:
            if isinstance(work, Instruction):
                queries.instruct(connection, work)
            else:
                work.known = _insert(connection, work)


def _insert(connection: sqlite3.Connection, insertion: Insertion) -> Entry | None:
    """Insert a job unless its key has one; return that one."""
    row, choices = insertion.row, insertion.choices
    assert row.fixed is not None  # noqa: S101 - nothing was written of it before
    given = (*row.fixed, *row.changing, write_choices(choices), _next_change(connection))
    names, values = ", ".join((*queries.NAMES, "choices", "change")), ", ".join("?" * len(given))
    statement = f"INSERT INTO jobs ({names}) VALUES ({values}) ON CONFLICT (key) DO NOTHING"
    if connection.execute(statement, given).rowcount == 1:
        insert_media(connection, row.media)
        return None
    return queries.known_entry(connection, insertion)


def write_of_leader(connection: Connection, token: Token, works: Sequence[OfLeader]) -> None:
    """Write rows as few statements, and everything in its order, in one transaction."""
    connection.check_unmoved()
    with fenced(connection, token):
        change = _next_change(connection)
        for are_rows, run in groupby(works, lambda work: isinstance(work, Row)):
            if are_rows:
                rows = [work for work in run if isinstance(work, Row)]
                write(connection, rows)
                _mark_changed(connection, {row.key for row in rows}, change)
            else:
                for work in run:
                    _write_other(connection, work)


def _write_other(connection: sqlite3.Connection, work: OfLeader) -> None:
    match work:
        case Parking(key, error):
            work.change = _next_change(connection)
            given = (work.change, write_error(error), as_column(key))
            open_job = f"WHERE key = ? AND state IN ({queries.OPEN})"
            connection.execute(f"UPDATE jobs SET change = ?, parked = ? {open_job}", given)
        case Settling(item, keep):
            what = "DELETE FROM instructions" if isinstance(item, Instruction) else "DELETE FROM late_answers"
            statement = f"{'UPDATE late_answers SET kept = 1' if keep else what} WHERE number = ?"
            connection.execute(statement, (item.number,))
        case Learned(text):
            save_learned(connection, text)
        case Trusting():
            connection.execute("UPDATE lease SET lost_at = NULL")
        case _:
            raise AssertionError


def _next_change(connection: sqlite3.Connection) -> int:
    """Return the number of this transaction: one more than any before."""
    (last,) = connection.execute("SELECT max(change) FROM jobs").fetchone()
    return (last or 0) + 1


def _mark_changed(connection: sqlite3.Connection, keys: Iterable[object], change: int) -> None:
    """Have members see rows that were written in this transaction, as jobs that somebody works on."""
    connection.executemany("UPDATE jobs SET change = ?, parked = NULL WHERE key = ?", ((change, key) for key in keys))


def keep_late(connection: Connection, answers: Sequence[LateAnswer]) -> None:
    """Keep late answers; nothing fences them."""
    connection.check_unmoved()
    with transaction(connection):
        for answer in answers:
            queries.add_late(connection, answer)


def led(connection: sqlite3.Connection, token: Token, after: int) -> tuple[list[Entry], int | None, int]:
    """Return a page of the open jobs that are not parked; see `Tables`."""
    del token
    newest = newest_job(connection)  # first: others may insert more meanwhile
    return *queries.led_page(connection, after, "number <= ?", newest), newest


def newest_job(connection: sqlite3.Connection) -> int:
    """Return the number of the job that was inserted last; 0 without any."""
    (number,) = connection.execute("SELECT max(number) FROM jobs").fetchone()
    return number or 0


def inserted(connection: sqlite3.Connection, token: Token, after: int) -> tuple[list[Entry], int]:
    """Return jobs that were inserted after the one of this number, and the number to go on after."""
    del token
    newest = min(after + queries.PAGE, newest_job(connection))  # first: others may insert more meanwhile
    return queries.open_entries(connection, "number > ? AND number <= ?", after, newest), newest


def sharing(connection: sqlite3.Connection, now: float) -> Sharing | None:
    """Return how a file is shared; None if it never was."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'lease'").fetchone() is None:
        return None
    return queries.sharing(connection, read_lease(connection, now))
