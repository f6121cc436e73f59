"""What the vendor's pages publish, five flows and the account, over real HTTP, request and answer field by field.

The server here is written from the pages alone: it shares nothing with the package or its sandbox.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from attrs import define, field

from kling_async import LEGACY, UNIVERSAL, JobState, KlingSession, Polling, Request, TextToVideo, Video

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.asyncio

FAST = Polling.fixed(0.001, min_gap=0.001)
FILE: dict[str, Any] = {
    "url": "https://cdn.aimlapi.com/eagle/files/kangaroo/AMPXOkZZ_output.mp4?X-Sig=a%2Bb%3D&e=1",
    "content_type": "video/mp4",
    "file_name": "output.mp4",
    "file_size": 14_492_584,
}


@define
class Page:
    """What a page's sample run shows: where it posts, what that is answered with, and what each poll says."""

    path: str
    submitted: dict[str, Any]
    statuses: list[str]
    finished: dict[str, Any]
    accepts: int = 200
    posts: list[dict[str, Any]] = field(factory=list)
    asked: list[str] = field(factory=list)
    headers: list[dict[str, str]] = field(factory=list)

    async def post(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        self.posts.append(json.loads(await request.text()))
        return web.json_response(self.submitted, status=self.accepts)

    async def get(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        assert list(request.query) == ["generation_id"]
        self.asked.append(request.query["generation_id"])
        turn = len(self.asked) - 1
        if turn >= len(self.statuses):
            return web.json_response(self.finished)
        return web.json_response({"id": self.asked[-1], "status": self.statuses[turn], "video": None})


@asynccontextmanager
async def served(page: Page) -> AsyncGenerator[KlingSession]:
    """A session on a server that knows this one page."""
    app = web.Application()
    app.add_routes([web.post(page.path, page.post), web.get(page.path, page.get)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with KlingSession("a-key", base_url=f"http://{host}:{port}", polling=FAST) as kling:
            yield kling
    finally:
        await runner.cleanup()


def check_headers(page: Page) -> None:
    assert {headers["Authorization"] for headers in page.headers} == {"Bearer a-key"}
    assert page.headers[0]["Content-Type"] == "application/json"
    assert re.fullmatch(r"[A-Za-z0-9._:-]{1,128}", page.headers[0]["X-Client-Request-Id"])


async def test_v2_master_on_the_legacy_endpoint() -> None:
    name = "ce81dc29-8bab-4a4d-b1f5-0b1a2b3c4d5e:klingai/v2-master-text-to-video"
    page = Page(
        LEGACY,
        {"id": name, "status": "queued"},
        ["waiting", "active", "queued", "generating"],
        {"id": name, "status": "completed", "video": FILE},
        accepts=201,
    )
    request = TextToVideo(
        "A DJ on the stand is playing, around a World War II battlefield",
        model="klingai/v2-master-text-to-video",
        aspect_ratio="16:9",
        duration="5",  # as the page has it
        cfg_scale=0.9,
        endpoint=LEGACY,
    )
    async with served(page) as kling:
        job = kling.submit(request)
        video = await job
        assert (job.state, job.polls, job.last_status) == (JobState.COMPLETED, 5, "completed")
    assert page.posts == [
        {
            "model": "klingai/v2-master-text-to-video",
            "prompt": "A DJ on the stand is playing, around a World War II battlefield",
            "aspect_ratio": "16:9",
            "duration": 5,
            "cfg_scale": 0.9,
        }
    ]
    assert page.asked == [name] * 5
    assert video == Video(
        url=FILE["url"],
        content_type="video/mp4",
        file_name="output.mp4",
        file_size=14_492_584,
        generation_id=name,
    )
    check_headers(page)


async def test_v2_master_on_the_universal_endpoint() -> None:
    name = "69b6a4f0-2c63-4b6e-8f3c-0d5b6f1a7e21:klingai/v2-master-text-to-video"
    usage = {"usage": {"credits_used": 2_940_000, "usd_spent": 1.47}}
    page = Page(
        UNIVERSAL,
        {"id": name, "status": "queued", "meta": usage},
        ["queued", "generating"],
        {"id": name, "status": "completed", "video": FILE, "error": None, "meta": usage},
    )
    request = TextToVideo(
        "A cheerful white raccoon running through a sequoia forest",
        model="klingai/v2-master-text-to-video",
        aspect_ratio="16:9",
        duration=5,
        camera_control="down_back",
    )
    async with served(page) as kling:
        video = await kling.submit(request)
    assert page.posts == [
        {
            "model": "klingai/v2-master-text-to-video",
            "prompt": "A cheerful white raccoon running through a sequoia forest",
            "aspect_ratio": "16:9",
            "duration": 5,
            "camera_control": "down_back",
        }
    ]
    assert (video.url, video.file_size) == (FILE["url"], FILE["file_size"])
    assert (video.usage.credits_used, video.usage.usd_spent) == (2_940_000, Decimal("1.47"))
    check_headers(page)


async def test_v2_1_master_with_a_prompt_alone() -> None:
    name = "4d8fd6a0-cc9f-4c1a-9f0e-6a5f2e7b8c9d:klingai/v2.1-master-text-to-video"
    page = Page(
        UNIVERSAL,
        {"generation_id": name, "status": "queued"},
        ["queued", "generating", "generating"],
        {"id": name, "status": "completed", "video": {"url": FILE["url"]}},
    )
    async with served(page) as kling:
        video = await kling.submit(TextToVideo("A cheerful white raccoon", model="klingai/v2.1-master-text-to-video"))
    assert page.posts == [{"model": "klingai/v2.1-master-text-to-video", "prompt": "A cheerful white raccoon"}]
    assert video == Video(url=FILE["url"], generation_id=name)
    check_headers(page)


async def test_v1_pro_text_to_video() -> None:
    name = "V1StGXR8_Z5jdHi6B-myT"
    page = Page(
        UNIVERSAL,
        {"id": name, "status": "queued"},
        ["queued", "generating"],
        {"id": name, "status": "completed", "video": FILE},
    )
    request = TextToVideo(
        "A menacing evil dragon appears in the distance above the tallest mountain",
        model="kling-video/v1/pro/text-to-video",
        duration=5,
        negative_prompt="blur, distort, and low quality",
        cfg_scale=0.5,
    )
    async with served(page) as kling:
        video = await kling.submit(request)
    assert page.posts == [
        {
            "model": "kling-video/v1/pro/text-to-video",
            "prompt": "A menacing evil dragon appears in the distance above the tallest mountain",
            "duration": 5,
            "negative_prompt": "blur, distort, and low quality",
            "cfg_scale": 0.5,
        }
    ]
    assert video == Video(**FILE, generation_id=name)
    check_headers(page)


async def test_v1_6_standard_text_to_video() -> None:
    name = "-KLmN0pQ_rStUvWxYz123"
    page = Page(
        LEGACY,
        {"id": name, "status": "queued"},
        ["waiting", "generating"],
        {"id": name, "status": "completed", "video": FILE},
        accepts=201,
    )
    request = TextToVideo(
        "Mona Lisa puts on glasses with her hands",
        model="kling-video/v1.6/standard/text-to-video",
        duration=10,
        aspect_ratio="9:16",
        negative_prompt="blur, distort, and low quality",
        cfg_scale=0.5,
        endpoint=LEGACY,
    )
    async with served(page) as kling:
        video = await kling.submit(request)
    assert page.posts == [
        {
            "model": "kling-video/v1.6/standard/text-to-video",
            "prompt": "Mona Lisa puts on glasses with her hands",
            "duration": 10,
            "aspect_ratio": "9:16",
            "negative_prompt": "blur, distort, and low quality",
            "cfg_scale": 0.5,
        }
    ]
    assert page.asked == [name] * 3
    assert video == Video(**FILE, generation_id=name)
    check_headers(page)


# The account's pages. What they publish, with their own figures.

MODEL = {
    "id": "openai/gpt-4o",
    "info": {"name": "GPT-4o", "developer": "Open AI", "contextLength": 128000},
    "type": "openai/chat-completions",
    "aliases": ["gpt-4o"],
    "tags": ["playground:chat", "tier:tier_2"],
    "pricing": {
        "kind": "fixed",
        "currency": "USD",
        "units": [{"name": "token", "measure": "output", "price": 3.25, "per": 1000000}],
    },
}
BY_RESOLUTION = {
    "id": "klingai/of-two-prices",
    "info": {"name": "Of two prices", "developer": "Kling AI"},
    "type": "internal/video-generations/submit",
    "aliases": ["of-two-prices"],
    "tags": ["playground:video"],
    "pricing": {
        "kind": "variants",
        "dimensions": ["resolution"],
        "variants": [
            {"when": {"resolution": "720p"}, "price": 0.39, "unit": "second", "per": 1},
            {"when": {"resolution": "1080p"}, "price": 0.65, "unit": "second", "per": 1},
        ],
    },
}
ETAG = 'W/"1440a0-uH6NONsG/9An5njw3kqMcYY5k8w"'
CURSOR = "eyJ2IjoxLCJjIjoiMjAyNi0wOC0xN1QxMDowMDowMC4wMDBaIn0="
CHARGE = {
    "created_at": "2026-08-17T10:00:00.000Z",
    "direction": "CHARGE",
    "type": "MODEL_USAGE",
    "amount": {"usd": 1.56, "credits": 3120000},
    "model": "openai/gpt-5",
    "reference_id": "V1StGXR8Z5jdHi6BmyT8k",
}
TOP_UP = {
    "created_at": "2026-08-16T10:00:00.000Z",
    "direction": "TOPUP",
    "type": "BONUS",
    "amount": {"usd": 5, "credits": 10000000},
    "model": None,
    "reference_id": None,
}
LOGGED = {
    "created": "2026-07-02T03:04:05.000Z",
    "status": "succeeded",
    "origin": "api",
    "model": "openai/gpt-5",
    "cost": {"usd": 0.25, "credits": 500000},
    "tokens": {"input": 10, "output": 20, "total": 30},
    "request_id": "req-1",
    "inference_id": "inf-1",
    "client_request_id": "customer-42",
}


PAGES = {
    "/v2/billing": {"current_balance": 123.45, "currency": "USD"},
    "/v2/billing/detail": {
        "user_id": 111,
        "email": "user@example.com",
        "current_balance": 100.5,
        "currency": "USD",
        "autotopup_settings": {"is_enabled": True, "threshold": 50, "amount": 100, "currency": "USD"},
    },
    "/v2/usage": {
        "api_key_prefix": None,
        "start": "2026-07-26T22:15:00.000Z",
        "end": "2026-07-27T22:15:00.000Z",
        "spend": 13.704199,
        "currency": "USD",
        "requests": 9643,
    },
    "/models/metrics": {
        "window_seconds": 300,
        "generated_at": "2026-08-19T12:00:05.000Z",
        "models": [
            {
                "alias": "openai/gpt-5",
                "endpoint": "/v1/chat/completions",
                "metrics": {"duration_ms": {"p50": 1830, "p75": 2450, "p90": 3900, "p99": 9100}},
            }
        ],
    },
    "/v1/models": {"object": "list", "data": [MODEL, BY_RESOLUTION]},
}


@define
class AccountPages:
    """Answers as the pages about the account have it, and keeps what it was asked."""

    asked: list[tuple[str, list[tuple[str, str]]]] = field(factory=list)

    async def get(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, list(request.query.items())))
        if request.path in ("/v2/logs", "/v2/usage", "/v2/billing", "/v2/billing/detail", "/v2/billing/transactions"):
            assert request.headers["Authorization"] == "Bearer a-key"
        if request.path == "/v1/models" and request.headers.get("If-None-Match") == ETAG:
            return web.Response(status=304, headers={"ETag": ETAG})
        headers = {"ETag": ETAG} if request.path == "/v1/models" else {}
        return web.json_response(self._page(request), headers=headers)

    def _page(self, request: web.Request) -> object:
        query = request.query
        if request.path == "/v2/billing/transactions":
            assert query.get("cursor", CURSOR) == CURSOR
            is_last = "cursor" in query
            cursor = {"next_cursor": None if is_last else CURSOR, "has_more": not is_last}
            return {"data": [TOP_UP if is_last else CHARGE], "pagination": cursor}
        if request.path == "/v2/logs":
            offset = int(query["offset"])
            pagination = {"limit": 100, "offset": offset, "total": 2, "has_more": offset == 0}
            return {"data": [LOGGED], "pagination": pagination}
        return PAGES[request.path]


@asynccontextmanager
async def account() -> AsyncGenerator[tuple[AccountPages, KlingSession]]:
    pages = AccountPages()
    app = web.Application()
    app.add_routes([web.get("/{path:.*}", pages.get)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with KlingSession("a-key", base_url=f"http://{host}:{port}") as kling:
            yield pages, kling
    finally:
        await runner.cleanup()


async def test_account_balance() -> None:
    async with account() as (pages, kling):
        assert str((await kling.balance()).usd) == "123.45"
        detail = await kling.billing_detail()
        assert (str(detail.usd), detail.user_id, detail.email) == ("100.5", "111", "user@example.com")
        assert detail.auto_top_up is not None
        assert (detail.auto_top_up.is_enabled, detail.auto_top_up.threshold_usd) == (True, Decimal(50))
        entries = [entry async for entry in kling.transactions(start=datetime(2026, 8, 1, tzinfo=UTC))]
    assert [(entry.direction, str(entry.usd), entry.credits, entry.reference_id) for entry in entries] == [
        ("CHARGE", "1.56", 3_120_000, "V1StGXR8Z5jdHi6BmyT8k"),
        ("TOPUP", "5", 10_000_000, None),
    ]
    since = ("from", "2026-08-01T00:00:00.000Z")
    assert [query for path, query in pages.asked if path == "/v2/billing/transactions"] == [
        [since, ("limit", "100")],
        [since, ("limit", "100"), ("cursor", CURSOR)],
    ]


async def test_usage_logs_and_key_usage() -> None:
    async with account() as (pages, kling):
        used = await kling.usage("24h")
        assert (str(used.usd), used.requests) == ("13.704199", 9643)
        (row,) = [row async for row in kling.logs("7d", models=["a", "b"], statuses=["succeeded", "failed"])]
    assert (row.status, str(row.usd), row.tokens, row.inference_id) == ("succeeded", "0.25", 30, "inf-1")
    assert (row.client_request_id, row.key) == ("customer-42", None)
    filters = [("model", "a"), ("model", "b"), ("status", "succeeded"), ("status", "failed")]
    assert pages.asked == [
        ("/v2/usage", [("period", "24h")]),
        ("/v2/logs", [("period", "7d"), *filters, ("limit", "100"), ("offset", "0")]),
        ("/v2/logs", [("period", "7d"), *filters, ("limit", "100"), ("offset", "1")]),
    ]


async def test_model_performance_metrics() -> None:
    async with account() as (pages, kling):
        metrics = await kling.metrics(["openai/gpt-5", "google/veo-3"])
    assert (metrics.window_seconds, metrics.generated_at) == (300, datetime(2026, 8, 19, 12, 0, 5, tzinfo=UTC))
    assert metrics.models[0].duration_ms is not None
    assert metrics.models[0].duration_ms.p99 == 9100
    assert pages.asked == [("/models/metrics", [("aliases", "openai/gpt-5"), ("aliases", "google/veo-3")])]


async def test_complete_model_list() -> None:
    async with account() as (pages, kling):
        listing = await kling.list_models(include="pricing")
        assert await kling.list_models(include="pricing") is listing
        assert [model.id for model in await kling.list_kling_models()] == ["klingai/of-two-prices"]
        request = Request(model="of-two-prices", extra={"prompt": "a fox", "duration": 5, "resolution": "1080p"})
        assert str(await kling.estimate(request)) == "$3.25 for 1 request"
        either = Request(model="of-two-prices", extra={"prompt": "a fox", "duration": 5})
        assert str(await kling.estimate([either])) == "$1.95 to $3.25 for 1 request"
    chat = listing.find("gpt-4o")
    assert chat is not None
    assert chat.pricing is not None
    assert (str(chat.pricing.rates[0].price), str(chat.pricing.rates[0].per)) == ("3.25", "1000000")
    assert [path for path, _ in pages.asked] == ["/v1/models"] * 3
