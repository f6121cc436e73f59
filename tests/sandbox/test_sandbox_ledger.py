"""The account's ledger, in each way that the vendor may record charges."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sandbox_client import Client, visit

from kling_async import ConfigurationError
from kling_async.sandbox import Faults, Recording

pytestmark = pytest.mark.asyncio

SPEED = 10.0


async def shown(api: Client, query: str = "limit=100") -> list[str]:
    page = (await api.call("GET", f"/v2/billing/transactions?{query}")).json
    return [row["reference_id"] for row in page["data"]]


async def sold(api: Client, count: int = 50) -> dict[str, float]:
    """So many generations, and when they end by the sandbox's clock."""
    ids = [(await api.submit(f"{n}")).generation_id for n in range(count)]
    assert set(ids) == set(api.sandbox.ledger.purchases)
    return {which: one.completed_at for which, one in api.sandbox.ledger.purchases.items()}


async def lags(api: Client, ends: dict[str, float]) -> dict[str, float]:
    """How long after its end each was first shown, in seconds of the vendor's time."""
    seen: dict[str, float] = {}
    for _ in range(400):
        api.clock.now += 0.25
        for which in await shown(api):
            if which in ends:
                seen.setdefault(which, api.clock.now - ends[which])
    return {which: lag * SPEED for which, lag in seen.items()}


async def test_a_charge_is_there_at_the_end_by_default() -> None:
    async with visit(speed=SPEED) as api:
        found = await lags(api, ends := await sold(api))
        assert found.keys() == ends.keys()
        assert all(0 <= lag <= 2.5 for lag in found.values())


async def test_or_some_time_later() -> None:
    async with visit(speed=SPEED, recording=Recording(lag=20)) as api:
        found = await lags(api, ends := await sold(api))
        assert found.keys() == ends.keys()
        assert 10 < sum(found.values()) / len(found) < 40


async def test_or_ever_later() -> None:
    async with visit(speed=SPEED, recording=Recording(lag_growth=0.5)) as api:
        ends = await sold(api)
        found = await lags(api, ends)
        early, late = sorted(ends, key=ends.__getitem__)[:15], sorted(ends, key=ends.__getitem__)[-15:]
        assert sum(found[which] for which in early) < sum(found.get(which, 1000.0) for which in late)


async def test_or_together_each_minute() -> None:
    async with visit(speed=SPEED, recording=Recording(every=60)) as api:
        ends = await sold(api)
        found = await lags(api, ends)
        moments = {ends[which] + lag / SPEED for which, lag in found.items()}
        assert found.keys() == ends.keys()
        assert all(moment % 6.0 <= 0.25 for moment in moments)


async def test_or_never_for_a_share() -> None:
    async with visit(speed=SPEED, recording=Recording(unrecorded=0.2)) as api:
        ends = await sold(api)
        api.clock.now += 100_000.0
        assert 30 <= len(await shown(api)) <= 48
        assert len(api.sandbox.ledger.charges) == len(ends)


async def test_or_only_once_a_poll_has_told_of_the_end() -> None:
    async with visit(speed=SPEED, recording=Recording(once_polled=True, lag=10)) as api:
        first, second, *_ = await sold(api)
        await api.poll(first)
        api.clock.now += 1000.0
        assert await shown(api) == []
        await api.poll(first)
        api.clock.now += 100.0
        assert await shown(api) == [first]
        await api.poll(second)
        api.clock.now += 100.0
        assert await shown(api) == [second, first]


async def test_other_programs_entries_come_between() -> None:
    async with visit(speed=SPEED, recording=Recording(foreign_per_minute=600)) as api:
        (mine,) = await sold(api, 1)
        api.clock.now = api.sandbox.ledger.purchases[mine].completed_at + 0.5
        page = await shown(api)
        assert page.index(mine) == pytest.approx(50, abs=2)
        assert all(which.startswith("foreign-") for which in page if which != mine)


@pytest.mark.parametrize("shifts", [False, True])
async def test_new_entries_shift_pages_that_are_counted_from_the_head(*, shifts: bool) -> None:
    async with visit(speed=SPEED, recording=Recording(foreign_per_minute=60, shifts=shifts)) as api:
        api.clock.now += 20.0
        first = (await api.call("GET", "/v2/billing/transactions?limit=10")).json
        api.clock.now += 0.3
        second = await shown(api, f"limit=10&cursor={first['pagination']['next_cursor']}")
        last = first["data"][-1]["reference_id"]
        assert (last in second) is shifts
        assert len(second) == 10


async def test_pages_end() -> None:
    async with visit(speed=SPEED, recording=Recording(foreign_per_minute=60, shifts=True)) as api:
        api.clock.now += 10.0
        cursor, seen = "", list[str]()
        while cursor is not None:
            page = (await api.call("GET", f"/v2/billing/transactions?limit=30{cursor and f'&cursor={cursor}'}")).json
            seen += [row["reference_id"] for row in page["data"]]
            cursor = page["pagination"]["next_cursor"]
        assert len(seen) == len(set(seen)) == 100


@pytest.mark.parametrize(
    ("fault", "status"), [("forbidden", {403}), ("rate_limited", {429}), ("server_error", {500, 503})]
)
async def test_the_ledger_has_faults_of_its_own(fault: str, status: set[int]) -> None:
    faults: dict[str, Any] = {fault: {"ledger": 1}}
    async with visit(faults=Faults(**faults)) as api:
        assert (await api.call("GET", "/v2/billing/transactions")).status in status
        assert (await api.call("GET", "/v2/billing")).status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [("lag", -1), ("lag_growth", "1"), ("every", -1), ("unrecorded", 1.1), ("once_polled", 1), ("shifts", None)],
)
async def test_settings_are_judged(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(name)):
        Recording(**{name: value})
