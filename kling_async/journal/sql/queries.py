"""The statements that read a journal's tables in any database, and the few that write them alike."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from kling_async.errors import JournalError
from kling_async.journal.base import JobState, Record
from kling_async.journal.shared import Entry, Instruction, LateAnswer, Sharing, read_choices
from kling_async.journal.sql.rows import COLUMNS, Row, as_column, as_text, read_error, read_row
from kling_async.journal.sql.unflushed import HashedKeySet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence

    from kling_async.journal.base import Choices
    from kling_async.journal.media import Content
    from kling_async.journal.shared import Lease
    from kling_async.journal.sql.rows import Value
    from kling_async.journal.sql.tables import Connection, Insertion

_logger = logging.getLogger("kling_async.journal")

_T = TypeVar("_T")

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
_OF_GENERATION = "WHERE generation_id = ? ORDER BY number DESC LIMIT 1"
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
        JournalError: It is damaged. All functions that return one record or entry raise this.
    """
    return _one(connection, f"{_SELECT} WHERE key = ?", key, _record_of)


def by_generation(connection: Connection, generation_id: str) -> Record | None:
    """Return the newest record of this generation."""
    return _one(connection, f"{_SELECT} {_OF_GENERATION}", generation_id, _record_of)


def _one(
    connection: Connection, statement: str, text: str, read: Callable[[Connection], Callable[[Sequence[Any]], _T]]
) -> _T | None:
    row = connection.execute(statement, (as_column(text),)).fetchone()
    return None if row is None else read(connection)(row)


def open_records(connection: Connection) -> list[Record]:
    """Return the records that are not terminal, in the order in which they were queued.

    Those that are damaged are told of, and left out. All functions that return several do this.
    """
    rows = connection.execute(f"{_SELECT} WHERE state IN ({OPEN}) ORDER BY number").fetchall()
    return list(_readable(rows, _record_of(connection)))


def _tell_of_damage(error: JournalError) -> None:
    _logger.error("%s; it stays as it is, and nobody works on it", error)


def page(
    connection: Connection, after: int, on_damage: Callable[[JournalError], object] = _tell_of_damage
) -> tuple[list[Record], int | None]:
    """Return up to 250 records after this place in the order, and the last one's place; None at the end."""
    rows = connection.execute(f"{_SELECT} WHERE number > ? ORDER BY number LIMIT {PAGE}", (after,)).fetchall()
    return list(_readable(rows, _record_of(connection), on_damage)), (rows[-1][-1] if rows else None)


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


def _readable(
    rows: Iterable[Sequence[object]],
    read: Callable[[Sequence[object]], _T],
    on_damage: Callable[[JournalError], object] = _tell_of_damage,
) -> Iterator[_T]:
    """Read the rows that can be read: one that is damaged stops no other."""
    for row in rows:
        try:
            found = read(row)
        except JournalError as error:
            on_damage(error)
        else:
            yield found


def _record_of(connection: Connection) -> Callable[[Sequence[Any]], Record]:
    """Return a function that reads rows as records; columns after ``COLUMNS`` are ignored."""
    media: dict[str, Content | None] = {}  # records that share media share the object, too

    def fetch(digest: str) -> Content | None:
        if digest not in media:
            row = connection.execute("SELECT content FROM main.media WHERE digest = ?", (digest,)).fetchone()
            media[digest] = None if row is None else row[0]
        return media[digest]

    return lambda row: read_row(row[: len(COLUMNS)], fetch)


# Jobs of members


def _entry_of(connection: Connection) -> Callable[[Sequence[Any]], Entry]:
    """Return a function that reads rows that have the columns of an entry."""
    record_of = _record_of(connection)

    def read(row: Sequence[Any]) -> Entry:
        record, (parked, choices, _, change) = record_of(row), row[len(COLUMNS) :]
        try:
            error = read_error(str(parked)) if parked is not None and not record.state.is_terminal else None
            return Entry(record, error, read_choices(choices), change or 0)
        except Exception as damage:
            raise JournalError(f"the record of job {record.key} cannot be read: {damage!r:.200}") from damage

    return read


