"""What is written by hand: a task a job, around one aiohttp session with its defaults."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession  # noqa: TID251 - one of those compared

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]

_PATH = "/v2/video/generations"
_BASE, _CAP = 1.0, 30.0  # seconds: the first backoff at most, and every backoff at most


@asynccontextmanager
async def opened(url: str, *, interval: float | None, retry: bool) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Ask at this interval, or if there is none with full-jitter backoff; if asked to, try again whatever failed."""
    async with ClientSession(url, headers={"Authorization": "Bearer key"}, raise_for_status=True) as http:

        async def call(method: str, **arguments: Any) -> Any:  # noqa: ANN401 - passed on, and JSON
            attempt = 0
            while True:
                try:
                    async with http.request(method, _PATH, **arguments) as answer:
                        return await answer.json()
                except ClientError:
                    if not retry:
                        raise
                await asyncio.sleep(_full_jitter(attempt))
                attempt += 1

        async def generate(prompt: str) -> str:
            generation = await call("POST", json={"model": "kling-video/v2.1/master/text-to-video", "prompt": prompt})
            polls = 0
            while generation["status"] not in ("completed", "error"):
                await asyncio.sleep(_full_jitter(polls) if interval is None else interval)
                generation = await call("GET", params={"generation_id": generation["id"]})
                polls += 1
            return str(generation["video"]["url"])

        yield generate


def _full_jitter(attempt: int) -> float:
    return random.uniform(0.0, min(_CAP, _BASE * 2 ** min(attempt, 10)))  # noqa: S311 - jitter is no secret
