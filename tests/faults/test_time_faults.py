"""Faults 30 and 38: what takes longer than a test may, or is wrong with the clocks.

Ten minutes and hours pass in virtual time, with a vendor in memory, as no real socket can wait through them; a wrong
clock alone is met over real connections, too.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import resets, sold
from invariants import Evidence, uphold
from scripted import ScriptedVendor, answer, envelope, prompt, running, session
from virtual import VirtualLoop, virtual

from kling_async import DeadlineExceeded, HttpResponse, JobState, MemoryJournal, Polling, RequestTimeout

if TYPE_CHECKING:
    from fault_case import Case

    from kling_async import Job

HOUR = 3600.0
MODEL = "made-up/model"
STEADY = Polling.fixed(10, first=240)  # first asks after 240 s


class Wall:
    """This machine's clock on the wall, which somebody may set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = 0.0
        monkeypatch.setattr("kling_async.session.wall_clock", self)

    def __call__(self) -> float:
        return 1_800_000_000 + asyncio.get_running_loop().time() + self.off


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


def now() -> float:
    return asyncio.get_running_loop().time()


async def kept(vendor: ScriptedVendor, journal: MemoryJournal, jobs: list[Job], log: Any = None) -> None:
    """Assert every promise, by the books of a vendor in memory."""
    sold_as = {f"g{n}": name.rpartition(":")[0] for n, name in enumerate(vendor.names, 1)}
    books: dict[str, list[set[str]]] = {}
    for generation_id in vendor.done_at:
        books.setdefault(sold_as[generation_id], []).append({generation_id})
    uphold(Evidence(jobs=jobs, records=[record async for record in journal.history()], books=books, log=log))


@pytest.mark.usefixtures("wall")
@virtual
async def test_fault_30_ten_minutes_of_errors_slow_everything_and_fail_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Submits and polls of many jobs, one of them bought behind a gateway's error, and a log that is down as well."""
    caplog.set_level(logging.DEBUG)

    def down() -> bool:
        return 100 <= now() < 700

    def on_submit(number: int) -> HttpResponse | Exception | None:
        if not down():
            return None
        if number == 21:
            vendor.done_at["g21"] = now() + 200
            row = {"client_request_id": vendor.names[-1], "inference_id": "g21", "model": MODEL, "status": "succeeded"}
            vendor.rows.append(row)
            return answer(502, b"<html>Bad gateway</html>")
        return envelope(503, "try later")

    def troubled(*_: object) -> HttpResponse | Exception | None:
        kinds: list[HttpResponse | Exception] = [
            envelope(500, "oops"),
            answer(502, b"<html>"),
            envelope(503, "down"),
            RequestTimeout("no answer"),
        ]
        return kinds[len(vendor.log) % 4] if down() else None

    vendor = ScriptedVendor(takes=200, on_submit=on_submit, on_poll=troubled, on_logs=lambda _: troubled())
    journal = MemoryJournal()
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        jobs = [kling.submit(prompt(f"{n}", model=MODEL), key=f"k{n}") for n in range(20)]
        await asyncio.sleep(150)
        jobs += [kling.submit(prompt(f"{n}", model=MODEL), key=f"k{n}") for n in range(20, 40)]
        videos = await asyncio.gather(*jobs)
    assert len({video.generation_id for video in videos}) == 40
    at_last = [at for at, _, _ in vendor.log if 400 <= at < 700]
    assert 100 < len(at_last) < 40 * 300 / 10 / 2  # seldom enough to spare the vendor, often enough to see it back
    await kept(vendor, journal, jobs, caplog)


