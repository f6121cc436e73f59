"""A file is shared, or it has one owner: each refuses the other, in both orders, by any name of the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any

import pytest
from children import child, line, told
from records import blocked, job

from kling_async.errors import JournalError
from kling_async.journal.base import Choices, JobState
from kling_async.journal.sql import queries, writer
from kling_async.journal.sql.rows import write_row
from kling_async.journal.sql.tables import Insertion
from kling_async.journal.sqlite import file, lease
from kling_async.journal.sqlite.connection import connect
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.ownership import LeaderLock
from kling_async.journal.sqlite.reader import SQLiteReader
from kling_async.journal.sqlite.shared import SharedSQLite
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


def member(path: Path) -> SharedSQLite:
    return SharedSQLite(path, now=time)


async def test_an_owner_refuses_members_and_names_itself(path: Path) -> None:
    owner = SQLiteJournal(path)
    await owner.open()
    with pytest.raises(JournalError, match=rf"in use by process {os.getpid()} "):
        await member(path).open()
    await owner.close()
    late = member(path)
    await late.open()
    await late.close()


async def test_members_refuse_an_owner_and_say_how_to_join_them(path: Path, mode: str) -> None:
    first, second = member(path), member(path)
    await first.open()
    await second.open()
    for leaver in (first, second):
        with pytest.raises(JournalError, match="shared by other sessions; open it with shared=True"):
            await SQLiteJournal(path).open()
        await leaver.close()
    owner = SQLiteJournal(path)
    await owner.open()
    await owner.close()
    assert mode


async def test_members_refuse_an_owner_in_another_process(path: Path) -> None:
    shared = member(path)
    await shared.open()
    assert "shared by other sessions" in told("attempt", path)
    assert SQLiteReader(path).counts().total() == 0
    path.with_name("batch.db-owner").read_bytes()
    assert "shared by other sessions" in told("attempt", path)
    await shared.close()
    assert told("attempt", path) == "owned"


async def test_an_owner_under_another_name_is_refused_while_somebody_leads_and_the_other_way_round(path: Path) -> None:
    shared = member(path)
    await shared.open()
    assert await shared.take() is not None
    link = path.with_name("link.db")
    os.link(path, link)
    with pytest.raises(JournalError, match="shared by other sessions"):
        await SQLiteJournal(link).open()
    await shared.close()
    link.unlink()
    owner = SQLiteJournal(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE lease SET holder = ''")
        connection.commit()
    await owner.open()
    os.link(path, link)
    with pytest.raises(JournalError, match="in use by"):
        await member(link).open()
    await owner.close()


async def test_an_owner_has_the_lease_of_a_file_that_was_shared(path: Path) -> None:
    shared = member(path)
    await shared.open()
    token = await shared.take()
    assert token is not None
    await shared.release(token)
    await shared.close()
    owner = SQLiteJournal(path)
    await owner.open()
    await owner.commit(job("a"))
    await owner.close()
    await shared.open()
    lease = await shared.lease()
    assert lease.token.term > token.term
    entry = shared.get("a")
    assert entry is not None
    assert entry.record == job("a")
    await shared.close()


async def test_members_of_different_accounts_refuse_each_other(path: Path) -> None:
    first = SharedSQLite(path, now=time, account="https://one.example")
    await first.open()
    with pytest.raises(
        JournalError, match=r"shares it with https://one.example, and this session would with https://o"
    ):
        await SharedSQLite(path, now=time, account="https://other.example").open()
    same = SharedSQLite(path, now=time, account="https://one.example")
    await same.open()
    await same.close()
    await first.close()
    other = SharedSQLite(path, now=time, account="https://other.example")
    await other.open()
    await other.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not tell")  # noqa: PTH110 - shorter
async def test_a_term_leaves_no_descriptor_open(path: Path) -> None:
    shared = member(path)
    await shared.open()
    counts: list[int] = []
    for _ in range(4):
        token = await shared.take()
        assert token is not None
        term = shared.term(token, print)
        await term.open()
        await term.close()
        await shared.release(token)
        counts.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - names are enough
    assert counts[0] == counts[-1]
    await shared.close()


async def test_a_reader_in_the_process_takes_no_locks_from_a_member(path: Path) -> None:
    shared = member(path)
    await shared.open()
    shared.insert(job("a"), Choices(), print)
    await shared.flush()
    assert SQLiteReader(path).counts().total() == 1
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert "locked" in told("write", path)
        assert SQLiteReader(path).counts().total() == 1
        assert "locked" in told("write", path)
        writer.execute("ROLLBACK")
    await shared.close()


async def test_a_leader_that_is_killed_is_replaced_at_once_and_one_that_is_stopped_once_its_lease_is_over(
    path: Path,
) -> None:
    shared = SharedSQLite(path, now=boot_clock, length=600)
    await shared.open()
    with child("lead", path) as process:
        assert line(process) == "leads"
        process.send_signal(signal.SIGSTOP)
        assert (await shared.lease()).is_held(shared.now())
        assert await shared.take() is None
        for is_held in (True, False):
            told_of = SQLiteReader(path).sharing(boot_clock())
            assert told_of is not None
            assert told_of.lease.is_held(boot_clock()) is is_held
            process.kill()
            process.wait()
    lease = await shared.lease()
    assert (lease.is_held(shared.now()), lease.token.term) == (False, 1)
    token = await shared.take()
    assert token is not None
    assert (await shared.lease()).is_held(shared.now())
    assert await shared.take() is None
    assert await shared.renew(token)
    await shared.close()


async def test_a_lock_whose_file_was_replaced_says_nothing(path: Path) -> None:
    shared, other = member(path), member(path)
    await shared.open()
    assert await shared.take() is not None
    path.with_name("batch.db-leader").rename(path.with_name("gone"))
    await other.open()
    assert (await other.lease()).is_held(time())
    assert await other.take() is None
    await other.close()
    await shared.close()


async def test_a_leader_without_the_lock_is_protected_by_its_lease(path: Path) -> None:
    stopped = LeaderLock(path)
    shared, other = member(path), member(path)
    assert stopped.hold()
    await shared.open()
    await other.open()
    assert await shared.take() is not None
    stopped.close()
    assert (await other.lease()).is_held(time())
    assert await other.take() is None
    await other.close()
    await shared.close()


@pytest.mark.parametrize("taken_over", [True, False])
async def test_a_job_that_is_inserted_while_the_one_that_leads_reads_is_not_missed(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, taken_over: bool
) -> None:
    shared, read = member(path), queries._entry_of
    await shared.open()
    token = await shared.take()
    assert token is not None
    term = shared.term(token, print)
    await term.open()

    def and_another_inserts(connection: Any) -> Any:
        """Between two statements of the leader."""
        monkeypatch.undo()
        with closing(sqlite3.connect(path, isolation_level=None)) as another:
            lease._insert(another, Insertion(job("a"), write_row(job("a")), Choices(), print))
        return read(connection)

    monkeypatch.setattr(queries, "_entry_of", and_another_inserts)
    await (term.load_open() if taken_over else term.news())
    assert [entry.record.key for entry in (await term.news()).entries] == ["a"]
    await term.close()
    await shared.close()


async def test_what_cannot_be_written_for_a_while_is_written_without_anything_that_follows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "connect", partial(connect, timeout=0.01))
    monkeypatch.setattr(writer, "_RETRY_AFTER", 0.01)
    shared = member(path)
    await shared.open()
    token = await shared.take()
    assert token is not None
    term = shared.term(token, print)
    await term.open()
    with blocked(path):
        shared.insert(job("a"), Choices(), print)
        begun = asyncio.create_task(term.commit(job("b", JobState.SUBMITTING)))
        with pytest.raises(JournalError, match="locked"):
            await shared.flush()
    await begun
    while (entry := shared.get("a")) is None:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    assert entry.record == job("a")
    await term.close()
    await shared.close()
