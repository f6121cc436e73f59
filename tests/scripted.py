"""A vendor in memory: a transport that answers by script, in virtual time, and logs what it was asked and when."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, evolve, field

from kling_async import HttpRequest, HttpResponse, KlingSession, Lane, Limits, Polling, TextToVideo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from kling_async import Transport

    Answer = HttpResponse | Exception | None


def answer(status: int, body: object, **headers: str) -> HttpResponse:
    """An answer in JSON; underscores in header names stand for dashes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def envelope(status: int, message: str, **headers: str) -> HttpResponse:
    """The vendor's own error envelope."""
    return answer(status, {"message": message, "statusCode": status, "requestId": "r-1", "path": "/"}, **headers)


def done(generation_id: str) -> HttpResponse:
    """A finished generation."""
    url = f"https://cdn.example/{generation_id}.mp4"
    return answer(200, {"id": generation_id, "status": "completed", "video": {"url": url, "file_size": 9}})


def running(generation_id: str, status: str = "generating") -> HttpResponse:
    """A generation that is not done yet."""
    return answer(200, {"id": generation_id, "status": status, "video": None})


@define
class ScriptedVendor:
    """Accepts what is submitted as g1, g2, … and completes it `takes` seconds later.

    Scripts answer instead: `on_submit(n)` the nth POST, `on_poll(id, n)` the nth GET about an id. They return an
    answer, an exception to raise, or None for the usual. `latency` is what every exchange takes, in seconds.
    """

    takes: float = 200.0
    latency: float = 0.0
    on_submit: Callable[[int], Answer] = lambda _: None
    on_poll: Callable[[str, int], Answer] = lambda _id, _n: None
    slow_poll: Callable[[str, int], float] = lambda _id, _n: 0.0
    log: list[tuple[float, str, str]] = field(factory=list)
    requests: list[HttpRequest] = field(factory=list)
    submits: int = 0
    polls: dict[str, int] = field(factory=dict)
    done_at: dict[str, float] = field(factory=dict)
    cancelled: int = 0
    on_logs: Callable[[int], Answer] = lambda _: None
    on_balance: Callable[[], HttpResponse] = lambda: answer(200, {"current_balance": 0, "currency": "USD"})
    rows: list[dict[str, Any]] = field(factory=list)  # the account's log, newest first
    models: list[dict[str, Any]] = field(factory=list)  # the live list
    on_metrics: Callable[[], Answer] | None = None  # what models take; None: a session is not to ask
    metrics: list[float] = field(factory=list)  # when it was asked for that
    looks: list[float] = field(factory=list)
    names: list[str] = field(factory=list)  # what each POST was sent under

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        try:
            if request.lane is Lane.SUBMIT:
                self.names.append(request.headers["X-Client-Request-Id"])
                return await self._submit()
            if request.target == "/v2/billing":
                return self.on_balance()
            if request.target.startswith("/v2/billing/transactions?"):
                return await self._read_ledger(request)
            if request.target.startswith("/models/metrics"):
                return self._measure()
            if request.target.startswith("/v1/models"):
                return answer(200, {"data": self.models})
            return await (self._look(request) if "/v2/logs?" in request.target else self._poll(request))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _submit(self) -> HttpResponse:
        now = asyncio.get_running_loop().time()
        self.submits += 1
        number = self.submits
        self.log.append((round(now, 6), "submit", str(number)))
        scripted = self.on_submit(number)
        await self._take(0.0)
        if scripted is None:
            generation_id = f"g{number}"
            self.done_at[generation_id] = asyncio.get_running_loop().time() + self.takes
            return answer(200, {"id": generation_id, "status": "queued"})
        return played(scripted)

    async def _poll(self, request: HttpRequest) -> HttpResponse:
        now = asyncio.get_running_loop().time()
        generation_id = parse_qs(urlsplit(request.target).query)["generation_id"][0]
        number = self.polls[generation_id] = self.polls.get(generation_id, 0) + 1
        self.log.append((round(now, 6), "poll", generation_id))
        scripted = self.on_poll(generation_id, number)
        await self._take(self.slow_poll(generation_id, number))
        if scripted is not None:
            return played(scripted)
        return done(generation_id) if now >= self.done_at.get(generation_id, 0.0) else running(generation_id)

    async def _look(self, request: HttpRequest) -> HttpResponse:
        query = parse_qs(urlsplit(request.target).query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        self.looks.append(round(asyncio.get_running_loop().time(), 6))
        scripted = self.on_logs(len(self.looks))
        await self._take(0.0)
        if scripted is not None:
            return played(scripted)
        has_more = offset + limit < len(self.rows)
        return answer(200, {"data": self.rows[offset : offset + limit], "pagination": {"has_more": has_more}})

    async def _read_ledger(self, _request: HttpRequest) -> HttpResponse:
        """Nobody is charged for anything."""
        return answer(200, {"data": [], "pagination": {"next_cursor": None, "has_more": False}})

    def _measure(self) -> HttpResponse:
        assert self.on_metrics is not None
        self.metrics.append(round(asyncio.get_running_loop().time(), 6))
        return played(self.on_metrics())

    async def _take(self, extra: float) -> None:
        if self.latency + extra:
            await asyncio.sleep(self.latency + extra)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[Any]:
        raise AssertionError(f"no file is expected: {request}")
        yield

    def polled(self, generation_id: str) -> list[float]:
        """When a generation was asked about."""
        return [at for at, what, which in self.log if what == "poll" and which == generation_id]


def played(scripted: Answer) -> HttpResponse:
    """What a script says, returned or raised."""
    if isinstance(scripted, Exception):
        raise scripted
    assert scripted is not None
    return scripted


def session(vendor: Transport, **settings: Any) -> KlingSession:
    """A session on a scripted vendor, seeded, with a rate that does not bind unless the test says so."""
    settings.setdefault("limits", Limits(requests_per_second=1000, burst=1000))
    settings.setdefault("rng", random.Random(1))
    if getattr(vendor, "on_metrics", None) is None and isinstance(
        polling := settings.get("polling", Polling()), Polling
    ):
        settings["polling"] = evolve(polling, metrics=False)
    return KlingSession(transport=vendor, **settings)


def prompt(text: str = "a raccoon", **fields: Any) -> TextToVideo:
    """A request like any other."""
    return TextToVideo(text, **fields)


def only_mine() -> bool:
    """Whether no task is alive but the one that asks."""
    return asyncio.all_tasks() == {asyncio.current_task()}


def promptly(vendor: ScriptedVendor | None = None, **settings: Any) -> KlingSession:
    """A session for real loops: its vendor finishes at once, and it asks within a millisecond."""
    settings.setdefault("polling", Polling.fixed(0.001, min_gap=0.001))
    return session(vendor or ScriptedVendor(takes=0.0), **settings)
