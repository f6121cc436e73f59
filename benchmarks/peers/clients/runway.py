"""Runway's SDK: ``text_to_video.create`` and ``wait_for_task_output``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]

_runwayml: Any = import_module("runwayml")


@asynccontextmanager
async def opened(
    url: str, *, settings: dict[str, Any], waiting: dict[str, Any]
) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Yield a client with these settings, that waits with these."""
    async with _runwayml.AsyncRunwayML(api_key="key", base_url=url, **settings) as client:

        async def generate(prompt: str) -> str:
            asked = {"model": "veo3.1", "prompt_text": prompt, "ratio": "1280:720"}
            task = await client.text_to_video.create(**asked)
            return str((await task.wait_for_task_output(**waiting)).output[0])

        yield generate
