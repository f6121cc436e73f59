"""What a long session keeps in memory of jobs that are over, and of jobs of others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from records import GENERATION, job

from kling_async.journal.base import JobState
from kling_async.journal.sql.unflushed import HashedKeySet, UnflushedRecords

DONE = job(state=JobState.COMPLETED, generation_id=GENERATION)


@given(st.lists(st.text()), st.lists(st.text()))
def test_a_hashed_key_set_has_every_key_it_was_given(early: list[str], late: list[str]) -> None:
    marks = HashedKeySet(early)
    for text in late:
        marks.add(text)
    assert all(text in marks for text in early + late)


@given(st.sets(st.text()), st.text())
def test_a_hashed_key_set_has_no_other_key(texts: set[str], strange: str) -> None:
    assert (strange in HashedKeySet(texts)) == (strange in texts)


def test_a_finished_record_is_dropped_once_it_is_written() -> None:
    newest = UnflushedRecords()
    newest.append(DONE, 1)
    assert newest.find(GENERATION) == DONE
    assert newest.mark_written(DONE, 1)
    assert len(newest) == 0
    assert newest.get("a") is newest.find(GENERATION) is None


def test_an_open_record_stays() -> None:
    newest = UnflushedRecords()
    newest.append(job(), 1)
    assert not newest.mark_written(job(), 1)
    assert newest.get("a") == job()


def test_a_finished_record_stays_while_a_newer_one_waits() -> None:
    newest = UnflushedRecords()
    newest.append(job(state=JobState.ABANDONED), 1)
    newest.append(job(state=JobState.ABANDONED, generation_id=GENERATION), 2)
    assert not newest.mark_written(job(state=JobState.ABANDONED), 1)
    assert newest.find(GENERATION) is not None
    assert newest.mark_written(job(state=JobState.ABANDONED, generation_id=GENERATION), 2)


def test_an_older_record_never_counts_again() -> None:
    newest = UnflushedRecords()
    newest.append(job(state=JobState.PENDING), 2)
    newest.mark_written(job(), 1)
    assert newest.get("a") == job(state=JobState.PENDING)


def test_what_was_read_does_not_replace_what_is_newer() -> None:
    newest = UnflushedRecords()
    newest.append(job(state=JobState.PENDING), 1)
    assert newest.load(job()) == job(state=JobState.PENDING)


def test_what_was_read_is_written() -> None:
    newest = UnflushedRecords()
    newest.load(job("read"))
    newest.append(job("new"), 1)
    assert newest.never_written() == [job("new")]


def test_a_generation_of_two_keys_stays_with_the_later() -> None:
    newest = UnflushedRecords()
    newest.append(DONE, 1)
    newest.append(job("b", JobState.PENDING, generation_id=GENERATION), 2)
    newest.mark_written(DONE, 1)
    found = newest.find(GENERATION)
    assert found is not None
    assert found.key == "b"
