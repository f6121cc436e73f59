"""Events reach subscribers, and subscribers never hold anything up."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import ANY

import pytest
from scripted import ScriptedVendor, answer, envelope, only_mine, prompt, session
from virtual import virtual

from kling_async import (
    Accepted,
    Completed,
    ConnectFailed,
    Event,
    Failed,
    GenerationFailed,
    GenerationStatus,
    Interrupted,
    InvalidRequest,
    JobAbandoned,
    JobEvent,
    JobState,
    Limits,
    PermissionDenied,
    Polled,
    Polling,
    Queued,
    Retrying,
    SessionClosed,
    Stats,
    Submitted,
    Throttled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripted import Answer

    from kling_async import Job, Subscription

pytestmark = pytest.mark.usefixtures("silent")

E = TypeVar("E", bound=Event)

STEADY = Polling.fixed(10, first=240)
MODEL = "made-up/model"  # not in the catalogue, so typically 240 s: the first poll comes 240 s after acceptance


async def told(subscription: Subscription[E]) -> list[E]:
    return [event async for event in subscription]


def told_of(kind: type[JobEvent], at: float, job: Job, *values: Any, **named: Any) -> JobEvent:
    """An event of this kind, whatever else it says of its job."""
    anything: dict[str, Any] = {"time": ANY, "state": ANY}
    if kind is not Accepted:
        anything["generation_id"] = ANY
    return kind(at, job, *values, **anything, **named)


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


# What each life looks like


@virtual
async def test_a_life_that_goes_well() -> None:
    async with session(ScriptedVendor(takes=250.0, latency=1.0), polling=STEADY) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt(model=MODEL))
        video = await job

    about: Any = pytest.approx(359.3, abs=0.1)
    assert await told(events) == [
        told_of(Queued, 0.0, job),
        told_of(Submitted, 0.0, job, attempt=1),
        told_of(Accepted, 1.0, job, generation_id="g1"),
        told_of(Polled, 242.0, job, status=GenerationStatus.GENERATING, polls=1, expected_at=about),
        told_of(Polled, 252.0, job, status=GenerationStatus.COMPLETED, polls=2, expected_at=None),
        told_of(Completed, 252.0, job, video=video),
    ]


@virtual
async def test_a_generation_that_fails() -> None:
    vendor = ScriptedVendor(on_poll=lambda which, _: answer(200, {"id": which, "status": "error"}))
    async with session(vendor, polling=STEADY) as kling:
        events = kling.subscribe()
        job = await kling.submit(prompt(model=MODEL)).settled()

    error = job.exception()
    assert isinstance(error, GenerationFailed)
    assert (await told(events))[2:] == [
        told_of(Accepted, 0.0, job, generation_id="g1"),
        told_of(Polled, 240.0, job, status=GenerationStatus.FAILED, polls=1, expected_at=None),
        told_of(Failed, 240.0, job, error=error),
    ]


@virtual
async def test_a_request_that_is_refused() -> None:
    async with session(ScriptedVendor(on_submit=lambda _: envelope(403, "not for you"))) as kling:
        events = kling.subscribe()
        job = await kling.submit(prompt()).settled()

    error = job.exception()
    assert isinstance(error, PermissionDenied)
    assert (await told(events))[2:] == [told_of(Failed, 0.0, job, error=error)]


@virtual
async def test_a_submit_that_is_throttled_and_then_passes() -> None:
    vendor = ScriptedVendor(on_submit=lambda n: envelope(429, "slow down", retry_after="7") if n == 1 else None)
    async with session(vendor) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt())
        await job.accepted()

    queued, submitted, throttled, again, accepted, _ = await told(events)
    assert (queued, submitted) == (told_of(Queued, 0.0, job), told_of(Submitted, 0.0, job, attempt=1))
    assert isinstance(throttled, Throttled)
    assert (throttled.at, throttled.job, throttled.is_submit) == (0.0, job, True)
    assert 7.0 <= throttled.until <= 7.35
    assert again == told_of(Submitted, throttled.until, job, attempt=2)
    assert accepted == told_of(Accepted, throttled.until, job, generation_id="g2")


@virtual
async def test_a_poll_that_is_throttled() -> None:
    vendor = ScriptedVendor(on_poll=lambda _, n: envelope(429, "slow down") if n == 1 else None)
    async with session(vendor, polling=STEADY) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt(model=MODEL))
        video = await job

    throttled, polled, completed = (await told(events))[3:]
    assert isinstance(throttled, Throttled)
    assert (throttled.at, throttled.job, throttled.is_submit) == (240.0, job, False)
    assert polled == told_of(Polled, throttled.until, job, status=GenerationStatus.COMPLETED, polls=1, expected_at=None)
    assert completed == told_of(Completed, throttled.until, job, video=video)


@virtual
async def test_a_submit_and_a_poll_that_are_tried_again() -> None:
    refused, lost = ConnectFailed("refused"), envelope(500, "broken")
    vendor = ScriptedVendor(
        on_submit=lambda n: refused if n == 1 else None,
        on_poll=lambda _, n: lost if n == 1 else None,
    )
    async with session(vendor, polling=STEADY) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt(model=MODEL))
        await job

    happened = await told(events)
    assert kinds(happened) == [
        Queued,
        Submitted,
        Retrying,
        Submitted,
        Accepted,
        Retrying,
        Polled,
        Completed,
    ]
    first, second = (event for event in happened if isinstance(event, Retrying))
    assert first.error is refused
    assert "broken" in str(second.error)
    assert first.retry_at <= happened[3].at <= 0.5  # its line waits as well
    assert second.retry_at == happened[6].at


@virtual
async def test_a_job_that_is_abandoned() -> None:
    async with session(ScriptedVendor()) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt())
        job.abandon()

    error = job.exception()
    assert isinstance(error, JobAbandoned)
    assert await told(events) == [told_of(Queued, 0.0, job), told_of(Interrupted, 0.0, job, error=error)]


@virtual
async def test_a_job_that_the_close_cuts_off_is_told_of_before_the_end() -> None:
    async with session(ScriptedVendor()) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt())
        await job.accepted()

    last = (await told(events))[-1]
    assert isinstance(last, Interrupted)
    assert last.error is job.exception()
    assert isinstance(last.error, SessionClosed)


@virtual
async def test_a_resumed_generation_is_not_told_of_as_queued() -> None:
    async with session(ScriptedVendor()) as kling:
        events = kling.subscribe()
        job = kling.resume("old")
        video = await job

    assert await told(events) == [
        told_of(Polled, 0.0, job, GenerationStatus.COMPLETED, polls=1, expected_at=None),
        told_of(Completed, 0.0, job, video),
    ]


# Subscribing


@virtual
async def test_a_subscription_begins_at_the_call_and_not_at_the_first_read() -> None:
    async with session(ScriptedVendor()) as kling:
        before = kling.submit(prompt())
        events = kling.subscribe()
        job = kling.submit(prompt())
        await asyncio.gather(before, job)

    happened = await told(events)
    assert happened[0] == told_of(Queued, 0.0, job)
    assert told_of(Queued, 0.0, before) not in happened


@virtual
async def test_each_subscription_gets_everything() -> None:
    async with session(ScriptedVendor()) as kling:
        one, other = kling.subscribe(), kling.subscribe()
        await kling.submit(prompt())

    assert kinds(await told(one)) == kinds(await told(other))


@virtual
async def test_readers_are_woken_as_things_happen() -> None:
    seen: list[tuple[float, type[Event]]] = []
    loop = asyncio.get_running_loop()

    async def read(events: Subscription[Event]) -> None:
        async for event in events:
            seen.append((loop.time(), type(event)))
            assert event.at == loop.time()

    async with session(ScriptedVendor(latency=2.0), polling=STEADY) as kling:
        reader = asyncio.create_task(read(kling.subscribe()))
        await kling.submit(prompt(model=MODEL))
    await reader

    assert seen == [
        (0.0, Queued),
        (0.0, Submitted),
        (2.0, Accepted),
        (244.0, Polled),
        (244.0, Completed),
    ]
    assert only_mine()


@virtual
async def test_two_readers_of_one_subscription_share_its_events_and_both_end() -> None:
    async with session(ScriptedVendor()) as kling:
        events = kling.subscribe()
        readers = [asyncio.create_task(told(events)) for _ in range(2)]
        await asyncio.sleep(1.0)
        await kling.submit(prompt())

    shares = await asyncio.gather(*readers)
    happened = [event for share in shares for event in share]
    assert {Queued, Submitted, Accepted, Completed} <= set(kinds(happened))
    assert kinds(happened).count(Completed) == 1


@virtual
async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    async with session(ScriptedVendor()) as kling:
        events = kling.subscribe()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 1.0)
        job = kling.submit(prompt())
        await job

    assert (await told(events))[0] == told_of(Queued, 1.0, job)


@virtual
async def test_a_reader_that_falls_behind_loses_the_oldest_and_is_told_how_many() -> None:
    async with session(ScriptedVendor(), polling=STEADY) as kling:
        narrow, wide = kling.subscribe(buffer=3), kling.subscribe()
        await asyncio.gather(*(kling.submit(prompt()) for _ in range(10)))
        assert repr(narrow) == f"<Subscription open 3 buffered, {narrow.missed} missed>"

    everything = await told(wide)
    assert wide.missed == 0
    assert await told(narrow) == everything[-3:]
    assert narrow.missed == len(everything) - 3
    assert repr(narrow) == f"<Subscription closed 0 buffered, {narrow.missed} missed>"


@virtual
async def test_a_reader_that_never_reads_slows_nobody() -> None:
    async def run(*, subscribed: bool) -> list[tuple[float, str, str]]:
        vendor = ScriptedVendor()
        begun = asyncio.get_running_loop().time()
        async with session(vendor) as kling:
            events = kling.subscribe(buffer=1) if subscribed else None
            await asyncio.gather(*(kling.submit(prompt()) for _ in range(20)))
            del events
        return [(round(at - begun, 3), what, which) for at, what, which in vendor.log]

    assert await run(subscribed=True) == await run(subscribed=False)


@virtual
async def test_a_subscription_that_is_dropped_is_forgotten() -> None:
    async with session(ScriptedVendor()) as kling:
        assert kling._engine is not None
        events, kept = kling.subscribe(), kling.subscribe()
        assert len(kling._engine.events._to_all) == 2
        del events
        gc.collect()
        assert list(kling._engine.events._to_all) == [kept]


@virtual
async def test_closing_a_subscription_ends_it_after_what_it_holds() -> None:
    async with session(ScriptedVendor()) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt())
        events.close()
        events.close()
        await job

        assert kinds(await told(events)) == [Queued]
        assert events.missed == 0


@virtual
async def test_closing_the_session_ends_a_reader_that_waits() -> None:
    async with session(ScriptedVendor()) as kling:
        reader = asyncio.create_task(told(kling.subscribe()))
        await asyncio.sleep(1.0)

    assert await reader == []
    assert only_mine()


@pytest.mark.parametrize("buffer", [0, -1, 1.5, True, None])
@virtual
async def test_a_buffer_that_is_none_is_refused(buffer: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(InvalidRequest, match="buffer"):
            kling.subscribe(buffer=buffer)


@virtual
async def test_who_watches_a_job_gets_its_events_and_no_others() -> None:
    async with session(ScriptedVendor()) as kling:
        everything = kling.subscribe()
        jobs = [kling.submit(prompt(f"{n}"), tag=n) for n in range(20)]
        of_jobs = [(job.events(), kling.subscribe(job=job)) for job in jobs]
        await asyncio.gather(*jobs)
        for job, (events, _) in zip(jobs, of_jobs, strict=True):
            seen = await told(events)  # which ends, as the job has settled
            assert {event.job for event in seen} == {job}
            assert isinstance(seen[-1], Completed)

    lives = [await told(subscription) for _, subscription in of_jobs]
    assert sum(map(len, lives)) == sum(not isinstance(event, Queued) for event in await told(everything))


@virtual
async def test_a_jobs_events_end_with_its_failure_and_a_settled_job_has_none() -> None:
    async with session(ScriptedVendor(on_submit=lambda _: envelope(403, "not for you"))) as kling:
        events = (job := kling.submit(prompt())).events()
        assert kinds(await told(events)) == [Submitted, Failed]
        assert await told(job.events()) == []
        assert kling.find(job.key) is not None


@virtual
async def test_a_job_that_nobody_watches_makes_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    async with session(ScriptedVendor()) as kling:
        assert kling._engine is not None
        bus = kling._engine.events
        watched, other = kling.submit(prompt("a")), kling.submit(prompt("b"))
        events = watched.events()
        monkeypatch.setattr(bus, "_clock", None)  # which every event asks for the time
        other.abandon()
        assert not bus.is_watched(other.key)
        monkeypatch.undo()
        await watched
        assert len(await told(events)) > 2
        assert not bus.is_watched(watched.key)  # it has ended, though somebody has it still
        del events
        gc.collect()
        assert not bus.is_watched(watched.key)
        assert not bus._by_key


@virtual
async def test_events_hold_what_was_so_when_they_happened() -> None:
    async with session(ScriptedVendor(takes=250.0), polling=STEADY) as kling:
        events = kling.subscribe(job=(job := kling.submit(prompt(model=MODEL), key="k", tag={"row": 1})))
        await job

    seen = await told(events)
    assert [(event.state.value, event.generation_id) for event in seen] == [
        ("submitting", None),
        ("pending", "g1"),
        ("pending", "g1"),
        ("pending", "g1"),
        ("completed", "g1"),
    ]
    assert {(event.key, str(event.tag)) for event in seen} == {("k", "{'row': 1}")}
    assert {event.time - timedelta(seconds=event.at) for event in seen} == {datetime.fromtimestamp(1_800_000_000, UTC)}


@virtual
async def test_events_are_plain_data_for_json() -> None:
    vendor = ScriptedVendor(on_poll=lambda _, n: envelope(500, "broken") if n == 1 else None)
    tags: list[object] = ["a", None, {"row": [1, 2.5, True]}, Path("a/b"), (1, JobState.QUEUED)]
    async with session(vendor, polling=STEADY) as kling:
        events = kling.subscribe()
        await asyncio.gather(*(kling.submit(prompt(str(n)), tag=tag) for n, tag in enumerate(tags)))

    seen = await told(events)
    data = [event.to_dict() for event in seen]
    assert json.loads(json.dumps(data)) == data
    assert {"queued", "submitted", "accepted", "retrying", "polled", "completed"} == {one["event"] for one in data}
    assert [one["tag"] for one in data[:5]] == ["a", None, {"row": [1, 2.5, True]}, "a/b", [1, "queued"]]
    [again] = [one for event, one in zip(seen, data, strict=True) if isinstance(event, Retrying) and event.tag == "a"]
    assert again["error"] == {"type": "ServerError", "message": again["error"]["message"]}
    assert again["time"] < again["retry_at"]  # both by the wall clock
    assert datetime.fromisoformat(again["retry_at"]).tzinfo is not None
    assert data[-1]["video"]["url"].startswith("http")
    assert not {"at", "job"} & set(data[-1])


@pytest.mark.parametrize("job", ["k", 7, prompt()])
@virtual
async def test_what_is_no_job_cannot_be_subscribed_to(job: Any) -> None:
    async with session(ScriptedVendor()) as kling:
        with pytest.raises(InvalidRequest, match="job"):
            kling.subscribe(job=job)


# Numbers


@virtual
async def test_stats_agree_with_the_events() -> None:
    trouble: dict[int, Answer] = {2: envelope(429, "slow"), 3: envelope(403, "no"), 4: ConnectFailed("refused")}
    vendor = ScriptedVendor(
        on_submit=trouble.get,
        on_poll=lambda which, n: answer(200, {"id": which, "status": "error"}) if (which, n) == ("g5", 1) else None,
    )
    async with session(vendor, limits=Limits(max_in_flight=6)) as kling:
        events = kling.subscribe()
        jobs = [kling.submit(prompt()) for _ in range(12)]
        jobs[10].abandon()
        while kling.stats().completed < 3:
            await asyncio.sleep(1.0)
            stats = kling.stats()
            assert stats.open == len(kling.pending)
            assert stats.open + stats.settled == len(jobs)
    happened, stats = kinds(await told(events)), kling.stats()

    assert stats.submits == happened.count(Submitted) == vendor.submits
    assert stats.throttled == happened.count(Throttled) == 1
    assert stats.completed == happened.count(Completed)
    assert stats.failed + stats.rejected == happened.count(Failed) == 2
    assert stats.abandoned + stats.interrupted == happened.count(Interrupted)
    assert stats.polls == sum(vendor.polls.values())
    assert (stats.open, stats.settled) == (0, len(jobs))


@virtual
async def test_stats_follow_one_job() -> None:
    async with session(ScriptedVendor(latency=2.0)) as kling:
        seen = [kling.stats()]
        job = kling.submit(prompt())
        seen.append(kling.stats())
        await asyncio.sleep(1.0)
        seen.append(kling.stats())
        await job.accepted()
        seen.append(kling.stats())
        await job
        seen.append(kling.stats())

    def place(stats: Stats) -> tuple[int, ...]:
        return (stats.queued, stats.submitting, stats.pending, stats.completed)

    assert [place(stats) for stats in seen] == [
        (0, 0, 0, 0),
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 0, 1),
    ]
    assert seen[-1].polls == job.polls


@virtual
async def test_stats_tell_of_a_pause_and_of_a_halt() -> None:
    vendor = ScriptedVendor(
        on_submit=lambda n: envelope(403, "You have run out of credits") if n == 2 else None,
        on_poll=lambda _, n: envelope(429, "slow", retry_after="60") if n == 1 else None,
    )
    async with session(vendor) as kling:
        first = kling.submit(prompt())
        while not vendor.polls:  # noqa: ASYNC110 - virtual seconds cost nothing
            await asyncio.sleep(1.0)
        paused_for = kling.stats().paused_for
        await first
        assert 0.0 < paused_for <= 63.0
        assert kling.stats().paused_for == 0.0
        await kling.submit(prompt()).settled()
        halted = kling.stats().halted
        kling.resume_submissions()

        assert halted is not None
        assert "credits" in halted
        assert kling.stats().halted is None


@virtual
async def test_a_fetch_counts_as_a_call() -> None:
    async with session(ScriptedVendor()) as kling:
        await kling.fetch("g1")

        assert (kling.stats().calls, kling.stats().polls) == (1, 0)


# Logs


@virtual
async def test_every_log_record_about_a_job_says_which_one_in_the_same_attributes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "kling_async")
    trouble: dict[int, Answer] = {1: ConnectFailed("refused"), 2: envelope(429, "slow")}
    polls: dict[int, Answer] = {1: envelope(500, "broken"), 2: answer(200, {"id": "g3", "status": "dreaming"})}
    vendor = ScriptedVendor(on_submit=trouble.get, on_poll=lambda _, n: polls.get(n))
    async with session(vendor, polling=STEADY) as kling:
        await kling.submit(prompt(model=MODEL), key="k")

    said = [record for record in caplog.records if hasattr(record, "generation_id")]
    assert [(record.key, record.generation_id, record.model, record.status) for record in said] == [  # type: ignore[attr-defined]
        ("k", None, MODEL, None),  # a submit failed, and is tried again
        ("k", None, MODEL, None),  # one was refused
        ("k", "g3", MODEL, None),  # a poll told nothing
        ("k", "g3", MODEL, "dreaming"),  # a word that is not known
    ]
    assert not [record for record in caplog.records if record.msg.startswith("job ") and record not in said]
    caplog.clear()
