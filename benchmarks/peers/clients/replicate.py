"""Replicate's client: ``run``, or a prediction that is made and then waited for."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["opened"]

_replicate: Any = import_module("replicate")
_httpx: Any = import_module("httpx")

_MODEL = "kwaivgi/kling-v2.1"


@asynccontextmanager
async def opened(
    url: str, *, interval: float | None = None, connections: int | None = None
) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Run the model; or with an interval, make a prediction without waiting and ask about it at that interval."""
    limits = _httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    pool = {} if connections is None else {"transport": _httpx.AsyncHTTPTransport(limits=limits)}
    client = _replicate.Client("key", base_url=url, **pool)

    async def run(prompt: str) -> str:
        # A file, which is its address if made into text; an address without TLS stays what it is.
        return str(await client.async_run(_MODEL, {"prompt": prompt}))

    async def wait(prompt: str) -> str:
        prediction = await client.models.predictions.async_create(_MODEL, {"prompt": prompt})
        await prediction.async_wait()
        return str(prediction.output)

    if interval is None:
        yield run
    else:
        client.poll_interval = interval
        yield wait
