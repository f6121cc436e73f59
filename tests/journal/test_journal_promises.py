"""What every journal promises, whatever keeps its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from records import GENERATION, history, job

from kling_async.api.results import Video
from kling_async.errors import GenerationFailed
from kling_async.journal.base import State

if TYPE_CHECKING:
    from kling_async.journal.base import Journal

pytestmark = pytest.mark.asyncio

OPEN = [state for state in State if not state.is_terminal]
OVER = [state for state in State if state.is_terminal]


async def test_an_unknown_key_or_generation_has_no_record(any_journal: Journal) -> None:
    assert any_journal.get("a") is None
    assert any_journal.find(GENERATION) is None
    assert await any_journal.claim() == []
    assert await history(any_journal) == []


async def test_a_noted_record_counts_at_once(any_journal: Journal) -> None:
    any_journal.note(job())
    assert any_journal.get("a") == job()


async def test_a_committed_record_counts(any_journal: Journal) -> None:
    await any_journal.commit(job())
    assert any_journal.get("a") == job()


async def test_the_newest_record_of_a_key_counts(any_journal: Journal) -> None:
    any_journal.note(job())
    await any_journal.commit(job(state=State.SUBMITTING))
    any_journal.note(job(state=State.UNCERTAIN))
    assert any_journal.get("a") == job(state=State.UNCERTAIN)
    assert await history(any_journal) == [job(state=State.UNCERTAIN)]


async def test_a_note_during_a_commit_is_newer_than_it(any_journal: Journal) -> None:
    any_journal.note(job())
    committing = any_journal.commit(job(state=State.SUBMITTING))
    committing_began = getattr(committing, "send", None)
    assert committing_began is not None
    import asyncio  # noqa: PLC0415

    task = asyncio.ensure_future(committing)
    await asyncio.sleep(0)
    any_journal.note(job(state=State.ABANDONED))
    await task
    assert any_journal.get("a") == job(state=State.ABANDONED)
