"""The ledger as a completion feed, in a session: what it saves where it leads, and costs where it does not."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from decimal import Decimal
from typing import Any

import pytest
from ledger_vendor import LedgerVendor
from scripted import ScriptedVendor, answer, envelope, prompt, session
from virtual import virtual

from kling_async import (
    Completed,
    ConfigurationError,
    JobState,
    Limits,
    MemoryJournal,
    Polling,
    RequestTimeout,
    Stats,
)

pytestmark = pytest.mark.untraced

KIND: dict[str, Any] = {"model": "klingai/v2.1-master-text-to-video", "duration": 5}
ECONOMY = Polling(profile="economy")
OFF = Polling(profile="economy", feed=False)
JOBS = 150


async def run(vendor: LedgerVendor, polling: Polling = ECONOMY, *, jobs: int = JOBS, **settings: Any) -> Stats:
    """All at once, until all have settled."""
    async with session(vendor, polling=polling, **settings) as kling:
        submitted = [kling.submit(prompt(str(n), **KIND)) for n in range(jobs)]
        for job in submitted:
            await job.settled()
        assert {job.state for job in submitted} == {JobState.COMPLETED}
        assert vendor.submits == jobs
        return kling.stats()


def requests(stats: Stats) -> int:
    return stats.submits + stats.polls + stats.calls


WITHOUT: dict[str, tuple[int, float]] = {}


async def off(**settings: Any) -> tuple[int, float]:
    """What it takes with the feed off, which is the same every time: requests, and the mean delay."""
    told = repr(settings)
    if told not in WITHOUT:
        vendor = LedgerVendor()
        stats = await run(vendor, OFF, **settings)
        assert (stats.feed, stats.calls, vendor.asked) == (None, 0, [])
        WITHOUT[told] = requests(stats), vendor.delay()
    return WITHOUT[told]


@virtual
async def test_where_the_ledger_leads_fewer_requests_notice_sooner() -> None:
    usual, late = await off()
    vendor = LedgerVendor(recorded=lambda end, _: end + 0.5)
    stats = await run(vendor)
    assert stats.feed is not None
    assert stats.feed.told_first > JOBS / 2
    assert stats.feed.lag is not None
    assert stats.feed.lag < 5.0
    assert stats.feed.unrecorded < 0.1
    assert stats.feed.pages == stats.calls == len(vendor.asked)
    assert requests(stats) < 0.75 * usual
    assert vendor.delay() < 0.75 * late


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param(lambda _end, told: told + 2.0, id="once a poll has told"),
        pytest.param(lambda _end, _told: math.inf, id="never"),
        pytest.param(lambda end, _: end + 60.0, id="a minute late"),
        pytest.param(lambda end, _: math.ceil(end / 60.0) * 60.0, id="each minute"),
        pytest.param(lambda end, _: end + max(0.0, end - 250.0) / 2.0, id="ever later"),
    ],
)
def test_where_it_does_not_nothing_is_lost_by_finding_that_out(recorded: Any) -> None:
    @virtual
    async def played() -> None:
        usual, late = await off()
        vendor = LedgerVendor(recorded=recorded)
        stats = await run(vendor)
        # By what a poll is worth. A look shifts every poll after it, and with 150 delays that alone makes some
        # percent; benchmarks/policy/feed has the seeds to tell one or two.
        assert 0.5 * requests(stats) / JOBS + vendor.delay() < 1.1 * (0.5 * usual / JOBS + late)

    played()


@virtual
async def test_a_ledger_that_does_not_lead_is_hardly_looked_at() -> None:
    vendor = LedgerVendor(recorded=lambda _end, told: told)
    stats = await run(vendor)
    assert stats.feed is not None
    assert (stats.feed.leads, stats.feed.lag, stats.feed.told_first) == (False, None, 0)
    assert 1 <= len(vendor.asked) <= 0.01 * requests(stats)


TROUBLE = [
    pytest.param(lambda _: envelope(401, "no"), id="401"),
    pytest.param(lambda _: envelope(403, "no"), id="403"),
    pytest.param(lambda _: envelope(404, "no"), id="404"),
    pytest.param(lambda _: envelope(429, "no", retry_after="3600"), id="429"),
    pytest.param(lambda _: envelope(503, "no"), id="503"),
    pytest.param(lambda _: answer(200, b"<html>"), id="html"),
    pytest.param(lambda _: answer(200, {"data": "none"}), id="no list"),
    pytest.param(lambda _: RequestTimeout("no"), id="no answer"),
    pytest.param(lambda _: ZeroDivisionError("a mistake"), id="a mistake"),
]


@pytest.mark.parametrize("on_ledger", TROUBLE)
def test_trouble_with_it_is_told_once_and_is_no_trouble_for_jobs(on_ledger: Any, caplog: Any) -> None:
    @virtual
    async def played() -> None:
        limits = Limits(requests_per_second=50, burst=50)
        usual, late = await off(limits=limits)
        vendor = LedgerVendor(on_ledger=on_ledger)
        with caplog.at_level(logging.WARNING):
            stats = await run(vendor, limits=limits)
        assert 1 <= len(vendor.asked) <= 6
        assert (stats.halted, stats.throttled, stats.requests_per_second) == (None, 0, 50)
        assert abs(requests(stats) - usual) < 0.05 * usual
        assert vendor.delay() < 1.15 * late

    played()
    told = [record for record in caplog.records if record.name == "kling_async.feed"]
    assert len(told) == 1 or "mistake" in told[0].getMessage()


@virtual
async def test_trouble_that_passes_is_forgotten() -> None:
    vendor = LedgerVendor(on_ledger=lambda n: envelope(503, "no") if n == 1 else None)
    stats = await run(vendor, jobs=300)
    assert stats.feed is not None
    assert stats.feed.told_first > 50


@virtual
async def test_other_programs_entries_are_passed_over_on_pages_that_shift() -> None:
    usual, late = await off()
    vendor = LedgerVendor(foreign=60, shifts=True)
    stats = await run(vendor)
    assert stats.feed is not None
    assert stats.feed.told_first > JOBS / 2
    assert stats.polls < 0.75 * usual
    assert vendor.delay() < 0.75 * late


@virtual
async def test_a_ledger_with_too_many_of_them_is_left_alone() -> None:
    usual, late = await off()
    vendor = LedgerVendor(foreign=5000)
    stats = await run(vendor)
    assert requests(stats) < 1.1 * usual
    assert vendor.delay() < 1.15 * late


@virtual
async def test_pages_that_lead_in_a_circle_are_trouble() -> None:
    ours = {"direction": "CHARGE", "type": "MODEL_USAGE", "reference_id": "g1"}
    page = {"data": [ours], "pagination": {"next_cursor": "again", "has_more": True}}
    vendor = LedgerVendor(on_ledger=lambda _: answer(200, page))
    await run(vendor, jobs=100)
    assert len(vendor.asked) < 50


@virtual
async def test_a_ledger_that_lies_costs_polls_and_nothing_else() -> None:
    usual, _ = await off()
    vendor = LedgerVendor(lies=True)
    stats = await run(vendor)
    assert stats.submits == JOBS
    assert requests(stats) < 2 * usual


@virtual
async def test_what_is_shown_is_polled_before_others_and_submits_still_go() -> None:
    vendor = LedgerVendor(recorded=lambda end, _: end + 0.5)
    stats = await run(vendor, jobs=600, limits=Limits(requests_per_second=4, burst=1, max_in_flight=200))
    assert stats.feed is not None
    assert stats.feed.told_first > 200
    late = sorted(at - vendor.done_at[which] for which, at in vendor.told.items())
    assert late[len(late) // 2] < 5.0


@virtual
async def test_a_completion_says_whether_the_ledger_had_shown_it() -> None:
    vendor = LedgerVendor(recorded=lambda end, _: end + 0.5)
    async with session(vendor, polling=ECONOMY) as kling:
        said = kling.subscribe(buffer=100_000)
        await asyncio.gather(*(kling.submit(prompt(str(n), **KIND)) for n in range(JOBS)))
        feed = kling.stats().feed
    done = [event async for event in said if isinstance(event, Completed)]
    shown = [event.shown_by_ledger for event in done]
    assert len(shown) == JOBS
    assert feed is not None
    assert shown.count(True) >= feed.told_first > 0
    assert done[0].ledger_lag is None
    assert done[-1].ledger_lag == pytest.approx(feed.lag, rel=0.2)
    assert [event.told_first for event in done] == sorted(event.told_first for event in done)
    assert done[-1].told_first == feed.told_first


@virtual
async def test_what_was_charged_is_known_without_asking_again() -> None:
    vendor = LedgerVendor(recorded=lambda end, _: end + 0.5, usd=1.25)
    async with session(vendor, polling=ECONOMY) as kling:
        said = kling.subscribe(buffer=100_000)
        await asyncio.gather(*(kling.submit(prompt(str(n), **KIND)) for n in range(JOBS)))
        shown: list[Any] = []
        while len(shown) < 20:
            event = await anext(said)
            if isinstance(event, Completed) and event.shown_by_ledger:
                shown.append(event.job)
        asked = len(vendor.asked)
        report = await kling.reconcile_costs(shown)
        assert len(vendor.asked) == asked
        assert report.charged_usd == 20 * Decimal("1.25")
        assert (report.uncharged, report.unexplained) == ((), ())
        assert {job.result().usage.usd_spent for job in shown} == {1.25}
        assert {row.reported_usd for row in report.rows} == {Decimal("1.25")}


@virtual
async def test_what_was_learned_of_it_is_kept_with_the_rest() -> None:
    journal = MemoryJournal()
    await run(LedgerVendor(recorded=lambda end, _: end + 0.5), journal=journal)
    kept = json.loads(await journal.load_learned() or "")
    assert kept["ledger"]["version"] == 1
    after = MemoryJournal()
    await after.save_learned(json.dumps(kept))
    stats = await run(LedgerVendor(recorded=lambda end, _: end + 0.5), jobs=50, journal=after)
    assert stats.feed is not None
    assert stats.feed.told_first > 30
    brought = LedgerVendor(recorded=lambda end, _: end + 0.5)
    stats = await run(brought, Polling(profile="economy", learned=kept), jobs=50)
    assert stats.feed is not None
    assert stats.feed.told_first > 30


@virtual
async def test_what_was_learned_before_there_was_a_feed_is_still_of_use() -> None:
    async with session(ScriptedVendor()) as kling:
        learned = kling.learned()
    del learned["ledger"]
    async with session(ScriptedVendor(), polling=Polling(learned=learned)) as kling:
        assert "ledger" in kling.learned()
    with pytest.raises(ConfigurationError, match="ledger cannot be read: version is 2"):
        Polling(learned=learned | {"ledger": {"version": 2}})


@virtual
async def test_what_another_process_asked_about_does_not_count_as_told_first() -> None:
    journal = MemoryJournal()
    vendor = LedgerVendor(recorded=lambda _end, told: told)
    async with session(vendor, polling=ECONOMY, journal=journal) as kling:
        for n in range(JOBS):
            kling.submit(prompt(str(n), **KIND))
        await asyncio.sleep(100)
    vendor.told |= dict.fromkeys(vendor.done_at, 0.0)  # its last polls told, and their answers were lost
    vendor.done_at |= dict.fromkeys(vendor.done_at, 100.0)
    async with session(vendor, polling=ECONOMY, journal=journal) as kling:
        await kling.drain()
        feed = kling.stats().feed
    assert feed is not None
    assert feed.told_first == 0


@pytest.mark.parametrize("value", [True, None, "on", 1, 0])
def test_feed_takes_auto_or_false(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'feed .*"auto" or False'):
        Polling(feed=value)


@virtual
async def test_a_schedule_of_the_callers_own_has_no_feed() -> None:
    async with session(ScriptedVendor(takes=5), polling=Polling.fixed(1)) as kling:
        await kling.submit(prompt(**KIND))
        assert kling.stats().feed is None
