"""Faults 6, 7, 32 and 35 to 37: what real processes meet, which are really killed, and disks that are really full."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fault_vendor import FOR_EVER, held, is_silent, sells, sold, stated
from scripted import prompt

from kling_async import JobState, JournalError, SubmissionUncertain, read_journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from fault_case import Case

pytestmark = pytest.mark.asyncio

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows neither this signal nor this limit")
KILLED = 9 if sys.platform == "win32" else -signal.SIGKILL


async def crash(case: Case, end: str, **told: float) -> None:
    """Have a child killed at this instant of a job's life."""
    async with case.child("downloads", end=end, path=str(case.folder / "video.mp4"), **told) as child:
        assert await child.end() == KILLED, child.log
        assert child.said == []


async def test_fault_06_a_crash_between_the_record_of_the_submit_and_the_post_is_looked_up_and_reported(
    case: Case,
) -> None:
    async with case:
        await crash(case, "after submitting")
        async with case.session() as kling:
            (job,) = kling.pending
            assert (job.key, job.tag, job.state) == ("k", {"row": 1}, JobState.UNCERTAIN)
            with pytest.raises(SubmissionUncertain) as caught:
                await job
            assert (caught.value.client_request_id or "").startswith("k:")
    assert case.vendor.counts["look"] >= 1
    assert case.vendor.posts == []


async def test_fault_06_a_crash_between_queueing_and_the_record_of_the_submit_loses_nothing(case: Case) -> None:
    async with case:
        await crash(case, "before submitting")
        assert case.vendor.posts == []
        async with case.session() as kling:
            (job,) = kling.pending
            assert (job.key, job.state) == ("k", JobState.QUEUED)
            await job
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize("end", ["before pending", "after pending", "before completed", "after completed"])
async def test_fault_07_a_crash_around_an_answer_and_its_record_neither_loses_nor_buys_twice(
    case: Case, end: str
) -> None:
    async with case:
        await crash(case, end)
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            assert (await job).generation_id == "g-1"
            path = await kling.download(job, case.folder / "video.mp4")
            assert path.read_bytes() == case.vendor.film
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize("end", ["amid the download", "after the download"])
async def test_fault_07_a_crash_around_a_download_leaves_a_whole_file_or_none(case: Case, end: str) -> None:
    path = case.folder / "video.mp4"
    async with case:
        await crash(case, end)
        assert path.exists() == (end == "after the download")
        async with case.session() as kling:
            await kling.download(kling.submit(prompt(), key="k"), path)
        assert path.read_bytes() == case.vendor.film
        assert sorted(entry.name for entry in case.folder.glob("*video*")) == ["video.mp4"]
    assert len(case.vendor.posts) == 1


async def test_fault_07_a_crash_between_two_attempts_goes_on_with_the_next_once_that_is_recorded(case: Case) -> None:
    case.vendor.submits[1] = stated(503, "try later")
    async with case:
        await crash(case, "between attempts, recorded", backoff=60)  # seconds in which the child sends no second POST
        case.vendor.submits.clear()
        async with case.session() as kling:
            (job,) = kling.pending
            assert (await job).generation_id == "g-1"


async def test_fault_07_a_crash_right_after_a_refusal_is_at_worst_uncertain(case: Case) -> None:
    case.vendor.submits[1] = stated(503, "try later")
    async with case:
        await crash(case, "between attempts")
        async with case.session() as kling:
            (job,) = kling.pending
            await job.settled()
            assert job.state in (JobState.UNCERTAIN, JobState.COMPLETED)
    assert len(case.vendor.sales) == (job.state is JobState.COMPLETED)


async def test_fault_32_a_second_process_on_a_journal_is_refused_with_the_name_of_the_first(case: Case) -> None:
    case.vendor.takes = FOR_EVER
    async with case, case.child("waits") as first:
        assert await first.listen() == {"accepted": "g-1"}
        with pytest.raises(JournalError, match=rf"process {first.process.pid}\b"):
            async with case.session():
                pytest.fail("two processes own one journal")
        first.process.kill()
        await first.end()
        case.vendor.takes = 1
        async with case.session() as kling:
            (job,) = kling.pending
            assert (await job).generation_id == "g-1"
            async with case.child("opens") as second:
                assert await second.end() == 0
            (said,) = second.said
            assert said["error"] == "JournalError"
            assert f"process {os.getpid()} " in said["text"]
    assert len(case.vendor.posts) == 1


def left_alone(path: Path) -> Path:
    return path


def read_by_its_owner(path: Path) -> Path:
    for file in path.parent.glob("batch.db*"):
        file.read_bytes()
    return path


def queried_by_its_owner(path: Path) -> Path:
    assert read_journal(path).counts().total() == 6
    return path


def without_side_files(path: Path) -> Path:
    for file in path.parent.glob("batch.db-*"):
        file.unlink()
    return path


def linked(path: Path) -> Path:
    os.link(path, path.with_name("link.db"))
    return path.with_name("link.db")


def renamed(path: Path) -> Path:
    return path.rename(path.with_name("renamed.db"))


def replaced(path: Path) -> Path:
    linked(path)
    path.with_name("empty.db").touch()
    return path.with_name("empty.db").replace(path)


DEEDS = [left_alone, read_by_its_owner, queried_by_its_owner, without_side_files, linked, renamed, replaced]


