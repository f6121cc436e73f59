"""The lease, the members and what they write: a leader's writes are fenced, each by being one statement.

A leader's statement locks the lease's row, for other statements to share, under the condition that it still has the
token: whoever takes the lease waits for the statements under way, and shuts out the later ones.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from kling_async.errors import InvalidRequest, JournalError
from kling_async.journal.postgres.connection import NULL, SEPARATOR, Joined, as_text
from kling_async.journal.postgres.schema import STEPS, TYPES
from kling_async.journal.shared import MOST_CRASHES, Entry, Fenced, Instruction, Lease, Member, Token, write_choices
from kling_async.journal.sql import queries
from kling_async.journal.sql.rows import CHANGING, COLUMNS, Row, as_column, write_error
from kling_async.journal.sql.tables import Insertion, Learned, Parking, Settling, Trusting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kling_async.journal.media import Content
    from kling_async.journal.postgres.connection import Link
    from kling_async.journal.shared import LateAnswer, Sharing
    from kling_async.journal.sql.rows import Value
    from kling_async.journal.sql.tables import OfLeader, OfMember

_T = TypeVar("_T")

_LIVES = "interval '60 s'"  # after it was seen last, for which a member is counted
_SEE_EVERY = 20.0  # seconds between notes that a member lives
_CLOCKS_AGREE = 1.0  # seconds by which the time of records may be wrong: it had better not jump
_LOST_AT_MOST = 2**40  # changes, by a failover, a restore or a dump
_MOST_ROWS = 256  # in a statement
_MOST_SIZE = 16_000_000  # characters of rows in a statement; one of a row alone may have more
_TIMELINE = "left(pg_walfile_name(pg_current_wal_lsn()), 8)"
_AGE = "greatest(0, extract(epoch FROM clock_timestamp() - {}))::float8"

# The lease


def read_lease(link: Link, now: float) -> Lease:
    """Return who leads, its times by the clock of ``now``.

    A renewal that was seen for twice the lease's length counts as over, whatever the database's clock says.
    """
    row = link.execute(
        "SELECT extract(epoch FROM clock_timestamp())::float8,"
        " term, holder, owner, version, length, crashes, stats, renewed::text,"
        f" {_AGE.format('since')}, {_AGE.format('renewed')}, (SELECT json_agg(json_build_array(owner, limits))"
        f" FROM main.members WHERE seen > now() - {_LIVES}), extract(epoch FROM restored_at)::float8 FROM main.lease"
    ).fetchone()
    epoch, term, holder, owner, version, length, crashes, stats, renewal, since, renewed, living, lost_at = row
    members = [Member(*one) for one in living or ()]
    if version > len(STEPS):
        raise JournalError("a newer version of kling_async has upgraded it; go on with that one")
    if link.epoch is None or abs(epoch - now - link.epoch) > _CLOCKS_AGREE:
        link.epoch = epoch - now
    if link.seen[0] != f"{term} {renewal}":
        link.seen = f"{term} {renewal}", now
    if now - link.seen[1] > 2 * length:
        renewed = max(renewed, length)
    token = Token(term, holder)
    return Lease(token, owner, now - since, now - renewed, length, crashes, members, stats, lost_at=lost_at)


def take(link: Link, holder: str, owner: str, now: float, length: float) -> Token | None:
    """Take the lease if it is free."""
    system = _system(link)
    overdue = link.seen[0] if now - link.seen[1] > 2 * length else ""
    is_another = "? <> nullif(system, '')"
    row = link.execute(
        "UPDATE main.lease SET term = term + 1, holder = ?, owner = ?, length = ?, writer = 0, stats = '',"
        " since = clock_timestamp(), renewed = clock_timestamp(), system = ?,"
        f" restored_at = CASE WHEN {is_another} THEN clock_timestamp() ELSE restored_at END,"
        f" least_change = least_change + CASE WHEN {is_another} THEN ? ELSE 0 END WHERE crashes < ? AND (holder = ''"
        " OR clock_timestamp() > renewed + length * interval '1 s' OR term || ' ' || renewed::text = ?) RETURNING term",
        (holder, owner, length, system, system, system, _LOST_AT_MOST, MOST_CRASHES, overdue),
    ).fetchone()
    return None if row is None else Token(row[0], holder)


def _system(link: Link) -> str:
    """Return which database this is, and on which timeline, where told; and which table: a dump makes another."""
    table = "'main.lease'::regclass::oid::text"
    told = f"system_identifier || ' ' || {_TIMELINE} || ' ' || {table}"
    try:
        return str(link.execute(f"SELECT {told} FROM pg_control_system()").fetchone()[0])
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        return str(link.execute(f"SELECT {table}").fetchone()[0])


def renew(link: Link, token: Token, now: float, stats: str) -> bool:
    """Renew the lease, if this token has it."""
    del now
    return _update_lease(link, token, "renewed = clock_timestamp(), stats = ?", stats)


def release(link: Link, token: Token, *, crashed: bool) -> None:
    """Let go of the lease, if this token has it."""
    _update_lease(link, token, f"holder = '', crashes = {'crashes + 1' if crashed else '0'}")


def _update_lease(link: Link, token: Token, change: str, *given: str) -> bool:
    statement = f"UPDATE main.lease SET {change} WHERE term = ? AND holder = ?"
    return link.execute(statement, (*given, token.term, token.holder)).rowcount == 1


# Members


def see_member(link: Link, name: str, owner: str, now: float, limits: str, account: str | None) -> None:
    """Take note that a member lives, of its limits, and of the account that it uses, if that is known."""
    del now
    other = link.execute(
        f"SELECT owner, account FROM main.members WHERE account <> ? AND name <> ? AND seen > now() - {_LIVES} LIMIT 1",
        (account, name),
    ).fetchone()
    if other is not None:
        raise JournalError(f"{other[0]} shares it with {other[1]}, and this session would with {account}")
    link.execute(
        "INSERT INTO main.members VALUES (?, ?, clock_timestamp(), ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET seen = excluded.seen, limits = excluded.limits",
        (name, owner, limits, account),
    )


def is_due(link: Link, name: str, now: float) -> bool:
    """Return whether it is time to note again that a member lives."""
    if now - link.member_seen < _SEE_EVERY:
        return False
    link.member_seen = now
    return bool(name)


def drop_member(link: Link, name: str) -> None:
    """Take note that a member has left, and of those that never came back."""
    link.execute("DELETE FROM main.members WHERE name = ? OR seen < now() - interval '1 day'", (name,))


# Rows, as one text a column: that is quicker to make than a parameter for each value, and one statement for any number


def _text(value: Value) -> str:
    if isinstance(value, bytes):  # as `as_column` has it
        return as_text(value.decode("utf-8", "surrogatepass"))
    return NULL if value is None else as_text(str(value))


_TEXT_OF: dict[str, Callable[[Any], str]] = {
    "text": _text,
    "bytea": lambda value: f"\\x{value.hex()}",
    "bigint": lambda value: NULL if value is None else str(value),
    "float8": lambda value: NULL if value is None else repr(float(value)),
}
_CHOICES = "choices"  # a column beside those of a record


def _kind(name: str) -> str:
    return TYPES.get(name, "text")


def _given(names: Sequence[str]) -> str:
    """Return a function of the database that returns rows of these columns; it takes what ``_texts`` makes."""
    array = "(string_to_array(?, E'\\x1e', E'\\x1f'))[2:]"  # what is first is nothing: an empty text has no parts
    return f"unnest({', '.join(f'{array}::{_kind(name)}[]' for name in names)}) AS given ({_quoted(names)})"


def _texts(rows: Sequence[Sequence[Value]], names: Sequence[str]) -> list[Joined]:
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return [Joined(SEPARATOR.join(["", *map(_TEXT_OF[_kind(name)], column)])) for name, column in columns]


def _quoted(names: Iterable[str], table: str = "") -> str:
    return ", ".join(f'{table}"{name}"' for name in names)


def _pages(works: Iterable[_T], row_of: Callable[[_T], Row]) -> Iterator[Sequence[_T]]:
    """Yield some at a time, as a server takes no more than a gigabyte at once."""
    page: list[_T] = []
    left = 0
    for work in works:
        row = row_of(work)
        size = sum(len(value) for value in (*(row.fixed or ()), *row.changing) if isinstance(value, str | bytes))
        if page and (len(page) == _MOST_ROWS or size > left):
            yield page
            page = []
        left = (left if page else _MOST_SIZE) - size
        page.append(work)
    if page:
        yield page


def _media(media: Mapping[str, Content]) -> tuple[str, list[object]]:
    """Return a part of a statement that stores media, and its values."""
    if not media:
        return "", []
    contents = [
        content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        for content in media.values()
    ]
    values = ", ".join(["(?, ?)"] * len(media))
    statement = f"stored AS (INSERT INTO main.media VALUES {values} ON CONFLICT (digest) DO UPDATE SET used = now()), "
    return statement, [part for pair in zip(media, map(bytearray, contents), strict=True) for part in pair]


# What members write

_INSERTED = (*COLUMNS, _CHOICES)


def write_of_member(link: Link, works: Sequence[OfMember]) -> None:
    """Insert jobs and leave instructions."""
    for is_insertion, run in groupby(works, lambda work: isinstance(work, Insertion)):
        if not is_insertion:
            for work in run:
                assert isinstance(work, Instruction)  # noqa: S101 - there is nothing else
                queries.instruct(link, work)
            continue
        insertions = [work for work in run if isinstance(work, Insertion)]
        for has_media, some in groupby(insertions, lambda work: bool(work.row.media)):
            for page in [[work] for work in some] if has_media else _pages(some, lambda work: work.row):
                _insert(link, page)


def _insert(link: Link, insertions: Sequence[Insertion]) -> None:
    """Insert jobs, unless their keys have some; what cannot be written keeps no other from it."""
    try:
        fresh = _insert_all(link, insertions)
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        if len(insertions) == 1:
            refusal = InvalidRequest(f"the job cannot be recorded: {error.diag.message_primary}")
            insertions[0].known = Entry(insertions[0].record, refusal)
        else:
            for insertion in insertions:
                _insert(link, [insertion])
        return
    for insertion in insertions:
        if insertion.row.key in fresh:
            fresh.remove(insertion.row.key)
        else:  # by a second statement: the first may not see what another session has just inserted
            insertion.known = queries.known_entry(link, insertion)


def _insert_all(link: Link, insertions: Sequence[Insertion]) -> set[Value]:
    rows: list[tuple[Value, ...]] = []
    for insertion in insertions:
        assert insertion.row.fixed is not None  # noqa: S101 - nothing was written of it before
        rows.append((*insertion.row.fixed, *insertion.row.changing, write_choices(insertion.choices)))
    media, values = _media({digest: content for each in insertions for digest, content in each.row.media.items()})
    # The order of keys keeps two sessions from waiting for each other; the numbers are in the order of submitting.
    statement = (
        f"WITH {media}numbered AS MATERIALIZED"
        f" (SELECT nextval('main.job_numbers') AS number, given.* FROM {_given(_INSERTED)})"
        f" INSERT INTO main.jobs (number, {_quoted(_INSERTED)}) SELECT number, {_quoted(_INSERTED)} FROM numbered"
        " ORDER BY key ON CONFLICT (key) DO NOTHING RETURNING key"
    )
    return {as_column(key) for (key,) in link.execute(statement, (*values, *_texts(rows, _INSERTED)))}


# What the leader writes

_HELD = "SELECT 1 FROM main.lease WHERE term = ? AND holder = ? AND writer = ?"


def _fence(link: Link, token: Token) -> tuple[object, ...]:
    """Return what fences a statement, on this very connection: what one before has under way is waited for first."""
    if link.fence is None or link.fenced_token != token:
        statement = "UPDATE main.lease SET writer = writer + 1 WHERE term = ? AND holder = ? RETURNING writer, system"
        row = link.execute(statement, (token.term, token.holder)).fetchone()
        if row is None:
            raise Fenced
        newest = "SELECT greatest(least_change, (SELECT max(change) FROM main.jobs)) FROM main.lease"
        link.change = max(link.change, link.execute(newest).fetchone()[0] or 0)
        link.fence, link.fenced_token, link.system = row[0], token, _system(link)
        link.is_another = link.system != row[1]
    return (token.term, token.holder, link.fence)


def _execute(link: Link, token: Token, deed: str, given: Sequence[object]) -> None:
    """Carry out a statement that joins ``held``.

    Raises:
        Fenced: The token has not the lease; nothing was written.
    """
    fence = _fence(link, token)
    # A proxy may lead a connection that was never lost to another server.
    timeline = f" AND {_TIMELINE} = '{link.system.split()[1]}'" if " " in link.system else ""
    statement = f"WITH held AS MATERIALIZED ({_HELD}{timeline} FOR SHARE), {deed} SELECT count(*) FROM held"
    if link.execute(statement, (*fence, *given)).fetchone() != (0,):
        return
    if _system(link) == link.system:
        raise Fenced
    link.fence = None
    _execute(link, token, deed, given)


def write_of_leader(link: Link, token: Token, works: Sequence[OfLeader]) -> None:
    """Write rows as few statements, and everything in its order; what is written twice is as written once."""
    for kind, run in groupby(works, type):
        some: Sequence[Any] = list(run)
        if kind is Row:
            _write_rows(link, token, some)
        elif kind is Learned:
            update = "ON CONFLICT (number) DO UPDATE SET content = excluded.content"
            deed = f"done AS (INSERT INTO main.learned SELECT 1, ? FROM held {update})"
            _execute(link, token, deed, (some[-1].text,))
        else:
            for work in some:
                _WRITES[kind](link, token, work)


def _write_rows(link: Link, token: Token, rows: Iterable[Row]) -> None:
    jobs = queries.newest(rows)
    for page in _pages([row for row in jobs if row.fixed is not None], lambda row: row):
        media, values = _media({digest: content for row in page for digest, content in row.media.items()})
        texts = _texts([(*(row.fixed or ()), *row.changing) for row in page], COLUMNS)
        _execute(link, token, f"{media}done AS ({_WRITE_NEW})", (*values, next_change(link, token), *texts))
    for page in _pages([row for row in jobs if row.fixed is None], lambda row: row):
        names = ("key", *CHANGING)
        texts = _texts([(row.key, *row.changing) for row in page], names)
        _execute(link, token, f"done AS ({_WRITE_KNOWN})", (next_change(link, token), *texts))


_WRITE_NEW = (
    f"INSERT INTO main.jobs (number, change, {_quoted(COLUMNS)})"
    f" SELECT nextval('main.job_numbers'), ?::bigint, {_quoted(COLUMNS, 'given.')} FROM {_given(COLUMNS)}, held"
    " ON CONFLICT (key) DO UPDATE SET change = excluded.change, parked = NULL, "
    + ", ".join(f'"{name}" = excluded."{name}"' for name in COLUMNS)
)
_WRITE_KNOWN = (
    "UPDATE main.jobs AS job SET change = ?, parked = NULL, "
    + ", ".join(f'"{name}" = given."{name}"' for name in CHANGING)
    + f" FROM {_given(('key', *CHANGING))}, held WHERE job.key = given.key"
)


def next_change(link: Link, token: Token) -> int:
    """Return the number of the change that is written next: one more than any before."""
    _fence(link, token)
    link.change += 1
    return link.change


def _park(link: Link, token: Token, work: Parking) -> None:
    what = f"UPDATE main.jobs SET change = ?, parked = ? FROM held WHERE key = ? AND state IN ({queries.OPEN})"
    work.change = next_change(link, token)
    given = (work.change, write_error(work.error), as_column(work.key))
    _execute(link, token, f"done AS ({what})", given)


def _settle(link: Link, token: Token, work: Settling) -> None:
    table = "instructions" if isinstance(work.item, Instruction) else "late_answers"
    drop = f"DELETE FROM main.{table} USING held WHERE number = ?"
    keep = "UPDATE main.late_answers SET kept = 1 FROM held WHERE number = ?"
    _execute(link, token, f"done AS ({keep if work.keep else drop})", (work.item.number,))


def _trust(link: Link, token: Token, work: Trusting) -> None:
    del work
    trust = "UPDATE main.lease AS lease SET restored_at = NULL FROM held WHERE lease.number = 1"
    _execute(link, token, f"done AS ({trust})", ())


_WRITES: dict[type, Callable[[Link, Token, Any], None]] = {Parking: _park, Settling: _settle, Trusting: _trust}


def keep_late(link: Link, answers: Sequence[LateAnswer]) -> None:
    """Keep late answers; nothing fences them."""
    for answer in answers:
        queries.add_late(link, answer)


# What the leader reads


def led(link: Link, token: Token, after: int) -> tuple[list[Entry], int | None, int]:
    """Return a page of the open jobs that are not parked; see `Tables`."""
    if after == 0:
        _tell_anew(link, token)
        numbered = 0
        while (found := inserted(link, token, numbered))[0]:  # those of later pages are left for `inserted`
            numbered = found[1]
        link.numbered = []
    return *queries.led_page(link, after, "change IS NOT NULL"), 0


def _tell_anew(link: Link, token: Token) -> None:
    """Tell all members of all open jobs anew, once commits were lost: they may have heard of more than there is."""
    change = next_change(link, token)
    if change == restored(link)[1] + 1:  # nothing was written since
        tell = f"UPDATE main.jobs SET change = ? FROM held WHERE state IN ({queries.OPEN})"
        _execute(link, token, f"done AS ({tell})", (change,))


def restored(link: Link) -> tuple[float | None, int]:
    """Return when commits were found to be lost, in seconds since the epoch, and the number that changes begin after.

    The time is None if none were, or if it is trusted.
    """
    row = link.execute("SELECT extract(epoch FROM restored_at)::float8, least_change FROM main.lease").fetchone()
    return row[0], row[1]


def inserted(link: Link, token: Token, after: int) -> tuple[list[Entry], int]:
    """Return jobs that nobody who leads has seen yet, and number them among the changes.

    Those that were numbered after the change ``after`` come again: its answer, or one of the same look, was lost.
    """
    link.numbered = [change for change in link.numbered if change > after]
    if link.numbered:
        _fence(link, token)  # waits for what a connection before may still have under way
        again = queries.open_entries(link, f"change IN ({', '.join('?' * len(link.numbered))})", *link.numbered)
        if again:
            return again, link.numbered[-1]
    fresh = f"SELECT number FROM main.jobs WHERE change IS NULL ORDER BY number LIMIT {queries.PAGE}"
    if (
        link.execute(fresh.replace("SELECT number", "SELECT 1").replace(f"LIMIT {queries.PAGE}", "LIMIT 1")).fetchone()
        is None
    ):
        return [], after
    change = next_change(link, token)
    link.numbered.append(change)
    number = "UPDATE main.jobs AS job SET change = ? FROM fresh, held WHERE job.number = fresh.number"
    _execute(link, token, f"fresh AS ({fresh}), done AS ({number})", (change,))
    return queries.open_entries(link, "change = ?", change), change


def sharing(link: Link, now: float) -> Sharing | None:
    """Return how the journal is shared."""
    return queries.sharing(link, read_lease(link, now))
