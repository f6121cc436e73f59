"""All faults at once: whatever is drawn, every job ends once, nothing is bought twice, and every file is whole."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from fault_vendor import (
    EVERY,
    breaks_off,
    film,
    is_silent,
    page,
    resets,
    says,
    sells,
    serves_the_film,
    shows_the_log,
    sold,
    stated,
    tells_how_far_it_is,
    then_closes,
)
from scripted import prompt

from kling_async import JobState, KlingError, Limits, Reconciliation

if TYPE_CHECKING:
    from fault_case import Case, Watched
    from fault_vendor import Act, FaultVendor
    from loopback import Exchange

pytestmark = pytest.mark.asyncio

CALM = 0.5
JOBS = 30
LOST = [resets, breaks_off, is_silent, page(502), page(504), says(200, b"{"), says(200, b""), stated(502, "gone")]
UNSOLD = [stated(429, "slow down"), stated(503, "try later"), stated(500, "oops")]
SUBMITS = [*LOST, *UNSOLD, *map(sold, LOST), then_closes(sells)]
POLLS = [*LOST, *UNSOLD, says(200, b"null"), says(200, {"id": "g-0", "status": "completed"}), stated(404, "unknown")]
LOOKS = [*LOST, *UNSOLD, says(200, [])]
FILES = [resets, page(503), stated(403, "expired"), film(sent=1000), film(sent=250_000), then_closes(serves_the_film)]


def drawn(dice: random.Random, usual: Act, troubles: list[Act]) -> Act:
    async def act(vendor: FaultVendor, exchange: Exchange) -> None:
        await (usual if dice.random() < CALM else dice.choice(troubles))(vendor, exchange)

    return act


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_faults_over_several_sessions_breaks_no_promise(case: Case, seed: int) -> None:
    dice = random.Random(seed)
    case.vendor.submits[EVERY] = drawn(dice, sells, SUBMITS)
    case.vendor.polls[EVERY] = drawn(dice, tells_how_far_it_is, POLLS)
    case.vendor.looks[EVERY] = drawn(dice, shows_the_log, LOOKS)
    case.vendor.files[EVERY] = drawn(dice, serves_the_film, FILES)
    case.vendor.page, case.vendor.takes = 7, 3
    settings = {
        "timeouts": {"submit": 0.1, "call": 0.1, "file": 0.1, "close": 0.05},
        "polling": {"not_found_grace": 20},
        "limits": Limits(requests_per_second=1000, burst=100),
        "reconciliation": Reconciliation(after=1),
    }
    states: dict[str, JobState] = {}
    async with case:
        for _ in range(4):
            async with case.session(**settings) as kling:
                jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(JOBS)]
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await asyncio.gather(*(_delivered(case, kling, n) for n in range(1, dice.randrange(2, JOBS))))
        case.vendor.polls.clear()
        case.vendor.looks.clear()
        case.vendor.files.clear()
        case.vendor.submits.clear()
        async with case.session(**settings) as kling:
            jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(JOBS)]
            await asyncio.gather(*(job.settled() for job in jobs))
            states = {job.key: job.state for job in jobs}
            for job in jobs:
                if job.state is JobState.COMPLETED:
                    path = await kling.download(job, case.folder / "out" / f"{job.key}.mp4")
                    assert path.read_bytes() == case.vendor.film
    bought = {sale.key for sale in case.vendor.sales}
    assert {key for key, state in states.items() if state is JobState.COMPLETED} == bought
    assert {state for key, state in states.items() if key not in bought} <= {JobState.UNCERTAIN}


async def _delivered(case: Case, kling: Watched, n: int) -> None:
    job = kling.submit(prompt(f"{n}"), key=f"k{n}")
    try:
        await kling.download(job, case.folder / "out" / f"{job.key}.mp4")
    except KlingError as error:
        case.texts.append(repr(error))
