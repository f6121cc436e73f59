"""Jobs as awaitables: by many, many times, through every tool of asyncio, and with no waiter harming another."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from scripted import ScriptedVendor, answer, envelope, prompt, session
from virtual import virtual

from kling_async import (
    GenerationFailed,
    InvalidRequest,
    JobAbandoned,
    JobState,
    KlingError,
    MemoryJournal,
    PermissionDenied,
    SessionClosed,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kling_async import Job

pytestmark = pytest.mark.usefixtures("silent")


def failing(message: str = "blocked") -> ScriptedVendor:
    """A vendor that accepts everything and makes nothing."""
    failed = {"status": "error", "error": {"message": message}}
    return ScriptedVendor(on_poll=lambda which, _: answer(200, {"id": which, **failed}))


# Waiting


@virtual
async def test_a_job_may_be_awaited_again_and_again() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        assert await job is await job


@virtual
async def test_a_thousand_waiters_all_get_the_video() -> None:
    async def wait(job: Job) -> Video:
        return await job

    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        videos = await asyncio.gather(*(wait(job) for _ in range(1000)))

    assert all(video is videos[0] for video in videos)
    assert not job._active.waiters


TOOLS: dict[str, Callable[[Job], Awaitable[object]]] = {
    "gather": asyncio.gather,
    "ensure_future": asyncio.ensure_future,
    "shield": asyncio.shield,
    "wait_for": lambda job: asyncio.wait_for(job, 1e6),
    "as_completed": lambda job: next(iter(asyncio.as_completed([job]))),
    "create_task": lambda job: asyncio.create_task(job.settled()),
}


@pytest.mark.parametrize("tool", TOOLS)
@virtual
async def test_a_job_fits_the_tools_of_asyncio(tool: str) -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        outcome = await TOOLS[tool](job)

    assert outcome in (job.result(), [job.result()], job)


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool != "create_task"])
@virtual
async def test_a_failure_comes_through_the_tools_of_asyncio(tool: str) -> None:
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        with pytest.raises(GenerationFailed, match="blocked"):
            await TOOLS[tool](job)


@virtual
async def test_gather_may_collect_failures() -> None:
    vendor = failing()
    vendor.on_poll, fail = lambda which, n: fail(which, n) if which == "g2" else None, vendor.on_poll
    async with session(vendor) as kling:
        outcomes = await asyncio.gather(*(kling.submit(prompt()) for _ in range(3)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Video, GenerationFailed, Video]


@virtual
async def test_wait_takes_settled() -> None:
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        done, pending = await asyncio.wait([asyncio.create_task(job.settled())])

    assert [task.result() for task in done] == [job]
    assert not pending


@virtual
async def test_a_task_group_takes_settled_and_is_not_ended_by_a_failure() -> None:
    async with session(failing()) as kling, asyncio.TaskGroup() as group:
        tasks = [group.create_task(kling.submit(prompt()).settled()) for _ in range(3)]

    assert [type(task.result().exception()) for task in tasks] == [GenerationFailed] * 3


@virtual
async def test_an_anyio_task_group_takes_settled() -> None:
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        async with anyio.create_task_group() as group:
            group.start_soon(job.settled)

    assert job.done()


# Waiters that give up


@virtual
async def test_a_timeout_ends_the_wait_and_not_the_job() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, 1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await job
        with pytest.raises(TimeoutError):
            with anyio.fail_after(1.0):
                await job.settled()

        assert (await job).generation_id == "g1"


@virtual
async def test_cancelling_one_waiter_harms_no_other() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        waiters = [asyncio.ensure_future(job) for _ in range(5)]
        await asyncio.sleep(1.0)
        waiters[2].cancel()
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Video, Video, asyncio.CancelledError, Video, Video]


@virtual
async def test_cancelling_a_gather_harms_no_job() -> None:
    async with session(ScriptedVendor()) as kling:
        jobs = [kling.submit(prompt()) for _ in range(3)]
        gathering = asyncio.ensure_future(asyncio.gather(*jobs))
        await asyncio.sleep(1.0)
        gathering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathering

        assert len(await asyncio.gather(*jobs)) == 3


@virtual
async def test_a_waiter_cancelled_in_the_turn_in_which_the_job_settles_is_cancelled() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        waiter = asyncio.ensure_future(job)
        job.add_done_callback(lambda _: waiter.cancel())
        await job.settled()
        await asyncio.wait({waiter})

    assert waiter.cancelled()
    assert job.result().generation_id == "g1"


@virtual
async def test_waiters_that_gave_up_leave_nothing_behind() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        await job.accepted()
        for _ in range(100):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job.settled(), 0.01)

        assert not job._active.waiters


@virtual
async def test_a_waiter_dropped_half_way_leaves_nothing_behind() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        waiting = job.settled()
        waiting.send(None)
        waiting.close()

        assert not job._active.waiters


# Failures


@virtual
async def test_every_waiter_gets_the_very_failure_and_its_traceback_does_not_grow() -> None:
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        await job.settled()
        lengths = set()
        for _ in range(20):
            with pytest.raises(GenerationFailed) as caught:
                await job
            assert caught.value is job.exception()
            lengths.add(len(traceback.extract_tb(caught.value.__traceback__)))

    assert len(lengths) == 1


@virtual
async def test_a_failure_nobody_asks_about_is_not_complained_of(caplog: pytest.LogCaptureFixture) -> None:
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        waiting = asyncio.create_task(job.settled())
        await kling.drain()
        await waiting
        del job, waiting
        gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@virtual
async def test_a_failure_that_a_waiter_with_a_timeout_missed_is_not_complained_of() -> None:
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, 1.0)
        await kling.drain()

    assert isinstance(job.exception(), GenerationFailed)


@virtual
async def test_asking_before_it_has_settled_is_an_error_as_with_futures() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())

        assert not job.done()
        with pytest.raises(asyncio.InvalidStateError, match=job.key):
            job.result()
        with pytest.raises(asyncio.InvalidStateError, match=job.key):
            job.exception()


@virtual
async def test_result_and_exception_tell_the_outcome() -> None:
    async with session(ScriptedVendor()) as kling:
        sound = await kling.submit(prompt()).settled()
    async with session(failing()) as kling:
        failed = await kling.submit(prompt()).settled()

    assert sound.done()
    assert sound.exception() is None
    assert sound.result().generation_id == "g1"
    assert failed.done()
    with pytest.raises(GenerationFailed):
        failed.result()


# Milestones


@virtual
async def test_accepted_gives_the_id_as_soon_as_there_is_one() -> None:
    loop = asyncio.get_running_loop()
    async with session(ScriptedVendor(latency=3.0)) as kling:
        job = kling.submit(prompt())
        assert await asyncio.gather(*(job.accepted() for _ in range(3))) == ["g1"] * 3
        assert loop.time() == 3.0
        assert not job.done()
        assert await job.accepted() == "g1"
        await job
        assert await job.accepted() == "g1"


@virtual
async def test_accepted_raises_why_there_will_be_no_id() -> None:
    async with session(ScriptedVendor(on_submit=lambda _: envelope(403, "no"))) as kling:
        job = kling.submit(prompt())
        with pytest.raises(PermissionDenied):
            await job.accepted()
        with pytest.raises(PermissionDenied):
            await job.accepted()


@virtual
async def test_a_waiter_for_acceptance_that_gives_up_leaves_nothing_behind() -> None:
    async with session(ScriptedVendor(latency=3.0)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job.accepted(), 1.0)
        assert not job._active.waiters
        assert await job.accepted() == "g1"


class Durable(MemoryJournal):
    """Takes a second to flush."""

    async def flush(self) -> None:
        await asyncio.sleep(1.0)


@virtual
async def test_recorded_waits_for_the_journal_and_for_nothing_else() -> None:
    loop = asyncio.get_running_loop()
    async with session(ScriptedVendor(latency=60.0), journal=Durable()) as kling:
        job = kling.submit(prompt())

        assert await job.recorded() is job

        assert loop.time() == 1.0
        assert job.generation_id is None


@virtual
async def test_settled_returns_at_once_where_it_has() -> None:
    async with session(ScriptedVendor()) as kling:
        job = await kling.submit(prompt()).settled()
        before = asyncio.get_running_loop().time()
        assert await job.settled() is job
        assert asyncio.get_running_loop().time() == before


# Callbacks


@virtual
async def test_callbacks_come_once_each_in_the_order_they_were_added() -> None:
    called: list[tuple[int, Job]] = []

    def call(number: int, which: Job) -> None:
        called.append((number, which))

    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        for number in range(5):
            job.add_done_callback(partial(call, number))
        await job
        await asyncio.sleep(0)

    assert called == [(number, job) for number in range(5)]


@virtual
async def test_a_callback_added_late_comes_soon_and_not_at_once() -> None:
    called: list[Job] = []
    async with session(ScriptedVendor()) as kling:
        job = await kling.submit(prompt()).settled()
        job.add_done_callback(called.append)
        assert called == []
        await asyncio.sleep(0)
        assert called == [job]


@virtual
async def test_a_callback_comes_for_a_failure_too() -> None:
    called: list[Job] = []
    async with session(failing()) as kling:
        job = kling.submit(prompt())
        job.add_done_callback(called.append)
        await job.settled()
        await asyncio.sleep(0)

    assert called == [job]


@virtual
async def test_a_callback_that_raises_is_reported_and_harms_nobody() -> None:
    loop = asyncio.get_running_loop()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    called: list[Job] = []
    bug = ZeroDivisionError("a bug")

    def fail(_: Job) -> None:
        raise bug

    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        job.add_done_callback(fail)
        job.add_done_callback(called.append)
        await job
        await asyncio.sleep(0)
        assert (await kling.submit(prompt())).generation_id == "g2"

    assert called == [job]
    assert reported == [bug]


@virtual
async def test_a_callback_may_submit_the_next_job() -> None:
    following: list[Job] = []
    async with session(ScriptedVendor()) as kling:
        kling.submit(prompt()).add_done_callback(lambda _: following.append(kling.submit(prompt())))
        await kling.drain()

    assert [job.state for job in following] == [JobState.COMPLETED]


# What a job shows


@virtual
async def test_a_jobs_repr_follows_its_life() -> None:
    shown = []
    async with session(ScriptedVendor(latency=2.0)) as kling:
        job = kling.submit(prompt(), key="row-7")
        shown.append(repr(job))
        await asyncio.sleep(1.0)
        shown.append(repr(job))
        await job.accepted()
        shown.append(repr(job))
        while not job.polls:  # noqa: ASYNC110 - virtual seconds cost nothing
            await asyncio.sleep(1.0)
        shown.append(repr(job))
        await job
        shown.append(repr(job))

    assert shown == [
        "<Job row-7 queued>",
        "<Job row-7 submitting>",
        "<Job row-7 pending g1>",
        "<Job row-7 pending g1 1 poll>",
        f"<Job row-7 completed g1 {job.polls} polls settled>",
    ]


@virtual
async def test_a_jobs_repr_names_what_it_settled_with() -> None:
    async with session(failing()) as kling:
        failed = await kling.submit(prompt(), key="a").settled()
        given_up = kling.submit(prompt(), key="b")
        given_up.abandon()
        left = kling.submit(prompt(), key="c")

    assert repr(failed) == "<Job a failed g1 1 poll settled with GenerationFailed>"
    assert repr(given_up) == "<Job b abandoned settled with JobAbandoned>"
    assert repr(left) == "<Job c queued settled with SessionClosed>"


@virtual
async def test_a_job_tells_what_is_known_of_it() -> None:
    request, vendor = prompt(), ScriptedVendor()
    async with session(vendor) as kling:
        job = kling.submit(request, tag=("row", 7), key="row-7")
        assert (job.key, job.tag, job.request, job.state) == ("row-7", ("row", 7), request, JobState.QUEUED)
        assert (job.generation_id, job.submitted_at, job.last_status, job.polls) == (None, None, None, 0)
        await job

        assert (job.state, job.generation_id, job.last_status) == (JobState.COMPLETED, "g1", "completed")
        assert job.submitted_at is not None
        assert job.submitted_at == datetime.fromtimestamp(1_800_000_000, UTC)
        assert job.polls == len([1 for _, what, _ in vendor.log if what == "poll"])


@virtual
async def test_jobs_are_known_by_identity() -> None:
    async with session(ScriptedVendor()) as kling:
        one, other = kling.submit(prompt()), kling.submit(prompt())

        assert one != other
        assert {one: 1, other: 2}[one] == 1
        assert kling.pending == (one, other)


# Abandoning


@virtual
async def test_abandoning_wakes_its_waiters() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        waiters: list[asyncio.Future[Any]] = [asyncio.ensure_future(job), asyncio.create_task(job.accepted())]
        await asyncio.sleep(0)
        job.abandon()
        outcomes = await asyncio.gather(*waiters, return_exceptions=True)
        job.abandon()

    assert [type(outcome) for outcome in outcomes] == [JobAbandoned, JobAbandoned]
    assert job.state is JobState.ABANDONED


@virtual
async def test_a_job_that_has_settled_is_not_abandoned() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        video = await job
        job.abandon()
        assert await job is video
    left = kling.pending
    job.abandon()

    assert left == ()
    assert job.state is JobState.COMPLETED


# After the session


@virtual
async def test_a_job_outlives_its_session() -> None:
    async with session(ScriptedVendor()) as kling:
        sound = kling.submit(prompt())
        await sound
        left = kling.submit(prompt())
        await left.accepted()

    assert (await sound).generation_id == "g1"
    assert await left.settled() is left
    assert await left.accepted() == "g2"
    with pytest.raises(SessionClosed):
        await left
    called: list[Job] = []
    left.add_done_callback(called.append)
    await asyncio.sleep(0)
    assert called == [left]


@pytest.mark.parametrize("kind", [GenerationFailed, InvalidRequest])
@virtual
async def test_what_a_job_settles_with_says_which_job(kind: type[KlingError]) -> None:
    async with session(failing()) as kling:
        jobs = [job async for job in kling.as_completed([prompt(), prompt(duration=7)])]

    job = next(job for job in jobs if isinstance(job.exception(), kind))
    error = job.exception()
    assert error is not None
    assert (error.key, error.generation_id, error.polls) == (job.key, job.generation_id, job.polls)
