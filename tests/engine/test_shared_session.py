"""Many sessions on one journal: one leads, all submit and watch; what was paid for is neither lost nor bought twice."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest
from account_vendor import priced
from scripted import ScriptedVendor, answer, envelope, prompt, session
from shared_memory import Database
from test_retry_failed import failing
from virtual import virtual

from kling_async import (
    AuthenticationError,
    DeadlineExceeded,
    InvalidRequest,
    JobAbandoned,
    JobState,
    JournalError,
    KlingError,
    KlingSession,
    Limits,
    OutOfCredits,
    Polling,
    Reconciliation,
    RequestTimeout,
    Retry,
    SessionClosed,
    SubmissionUncertain,
)
from kling_async.engine import leadership
from kling_async.engine.news import carry_out
from kling_async.engine.scheduler import Scheduler
from kling_async.journal.shared import Instruction, LateAnswer, Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_async.api.messages import HttpRequest, HttpResponse

pytestmark = pytest.mark.usefixtures("silent")

STEADY = Polling.fixed(10, first=240)


def member(database: Database, vendor: ScriptedVendor, **settings: Any) -> KlingSession:
    settings.setdefault("polling", STEADY)
    return session(vendor, journal=database.member(), shared=True, **settings)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells of it, and time is virtual
        await asyncio.sleep(0.01)


@virtual
async def test_one_member_submits_for_all_and_each_job_settles_where_it_was_asked_for() -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            assert not second.is_leader
            jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n, kling in enumerate((first, second, second))]
            videos = await asyncio.gather(*jobs)
            assert not second.is_leader
    assert vendor.submits == 3
    assert len({video.generation_id for video in videos}) == 3
    assert {record.state for record in database.records} == {JobState.COMPLETED}


@virtual
async def test_a_member_that_does_not_lead_tells_how_far_its_jobs_are_and_what_happens_to_them() -> None:
    vendor, database = ScriptedVendor(takes=250), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            job = second.submit(prompt(), key="k", tag="t")
            events = job.events()
            await job.accepted()
            told = [progress async for progress in job.watch(every=50)]
            seen = [event.to_dict() async for event in events]
    assert [round(progress.fraction, 1) for progress in told[:3]] == [0.0, 0.2, 0.4]
    assert told[-1].fraction == 1.0
    assert [(one["event"], one["key"], one["tag"], one["state"]) for one in seen] == [
        ("submitted", "k", "t", "submitting"),
        ("accepted", "k", "t", "pending"),
        ("completed", "k", "t", "completed"),
    ]


@virtual
async def test_a_key_that_two_members_submit_is_bought_once_and_known_to_both() -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as first, member(database, vendor) as second:
        one, other = first.submit(prompt(), key="k"), second.submit(prompt(), key="k")
        assert await one == await other
        again = second.submit(prompt(), key="k")
        assert await again == await one
        found = first.find("k")
        assert found is not None
        assert found.result() == await one
        with pytest.raises(InvalidRequest, match="already stands for another request"):
            await second.submit(prompt("something else"), key="k")
    assert vendor.submits == 1


@virtual
async def test_another_member_leads_once_the_first_has_left_and_goes_on_with_its_jobs() -> None:
    vendor, database = ScriptedVendor(takes=400), Database()
    async with member(database, vendor) as second:
        async with member(database, vendor) as first:
            await until(lambda: first.is_leader or second.is_leader)
            leader, other = (first, second) if first.is_leader else (second, first)
            mine, theirs = leader.submit(prompt("a"), key="a"), other.submit(prompt("b"), key="b")
            await asyncio.gather(mine.accepted(), theirs.accepted())
        for job in (mine, theirs):
            if job in second.pending:
                await job
            else:
                with pytest.raises(SessionClosed):
                    await job
        await until(lambda: second.is_leader)
        assert (await second.submit(prompt("a"), key="a")).generation_id == "g1"
    assert vendor.submits == 2


@virtual
async def test_a_session_tells_when_it_begins_and_ceases_to_lead() -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        changes = first.subscribe()
        async with member(database, vendor) as second:
            others = second.subscribe()
            await first.aclose()
            await until(lambda: second.is_leader)
    told = [[event.to_dict() async for event in events] for events in (changes, others)]
    assert [[(one["event"], one["leads"]) for one in changed] for changed in told] == [
        [("leadership_changed", False)],
        [("leadership_changed", True), ("leadership_changed", False)],
    ]


@virtual
async def test_a_leader_that_loses_its_lease_settles_nobody_and_what_it_learns_late_is_adopted() -> None:
    vendor, database = ScriptedVendor(latency=8), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        job = first.submit(prompt(), key="k")
        await until(lambda: vendor.submits)
        stolen = database.lease.token
        async with member(database, vendor) as second:
            database.lease = type(database.lease)(Token(stolen.term, ""))
            await until(lambda: second.is_leader)
            vendor.latency = 0
            assert not job.done()
            assert (await job).generation_id == "g1"
            assert database.kept == []
    assert vendor.submits == 1


@virtual
async def test_a_leader_that_cannot_renew_stops_in_time_and_nothing_is_posted_twice() -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as kling:
        await until(lambda: kling.is_leader)
        database.away = True
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(60)
        assert (vendor.submits, kling.is_leader, job.done()) == (0, False, False)
        database.away = False
        await job
    assert vendor.submits == 1


@virtual
async def test_a_job_whose_submit_was_put_off_as_the_lease_ran_out_is_submitted_by_the_next_term() -> None:
    vendor, database = ScriptedVendor(), Database(renewal=4.5)
    async with member(database, vendor) as kling:
        await until(lambda: kling.is_leader)
        await asyncio.sleep(7)  # a third of the lease is left, and its renewal is under way
        job = kling.submit(prompt(), key="k")
        await asyncio.sleep(0.5)
        assert vendor.submits == 0
        database.renewal = 0.0
        await job
    assert vendor.submits == 1


@virtual
async def test_a_follower_abandons_by_asking() -> None:
    vendor, database = ScriptedVendor(takes=math.inf), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            job = second.submit(prompt(), key="k")
            watched = first.submit(prompt(), key="k")
            await job.accepted()
            job.abandon()
            for one in (job, watched):
                with pytest.raises(JobAbandoned):
                    await one
    (record,) = database.records
    assert (record.state, record.generation_id) == (JobState.ABANDONED, "g1")


@virtual
async def test_what_was_asked_for_last_is_done_before_the_leader_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor, database = ScriptedVendor(takes=math.inf), Database()
    async with member(database, vendor) as first, member(database, vendor, hold=True) as second:
        job = second.submit(prompt(), key="k")
        await job.accepted()
        monkeypatch.setattr(leadership, "LOOK_EVERY", 1000)
        await asyncio.sleep(1)  # the leader has just looked
        job.abandon()
        await first.aclose()
        assert [record.state for record in database.records] == [JobState.ABANDONED]
        assert database.instructions == []


@virtual
async def test_what_members_ask_for_waits_while_the_journal_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    async def fails_at_first(*given: Any) -> None:
        tried.append(given)
        if len(tried) < 3:
            raise JournalError("it does not answer")
        await carry_out(*given)

    monkeypatch.setattr(leadership, "carry_out", fails_at_first)
    vendor, database = ScriptedVendor(takes=math.inf), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            job = second.submit(prompt(), key="k")
            await job.accepted()
            job.abandon()
            await until(lambda: database.records[0].state is JobState.ABANDONED)
    assert len(tried) == 3


@virtual
async def test_a_generation_is_resumed_by_a_follower() -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            job = second.resume("g7", tag="mine")
            assert (await job).generation_id == "g7"
            assert job.tag == "mine"
            assert first.resume("g7").key == job.key
    assert vendor.submits == 0


@pytest.mark.asyncio  # on a file, and not in virtual time
@pytest.mark.parametrize("tag", [{1, 2}, math.nan, object()])
async def test_a_tag_that_cannot_be_recorded_is_refused_before_it_is_asked_for(tag: object, tmp_path: Path) -> None:
    async with session(ScriptedVendor(), journal=tmp_path / "batch.db", shared=True) as kling:
        with pytest.raises(InvalidRequest, match="tag cannot be recorded"):
            kling.resume("g7", tag=tag)
        assert not kling.pending
        await kling.submit(prompt(), key="k").recorded()


@virtual
async def test_a_halt_parks_jobs_for_all_and_submitting_again_unparks_them() -> None:
    vendor, database = ScriptedVendor(on_submit=lambda _: envelope(403, "not enough credits")), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            jobs = [first.submit(prompt("a"), key="a"), second.submit(prompt("b"), key="b")]
            for job in jobs:
                error = (await job.settled()).exception()
                assert type(error).__name__ == "OutOfCredits"
                assert job.state is JobState.QUEUED
            vendor.on_submit = lambda _: None
            second.resume_submissions()
            await asyncio.gather(second.submit(prompt("a"), key="a"), first.submit(prompt("b"), key="b"))


@virtual
async def test_submissions_are_resumed_after_the_halt_that_was_seen_and_not_after_a_later_one() -> None:
    vendor, database = ScriptedVendor(on_submit=lambda _: envelope(403, "not enough credits")), Database()
    async with member(database, vendor) as first, member(database, vendor) as second:
        with pytest.raises(OutOfCredits):
            await first.submit(prompt("a"), key="a")
        left = Instruction("resume submissions", data={"seen": database.count}, number=database.next())
        first.resume_submissions()
        await until(lambda: vendor.submits == 2)
        with pytest.raises(OutOfCredits):
            await second.submit(prompt("b"), key="b")
        submits = vendor.submits
        database.instructions.append(left)  # by somebody who had seen the first halt alone
        await until(lambda: not database.instructions)
        with pytest.raises(OutOfCredits):
            await second.submit(prompt("b"), key="b")
        await asyncio.sleep(1)
        assert vendor.submits == submits
        second.resume_submissions()
        await until(lambda: vendor.submits > submits)


@virtual
async def test_a_member_whose_proxy_wants_a_login_leaves_leading_to_others() -> None:
    vendor, database = ScriptedVendor(), Database()
    behind = ScriptedVendor(on_balance=lambda: answer(407, "<html>"))
    async with member(database, behind) as first, member(database, vendor) as second:
        await first.submit(prompt())
        assert (first.is_leader, second.is_leader) == (False, True)
    assert (behind.submits, vendor.submits) == (0, 1)


@virtual
@pytest.mark.parametrize("data", [{"deadline": "soon"}, {}, {"which": [], "settled_at": {}, "deadline": []}])
@pytest.mark.parametrize("kind", ["watch", "retry", "attach", "downloaded", "resume submissions"])
async def test_an_instruction_that_makes_no_sense_is_dropped_and_the_leader_goes_on(
    kind: Any, data: dict[str, Any]
) -> None:
    vendor, database = ScriptedVendor(takes=300), Database()
    async with member(database, vendor) as kling:
        job = kling.submit(prompt(), key="k")
        await job.accepted()
        database.instructions.append(Instruction(kind, "k", data, number=database.next()))
        await until(lambda: not database.instructions)
        await job
        assert kling.is_leader
    assert database.lease.crashes == 0


@virtual
async def test_a_follower_has_its_deadline_even_if_nobody_leads() -> None:
    database = Database()
    async with member(database, ScriptedVendor(), hold=True) as kling:
        job = kling.submit(prompt(), deadline=60)
        with pytest.raises(DeadlineExceeded):
            await job
        assert job.state is JobState.QUEUED


@virtual
async def test_the_longest_of_several_deadlines_counts_for_the_job_and_each_waiter_has_its_own() -> None:
    vendor, database = ScriptedVendor(takes=500), Database()
    async with member(database, vendor) as first, member(database, vendor) as second:
        short = first.submit(prompt(), key="k", deadline=100)
        await short.recorded()
        long = second.submit(prompt(), key="k", deadline=900)
        with pytest.raises(DeadlineExceeded):
            await short
        assert (await long).generation_id == "g1"
    assert vendor.submits == 1


@virtual
async def test_a_member_whose_key_is_refused_leaves_leading_to_others() -> None:
    vendor, database = ScriptedVendor(), Database()
    revoked = ScriptedVendor(on_balance=lambda: envelope(401, "revoked"))
    async with member(database, revoked) as first, member(database, vendor) as second:
        job = first.submit(prompt())
        await job
        assert (first.is_leader, second.is_leader) == (False, True)
    assert (revoked.submits, vendor.submits) == (0, 1)


@virtual
async def test_a_refused_key_is_told_where_no_other_member_leads() -> None:
    database = Database()
    async with member(database, ScriptedVendor(on_balance=lambda: envelope(401, "revoked"))) as kling:
        job = kling.submit(prompt())
        with pytest.raises(AuthenticationError):
            await job
    assert database.records[0].state is JobState.QUEUED


@virtual
async def test_a_key_that_was_refused_for_a_while_is_tried_again_once_submits_are_resumed() -> None:
    vendor, database = ScriptedVendor(), Database()
    works, vendor.on_balance = vendor.on_balance, lambda: envelope(401, "for a while")
    async with member(database, vendor) as kling:
        with pytest.raises(AuthenticationError):
            await kling.submit(prompt(), key="k")
        vendor.on_balance = works
        assert not kling.is_leader
        kling.resume_submissions()
        await kling.submit(prompt(), key="k")
        assert kling.is_leader
    assert vendor.submits == 1


@virtual
async def test_a_session_is_left_at_once_though_nobody_answers_whether_its_key_works() -> None:
    class Silent(ScriptedVendor):
        async def send(self, request: HttpRequest) -> HttpResponse:
            asked.set()
            await asyncio.sleep(60)
            return await super().send(request)

    asked = asyncio.Event()
    async with member(Database(), Silent()):
        await asked.wait()
        left_at = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() < left_at + 5


@virtual
async def test_what_a_job_may_do_is_its_callers_choice_and_not_the_leaders() -> None:
    vendor, database = ScriptedVendor(on_submit=lambda n: RequestTimeout("lost") if n < 3 else None), Database()
    again = Reconciliation(after=5, then="resubmit")
    async with member(database, vendor, reconciliation=again) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor, reconciliation=Reconciliation(after=5)) as second:
            mine = first.submit(prompt("a"), key="a")
            theirs = second.submit(prompt("b"), key="b")
            await until(lambda: vendor.submits == 2)
            later = first.submit(prompt("c"), key="c")
            await later.accepted()
            vendor.rows = [
                {
                    "created": "2027-01-15T08:00:02+00:00",
                    "status": "succeeded",
                    "inference_id": "g3",
                    "client_request_id": vendor.names[2],
                    "model": "klingai/v2.1-master-text-to-video",
                }
            ]
            with pytest.raises(SubmissionUncertain):
                await theirs
            await mine
    assert [name.rpartition(":")[0] for name in vendor.names] == ["a", "b", "c", "a"]


@virtual
async def test_the_strictest_spend_limit_of_all_members_holds_whoever_leads() -> None:
    vendor, database = ScriptedVendor(models=[priced(price=0.2)]), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        limits = Limits(requests_per_second=1000, burst=1000, max_spend_usd=2.5)
        async with member(database, vendor, hold=True, limits=limits) as second:
            await asyncio.sleep(20)
            assert first.is_leader
            jobs = [first.submit(prompt(f"{n}", duration=5)) for n in range(3)]
            settled = [await job.settled() for job in jobs]
            assert [type(job.exception()).__name__ for job in settled].count("SpendLimitReached") == 1
            assert not second.is_leader
    assert vendor.submits == 2


@virtual
async def test_a_second_purchase_is_told_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as kling:
        await kling.submit(prompt(), key="k")
        database.late.append(LateAnswer("k", "k:other", "g9", number=database.next()))
        await asyncio.sleep(5)
        assert (len(database.kept), database.late) == (1, [])
    assert "job k was bought a second time, as generation g9 under k:other" in caplog.text


@virtual
async def test_a_late_answer_of_what_has_failed_and_was_bought_again_is_no_second_purchase() -> None:
    vendor, database = ScriptedVendor(on_poll=failing("g1")), Database()
    async with member(database, vendor, retry=Retry(failed=1)) as kling:
        assert (await kling.submit(prompt(), key="k")).generation_id == "g2"
        database.late.append(LateAnswer("k", "k:other", "g1", number=database.next()))
        await asyncio.sleep(5)
    assert (database.kept, database.late) == ([], [])


@virtual
async def test_an_answer_that_comes_late_and_says_no_has_the_job_submitted_again() -> None:
    vendor, database = (
        ScriptedVendor(latency=8, on_submit=lambda n: envelope(503, "busy") if n == 1 else None),
        Database(),
    )
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        job = first.submit(prompt(), key="k")
        await until(lambda: vendor.submits)
        async with member(database, vendor) as second:
            database.lease = type(database.lease)(Token(database.lease.token.term, ""))
            await until(lambda: second.is_leader)
            vendor.latency = 0
            assert (await job).generation_id == "g2"
    assert vendor.submits == 2
    assert answer is not None


@virtual
async def test_a_scheduler_that_crashes_resigns_and_three_of_them_let_nobody_lead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def crash(*_: Any) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Scheduler, "run", crash)
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as first, member(database, vendor) as second, member(database, vendor) as third:
        jobs = [kling.submit(prompt(), key="k") for kling in (first, second, third)]
        for job in jobs:
            with pytest.raises(KlingError, match="its scheduler crashed: RuntimeError"):
                await job
        assert database.lease.crashes == 3
        monkeypatch.undo()
        async with member(database, vendor) as fourth:
            await asyncio.sleep(60)
            assert not fourth.is_leader
            await fourth._shared.release(database.lease.token)  # type: ignore[union-attr] # it has one
            assert (await fourth.submit(prompt(), key="k")).generation_id == "g1"
    assert vendor.submits == 1
