"""A shared journal that has lost commits: what was bought is found in the account's log before more is bought."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ScriptedVendor, answer, prompt, session
from shared_memory import Database
from virtual import virtual

from kling_async import DeadlineExceeded, JobState, JournalError, Polling, Reconciliation

if TYPE_CHECKING:
    from kling_async import KlingSession

pytestmark = pytest.mark.usefixtures("silent")

MODEL = "klingai/v2.1-master-text-to-video"
AFTER = 100.0


def member(database: Database, vendor: ScriptedVendor, **settings: Any) -> KlingSession:
    settings.setdefault("reconciliation", Reconciliation(after=AFTER))
    return session(vendor, journal=database.member(), shared=True, polling=Polling.fixed(10), **settings)


def row(vendor: ScriptedVendor, name: str | None, generation_id: str | None, **more: Any) -> None:
    """Have the log show a request that was made just now."""
    created = (datetime(2027, 1, 15, 8, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())).isoformat()
    told = {"created": created, "status": "succeeded", "model": MODEL, "inference_id": generation_id}
    vendor.rows.insert(0, told | {"client_request_id": name} | more)


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells of it, and time is virtual
        await asyncio.sleep(0.01)


async def queued(database: Database, vendor: ScriptedVendor, *keys: str, **settings: Any) -> None:
    """Have jobs queued that nobody submits."""
    async with member(database, vendor, hold=True) as kling:
        for key in keys:
            await kling.submit(prompt(key), key=key, **settings).recorded()


async def restored(*keys: str, bought: int) -> tuple[Database, ScriptedVendor]:
    """A journal as it was before the first of these keys were submitted, and the vendor that has them."""
    vendor, database = ScriptedVendor(takes=5), Database()
    await queued(database, vendor, *keys)
    copy = database.snapshot()
    for key in keys[bought:]:
        database.rows.pop(key)
    async with member(database, vendor) as kling:
        await asyncio.gather(*[kling.submit(prompt(key), key=key) for key in keys[:bought]])
    for name in vendor.names:
        row(vendor, name, vendor_id(vendor, name))
    copy.restored_at = now()
    return copy, vendor


def vendor_id(vendor: ScriptedVendor, name: str) -> str:
    return f"g{vendor.names.index(name) + 1}"


def now() -> float:
    return datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp() + asyncio.get_running_loop().time()


@virtual
async def test_what_was_bought_is_adopted_and_what_was_not_is_bought_once_the_log_was_read_late_enough() -> None:
    database, vendor = await restored("a", "b", "c", "d", bought=2)
    begun = asyncio.get_running_loop().time()
    async with member(database, vendor) as kling:
        jobs = [kling.submit(prompt(key), key=key) for key in "abcd"]
        assert [(await job).generation_id for job in jobs[:2]] == ["g1", "g2"]
        assert asyncio.get_running_loop().time() < begun + AFTER / 2
        assert [job.state for job in jobs[2:]] == [JobState.QUEUED] * 2
        assert {(await job).generation_id for job in jobs[2:]} == {"g3", "g4"}
        assert asyncio.get_running_loop().time() > begun + AFTER
    assert sorted(name.rpartition(":")[0] for name in vendor.names) == ["a", "b", "c", "d"]
    assert {record.state for record in database.records} == {JobState.COMPLETED}
    assert {record.client_request_id for record in database.records} == set(vendor.names)


@virtual
async def test_what_is_queued_after_the_loss_does_not_wait() -> None:
    database, vendor = await restored("a", bought=1)
    async with member(database, vendor) as kling:
        begun = asyncio.get_running_loop().time()
        await asyncio.sleep(1)
        await kling.submit(prompt("new"), key="new").accepted()
        assert asyncio.get_running_loop().time() < begun + 5


@virtual
async def test_a_leader_that_comes_later_finds_it_out_at_once() -> None:
    database, vendor = await restored("a", "b", bought=1)
    await asyncio.sleep(AFTER)
    begun = asyncio.get_running_loop().time()
    async with member(database, vendor) as kling:
        assert (await kling.submit(prompt("a"), key="a")).generation_id == "g1"
        await kling.submit(prompt("b"), key="b").accepted()
        assert asyncio.get_running_loop().time() < begun + AFTER / 2
    assert len(vendor.names) == 2


@virtual
async def test_a_log_that_cannot_be_read_leaves_jobs_withheld_until_somebody_trusts_it() -> None:
    database, vendor = await restored("a", bought=0)
    vendor.on_logs = lambda _: answer(500, "<html>")
    async with member(database, vendor, reconciliation=Reconciliation(after=AFTER).at_speed(60)) as kling:
        job = kling.submit(prompt("a"), key="a")
        with pytest.raises(JournalError, match=r"may have lost that this job was bought.*could not be read to its end"):
            await job
        assert job.state is JobState.QUEUED
        assert not vendor.names
        kling.resume_submissions()
        await kling.submit(prompt("a"), key="a")
    assert len(vendor.names) == 1


@virtual
async def test_somebody_who_trusts_it_ends_the_wait_of_what_is_withheld() -> None:
    database, vendor = await restored("a", bought=0)
    async with member(database, vendor) as kling:
        job = kling.submit(prompt("a"), key="a")
        await asyncio.sleep(30)
        assert not vendor.names
        kling.resume_submissions()
        await job.accepted()
        assert asyncio.get_running_loop().time() < AFTER


@virtual
@pytest.mark.parametrize(
    ("name", "generation_id", "more", "is_bought"),
    [
        ("a:other", None, {}, False),  # it was bought, as something unknown
        ("a:other", "g9", {"model": "klingai/other"}, False),
        (None, "g9", {}, False),  # it may have been
        ("a:other", None, {"status": "failed"}, True),
        (None, "g9", {"status": "failed"}, True),
        (None, "g9", {"model": "klingai/other"}, True),
        ("b:other", "g9", {}, True),
    ],
)
async def test_what_the_log_cannot_tell_is_not_bought(
    name: str | None, generation_id: str | None, more: dict[str, Any], *, is_bought: bool
) -> None:
    vendor, database = ScriptedVendor(takes=5), Database()
    await queued(database, vendor, "a")
    row(vendor, name, generation_id, **more)
    database.restored_at = now()
    async with member(database, vendor) as kling:
        job = kling.submit(prompt("a"), key="a")
        if is_bought:
            await job
        else:
            with pytest.raises(JournalError, match="may have lost that this job was bought"):
                await job
    assert len(vendor.names) == is_bought


@virtual
async def test_rows_without_names_are_others_where_the_log_shows_the_names_of_this_journal() -> None:
    database, vendor = await restored("a", "b", bought=1)
    row(vendor, None, "g9")
    async with member(database, vendor) as kling:
        await asyncio.gather(*[kling.submit(prompt(key), key=key) for key in "ab"])
    assert len(vendor.names) == 2


@virtual
async def test_a_generation_that_failed_is_not_bought_again_but_by_choice() -> None:
    vendor, database = ScriptedVendor(takes=5), Database()
    await queued(database, vendor, "a")
    row(vendor, "a:other", "g9", status="failed")
    database.restored_at = now()
    async with member(database, vendor) as kling:
        job = await kling.submit(prompt("a"), key="a").settled()
        assert (job.state, job.generation_id) == (JobState.FAILED, "g9")
        await asyncio.sleep(5)
        again = kling.submit(prompt("a"), key="a", retry_failed=True)
        await again  # of what was lost nothing says that this was bought, too
    assert len(vendor.names) == 1


@virtual
async def test_a_job_that_failed_before_is_looked_for_before_it_is_bought_again() -> None:
    vendor, database = ScriptedVendor(takes=5), Database()
    await queued(database, vendor, "a")
    (entry,) = [one.entry for one in database.rows.values()]
    from attrs import evolve  # noqa: PLC0415 - beside its use

    database.rows["a"].entry = evolve(
        entry, record=evolve(entry.record, former_generation_ids=("g1",), attempts=1, client_request_id="a:1")
    )
    row(vendor, "a:1", "g1", status="failed")
    row(vendor, "a:2", "g2")
    database.restored_at = now()
    async with member(database, vendor) as kling:
        assert (await kling.submit(prompt("a"), key="a")).generation_id == "g2"
    assert not vendor.names


@virtual
async def test_its_deadline_ends_the_wait_for_what_is_withheld() -> None:
    vendor, database = ScriptedVendor(takes=5), Database()
    await queued(database, vendor, "a", deadline=60)
    database.restored_at = now()
    async with member(database, vendor) as kling:
        with pytest.raises(DeadlineExceeded, match="it is not known yet whether it was bought"):
            await kling.submit(prompt("a"), key="a", deadline=60)
    assert not vendor.names


@virtual
async def test_a_member_whose_jobs_were_lost_asks_for_them_again() -> None:
    vendor, database = ScriptedVendor(takes=5), Database()
    async with member(database, vendor, hold=True) as asking:
        copy = database.snapshot()
        async with member(database, vendor) as kling:
            jobs = [asking.submit(prompt(key), key=key) for key in "ab"]
            await jobs[0].accepted()
            await until(lambda: len(vendor.names) == 2)
            assert kling.is_leader
        for name in vendor.names:
            row(vendor, name, vendor_id(vendor, name))
        database.rows, database.restored_at = copy.rows, now()
        async with member(database, vendor):
            assert {(await job).generation_id for job in jobs} == {"g1", "g2"}
    assert len(vendor.names) == 2
