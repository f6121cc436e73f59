"""Faults 33 to 35: faults of the caller's own program."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import FOR_EVER, held, is_silent, sells, sold, tells_how_far_it_is
from samples import boxed, data_uri, jpeg, png
from scripted import prompt

from kling_async import ImageToVideo, InvalidRequest, JobAbandoned, JobState, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from fault_case import Case

pytestmark = pytest.mark.asyncio


async def test_fault_33_cancelling_one_waiter_harms_neither_the_job_nor_other_waiters(case: Case) -> None:
    go_on = asyncio.Event()
    case.vendor.submits[1] = held(go_on, sells)
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        waiters = [asyncio.ensure_future(job.settled()) for _ in range(3)]
        await case.vendor.arrival("submit")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job, 0.01)
        waiters[0].cancel()
        go_on.set()
        assert await asyncio.gather(*waiters[1:]) == [job, job]
        assert (await job).generation_id == "g-1"
        assert waiters[0].cancelled()
    assert len(case.vendor.posts) == 1


async def test_fault_33_cancelling_who_waits_for_the_record_or_the_file_harms_no_job(case: Case) -> None:
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        download = kling.download(job, case.folder / "a.mp4")
        waits: tuple[Coroutine[Any, Any, object], ...] = (job.recorded(), job.accepted(), kling.drain(), download)
        waiters = [asyncio.ensure_future(waiting) for waiting in waits]
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.wait(waiters)
        assert all(waiter.cancelled() for waiter in waiters)
        assert await job.recorded() is job
        await kling.download(job, case.folder / "a.mp4")
    assert (case.folder / "a.mp4").read_bytes() == case.vendor.film


async def test_fault_34_a_job_abandoned_in_the_queue_is_never_sent(case: Case) -> None:
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            job.abandon()
            with pytest.raises(JobAbandoned, match="never submitted"):
                await job
        async with case.session() as kling:
            assert kling.pending == ()
            assert isinstance(kling.submit(prompt(), key="k").exception(), JobAbandoned)
    assert case.vendor.posts == []


async def test_fault_34_a_job_abandoned_during_its_post_keeps_the_id_of_what_it_bought(case: Case) -> None:
    go_on = asyncio.Event()
    case.vendor.submits[1] = held(go_on, sells)
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            await case.vendor.arrival("submit")
            job.abandon()
            with pytest.raises(JobAbandoned, match="charge stands"):
                await job
            go_on.set()
            await kling.submit(prompt("another"))
        async with case.session() as kling:
            (record,) = [record async for record in kling.history() if record.key == "k"]
            assert (record.state, record.generation_id) == (JobState.ABANDONED, "g-1")
    assert case.vendor.asked["g-1"] == 0


async def test_fault_34_a_job_abandoned_at_the_vendor_is_not_asked_about_again(case: Case) -> None:
    case.vendor.takes = FOR_EVER
    async with case, case.session() as kling:
        job = kling.submit(prompt())
        await case.vendor.arrival("poll")
        job.abandon()
        with pytest.raises(JobAbandoned):
            await job
        case.vendor.takes = 1
        await kling.submit(prompt("another"))
        asked = case.vendor.asked["g-1"]
        await kling.submit(prompt("one more"))
        assert case.vendor.asked["g-1"] <= asked + 1  # one may have been under way


async def test_fault_35_a_session_closed_with_jobs_pending_tells_each_how_to_go_on(case: Case) -> None:
    case.vendor.takes = FOR_EVER
    async with case:
        async with case.session() as kling:
            jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(5)]
            await asyncio.gather(*(job.accepted() for job in jobs))
        for job in jobs:
            with pytest.raises(SessionClosed) as caught:
                await job
            assert (caught.value.key, caught.value.generation_id) == (job.key, job.generation_id)
        case.vendor.takes = 1
        async with case.session() as kling:
            assert [job.key for job in kling.pending] == [job.key for job in jobs]
            await asyncio.gather(*kling.pending)
    assert len(case.vendor.posts) == 5


async def test_fault_35_a_post_that_outlasts_the_closing_is_uncertain_and_looked_up_next_time(case: Case) -> None:
    case.vendor.submits[1] = sold(is_silent)
    async with case:
        async with case.session(timeouts={"close": 0.05}) as kling:
            job = kling.submit(prompt())
            await case.vendor.arrival("submit")
        assert job.state is JobState.UNCERTAIN
        async with case.session() as kling:
            (again,) = kling.pending
            assert (await again).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


async def test_fault_35_a_post_answered_during_the_closing_is_recorded(case: Case) -> None:
    go_on = asyncio.Event()
    case.vendor.submits[1] = held(go_on, sells)
    async with case:
        async with case.session(timeouts={"close": 20}) as kling:
            job = kling.submit(prompt())
            await case.vendor.arrival("submit")
            closing = asyncio.ensure_future(kling.aclose())
            await asyncio.wait({closing}, timeout=0.02)
            go_on.set()
            await closing
        assert (job.state, job.generation_id) == (JobState.PENDING, "g-1")
        async with case.session() as kling:
            await asyncio.gather(*kling.pending)


async def test_fault_35_a_cancelled_program_leaves_every_job_where_it_stood(case: Case) -> None:
    case.vendor.submits[2] = sold(is_silent)
    case.vendor.polls[1] = is_silent
    jobs = []

    async def program() -> None:
        async with case.session(timeouts={"close": 0.05}) as kling:
            jobs.append(kling.submit(prompt("polled"), key="polled"))
            await case.vendor.arrival("poll")
            jobs.append(kling.submit(prompt("posted"), key="posted"))
            await asyncio.gather(*jobs)

    async with case:
        running = asyncio.ensure_future(program())
        await case.vendor.arrival("submit", 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert [job.state for job in jobs] == [JobState.PENDING, JobState.UNCERTAIN]
        case.vendor.polls[1] = tells_how_far_it_is
        async with case.session() as kling:
            await asyncio.gather(*kling.pending)
    assert len(case.vendor.posts) == 2


async def test_files_that_are_not_what_they_are_called_are_refused_and_nothing_is_sold_for_them(case: Case) -> None:
    contents = {"good.jpg": jpeg(), "heic.jpg": boxed(b"heic"), "page.jpg": b"<!doctype html>", "cut.png": png()[:20]}
    for name, content in contents.items():
        (case.folder / name).write_bytes(content)
    bad = [data_uri(png())[:-1], "data:image/png;base64,", "data:text/plain,a", b64encode(png(size=90)).decode()]
    async with case, case.session() as kling:
        images: list[str | Path] = [*(case.folder / name for name in contents if name != "good.jpg"), *bad]
        for image in images:
            with pytest.raises(InvalidRequest, match="image_url"):
                kling.submit(ImageToVideo(image))
        assert not kling.pending
        await kling.submit(ImageToVideo(case.folder / "good.jpg"))
    assert len(case.vendor.sales) == len(case.vendor.posts) == 1
