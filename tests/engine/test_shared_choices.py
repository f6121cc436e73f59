"""What a caller chooses for a job holds whoever leads; what holds for the account is the strictest of all members."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedVendor, envelope, prompt, running
from shared_memory import Database
from test_retry_failed import failing, outcome
from test_shared_session import member, until
from virtual import virtual

from kling_async import DeadlineExceeded, JobState, Limits, Reconciliation, Retry, Timeouts
from kling_async.engine.account_wide import read_stats, stricter, strictest, write_limits, write_stats
from kling_async.engine.engine import choices_of
from kling_async.journal.base import Choices
from kling_async.journal.shared import Member, read_choices, write_choices

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("silent")

QUICK: dict[str, Any] = {"requests_per_second": 1000, "burst": 1000}


# Choices


def test_the_usual_choices_are_the_settings_defaults_and_are_not_written() -> None:
    assert choices_of(Reconciliation(), Retry(), Timeouts()) == Choices()
    assert write_choices(Choices()) is None
    assert read_choices(None) == Choices()
    assert read_choices('{"retries": 2, "of a later version": 1}') == Choices(retries=2)


@virtual
async def test_a_job_is_bought_again_as_often_as_its_own_caller_has_it() -> None:
    vendor, database = ScriptedVendor(on_poll=failing("g1", "g2", "g3")), Database()
    async with member(database, vendor, retry=Retry(failed=5)) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor, retry=Retry(failed=1)) as second, member(database, vendor) as third:
            assert await outcome(third.submit(prompt("a"), key="a")) == "GenerationFailed"
            assert await outcome(second.submit(prompt("b"), key="b")) == "GenerationFailed"
            assert await outcome(first.submit(prompt("c"), key="c")) == "g4"
            assert first.is_leader
    assert [name.rpartition(":")[0] for name in vendor.names] == ["a", "b", "b", "c"]


@virtual
async def test_a_generation_is_watched_for_as_long_as_its_own_caller_has_it() -> None:
    vendor, database = ScriptedVendor(takes=math.inf), Database()
    async with member(database, vendor, timeouts=Timeouts(generation=300)) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor, timeouts=Timeouts(generation=900)) as second:
            begun = asyncio.get_running_loop().time()
            jobs = [first.submit(prompt("a")), second.submit(prompt("b"))]
            for job, patience in zip(jobs, (300, 900), strict=True):
                with pytest.raises(DeadlineExceeded):
                    await job
                assert asyncio.get_running_loop().time() - begun == pytest.approx(patience, abs=15)


@virtual
async def test_a_generation_that_is_resumed_is_watched_for_as_long_as_its_own_caller_has_it() -> None:
    vendor, database = ScriptedVendor(on_poll=lambda generation_id, _: running(generation_id)), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor, timeouts=Timeouts(generation=300)) as second:
            begun = asyncio.get_running_loop().time()
            with pytest.raises(DeadlineExceeded):
                await second.resume("g7")
            assert asyncio.get_running_loop().time() - begun == pytest.approx(300, abs=15)
            assert (await asyncio.wait_for(first.resume("g7").accepted(), 5)) == "g7"


@virtual
async def test_a_submit_is_tried_again_for_as_long_as_its_own_caller_has_it() -> None:
    vendor, database = ScriptedVendor(on_submit=lambda _: envelope(503, "busy")), Database()
    async with member(database, vendor, timeouts=Timeouts(submission=50)) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            mine, theirs = first.submit(prompt("a")), second.submit(prompt("b"))
            assert await outcome(mine) == "ServerError"
            vendor.on_submit = lambda _: None
            assert (await theirs).generation_id


# Retrying a key


@virtual
async def test_a_key_that_failed_is_bought_again_once_for_all_who_ask() -> None:
    vendor, database = ScriptedVendor(on_poll=failing("g1")), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor) as second:
            assert await outcome(first.submit(prompt(), key="k")) == "GenerationFailed"
            assert await outcome(second.submit(prompt(), key="k")) == "GenerationFailed"
            again = [kling.submit(prompt(), key="k", retry_failed=True) for kling in (first, second)]
            assert [await outcome(job) for job in again] == ["g2", "g2"]
            assert await outcome(second.submit(prompt(), key="k", retry_failed=True)) == "g2"
    (record,) = database.records
    assert (vendor.submits, record.state, record.former_generation_ids) == (2, JobState.COMPLETED, ("g1",))


@virtual
async def test_a_key_that_fails_again_ends_with_its_second_failure() -> None:
    vendor, database = ScriptedVendor(on_poll=failing("g1", "g2")), Database()
    async with member(database, vendor) as first, member(database, vendor, hold=True) as second:
        assert await outcome(first.submit(prompt(), key="k")) == "GenerationFailed"
        assert await outcome(second.submit(prompt(), key="k", retry_failed=True)) == "GenerationFailed"
        assert await outcome(second.submit(prompt(), key="k", retry_failed=True)) == "g3"
    assert vendor.submits == 3


@virtual
async def test_what_is_refused_is_retried_only_where_everything_is() -> None:
    refusals = iter([envelope(422, "no such model")])
    vendor, database = ScriptedVendor(on_submit=lambda _: next(refusals, None)), Database()
    async with member(database, vendor) as first, member(database, vendor, hold=True) as second:
        assert await outcome(first.submit(prompt(), key="k")) == "BadRequest"
        assert await outcome(second.submit(prompt(), key="k", retry_failed=True)) == "BadRequest"
        assert await outcome(second.submit(prompt(), key="k", retry_failed="all")) == "g2"


# The account


MOST = st.integers(1, 50)
GROUPS = st.sampled_from([None, "ann", "bob"])
ANY_LIMITS = st.builds(
    Limits,
    requests_per_second=st.none() | st.floats(1, 100),
    max_in_flight=st.just(1000) | MOST,
    per_group=st.none() | MOST | st.dictionaries(GROUPS, MOST, min_size=1),
    max_spend_usd=st.none() | st.floats(0, 100),
    allow_unpriced=st.booleans(),
)


def of_group(limits: Limits, group: str | None) -> float:
    per_group: int | Mapping[str | None, int] | None = limits.per_group
    if per_group is None or isinstance(per_group, int):
        return math.inf if per_group is None else per_group
    return per_group.get(group, math.inf)


@given(st.lists(ANY_LIMITS, min_size=1, max_size=4), st.data())
def test_the_strictest_limits_are_as_strict_as_each_members_and_the_same_for_all(
    given_limits: list[Limits], data: st.DataObject
) -> None:
    members = [Member(f"m{number}", write_limits(limits)) for number, limits in enumerate(given_limits)]
    found = [strictest(limits, data.draw(st.permutations(members))) for limits in given_limits]
    whole = found[0]
    for one, own in zip(found, given_limits, strict=True):
        assert (one.max_in_flight, one.requests_per_second, one.max_spend_usd, one.per_group) == (
            whole.max_in_flight,
            whole.requests_per_second,
            whole.max_spend_usd,
            whole.per_group,
        )
        assert whole.max_in_flight <= own.max_in_flight
        assert (whole.requests_per_second or 50) <= (own.requests_per_second or 50)
        assert own.max_spend_usd is None or (whole.max_spend_usd or 0.0) <= own.max_spend_usd
        assert all(of_group(whole, group) <= of_group(own, group) for group in (None, "ann", "bob"))
        assert own.max_spend_usd is None or own.allow_unpriced or not whole.allow_unpriced
    assert list(stricter(whole, [])) == []


@virtual
async def test_a_member_whose_limits_do_not_hold_is_told_whose_do(caplog: pytest.LogCaptureFixture) -> None:
    vendor, database = ScriptedVendor(), Database()
    caplog.set_level(logging.WARNING, "kling_async.shared")
    async with member(database, vendor, limits=Limits(max_in_flight=2, **QUICK)):
        assert caplog.messages == []
        async with member(database, vendor, limits=Limits(max_in_flight=7, **QUICK)):
            assert caplog.messages == [
                f"max_in_flight is 2 for the account, by {next(iter(database.owners))}, and not 7"
            ]


def test_a_default_is_not_replaced_by_a_looser_limit_and_each_limit_is_told_in_words() -> None:
    loose = Limits(requests_per_second=math.inf, max_in_flight=5000)
    members = [Member("usual", write_limits(Limits())), Member("tight", write_limits(Limits(per_model=3)))]
    whole = strictest(loose, [*members, Member("a reader", "")])
    assert (whole.requests_per_second, whole.max_in_flight, whole.per_model) == (None, 1000, 3)
    assert list(stricter(loose, members)) == [
        "requests_per_second is the default for the account, by tight, usual, and not inf",
        "max_in_flight is 1000 for the account, by tight, usual, and not 5000",
        "per_model is 3 for the account, by tight, and not the default",
    ]
    assert strictest(Limits(requests_per_second=20), members).requests_per_second == 20


@virtual
async def test_the_strictest_limit_on_generations_holds_whoever_leads() -> None:
    vendor, database = ScriptedVendor(), Database()
    async with member(database, vendor) as first:
        await until(lambda: first.is_leader)
        async with member(database, vendor, hold=True, limits=Limits(max_in_flight=1, **QUICK)):
            await asyncio.sleep(20)
            jobs = [first.submit(prompt(f"{number}")) for number in range(3)]
            await jobs[0].accepted()
            await asyncio.sleep(30)
            assert vendor.submits == 1
            await asyncio.gather(*jobs)


@virtual
async def test_the_numbers_of_the_account_are_those_of_the_one_that_leads() -> None:
    vendor, database = ScriptedVendor(takes=400), Database()
    async with member(database, vendor) as first, member(database, vendor, hold=True) as second:
        await until(lambda: first.is_leader)
        jobs = [second.submit(prompt("a")), first.submit(prompt("b"))]
        await asyncio.gather(*(job.accepted() for job in jobs))
        await asyncio.sleep(10)
        for kling in (first, second):
            stats = kling.stats()
            assert (stats.pending, stats.submits, stats.requests_per_second) == (2, 2, 1000)
            own = kling.stats(own=True)
            assert (own.pending, own.submits) == (1, 2)
        assert read_stats(write_stats(first.stats())) == first.stats()
        assert read_stats("of another version") is None
