"""Leaving a session settles its jobs and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from scripted import ScriptedVendor, only_mine, prompt, promptly, session
from virtual import VirtualLoop, virtual

from kling_async import (
    ConfigurationError,
    JobState,
    Limits,
    MemoryJournal,
    SessionClosed,
    Timeouts,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from pathlib import Path

    from kling_async import Record

pytestmark = pytest.mark.usefixtures("silent")


def now() -> float:
    return asyncio.get_running_loop().time()


# Jobs that are open


@virtual
async def test_leaving_does_not_wait_for_jobs() -> None:
    async with session(ScriptedVendor(takes=200.0)) as kling:
        job = kling.submit(prompt())
        await job.accepted()

    assert now() == 0.0
    assert job.done()
    assert only_mine()


@virtual
async def test_leaving_asks_the_vendor_nothing_more() -> None:
    vendor = ScriptedVendor()
    async with session(vendor, limits=Limits(max_submits=1)) as kling:
        jobs = [kling.submit(prompt()) for _ in range(3)]
        await jobs[0].accepted()
        asked = len(vendor.requests)

    await asyncio.sleep(1000.0)

    assert len(vendor.requests) - asked <= 1  # one submit was on its way


@virtual
async def test_a_job_that_closing_settles_says_how_to_go_on() -> None:
    async with session(ScriptedVendor(takes=1000.0)) as kling:
        job = kling.submit(prompt(), key="row-7")
        await asyncio.sleep(500.0)
        polls = job.polls

    error = job.exception()
    assert isinstance(error, SessionClosed)
    assert (error.key, error.generation_id, error.last_status) == ("row-7", "g1", "generating")
    assert error.polls == polls > 0
    assert job.state is JobState.PENDING


@virtual
async def test_closing_settles_every_open_job_and_wakes_everyone() -> None:
    async with session(ScriptedVendor(), limits=Limits(max_in_flight=2, burst=9)) as kling:
        jobs = [kling.submit(prompt(), key=f"k{n}") for n in range(5)]
        waiting = [asyncio.create_task(job.settled()) for job in jobs]
        await asyncio.sleep(1.0)

    await asyncio.gather(*waiting)
    assert [type(job.exception()) for job in jobs] == [SessionClosed] * 5
    assert [job.state for job in jobs] == [JobState.PENDING] * 2 + [JobState.QUEUED] * 3
    assert kling.pending == ()
    assert kling.stats().interrupted == 5


@virtual
async def test_what_settled_before_the_close_stays_as_it_is() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        video = await job

    assert await job is video


@virtual
async def test_each_job_gets_an_error_of_its_own() -> None:
    async with session(ScriptedVendor()) as kling:
        one, other = kling.submit(prompt(), key="one"), kling.submit(prompt(), key="other")

    errors = one.exception(), other.exception()
    assert [error and error.key for error in errors] == ["one", "other"]


@virtual
async def test_drain_waits_for_all_jobs_those_included_that_come_meanwhile() -> None:
    async with session(ScriptedVendor()) as kling:
        first = kling.submit(prompt())
        late = []
        first.add_done_callback(lambda _: late.append(kling.submit(prompt())))

        await kling.drain()

        assert first.done()
        assert late[0].result().generation_id == "g2"


@virtual
async def test_closing_ends_a_drain() -> None:
    async with session(ScriptedVendor()) as kling:
        kling.submit(prompt())
        draining = asyncio.create_task(kling.drain())
        await asyncio.sleep(1.0)

    await draining


@virtual
async def test_drain_returns_at_once_where_there_is_nothing_to_wait_for() -> None:
    kling = session(ScriptedVendor())
    await kling.drain()
    async with kling:
        await kling.drain()
    await kling.drain()

    assert now() == 0.0


# POSTs under way


@virtual
async def test_a_post_under_way_is_let_finish_and_its_id_is_kept() -> None:
    async with session(ScriptedVendor(latency=5.0)) as kling:
        job = kling.submit(prompt())
        await asyncio.sleep(1.0)

    assert now() == 5.0
    assert (job.state, job.generation_id) == (JobState.PENDING, "g1")
    error = job.exception()
    assert isinstance(error, SessionClosed)
    assert error.generation_id == "g1"
    assert await job.accepted() == "g1"


@virtual
async def test_a_post_slower_than_that_is_recorded_as_uncertain() -> None:
    vendor, journal = ScriptedVendor(latency=60.0), MemoryJournal()
    async with session(vendor, journal=journal, timeouts=Timeouts(close=3.0)) as kling:
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(1.0)

    assert now() == 4.0
    assert vendor.cancelled == 1
    assert isinstance(job.exception(), SessionClosed)
    record = journal.get("k")
    assert record is not None
    assert job.state is record.state is JobState.UNCERTAIN
    assert only_mine()


@virtual
async def test_polls_under_way_are_not_waited_for() -> None:
    vendor = ScriptedVendor(slow_poll=lambda _id, _n: 25.0)
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        while not vendor.polls:  # noqa: ASYNC110 - virtual seconds cost nothing
            await asyncio.sleep(1.0)
        left_at = now()

    assert now() == left_at
    assert vendor.cancelled == 1
    assert job.state is JobState.PENDING


class Slow(MemoryJournal):
    """Takes a second to make a record durable."""

    async def commit(self, record: Record) -> None:
        await asyncio.sleep(1.0)
        await super().commit(record)


@pytest.mark.parametrize("close", [Timeouts().close, 0.1])  # in time, and not
@virtual
async def test_a_submit_that_was_only_being_recorded_is_never_sent(close: float) -> None:
    vendor, journal = ScriptedVendor(), Slow()
    async with session(vendor, journal=journal, timeouts=Timeouts(close=close)) as kling:
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(0.5)

    record = journal.get("k")
    assert record is not None
    assert job.state is record.state is JobState.QUEUED
    assert vendor.submits == 0


@virtual
async def test_a_submit_that_was_only_about_to_begin_is_never_sent() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        jobs = [kling.submit(prompt()) for _ in range(5)]
        await asyncio.sleep(0)

    assert vendor.submits == 0
    assert {(job.state, job.submitted_at) for job in jobs} == {(JobState.QUEUED, None)}


# Leaving while cancelled


@virtual
async def test_cancelled_while_leaving_hastens_the_end_and_loses_nothing() -> None:
    vendor = ScriptedVendor(latency=60.0)
    kling = await session(vendor).__aenter__()
    job = kling.submit(prompt())
    await asyncio.sleep(1.0)
    closing = asyncio.create_task(kling.aclose())
    asyncio.get_running_loop().call_at(2.0, closing.cancel)

    with pytest.raises(asyncio.CancelledError):
        await closing

    assert now() == 2.0
    assert job.state is JobState.UNCERTAIN
    assert isinstance(job.exception(), SessionClosed)
    assert only_mine()


@pytest.mark.parametrize("turns", range(8))
@virtual
async def test_cancelled_at_any_point_of_leaving_nothing_is_left(turns: int) -> None:
    vendor = ScriptedVendor(latency=5.0)
    kling = await session(vendor).__aenter__()
    pending = kling.submit(prompt())
    await pending.accepted()
    submitting = kling.submit(prompt())
    await asyncio.sleep(1.0)
    closing = asyncio.create_task(kling.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    closing.cancel()

    await asyncio.wait({closing})
    await kling.aclose()

    assert only_mine()
    assert isinstance(pending.exception(), SessionClosed)
    assert isinstance(submitting.exception(), SessionClosed)
    assert submitting.state in (JobState.UNCERTAIN, JobState.PENDING)
    with pytest.raises(SessionClosed):
        kling.submit(prompt())


@virtual
async def test_a_body_that_runs_out_of_time_still_lets_posts_finish() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0), session(ScriptedVendor(latency=5.0)) as kling:
            job = kling.submit(prompt())
            await job

    assert now() == 5.0
    assert (job.state, job.generation_id) == (JobState.PENDING, "g1")
    assert only_mine()


@virtual
async def test_a_body_that_an_anyio_scope_cuts_off_still_lets_posts_finish() -> None:
    with anyio.move_on_after(1.0) as scope:
        async with session(ScriptedVendor(latency=5.0)) as kling:
            job = kling.submit(prompt())
            await job

    assert scope.cancelled_caught
    assert now() == 5.0
    assert (job.state, job.generation_id) == (JobState.PENDING, "g1")
    assert only_mine()


@virtual
async def test_cancelling_the_whole_program_ends_a_session_in_order() -> None:
    kling = await session(ScriptedVendor(latency=5.0)).__aenter__()
    job = kling.submit(prompt())
    await asyncio.sleep(1.0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()

    await job.settled()
    await kling.aclose()

    assert isinstance(job.exception(), SessionClosed)
    assert job.state is JobState.UNCERTAIN
    assert only_mine()


# Closing more than once


@virtual
async def test_closing_again_does_nothing() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        await kling.aclose()
        error = job.exception()
        await kling.aclose()
    await kling.aclose()

    assert job.exception() is error
    assert only_mine()


@virtual
async def test_closing_before_entering_does_nothing() -> None:
    await session(ScriptedVendor()).aclose()

    assert only_mine()


@virtual
async def test_all_who_close_at_once_return_when_it_is_closed() -> None:
    kling = await session(ScriptedVendor(latency=5.0)).__aenter__()
    kling.submit(prompt())
    await asyncio.sleep(1.0)

    async def close() -> float:
        await kling.aclose()
        return now()

    assert list(await asyncio.gather(close(), close(), close())) == [5.0, 5.0, 5.0]
    assert only_mine()


@virtual
async def test_one_closer_giving_up_hastens_the_end_for_the_other_too() -> None:
    kling = await session(ScriptedVendor(latency=60.0)).__aenter__()
    kling.submit(prompt())
    await asyncio.sleep(1.0)
    patient = asyncio.create_task(kling.aclose())
    hasty = asyncio.create_task(kling.aclose())
    asyncio.get_running_loop().call_at(3.0, hasty.cancel)

    await patient

    assert now() == 3.0
    await asyncio.wait({hasty})
    assert hasty.cancelled()
    assert only_mine()


# Using it at the wrong time or place


@virtual
async def test_before_entering_there_is_nothing_to_submit_to() -> None:
    kling = session(ScriptedVendor())

    with pytest.raises(SessionClosed, match="not been entered"):
        kling.submit(prompt())
    with pytest.raises(SessionClosed, match="not been entered"):
        kling.stats()
    assert kling.pending == ()
    assert repr(kling) == "<KlingSession https://api.aimlapi.com not entered>"


@virtual
async def test_after_the_close_nothing_is_taken_on() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        pass

    with pytest.raises(SessionClosed, match="is closed"):
        kling.submit(prompt())
    with pytest.raises(SessionClosed, match="is closed"):
        kling.resume("g1")
    with pytest.raises(SessionClosed, match="is closed"):
        kling.subscribe()
    with pytest.raises(SessionClosed, match="is closed"):
        kling.as_completed([prompt()])
    with pytest.raises(SessionClosed, match="is closed"):
        await kling.fetch("g1")
    assert vendor.requests == []
    assert repr(kling) == "<KlingSession https://api.aimlapi.com closed>"


@virtual
async def test_while_closing_nothing_is_taken_on() -> None:
    async with session(ScriptedVendor(latency=5.0)) as kling:
        kling.submit(prompt())
        await asyncio.sleep(1.0)
        closing = asyncio.create_task(kling.aclose())
        await asyncio.sleep(1.0)

        with pytest.raises(SessionClosed):
            kling.submit(prompt())
        assert not closing.done()


@virtual
async def test_a_fetch_that_waits_its_turn_is_not_sent_once_the_session_has_ended() -> None:
    vendor = ScriptedVendor()
    async with session(vendor, limits=Limits(requests_per_second=0.1, burst=1)) as kling:
        await kling.fetch("g1")
        waiting = asyncio.create_task(kling.fetch("g2"))
        await asyncio.sleep(1.0)

    with pytest.raises(SessionClosed):
        await waiting
    assert vendor.polls == {"g1": 1}


@pytest.mark.asyncio
async def test_another_thread_is_told_so() -> None:
    told: list[BaseException] = []
    async with promptly() as kling:

        def submit() -> None:
            try:
                kling.submit(prompt())
            except ConfigurationError as error:
                told.append(error)

        thread = threading.Thread(target=submit)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert kling.pending == ()

    (error,) = told
    assert str(error).startswith("a session is used from the thread and event loop it was entered on; another thread")


@pytest.mark.parametrize("durable", [False, True])
def test_a_loop_that_rests_between_cells_takes_what_needs_no_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, durable: bool
) -> None:
    monkeypatch.setattr("kling_async.session.wall_clock", lambda: 1_800_000_000.0)
    kling = promptly(journal=tmp_path / "a.db" if durable else None)
    told: list[str] = []

    def submit() -> None:
        with pytest.raises(ConfigurationError, match="the thread and event loop") as caught:
            kling.submit(prompt())
        told.append(str(caught.value))

    with asyncio.Runner() as runner:
        runner.run(kling.__aenter__())
        jobs = [kling.submit(prompt(), key="k"), kling.resume("g-other", key="other")]
        assert kling.find("k") is jobs[0]
        assert kling.pending == tuple(jobs)
        events = kling.subscribe()
        assert jobs[0].expected_completion is None
        jobs[0].add_done_callback(lambda job: told.append(job.key))
        thread = threading.Thread(target=submit)
        thread.start()
        thread.join()
        asyncio.run(_elsewhere(submit))
        runner.run(jobs[0].settled())
        assert jobs[0].result().generation_id == jobs[0].generation_id
        runner.run(kling.aclose())
        assert [type(event).__name__ for event in runner.run(_all(events))][-1] in ("Completed", "Interrupted")
    with pytest.raises(ConfigurationError, match="event loop"):
        kling.submit(prompt())
    assert len(told) == 3


async def _elsewhere(call: Callable[[], None]) -> None:
    call()


async def _all(events: AsyncIterable[Any]) -> list[Any]:
    return [event async for event in events]


def test_a_session_is_not_closed_from_another_loop_while_its_own_goes_on() -> None:
    home, abroad = VirtualLoop(), VirtualLoop()
    kling = session(ScriptedVendor())
    home.run_until_complete(kling.__aenter__())
    try:
        with pytest.raises(ConfigurationError, match="event loop"):
            abroad.run_until_complete(asyncio.wait_for(kling.aclose(), 10.0))
    finally:
        home.run_until_complete(kling.aclose())
        home.close()
        abroad.close()


def test_two_loops_in_two_threads_have_a_session_each() -> None:
    made: list[str | None] = []

    async def make() -> None:
        async with promptly() as kling:
            made.append((await kling.submit(prompt())).generation_id)

    threads = [threading.Thread(target=asyncio.run, args=(make(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made == ["g1", "g1"]


def test_a_session_of_a_loop_that_has_ended_may_be_closed_from_the_next() -> None:
    kling = promptly()

    async def enter() -> None:
        await kling.__aenter__()
        await asyncio.sleep(0)

    asyncio.run(enter())
    asyncio.run(kling.aclose())

    assert repr(kling).endswith("closed>")
