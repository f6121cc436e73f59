"""Processes that share a journal's file: leaders that are killed, stopped and go on, judged by the vendor's books."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import sys
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from fault_case import KILL
from fault_vendor import held, is_silent, sells, sold
from postgres import own_schema
from scripted import prompt

from kling_async import JobState, SubmissionUncertain, read_journal
from kling_async.journal.open import open_shared
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Generator

    from fault_case import Case, Child, Watched

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.platform == "win32", reason="a file cannot be shared there, nor a process be stopped"),
]

LEASE = 0.9


@pytest.fixture(params=["sqlite", "postgres"], autouse=True)
def shared_place(request: pytest.FixtureRequest, case: Case) -> Generator[None]:
    """Every case on a file of one machine, and on a database."""
    if request.param == "sqlite":
        yield
        return
    with own_schema() as case.database:
        yield


def member(case: Case, **settings: Any) -> Watched:
    journal = open_shared(case.place, boot_clock, length=settings.pop("length", LEASE))
    return case.session(journal=journal, shared=True, **settings)


async def leader(case: Case, stack: AsyncExitStack, **told: Any) -> Child:
    """Another process that leads."""
    child = await stack.enter_async_context(case.child("shares", lease=LEASE, leads=True, stays=True, **told))
    assert await child.listen() == {"joined": True}
    return child


async def stop(child: Child, case: Case) -> None:
    """Stop a process between its transactions; amid one it would hold up all members until it goes on."""
    child.signal(signal.SIGSTOP)
    while not await asyncio.to_thread(is_unlocked, case):
        child.signal(signal.SIGCONT)
        await asyncio.sleep(0.01)
        child.signal(signal.SIGSTOP)


def is_unlocked(case: Case) -> bool:
    if case.database:
        return True  # no transaction lasts longer than its statement
    with closing(sqlite3.connect(case.path, timeout=0.3, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


async def leads(kling: Watched) -> None:
    while not kling.is_leader:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)


async def test_a_leader_that_is_killed_amid_a_post_is_replaced_and_what_it_bought_is_found(case: Case) -> None:
    case.vendor.submits[1] = sold(is_silent)
    async with case, AsyncExitStack() as stack:
        child = await leader(case, stack)
        async with member(case) as kling:
            job = kling.submit(prompt(), key="k")
            await case.vendor.arrival("submit")
            child.signal(KILL)
            assert (await job).generation_id == "g-1"
            assert kling.is_leader
    assert len(case.vendor.posts) == 1


async def test_a_leader_that_is_stopped_amid_a_post_is_replaced_and_its_late_answer_is_adopted(case: Case) -> None:
    go_on = asyncio.Event()
    case.vendor.submits[1] = held(go_on, sells)
    async with case, AsyncExitStack() as stack:
        child = await leader(case, stack)
        async with member(case) as kling:
            job = kling.submit(prompt(), key="k")
            await case.vendor.arrival("submit")
            await stop(child, case)
            with pytest.raises(SubmissionUncertain):
                await job
            assert kling.is_leader
            go_on.set()
            while not case.vendor.sales:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            child.signal(signal.SIGCONT)
            while next(read_journal(case.place).records()).generation_id is None:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.02)
            again = kling.submit(prompt(), key="k")
            assert (await again).generation_id == "g-1"
            assert kling.is_leader
    assert len(case.vendor.posts) == 1


async def test_a_leader_that_is_stopped_before_its_post_does_not_send_it_later(case: Case) -> None:
    async with case, AsyncExitStack() as stack:
        child = await leader(case, stack, end="stop after submitting")
        async with member(case, reconciliation=None) as kling:  # which would search for an hour
            job = kling.submit(prompt(), key="k")
            await leads(kling)
            assert case.vendor.posts == []
            child.signal(signal.SIGCONT)
            assert (await job).generation_id == "g-1"
            assert kling.is_leader
    assert len(case.vendor.posts) == 1


async def test_a_follower_that_is_killed_takes_no_job_with_it(case: Case) -> None:
    go_on = asyncio.Event()
    case.vendor.submits[1] = held(go_on, sells)
    async with case, member(case) as kling:
        await leads(kling)
        async with case.child("shares", lease=LEASE, keys=["k"], hold=True) as child:
            assert await child.listen() == {"joined": True}
            await case.vendor.arrival("submit")
            child.signal(KILL)
        go_on.set()
        assert (await kling.submit(prompt(), key="k")).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_a_leader_that_leaves_is_replaced_at_once(case: Case) -> None:
    async with case, AsyncExitStack() as stack:
        first = await stack.enter_async_context(member(case, length=600))
        await leads(first)
        async with member(case) as second:
            await first.aclose()
            await leads(second)
            await second.submit(prompt(), key="k")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_members_that_are_killed_and_stopped_again_and_again_buy_every_key_once(
    case: Case, how: signal.Signals
) -> None:
    rng, keys = random.Random(how), [f"k{number}" for number in range(40)]
    for number in range(1, 60, 7):
        case.vendor.submits[number] = sold(is_silent)
    case.vendor.takes = 5
    told: dict[str, Any] = {"lease": LEASE, "stays": True, "after": 5, "submit": 0.5}
    loop = asyncio.get_running_loop()
    async with case, AsyncExitStack() as stack, member(case, hold=True) as kling:
        for _ in range(3):
            children = [
                await stack.enter_async_context(case.child("shares", keys=rng.sample(keys, 20), **told))
                for _ in range(2)
            ]
            for child in children:
                await child.listen()
            await asyncio.sleep(0.1 + rng.random())
            for child in children:
                child.signal(how)
                if how is signal.SIGSTOP:
                    loop.call_later(1.5 * LEASE, child.signal, signal.SIGCONT)
        jobs = [kling.submit(prompt("a raccoon"), key=key) for key in keys]
        await stack.enter_async_context(case.child("shares", **told))
        for job in jobs:
            await job.settled()
    # A process that is killed right before a POST leaves a job of which nobody can know.
    unsent = {job.key for job in jobs if job.state is JobState.UNCERTAIN}
    assert {job.state for job in jobs if job.key not in unsent} == {JobState.COMPLETED}
    assert {sale.key for sale in case.vendor.sales} == set(keys) - unsent
    assert how is signal.SIGKILL or not unsent
