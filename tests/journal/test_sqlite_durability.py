"""What is in the file, and what it takes to get it there."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from records import GENERATION, REQUEST, blocked, history, job, reopened, run

from kling_async.api.requests import ImageToVideo
from kling_async.errors import BadRequest, InvalidRequest, JournalError
from kling_async.journal.base import JobState
from kling_async.journal.sql import queries
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.reader import SQLiteReader
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kling_async.journal.sql.write_queue import Write

pytestmark = pytest.mark.asyncio

IMAGE = "data:image/png;base64," + "aGk" * 50_000


def in_file(path: Path) -> dict[str, JobState]:
    """What another reader sees of the file right now."""
    return {record.key: record.state for record in SQLiteReader(path).records()}


async def test_a_commit_is_in_the_file_when_it_returns(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    assert in_file(journal.path) == {"a": JobState.QUEUED}


async def test_what_was_appended_before_a_commit_is_in_the_file_with_it(journal: SQLiteJournal) -> None:
    journal.append(job("a"))
    journal.append(job("b"))
    await journal.commit(job("b", JobState.SUBMITTING))
    assert in_file(journal.path) == {"a": JobState.QUEUED, "b": JobState.SUBMITTING}


async def test_what_was_begun_to_be_committed_before_a_commit_is_in_the_file_with_it(journal: SQLiteJournal) -> None:
    first = asyncio.ensure_future(journal.commit(job("a")))
    await asyncio.sleep(0)
    await journal.commit(job("b"))
    assert in_file(journal.path) == {"a": JobState.QUEUED, "b": JobState.QUEUED}
    await first


async def test_what_was_appended_before_a_flush_is_in_the_file_after_it(journal: SQLiteJournal) -> None:
    journal.append(job())
    await journal.flush()
    assert in_file(journal.path) == {"a": JobState.QUEUED}


async def test_an_appended_record_is_written_by_itself(journal: SQLiteJournal) -> None:
    reported = asyncio.Event()
    report = journal._on_written

    def spy(writes: Sequence[Write], reason: str | None) -> None:
        report(writes, reason)
        reported.set()

    assert journal._writer is not None
    journal._writer._on_written = spy
    journal.append(job())
    await reported.wait()
    assert in_file(journal.path) == {"a": JobState.QUEUED}


async def test_a_cancelled_commit_counts_once_it_is_written(journal: SQLiteJournal) -> None:
    committing = asyncio.ensure_future(journal.commit(job()))
    await asyncio.sleep(0)
    committing.cancel()
    await journal.flush()
    assert committing.cancelled()
    assert journal.get("a") == job()
    assert in_file(journal.path) == {"a": JobState.QUEUED}


def transactions(journal: SQLiteJournal) -> list[int]:
    """How many writes each transaction from now on has."""
    sizes: list[int] = []
    report = journal._on_written

    def spy(writes: Sequence[Write], reason: str | None) -> None:
        sizes.append(len(writes))
        report(writes, reason)

    assert journal._writer is not None
    journal._writer._on_written = spy
    return sizes


async def test_a_thousand_commits_that_wait_are_one_transaction_and_one_report(journal: SQLiteJournal) -> None:
    sizes, go = transactions(journal), threading.Event()
    assert journal._writer is not None
    journal._writer.ask(lambda _: go.wait())
    commits = [asyncio.ensure_future(journal.commit(job(f"{number}"))) for number in range(1000)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*commits)
    assert sizes == [1000]


async def test_what_comes_within_three_turns_of_a_commit_is_written_with_it(journal: SQLiteJournal) -> None:
    async def after(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await journal.commit(job(f"{turns}"))

    sizes = transactions(journal)
    await asyncio.gather(*map(after, range(4)))
    assert sizes == [4]


async def test_a_commit_that_cannot_be_recorded_is_refused_at_once(journal: SQLiteJournal) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await journal.commit(job(tag=object()))
    assert caught.value.field == "tag"
    with pytest.raises(InvalidRequest):
        journal.append(job(tag=object()))
    assert journal.get("a") is None


async def test_finished_jobs_take_no_memory_and_are_found_all_the_same(journal: SQLiteJournal) -> None:
    record = job(state=JobState.REJECTED, generation_id=GENERATION)
    await journal.commit(record)
    assert "0 jobs in memory" in repr(journal)
    assert journal.get("a") == record
    assert journal.find(GENERATION) == record


async def test_a_finished_job_can_be_appended_once_more(journal: SQLiteJournal) -> None:
    await journal.commit(job(state=JobState.ABANDONED))
    journal.append(job(state=JobState.ABANDONED, generation_id=GENERATION))
    await reopened(journal)
    assert journal.find(GENERATION) == job(state=JobState.ABANDONED, generation_id=GENERATION)


async def test_outcomes_come_back_in_another_session(journal: SQLiteJournal) -> None:
    error = BadRequest("no", status=400, path="body.prompt", body={"a": [1]}, enveloped=True)
    await journal.commit(job(state=JobState.REJECTED, error=error.about(**WHO), file="out/\udcff.mp4", file_size=7))
    record = (await reopened(journal)).get("a")
    assert record is not None
    assert type(record.error) is BadRequest
    assert vars(record.error) == vars(error)
    assert (record.file, record.file_size) == ("out/\udcff.mp4", 7)


WHO: Any = {"key": "a", "generation_id": None, "last_status": None, "polls": 0}


async def test_what_changed_is_all_that_later_writes_need(journal: SQLiteJournal) -> None:
    record = job(request=ImageToVideo(IMAGE), tag={"a": [1, None]})
    await journal.commit(record)
    record = evolve(record, state=JobState.PENDING, generation_id=GENERATION, attempts=1)
    await journal.commit(record)
    assert await (await reopened(journal)).load_open() == [record]


async def test_media_are_stored_once_for_all_jobs(journal: SQLiteJournal) -> None:
    for number in range(20):
        journal.append(job(f"{number}", request=ImageToVideo(IMAGE, prompt=f"{number}")))
    records = await (await reopened(journal)).load_open()
    assert [record.request for record in records] == [ImageToVideo(IMAGE, prompt=f"{n}") for n in range(20)]
    await journal.close()
    assert len(IMAGE) < journal.path.stat().st_size < 2 * len(IMAGE)


async def test_jobs_that_share_media_share_their_memory(journal: SQLiteJournal) -> None:
    for number in range(2):
        journal.append(job(f"{number}", request=ImageToVideo(IMAGE)))
    first, second = await (await reopened(journal)).load_open()
    assert isinstance(first.request, ImageToVideo)
    assert isinstance(second.request, ImageToVideo)
    assert first.request.image_url is second.request.image_url


async def test_history_tells_what_changed_while_it_was_read(journal: SQLiteJournal) -> None:
    for number in range(3):
        journal.append(job(f"{number}"))
    await reopened(journal)
    told = []
    async for record in journal.history():
        told.append(record.state)
        if len(told) == 1:
            await journal.commit(job("1", JobState.ABANDONED))  # and is not kept in memory then
            journal.append(job("2", JobState.SUBMITTING))
    assert told == [JobState.QUEUED, JobState.ABANDONED, JobState.SUBMITTING]


async def test_a_job_appended_without_being_loaded_is_one_job(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    await reopened(journal)
    with blocked(journal.path):
        await run(journal, "PRAGMA busy_timeout = 0")
        journal.append(job(state=JobState.SUBMITTING))
        assert await journal.load_open() == [job(state=JobState.SUBMITTING)]
        assert await history(journal) == [job(state=JobState.SUBMITTING)]


async def test_loading_finds_what_was_appended_before(journal: SQLiteJournal) -> None:
    journal.append(job("a"))
    journal.append(job("b"))
    await reopened(journal)
    journal.append(job("b", JobState.ABANDONED))
    journal.append(job("c"))
    assert await journal.load_open() == [job("a"), job("c")]


async def test_a_closed_journal_takes_nothing(path: Path) -> None:
    journal = SQLiteJournal(path)
    for _ in range(2):
        with pytest.raises(JournalError, match="not open"):
            journal.append(job())
        with pytest.raises(JournalError, match="not open"):
            await journal.commit(job())
        with pytest.raises(JournalError, match="not open"):
            await journal.load_open()
        await journal.open()
        await journal.close()


async def test_a_closed_journal_keeps_what_it_had_in_memory_but_reads_no_file(journal: SQLiteJournal) -> None:
    await journal.commit(job("a"))
    await journal.commit(job("b", JobState.FAILED))
    await journal.close()
    assert journal.get("a") == job("a")
    with pytest.raises(JournalError, match="not open"):
        journal.get("b")


async def test_closing_leaves_one_plain_file_and_the_owners_and_no_thread(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    await journal.close()
    assert sorted(file.name for file in journal.path.parent.iterdir()) == ["batch.db", "batch.db-owner"]
    assert not [thread for thread in threading.enumerate() if "journal" in thread.name]


async def test_a_cancelled_close_is_done_all_the_same(journal: SQLiteJournal) -> None:
    assert journal._writer is not None
    thread = journal._writer._thread
    journal.append(job())
    closing_ = asyncio.ensure_future(journal.close())
    await asyncio.sleep(0)
    closing_.cancel()
    await asyncio.gather(closing_, return_exceptions=True)
    thread.join()
    assert in_file(journal.path) == {"a": JobState.QUEUED}
    await journal.open()


async def test_a_cancelled_opening_lets_go_of_the_file(path: Path) -> None:
    journal = SQLiteJournal(path)
    opening = asyncio.ensure_future(journal.open())
    await asyncio.sleep(0)
    assert journal._writer is not None
    thread = journal._writer._thread
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    thread.join()
    await journal.open()
    await journal.close()


async def test_a_cancelled_query_disturbs_no_other(journal: SQLiteJournal) -> None:
    go = threading.Event()
    await journal.commit(job())
    journal._opened().ask(lambda _: go.wait())
    loading = asyncio.ensure_future(journal._ask(queries.open_records))
    await asyncio.sleep(0)
    loading.cancel()
    go.set()
    assert await journal.load_open() == [job()]
    assert loading.cancelled()


async def test_the_repr_says_how_it_stands(journal: SQLiteJournal) -> None:
    journal.append(job())
    assert repr(journal) == f"<SQLiteJournal {str(journal.path)!r} open, 1 jobs in memory>"
    await journal.close()
    assert repr(journal) == f"<SQLiteJournal {str(journal.path)!r} closed>"


async def test_no_file_holds_the_key(path: Path) -> None:
    sandbox = Sandbox(speed=2000, seed=1, api_key="nobody-may-read-this")
    async with sandbox, sandbox.session(journal=SQLiteJournal(path)) as kling:
        await asyncio.gather(*(kling.submit(REQUEST) for _ in range(3)))
    assert set(in_file(path).values()) == {JobState.COMPLETED}
    contents = [file.read_bytes() for file in path.parent.iterdir()]
    assert len(contents) == 2
    assert not any(b"nobody-may-read-this" in content for content in contents)
