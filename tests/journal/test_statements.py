"""The statements that write a journal's rows: how few they are, and that they hold together."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from records import job

from kling_async.api.requests import ImageToVideo
from kling_async.journal.base import JobState
from kling_async.journal.sql import queries
from kling_async.journal.sql.rows import write_row
from kling_async.journal.sqlite import statements
from kling_async.journal.sqlite.schema import bring_up_to_date

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from kling_async.journal.base import Record

JOBS = [job(f"{number:03}") for number in range(257)]


@pytest.fixture
def connection() -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        bring_up_to_date(connection, Path("batch.db"))
        yield connection


def records(connection: sqlite3.Connection) -> list[Record]:
    first, place = queries.page(connection, 0)
    return first + queries.page(connection, place or 0)[0]


def submitting(jobs: Sequence[Record]) -> list[Record]:
    return [evolve(record, state=JobState.SUBMITTING, attempts=1, last_status=record.key) for record in jobs]


@pytest.mark.parametrize("many", [1, 2, 8, 33, 256, 257])
def test_any_number_of_rows_is_written_and_written_anew(connection: sqlite3.Connection, many: int) -> None:
    queued = JOBS[:many]
    statements.write(connection, map(write_row, queued))
    assert records(connection) == queued
    begun = submitting(queued)
    statements.write(connection, map(write_row, begun, queued))
    assert records(connection) == begun


def test_of_many_rows_of_a_job_the_last_one_counts_in_the_place_of_the_first(connection: sqlite3.Connection) -> None:
    first, second = job("b"), job("a")
    begun, pending = submitting([first])[0], evolve(first, state=JobState.PENDING)
    rows = [write_row(first), write_row(second), write_row(begun, first), write_row(pending, begun)]
    statements.write(connection, rows)
    assert records(connection) == [pending, second]


def test_a_row_that_is_whole_replaces_one_that_is_not(connection: sqlite3.Connection) -> None:
    first = job("a")
    statements.write(connection, [write_row(first)])
    begun, other = submitting([first])[0], job("a", JobState.ABANDONED, tag="another")
    statements.write(connection, [write_row(begun, first), write_row(other, begun)])
    assert records(connection) == [other]


def test_media_are_written_with_a_row_that_another_one_follows(connection: sqlite3.Connection) -> None:
    first = job("a", request=ImageToVideo("data:image/png;base64,aGk="))
    begun = submitting([first])[0]
    statements.write(connection, [write_row(first), write_row(begun, first)])
    assert records(connection) == [begun]


@pytest.mark.parametrize("many", [2, 257])
def test_where_one_row_cannot_be_written_none_is(connection: sqlite3.Connection, many: int) -> None:
    rows = [write_row(record) for record in JOBS[:many]]
    rows[-1] = evolve(rows[-1], changing=(None, *rows[-1].changing[1:]))  # no state
    with pytest.raises(sqlite3.IntegrityError):
        statements.write(connection, rows)
    assert records(connection) == []
    assert not connection.in_transaction


def test_what_changes_of_many_jobs_is_one_statement(connection: sqlite3.Connection) -> None:
    queued = JOBS[:200]
    statements.write(connection, map(write_row, queued))
    executed: list[str] = []
    connection.set_trace_callback(executed.append)
    statements.write(connection, map(write_row, submitting(queued), queued))
    assert len(executed) == 1
