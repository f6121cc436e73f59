"""Full disks, blocked files and broken reads: what was promised is kept, and the rest is said."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from records import blocked, history, job, reopened, run

from kling_async.api.requests import ImageToVideo
from kling_async.errors import JournalError
from kling_async.journal.base import JobState
from kling_async.journal.sql import queries
from kling_async.journal.sqlite.journal import SQLiteJournal

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from kling_async.journal.base import Record

LARGE = "x" * 20_000  # more than the file has room for


async def fill_disk(journal: SQLiteJournal) -> None:
    """Have no room for another page."""
    ((pages,),) = await run(journal, "PRAGMA page_count")
    await run(journal, f"PRAGMA max_page_count = {pages}")


async def empty_disk(journal: SQLiteJournal) -> None:
    await run(journal, "PRAGMA max_page_count = 1000000")


@pytest.mark.asyncio
async def test_on_a_full_disk_a_commit_fails_and_counts_for_nothing(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    await fill_disk(journal)
    with pytest.raises(JournalError, match=r"batch\.db: database or disk is full"):
        await journal.commit(job(state=JobState.SUBMITTING, tag=LARGE))
    assert journal.get("a") == job()
    await empty_disk(journal)
    assert await (await reopened(journal)).load_open() == [job()]


@pytest.mark.asyncio
async def test_a_failed_first_commit_leaves_nothing(journal: SQLiteJournal) -> None:
    await fill_disk(journal)
    with pytest.raises(JournalError):
        await journal.commit(job(tag=LARGE))
    assert journal.get("a") is None
    await empty_disk(journal)
    await journal.commit(job("b"))
    assert await history(await reopened(journal)) == [job("b")]


@pytest.mark.asyncio
async def test_all_commits_of_a_failed_transaction_fail(journal: SQLiteJournal) -> None:
    await fill_disk(journal)
    commits = (journal.commit(job(f"{number}", tag=LARGE)) for number in range(5))
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [JournalError] * 5
    assert len(set(map(id, outcomes))) == 5


@pytest.mark.asyncio
async def test_appended_records_are_written_later_in_their_order(journal: SQLiteJournal) -> None:
    await fill_disk(journal)
    records = [job("b", tag=LARGE), job("a", tag=LARGE)]
    for record in records:
        journal.append(record)
    with pytest.raises(JournalError, match="disk is full"):
        await journal.flush()
    assert [journal.get("b"), journal.get("a")] == records
    assert await journal.load_open() == records
    assert await history(journal) == records
    await empty_disk(journal)
    await journal.commit(job("c"))
    assert await history(await reopened(journal)) == [*records, job("c")]


@pytest.mark.asyncio
async def test_a_record_appended_after_a_failed_commit_is_whole(journal: SQLiteJournal) -> None:
    with blocked(journal.path):
        await run(journal, "PRAGMA busy_timeout = 0")
        with pytest.raises(JournalError, match="locked"):
            await journal.commit(job(state=JobState.SUBMITTING))
        journal.append(job())
    await journal.flush()
    assert await (await reopened(journal)).load_open() == [job()]


@pytest.mark.asyncio
async def test_a_finished_job_stays_in_memory_while_it_is_not_in_the_file(journal: SQLiteJournal) -> None:
    await journal.commit(job(state=JobState.PENDING))
    with blocked(journal.path):
        await run(journal, "PRAGMA busy_timeout = 0")
        journal.append(job(state=JobState.FAILED))
        with pytest.raises(JournalError):
            await journal.flush()
        assert journal.get("a") == job(state=JobState.FAILED)
        assert await history(journal) == [job(state=JobState.FAILED)]
    await journal.flush()
    assert "0 jobs" in repr(journal)


@pytest.mark.asyncio
async def test_a_record_appended_during_a_commit_that_fails_counts(journal: SQLiteJournal) -> None:
    queued = job()
    journal.append(queued)
    await fill_disk(journal)
    committing = asyncio.ensure_future(journal.commit(evolve(queued, state=JobState.SUBMITTING, tag=LARGE)))
    await asyncio.sleep(0)
    abandoned = evolve(queued, state=JobState.ABANDONED)
    journal.append(abandoned)
    with pytest.raises(JournalError):
        await committing
    assert journal.get("a") == abandoned
    await empty_disk(journal)
    assert (await reopened(journal)).get("a") == abandoned


@pytest.mark.asyncio
async def test_what_cannot_be_written_until_the_end_is_said(journal: SQLiteJournal) -> None:
    await fill_disk(journal)
    journal.append(job(tag=LARGE))
    with pytest.raises(JournalError, match="disk is full"):
        await journal.close()
    with pytest.raises(JournalError, match="disk is full"):
        await journal.flush()
    await journal.open()
    await journal.flush()
    assert await history(journal) == []


@pytest.mark.asyncio
async def test_failed_commits_are_no_concern_of_closing(journal: SQLiteJournal) -> None:
    await fill_disk(journal)
    with pytest.raises(JournalError):
        await journal.commit(job(tag=LARGE))
    await journal.close()


@pytest.mark.asyncio
async def test_trouble_is_logged_when_it_begins_and_when_it_ends(
    journal: SQLiteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    await fill_disk(journal)
    for _ in range(3):
        with pytest.raises(JournalError):
            await journal.commit(job(tag=LARGE))
    await empty_disk(journal)
    await journal.commit(job())
    messages = [r.getMessage() for r in caplog.records if r.name == "kling_async.journal"]
    assert [message.rpartition(": ")[2] for message in messages] == [
        "database or disk is full",
        "everything is written again",
    ]
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.asyncio
async def test_a_file_that_breaks_while_it_is_read_is_a_journal_error(journal: SQLiteJournal) -> None:
    await journal.commit(job(state=JobState.FAILED))
    await run(journal, "ALTER TABLE jobs RENAME TO gone")
    with pytest.raises(JournalError, match=r"batch\.db: no such table"):
        journal.get("a")
    with pytest.raises(JournalError):
        await history(journal)
    with pytest.raises(JournalError):
        await journal.load_open()
    await run(journal, "ALTER TABLE gone RENAME TO jobs")
    assert journal.get("a") == job(state=JobState.FAILED)


@pytest.mark.asyncio
async def test_media_that_went_missing_are_a_journal_error_of_that_job_only(journal: SQLiteJournal) -> None:
    await journal.commit(job("a", JobState.FAILED))
    await journal.commit(job("b", JobState.FAILED, request=ImageToVideo("data:image/png;base64,aGk=")))
    await run(journal, "DELETE FROM media")
    assert journal.get("a") == job("a", JobState.FAILED)
    with pytest.raises(JournalError, match="record of job 'b' cannot be read"):
        journal.get("b")


@pytest.mark.asyncio
async def test_a_record_that_is_damaged_keeps_no_session_from_the_others(
    journal: SQLiteJournal, caplog: pytest.LogCaptureFixture
) -> None:
    for key in "abc":
        await journal.commit(job(key))
    await run(journal, "UPDATE jobs SET polls = 'many' WHERE key = 'b'")
    journal = await reopened(journal)
    assert [record.key for record in await journal.load_open()] == ["a", "c"]
    assert [record.key for record in await history(journal)] == ["a", "c"]
    assert "the record of job 'b' cannot be read" in caplog.text
    with pytest.raises(JournalError, match="the record of job 'b' cannot be read"):
        journal.get("b")


@pytest.mark.asyncio
async def test_a_bug_on_the_thread_is_reported_and_hangs_no_waiter(
    journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, dying = threading.Event(), threading.Event()
    bugs: list[BaseException | None] = []

    def die(_: sqlite3.Connection) -> NoReturn:
        dying.set()
        asked.wait()
        raise RuntimeError("a bug")

    monkeypatch.setattr(threading, "excepthook", lambda args: bugs.append(args.exc_value))
    monkeypatch.setattr(journal._opened(), "_run_batch", die)
    journal._opened().ask(lambda _: None)
    await asyncio.to_thread(dying.wait)
    journal.append(job("a"))
    late: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(journal.commit(job("b"))),
        asyncio.ensure_future(journal._ask(queries.open_records)),
    ]
    cancelled = asyncio.ensure_future(journal._ask(queries.open_records))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    asked.set()
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert [str(outcome).rpartition(": ")[2] for outcome in outcomes] == ["its thread has ended"] * 2
    with pytest.raises(JournalError, match="its thread has ended"):
        await journal.close()
    assert [str(bug) for bug in bugs] == ["a bug"]


# Key, state, whether it is committed rather than appended, whether it needs room, and whether there is none.
steps_taken = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([JobState.QUEUED, JobState.PENDING, JobState.FAILED, JobState.COMPLETED]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=40)
@given(st.lists(steps_taken, max_size=12))
def test_a_journal_in_any_trouble_is_what_its_answers_say(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, JobState, bool, bool, bool]]
) -> None:
    asyncio.run(_through(tmp_path_factory.mktemp("journal") / "batch.db", steps))


async def _through(path: Path, steps: list[tuple[str, JobState, bool, bool, bool]]) -> None:
    journal = SQLiteJournal(path)
    await journal.open()
    expected: dict[str, Record] = {}
    for number, (key, state, committed, large, full) in enumerate(steps):
        record = job(key, state, tag=LARGE if large else None, polls=number)
        await (fill_disk if full else empty_disk)(journal)
        if not committed:
            journal.append(record)
            expected[key] = record
        elif await _committed(journal, record):
            expected[key] = record
        assert {key: journal.get(key) for key in expected} == expected
    await empty_disk(journal)
    await journal.close()
    await journal.open()
    assert {record.key: record for record in await history(journal)} == expected
    await journal.close()


async def _committed(journal: SQLiteJournal, record: Record) -> bool:
    try:
        await journal.commit(record)
    except JournalError:
        return False
    return True
