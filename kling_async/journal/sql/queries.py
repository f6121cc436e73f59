"""The statements that read a journal's tables in any database, and the few that write them alike."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, cast

from kling_async.errors import JournalError
from kling_async.journal.base import JobState, Record
from kling_async.journal.shared import Entry, Instruction, LateAnswer, Sharing, read_choices
from kling_async.journal.sql.rows import COLUMNS, Row, as_column, as_text, read_error, read_row
from kling_async.journal.sql.unflushed import HashedKeySet

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Sequence

    from kling_async.journal.base import Choices
    from kling_async.journal.media import Content
    from kling_async.journal.shared import Lease
    from kling_async.journal.sql.rows import Value
    from kling_async.journal.sql.tables import Connection

PAGE = 250
"""Rows read at once: some milliseconds' work."""

LED_PAGE = 500
"""Rows that a new leader reads at once."""

OPEN = ", ".join(f"'{state.value}'" for state in JobState if not state.is_terminal)  # as the index of them has it

# Only names of columns are put into statements, never values.
NAMES = tuple(f'"{name}"' for name in COLUMNS)  # one of them is a word of SQL
_SELECT = f"SELECT {', '.join(NAMES)}, number FROM main.jobs"
_MORE = "parked, choices, number, change FROM main.jobs"
_ENTRY = f"SELECT {', '.join(NAMES)}, {_MORE}"
_CHANGED = f"SELECT NULL, {', '.join(NAMES[1:])}, {_MORE}"  # without the first, the request

# Records


def newest(rows: Iterable[Row]) -> Collection[Row]:
    """Merge the rows of each job into its last, with the fixed columns of earlier ones, in the order of the first."""
    found: dict[Value, Row] = {}
    for row in rows:
        before = found.get(row.key)
        if before is None or row.fixed is not None:
            found[row.key] = row
        else:
            found[row.key] = Row(row.key, before.fixed, row.changing, before.media)
    return found.values()


def by_key(connection: Connection, key: str) -> Record | None:
    """Return the record under this key.

    Raises:
        JournalError: It is damaged. All functions that read records raise this.
    """
    rows = connection.execute(f"{_SELECT} WHERE key = ?", (as_column(key),)).fetchall()
    return next(records_of(connection, rows), None)


def by_generation(connection: Connection, generation_id: str) -> Record | None:
    """Return the newest record of this generation."""
    condition = "WHERE generation_id = ? ORDER BY number DESC LIMIT 1"
    rows = connection.execute(f"{_SELECT} {condition}", (as_column(generation_id),)).fetchall()
    return next(records_of(connection, rows), None)


def open_records(connection: Connection) -> list[Record]:
    """Return the records that are not terminal, in the order in which they were queued."""
    rows = connection.execute(f"{_SELECT} WHERE state IN ({OPEN}) ORDER BY number").fetchall()
    return list(records_of(connection, rows))


def page(connection: Connection, after: int) -> tuple[list[Record], int]:
    """Return up to 250 records after this place in the order, and the last one's place; none at the end."""
    rows = connection.execute(f"{_SELECT} WHERE number > ? ORDER BY number LIMIT {PAGE}", (after,)).fetchall()
    return list(records_of(connection, rows)), (rows[-1][-1] if rows else after)


def counts(connection: Connection) -> Counter[JobState]:
    """Count the jobs in each state."""
    found: Counter[JobState] = Counter()
    for name, count in connection.execute("SELECT state, count(*) FROM main.jobs GROUP BY state"):
        try:
            found[JobState(name)] = count
        except ValueError:
            raise JournalError(f"{count} records are in a state that does not exist: {name!r}") from None
    return found


def keys(connection: Connection) -> HashedKeySet:
    """Return the keys of all jobs."""
    return HashedKeySet(as_text(key) for (key,) in connection.execute("SELECT key FROM main.jobs"))


def generations(connection: Connection, newest: int = -1) -> HashedKeySet:
    """Return the generation ids of all jobs, or of so many of the newest."""
    some = f" ORDER BY number DESC LIMIT {newest}" if newest >= 0 else ""
    rows = connection.execute(f"SELECT generation_id FROM main.jobs WHERE generation_id IS NOT NULL{some}")
    return HashedKeySet(as_text(generation_id) for (generation_id,) in rows)


def load_learned(connection: Connection) -> str | None:
    """Return the text that was last saved; None if none ever was."""
    row = connection.execute("SELECT content FROM main.learned").fetchone()
    return None if row is None else str(row[0])


