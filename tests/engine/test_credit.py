"""Submits halted by missing credits or by a gateway go on once that is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from scripted import ScriptedVendor, answer, envelope, prompt, session
from virtual import virtual

from kling_async import AuthenticationError, GatewayError, HttpResponse, JobState, MalformedResponse, OutOfCredits
from kling_async.api.account.billing import read_balance
from kling_async.api.error_responses import read_error

if TYPE_CHECKING:
    from kling_async import KlingSession

BROKE = envelope(403, "You have run out of credits")


def balances(*values: float | HttpResponse) -> tuple[ScriptedVendor, list[float]]:
    """A vendor whose account runs out at the second POST, and then has these balances, look by look."""
    vendor = ScriptedVendor(on_submit=lambda n: BROKE if n == 2 else None)
    looks: list[float] = []

    def look() -> HttpResponse:
        value = values[min(len(looks), len(values) - 1)]
        looks.append(asyncio.get_running_loop().time())
        return value if isinstance(value, HttpResponse) else answer(200, {"current_balance": value})

    vendor.on_balance = look
    return vendor, looks


async def run_out(kling: KlingSession) -> None:
    await kling.submit(prompt("paid")).accepted()
    with pytest.raises(OutOfCredits):
        await kling.submit(prompt("not"), key="k")


@virtual
async def test_submits_go_on_once_the_balance_has_risen() -> None:
    vendor, looks = balances(0.0, 0.0, 0.0, 10.0)
    async with session(vendor) as kling:
        await run_out(kling)
        await asyncio.sleep(400)
        assert isinstance(kling.submit(prompt("not"), key="k").exception(), OutOfCredits)
        await asyncio.sleep(100)
        assert kling.stats().halted is None
        await kling.submit(prompt("not"), key="k")
        await asyncio.sleep(5000)
        assert looks == [0.0, 60.0, 180.0, 420.0]


@virtual
async def test_a_balance_that_cannot_be_known_or_falls_changes_nothing() -> None:
    vendor, looks = balances(0.0, envelope(500, "oops"), answer(200, {"currency": "USD"}), -1.0, 4.5)
    async with session(vendor) as kling:
        await run_out(kling)
        await asyncio.sleep(800)
        assert kling.stats().halted is not None
        await asyncio.sleep(200)
        assert kling.stats().halted is None
        assert len(looks) == 5


@virtual
async def test_submits_go_on_once_the_vendor_answers_where_a_gateway_did() -> None:
    page = answer(403, b"<title>Blocked</title>")
    vendor, looks = balances(page, page, answer(200, b"<!doctype html>"), envelope(500, "oops"), 1.0)
    vendor.on_submit = lambda _: page if len(looks) < 5 else None
    async with session(vendor) as kling:
        jobs = [kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(3)]
        for job in jobs:
            with pytest.raises(GatewayError, match="Blocked"):
                await job
        assert {job.state for job in jobs} == {JobState.QUEUED}
        await asyncio.sleep(800)
        assert kling.stats().halted is not None
        await asyncio.sleep(200)
        assert kling.stats().halted is None
        assert looks == [0.0, 60.0, 180.0, 420.0, 900.0]
        await asyncio.gather(*(kling.submit(prompt(f"{n}"), key=f"k{n}") for n in range(3)))


@virtual
async def test_refusals_of_posts_that_were_under_way_hasten_no_look() -> None:
    moved = answer(302, b"", location="https://host.example/")
    vendor, looks = balances(1.0)
    vendor.latency, vendor.on_submit = 5.0, lambda n: moved if n < 6 else None
    async with session(vendor) as kling:
        for job in [kling.submit(prompt(f"{n}")) for n in range(5)]:
            with pytest.raises(GatewayError):
                await job
        await asyncio.sleep(59)
        assert (looks, kling.stats().halted is None) == ([], False)
        await asyncio.sleep(2)
        assert kling.stats().halted is None


@virtual
async def test_a_bad_key_stops_everything_and_no_lesser_halt_takes_its_place() -> None:
    revoked = read_error(envelope(401, "Invalid API key"))
    assert isinstance(revoked, AuthenticationError)
    vendor = ScriptedVendor(takes=1e6)
    async with session(vendor) as kling:
        job = kling.submit(prompt())
        await job.accepted()
        store = kling._running_engine().store
        store.halt(revoked)
        with pytest.raises(AuthenticationError):
            await job
        store.halt(GatewayError("moved"))  # of a POST that was under way
        assert "Invalid API key" in (kling.stats().halted or "")


@virtual
async def test_being_told_to_go_on_ends_the_looking() -> None:
    vendor, looks = balances(0.0)
    async with session(vendor) as kling:
        await run_out(kling)
        kling.resume_submissions()
        await kling.submit(prompt("not"), key="k")
        await asyncio.sleep(5000)
        assert len(looks) <= 2


@pytest.mark.parametrize("balance", [None, "twelve", True, [], float("nan"), "1e999999"])
def test_an_answer_without_a_balance_is_malformed(balance: object) -> None:
    with pytest.raises(MalformedResponse):
        read_balance(answer(200, {"current_balance": balance}))