def entry_by_key(connection: Connection, key: str) -> Entry | None:
    """Return the job under this key."""
    return _one(connection, f"{_ENTRY} WHERE key = ?", key, _entry_of)


def entry_by_generation(connection: Connection, generation_id: str) -> Entry | None:
    """Return the newest job of this generation."""
    return _one(connection, f"{_ENTRY} {_OF_GENERATION}", generation_id, _entry_of)


def known_entry(connection: Connection, insertion: Insertion) -> Entry | None:
    """Return the job that a key had already, or why it cannot be read."""
    try:
        return entry_by_key(connection, insertion.record.key)
    except JournalError as error:
        return Entry(insertion.record, error)


def open_entries(connection: Connection, condition: str, *given: object) -> list[Entry]:
    """Return the open jobs that are not parked and of which this is true, in the order they were queued."""
    return _entries(connection, f"state IN ({OPEN}) AND parked IS NULL AND {condition}", *given)


def _entries(connection: Connection, condition: str, *given: object) -> list[Entry]:
    rows = connection.execute(f"{_ENTRY} WHERE {condition} ORDER BY number", given).fetchall()
    return list(_readable(rows, _entry_of(connection)))


def led_page(connection: Connection, after: int, condition: str, *given: object) -> tuple[list[Entry], int | None]:
    """Return some of the jobs as `open_entries`, from after the one of this number; and its last one's, if it is full.

    Nothing holds up the event loop for long, as a list of all rows would when it is dropped.
    """
    chosen = f"state IN ({OPEN}) AND parked IS NULL AND number > ? AND {condition} ORDER BY number LIMIT {LED_PAGE}"
    rows = connection.execute(f"{_ENTRY} WHERE {chosen}", (after, *given)).fetchall()
    return list(_readable(rows, _entry_of(connection))), rows[-1][-2] if len(rows) == LED_PAGE else None


def parked(connection: Connection) -> list[Record]:
    """Return the queued jobs that are parked."""
    return [entry.record for entry in _entries(connection, "state = 'queued' AND parked IS NOT NULL")]


def all_choices(connection: Connection) -> dict[str, Choices]:
    """Return what the callers of open jobs chose, parked ones included, where it is not the usual."""
    statement = f"SELECT key, choices FROM main.jobs WHERE state IN ({OPEN}) AND choices IS NOT NULL"
    return dict(_readable(connection.execute(statement), _choices_of, lambda _: None))  # the job is left out, too


def _choices_of(row: Sequence[Any]) -> tuple[str, Choices]:
    try:
        return as_text(row[0]), read_choices(row[1])
    except Exception as damage:
        raise JournalError(repr(damage)) from damage


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
        keys = {number: as_text(key) for _, number, key in page if as_text(key) in wanted}
        if keys:
            chosen = f"number IN ({', '.join('?' * len(keys))})"
            rows = connection.execute(f"{_CHANGED} WHERE {chosen} ORDER BY change, number", [*keys]).fetchall()
            entry_of = _entry_of(connection)
            for row in rows:
                try:
                    found.append(entry_of(row))
                except JournalError as error:
                    found.append(Entry(Record(keys[row[-2]], JobState.QUEUED), error))
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
    return [Instruction(kind, as_text(key), _data(data), number) for kind, key, data, number in rows]


def _data(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):  # so that it cannot be carried out, and is dropped
        return {}


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
    reasons = Counter(_class_of(text) for (text,) in connection.execute(parked))
    waiting = "SELECT count(*) FROM main.late_answers WHERE kept = 0"
    (undone,) = connection.execute(f"SELECT (SELECT count(*) FROM main.instructions) + ({waiting})").fetchone()
    return Sharing(lease, reasons, undone, late_answers(connection, kept=True))


def _class_of(text: str) -> str:
    try:
        return type(read_error(text)).__name__
    except Exception:  # noqa: BLE001 - whatever is damaged
        return "unreadable"
