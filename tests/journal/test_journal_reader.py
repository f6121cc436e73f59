from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from children import child, finished, line
from records import job

from kling_async.errors import JournalError
from kling_async.journal.base import JobState
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.reader import SQLiteReader

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async.journal.base import Record


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


@pytest.mark.asyncio
async def test_an_owner_is_read_while_it_writes(journal: SQLiteJournal) -> None:
    records = [job(f"{number}", JobState.FAILED if number % 2 else JobState.QUEUED) for number in range(600)]
    for record in records:
        journal.append(record)
    await journal.flush()
    reader = SQLiteReader(journal.path)
    reading = reader.records()
    found = [next(reading)]
    records.append(job("more"))
    await journal.commit(records[-1])
    found += reading
    assert found == records
    assert reader.counts() == {JobState.QUEUED: 301, JobState.FAILED: 300}


@pytest.mark.asyncio
async def test_one_reader_serves_any_thread(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    reader = SQLiteReader(journal.path)
    found: list[Record] = []
    thread = threading.Thread(target=lambda: found.extend(reader.records()))
    thread.start()
    thread.join()
    assert found == [job()]


@pytest.mark.asyncio
async def test_a_journal_at_rest_is_read_without_a_trace(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    await journal.close()
    before = names(journal.path), journal.path.read_bytes()
    reader = SQLiteReader(journal.path)
    assert list(reader.records()) == [job()]
    assert reader.counts() == {JobState.QUEUED: 1}
    assert (names(journal.path), journal.path.read_bytes()) == before


@pytest.mark.asyncio
async def test_a_journal_whose_owner_was_killed_is_read(path: Path, mode: str) -> None:
    with child("hold", path, mode) as process:
        line(process)
    before = names(path)
    assert list(SQLiteReader(path).records()) == [job()]
    assert names(path) == before


@pytest.mark.asyncio
async def test_a_journal_torn_amid_a_transaction_is_read_as_it_was_before(path: Path) -> None:
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job(state=JobState.FAILED))
    await journal.close()
    assert finished("tear", path) == 9
    plain = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    with closing(plain), pytest.raises(sqlite3.OperationalError, match="readonly"):
        plain.execute("SELECT * FROM jobs")
    assert list(SQLiteReader(path).records()) == [job(state=JobState.FAILED)]


@pytest.mark.asyncio
async def test_reading_never_writes(journal: SQLiteJournal) -> None:
    reader = SQLiteReader(journal.path)
    with reader._connection() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM jobs")


def test_a_missing_journal_is_not_made(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no such file"):
        SQLiteReader(path)
    assert names(path) == []


def test_an_empty_file_is_no_journal_yet(path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="it is empty until a session opens it once"):
        SQLiteReader(path)


@pytest.mark.asyncio
async def test_a_journal_that_went_away_is_said_to_have(path: Path) -> None:
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.close()
    reader = SQLiteReader(path)
    await asyncio.to_thread(path.unlink)
    with pytest.raises(JournalError, match="there is no such file"):
        reader.counts()


@pytest.mark.asyncio
async def test_a_state_yet_to_come_is_a_journal_error(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    await journal.close()
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as connection:
        connection.execute("UPDATE jobs SET state = 'asleep'")
    with pytest.raises(JournalError, match="1 records are in a state that does not exist: 'asleep'"):
        SQLiteReader(journal.path).counts()
    reader = SQLiteReader(journal.path)
    assert list(reader.records()) == []
    assert ["the record of job 'a' cannot be read" in str(error) for error in reader.damaged] == [True]


@pytest.mark.asyncio
async def test_the_repr_names_the_file(journal: SQLiteJournal) -> None:
    assert repr(SQLiteReader(journal.path)) == f"<SQLiteReader {str(journal.path)!r}>"
