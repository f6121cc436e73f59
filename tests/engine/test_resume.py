"""Going on with what another session began: by its journal, or by a token."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedVendor, envelope, prompt, session
from virtual import virtual

from kling_async import (
    DeadlineExceeded,
    InvalidRequest,
    JobState,
    JournalError,
    MemoryJournal,
    OutOfCredits,
    Polling,
    Reconciliation,
    RequestTimeout,
    SessionClosed,
    SubmissionUncertain,
)
from kling_async.journal.token import read_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async import Record

STEADY = Polling.fixed(10, first=240)
MODEL = "made-up/model"


# By the journal


@virtual
async def test_a_second_session_on_a_journal_polls_what_was_pending_and_buys_nothing_twice() -> None:
    vendor, journal = ScriptedVendor(takes=400), MemoryJournal()
    async with session(vendor, journal=journal, polling=STEADY) as first:
        jobs = [first.submit(prompt(f"{n}", model=MODEL), key=f"k{n}", tag=n) for n in range(3)]
        await jobs[-1].accepted()
        await asyncio.sleep(100)
    for job in jobs:
        with pytest.raises(SessionClosed) as caught:
            await job
        assert caught.value.generation_id == job.generation_id
    await asyncio.sleep(200)
    async with session(vendor, journal=journal, polling=STEADY) as second:
        assert [(job.key, job.tag, job.state) for job in second.pending] == [
            (f"k{n}", n, JobState.PENDING) for n in range(3)
        ]
        videos = await asyncio.gather(*second.pending)
        assert [video.generation_id for video in videos] == ["g1", "g2", "g3"]
    assert vendor.submits == 3
    assert vendor.polled("g1")[0] == 300.0  # its time had passed meanwhile, so at once


@virtual
async def test_finished_jobs_come_back_without_a_request() -> None:
    vendor, journal = ScriptedVendor(), MemoryJournal()
    async with session(vendor, journal=journal) as first:
        video = await first.submit(prompt(), key="k")
    asked = len(vendor.log)
    async with session(vendor, journal=journal) as second:
        assert second.pending == ()
        assert await second.submit(prompt(), key="k") == video
        assert [record.key async for record in second.history()] == ["k"]
    assert len(vendor.log) == asked


@virtual
async def test_queued_jobs_are_submitted_on_opening() -> None:
    vendor, journal = ScriptedVendor(on_submit=lambda _: envelope(429, "full")), MemoryJournal()
    async with session(vendor, journal=journal) as first:
        first.submit(prompt(), key="k")
        await asyncio.sleep(1)
    vendor.on_submit = lambda _: None
    async with session(vendor, journal=journal) as second:
        (job,) = second.pending
        await job
        assert job.key == "k"


@virtual
async def test_queued_jobs_can_be_held_until_told() -> None:
    vendor, journal = ScriptedVendor(on_submit=lambda _: envelope(429, "full")), MemoryJournal()
    async with session(vendor, journal=journal) as first:
        first.submit(prompt("held"), key="k")
        first.submit(prompt("held too"), key="l")
        await asyncio.sleep(1)
    vendor.on_submit = lambda _: None
    posts = vendor.submits
    async with session(vendor, journal=journal, hold=True) as second:
        held, _ = second.pending
        fresh = second.submit(prompt("fresh"))
        await fresh
        assert (held.state, vendor.submits) == (JobState.QUEUED, posts + 1)
        second.resume_submissions()
        await asyncio.gather(*second.pending)
        assert vendor.submits == posts + 3


@virtual
async def test_what_was_being_sent_is_looked_for_after_a_crash() -> None:
    vendor, journal = ScriptedVendor(latency=50), MemoryJournal()
    async with session(vendor, journal=journal) as first:
        job = first.submit(prompt(), key="k")
        await asyncio.sleep(1)
        assert job.state is JobState.SUBMITTING
        crashed = MemoryJournal()
        crashed.append(journal.get("k") or pytest.fail("not recorded"))
    vendor.latency = 0
    async with session(vendor, journal=crashed) as second:
        (again,) = second.pending
        assert again.state is JobState.UNCERTAIN
        vendor.rows = [
            {
                "status": "succeeded",
                "inference_id": "found",
                "client_request_id": vendor.names[0],
                "model": "klingai/v2.1-master-text-to-video",
            }
        ]
        assert (await again).generation_id == "found"
    assert vendor.submits == 1


@virtual
async def test_a_deadline_that_passed_while_nobody_watched_still_gets_one_poll() -> None:
    vendor, journal = ScriptedVendor(takes=math.inf), MemoryJournal()
    async with session(vendor, journal=journal, polling=STEADY) as first:
        first.submit(prompt(model=MODEL), key="k", deadline=500)
        await asyncio.sleep(10)
    await asyncio.sleep(1000)
    async with session(vendor, journal=journal, polling=STEADY) as second:
        (job,) = second.pending
        with pytest.raises(DeadlineExceeded):
            await job
        assert vendor.polled("g1") == [1010.0]


# By a token


@virtual
async def test_a_token_goes_on_in_another_session_without_a_journal() -> None:
    vendor = ScriptedVendor(takes=400)
    async with session(vendor, polling=STEADY) as first:
        job = first.submit(prompt(model=MODEL), key="k")
        await job.accepted()
        token = job.token()
    async with session(vendor, polling=STEADY) as second:
        again = second.resume(token, tag="again")
        assert (again.key, again.generation_id, again.tag, again.request) == ("k", "g1", "again", job.request)
        assert second.resume(token) is again
        assert (await again).generation_id == "g1"
        assert (await second.submit(prompt(model=MODEL), key="k")).generation_id == "g1"
    assert vendor.submits == 1


@virtual
async def test_a_token_without_an_id_may_only_be_looked_for() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: RequestTimeout("lost", sent=True))
    async with session(vendor) as first:
        queued = first.submit(prompt("queued"), key="q").token()
        uncertain = first.submit(prompt("uncertain"), key="d")
        await asyncio.sleep(1)
        token = uncertain.token()
    posts = vendor.submits
    async with session(vendor) as second:
        found, lost = second.resume(token), second.resume(queued)
        assert {found.state, lost.state} == {JobState.UNCERTAIN}
        vendor.rows = [{"inference_id": "found", "client_request_id": vendor.names[1]}]
        assert (await found).generation_id == "found"
        with pytest.raises(SubmissionUncertain, match="begins with q:"):
            await lost
    assert vendor.submits == posts


@virtual
async def test_a_token_of_a_job_this_session_knows_is_that_job() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        job = kling.submit(prompt(), key="k")
        assert kling.resume(job.token()) is job
        await job
        assert await kling.resume(job.token()) == await job
        other = kling.submit(prompt("other"), key="o")
        with pytest.raises(InvalidRequest, match="another request"):
            kling.resume(job.token().replace('"k"', '"o"').replace("g1", "g9"))
        other.abandon()


@virtual
async def test_a_token_of_a_job_that_settled_early_carries_it_on() -> None:
    vendor = ScriptedVendor(on_submit=lambda n: envelope(403, "out of credits") if n == 1 else None)
    async with session(vendor) as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(OutOfCredits):
            await job
        kling.resume_submissions()
        again = kling.resume(job.token())
        assert again is not job
        assert (await again).generation_id == "g2"


@virtual
async def test_a_token_holds_no_secret_and_says_its_version() -> None:
    async with session(ScriptedVendor()) as kling:
        parts = json.loads(kling.submit(prompt("hello"), key="k").token())
    assert parts["kling_async"] == 1
    assert parts["request"]["prompt"] == "hello"
    assert set(parts) == {"kling_async", "key", "endpoint", "request", "queued_at"}


@pytest.mark.parametrize(
    "token",
    [
        "{",
        "{}",
        '{"kling_async": 2, "key": "k"}',
        '{"kling_async": 1}',
        '{"kling_async": 1, "key": "k", "request": 5}',
        '{"kling_async": 1, "key": "k", "request": {"kind": "nonsense"}}',
        '{"kling_async": 1, "key": "not a key!"}',
    ],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    @virtual
    async def run() -> None:
        async with session(ScriptedVendor()) as kling:
            with pytest.raises(InvalidRequest):
                kling.resume(token)
            assert kling.pending == ()

    run()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "key",
    "endpoint",
    "request",
    "client_request_id",
    "generation_id",
    "queued_at",
    "submitted_at",
    "kling_async",
]


@given(st.dictionaries(st.sampled_from(FIELDS), anything).map(lambda parts: json.dumps({"kling_async": 1} | parts)))
def test_no_token_raises_anything_but_a_refusal(token: str) -> None:
    try:
        record = read_token(token)
    except InvalidRequest:
        return
    assert record.state in (JobState.PENDING, JobState.UNCERTAIN)


# When the journal fails


class _Failing(MemoryJournal):
    """A disk that takes nothing while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.full: Sequence[JobState] = ()

    async def commit(self, record: Record) -> None:
        if record.state in self.full:
            raise JournalError("no space left on device")
        await super().commit(record)


