"""What every journal promises, whatever keeps its records."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from records import GENERATION, history, job

from kling_async.api.results import Video
from kling_async.errors import GenerationFailed
from kling_async.journal.base import JobState

if TYPE_CHECKING:
    from kling_async.journal.base import Journal

pytestmark = pytest.mark.asyncio

OPEN = [state for state in JobState if not state.is_terminal]
OVER = [state for state in JobState if state.is_terminal]


async def test_an_unknown_key_or_generation_has_no_record(any_journal: Journal) -> None:
    assert any_journal.get("a") is None
    assert any_journal.find(GENERATION) is None
    assert await any_journal.load_open() == []
    assert await history(any_journal) == []


async def test_an_appended_record_counts_at_once(any_journal: Journal) -> None:
    any_journal.append(job())
    assert any_journal.get("a") == job()


async def test_a_committed_record_counts(any_journal: Journal) -> None:
    await any_journal.commit(job())
    assert any_journal.get("a") == job()


async def test_the_newest_record_of_a_key_counts(any_journal: Journal) -> None:
    any_journal.append(job())
    await any_journal.commit(job(state=JobState.SUBMITTING))
    any_journal.append(job(state=JobState.UNCERTAIN))
    assert any_journal.get("a") == job(state=JobState.UNCERTAIN)
    assert await history(any_journal) == [job(state=JobState.UNCERTAIN)]


async def test_a_record_appended_during_a_commit_is_newer_than_it(any_journal: Journal) -> None:
    any_journal.append(job())
    committing = asyncio.ensure_future(any_journal.commit(job(state=JobState.SUBMITTING)))
    await asyncio.sleep(0)
    any_journal.append(job(state=JobState.ABANDONED))
    await committing
    assert any_journal.get("a") == job(state=JobState.ABANDONED)


@pytest.mark.parametrize("state", JobState)
async def test_a_generation_finds_its_record_in_every_state(any_journal: Journal, state: JobState) -> None:
    record = job(state=state, generation_id=GENERATION)
    await any_journal.commit(record)
    assert any_journal.find(GENERATION) == record
    assert any_journal.get("a") == record


@pytest.mark.parametrize("state", OPEN)
async def test_open_records_are_loaded(any_journal: Journal, state: JobState) -> None:
    any_journal.append(job(state=state))
    assert await any_journal.load_open() == [job(state=state)]


@pytest.mark.parametrize("state", OVER)
async def test_finished_records_are_not_loaded(any_journal: Journal, state: JobState) -> None:
    any_journal.append(job(state=state))
    assert await any_journal.load_open() == []


async def test_open_records_and_history_come_in_the_order_of_queueing(any_journal: Journal) -> None:
    keys = ["c", "a", "d", "b"]
    for key in keys:
        any_journal.append(job(key))
    await any_journal.commit(job("a", JobState.SUBMITTING))
    await any_journal.commit(job("d", JobState.REJECTED))
    assert [record.key for record in await any_journal.load_open()] == ["c", "a", "b"]
    assert [record.key for record in await history(any_journal)] == keys


async def test_open_records_can_be_loaded_again(any_journal: Journal) -> None:
    any_journal.append(job())
    await any_journal.load_open()
    assert await any_journal.load_open() == [job()]


async def test_outcomes_come_back(any_journal: Journal) -> None:
    video = Video("https://files.example/a.mp4", generation_id=GENERATION)
    await any_journal.commit(job("a", JobState.COMPLETED, video=video))
    await any_journal.commit(job("b", JobState.FAILED, error=GenerationFailed("no raccoons", reason={"code": 7})))
    found = any_journal.get("a")
    assert found is not None
    assert found.video == video
    found = any_journal.get("b")
    assert found is not None
    assert isinstance(found.error, GenerationFailed)
    assert (found.error.message, found.error.reason) == ("no raccoons", {"code": 7})


async def test_history_is_complete_however_long(any_journal: Journal) -> None:
    records = [job(f"{number:04}", JobState.ABANDONED if number % 2 else JobState.QUEUED) for number in range(1001)]
    for record in records:
        any_journal.append(record)
    assert await history(any_journal) == records


async def test_another_session_finds_what_one_left(any_journal: Journal) -> None:
    first, second = job("a", JobState.PENDING, generation_id=GENERATION), job("b", JobState.FAILED)
    any_journal.append(first)
    any_journal.append(second)
    await any_journal.close()
    await any_journal.open()
    assert await any_journal.load_open() == [first]
    assert any_journal.get("b") == second
    assert any_journal.find(GENERATION) == first
    assert await history(any_journal) == [first, second]


async def test_another_session_goes_on_where_one_left(any_journal: Journal) -> None:
    any_journal.append(job())
    await any_journal.close()
    await any_journal.open()
    (record,) = await any_journal.load_open()
    await any_journal.commit(evolve(record, state=JobState.SUBMITTING, attempts=1))
    await any_journal.close()
    await any_journal.open()
    assert await any_journal.load_open() == [job(state=JobState.SUBMITTING, attempts=1)]


async def test_flushing_and_closing_are_good_at_any_time(any_journal: Journal) -> None:
    await any_journal.flush()
    await any_journal.close()
    await any_journal.close()
    await any_journal.flush()


async def test_two_commits_at_once_count_in_their_order(any_journal: Journal) -> None:
    await asyncio.gather(
        any_journal.commit(job(state=JobState.SUBMITTING)),
        any_journal.commit(job(state=JobState.PENDING, generation_id=GENERATION)),
    )
    assert any_journal.get("a") == job(state=JobState.PENDING, generation_id=GENERATION)


async def test_a_text_is_kept_in_place_of_the_one_before(any_journal: Journal) -> None:
    assert await any_journal.load_learned() is None
    await any_journal.save_learned("one")
    await any_journal.flush()
    assert await any_journal.load_learned() == "one"
    await any_journal.save_learned('{"two": "\u00fc\U0001f98a"}')
    await any_journal.flush()
    assert await any_journal.load_learned() == '{"two": "\u00fc\U0001f98a"}'