def test_fault_38_a_wall_clock_that_is_set_moves_nothing_within_a_process(wall: Wall) -> None:
    def run(off: float) -> list[tuple[float, str, str]]:
        vendor, journal = ScriptedVendor(takes=300), MemoryJournal()

        @virtual
        async def active() -> None:
            async with session(vendor, journal=journal, polling=STEADY) as kling:
                jobs = [kling.submit(prompt(model=MODEL), key="k", deadline=1000)]
                await asyncio.sleep(50)
                wall.off = off
                jobs.append(kling.submit(prompt("endless", model=MODEL), key="l", deadline=200))
                await jobs[0]
                with pytest.raises(DeadlineExceeded):
                    await jobs[1]
            await kept(vendor, journal, jobs)

        wall.off = 0.0
        active()
        return vendor.log

    assert run(HOUR) == run(-HOUR) == run(0.0)


@pytest.mark.parametrize("done", [True, False])
@virtual
async def test_fault_38_a_deadline_that_passed_by_the_clock_while_away_still_gets_one_poll(
    wall: Wall,
    done: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    vendor, journal = ScriptedVendor(takes=60 if done else math.inf), MemoryJournal()
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        jobs = [kling.submit(prompt(model=MODEL), key="k", deadline=500)]
        await asyncio.sleep(100)
    wall.off = HOUR  # the machine slept, or its clock was set
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        (job,) = kling.pending
        await job.settled()
        assert isinstance(job.exception(), DeadlineExceeded) is not done
        assert job.state is (JobState.COMPLETED if done else JobState.PENDING)
    assert vendor.polled("g1") == [100.0]
    await kept(vendor, journal, [*jobs, job])


@virtual
async def test_fault_38_a_clock_set_back_while_away_neither_hangs_nor_expires_a_job(wall: Wall) -> None:
    vendor, journal = ScriptedVendor(takes=300), MemoryJournal()
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        jobs = [kling.submit(prompt(model=MODEL), key="k", deadline=1000)]
        await asyncio.sleep(100)
    wall.off = -HOUR
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        (job,) = kling.pending
        assert (await job).generation_id == "g1"
        assert now() < 500
    await kept(vendor, journal, [*jobs, job])


@pytest.mark.usefixtures("wall")
@pytest.mark.parametrize("done", [True, False])
@virtual
async def test_fault_38_after_a_suspend_that_the_loops_clock_counts_one_poll_comes_before_the_end(
    done: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    vendor, journal = ScriptedVendor(takes=300 if done else math.inf), MemoryJournal()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        job = kling.submit(prompt(model=MODEL), key="k", deadline=1000)
        await asyncio.sleep(100)
        loop.now += 5 * HOUR
        await job.settled()
        assert isinstance(job.exception(), DeadlineExceeded) is not done
    assert vendor.polled("g1") == [5 * HOUR + 100]
    await kept(vendor, journal, [job])


@pytest.mark.usefixtures("wall")
@virtual
async def test_fault_38_a_poll_begun_before_the_deadline_does_not_stand_for_the_one_after_it() -> None:
    vendor, journal = ScriptedVendor(takes=248, slow_poll=lambda _, n: 10.0 if n == 1 else 0.0), MemoryJournal()
    vendor.on_poll = lambda _, n: running("g1") if n == 1 else None
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        job = kling.submit(prompt(model=MODEL), key="k", deadline=245)
        assert (await job).generation_id == "g1"
    assert vendor.polled("g1") == [240.0, 250.0]
    await kept(vendor, journal, [job])


@pytest.mark.asyncio
@pytest.mark.parametrize("off", [HOUR, -HOUR])
async def test_fault_38_a_clock_that_is_an_hour_wrong_still_finds_what_was_bought(
    case: Case, monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    monkeypatch.setattr("kling_async.session.wall_clock", lambda: time.time() + off)
    case.vendor.submits[1] = sold(resets)
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


@pytest.mark.asyncio
async def test_fault_38_a_clock_set_between_two_processes_loses_no_job(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with case:
        async with case.child("downloads", end="before pending", path=str(case.folder / "video.mp4")) as child:
            await child.end()
        monkeypatch.setattr("kling_async.session.wall_clock", lambda: time.time() - HOUR)
        async with case.session() as kling:
            (job,) = kling.pending
            assert (await job).generation_id == "g-1"
    assert len(case.vendor.posts) == 1