@posix_only
@pytest.mark.parametrize("deed", DEEDS)
async def test_fault_32_a_second_process_buys_nothing_whatever_became_of_the_files(
    case: Case, deed: Callable[[Path], Path]
) -> None:
    case.vendor.takes = FOR_EVER
    async with case:
        async with case.session() as kling:
            for job in [kling.submit(prompt(), key=f"k{number}") for number in range(6)]:
                await job.accepted()
            path = deed(case.path)
            async with case.child("buys", journal=str(path)) as second:
                assert await second.end() == 0, second.log
            assert [said.get("error") for said in second.said] == ["JournalError"]
            assert f"in use by process {os.getpid()} " in second.said[0]["text"]
            for other in {path, case.path.with_name("link.db")} - {case.path}:
                if other.exists():
                    other.replace(case.path)
        assert len(case.vendor.sales) == 6


@posix_only
@pytest.mark.parametrize("deed", [Path.unlink, renamed, replaced])
async def test_fault_32_nothing_is_bought_that_would_be_recorded_in_a_file_nobody_finds(
    case: Case, deed: Callable[[Path], Path | None]
) -> None:
    async with case, case.session() as kling:
        await kling.submit(prompt(), key="k")
        safe = case.path.with_name("safe.db")
        os.link(case.path, safe)
        deed(case.path)
        job = kling.submit(prompt("another"), key="other")
        with pytest.raises(JournalError, match="moved, removed or replaced while in use"):
            await job
        assert len(case.vendor.posts) == 1
        safe.replace(case.path)
        kling.resume_submissions()
        await kling.submit(prompt("another"), key="other")
    assert len(case.vendor.posts) == 2


async def test_fault_35_a_loop_closed_under_a_session_lets_the_process_end_and_loses_no_job(case: Case) -> None:
    case.vendor.takes = FOR_EVER
    async with case:
        async with case.child("loses_its_loop") as child:
            assert await child.end() == 0, child.log
            assert child.said == [{"accepted": "g-1"}]
        case.vendor.takes = 1
        async with case.session() as kling:
            (job,) = kling.pending
            assert (job.state, job.generation_id) == (JobState.PENDING, "g-1")
            await job
    assert len(case.vendor.posts) == 1


@posix_only
async def test_fault_36_an_interrupt_during_a_post_lets_it_finish(case: Case) -> None:
    go_on = asyncio.Event()
    case.vendor.submits[1] = held(go_on, sells)
    async with case:
        async with case.child("waits", end="interrupt", close=20) as child:
            await case.vendor.arrival("submit")
            child.process.send_signal(signal.SIGINT)
            await asyncio.wait({asyncio.ensure_future(child.process.wait())}, timeout=0.2)
            assert child.process.returncode is None
            go_on.set()
            assert await child.end() in (-signal.SIGINT, 130, 1), child.log
        assert "KeyboardInterrupt" in child.log
        async with case.session() as kling:
            (job,) = kling.pending
            assert (job.state, job.generation_id) == (JobState.PENDING, "g-1")
            await job
    assert case.vendor.counts["look"] == 0


@posix_only
async def test_fault_36_an_interrupt_during_a_post_without_an_answer_is_uncertain_within_the_grace(
    case: Case,
) -> None:
    case.vendor.submits[1] = sold(is_silent)
    async with case:
        async with case.child("waits", end="interrupt", close=0.2) as child:
            await case.vendor.arrival("submit")
            child.process.send_signal(signal.SIGINT)
            assert await child.end() != 0
        async with case.session() as kling:
            (job,) = kling.pending
            assert job.state is JobState.UNCERTAIN
            assert (await job).generation_id == "g-1"
    assert (len(case.vendor.posts), case.vendor.counts["look"]) == (1, 1)


@posix_only
async def test_fault_37_a_disk_that_is_full_before_a_post_stops_it(case: Case) -> None:
    async with case, case.child("fills", end="full before") as child:
        said = await child.listen()
        assert said == {"first": ["queued", None, "JournalError"], "late": ["queued", "JournalError"]}
        assert case.vendor.posts == []
        assert await child.end() == 0, child.log
    assert len(case.vendor.posts) == 2


@posix_only
@pytest.mark.parametrize(("state", "lost"), [("submitting", "pending"), ("pending", "completed")])
async def test_fault_37_a_disk_that_is_full_after_a_post_loses_nothing_and_catches_up(
    case: Case, state: str, lost: str
) -> None:
    async with case, case.child("fills", end=f"full after {state}") as child:
        said = await child.listen()
        assert said == {"first": ["completed", "g-1", None], "late": ["queued", "JournalError"]}
        assert len(case.vendor.posts) == 1
        assert await child.end() == 0, child.log
        assert f"job k is {lost} (generation g-1), unrecorded" in child.log
    assert len(case.vendor.posts) == 2


@posix_only
async def test_fault_37_a_disk_that_stays_full_after_a_post_is_said_on_leaving_and_the_log_finds_what_was_bought(
    case: Case,
) -> None:
    async with case:
        async with case.child("stays_full", end="full after submitting") as child:
            assert await child.end() == 0, child.log
        assert child.said == [{"first": "g-1"}, {"error": "JournalError"}]
        assert "job k is pending (generation g-1), unrecorded" in child.log
        async with case.session() as kling:
            (job,) = kling.pending
            assert job.state is JobState.UNCERTAIN
            assert (await job).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


@posix_only
async def test_fault_39_a_full_disk_fails_the_download_and_leaves_nothing_under_its_name(case: Case) -> None:
    path = case.folder / "out" / "video.mp4"
    async with case, case.child("full_download", path=str(path), room=100_000) as child:
        said = await child.listen()
        assert (said["error"], "cannot be written" in said["text"]) == ("StorageError", True)
        assert not path.exists() or path.read_bytes() == case.vendor.film
        assert await child.end() == 0, child.log
    assert path.read_bytes() == case.vendor.film
    assert len(case.vendor.posts) == 1
