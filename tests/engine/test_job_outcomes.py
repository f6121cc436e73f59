"""The outcome of a job, answer by answer."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from typing import TYPE_CHECKING

import pytest
from scripted import ScriptedVendor, answer, done, envelope, prompt, running, session
from virtual import virtual

from kling_async import (
    AuthenticationError,
    BadRequest,
    ConnectFailed,
    DeadlineExceeded,
    GenerationFailed,
    InvalidRequest,
    JobAbandoned,
    JobState,
    JournalError,
    KlingError,
    MalformedResponse,
    MemoryJournal,
    NotFound,
    OutOfCredits,
    Polling,
    RequestTimeout,
    ServerError,
    SubmissionUncertain,
    TextToVideo,
    Timeouts,
    TransportError,
)

if TYPE_CHECKING:
    from scripted import Answer

    from kling_async import HttpRequest, HttpResponse, Record

STEADY = Polling.fixed(10, first=240)
MODEL = "made-up/model"


# Submitting


@virtual
async def test_a_submit_goes_out_once_under_its_key_and_a_nonce() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        job = kling.submit(prompt("a fox", duration=5), key="row-1")
        before = job.state
        assert await job.accepted() == "g1"
        assert (before, job.state) == (JobState.QUEUED, JobState.PENDING)
    (post,) = [request for request in vendor.requests if request.method == "POST"]
    assert post.target == "/v2/video/generations"
    assert re.fullmatch(r"row-1:[0-9a-f]{16}", post.headers["X-Client-Request-Id"])
    assert json.loads(post.body or b"") == {
        "model": "klingai/v2.1-master-text-to-video",
        "prompt": "a fox",
        "duration": 5,
    }


@virtual
async def test_what_was_never_sent_is_sent_again_under_the_same_key_and_another_nonce() -> None:
    refused = ConnectFailed("connection refused")
    vendor = ScriptedVendor(on_submit=lambda n: refused if n < 3 else None)
    async with session(vendor) as kling:
        job = kling.submit(prompt(), key="row-1")
        await job.accepted()
        assert job.state is JobState.PENDING
    names = [request.headers["X-Client-Request-Id"] for request in vendor.requests if request.method == "POST"]
    assert len(set(names)) == 3
    assert {name.partition(":")[0] for name in names} == {"row-1"}


@virtual
async def test_a_submit_that_never_gets_through_settles_in_the_end_and_stays_queued() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: ConnectFailed("unknown host"))
    async with session(vendor, timeouts=Timeouts(submission=300)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(ConnectFailed, match="unknown host"):
            await job
        assert job.state is JobState.QUEUED
        assert 300 <= asyncio.get_running_loop().time() <= 420


@virtual
async def test_a_refused_certificate_is_not_tried_twice() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: ConnectFailed("self-signed", tls=True))
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        with pytest.raises(ConnectFailed, match="self-signed"):
            await job
        assert (job.state, vendor.submits) == (JobState.QUEUED, 1)


@pytest.mark.parametrize(
    "lost",
    [
        RequestTimeout("no answer", sent=True),
        TransportError("connection reset", sent=True),
        envelope(502, "bad gateway"),
        answer(500, b"<html>oops</html>"),
        answer(504, b"<html>gateway</html>"),
        answer(200, {"status": "queued"}),
        answer(200, b"{"),
        answer(200, b""),
    ],
    ids=["timeout", "reset", "502", "500-html", "504", "no-id", "cut", "empty"],
)
def test_an_answer_that_does_not_say_is_never_followed_by_a_second_post(lost: HttpResponse | Exception) -> None:
    @virtual
    async def run() -> None:
        vendor = ScriptedVendor(on_submit=lambda _: lost)
        async with session(vendor) as kling:
            job = kling.submit(prompt(), key="row-1")
            with pytest.raises(SubmissionUncertain, match="not sent again") as caught:
                await job
            assert job.state is JobState.UNCERTAIN
            assert caught.value.client_request_id == vendor.requests[0].headers["X-Client-Request-Id"]
            assert caught.value.key == "row-1"
            again = kling.submit(prompt(), key="row-1")
            with pytest.raises(SubmissionUncertain):
                await again
            await asyncio.sleep(3600)
        assert vendor.submits == 1

    run()


@pytest.mark.parametrize("status", [500, 503])
def test_a_failure_the_vendor_states_itself_was_not_charged_and_is_tried_again(status: int) -> None:
    @virtual
    async def run() -> None:
        vendor = ScriptedVendor(on_submit=lambda n: envelope(status, "internal") if n == 1 else None)
        async with session(vendor) as kling:
            await kling.submit(prompt())
        assert vendor.submits == 2

    run()


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequest), (422, BadRequest), (404, NotFound), (307, KlingError), (405, KlingError)],
)
def test_a_refusal_is_final(status: int, kind: type[KlingError]) -> None:
    @virtual
    async def run() -> None:
        vendor = ScriptedVendor(on_submit=lambda _: envelope(status, "prompt is too rude"))
        async with session(vendor) as kling:
            job = kling.submit(prompt(), key="k")
            with pytest.raises(kind, match="too rude") as caught:
                await job
            assert (job.state, vendor.submits, caught.value.key) == (JobState.REJECTED, 1, "k")
            again = kling.submit(prompt(), key="k")
            assert again.done()
            with pytest.raises(kind, match="too rude"):
                again.result()

    run()


@virtual
async def test_out_of_credits_stops_submits_while_pending_jobs_go_on() -> None:
    broke = envelope(403, "You have run out of credits")
    vendor = ScriptedVendor(takes=200, on_submit=lambda n: broke if n == 2 else None)
    async with session(vendor, polling=STEADY) as kling:
        paid = kling.submit(prompt("paid"))
        await paid.accepted()
        queued = [kling.submit(prompt(f"{n}"), key=f"q{n}") for n in range(3)]
        for job in queued:
            with pytest.raises(OutOfCredits) as caught:
                await job
            assert job.state is JobState.QUEUED
            assert caught.value.key == job.key
        late = kling.submit(prompt("late"))
        assert isinstance(late.exception(), OutOfCredits)
        assert "credits" in (kling.stats().halted or "")
        assert (await paid).generation_id == "g1"
        posts = vendor.submits

        kling.resume_submissions()
        await asyncio.gather(*(kling.submit(prompt(f"{n}"), key=f"q{n}") for n in range(3)))
        assert vendor.submits == posts + 3


@virtual
async def test_a_bad_key_is_reported_on_every_job_and_stops_everything() -> None:
    revoked = envelope(401, "Invalid API key")
    vendor = ScriptedVendor(takes=500, on_poll=lambda which, n: revoked if (which, n) == ("g2", 2) else None)
    vendor.on_balance = lambda: revoked
    async with session(vendor, polling=STEADY) as kling:
        jobs = [kling.submit(prompt(model=MODEL)) for _ in range(4)]
        for number, job in enumerate(jobs, start=1):
            with pytest.raises(AuthenticationError) as caught:
                await job
            assert job.state is JobState.PENDING
            assert caught.value.generation_id == f"g{number}"
        assert len({id(job.exception()) for job in jobs}) == 4
        asked = len(vendor.log)
        await asyncio.sleep(1000)
        assert len(vendor.log) == asked
        assert isinstance(kling.resume("another").exception(), AuthenticationError)
        kling.resume_submissions()
        assert (await kling.resume("g1")).generation_id == "g1"


@virtual
async def test_a_post_under_way_when_the_key_goes_bad_is_recorded_and_then_reported() -> None:
    revoked = envelope(401, "Invalid API key")
    vendor = ScriptedVendor(latency=5, on_poll=lambda _id, _n: revoked, on_balance=lambda: revoked)
    async with session(vendor, polling=STEADY) as kling:
        doomed = kling.resume("old")
        await asyncio.sleep(4)
        job = kling.submit(prompt())
        with pytest.raises(AuthenticationError):
            await doomed
        assert not job.done()
        with pytest.raises(AuthenticationError):
            await job
        assert (job.state, job.generation_id) == (JobState.PENDING, "g1")


# Asking


@virtual
async def test_a_failed_generation_says_why() -> None:
    reason = {"detail": [{"loc": ["body", "image_url"], "msg": "Could not detect face in the image"}]}
    failed = answer(200, {"id": "g1", "status": "error", "error": reason})
    vendor = ScriptedVendor(on_poll=lambda _id, _n: failed)
    async with session(vendor) as kling:
        job = kling.submit(prompt(), key="k")
        with pytest.raises(GenerationFailed, match=r"body\.image_url: Could not detect face in the image") as caught:
            await job
        assert caught.value.reason == reason
        assert (caught.value.polls, caught.value.last_status, job.state) == (1, "error", JobState.FAILED)


@virtual
async def test_passing_trouble_with_polls_does_not_fail_a_job() -> None:
    trouble: list[Answer] = [
        TransportError("reset"),
        RequestTimeout("slow"),
        envelope(500, "oops"),
        answer(502, b"<html>"),
        answer(200, b"<html>"),
        answer(200, b"[]"),
        answer(200, {"id": "someone-else", "status": "completed"}),
        answer(200, {"id": "g1", "status": None}),
        envelope(403, "forbidden"),
    ]
    vendor = ScriptedVendor(on_poll=lambda _id, n: trouble[n - 1] if n <= len(trouble) else None)
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        await job
        assert job.polls > len(trouble)


@virtual
async def test_trouble_and_then_a_permanent_error_settles_the_job_and_keeps_its_id() -> None:
    vendor = ScriptedVendor(on_poll=lambda _id, n: envelope(500, "x") if n < 4 else envelope(400, "malformed id"))
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        with pytest.raises(BadRequest, match="malformed id") as caught:
            await job
        assert (job.state, caught.value.generation_id, caught.value.polls) == (JobState.PENDING, "g1", 4)


@virtual
async def test_an_id_that_is_not_known_yet_is_given_some_time() -> None:
    vendor = ScriptedVendor(takes=0, on_poll=lambda _id, n: envelope(404, "not found") if n < 4 else None)
    async with session(vendor) as kling:
        assert (await kling.submit(prompt())).generation_id == "g1"


@virtual
async def test_an_id_that_stays_unknown_is_not_found_and_can_be_resumed() -> None:
    vendor = ScriptedVendor(on_poll=lambda _id, _n: envelope(404, "no such generation"))
    async with session(vendor, polling=Polling(not_found_grace=30)) as kling:
        job = kling.resume("typo")
        with pytest.raises(NotFound):
            await job
        assert job.state is JobState.PENDING
        assert 30 <= asyncio.get_running_loop().time() <= 95
        vendor.on_poll = lambda _id, _n: None
        assert (await kling.resume("typo")).generation_id == "typo"


@virtual
async def test_other_trouble_is_not_counted_towards_not_found() -> None:
    def script(_id: str, n: int) -> HttpResponse | None:
        return envelope(404, "x") if n % 2 else envelope(500, "y")

    vendor = ScriptedVendor(on_poll=lambda which, n: script(which, n) if n < 20 else done(which))
    async with session(vendor, polling=Polling(not_found_grace=10)) as kling:
        await kling.resume("flickering")


@virtual
async def test_completed_without_a_url_is_asked_again_and_then_an_error() -> None:
    bare = answer(200, {"id": "g1", "status": "completed", "video": None})
    vendor = ScriptedVendor(on_poll=lambda _id, n: bare if n < 3 else None)
    async with session(vendor) as kling:
        await kling.submit(prompt())
    vendor = ScriptedVendor(on_poll=lambda _id, _n: bare)
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        with pytest.raises(MalformedResponse, match="gives no url"):
            await job
        assert (job.state, job.last_status) == (JobState.PENDING, "completed")


@virtual
async def test_an_unknown_status_is_still_running_and_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    vendor = ScriptedVendor(takes=300, on_poll=lambda which, n: running(which, "dreaming") if n < 5 else None)
    with caplog.at_level(logging.WARNING, "kling_async"):
        async with session(vendor) as kling:
            await asyncio.gather(*(kling.submit(prompt()) for _ in range(3)))
    assert [record.message for record in caplog.records] == [
        "the vendor uses a status this library does not know, 'dreaming'; taken as still running"
    ]


# Deadlines


@virtual
async def test_a_generation_is_asked_once_more_at_its_deadline_and_then_let_go() -> None:
    vendor = ScriptedVendor(takes=math.inf)
    async with session(vendor, polling=STEADY, timeouts=Timeouts(generation=247)) as kling:
        job = kling.submit(prompt(model=MODEL))
        with pytest.raises(DeadlineExceeded, match="can be resumed") as caught:
            await job
        assert vendor.polled("g1") == [240.0, 247.0]
        assert isinstance(caught.value, TimeoutError)
        assert (caught.value.polls, caught.value.generation_id, job.state) == (2, "g1", JobState.PENDING)


@virtual
async def test_a_video_that_is_there_at_the_deadline_is_a_video() -> None:
    vendor = ScriptedVendor(takes=246)
    async with session(vendor, polling=STEADY, timeouts=Timeouts(generation=247)) as kling:
        assert (await kling.submit(prompt(model=MODEL))).generation_id == "g1"


@virtual
async def test_the_callers_deadline_counts_from_submit() -> None:
    vendor = ScriptedVendor(takes=math.inf, latency=3)
    async with session(vendor, polling=STEADY) as kling:
        job = kling.submit(prompt(model=MODEL), deadline=100)
        with pytest.raises(DeadlineExceeded):
            await job
        assert vendor.polled("g1") == [100.0]


@virtual
async def test_a_job_still_queued_at_its_deadline_is_never_sent() -> None:
    vendor = ScriptedVendor(takes=1000)
    kling = session(vendor, polling=STEADY)
    async with kling:
        vendor.on_submit = lambda _: envelope(429, "full")
        job = kling.submit(prompt(model=MODEL), deadline=50)
        with pytest.raises(DeadlineExceeded, match="nothing was bought"):
            await job
        assert asyncio.get_running_loop().time() == 50.0
        assert job.state is JobState.QUEUED
        posts = vendor.submits
        await asyncio.sleep(500)
        assert vendor.submits == posts


@virtual
async def test_trouble_at_the_deadline_is_the_cause_given() -> None:
    vendor = ScriptedVendor(on_poll=lambda _id, _n: envelope(503, "down"))
    async with session(vendor) as kling:
        job = kling.submit(prompt(), deadline=200)
        with pytest.raises(DeadlineExceeded) as caught:
            await job
        assert isinstance(caught.value.__cause__, ServerError)


@virtual
async def test_endless_refusals_do_not_keep_a_job_past_its_deadline_for_ever() -> None:
    vendor = ScriptedVendor(on_poll=lambda _id, _n: envelope(429, "slow down"))
    async with session(vendor, polling=STEADY) as kling:
        job = kling.submit(prompt(model=MODEL), deadline=245)
        with pytest.raises(DeadlineExceeded, match="refused"):
            await job
        assert 305 <= asyncio.get_running_loop().time() <= 345


@virtual
async def test_a_job_past_its_deadline_can_be_carried_on_by_its_key_or_its_id() -> None:
    vendor = ScriptedVendor(takes=2000)
    async with session(vendor, polling=STEADY, timeouts=Timeouts(generation=500)) as kling:
        job = kling.submit(prompt(model=MODEL), key="k")
        with pytest.raises(DeadlineExceeded):
            await job
        again = kling.submit(prompt(model=MODEL), key="k")
        assert again is not job
        assert again.generation_id == "g1"
        with pytest.raises(DeadlineExceeded):
            await again
        third = kling.resume("g1", deadline=5000)
        assert third.key == "k"
        with pytest.raises(DeadlineExceeded):
            await third
        await asyncio.sleep(1000)
        assert (await kling.resume("g1")).generation_id == "g1"
        assert vendor.submits == 1


# Keys


@virtual
async def test_the_same_key_and_request_is_the_same_job() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        first = kling.submit(prompt("x"), key="k")
        assert kling.submit(prompt("x"), key="k") is first
        await first
        asked = len(vendor.log)
        late = kling.submit(prompt("x"), key="k")
        assert late.done()
        assert await late == await first
        assert late.polls == first.polls
        assert (vendor.submits, len(vendor.log)) == (1, asked)


@virtual
async def test_one_key_for_two_requests_is_an_error_that_names_it() -> None:
    async with session(ScriptedVendor()) as kling:
        kling.submit(prompt("x"), key="k")
        with pytest.raises(InvalidRequest, match="another request") as caught:
            kling.submit(prompt("y"), key="k")
        assert (caught.value.field, caught.value.value) == ("key", "k")
        with pytest.raises(InvalidRequest, match="another request"):
            kling.resume("some-id", key="k")


@pytest.mark.parametrize("key", ["", "a b", "ü", "a" * 111, 7, "a/b", "a\n"])
def test_a_key_that_cannot_travel_is_refused_before_anything_is_sent(key: object) -> None:
    @virtual
    async def run() -> None:
        vendor = ScriptedVendor()
        async with session(vendor) as kling:
            with pytest.raises(InvalidRequest, match=r"A-Z a-z 0-9") as caught:
                kling.submit(prompt(), key=key)  # type: ignore[arg-type]
            assert caught.value.field == "key"
        assert vendor.log == []

    run()


@virtual
async def test_resuming_an_id_this_session_knows_is_that_job() -> None:
    async with session(ScriptedVendor()) as kling:
        job = kling.submit(prompt())
        await job.accepted()
        assert kling.resume("g1") is job
        await job
        assert await kling.resume("g1") == await job


@virtual
async def test_an_id_the_vendor_gives_twice_is_not_taken_for_two_jobs() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: answer(200, {"id": "same", "status": "queued"}))
    async with session(vendor) as kling:
        first = kling.submit(prompt())
        await first.accepted()
        second = kling.submit(prompt())
        with pytest.raises(SubmissionUncertain, match="id of another job"):
            await second
        assert (await first).generation_id == "same"


@virtual
async def test_an_invalid_request_is_refused_by_submit_itself() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        with pytest.raises(InvalidRequest) as caught:
            kling.submit(TextToVideo("x", cfg_scale=7))
        assert caught.value.field == "cfg_scale"
        with pytest.raises(InvalidRequest, match="request is"):
            kling.submit("a raccoon")  # type: ignore[arg-type]
        assert kling.pending == ()
    assert vendor.log == []


# Abandoning


@virtual
async def test_an_abandoned_queued_job_is_never_sent() -> None:
    vendor = ScriptedVendor()
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        job.abandon()
        with pytest.raises(JobAbandoned, match="never submitted"):
            await job
        await asyncio.sleep(100)
        assert (job.state, vendor.log) == (JobState.ABANDONED, [])
        job.abandon()


@virtual
async def test_an_abandoned_post_is_seen_through_and_its_id_kept() -> None:
    vendor = ScriptedVendor(latency=2)
    async with session(vendor) as kling:
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(1)
        job.abandon()
        with pytest.raises(JobAbandoned, match="charge stands"):
            await job
        await asyncio.sleep(1000)
        assert (job.state, job.generation_id) == (JobState.ABANDONED, "g1")
        assert vendor.polled("g1") == []
        again = kling.submit(prompt(), key="k")
        assert isinstance(again.exception(), JobAbandoned)
        assert vendor.submits == 1


@virtual
async def test_an_abandoned_pending_job_is_not_asked_about_again() -> None:
    vendor = ScriptedVendor(takes=300)
    async with session(vendor, polling=STEADY) as kling:
        job, other = kling.submit(prompt(model=MODEL)), kling.submit(prompt(model=MODEL))
        await asyncio.sleep(245)
        job.abandon()
        await other
        assert vendor.polled("g1") == [240.0]
        assert kling.stats().abandoned == 1


# Trouble of this side's own


class _Broken(ScriptedVendor):
    async def send(self, request: HttpRequest) -> HttpResponse:
        if b"cursed" in (request.body or b""):
            raise ZeroDivisionError("a bug in a transport")
        return await super().send(request)


@virtual
async def test_a_bug_in_the_handling_of_one_job_is_that_jobs_own(caplog: pytest.LogCaptureFixture) -> None:
    vendor = _Broken()
    async with session(vendor) as kling:
        fine, cursed, too = (kling.submit(prompt(text)) for text in ("one", "cursed", "two"))
        with pytest.raises(KlingError, match="ZeroDivisionError") as caught:
            await cursed
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        await asyncio.gather(fine, too)
    assert "could not be handled" in caplog.text


class _Full(MemoryJournal):
    """A disk that fills up."""

    def __init__(self, *states: JobState) -> None:
        super().__init__()
        self.states = states

    async def commit(self, record: Record) -> None:
        if record.state in self.states:
            raise JournalError("no space left on device")
        await super().commit(record)


@virtual
async def test_nothing_is_bought_that_cannot_be_recorded() -> None:
    vendor = ScriptedVendor()
    async with session(vendor, journal=_Full(JobState.SUBMITTING)) as kling:
        job = kling.submit(prompt())
        with pytest.raises(JournalError, match="no space"):
            await job
        assert job.state is JobState.QUEUED
    assert vendor.log == []


@virtual
async def test_what_was_bought_is_watched_even_if_it_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    async with session(ScriptedVendor(), journal=_Full(JobState.PENDING, JobState.COMPLETED)) as kling:
        job = kling.submit(prompt())
        assert (await job).generation_id == "g1"
        assert job.state is JobState.COMPLETED
    assert "g1" in caplog.text


class _Slow(MemoryJournal):
    """A disk that takes a second for every commit."""

    async def commit(self, record: Record) -> None:
        await asyncio.sleep(1)
        if not ((kept := self.get(record.key)) and kept.state is JobState.ABANDONED):  # noted later than this was begun
            await super().commit(record)


@virtual
async def test_a_session_that_ends_while_an_outcome_is_recorded_keeps_the_outcome() -> None:
    journal = _Slow()
    async with session(ScriptedVendor(takes=10), journal=journal, polling=Polling.fixed(20)) as kling:
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(21.5)  # a record of a second, the wait for the poll, and half of the last record
        assert not job.done()
    assert job.state is JobState.COMPLETED
    assert job.result().generation_id == "g1"
    record = journal.get("k")
    assert record is not None
    assert record.state is JobState.COMPLETED


@pytest.mark.parametrize(("instant", "posts"), [(0.5, 0), (1.5, 1), (2.5, 1), (194.0, 1)])
def test_abandoning_while_something_is_being_recorded_is_final(instant: float, posts: int) -> None:
    """During the SUBMITTING record, the POST, the PENDING record and the COMPLETED record."""

    @virtual
    async def run() -> None:
        journal = _Slow()
        vendor = ScriptedVendor(takes=190, latency=1)
        async with session(vendor, journal=journal, polling=Polling.fixed(1, first=97)) as kling:
            job = kling.submit(prompt(), key="k")
            await asyncio.sleep(instant)
            assert not job.done()
            job.abandon()
            await asyncio.sleep(1000)
            record = journal.get("k")
            assert record is not None
            assert (record.state, record.generation_id) == (JobState.ABANDONED, "g1" if posts else None)
            assert job.state is JobState.ABANDONED
        assert vendor.submits == posts

    run()


@virtual
async def test_running_out_of_credits_while_a_submit_is_being_recorded_keeps_it_from_being_sent() -> None:
    vendor = ScriptedVendor(on_submit=lambda _: envelope(403, "out of credits"))
    journal = _Slow()
    async with session(vendor, journal=journal) as kling:
        first = kling.submit(prompt("1"))
        await asyncio.sleep(0.9)
        second = kling.submit(prompt("2"), key="k")
        for job in (first, second):
            with pytest.raises(OutOfCredits):
                await job
        await asyncio.sleep(10)
        record = journal.get("k")
        assert record is not None
        assert (record.state, second.state) == (JobState.QUEUED, JobState.QUEUED)
    assert vendor.submits == 1


# Asking without a job


@virtual
async def test_fetch_asks_once_and_tells() -> None:
    vendor = ScriptedVendor(on_poll=lambda which, _: running(which, "waiting"))
    async with session(vendor) as kling:
        generation = await kling.fetch("UUID:kling-video/v1")
        assert (generation.raw_status, generation.status.value, generation.video) == ("waiting", "queued", None)
        vendor.on_poll = lambda _id, _n: envelope(404, "unknown")
        with pytest.raises(NotFound):
            await kling.fetch("typo")
        assert kling.stats().calls == 2
    assert vendor.requests[0].target == "/v2/video/generations?generation_id=UUID%3Akling-video%2Fv1"


@pytest.mark.parametrize("deadline", [0, -1, math.inf, math.nan, "5", True])
def test_a_deadline_that_is_none_is_refused(deadline: object) -> None:
    @virtual
    async def run() -> None:
        async with session(ScriptedVendor()) as kling:
            with pytest.raises(InvalidRequest, match="deadline"):
                kling.submit(prompt(), deadline=deadline)  # type: ignore[arg-type]

    run()