def records_of(connection: Connection, rows: Sequence[Sequence[object]]) -> Iterator[Record]:
    """Read rows as records; columns after ``COLUMNS`` are ignored."""
    media: dict[str, Content] = {}  # records that share media share the object, too

    def fetch(digest: str) -> Content:
        if digest not in media:
            row = connection.execute("SELECT content FROM main.media WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                raise LookupError(f"the media it refers to, {digest}, is missing")
            media[digest] = row[0]
        return media[digest]

    return (read_row(row[: len(COLUMNS)], fetch) for row in rows)


# Jobs of members


def entries_of(connection: Connection, rows: Sequence[Sequence[object]]) -> list[Entry]:
    """Read rows that have the columns of an entry."""
    found: list[Entry] = []
    for row, record in zip(rows, records_of(connection, rows), strict=True):
        parked, choices, _, change = row[len(COLUMNS) :]
        error = read_error(str(parked)) if parked is not None and not record.state.is_terminal else None
        found.append(Entry(record, error, read_choices(cast("str | None", choices)), int(str(change or 0))))
    return found


def entry_by_key(connection: Connection, key: str) -> Entry | None:
    """Return the job under this key."""
    return next(iter(select(connection, "key = ?", as_column(key))), None)


def entry_by_generation(connection: Connection, generation_id: str) -> Entry | None:
    """Return the job of this generation."""
    return next(iter(select(connection, "generation_id = ?", as_column(generation_id))), None)


def select(connection: Connection, condition: str, *given: object) -> list[Entry]:
    """Return the jobs of which this is true, in the order they were queued."""
    return entries_of(connection, connection.execute(f"{_ENTRY} WHERE {condition} ORDER BY number", given).fetchall())


def open_entries(connection: Connection, condition: str, *given: object) -> list[Entry]:
    """Return the open jobs that are not parked and of which this is true, in the order they were queued."""
    return select(connection, f"state IN ({OPEN}) AND parked IS NULL AND {condition}", *given)


def led_page(connection: Connection, after: int, condition: str, *given: object) -> tuple[list[Entry], int | None]:
    """Return some of the jobs as `open_entries`, from after the one of this number; and its last one's, if it is full.

    Nothing holds up the event loop for long, as a list of all rows would when it is dropped.
    """
    chosen = f"state IN ({OPEN}) AND parked IS NULL AND number > ? AND {condition} ORDER BY number LIMIT {LED_PAGE}"
    rows = connection.execute(f"{_ENTRY} WHERE {chosen}", (after, *given)).fetchall()
    return entries_of(connection, rows), rows[-1][-2] if len(rows) == LED_PAGE else None


def parked(connection: Connection) -> list[Record]:
    """Return the queued jobs that are parked."""
    return [entry.record for entry in select(connection, "state = 'queued' AND parked IS NOT NULL")]


def all_choices(connection: Connection) -> dict[str, Choices]:
    """Return what the callers of open jobs chose, parked ones included, where it is not the usual."""
    statement = f"SELECT key, choices FROM main.jobs WHERE state IN ({OPEN}) AND choices IS NOT NULL"
    return {as_text(key): read_choices(choices) for key, choices in connection.execute(statement)}


Place = tuple[int, int]
"""A place among the changes: the number of the transaction, and that of the job."""


def last_place(connection: Connection) -> Place:
    """Return the place of the newest change."""
    statement = (
        "SELECT change, number FROM main.jobs WHERE change IS NOT NULL ORDER BY change DESC, number DESC LIMIT 1"
    )
    found = connection.execute(statement).fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def changes(connection: Connection, place: Place, wanted: Container[str]) -> tuple[list[Entry], Place]:
    """Return the wanted jobs that have changed after this place, and the place of the newest change.

    Pages are read each by itself, so that nobody who writes waits for long.
    """
    found: list[Entry] = []
    later = f"WHERE (change, number) > (?, ?) ORDER BY change, number LIMIT {PAGE}"
    while True:
        page = connection.execute(f"SELECT change, number, key FROM main.jobs {later}", place).fetchall()
        numbers = [number for _, number, key in page if as_text(key) in wanted]
        if numbers:
            chosen = f"number IN ({', '.join('?' * len(numbers))})"
            rows = connection.execute(f"{_CHANGED} WHERE {chosen} ORDER BY change, number", numbers).fetchall()
            found += entries_of(connection, rows)
        if page:
            place = page[-1][0], page[-1][1]
        if len(page) < PAGE:
            return found, place


# Instructions and late answers


def instruct(connection: Connection, instruction: Instruction) -> None:
    """Leave an instruction."""
    data = dict(instruction.data)
    if instruction.kind == "resume submissions":  # what its member may have seen of the halt is what there is by now
        (data["seen"],) = connection.execute("SELECT coalesce(max(change), 0) FROM main.jobs").fetchone()
    given = (instruction.kind, as_column(instruction.key), json.dumps(data))
    connection.execute("INSERT INTO main.instructions (kind, key, data) VALUES (?, ?, ?)", given)


def instructions(connection: Connection) -> list[Instruction]:
    """Return the oldest instructions."""
    rows = connection.execute(f"SELECT kind, key, data, number FROM main.instructions ORDER BY number LIMIT {PAGE}")
    return [Instruction(kind, as_text(key), json.loads(data), number) for kind, key, data, number in rows]


def add_late(connection: Connection, late: LateAnswer) -> None:
    """Keep a late answer, unless the same generation was told before; nothing fences it."""
    given = (as_column(late.key), late.name, None if late.generation_id is None else as_column(late.generation_id))
    statement = "INSERT INTO main.late_answers (key, name, generation_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    connection.execute(statement, given)


def late_answers(connection: Connection, *, kept: bool = False) -> list[LateAnswer]:
    """Return the oldest late answers that were not acted on, or those that are kept for people."""
    rows = connection.execute(
        "SELECT key, name, generation_id, number FROM main.late_answers WHERE kept = ? ORDER BY number LIMIT ?",
        (int(kept), PAGE),
    )
    return [
        LateAnswer(as_text(key), name, None if found is None else as_text(found), number)
        for key, name, found, number in rows
    ]


def sharing(connection: Connection, lease: Lease) -> Sharing:
    """Return how a database is shared that has this lease."""
    parked = f"SELECT parked FROM main.jobs WHERE state IN ({OPEN}) AND parked IS NOT NULL"
    reasons = Counter(type(read_error(text)).__name__ for (text,) in connection.execute(parked))
    waiting = "SELECT count(*) FROM main.late_answers WHERE kept = 0"
    (undone,) = connection.execute(f"SELECT (SELECT count(*) FROM main.instructions) + ({waiting})").fetchone()
    return Sharing(lease, reasons, undone, late_answers(connection, kept=True))