@virtual
async def test_a_full_disk_stops_submits_with_one_error_per_job_while_polls_go_on() -> None:
    vendor, journal = ScriptedVendor(takes=300), _Failing()
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        paid = kling.submit(prompt("paid", model=MODEL))
        await paid.accepted()
        journal.full = list(JobState)
        queued = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(3)]
        for job in queued:
            with pytest.raises(JournalError, match="no space"):
                await job
            assert job.state is JobState.QUEUED
        assert (await paid).generation_id == "g1"
        assert vendor.submits == 1
        journal.full = ()
        kling.resume_submissions()
        await asyncio.gather(*(kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(3)))
        assert vendor.submits == 4


@virtual
async def test_a_purchase_that_cannot_be_recorded_stops_further_ones() -> None:
    vendor, journal = ScriptedVendor(takes=300), _Failing()
    journal.full = [JobState.PENDING]
    async with session(vendor, journal=journal, polling=STEADY) as kling:
        bought = kling.submit(prompt("bought"))
        await bought.accepted()
        later = kling.submit(prompt("later"))
        with pytest.raises(JournalError):
            await later
        assert vendor.submits == 1
        assert (await bought).generation_id == "g1"
        record = journal.get(bought.key)
        assert record is not None
        assert record.generation_id == "g1"


