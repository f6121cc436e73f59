"""Answers that are not the vendor's, and answers that would stop every job: only evidence refuses, ends or halts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import (
    EVERY,
    OTHER_KEY,
    FaultVendor,
    completes,
    has,
    held,
    is_silent,
    page,
    resets,
    says,
    sold,
    stated,
    tells_how_far_it_is,
)
from proxied import connect_proxy
from scripted import prompt

from kling_async import (
    AuthenticationError,
    BadRequest,
    GatewayError,
    JobState,
    KlingSession,
    NotFound,
    OutOfCredits,
    PermissionDenied,
    SubmissionUncertain,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fault_case import Case
    from loopback import Exchange

    from kling_async import Job

pytestmark = pytest.mark.asyncio

MISDIRECTED = [301, 302, 307, 308, 404, 405, 421]
BLOCKED = [400, 401, 402, 403, 406, 409, 413, 422, 451, 501]
UNKNOWN = [101, 408, 425, 444, 499]
UNCONFIRMED = {
    "some": has(5),
    "no credits": stated(403, "no credits"),
    "a page": page(401),
    "down": stated(500, "oops"),
    "no network": resets,
}
UNKNOWABLE = {"a page": page(403), "down": stated(503, "down"), "no network": resets, "null": says(200, {"data": None})}
OUT_OF_CREDITS = "You have run out of credits. Top up your balance"


async def answers_000(_: FaultVendor, exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 000 ?\r\nContent-Length: 0\r\n\r\n")
    exchange.close()


def of(*keys: str, act: Any) -> Any:
    """Do this for the generations of these jobs, and the usual for others."""

    async def chosen(vendor: FaultVendor, exchange: Exchange) -> None:
        ids = {sale.generation_id for sale in vendor.sales if sale.key in keys}
        concerned = any(generation_id in exchange.target for generation_id in ids)
        await (act if concerned else tells_how_far_it_is)(vendor, exchange)

    return chosen


async def settled(jobs: Sequence[Job]) -> list[tuple[JobState, type | None]]:
    """How jobs ended: their states, and the kinds of their errors."""
    await asyncio.gather(*(job.settled() for job in jobs))
    return [(job.state, None if job.exception() is None else type(job.exception())) for job in jobs]


def batch(kling: Any, count: int = 20) -> list[Job]:
    return [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(count)]


# Submits


@pytest.mark.parametrize("act", [*map(page, BLOCKED + UNKNOWN), answers_000], ids=[*map(str, BLOCKED + UNKNOWN), "000"])
async def test_what_was_sold_under_an_answer_that_is_not_the_vendors_is_found_and_not_bought_again(
    case: Case, act: Any
) -> None:
    case.vendor.submits[1] = sold(act)
    async with case, case.session() as kling:
        job = kling.submit(prompt(), key="k")
        assert (await job).generation_id == "g-1"
        assert kling.stats().halted is None
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize("status", [302, 403, 404, 405])
async def test_a_page_put_before_the_vendors_own_answer_leaves_it_to_be_found(case: Case, status: int) -> None:
    case.vendor.submits[1] = sold(says(status, b"<html>", x_inference_id="g-1"))
    async with case, case.session() as kling:
        assert (await kling.submit(prompt())).generation_id == "g-1"
    assert len(case.vendor.posts) == 1


@pytest.mark.parametrize("status", MISDIRECTED)
async def test_an_address_where_the_vendor_is_not_burns_no_job(case: Case, status: int) -> None:
    case.vendor.submits[EVERY] = says(status, b"<html>", location="https://www.example.com/?next=1")
    async with case:
        async with case.session() as kling:
            assert set(await settled(batch(kling))) == {(JobState.QUEUED, GatewayError)}
            assert f"{status}: a gateway or another server answered" in (kling.stats().halted or "")
            assert "redirects to https://www.example.com/ (" in (kling.stats().halted or "")
            late = kling.submit(prompt("20"), key="k20")
            assert isinstance(late.exception(), GatewayError)
        assert len(case.vendor.posts) < 20
        case.vendor.submits.clear()
        async with case.session() as kling:
            assert set(await settled(batch(kling, 21))) == {(JobState.COMPLETED, None)}
    complaints = [record for record in case.log.records if "submits cannot go on" in record.getMessage()]
    assert len(complaints) == 1
    assert {sale.key for sale in case.vendor.sales} == {f"k{n}" for n in range(21)}


async def test_a_wrong_path_that_the_vendor_itself_knows_nothing_of_burns_no_job(case: Case) -> None:
    async def serves_nothing(_: FaultVendor, exchange: Exchange) -> None:
        await stated(404, f"Cannot {exchange.method} {exchange.target}")(case.vendor, exchange)

    case.vendor.submits[EVERY] = serves_nothing
    async with case:
        async with case.session(base_url=f"{case.url}/v1") as kling:
            assert set(await settled(batch(kling))) == {(JobState.QUEUED, GatewayError)}
        assert len(case.vendor.posts) < 20
        case.vendor.submits.clear()
        async with case.session() as kling:
            assert set(await settled(batch(kling))) == {(JobState.COMPLETED, None)}
    assert len(case.vendor.sales) == 20


@pytest.mark.parametrize("status", BLOCKED)
@pytest.mark.parametrize("call", ["the same page", "a site"])
async def test_a_gateway_that_lets_nothing_through_burns_no_job(case: Case, status: int, call: str) -> None:
    case.vendor.submits[EVERY] = page(status)
    case.vendor.balances[EVERY] = page(status if call == "the same page" else 200)
    async with case:
        async with case.session() as kling:
            assert set(await settled(batch(kling))) == {(JobState.QUEUED, GatewayError)}
            assert "not the vendor's API (Bad gateway)" in (kling.stats().halted or "")
        case.vendor.submits.clear()
        async with case.session() as kling:
            assert set(await settled(batch(kling))) == {(JobState.COMPLETED, None)}
    assert len(case.vendor.sales) == 20


async def test_a_gateway_that_blocks_one_post_alone_leaves_the_others_alone(case: Case) -> None:
    case.vendor.submits[2] = page(403)
    async with case, case.session() as kling:
        jobs = batch(kling, 6)
        ends = await settled(jobs)
        assert sorted(ends, key=repr) == [
            *[(JobState.COMPLETED, None)] * 5,
            (JobState.UNCERTAIN, SubmissionUncertain),
        ]
        (blocked,) = [job for job in jobs if job.state is JobState.UNCERTAIN]
        error = blocked.exception()
        assert error is not None
        assert isinstance(error.__cause__, GatewayError)
    assert len(case.vendor.posts) == 6


async def test_a_gateway_that_blocks_every_post_alone_stops_them_and_nothing_is_bought_twice(case: Case) -> None:
    case.vendor.submits = {2: sold(page(403)), EVERY: page(403)}
    case.vendor.balances[EVERY] = has(100)
    async with case:
        async with case.session(limits=_one_at_a_time()) as kling:
            jobs = batch(kling)
            ends = await settled(jobs)
            assert ends.count((JobState.QUEUED, GatewayError)) == 18
            assert (JobState.COMPLETED, None) in ends
            assert kling.stats().halted is not None
        assert len(case.vendor.posts) == 2
        case.vendor.submits.clear()
        async with case.session() as kling:
            ends = await settled(batch(kling))
            assert ends.count((JobState.COMPLETED, None)) == 19
            assert ends.count((JobState.UNCERTAIN, SubmissionUncertain)) == 1
    assert len(case.vendor.sales) == 19


def _one_at_a_time() -> Any:
    from kling_async import Limits  # noqa: PLC0415

    return Limits(requests_per_second=1000, burst=1000, max_submits=1)


async def test_the_vendors_own_word_refuses_its_job_alone(case: Case) -> None:
    case.vendor.submits = {1: stated(400, "too rude"), 2: stated(404, "deprecated"), 3: stated(403, "not on your plan")}
    async with case, case.session(limits=_one_at_a_time()) as kling:
        kinds = [BadRequest, NotFound, PermissionDenied, None]
        assert await settled(batch(kling, 4)) == [
            (JobState.COMPLETED if kind is None else JobState.REJECTED, kind) for kind in kinds
        ]
    assert (len(case.vendor.posts), case.vendor.counts["balance"]) == (4, 0)


# What would stop every job


@pytest.mark.parametrize("balance", UNCONFIRMED.values(), ids=UNCONFIRMED)
async def test_a_bad_key_that_nothing_confirms_is_one_submits_trouble(case: Case, balance: Any) -> None:
    case.vendor.submits[1] = stated(401, "Invalid API key")
    case.vendor.balances[EVERY] = balance
    async with case, case.session() as kling:
        assert set(await settled(batch(kling, 5))) == {(JobState.COMPLETED, None)}
        assert kling.stats().halted is None
    assert (len(case.vendor.posts), len(case.vendor.sales)) == (6, 5)


@pytest.mark.parametrize("balance", UNCONFIRMED.values(), ids=UNCONFIRMED)
async def test_a_bad_key_that_nothing_confirms_is_one_polls_trouble(case: Case, balance: Any) -> None:
    case.vendor.polls = dict.fromkeys((1, 2, 3), stated(401, "Invalid API key"))
    case.vendor.balances[EVERY] = balance
    async with case, case.session() as kling:
        assert set(await settled(batch(kling, 5))) == {(JobState.COMPLETED, None)}
        assert kling.stats().halted is None


async def test_many_who_are_told_of_a_bad_key_ask_once(case: Case) -> None:
    case.vendor.takes = 1e9
    async with case:
        async with case.session() as kling:
            jobs = batch(kling, 30)
            await asyncio.gather(*(job.accepted() for job in jobs))
            told = asyncio.Event()
            case.vendor.polls[EVERY] = stated(401, "revoked")
            case.vendor.balances[EVERY] = held(told, stated(401, "revoked"))
            await case.vendor.arrival("balance")
            await asyncio.sleep(0.1)  # the polls of the others come back meanwhile
            told.set()
            assert set(await settled(jobs)) == {(JobState.PENDING, AuthenticationError)}
        assert case.vendor.counts["balance"] == 1
        case.vendor.takes = 1
        case.vendor.polls.clear()
        async with case.session() as kling:
            assert set(await settled(kling.pending)) == {(JobState.COMPLETED, None)}


@pytest.mark.parametrize("balance", [0, -3.5])
async def test_missing_credits_that_the_balance_confirms_stop_submits(case: Case, balance: float) -> None:
    case.vendor.submits[EVERY] = stated(403, "Your quota is used up")
    case.vendor.balances[EVERY] = has(balance)
    async with case, case.session() as kling:
        assert set(await settled(batch(kling))) == {(JobState.QUEUED, OutOfCredits)}
        assert kling.stats().halted is not None
    assert len(case.vendor.posts) < 20


@pytest.mark.parametrize(
    ("said", "end"),
    [
        (OUT_OF_CREDITS, (JobState.QUEUED, OutOfCredits)),
        ("The quota of this model is used up", (JobState.REJECTED, PermissionDenied)),
        ("Not on your plan, see billing", (JobState.REJECTED, PermissionDenied)),
    ],
)
async def test_missing_credits_where_there_are_some_concern_one_job(case: Case, said: str, end: Any) -> None:
    case.vendor.submits[1] = stated(403, said)
    case.vendor.balances[EVERY] = has(0.2)
    async with case:
        async with case.session(limits=_one_at_a_time()) as kling:
            first, *others = await settled(batch(kling, 5))
            assert (first, set(others)) == (end, {(JobState.COMPLETED, None)})
            assert kling.stats().halted is None
        async with case.session() as kling:
            first, *_ = await settled(batch(kling, 5))
            assert first == ((JobState.COMPLETED, None) if end[0] is JobState.QUEUED else end)
    assert len(case.vendor.posts) == (6 if end[0] is JobState.QUEUED else 5)


@pytest.mark.parametrize("balance", UNKNOWABLE.values(), ids=UNKNOWABLE)
async def test_missing_credits_that_nobody_can_confirm_are_tried_again(case: Case, balance: Any) -> None:
    case.vendor.submits = {1: stated(403, OUT_OF_CREDITS), 2: stated(403, "Your quota is used up")}
    case.vendor.balances[EVERY] = balance
    async with case, case.session() as kling:
        assert set(await settled(batch(kling, 5))) == {(JobState.COMPLETED, None)}
    assert len(case.vendor.posts) == 7


@pytest.mark.parametrize(
    ("act", "state"),
    [(stated(401, "bad key"), JobState.QUEUED), (sold(page(403)), JobState.UNCERTAIN)],
    ids=["nothing was bought", "nobody knows"],
)
async def test_a_session_that_ends_before_a_second_request_has_told_loses_nothing(
    case: Case, act: Any, state: JobState
) -> None:
    case.vendor.submits[1] = act
    case.vendor.balances[1] = is_silent
    async with case:
        async with case.session() as kling:
            job = kling.submit(prompt(), key="k")
            await case.vendor.arrival("balance")
        assert job.state is state
        async with case.session() as kling:
            assert (await kling.submit(prompt(), key="k")).generation_id == "g-1"


async def test_a_job_given_up_before_a_second_request_has_told_stays_given_up(case: Case) -> None:
    told = asyncio.Event()
    case.vendor.submits = {1: stated(401, "bad key"), 2: page(403)}
    case.vendor.balances[EVERY] = held(told, stated(401, "bad key"))
    case.vendor.keys.add(OTHER_KEY)
    async with case, case.session() as kling:
        jobs = batch(kling, 2)
        await case.vendor.arrival("submit", 2)
        await case.vendor.arrival("balance")
        for job in jobs:
            job.abandon()
        told.set()
        await asyncio.sleep(0.05)
        assert {job.state for job in jobs} == {JobState.ABANDONED}


# Polls


@pytest.mark.parametrize("status", [*MISDIRECTED, *BLOCKED, *UNKNOWN, 0])
async def test_a_poll_that_is_not_the_vendors_answer_tells_nothing(case: Case, status: int) -> None:
    case.vendor.polls[EVERY] = of("k0", act=answers_000 if status == 0 else page(status))
    async with case, case.session() as kling:
        jobs = batch(kling, 4)
        assert set(await settled(jobs[1:])) == {(JobState.COMPLETED, None)}
        await case.vendor.arrival("poll", 8)
        assert (jobs[0].done(), jobs[0].state) == (False, JobState.PENDING)
        case.vendor.polls.clear()
        assert (await jobs[0]).generation_id
    assert len(case.vendor.posts) == 4


async def test_the_vendors_own_word_ends_the_watch_of_its_job_alone(case: Case) -> None:
    case.vendor.polls[EVERY] = of("k0", act=stated(400, "malformed id"))
    async with case, case.session() as kling:
        first, *others = await settled(batch(kling, 4))
        assert (first, set(others)) == ((JobState.PENDING, BadRequest), {(JobState.COMPLETED, None)})


@pytest.mark.parametrize("status", [302, 401, 403, 404])
async def test_a_fresh_address_of_a_file_that_a_gateway_keeps_back_is_asked_for_again(case: Case, status: int) -> None:
    case.vendor.files[1] = page(403)
    case.vendor.polls = {1: completes, 2: page(status), 3: page(status)}
    async with case, case.session() as kling:
        await kling.download(kling.submit(prompt()), case.folder / "video.mp4")
    assert (case.folder / "video.mp4").read_bytes() == case.vendor.film


async def test_asked_once_a_gateways_answer_is_told_for_what_it_is(case: Case) -> None:
    case.vendor.polls[EVERY] = page(404)
    async with case, case.session() as kling:
        with pytest.raises(GatewayError, match="Bad gateway") as caught:
            await kling.fetch("g-1")
        assert (caught.value.status, caught.value.retryable) == (404, True)


# A proxy on the way


async def test_a_proxy_that_wants_a_login_halts_every_job_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        connect_proxy(status=407) as proxy,
        KlingSession("key", base_url="https://api.kling.test", proxy=proxy.url) as kling,
    ):
        jobs = [*batch(kling), kling.resume("g-1")]
        assert set(await settled(jobs)) == {(JobState.QUEUED, GatewayError), (JobState.PENDING, GatewayError)}
        assert "the proxy wants a user name and a password" in (kling.stats().halted or "")
        with pytest.raises(GatewayError, match="407"):
            await kling.fetch("g-1")
    assert len(proxy.heads) < 25
    assert [record.getMessage()[:22] for record in caplog.records] == ["submits cannot go on: "]
