"""The order and times of submits and polls: exact logs in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import TYPE_CHECKING

import pytest
from scripted import ScriptedVendor, envelope, prompt, running, session
from virtual import VirtualLoop, virtual

from kling_async import JobState, Limits, MemoryJournal, Polling, Record

if TYPE_CHECKING:
    from scripted import Answer

FIRST = 240.0
# A schedule without jitter: the first poll 240 s after acceptance, then one every 10 s.
STEADY = Polling.fixed(10, first=FIRST)
MODEL = "made-up/model"  # not in the catalogue


@virtual
async def test_polls_come_at_the_first_instant_and_then_at_every_interval() -> None:
    vendor = ScriptedVendor(takes=262)
    async with session(vendor, polling=STEADY) as kling:
        await kling.submit(prompt(model=MODEL))
    assert vendor.log == [
        (0.0, "submit", "1"),
        (FIRST, "poll", "g1"),
        (FIRST + 10, "poll", "g1"),
        (FIRST + 20, "poll", "g1"),
        (FIRST + 30, "poll", "g1"),
    ]


@virtual
async def test_a_new_job_wakes_a_sleeping_scheduler() -> None:
    vendor = ScriptedVendor(takes=300)
    async with session(vendor, polling=STEADY) as kling:
        first = kling.submit(prompt(model=MODEL))
        await asyncio.sleep(100)
        second = kling.submit(prompt(model=MODEL))
        await second.accepted()
        assert (100.0, "submit", "2") in vendor.log
        await asyncio.gather(first, second)


@virtual
async def test_a_slow_poll_delays_no_other_job() -> None:
    vendor = ScriptedVendor(takes=100, slow_poll=lambda which, _: 25.0 if which == "g1" else 0.0)
    async with session(vendor, polling=STEADY) as kling:
        slow, *others = [kling.submit(prompt(model=MODEL)) for _ in range(4)]
        await asyncio.gather(*others)
        assert asyncio.get_running_loop().time() == FIRST
        assert not slow.done()
        await slow
        assert asyncio.get_running_loop().time() == FIRST + 25


@virtual
async def test_a_busy_slot_is_handed_on_as_soon_as_it_is_free() -> None:
    vendor = ScriptedVendor(takes=100, slow_poll=lambda _which, _: 3.0)
    limits = Limits(requests_per_second=math.inf, max_polls=2)
    async with session(vendor, polling=STEADY, limits=limits) as kling:
        await asyncio.gather(*(kling.submit(prompt(model=MODEL)) for _ in range(5)))
    assert [at for at, what, _ in vendor.log if what == "poll"] == [240.0, 240.0, 243.0, 243.0, 246.0]


@virtual
async def test_the_shared_rate_spaces_submits_and_polls_alike() -> None:
    vendor = ScriptedVendor(takes=100)
    async with session(vendor, polling=STEADY, limits=Limits(requests_per_second=2, burst=1)) as kling:
        await asyncio.gather(*(kling.submit(prompt(model=MODEL)) for _ in range(4)))
    assert [at for at, *_ in vendor.log] == [0.0, 0.5, 1.0, 1.5, 240.0, 240.5, 241.0, 241.5]


@virtual
async def test_a_flood_of_submits_leaves_every_fifth_place_to_polls_that_are_due() -> None:
    vendor = ScriptedVendor(takes=10_000, on_poll=lambda which, _: running(which))
    async with session(vendor, polling=STEADY, limits=Limits(requests_per_second=1, burst=1)) as kling:
        for n in range(50):
            kling.resume(f"elsewhere-{n}")
            kling.submit(prompt(model=MODEL))
        await asyncio.sleep(20.5)
        kinds = [what for _, what, _ in vendor.log]
        assert kinds == (["submit"] * 4 + ["poll"]) * 4 + ["submit"]


@virtual
async def test_no_more_generations_are_in_flight_than_allowed() -> None:
    vendor = ScriptedVendor(takes=100)
    limits = Limits(requests_per_second=math.inf, max_in_flight=3)
    async with session(vendor, polling=STEADY, limits=limits) as kling:
        jobs = [kling.submit(prompt(model=MODEL)) for _ in range(7)]
        await jobs[2].accepted()
        await asyncio.sleep(1)
        assert [job.state for job in jobs].count(JobState.QUEUED) == 4
        await asyncio.gather(*jobs)
    assert [at for at, what, _ in vendor.log if what == "submit"] == [0.0] * 3 + [240.0] * 3 + [480.0]


@virtual
async def test_no_more_posts_are_under_way_than_allowed() -> None:
    vendor = ScriptedVendor(latency=2.0)
    limits = Limits(requests_per_second=math.inf, max_submits=2)
    async with session(vendor, polling=STEADY, limits=limits) as kling:
        jobs = [kling.submit(prompt(model=MODEL)) for _ in range(5)]
        await jobs[-1].accepted()
    assert [at for at, what, _ in vendor.log if what == "submit"] == [0.0, 0.0, 2.0, 2.0, 4.0]


class SlowDisk(MemoryJournal):
    """Takes three seconds to record what was bought."""

    async def commit(self, record: Record) -> None:
        await asyncio.sleep(3.0 if record.state is JobState.PENDING else 0.0)
        await super().commit(record)


@virtual
async def test_the_next_post_does_not_wait_for_the_answer_before_it_to_be_recorded() -> None:
    vendor = ScriptedVendor(latency=2.0)
    limits = Limits(requests_per_second=math.inf, max_submits=1)
    async with session(vendor, polling=STEADY, limits=limits, journal=SlowDisk()) as kling:
        jobs = [kling.submit(prompt(model=MODEL)) for _ in range(3)]
        await jobs[0].accepted()
        assert asyncio.get_running_loop().time() == 5.0
        await jobs[-1].accepted()
    assert [at for at, what, _ in vendor.log if what == "submit"] == [0.0, 2.0, 4.0]


@virtual
async def test_what_is_bought_and_not_recorded_yet_counts_as_in_flight() -> None:
    vendor = ScriptedVendor(takes=100)
    limits = Limits(requests_per_second=math.inf, max_in_flight=2)
    async with session(vendor, polling=STEADY, limits=limits, journal=SlowDisk()) as kling:
        await asyncio.gather(*(kling.submit(prompt(model=MODEL)) for _ in range(4)))
    assert [at for at, what, _ in vendor.log if what == "submit"] == [0.0, 0.0, FIRST, FIRST]


@virtual
async def test_jobs_are_submitted_in_the_order_they_came() -> None:
    vendor = ScriptedVendor()
    async with session(vendor, limits=Limits(requests_per_second=5, burst=1)) as kling:
        jobs = [kling.submit(prompt(f"number {n}")) for n in range(20)]
        await jobs[-1].accepted()
    prompts = [request.body for request in vendor.requests if request.body]
    assert [f"number {n}".encode() in body for n, body in enumerate(prompts)] == [True] * 20


@virtual
async def test_a_refused_poll_waits_and_the_others_go_on_once_one_of_them_has_passed() -> None:
    refused = envelope(429, "Too many requests", retry_after="20")
    vendor = ScriptedVendor(takes=100, on_poll=lambda which, n: refused if (which, n) == ("g1", 1) else None)
    async with session(vendor, polling=STEADY, limits=Limits(requests_per_second=1, burst=1)) as kling:
        jobs = [kling.submit(prompt(model=MODEL)) for _ in range(3)]
        await asyncio.gather(*jobs)
        assert kling.stats().throttled == 1
        assert jobs[0].polls == 1  # the refusal told nothing
    polls = [(at, which) for at, what, which in vendor.log if what == "poll"]
    assert [which for _, which in polls] == ["g1", "g2", "g3", "g1"]
    assert polls[2][0] < 245.0
    assert 260.0 <= polls[3][0] <= 261.0


@virtual
async def test_everything_waits_out_a_refusal_that_another_poll_meets_as_well() -> None:
    refused = envelope(429, "Too many requests", retry_after="20")
    vendor = ScriptedVendor(takes=100, on_poll=lambda which, n: refused if n == 1 and which != "g3" else None)
    async with session(vendor, polling=STEADY, limits=Limits(requests_per_second=1, burst=1)) as kling:
        await asyncio.gather(*(kling.submit(prompt(model=MODEL)) for _ in range(3)))
    polls = [(at, which) for at, what, which in vendor.log if what == "poll"]
    assert [which for _, which in polls[:3]] == ["g1", "g2", "g3"]
    assert polls[1][0] < 245.0
    assert polls[2][0] >= 260.0


@virtual
async def test_refusals_mid_run_fail_nobody() -> None:
    rng = random.Random(7)
    vendor = ScriptedVendor(
        takes=200, on_poll=lambda _id, _n: envelope(429, "slow down") if rng.random() < 0.5 else None
    )
    async with session(vendor, polling=STEADY) as kling:
        videos = await asyncio.gather(*(kling.submit(prompt(model=MODEL)) for _ in range(50)))
        assert len({video.generation_id for video in videos}) == 50
        assert kling.stats().throttled > 0


@virtual
async def test_a_refused_submit_holds_submits_while_polls_go_on() -> None:
    vendor = ScriptedVendor(takes=500, on_submit=lambda n: envelope(429, "concurrency") if n == 2 else None)
    async with session(vendor, polling=STEADY) as kling:
        first = kling.submit(prompt(model=MODEL))
        await first.accepted()
        second = kling.submit(prompt(model=MODEL))
        await asyncio.sleep(0.1)
        assert second.state is JobState.QUEUED
        await second.accepted()
        assert 0.25 <= asyncio.get_running_loop().time() <= 0.6
        assert kling.stats().paused_for == 0


@virtual
async def test_a_job_that_ends_frees_a_place_for_submits_that_are_held() -> None:
    """Refusals in a row come to hold for half a minute; the end of another job lifts that at once."""

    def full(n: int) -> Answer:
        return envelope(429, "concurrency") if n > 1 and asyncio.get_running_loop().time() < 245 else None

    vendor = ScriptedVendor(takes=250, on_submit=full)
    async with session(vendor, polling=STEADY) as kling:
        first = kling.submit(prompt(model=MODEL))
        await first.accepted()
        kling.submit(prompt(model=MODEL))
        await first
        await asyncio.sleep(0.001)
        ended = asyncio.get_running_loop().time()
        assert [at for at, what, _ in vendor.log if what == "submit"][-1] == pytest.approx(ended, abs=0.01)


@virtual
async def test_while_the_vendor_is_down_everything_slows_and_nothing_fails() -> None:
    def down(_which: str, _n: int) -> Answer:
        now = asyncio.get_running_loop().time()
        return envelope(503, "maintenance") if 250 <= now < 850 else None

    vendor = ScriptedVendor(takes=260, on_poll=down)
    async with session(vendor, polling=STEADY) as kling:
        await asyncio.gather(*(kling.submit(prompt(model=MODEL)) for _ in range(10)))
        elapsed = asyncio.get_running_loop().time()
    assert 850 <= elapsed <= 920
    during = [at for at, what, _ in vendor.log if what == "poll" and 250 <= at < 850]
    assert len(during) / 10 < 35  # an unslowed job would have asked 60 times


@virtual
async def test_the_same_seed_gives_the_same_log_twice() -> None:
    async def run() -> list[tuple[float, str, str]]:
        chance = random.Random(3)

        def trouble(_which: str, _n: int) -> Answer:
            roll = chance.random()
            return envelope(500, "oops") if roll < 0.1 else envelope(429, "slow") if roll < 0.15 else None

        vendor = ScriptedVendor(takes=300, latency=0.3, on_poll=trouble)
        start = asyncio.get_running_loop().time()
        async with session(vendor, limits=Limits(requests_per_second=5), rng=random.Random(42)) as kling:
            await asyncio.gather(*(kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(30)))
        return [(at - start, what, which) for at, what, which in vendor.log]

    first, second = await run(), await run()
    assert [entry[1:] for entry in first] == [entry[1:] for entry in second]
    assert [at for at, *_ in first] == pytest.approx([at for at, *_ in second], abs=1e-6)
    assert len(first) > 100


@virtual
async def test_two_thousand_abandoned_jobs_are_dropped_without_a_request_and_leave_the_loop_to_others() -> None:
    vendor = ScriptedVendor(takes=10_000)
    async with session(vendor, limits=Limits(requests_per_second=math.inf, max_in_flight=10**6)) as kling:
        jobs = [kling.submit(prompt("x")) for _ in range(2_000)]
        for job in jobs:
            job.abandon()
        turns = 0
        for _ in range(10):
            await asyncio.sleep(0)
            turns += 1
        assert turns == 10
        assert vendor.submits == 0
        assert kling.stats().abandoned == 2_000


class EarlyLoop(VirtualLoop):
    """Wakes half a tick of the clock before every timer, which asyncio then takes for due."""

    jumps = 0

    def jump(self) -> None:
        self.jumps += 1
        self.now = max(self.now, self._scheduled[0].when() - time.get_clock_info("monotonic").resolution / 2)


def test_an_early_timer_does_not_make_the_scheduler_spin() -> None:
    async def run() -> None:
        async with session(vendor, polling=STEADY, limits=Limits(requests_per_second=3, burst=1)) as kling:
            jobs = [kling.submit(prompt(model=MODEL)) for _ in range(10)]
            await asyncio.gather(*jobs)

    vendor, loop = ScriptedVendor(takes=100), EarlyLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())
    assert loop.time() < 300
    assert len(vendor.log) == 20
    assert loop.jumps < 100


def test_the_first_poll_of_a_resumed_id_comes_at_once() -> None:
    @virtual
    async def run() -> None:
        vendor = ScriptedVendor(on_poll=lambda which, n: running(which) if n == 1 else None)
        async with session(vendor, polling=STEADY) as kling:
            job = kling.resume("UUID:made-up/model")
            await job
            assert vendor.polled("UUID:made-up/model") == [0.0, 10.0]

    run()
