"""A vendor on raw sockets: it keeps books of what it sold, and breaks whatever a test tells it to break."""

from __future__ import annotations

import asyncio
import json
import math
import random
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, field
from loopback import Exchange, Loopback, loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    Act = Callable[["FaultVendor", Exchange], Awaitable[None]]

KEY = "sk-live-0123456789abcdef-do-not-show"
OTHER_KEY = "sk-next-fedcba9876543210-do-not-show"
FILM = random.Random(1).randbytes(300_000)
EVERY = 0
"""Stands for the number of every request that has no act of its own."""


@define
class Sale:
    """A POST that was accepted, and is charged for."""

    key: str
    name: str  # what it was sent under
    generation_id: str
    model: str
    at: float
    failed: bool = False
    hidden: bool = False  # from the log
    twins: list[str] = field(factory=list)  # other ids under which the log shows it, older ones


@define
class FaultVendor:
    """Sells a video for every POST, and has it done by the first poll.

    ``submits``, ``polls``, ``looks``, ``balances``, ``ledgers`` and ``files`` say what to do instead with the nth
    request of that kind, from 1.
    """

    submits: dict[int, Act] = field(factory=dict)
    polls: dict[int, Act] = field(factory=dict)
    looks: dict[int, Act] = field(factory=dict)
    balances: dict[int, Act] = field(factory=dict)
    ledgers: dict[int, Act] = field(factory=dict)
    files: dict[int, Act] = field(factory=dict)
    takes: float = 1  # polls until a video is done
    keys: set[str] = field(factory=lambda: {KEY})
    sales: list[Sale] = field(factory=list)
    counts: Counter[str] = field(factory=Counter)
    asked: Counter[str] = field(factory=Counter)  # polls by generation
    page: int = 100  # the most rows of a page of the log
    lag: int = 0  # looks before the log shows anything
    strangers: int = 0  # newer rows of other programs in the log
    extra: list[dict[str, Any]] = field(factory=list)  # older rows in the log
    models: list[dict[str, Any]] = field(factory=list)  # the live list
    film: bytes = FILM
    etag: str = '"first"'
    video: dict[str, Any] = field(factory=dict)  # replaces what is usual in "video"
    server: Loopback = field(init=False)
    _arrivals: dict[tuple[str, int], asyncio.Event] = field(factory=lambda: defaultdict(asyncio.Event))

    @asynccontextmanager
    async def open(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncGenerator[FaultVendor]:
        async with loopback(self._answer, tls=tls, port=port) as self.server:
            yield self

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def posts(self) -> list[Exchange]:
        return [exchange for exchange in self.server.requests if exchange.method == "POST"]

    def bought(self) -> dict[str, list[set[str]]]:
        """The POSTs accepted under each key, each as the ids it is known by."""
        sold: dict[str, list[set[str]]] = {}
        for sale in self.sales:
            sold.setdefault(sale.key, []).append({sale.generation_id, *sale.twins})
        return sold

    async def arrival(self, kind: str, number: int = 1) -> None:
        """Return once the nth request of this kind has come."""
        await self._arrivals[kind, number].wait()

    def sell(self, exchange: Exchange) -> Sale:
        name = exchange.headers["x-client-request-id"]
        model = json.loads(exchange.body)["model"]
        sale = Sale(name.rpartition(":")[0], name, f"g-{len(self.sales) + 1}", model, time.time())
        self.sales.append(sale)
        return sale

    async def _answer(self, exchange: Exchange) -> None:
        kind, acts, usual = self._route(exchange)
        self.counts[kind] += 1
        act = acts.get(self.counts[kind]) or acts.get(EVERY) or usual
        self._arrivals[kind, self.counts[kind]].set()
        if kind != "file" and exchange.headers.get("authorization") not in {f"Bearer {key}" for key in self.keys}:
            act = stated(401, "this key was revoked")
        await act(self, exchange)

    def _route(self, exchange: Exchange) -> tuple[str, dict[int, Act], Act]:
        if exchange.method == "POST":
            return "submit", self.submits, sells
        if exchange.target.startswith("/v2/logs?"):
            return "look", self.looks, shows_the_log
        if exchange.target.startswith("/v2/billing"):
            return self._route_billing(exchange)
        if "/models" in exchange.target.partition("?")[0]:
            return self._route_models(exchange)
        if exchange.target.startswith("/files/"):
            return "file", self.files, serves_the_film
        return "poll", self.polls, tells_how_far_it_is

    def _route_models(self, exchange: Exchange) -> tuple[str, dict[int, Act], Act]:
        if exchange.target.startswith("/models/metrics"):
            return "metrics", {}, stated(404, "no metrics here")
        return "models", {}, says(200, {"data": self.models})

    def _route_billing(self, exchange: Exchange) -> tuple[str, dict[int, Act], Act]:
        if exchange.target == "/v2/billing":
            return "balance", self.balances, has(0)
        return "ledger", self.ledgers, says(200, {"data": [], "pagination": {}})

    def rows(self) -> list[dict[str, Any]]:
        """The account's log, newest first."""
        others = [_row(f"stranger:{n}", f"s-{n}", "klingai/some-model", time.time()) for n in range(self.strangers)]
        ours = [
            _row(sale.name, generation_id, sale.model, sale.at, failed=sale.failed)
            for sale in self.sales[::-1]
            for generation_id in (sale.generation_id, *sale.twins)
            if not sale.hidden
        ]
        return [*others, *(ours if self.counts["look"] > self.lag else []), *self.extra]


def _row(name: str, generation_id: str, model: str, at: float, *, failed: bool = False) -> dict[str, Any]:
    return {
        "created": datetime.fromtimestamp(at, UTC).isoformat(),
        "status": "failed" if failed else "succeeded",
        "model": model,
        "inference_id": generation_id,
        "client_request_id": name,
    }


def asked_id(exchange: Exchange) -> str:
    return parse_qs(urlsplit(exchange.target).query)["generation_id"][0]


# What a vendor usually does


async def sells(vendor: FaultVendor, exchange: Exchange) -> None:
    sale = vendor.sell(exchange)
    await says(200, {"id": sale.generation_id, "status": "queued"})(vendor, exchange)


async def tells_how_far_it_is(vendor: FaultVendor, exchange: Exchange) -> None:
    generation_id = asked_id(exchange)
    vendor.asked[generation_id] += 1
    if not any(generation_id in {sale.generation_id, *sale.twins} for sale in vendor.sales):
        await stated(404, "unknown generation")(vendor, exchange)
    elif vendor.asked[generation_id] < vendor.takes:
        await says(200, {"id": generation_id, "status": "generating", "video": None})(vendor, exchange)
    else:
        await completes(vendor, exchange)


async def completes(vendor: FaultVendor, exchange: Exchange) -> None:
    generation_id = asked_id(exchange)
    video = {"url": f"{vendor.url}/files/{generation_id}.mp4?signature=1", "file_size": len(vendor.film)}
    body = {"id": generation_id, "status": "completed", "video": video | vendor.video}
    await says(200, body)(vendor, exchange)


async def shows_the_log(vendor: FaultVendor, exchange: Exchange) -> None:
    query = {name: values[0] for name, values in parse_qs(urlsplit(exchange.target).query).items()}
    offset, size = int(query["offset"]), min(int(query["limit"]), vendor.page)
    window = [row for row in vendor.rows() if query["start"] <= row["created"] <= query["end"]]
    more = {"limit": size, "offset": offset, "total": len(window), "has_more": offset + size < len(window)}
    await says(200, {"data": window[offset : offset + size], "pagination": more})(vendor, exchange)


async def serves_the_film(vendor: FaultVendor, exchange: Exchange) -> None:
    start = 0
    asked = exchange.headers.get("range", "")
    if asked and exchange.headers.get("if-range") == vendor.etag:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
    await film(start)(vendor, exchange)


# What a vendor can be told to do


def says(status: int, body: object, **headers: str) -> Act:
    """Answer with bytes as they are, or with anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def act(_: FaultVendor, exchange: Exchange) -> None:
        await exchange.answer(status, data, **headers)

    return act


def has(balance: float) -> Act:
    """What is left on the account."""
    return says(200, {"current_balance": balance, "currency": "USD"})


def stated(status: int, message: str, **headers: str) -> Act:
    """An error in the vendor's own envelope."""
    return says(status, {"message": message, "statusCode": status, "requestId": "r-1", "path": "/"}, **headers)


def page(status: int) -> Act:
    """An error as a gateway tells it."""
    return says(status, b"<html><h1>Bad gateway</h1></html>", content_type="text/html")


def sold(then: Act) -> Act:
    """Accept the POST, and then do this instead of saying so."""

    async def act(vendor: FaultVendor, exchange: Exchange) -> None:
        vendor.sell(exchange)
        await then(vendor, exchange)

    return act


async def resets(_: FaultVendor, exchange: Exchange) -> None:
    exchange.reset()


async def is_silent(_: FaultVendor, exchange: Exchange) -> None:
    await exchange.gone()
    exchange.close()


async def breaks_off(_: FaultVendor, exchange: Exchange) -> None:
    """Begin an answer, and reset the connection in the midst of it."""
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"id": "g')
    exchange.reset()


async def drips(_: FaultVendor, exchange: Exchange) -> None:
    """An answer that never stops coming, a byte at a time."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await exchange.send(b" ")
        await asyncio.sleep(0.01)  # below any limit on silence


def held(until: asyncio.Event, act: Act) -> Act:
    """Do this once the test says so."""

    async def later(vendor: FaultVendor, exchange: Exchange) -> None:
        await until.wait()
        await act(vendor, exchange)

    return later


def then_closes(act: Act) -> Act:
    """Do this, and then close the connection that was to be kept alive."""

    async def both(vendor: FaultVendor, exchange: Exchange) -> None:
        await act(vendor, exchange)
        exchange.close()

    return both


def film(start: int = 0, *, sent: int | None = None, stated_length: bool = True, **headers: str) -> Act:
    """The film from this byte on, of which so many bytes are sent before the connection closes."""

    async def act(vendor: FaultVendor, exchange: Exchange) -> None:
        rest = vendor.film[start:]
        length = str(len(rest)) if stated_length else ""
        fields = {"content_type": "video/mp4", "content_length": length, "etag": vendor.etag} | headers
        if start:
            fields["content_range"] = f"bytes {start}-{len(vendor.film) - 1}/{len(vendor.film)}"
        await exchange.answer(206 if start else 200, rest[:sent], **fields)
        if sent is not None or not stated_length:
            exchange.close()

    return act


FOR_EVER = math.inf
