"""Buying again what has failed: by `submit(retry_failed=...)` and by `Retry`, and never what may have been charged."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from scripted import ScriptedVendor, answer, envelope, prompt, promptly, session
from virtual import virtual

from kling_async import (
    Accepted,
    GenerationFailed,
    JobState,
    JournalError,
    KlingError,
    Limits,
    MemoryJournal,
    Polling,
    Retry,
    Retrying,
    SubmissionUncertain,
    TransportError,
    Video,
    read_journal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_async import Event, HttpResponse, Subscription

STEADY = Polling.fixed(10, first=240)
MODERATED = {"message": "The content has triggered the content security policy of the platform"}


def failed(generation_id: str, reason: object = "out of luck", **facts: Any) -> HttpResponse:
    return answer(200, {"id": generation_id, "status": "error", "error": reason, **facts})


def failing(*ids: str, reason: object = "out of luck", **facts: Any) -> Callable[[str, int], HttpResponse | None]:
    return lambda generation_id, _: failed(generation_id, reason, **facts) if generation_id in ids else None


async def outcome(job: Any) -> str:
    await job.settled()
    error = job.exception()
    return job.result().generation_id if error is None else type(error).__name__


async def first(events: Subscription[Event], is_it: Callable[[Event], bool]) -> None:
    async for event in events:
        if is_it(event):
            return


# By the caller


@virtual
async def test_a_failed_key_is_bought_again_only_when_asked_for() -> None:
    vendor = ScriptedVendor(on_poll=failing("g1", "g2"))
    async with session(vendor, polling=STEADY) as kling:
        assert await outcome(kling.submit(prompt(), key="k")) == "GenerationFailed"
        again = kling.submit(prompt(), key="k")
        assert again.done()
        assert await outcome(kling.submit(prompt(), key="k", retry_failed=True)) == "GenerationFailed"
        job = kling.submit(prompt(), key="k", retry_failed=True)
        assert (job.state, job.generation_id) == (JobState.QUEUED, None)
        assert kling.submit(prompt(), key="k", retry_failed=True) is job  # an open one is no failure
        assert await outcome(job) == "g3"
        assert await outcome(kling.submit(prompt(), key="k", retry_failed="all")) == "g3"
    assert vendor.submits == 3


@virtual
@pytest.mark.parametrize("facts", [{"reason": MODERATED}, {"meta": {"usage": {"usd_spent": 0.7}}}])
async def test_refused_content_and_charged_failures_are_bought_again_only_with_all(facts: dict[str, Any]) -> None:
    vendor = ScriptedVendor(on_poll=failing("g1", **facts))
    async with session(vendor, polling=STEADY, retry=Retry(failed=3)) as kling:
        assert await outcome(kling.submit(prompt(), key="k")) == "GenerationFailed"
        assert kling.submit(prompt(), key="k", retry_failed=True).done()
        assert vendor.submits == 1
        assert await outcome(kling.submit(prompt(), key="k", retry_failed="all")) == "g2"


@virtual
async def test_a_refused_submit_is_tried_again_only_with_all() -> None:
    vendor = ScriptedVendor(on_submit=lambda number: envelope(400, "bad prompt") if number == 1 else None)
    async with session(vendor, polling=STEADY, retry=Retry(failed=3)) as kling:
        assert await outcome(kling.submit(prompt(), key="k")) == "BadRequest"
        assert kling.submit(prompt(), key="k", retry_failed=True).done()
        assert await outcome(kling.submit(prompt(), key="k", retry_failed="all")) == "g2"


@virtual
async def test_what_was_abandoned_or_may_have_been_bought_is_never_bought_again() -> None:
    def lose_first(number: int) -> Any:
        return TransportError("gone") if number == 1 else None

    vendor = ScriptedVendor(on_submit=lose_first)
    async with session(vendor, polling=STEADY) as kling:
        lost = kling.submit(prompt("a"), key="lost", deadline=100)
        given_up = kling.submit(prompt("b"), key="given-up")
        await given_up.accepted()
        given_up.abandon()
        assert await outcome(lost) == "SubmissionUncertain"
        assert kling.submit(prompt("b"), key="given-up", retry_failed="all").state is JobState.ABANDONED
        again = kling.submit(prompt("a"), key="lost", deadline=100, retry_failed="all")
        with pytest.raises(SubmissionUncertain):
            await again
    assert vendor.submits == 2


@pytest.mark.asyncio
async def test_it_goes_on_across_sessions_and_the_journal_tells_the_attempts(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    vendor = ScriptedVendor(takes=0.0, on_poll=failing("g1", "g2", "g3"))
    for number in range(3):
        async with promptly(vendor, journal=path) as kling:
            job = kling.submit(prompt(), key="k", retry_failed=number > 0)
            assert [record.key async for record in kling.history()] == ["k"]
            assert await outcome(job) == "GenerationFailed"
            assert kling.find("k") is not None
    (record,) = read_journal(path).records()
    assert (record.state, record.generation_id, record.attempts) == (JobState.FAILED, "g3", 3)
    assert record.former_generation_ids == ("g1", "g2")
    async with promptly(vendor, journal=path) as kling:
        assert await outcome(kling.submit(prompt(), key="k", retry_failed=True)) == "g4"
        assert kling.resume("g4").key == "k"
    (record,) = read_journal(path).records()
    assert (record.error, record.settled_at is None) == (None, False)


# By the session


@virtual
async def test_a_session_buys_again_as_often_as_it_may_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kling_async.poll")
    vendor = ScriptedVendor(on_poll=failing("g1", "g2", "g4", "g5", "g6"))
    async with session(vendor, polling=STEADY, retry=Retry(failed=2)) as kling:
        events = kling.subscribe()
        job = kling.submit(prompt("a"), key="a", tag="mine")
        assert await outcome(job) == "g3"
        assert job.tag == "mine"
        assert await outcome(kling.submit(prompt("b"), key="b")) == "GenerationFailed"
        assert kling.stats().open == 0
    retries = [event async for event in events if isinstance(event, Retrying)]
    assert [(event.job.key, type(event.error)) for event in retries] == [
        *[("a", GenerationFailed)] * 2,
        *[("b", GenerationFailed)] * 2,
    ]
    assert vendor.submits == 6
    logged = [(record.key, record.generation_id) for record in caplog.records]  # type: ignore[attr-defined]
    assert logged == [("a", "g1"), ("a", "g2"), ("b", "g4"), ("b", "g5")]  # which generation it was that failed


@pytest.mark.asyncio
async def test_attempts_are_counted_over_all_sessions(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    always = failing(*(f"g{number}" for number in range(1, 99)))
    held = asyncio.Event()

    def hold_second(generation_id: str, number: int) -> HttpResponse | None:
        return always(generation_id, number) if generation_id == "g1" or held.is_set() else None

    vendor = ScriptedVendor(takes=1e9, on_poll=hold_second)
    async with promptly(vendor, journal=path, retry=Retry(failed=2)) as kling:
        events = kling.subscribe()
        kling.submit(prompt(), key="k")
        await first(events, lambda event: isinstance(event, Accepted) and event.generation_id == "g2")
    held.set()
    async with promptly(vendor, journal=path, retry=Retry(failed=2)) as kling:
        (job,) = kling.pending
        assert (job.generation_id, job.state) == ("g2", JobState.PENDING)
        assert await outcome(job) == "GenerationFailed"
    assert vendor.submits == 3
    (record,) = read_journal(path).records()
    assert record.former_generation_ids == ("g1", "g2")


@virtual
async def test_a_deadline_and_a_spend_limit_hold_for_all_attempts_together() -> None:
    vendor = ScriptedVendor(on_poll=failing("g1", "g2", "g3", "g4", "g5", "g6"))
    async with session(vendor, polling=STEADY, retry=Retry(failed=50)) as kling:
        assert await outcome(kling.submit(prompt(), deadline=600)) == "DeadlineExceeded"
    assert vendor.submits == 3


@virtual
async def test_failures_cost_nothing_under_a_spend_limit() -> None:
    priced = {"id": "klingai/video-v2.1-master-text-to-video", "pricing": []}
    vendor = ScriptedVendor(on_poll=failing("g1", "g2"), models=[priced])
    limits = Limits(max_spend_usd=1, allow_unpriced=True)
    async with session(vendor, polling=STEADY, limits=limits, retry=Retry(failed=2)) as kling:
        assert await outcome(kling.submit(prompt())) == "g3"


@virtual
async def test_what_cannot_be_recorded_is_not_bought_again() -> None:
    class Full(MemoryJournal):
        full = False

        async def commit(self, record: Any) -> None:
            if self.full and record.state is JobState.QUEUED:
                raise JournalError("full")
            await super().commit(record)

    journal, vendor = Full(), ScriptedVendor(on_poll=failing("g1"))
    journal.full = True
    async with session(vendor, polling=STEADY, journal=journal, retry=Retry(failed=2)) as kling:
        with pytest.raises(KlingError):
            await kling.submit(prompt(), key="k")
    record = journal.get("k")
    assert record is not None
    assert (vendor.submits, record.state) == (1, JobState.FAILED)


@virtual
async def test_a_generation_known_by_its_id_alone_is_not_bought_again() -> None:
    vendor = ScriptedVendor(on_poll=failing("g7"))
    async with session(vendor, polling=STEADY, retry=Retry(failed=2)) as kling:
        with pytest.raises(GenerationFailed):
            await kling.resume("g7")
    assert vendor.submits == 0


@virtual
async def test_closing_while_it_waits_for_another_try_leaves_it_queued() -> None:
    journal, vendor = MemoryJournal(), ScriptedVendor(on_poll=failing("g1"))
    async with session(vendor, polling=STEADY, journal=journal, retry=Retry(failed=1)) as kling:
        events = kling.subscribe()
        kling.submit(prompt(), key="k")
        await first(events, lambda event: isinstance(event, Retrying))
    async with session(vendor, polling=STEADY, journal=journal, retry=Retry(failed=1)) as kling:
        (job,) = kling.pending
        video = await job
        assert isinstance(video, Video)
        assert video.generation_id == "g2"
