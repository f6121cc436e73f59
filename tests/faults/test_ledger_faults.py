"""Faults of the ledger as a completion feed: whatever it says, nothing is lost and nothing is bought twice."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from fault_vendor import EVERY, breaks_off, drips, is_silent, page, resets, says, stated
from scripted import prompt

from kling_async import JobState, Polling
from kling_async.pacing.durations import DurationModels, to_data
from kling_async.pacing.recording_lag import RecordingLag

if TYPE_CHECKING:
    from fault_case import Case
    from fault_vendor import FaultVendor
    from loopback import Exchange

pytestmark = pytest.mark.asyncio

JOBS = 30
SPEED = 600.0  # five minutes take half a second


def proven() -> dict[str, Any]:
    """What a session has learned at a ledger that leads."""
    lag = RecordingLag()
    for number in range(200):
        lag.shown_first(number % 4, number % 4 + 0.5)
        lag.advance(float(number))
        lag.ended(0.0, recorded=True)
    return to_data(DurationModels()) | {"ledger": lag.as_data()}


def eager() -> Polling:
    """Looks at the ledger from the beginning, and goes by it."""
    return Polling(profile="economy", learned=proven(), retry_base=0.01, retry_cap=0.05, not_found_grace=0.2).at_speed(
        SPEED
    )


def entries(*ids: str, **pagination: Any) -> dict[str, Any]:
    rows = [{"direction": "CHARGE", "type": "MODEL_USAGE", "reference_id": each} for each in ids]
    return {"data": rows, "pagination": {"next_cursor": None, "has_more": False} | pagination}


async def shows_all_that_was_sold(vendor: FaultVendor, exchange: Exchange) -> None:
    await says(200, entries(*(sale.generation_id for sale in vendor.sales)))(vendor, exchange)


async def shows_strangers(vendor: FaultVendor, exchange: Exchange) -> None:
    number = vendor.counts["ledger"]
    await says(200, entries(*(f"s-{number}-{n}" for n in range(100)), next_cursor=f"c{number}", has_more=True))(
        vendor, exchange
    )


async def run(case: Case) -> None:
    case.vendor.takes = 4
    async with case:
        async with case.session(polling=eager()) as kling:
            jobs = [kling.submit(prompt(str(n))) for n in range(JOBS)]
            await asyncio.gather(*(job.settled() for job in jobs))
            assert {job.state for job in jobs} == {JobState.COMPLETED}
            stats = kling.stats()
        assert case.vendor.counts["ledger"] > 0
        assert (stats.halted, stats.throttled) == (None, 0)
        assert len(case.vendor.sales) == JOBS


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(stated(401, "this key may not"), id="401"),
        pytest.param(stated(403, "this key may not"), id="403"),
        pytest.param(stated(404, "nothing here"), id="404"),
        pytest.param(stated(429, "too many", retry_after="3600"), id="429"),
        pytest.param(stated(500, "sorry"), id="500"),
        pytest.param(page(502), id="gateway"),
        pytest.param(says(200, b"<html>"), id="html"),
        pytest.param(says(200, {"data": {"not": "a list"}}), id="no list"),
        pytest.param(resets, id="reset"),
        pytest.param(breaks_off, id="cut short"),
    ],
)
async def test_a_ledger_that_cannot_be_read_is_told_of_once(case: Case, act: Any) -> None:
    case.vendor.ledgers[EVERY] = act
    await run(case)
    told = [record for record in case.log.records if record.name == "kling_async.feed"]
    assert [record.levelno for record in told] == [logging.WARNING]


@pytest.mark.parametrize("act", [pytest.param(is_silent, id="silent"), pytest.param(drips, id="dripping")])
async def test_a_look_that_never_ends_holds_nothing_up(case: Case, act: Any) -> None:
    case.vendor.ledgers[EVERY] = act
    await run(case)


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(shows_all_that_was_sold, id="all have ended"),
        pytest.param(says(200, entries(*(f"g-{n}" for n in range(1, 1 + JOBS)))), id="before they are bought"),
        pytest.param(shows_strangers, id="endless strangers"),
        pytest.param(says(200, entries("g-1", next_cursor="again", has_more=True)), id="a circle"),
        pytest.param(says(200, entries("", "g-1", "g-1", ":", "g-1:some/model")), id="odd ids"),
        pytest.param(says(200, {"data": [None, 5, {}, {"reference_id": ["g-1"]}], "pagination": {}}), id="odd rows"),
    ],
)
async def test_a_ledger_that_lies_only_costs_polls(case: Case, act: Any) -> None:
    case.vendor.ledgers[EVERY] = act
    await run(case)
    assert case.vendor.counts["poll"] < 20 * JOBS
