from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from children import child, line
from records import job

from kling_async.errors import JournalError
from kling_async.journal import ownership
from kling_async.journal.reader import JournalReader
from kling_async.journal.sqlite import SQLiteJournal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_a_second_owner_in_the_process_is_told_of_the_first(journal: SQLiteJournal) -> None:
    expected = rf"in use by process {os.getpid()} on {platform.node()} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    with pytest.raises(JournalError, match=expected):
        await SQLiteJournal(journal.path).open()
    await journal.commit(job())


async def test_a_second_owner_in_another_process_is_told_of_the_first(path: Path) -> None:
    with child("hold", path) as process:
        pid = line(process)
        with pytest.raises(JournalError, match=f"in use by process {pid} on "):
            await SQLiteJournal(path).open()


async def test_a_journal_is_not_opened_twice(journal: SQLiteJournal) -> None:
    with pytest.raises(JournalError, match="open already"):
        await journal.open()


async def test_a_link_to_a_journal_is_the_same_journal(journal: SQLiteJournal, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    try:
        link.symlink_to(journal.path)
    except OSError:
        pytest.skip("links are not to be had here")
    with pytest.raises(JournalError, match="in use"):
        await SQLiteJournal(link).open()


async def test_a_killed_owner_leaves_nothing_in_the_way(path: Path, mode: str) -> None:
    with child("hold", path, mode) as process:
        line(process)
    journal = SQLiteJournal(path)
    await journal.open()
    assert await journal.claim() == [job()]
    await journal.close()


async def test_a_closed_journal_can_be_owned_by_the_next(journal: SQLiteJournal) -> None:
    await journal.close()
    second = SQLiteJournal(journal.path)
    await second.open()
    with pytest.raises(JournalError, match="in use"):
        await journal.open()
    await second.close()
    await journal.open()


async def test_of_many_who_come_at_once_one_is_the_owner(path: Path) -> None:
    journals = [SQLiteJournal(path) for _ in range(8)]
    outcomes = await asyncio.gather(*(journal.open() for journal in journals), return_exceptions=True)
    assert sorted(map(str, map(type, outcomes))) == sorted([str(type(None))] + [str(JournalError)] * 7)
    for journal in journals:
        await journal.close()


async def test_readers_are_not_locked_out(journal: SQLiteJournal) -> None:
    await journal.commit(job())
    assert list(JournalReader(journal.path).records()) == [job()]


def hold_unsigned(side: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(side, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


async def test_an_owner_that_has_not_signed_yet_is_another_process(path: Path) -> None:
    first = hold_unsigned(path.with_name("batch.db-owner"))
    with closing(first), pytest.raises(JournalError, match="in use by another process,"):
        await SQLiteJournal(path).open()


async def test_who_was_overtaken_while_signing_signs_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign, others = ownership._sign, ["an overtaker"]

    def overtaken(connection: sqlite3.Connection, signature: str) -> None:
        sign(connection, others.pop() if others else signature)

    monkeypatch.setattr(ownership, "_sign", overtaken)
    with closing(ownership.own(path)) as owner:
        assert others == []
        assert owner.in_transaction
        with pytest.raises(JournalError, match="in use"):
            ownership.own(path)


async def test_an_owners_file_that_is_none_is_named(path: Path) -> None:
    side = path.with_name("batch.db-owner")
    side.write_text("nobody here\n" * 100)
    with pytest.raises(JournalError, match=r"batch\.db-owner: file is not a database"):
        await SQLiteJournal(path).open()


async def test_an_owners_file_that_cannot_be_used_is_named(path: Path) -> None:
    path.with_name("batch.db-owner").mkdir()
    with pytest.raises(JournalError, match=r"journal .*batch\.db-owner: "):
        await SQLiteJournal(path).open()


async def test_an_owners_file_of_something_else_is_named(path: Path) -> None:
    with closing(sqlite3.connect(path.with_name("batch.db-owner"))) as strange:
        strange.execute("CREATE VIEW owner AS SELECT 1")
    with pytest.raises(JournalError, match=r"journal .*batch\.db-owner: use DROP VIEW"):
        await SQLiteJournal(path).open()
