"""A journal that was restored to before submits were recorded: nothing is bought twice, and all becomes known."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from postgres import execute, own_schema, schema_of
from records import job

from kling_async import JobState, JournalError, KlingSession, Reconciliation, TextToVideo, read_journal
from kling_async.journal.open import open_shared
from kling_async.journal.shared import Instruction
from kling_async.sandbox import Sandbox
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.asyncio

KEYS = [f"k{number}" for number in range(12)]
SOON = Reconciliation(after=0.5).at_speed(100)


class Place:
    """Where a journal is, and a copy of it."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.is_file = not place.startswith("postgresql")

    def session(self, sandbox: Sandbox, *, hold: bool = False) -> KlingSession:
        journal = open_shared(self.place, boot_clock, length=2.0)
        return sandbox.session(journal=journal, shared=True, hold=hold, reconciliation=SOON)

    def run(self, *statements: str) -> None:
        for statement in statements:
            if self.is_file:
                with closing(sqlite3.connect(self.place, isolation_level=None)) as connection:
                    connection.execute(statement)
            else:
                execute(self.place, statement.replace("main", schema_of(self.place)))

    def copy(self) -> None:
        if self.is_file:
            with closing(sqlite3.connect(self.place)) as whole, closing(sqlite3.connect(f"{self.place}.copy")) as copy:
                whole.backup(copy)
        else:
            for table in ("jobs", "lease"):
                self.run(f"CREATE TABLE main.{table}_then AS SELECT * FROM main.{table}")

    def restore(self) -> None:
        """Bring the copy back, which nobody has open."""
        if self.is_file:
            with closing(sqlite3.connect(self.place)) as whole, closing(sqlite3.connect(f"{self.place}.copy")) as copy:
                copy.backup(whole)
            return
        for table in ("jobs", "lease"):
            self.run(f"TRUNCATE main.{table}", f"INSERT INTO main.{table} SELECT * FROM main.{table}_then")
        self.run("UPDATE main.lease SET system = 'another 00000002'")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Place]:
    if request.param == "sqlite":
        yield Place(str(tmp_path / "batch.db"))
    else:
        with own_schema() as url:
            yield Place(url)


async def test_what_was_bought_before_a_restore_is_found_and_the_rest_is_bought_once(place: Place) -> None:
    async with Sandbox(speed=2000, sigma=0) as sandbox:
        async with place.session(sandbox) as kling:
            await kling.submit(TextToVideo("before"), key="before")
        async with place.session(sandbox, hold=True) as kling:
            for key in KEYS:
                await kling.submit(TextToVideo(key), key=key).recorded()
        place.copy()
        place.run("DELETE FROM main.jobs WHERE key IN ('k10', 'k11')")
        async with place.session(sandbox) as kling:
            await asyncio.gather(*[kling.submit(TextToVideo(key), key=key) for key in KEYS[:10]])
        assert len(sandbox.ledger.purchases) == 11
        place.restore()
        async with place.session(sandbox) as kling:
            await asyncio.gather(*[kling.submit(TextToVideo(key), key=key) for key in KEYS])
        bought = [(one.client_request_id or "").rpartition(":")[0] for one in sandbox.ledger.purchases.values()]
        assert sorted(bought) == sorted(["before", *KEYS])
        ids = {one.generation_id for one in sandbox.ledger.purchases.values()}
    records = list(read_journal(place.place).records())
    assert {record.state for record in records} == {JobState.COMPLETED}
    assert {record.generation_id for record in records} == ids


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_copy_of_the_same_term_is_told_apart_by_its_changes(place: Place, *, is_killed: bool) -> None:
    first = open_shared(place.place, boot_clock)
    await first.open()
    token = await first.take()
    assert token is not None
    term = first.term(token, print)
    await term.open()
    await term.commit(job("a"))
    place.copy()
    await term.commit(job("a", JobState.SUBMITTING))
    await term.close()
    if is_killed:
        await first.changes({"a"})
        assert await first.renew(token)
    else:
        await first.release(token)
    await first.close()
    place.restore()
    place.run("UPDATE lease SET holder = ''")
    for is_trusted in (False, True):
        second = open_shared(place.place, boot_clock)
        await second.open()
        token = await second.take()
        assert token is not None
        term = second.term(token, print)
        await term.open()
        assert [record.key for record in await term.load_open()] == ["a"]
        assert (term.lost_at(job("a")) is None) is is_trusted
        assert ((await second.lease()).lost_at is None) is is_trusted
        second.instruct(Instruction("resume submissions"))
        await second.flush()
        (told,) = (await term.news()).instructions
        term.trust(told.data["seen"])
        term.settle(told)
        await term.close()
        await second.release(token)
        await second.close()


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_only_sessions_that_share_open_a_copy_that_may_have_lost_what_was_bought(place: Place) -> None:
    async with Sandbox(speed=2000, sigma=0) as sandbox:
        async with place.session(sandbox) as kling:
            await kling.submit(TextToVideo("before"), key="before")
        async with place.session(sandbox, hold=True) as kling:
            await kling.submit(TextToVideo("a"), key="a").recorded()
        place.copy()
        async with place.session(sandbox) as kling:
            await kling.submit(TextToVideo("a"), key="a")
        async with sandbox.session(journal=place.place):  # this one has lost nothing
            pass
        place.restore()
        for _ in range(3):
            with pytest.raises(JournalError, match=r"came back from a backup.*open it with shared=True"):
                await sandbox.session(journal=place.place).__aenter__()
        async with place.session(sandbox, hold=True):
            pass
        with pytest.raises(JournalError, match="came back from a backup"):  # nobody has looked yet
            await sandbox.session(journal=place.place).__aenter__()
        async with place.session(sandbox) as kling:
            await kling.submit(TextToVideo("a"), key="a")
        async with sandbox.session(journal=place.place) as kling:
            await kling.submit(TextToVideo("a"), key="a")
        assert len(sandbox.ledger.purchases) == 2


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_a_new_journal_where_one_was_deleted_has_lost_nothing(place: Place, tmp_path: Path) -> None:
    for takings in (3, 2):
        for _ in range(takings):
            member = open_shared(place.place, boot_clock)
            await member.open()
            token = await member.take()
            assert token is not None
            assert (await member.lease()).lost_at is None
            await member.release(token)
            await member.close()
        await asyncio.to_thread((tmp_path / "batch.db").unlink)
