"""What the vendor publishes of durations is asked for once in a while, and nothing depends on it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from scripted import ScriptedVendor, answer, envelope, prompt, session
from virtual import virtual

from kling_async import HttpResponse, Polling, ServerError, models

AVATAR = "klingai/avatar-pro"
MASTER = "klingai/v2.1-master-text-to-video"


def published(seconds: float, model: str = MASTER) -> HttpResponse:
    spread = {name: 1000.0 * seconds * times for name, times in {"p50": 1.0, "p75": 1.1, "p90": 1.2}.items()}
    return answer(200, {"models": [{"alias": model, "metrics": {"duration_ms": spread}}]})


async def run(vendor: ScriptedVendor, *waits: float, **settings: Any) -> tuple[list[float], list[float]]:
    """Submit one generation after each wait; when metrics were asked for, and when the first was polled."""
    begun = asyncio.get_running_loop().time()
    async with session(vendor, **settings) as kling:
        jobs = []
        for number, wait in enumerate(waits):
            await asyncio.sleep(wait)
            jobs.append(kling.submit(prompt(f"take {number}", model=MASTER, duration=5)))
        await asyncio.gather(*jobs)
        assert kling.stats().calls == len(vendor.metrics)
    return vendor.metrics, [round(at - begun, 4) for at in vendor.polled("g1")]


def asks(vendor: ScriptedVendor) -> list[list[str]]:
    queries = [urlsplit(each.target) for each in vendor.requests if each.target.startswith("/models/metrics?")]
    return [parse_qs(each.query)["aliases"] for each in queries]


@virtual
async def test_it_is_asked_once_an_hour_when_a_generation_is_accepted() -> None:
    vendor = ScriptedVendor(on_metrics=lambda: published(220.0))
    looked, _ = await run(vendor, 10.0, 100.0, 4000.0, 100.0)
    assert looked == [10.0, 4110.0]


@virtual
async def test_one_request_is_about_every_model() -> None:
    vendor = ScriptedVendor(on_metrics=lambda: published(220.0))
    await run(vendor, 0.0)
    [names] = asks(vendor)
    assert names[0] == MASTER
    assert set(names) == {model.id for model in models()}


@virtual
async def test_polls_go_by_what_is_published_before_anything_was_seen() -> None:
    _, without = await run(ScriptedVendor(takes=270.0), 0.0)
    _, told = await run(ScriptedVendor(takes=270.0, on_metrics=lambda: published(264.0)), 0.0)
    before = [sum(200.0 < at < 240.0 for at in polls) for polls in (without, told)]
    assert before[1] < before[0]


REFUSALS = [
    envelope(401, "no"),
    envelope(404, "no such page"),
    envelope(429, "too many", Retry_After="60"),
    envelope(500, "broken"),
    answer(200, {}),
    answer(200, b"<html>"),
    answer(200, {"models": [{"alias": MASTER, "metrics": {"duration_ms": {"p50": "NaN"}}}]}),
    ServerError("gone", status=502),
    ValueError("a mistake in the transport"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
@virtual
async def test_no_answer_is_no_harm(refusal: HttpResponse | Exception, caplog: pytest.LogCaptureFixture) -> None:
    _, without = await run(ScriptedVendor(), 0.0, 4000.0)
    caplog.set_level(logging.INFO)
    looked, polls = await run(ScriptedVendor(on_metrics=lambda: refusal), 0.0, 4000.0)
    assert (len(looked), polls) == (2, without)
    assert not caplog.records


@pytest.mark.parametrize("polling", [Polling(metrics=False), Polling.fixed(20.0)])
@virtual
async def test_it_is_not_asked_where_nothing_is_learned_or_told_not_to(polling: Polling) -> None:
    looked, _ = await run(ScriptedVendor(on_metrics=lambda: published(220.0)), 0.0, polling=polling)
    assert looked == []
