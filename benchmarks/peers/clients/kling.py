"""This library."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kling_async import KlingSession, Polling, TextToVideo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]


@asynccontextmanager
async def opened(
    url: str, *, model: str, polling: dict[str, Any] | None = None
) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Yield a session with its defaults, but for these settings of ``Polling``."""
    rng = random.Random(random.random())  # noqa: S311 - a seeded one, so that a run can be repeated
    async with KlingSession("key", base_url=url, polling=Polling(**(polling or {})), rng=rng) as kling:

        async def generate(prompt: str) -> str:
            return (await kling.submit(TextToVideo(prompt, model=model))).url

        yield generate
