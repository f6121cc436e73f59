"""AI/ML API's official SDK: ``videos.generate_with_polling``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]

_aimlapi: Any = import_module("aimlapi")


@asynccontextmanager
async def opened(
    url: str, *, settings: dict[str, Any], polling: dict[str, Any]
) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Yield a client with these settings, that polls with these."""
    async with _aimlapi.AsyncAIMLAPI(api_key="key", base_url=f"{url}/v1", **settings) as client:

        async def generate(prompt: str) -> str:
            model = "kling-video/v2.1/master/text-to-video"
            generation = await client.videos.generate_with_polling(model=model, prompt=prompt, **polling)
            return str(generation["video"]["url"])

        yield generate
