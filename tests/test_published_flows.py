"""The five flows that the vendor's pages publish, over real HTTP, request and answer field by field.

The server here is written from the pages alone: it shares nothing with the package or its sandbox.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from attrs import define, field

from kling_async import LEGACY, UNIVERSAL, KlingSession, Polling, State, TextToVideo, Video

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio

FAST = Polling(scale=1e6, interval=0.001, min_gap=0.001)
FILE = {
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
async def served(page: Page) -> AsyncIterator[KlingSession]:
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
        duration="5",  # type: ignore[arg-type]  # as the page has it
        cfg_scale=0.9,
        endpoint=LEGACY,
    )
    async with served(page) as kling:
        job = kling.submit(request)
        video = await job
        assert (job.state, job.polls, job.last_status) == (State.COMPLETED, 5, "completed")
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
    assert (video.usage.credits_used, video.usage.usd_spent) == (2_940_000, 1.47)
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
