"""The pace of a session: the limits, slots and durations it learns, and its numbers about them."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ScriptedVendor, answer, envelope, prompt, running, session
from virtual import virtual

from kling_async import GenerationFailed, GenerationStatus, InvalidRequest, Limits, Polled, Polling, Progress

if TYPE_CHECKING:
    from scripted import Answer

MODEL = "klingai/v2.1-master-text-to-video"  # typically 220 s
KIND: dict[str, Any] = {"model": MODEL, "duration": 5}


def now() -> float:
    return asyncio.get_running_loop().time()


def sent(vendor: ScriptedVendor, what: str) -> list[float]:
    return [at for at, kind, _ in vendor.log if kind == what]


@virtual
async def test_a_session_without_a_cap_rises_from_ten_requests_per_second_while_requests_wait() -> None:
    vendor = ScriptedVendor()
    async with session(vendor, limits=Limits(max_in_flight=10_000)) as kling:
        jobs = [kling.submit(prompt(f"{n}")) for n in range(2000)]
        await jobs[-1].accepted()
        assert kling.stats().requests_per_second > 20
    submits = sent(vendor, "submit")
    assert sum(at < 10 for at in submits) <= 110
    assert submits[-1] < 150


@virtual
async def test_a_cap_on_submits_leaves_polls_alone() -> None:
    vendor = ScriptedVendor(takes=5)
    limits = Limits(requests_per_second=100, submits_per_second=0.5, burst=1)
    async with session(vendor, limits=limits, polling=Polling.fixed(1)) as kling:
        await asyncio.gather(*(kling.submit(prompt(f"{n}")) for n in range(4)))
    assert sent(vendor, "submit") == [0.0, 2.0, 4.0, 6.0]
    assert len(sent(vendor, "poll")) == 20


@virtual
async def test_refused_polls_slow_the_session_down() -> None:
    rng = Random(5)
    vendor = ScriptedVendor(takes=10_000, on_poll=lambda *_: envelope(429, "slow") if rng.random() < 0.3 else None)
    limits = Limits(requests_per_second=10, max_in_flight=1000)
    async with session(vendor, limits=limits, polling=Polling.fixed(1)) as kling:
        for n in range(100):
            kling.resume(f"elsewhere-{n}")
        await asyncio.sleep(120)
        assert kling.stats().requests_per_second < 8


@virtual
async def test_the_accounts_slots_are_learned_and_filled_as_generations_end() -> None:
    """Five slots: after the first refusal the sixth and later ones follow ends, with few refusals more."""
    ends: list[float] = []

    def full(_: int) -> Answer:
        ends[:] = [end for end in ends if end > now()]
        if len(ends) >= 5:
            return envelope(429, "too many at once")
        ends.append(now() + 100)
        return None

    vendor = ScriptedVendor(takes=100, on_submit=full)
    async with session(vendor, polling=Polling.fixed(1)) as kling:
        jobs = [kling.submit(prompt(f"{n}")) for n in range(40)]
        await jobs[10].accepted()
        assert kling.stats().slots == 5
        await asyncio.gather(*jobs)
        assert kling.stats().throttled < 40
    assert now() < 8 * 100 + 60


@virtual
async def test_an_outage_is_met_with_few_requests_and_over_within_seconds() -> None:
    def down(*_: object) -> Answer:
        return envelope(503, "maintenance") if 100 <= now() < 700 else None

    vendor = ScriptedVendor(takes=720, on_poll=down)
    async with session(vendor, polling=Polling.fixed(10, first=100)) as kling:
        jobs = [kling.submit(prompt(f"{n}")) for n in range(500)]
        await asyncio.gather(*jobs)
    during = sum(100 <= at < 700 for at in sent(vendor, "poll"))
    assert 500 <= during < 2 * 500 + 50 + 600 + 5  # each twice, then a retry per second
    assert now() < 800


@virtual
async def test_a_job_at_the_vendor_says_when_it_will_be_done() -> None:
    vendor = ScriptedVendor(takes=220)
    async with session(vendor) as kling:
        job = kling.submit(prompt(model=MODEL, duration=5))
        assert job.expected_completion is None
        await job.accepted()
        expected = job.expected_completion
        assert expected is not None
        assert job.submitted_at is not None
        assert timedelta(seconds=200) < expected.median - job.submitted_at < timedelta(seconds=250)
        assert expected.median < expected.p90
        await job
        assert job.expected_completion is None


@virtual
async def test_polls_tell_those_who_listen_when_it_will_be_done() -> None:
    vendor = ScriptedVendor(takes=220)
    async with session(vendor, polling=Polling.fixed(100)) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt(model=MODEL, duration=5))
        await job
    told = [(event.status, event.expected_at) async for event in events if isinstance(event, Polled)]
    assert [status for status, _ in told] == [
        GenerationStatus.GENERATING,
        GenerationStatus.GENERATING,
        GenerationStatus.COMPLETED,
    ]
    assert told[-1][1] is None
    first, second = (expected for _, expected in told[:2])
    assert first is not None
    assert second is not None
    assert 100 < first < second


@virtual
async def test_what_is_learned_shows_and_makes_the_next_session_ask_in_time() -> None:
    """A vendor that takes a third of what the catalogue says."""
    requests = [prompt(f"{n}", **KIND) for n in range(60)]
    async with session(ScriptedVendor(takes=70)) as kling:
        await asyncio.gather(*map(kling.submit, requests))
        [kind] = kling.stats().learned
        assert (kind.model, kind.duration) == (MODEL, 5)
        assert kind.generations > 30  # what tells nothing new is not counted
        assert 50 < kind.median < 100
        assert kind.median <= kind.p90
        learned = json.loads(json.dumps(kling.learned()))

    async def lateness(polling: Polling) -> float:
        vendor = ScriptedVendor(takes=70)
        async with session(vendor, polling=polling) as kling:
            await asyncio.gather(*map(kling.submit, requests[:8]))
        return sum(vendor.polled(f"g{n + 1}")[-1] - sent(vendor, "submit")[n] - 70 for n in range(8))

    assert await lateness(Polling(learned=learned)) < await lateness(Polling()) / 2


@virtual
async def test_a_generation_that_waits_is_asked_about_slowly() -> None:
    def queue(which: str, _: int) -> Answer:
        return running(which, "queued") if now() < 3000 else None

    vendor = ScriptedVendor(takes=3200, on_poll=queue)
    async with session(vendor) as kling:
        await kling.submit(prompt(**KIND))
    waits = [at for at in sent(vendor, "poll") if at < 3000]
    gaps = [after - before for before, after in itertools.pairwise(waits)]
    assert min(gaps) >= 15
    assert len(waits) < 40


@virtual
async def test_a_session_of_many_sleeping_jobs_is_reviewed_without_asking() -> None:
    vendor = ScriptedVendor(takes=math.inf)
    async with session(vendor, polling=Polling.fixed(1000)) as kling:
        jobs = [kling.submit(prompt(f"{n}", **KIND)) for n in range(600)]
        await jobs[-1].accepted()
        await asyncio.sleep(40)
        assert kling.stats().polls == 0
        assert kling.stats().pending == 600


@virtual
async def test_a_job_tells_how_far_it_is_until_its_video_is_there() -> None:
    begun = now()
    async with session(ScriptedVendor(takes=220, latency=5)) as kling:
        job = kling.submit(prompt(model=MODEL, duration=5))
        assert job.progress == Progress(0.0, None)
        await job.accepted()
        told = [(now() - begun, progress) async for progress in job.watch(every=10)]

    (first, *_, last_but_one, last) = [progress for _, progress in told]
    assert first.fraction == 0.0
    assert first.remaining is not None
    assert 150 < first.remaining < 260
    assert 0.8 < last_but_one.fraction < 1.0
    assert last == Progress(1.0, 0.0) == job.progress
    fractions = [progress.fraction for _, progress in told]
    assert fractions == sorted(fractions)
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(told)]
    assert gaps[:-1] == [10.0] * (len(gaps) - 1)
    assert gaps[-1] <= 10.0  # it is told of the end at once


@virtual
async def test_a_job_that_fails_is_watched_to_its_end_without_raising() -> None:
    vendor = ScriptedVendor(on_poll=lambda which, _: answer(200, {"id": which, "status": "error"}))
    async with session(vendor, polling=Polling.fixed(10, first=100)) as kling:
        job = kling.submit(prompt())
        told = [progress async for progress in job.watch(every=30)]
        assert isinstance(job.exception(), GenerationFailed)
    assert told[-1].remaining is None
    assert job.progress == Progress(0.0, None)
    assert told[-1].fraction == told[-2].fraction > 0.0


@pytest.mark.parametrize("every", [0, -1, "1", None, math.nan, True])
@virtual
async def test_a_job_is_not_watched_at_impossible_intervals(every: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(InvalidRequest, match="every"):
            await anext(kling.submit(prompt()).watch(every))
