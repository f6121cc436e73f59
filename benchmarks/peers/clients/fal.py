"""fal.ai's client: ``subscribe``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]

_fal: Any = import_module("fal_client")
_module: Any = import_module("fal_client.client")


@asynccontextmanager
async def opened(url: str, **polling: Any) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:  # noqa: ANN401 - from JSON
    """Yield a client that polls with these settings."""
    _module.QUEUE_URL_FORMAT = f"{url}/"  # the host can be set from outside, but not that it is spoken to without TLS
    client = _fal.AsyncClient(key="key")

    async def generate(prompt: str) -> str:
        place = "fal-ai/kling-video/v2.1/master/text-to-video"
        return str((await client.subscribe(place, {"prompt": prompt}, **polling))["video"]["url"])

    yield generate
