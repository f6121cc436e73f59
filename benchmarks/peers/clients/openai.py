"""OpenAI's SDK: ``videos.create_and_poll``."""

from __future__ import annotations

import warnings
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]

_openai: Any = import_module("openai")


@asynccontextmanager
async def opened(
    url: str, *, settings: dict[str, Any], polling: dict[str, Any]
) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Yield a client with these settings, that polls with these."""
    warnings.simplefilter("ignore", DeprecationWarning)  # the service has ended; how its client waits is still telling
    async with _openai.AsyncOpenAI(api_key="key", base_url=f"{url}/v1", **settings) as client:

        async def generate(prompt: str) -> str:
            video = await client.videos.create_and_poll(model="sora-2", prompt=prompt, **polling)
            if video.status != "completed":
                raise RuntimeError(f"the video is {video.status}")
            return str(video.id)

        yield generate