# An id found by other means


@virtual
async def test_an_id_found_by_hand_is_put_back_under_its_key() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: RequestTimeout("lost", sent=True))
    async with session(vendor, reconciliation=Reconciliation(after=60)) as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(SubmissionUncertain):
            await job
        found = kling.resume("g-found", key="k")
        assert (found.key, found.request) == ("k", job.request)
        assert (await found).generation_id == "g-found"
        assert await kling.submit(prompt(), key="k") == await found
    assert vendor.submits == 1


@virtual
async def test_an_id_given_to_a_job_that_is_being_looked_for_ends_the_looking() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: RequestTimeout("lost", sent=True))
    async with session(vendor) as kling:
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(1)
        assert kling.resume("g-found", key="k") is job
        assert await job.accepted() == "g-found"
        assert (await job).generation_id == "g-found"
        await asyncio.sleep(5000)
    assert len(vendor.looks) <= 1


@virtual
async def test_a_token_with_an_id_keeps_a_job_that_is_queued_here_from_being_bought_again() -> None:
    vendor = ScriptedVendor()
    async with session(vendor, polling=STEADY) as elsewhere:
        job = elsewhere.submit(prompt(model=MODEL), key="k")
        await job.accepted()
        token = job.token()
    vendor.on_submit = lambda _: envelope(429, "full")
    async with session(vendor, polling=STEADY) as kling:
        queued = kling.submit(prompt(model=MODEL), key="k")
        assert kling.resume(token) is queued
        assert (await queued).generation_id == "g1"
    assert [record for record in vendor.log if record[1] == "submit"] == [(0.0, "submit", "1")]


@virtual
async def test_a_key_with_a_generation_takes_no_other() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(InvalidRequest, match="key"):
            await asyncio.sleep(0)
            kling.resume("another", key="k")
        await job
        with pytest.raises(InvalidRequest, match="key"):
            kling.resume("another", key="k")
