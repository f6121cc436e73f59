"""The spend guard: by itself, and in sessions over a scripted vendor."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from account_vendor import MASTER, AccountVendor, price_list, priced
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from scripted import answer, envelope, prompt, running, session
from virtual import virtual

from kling_async import (
    ConfigurationError,
    GenerationFailed,
    JobState,
    Limits,
    MemoryJournal,
    Record,
    Request,
    RequestTimeout,
    ServerError,
    SpendLimitReached,
    Usage,
    Video,
)
from kling_async.api.account.estimates import Estimate
from kling_async.engine.budget import Budget
from kling_async.engine.job import ActiveJob, Milestone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from kling_async import Job, KlingSession

OTHER = "klingai/v2.1-master-image-to-video"


# By itself


def active(key: str = "a", seconds: int | None = 5, **fields: Any) -> ActiveJob:
    """A job of this length; without one its price is unknown."""
    body = {} if seconds is None else {"duration": seconds}
    request = Request(model="m", extra=body, validate=False)
    return ActiveJob(Record(key, fields.pop("state", JobState.QUEUED), request, **fields))


def amounts(guard: Budget) -> tuple[Decimal | int, ...]:
    """US dollars it has spent and reserved."""
    return guard.spent, guard.reserved


def became(one: ActiveJob, state: JobState, **fields: Any) -> None:
    """A submit was begun for it, at least; a job whose life has ended has settled."""
    one.record = evolve(one.record, state=state, **({"attempts": 1} | fields))
    if state.is_terminal:
        settle(one)


def settle(one: ActiveJob) -> None:
    one.settled = True
    one.reach(Milestone.SETTLED)


def video(usd: float | None) -> Video:
    return Video("https://cdn.example/x.mp4", usage=Usage(usd_spent=usd))


def budget(
    limit: float, *, before: Iterable[ActiveJob] = (), still_open: Iterable[ActiveJob] = (), **more: Any
) -> Budget:
    """A budget at a dollar a second; ``before`` is what the journal knows, ``still_open`` what is watched of it."""

    async def price(request: Request) -> Estimate:
        seconds = request.extra.get("duration")
        return Estimate(request, None if seconds is None else Decimal(seconds), note="nobody knows")

    async def history() -> AsyncIterator[Record]:
        for one in before:
            yield one.record

    settings: dict[str, Any] = {"allow_unpriced": False, "price": price, "history": history} | more
    return Budget(Decimal(repr(limit)), open_jobs=lambda: still_open, **settings)


@pytest.mark.asyncio
async def test_what_fits_is_set_aside_and_what_does_not_is_refused() -> None:
    guard = budget(12)
    assert await guard.reserve(active("a")) is None
    assert await guard.reserve(active("b")) is None
    refusal = await guard.reserve(active("c"))
    assert isinstance(refusal, SpendLimitReached)
    assert (refusal.limit_usd, refusal.committed_usd, refusal.price_usd) == (Decimal(12), Decimal(10), Decimal(5))
    assert str(refusal) == (
        "the limit of $12.00 would be passed: $0.00 is spent, $10.00 set aside for what is under way, and the next"
        " submit costs up to $5.00; nothing was bought for it"
    )
    assert amounts(guard) == (0, 10)


@pytest.mark.asyncio
async def test_a_limit_may_be_met_to_the_cent() -> None:
    guard = budget(0.3, price=ten_cents)
    assert [await guard.reserve(active(key)) for key in "abc"] == [None] * 3
    assert await guard.reserve(active("d")) is not None


async def ten_cents(request: Request) -> Estimate:
    return Estimate(request, Decimal("0.1"))


@pytest.mark.asyncio
async def test_a_job_that_is_tried_again_counts_once() -> None:
    guard, one = budget(5), active()
    assert [await guard.reserve(one) for _ in range(3)] == [None] * 3
    assert guard.reserved == 5


@pytest.mark.asyncio
async def test_nothing_is_free_with_a_limit_of_nothing() -> None:
    assert await budget(0).reserve(active()) is not None
    assert await budget(0, allow_unpriced=True).reserve(active(seconds=None)) is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("state", "fields", "spent"),
    [
        pytest.param(JobState.COMPLETED, {"video": video(3.5)}, "3.5", id="what it cost"),
        pytest.param(JobState.COMPLETED, {"video": video(8.5)}, "8.5", id="what it cost, though it was to cost less"),
        pytest.param(JobState.COMPLETED, {"video": video(None)}, "5", id="what it was to cost"),
        pytest.param(JobState.FAILED, {}, "0", id="failed"),
        pytest.param(JobState.REJECTED, {}, "0", id="refused"),
        pytest.param(JobState.ABANDONED, {}, "5", id="abandoned when it may be bought"),
        pytest.param(JobState.ABANDONED, {"attempts": 0}, "0", id="abandoned in the queue"),
        pytest.param(JobState.QUEUED, {}, "0", id="given up in the queue"),
        pytest.param(JobState.PENDING, {}, "5", id="given up at the vendor"),
        pytest.param(JobState.UNCERTAIN, {}, "5", id="given up where nobody knows"),
    ],
)
async def test_what_has_settled_counts_for_what_it_cost(state: JobState, fields: dict[str, Any], spent: str) -> None:
    guard, one = budget(100), active()
    await reserved_for(guard, one)
    became(one, state, **fields)
    settle(one)
    await asyncio.sleep(0)
    assert amounts(guard) == (Decimal(spent), 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SUBMITTING, JobState.PENDING, JobState.UNCERTAIN])
async def test_what_has_not_settled_stays_set_aside(state: JobState) -> None:
    guard, one = budget(100), active()
    await reserved_for(guard, one)
    became(one, state)
    await asyncio.sleep(0)
    assert amounts(guard) == (0, 5)


@pytest.mark.asyncio
async def test_the_end_of_an_earlier_watch_over_a_job_releases_nothing() -> None:
    guard, earlier, later = budget(100), active("a"), active("a")
    await reserved_for(guard, earlier, later)
    settle(earlier)
    await asyncio.sleep(0)
    assert amounts(guard) == (0, 5)


async def reserved_for(guard: Budget, *active_jobs: ActiveJob) -> None:
    for one in active_jobs:
        assert await guard.reserve(one) is None


@pytest.mark.asyncio
async def test_what_turned_out_cheaper_makes_room() -> None:
    guard, first = budget(8), active("a")
    await reserved_for(guard, first)
    assert await guard.reserve(active("b")) is not None
    became(first, JobState.COMPLETED, video=video(2.0))
    await asyncio.sleep(0)
    assert await guard.reserve(active("b")) is None


@pytest.mark.asyncio
async def test_an_unknown_price_is_refused_unless_that_is_allowed() -> None:
    refusal = await budget(100).reserve(active(seconds=None))
    assert isinstance(refusal, SpendLimitReached)
    assert refusal.price_usd is None
    assert "nobody knows" in str(refusal)
    lenient, one = budget(100, allow_unpriced=True), active(seconds=None)
    await reserved_for(lenient, one)
    became(one, JobState.COMPLETED, video=video(7.0))
    await asyncio.sleep(0)
    assert lenient.spent == 7


@pytest.mark.asyncio
async def test_what_earlier_sessions_bought_counts() -> None:
    before = [
        active("done", state=JobState.COMPLETED, attempts=1, video=video(2.5)),
        active("unsaid", state=JobState.COMPLETED, attempts=1, video=video(None)),
        active("failed", state=JobState.FAILED, attempts=1),
        active("refused", state=JobState.REJECTED, attempts=1),
        active("queued", state=JobState.QUEUED, attempts=1),
        active("resumed", state=JobState.COMPLETED, video=video(50.0)),
        active("abandoned", state=JobState.ABANDONED, attempts=1),
        active("running", state=JobState.PENDING, attempts=1),
        active("lost", state=JobState.UNCERTAIN, attempts=1),
    ]
    running_now = before[-2]
    guard = budget(27, before=before, still_open=[running_now])
    assert await guard.reserve(active("new", 10)) is not None
    assert amounts(guard) == (Decimal("17.5"), 5)
    became(running_now, JobState.FAILED)
    await asyncio.sleep(0)
    assert await guard.reserve(active("new", 9)) is None


@pytest.mark.asyncio
async def test_what_an_earlier_session_bought_at_an_unknown_price_counts_once_it_has_ended() -> None:
    one = active("a", None, state=JobState.PENDING, attempts=1)
    guard = budget(5, before=[one], still_open=[one])
    await reserved_for(guard, active("b"))
    became(one, JobState.COMPLETED, video=video(4.0))
    await asyncio.sleep(0)
    assert amounts(guard) == (4, 5)


@pytest.mark.asyncio
async def test_what_has_ended_at_a_cost_nobody_knows_is_told_and_does_not_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = [active("a", None, state=JobState.COMPLETED, attempts=1, video=video(None))]
    before += [active("b", state=JobState.COMPLETED, attempts=1)]
    before[1].record = evolve(before[1].record, request=None)
    guard = budget(5, before=before)
    assert await guard.reserve(active("c")) is None
    assert "do not count: 2" in caplog.text


@pytest.mark.asyncio
async def test_the_journal_is_read_once_however_many_come_at_once() -> None:
    reads = 0

    async def history() -> AsyncIterator[Record]:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        yield active("old", state=JobState.COMPLETED, attempts=1, video=video(1.0)).record

    guard = budget(100, history=history)
    assert await asyncio.gather(*(guard.reserve(active(str(n))) for n in range(10))) == [None] * 10
    assert (reads, *amounts(guard)) == (1, 1, 50)


@pytest.mark.asyncio
async def test_what_has_ended_is_not_kept_in_mind() -> None:
    guard = budget(100_000)
    for n in range(500):
        one = active(str(n))
        await reserved_for(guard, one)
        became(one, JobState.COMPLETED, video=video(1.0))
        await asyncio.sleep(0)
    assert not guard._reservations
    assert guard.spent == 500


ENDS = st.sampled_from([JobState.COMPLETED, JobState.FAILED, JobState.REJECTED, JobState.PENDING, JobState.UNCERTAIN])
MOVES = st.lists(st.tuples(st.integers(1, 15), ENDS, st.floats(0, 1), st.booleans()), max_size=40)


@given(st.floats(0, 100), MOVES)
def test_what_is_bought_never_costs_more_than_the_limit(
    limit: float, moves: list[tuple[int, JobState, float, bool]]
) -> None:
    """However generations end, as long as none costs more than it was to."""
    guard = budget(limit)
    asyncio.run(spend(guard, limit, moves))


async def spend(guard: Budget, limit: float, moves: list[tuple[int, JobState, float, bool]]) -> None:
    bought: list[ActiveJob] = []
    for number, (seconds, end, share, ends_now) in enumerate(moves):
        one = active(str(number), seconds)
        if await guard.reserve(one) is None:
            bought.append(one)
            became(one, JobState.PENDING, attempts=1)
        if ends_now and bought and not bought[-1].record.state.is_terminal:
            last = bought[-1]
            became(last, end, video=video((last.duration or 0) * share) if end is JobState.COMPLETED else None)
            await asyncio.sleep(0)
        assert sum(map(worst, bought)) <= limit + 1e-6


def worst(one: ActiveJob) -> float:
    if one.record.state in (JobState.FAILED, JobState.REJECTED):
        return 0.0
    known = one.record.video.usage.usd_spent if one.record.video is not None else None
    return float(one.duration or 0) if known is None else float(known)


# In a session


def vendor(*entries: dict[str, Any], **settings: Any) -> AccountVendor:
    return AccountVendor(answers={"/v1/models": [price_list(*(entries or [priced()]))]}, **settings)


def guarded(asked: AccountVendor, usd: float, **settings: Any) -> KlingSession:
    more = settings.pop("limits", {})
    limits = Limits(requests_per_second=1000, burst=1000, max_spend_usd=usd, **more)
    return session(asked, limits=limits, **settings)


def five(text: str = "a raccoon", **fields: Any) -> Any:
    """A request for five seconds: $1.40."""
    return prompt(text, duration=5, **fields)


def refusals(jobs: Iterable[Job]) -> list[str]:
    return [type(job.exception()).__name__ for job in jobs]


@virtual
async def test_submits_stop_before_the_limit_is_passed() -> None:
    asked = vendor()
    async with guarded(asked, 3.0) as kling:
        jobs = [kling.submit(five()) for _ in range(5)]
        await asyncio.gather(*(job.settled() for job in jobs))
        assert refusals(jobs) == ["NoneType"] * 2 + ["SpendLimitReached"] * 3
        assert [job.state for job in jobs] == [JobState.COMPLETED] * 2 + [JobState.QUEUED] * 3
        assert {(error.key, error.polls) for job in jobs[2:] if (error := job.exception())} == {
            (job.key, 0) for job in jobs[2:]
        }
        assert "limit of $3.00" in (kling.stats().halted or "")
    assert asked.submits == 2
    assert asked.times("/v1/models") == 1


class SlowJournal(MemoryJournal):
    """Takes a while to make a record durable."""

    async def commit(self, record: Record) -> None:
        await asyncio.sleep(1)
        self.append(record)


@virtual
async def test_what_was_affordable_goes_on_when_others_are_stopped() -> None:
    asked = vendor(on_submit=lambda n: envelope(429, "many") if n == 1 else None)
    async with guarded(asked, 3.0, journal=SlowJournal()) as kling:
        jobs = [kling.submit(five()) for _ in range(5)]
        await asyncio.gather(*(job.settled() for job in jobs))
        assert sorted(refusals(jobs)) == ["NoneType"] * 2 + ["SpendLimitReached"] * 3
    assert asked.submits == 3


@virtual
async def test_a_job_that_others_have_made_unaffordable_is_stopped_too() -> None:
    dear = {"usage": {"usd_spent": 2.9}}
    url = {"url": "https://cdn.example/x.mp4"}
    asked = vendor(
        takes=5.0,
        on_submit=lambda n: envelope(503, "busy") if n > 1 else None,
        on_poll=lambda name, _: answer(200, {"id": name, "status": "completed", "video": url, "meta": dear}),
    )
    async with guarded(asked, 3.0) as kling:
        first = kling.submit(five())
        await first.accepted()
        second = kling.submit(five())
        await asyncio.gather(first.settled(), second.settled())
        assert isinstance(second.exception(), SpendLimitReached)
        assert second.state is JobState.QUEUED


@virtual
async def test_after_being_told_to_go_on_what_has_become_affordable_is_submitted() -> None:
    usage = {"usage": {"usd_spent": 0.5}}
    url = {"url": "https://cdn.example/x.mp4"}
    asked = vendor(
        on_poll=lambda name, n: (
            running(name) if n == 1 else answer(200, {"id": name, "status": "completed", "video": url, "meta": usage})
        )
    )
    async with guarded(asked, 2.0) as kling:
        first = kling.submit(five())
        second = kling.submit(five("second"), key="second")
        await asyncio.gather(first.settled(), second.settled())
        assert isinstance(second.exception(), SpendLimitReached)
        assert isinstance(kling.submit(five("second"), key="second").exception(), SpendLimitReached)
        kling.resume_submissions()
        assert (await kling.submit(five("second"), key="second")).usage.usd_spent == 0.5
    assert asked.submits == 2


@virtual
async def test_failed_generations_cost_nothing() -> None:
    asked = vendor(on_poll=lambda name, _: answer(200, {"id": name, "status": "error", "error": "no"}))
    async with guarded(asked, 1.5) as kling:
        for _ in range(4):
            with pytest.raises(GenerationFailed):
                await kling.submit(five())
    assert asked.submits == 4


@virtual
async def test_what_an_earlier_session_bought_counts_in_the_next() -> None:
    journal = MemoryJournal()
    async with guarded(vendor(), 3.0, journal=journal) as kling:
        await kling.submit(five("one"), key="one")
        left = kling.submit(five("two"), key="two")
        await left.accepted()
    again = vendor()
    again.done_at = {"g1": 0.0, "g2": 0.0}
    async with guarded(again, 3.0, journal=journal) as kling:
        job = await kling.submit(five("three"), key="three").settled()
        assert isinstance(job.exception(), SpendLimitReached)
        await kling.drain()
    assert again.submits == 0


@virtual
async def test_a_job_of_unknown_price_is_refused_alone() -> None:
    asked = vendor(priced(), priced(OTHER) | {"pricing": {"kind": "variable"}})
    async with guarded(asked, 10.0) as kling:
        unknown = kling.submit(Request(model=OTHER, extra={"image_url": "https://a.example/b.png", "prompt": "a fox"}))
        known = kling.submit(five())
        await asyncio.gather(unknown.settled(), known.settled())
        error = unknown.exception()
        assert isinstance(error, SpendLimitReached)
        assert error.price_usd is None
        assert (unknown.state, known.exception()) == (JobState.QUEUED, None)
        assert kling.stats().halted is None


@virtual
async def test_a_job_of_unknown_price_is_submitted_where_that_is_allowed() -> None:
    asked = vendor(priced("some/other"))
    async with guarded(asked, 10.0, limits={"allow_unpriced": True}) as kling:
        await kling.submit(five())
    assert asked.submits == 1


@virtual
async def test_without_a_price_list_nothing_is_bought() -> None:
    asked = vendor()
    asked.answers["/v1/models"] = [envelope(503, "down")]
    async with guarded(asked, 10.0) as kling:
        job = await kling.submit(five(), key="k").settled()
        assert isinstance(job.exception(), ServerError)
        assert job.state is JobState.QUEUED
        assert asked.submits == 0
        asked.answers["/v1/models"] = [RequestTimeout("slow"), price_list(priced())]
        await kling.submit(five(), key="k")


@virtual
async def test_a_job_that_is_throttled_is_paid_for_once() -> None:
    asked = vendor(on_submit=lambda n: envelope(429, "many") if n < 4 else None)
    async with guarded(asked, 1.4) as kling:
        await kling.submit(five())
    assert asked.submits == 4


@virtual
async def test_a_job_abandoned_while_prices_are_asked_for_is_not_submitted() -> None:
    asked = vendor(latency=5.0)
    async with guarded(asked, 10.0) as kling:
        job = kling.submit(five())
        await asyncio.sleep(1)
        job.abandon()
        await asyncio.sleep(100)
        assert job.state is JobState.ABANDONED
    assert asked.submits == 0


@virtual
async def test_closing_while_prices_are_asked_for_leaves_the_job_queued() -> None:
    asked = vendor(latency=5.0)
    async with guarded(asked, 10.0) as kling:
        job = kling.submit(five())
        await asyncio.sleep(1)
    assert job.state is JobState.QUEUED
    assert asked.submits == 0


@virtual
async def test_without_a_limit_prices_are_not_asked_for() -> None:
    asked = vendor()
    async with session(asked, rng=random.Random(1)) as kling:
        await kling.submit(five())
    assert asked.asked == []


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), "10", True])
def test_a_limit_that_is_no_amount_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_spend_usd"):
        Limits(max_spend_usd=limit)


def test_the_model_of_these_tests_is_the_one_requests_have_by_default() -> None:
    assert prompt().model == MASTER
