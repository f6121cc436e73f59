"""A vendor in memory that refuses what exceeds its limit."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote

from attrs import frozen

from kling_async import HttpRequest, HttpResponse, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from random import Random

    from benchmarks.limits.limiters import Limiter
    from kling_async import StreamedResponse

__all__ = ["LimitedVendor", "LoggedRequest"]

_TO_VENDOR: Final = (0.03, 0.05)  # seconds until a request is at the vendor
_TO_CLIENT: Final = (0.03, 0.2)  # seconds until its answer is back
_REFUSAL: Final = {"message": "Too Many Requests", "statusCode": 429, "requestId": "r", "path": "/"}


@frozen
class LoggedRequest:
    """One request: when it came to the vendor, and whether it was let in."""

    at: float
    passed: bool


class LimitedVendor:
    """Generations go by their numbers, in the order in which they begin.

    Attributes:
        log: Every request.
        delays: How late each end was noticed, in seconds, by its number.
    """

    def __init__(
        self, limiter: Limiter, steps: Sequence[tuple[float, float]], draw: Callable[[], float], rng: Random
    ) -> None:
        """``steps`` are from when on the limit is what; ``draw`` says how long each generation takes."""
        self.log: list[LoggedRequest] = []
        self.delays: dict[int, float] = {}
        self._ends: list[float] = []
        self._limiter = limiter
        self._steps = steps
        self._draw = draw
        self._rng = rng

    def begin(self) -> int:
        """One more begins now; its number."""
        self._ends.append(self._draw() + self._now())
        return len(self._ends) - 1

    async def submit(self) -> int | None:
        """Ask for one more; None if that is refused."""
        passed = await self._arrive()
        number = self.begin() if passed else None
        await asyncio.sleep(self._rng.uniform(*_TO_CLIENT))
        return number

    async def poll(self, number: int) -> bool | None:
        """Return whether it has ended; None if the poll is refused."""
        passed = await self._arrive()
        now = self._now()
        ended = now >= self._ends[number]
        if passed and ended:
            self.delays.setdefault(number, now - self._ends[number])
        await asyncio.sleep(self._rng.uniform(*_TO_CLIENT))
        return ended if passed else None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer the same request, for a session."""
        if request.lane is Lane.SUBMIT:
            number = await self.submit()
            return _refused() if number is None else _answer(200, {"id": f"g{number}", "status": "queued"})
        generation_id = unquote(request.target.partition("generation_id=")[2])
        ended = await self.poll(int(generation_id.partition(":")[0][1:]))
        if ended is None:
            return _refused()
        video = {"url": "https://cdn.example/v.mp4"} if ended else None
        return _answer(200, {"id": generation_id, "status": "completed" if ended else "generating", "video": video})

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[StreamedResponse]:
        """Refuse: there are no files here."""
        return _no_file(request)

    async def _arrive(self) -> bool:
        await asyncio.sleep(self._rng.uniform(*_TO_VENDOR))
        now = self._now()
        limit = next(limit for since, limit in reversed(self._steps) if since <= now)
        passed = self._limiter.admit(now, limit)
        self.log.append(LoggedRequest(now, passed))
        return passed

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _refused() -> HttpResponse:
    return _answer(429, _REFUSAL)


def _answer(status: int, body: object) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps(body).encode())


def _no_file(request: HttpRequest) -> NoReturn:
    raise NotImplementedError(f"no file is expected: {request.target}")
