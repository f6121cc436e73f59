"""Processes that end in every way, and what their journals hold then."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from children import child, finished, line
from journal_child import NOTES
from records import history, job

from kling_async.journal.base import JobState
from kling_async.journal.sqlite.journal import SQLiteJournal

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async.journal.base import Record

pytestmark = pytest.mark.asyncio


async def contents(path: Path) -> list[Record]:
    journal = SQLiteJournal(path)
    await journal.open()
    records = await history(journal)
    await journal.close()
    return records


@pytest.mark.parametrize("seed", range(5))
async def test_no_commit_that_returned_is_lost_when_the_process_is_killed(path: Path, mode: str, seed: int) -> None:
    chance = random.Random(seed)
    told: list[int] = []
    for _ in range(2):  # and the second process goes on with what the first left
        with child("commit", path, mode) as process:
            told += [int(line(process)) for _ in range(chance.randrange(1, 400))]
            process.kill()
            rest = process.communicate()[0]
            told += [int(number) for number in rest.rpartition("\n")[0].split()]  # the last line may be half a one
        records = {record.key: record for record in await contents(path)}
        assert records.keys() >= {f"{number}" for number in told}
        assert all(records[f"{number}"].state is JobState.SUBMITTING for number in told)


async def test_the_order_outlives_a_kill(path: Path, mode: str) -> None:
    with child("commit", path, mode) as process:
        for _ in range(300):
            line(process)
    tags = [record.tag for record in await contents(path)]
    assert tags == list(range(len(tags)))
    assert len(tags) >= 300


async def test_a_process_that_closes_nothing_ends_and_loses_nothing(path: Path, mode: str) -> None:
    assert finished("leave", path, mode) == 0
    assert await contents(path) == [job(f"{number}") for number in range(NOTES)]


async def test_a_process_that_fails_ends_and_loses_nothing(path: Path, mode: str) -> None:
    assert finished("stumble", path, mode) == 3
    assert len(await contents(path)) == NOTES


async def test_a_transaction_that_was_torn_never_was(path: Path) -> None:
    with child("hold", path) as process:
        line(process)
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job("b", JobState.FAILED))
    await journal.close()
    assert finished("tear", path) == 9
    assert await contents(path) == [job(), job("b", JobState.FAILED)]
