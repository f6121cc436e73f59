"""A plain client of the sandbox's HTTP, and a clock that moves only when told to."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from attrs import define, frozen
from yarl import URL

from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

__all__ = ["LEGACY", "MODEL", "UNIVERSAL", "Client", "Clock", "Reply", "visit"]

MODEL = "klingai/v2.1-master-text-to-video"
LONG_ENOUGH = 100_000.0


@define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def generation_id(self) -> str:
        generation_id: str = self.json.get("id") or self.json["generation_id"]
        return generation_id


@frozen
class Client:
    sandbox: Sandbox
    clock: Clock
    http: aiohttp.ClientSession

    async def call(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Reply:
        key = {"Authorization": f"Bearer {self.sandbox.api_key}"}
        url = URL(self.sandbox.url + target, encoded=True)
        async with self.http.request(method, url, headers=key | dict(headers or {}), **more) as response:
            return Reply(response.status, response.headers, await response.read())

    async def submit(
        self,
        prompt: str = "a raccoon",
        *,
        endpoint: str = UNIVERSAL,
        name: str | None = None,
        **body: Any,
    ) -> Reply:
        headers = {} if name is None else {"X-Client-Request-Id": name}
        return await self.call("POST", endpoint, headers=headers, json={"model": MODEL, "prompt": prompt, **body})

    async def poll(self, generation_id: str, *, endpoint: str = UNIVERSAL) -> Reply:
        return await self.call("GET", str(URL(endpoint).with_query(generation_id=generation_id)))

    async def file(self, url: str, *, method: str = "GET", **headers: str) -> Reply:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, URL(url, encoded=True), headers=names) as response:
            return Reply(response.status, response.headers, await response.read())

    async def finished(self, prompt: str = "a raccoon", **body: Any) -> Reply:
        """Submit, let its time pass, and poll once."""
        generation_id = (await self.submit(prompt, **body)).generation_id
        self.clock.now += LONG_ENOUGH
        return await self.poll(generation_id)

    async def video_url(self, prompt: str = "a raccoon") -> str:
        url: str = (await self.finished(prompt)).json["video"]["url"]
        return url


@asynccontextmanager
async def visit(**settings: Any) -> AsyncGenerator[Client]:
    clock = Clock()
    async with Sandbox(**dict[str, Any](clock=clock) | settings) as sandbox, aiohttp.ClientSession() as http:
        yield Client(sandbox, clock, http)
