"""A session asks the sandbox about its account, over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from kling_async import (
    AuthenticationError,
    BadRequest,
    ImageToVideo,
    JobState,
    KlingSession,
    Limits,
    SpendLimitReached,
    TextToVideo,
    models,
)
from kling_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from kling_async import Job

pytestmark = pytest.mark.asyncio

MASTER = "klingai/v2.1-master-text-to-video"
FAST = 100_000.0  # times the vendor's speed: a generation takes milliseconds


def five(text: str = "a fox") -> TextToVideo:
    """Five seconds of the default model: $1.40."""
    return TextToVideo(text, duration=5)


async def run(kling: KlingSession, count: int) -> list[Job]:
    jobs = [kling.submit(five(str(n)), key=f"row-{n}") for n in range(count)]
    await asyncio.gather(*(job.settled() for job in jobs))
    return jobs


async def test_money_spent_is_money_gone() -> None:
    async with Sandbox(speed=FAST, credits=1000) as sandbox, sandbox.session() as kling:
        assert (await kling.balance()).usd == 10
        jobs = await run(kling, 2)
        assert [job.result().usage.usd_spent for job in jobs] == [Decimal("1.4")] * 2
        assert [job.result().usage.credits_used for job in jobs] == [140, 140]
        detail = await kling.billing_detail()
        assert (detail.usd, detail.email, detail.user_id) == (Decimal("7.2"), "sandbox@example.com", "1")
        used = await kling.usage("1d")
        assert (used.usd, used.requests) == (Decimal("2.8"), 2)
        now = datetime.now(UTC)
        assert (await kling.usage(start=now - timedelta(days=9), end=now - timedelta(days=8))).requests == 0


async def test_the_vendors_refusals_come_as_errors() -> None:
    async with Sandbox(speed=FAST) as sandbox:
        async with sandbox.session() as kling:
            with pytest.raises(BadRequest, match="92 days"):
                await kling.usage("93d")
            with pytest.raises(BadRequest):
                await anext(kling.transactions(type="SIDEWAYS"))
        async with sandbox.session(api_key="wrong-key") as kling:
            with pytest.raises(AuthenticationError) as caught:
                await kling.balance()
            assert "wrong-key" not in f"{caught.value!r} {vars(caught.value)}"


async def test_the_log_and_the_ledger_are_read_over_several_pages() -> None:
    async with Sandbox(speed=FAST, sigma=0) as sandbox, sandbox.session() as kling:
        await run(kling, 130)
        rows = [row async for row in kling.logs("1d", models=[MASTER, "other"], statuses="succeeded")]
        assert sorted(row.key or "" for row in rows) == sorted(f"row-{n}" for n in range(130))
        assert {(row.model, row.status, row.usd) for row in rows} == {(MASTER, "succeeded", Decimal("1.4"))}
        assert [row async for row in kling.logs(statuses=["failed"])] == []
        entries = [entry async for entry in kling.transactions()]
        assert len({entry.reference_id for entry in entries}) == len(entries) == 130
        assert [entry async for entry in kling.transactions(direction="TOPUP")] == []


async def test_jobs_are_held_against_the_ledger() -> None:
    async with Sandbox(speed=FAST, faults=Faults(error_outcome={2})) as sandbox, sandbox.session() as kling:
        jobs = [kling.submit(five(str(n)), key=f"row-{n}") for n in range(3)]
        await asyncio.gather(*(job.settled() for job in jobs))
        costs = await kling.reconcile_costs(jobs[1:])
        by_state = {row.state: row for row in costs.rows}
        assert len(costs.rows) == 2
        for job in jobs[1:]:
            row = by_state[job.state]
            expected = Decimal("1.4") if job.state is JobState.COMPLETED else None
            assert (row.charged_usd, row.reported_usd, row.estimated_usd) == (expected, expected, Decimal("1.4"))
        assert costs.uncharged == ()
        assert len(costs.unexplained) == (jobs[0].state is JobState.COMPLETED)


async def test_models_metrics_and_prices_are_those_of_the_vendor() -> None:
    async with Sandbox(speed=FAST, sigma=0, other_models=["kling/next"]) as sandbox, sandbox.session() as kling:
        live = await kling.list_kling_models()
        assert len(live) == len(models()) + 1
        assert live.find("v2.1-master-text-to-video") is live.find(MASTER) is not None
        assert (await kling.list_models(ids=MASTER)).models[0].output_modalities == ("video",)
        changes = await kling.catalogue_changes()
        assert str(changes) == "new: kling/next"
        metrics = (await kling.metrics([MASTER])).find(MASTER)
        assert metrics is not None
        assert metrics.duration_ms is not None
        assert metrics.duration_ms.p50 == 220_000


async def test_what_is_estimated_is_what_is_charged() -> None:
    image = ImageToVideo("https://images.example/fox.png", prompt="it runs", duration=10)
    silent = TextToVideo("a", model="klingai/video-v2-6-pro-text-to-video", duration=5, generate_audio=False)
    async with Sandbox(speed=FAST) as sandbox, sandbox.session() as kling:
        requests = [five(), image, silent]
        cost = await kling.estimate(requests)
        videos = await asyncio.gather(*map(kling.submit, requests))
        assert [one.usd for one in cost.estimates] == [video.usage.usd_spent for video in videos]
        assert (cost.unknown, cost.at_least) == (0, cost.usd)


async def test_no_more_is_bought_than_may_be_spent_over_restarts(tmp_path: Path) -> None:
    limits = Limits(requests_per_second=200, max_spend_usd=3)
    async with Sandbox(speed=FAST) as sandbox:
        async with sandbox.session(journal=tmp_path / "batch.db", limits=limits) as kling:
            first = await run(kling, 1)
        async with sandbox.session(journal=tmp_path / "batch.db", limits=limits) as kling:
            jobs = await run(kling, 5)
        assert [job.key for job in jobs if job.state is JobState.COMPLETED] == ["row-0", "row-1"]
        assert all(isinstance(job.exception(), SpendLimitReached) for job in jobs[2:])
        assert (len(sandbox.ledger.submits), first[0].state) == (2, JobState.COMPLETED)
        async with sandbox.session(journal=tmp_path / "batch.db", limits=Limits(max_spend_usd=10)) as kling:
            await kling.drain()
            assert all(job.state is JobState.COMPLETED for job in await run(kling, 5))
        assert sum(charge.usd for charge in sandbox.ledger.charges) == 7


@pytest.mark.parametrize(
    "fault", [Faults(drop_after={1}), Faults(drop_after={1}, log_lag=60.0)], ids=["at once", "late"]
)
async def test_a_session_at_the_sandboxs_speed_finds_a_submit_whose_answer_was_lost(fault: Faults) -> None:
    async with Sandbox(speed=1000, faults=fault) as sandbox, sandbox.session() as kling:
        job = kling.submit(five(), deadline=14)  # at the vendor's own pace the log is first looked at after 15 s
        assert (await job).generation_id in sandbox.ledger.purchases
        assert len(sandbox.ledger.purchases) == 1
