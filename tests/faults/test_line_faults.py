"""Faults of one model, one generation or one user: they hold up nobody else."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from fault_vendor import EVERY, asked_id, sells, stated, tells_how_far_it_is
from scripted import prompt

from kling_async import JobState, Limits, Polling

if TYPE_CHECKING:
    from fault_case import Case
    from fault_vendor import Act, FaultVendor
    from loopback import Exchange

pytestmark = pytest.mark.asyncio

SICK, WELL = "klingai/v2.5-turbo/pro/text-to-video", "klingai/v2.1-master-text-to-video"
NO = stated(429, "Too Many Requests")
BROKEN = stated(503, "the model is overloaded")


def for_model(model: str, act: Act) -> Act:
    """Act so on the submits of this model, and sell all others."""

    async def acts(vendor: FaultVendor, exchange: Exchange) -> None:
        await (act if json.loads(exchange.body)["model"] == model else sells)(vendor, exchange)

    return acts


def for_generations(ids: set[str], act: Act) -> Act:
    """Act so on the polls of these generations."""

    async def acts(vendor: FaultVendor, exchange: Exchange) -> None:
        await (act if asked_id(exchange) in ids else tells_how_far_it_is)(vendor, exchange)

    return acts


def posts(case: Case) -> list[str]:
    return [json.loads(exchange.body)["prompt"] for exchange in case.vendor.posts]


@pytest.mark.parametrize("answer", [NO, BROKEN], ids=["refused", "broken"])
@pytest.mark.parametrize("first", [True, False], ids=["alone at first", "together"])
async def test_one_model_that_sells_nothing_holds_up_no_other(case: Case, answer: Act, *, first: bool) -> None:
    case.vendor.submits[EVERY] = for_model(SICK, answer)
    async with case:
        async with case.session() as kling:
            sick = [kling.submit(prompt(f"sick {n}", model=SICK), key=f"s{n}") for n in range(30)]
            if first:
                await case.vendor.arrival("submit", 3)
            well = [kling.submit(prompt(f"well {n}", model=WELL), key=f"w{n}") for n in range(30)]
            async with asyncio.timeout(30):
                await asyncio.gather(*well)
            assert {job.state for job in sick} <= {JobState.QUEUED, JobState.SUBMITTING}
        case.vendor.submits.clear()
        async with case.session() as kling:
            await asyncio.gather(*kling.pending)


async def test_one_generation_whose_polls_are_refused_holds_up_no_other(case: Case) -> None:
    case.vendor.polls[EVERY] = for_generations({"g-1"}, stated(429, "Too Many Requests", retry_after="200"))
    async with case, case.session() as kling:
        jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(30)]
        ids = await asyncio.gather(*(job.accepted() for job in jobs))
        ill = jobs[ids.index("g-1")]
        async with asyncio.timeout(30):
            await asyncio.gather(*(job for job in jobs if job is not ill))
        assert (ill.done(), ill.state) == (False, JobState.PENDING)


async def test_two_hundred_sick_generations_hold_up_no_others_that_failed_once(case: Case) -> None:
    sick = {f"g-{n}" for n in range(1, 201)}
    hiccups: Counter[str] = Counter()

    async def trouble(vendor: FaultVendor, exchange: Exchange) -> None:
        which = asked_id(exchange)
        hiccups[which] += 1
        is_bad = which in sick or hiccups[which] == 1
        await (BROKEN if is_bad else tells_how_far_it_is)(vendor, exchange)

    case.vendor.polls[EVERY] = trouble
    async with case, case.session(polling={"retry_cap": 1.0}) as kling:
        for n in range(200):
            kling.submit(prompt(f"sick {n}"), key=f"s{n}")
        await case.vendor.arrival("poll", 300)
        well = [kling.submit(prompt(f"well {n}"), key=f"w{n}") for n in range(5)]
        async with asyncio.timeout(30):
            await asyncio.gather(*well)


async def test_a_fresh_job_goes_before_retries_of_others(case: Case) -> None:
    """One POST at a time; all that were sent before are to be tried again, and the newest goes at once."""
    case.vendor.submits = dict.fromkeys(range(1, 11), BROKEN)
    limits = Limits(requests_per_second=1000, burst=1000, max_submits=1)
    async with case, case.session(limits=limits, polling={"retry_base": 0.05}) as kling:
        old = [kling.submit(prompt(f"old {n}"), key=f"o{n}") for n in range(10)]
        await case.vendor.arrival("submit", 10)
        new = kling.submit(prompt("new"), key="n")
        await asyncio.gather(*old, new)
    assert "new" in posts(case)[10:14]


async def test_one_users_three_hundred_jobs_and_the_single_job_of_another(case: Case) -> None:
    limits = Limits(requests_per_second=1000, burst=1000, max_in_flight=2)
    async with case, case.session(limits=limits, polling=Polling.fixed(0.01, min_gap=0.01)) as kling:
        many = [kling.submit(prompt(f"many {n}"), key=f"m{n}", group="ann") for n in range(300)]
        await case.vendor.arrival("submit", 10)
        before = len(case.vendor.posts)
        await kling.submit(prompt("one"), key="one", group="bob")
        assert posts(case).index("one") <= before + 3
        for job in many:
            job.abandon()


async def test_a_group_at_its_limit_holds_up_no_other_and_goes_on_as_its_jobs_end(case: Case) -> None:
    case.vendor.takes = 10**9
    limits = Limits(requests_per_second=1000, burst=1000, per_group={"ann": 2}, per_model=4)
    async with case, case.session(limits=limits) as kling:
        ann = [kling.submit(prompt(f"ann {n}"), key=f"a{n}", group="ann") for n in range(5)]
        bob = [kling.submit(prompt(f"bob {n}"), key=f"b{n}", group="bob") for n in range(5)]
        await case.vendor.arrival("submit", 4)
        await asyncio.sleep(0.1)
        assert sum(job.state is JobState.PENDING for job in ann) == 2
        assert sum(job.state is JobState.PENDING for job in bob) == 2
        case.vendor.takes = 1
        await asyncio.gather(*ann, *bob)


async def test_priority_and_group_survive_a_restart(case: Case) -> None:
    case.vendor.submits[EVERY] = NO
    limits = Limits(requests_per_second=1000, burst=1000, max_submits=1)
    async with case:
        async with case.session() as kling:
            for group, priority in (("ann", 0), ("bob", 0), ("cy", 5)):
                for n in range(3):
                    kling.submit(prompt(f"{group} {n}"), key=f"{group}{n}", group=group, priority=priority)
            await case.vendor.arrival("submit", 2)
        case.vendor.submits.clear()
        refused = len(case.vendor.posts)
        async with case.session(limits=limits) as kling:
            assert {(job.group, job.priority) for job in kling.pending} == {("ann", 0), ("bob", 0), ("cy", 5)}
            await asyncio.gather(*kling.pending)
    assert [posted.split()[0] for posted in posts(case)[refused:]] == ["cy"] * 3 + ["ann", "bob"] * 3
