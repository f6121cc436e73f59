"""The API as it is reached over HTTP: which path is served by whom, and what happens to every request on its way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import evolve, frozen

from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.sandbox import account, generations
from kling_async.sandbox import models as showcase
from kling_async.sandbox.exchange import Answer, DropConnection, ErrorResponse, Exchange, gateway_page, hang_up
from kling_async.sandbox.ledger import Poll, Submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.sandbox.faults import Kind
    from kling_async.sandbox.vendor import Vendor

__all__ = ["make_application"]

_LONGEST_BODY = 300 * 1024 * 1024  # files come inside of the JSON, a third longer than they are


def _unknown(_vendor: Vendor, exchange: Exchange) -> Answer:
    raise ErrorResponse(404, f"Cannot {exchange.request.method} {exchange.request.rel_url.path}")


@frozen
class _Endpoint:
    """Who serves a path."""

    method: str
    path: str
    serve: Callable[[Vendor, Exchange], Answer]
    kind: Kind = "account"
    needs_key: bool = True


_DESKS = (
    *(_Endpoint("POST", path, generations.submit, "submit") for path in (UNIVERSAL, LEGACY)),
    *(_Endpoint("GET", path, generations.poll, "poll") for path in (UNIVERSAL, LEGACY)),
    _Endpoint("GET", "/v2/logs", account.logs),
    _Endpoint("GET", "/v2/billing", account.billing),
    _Endpoint("GET", "/v2/billing/detail", account.billing_detail),
    _Endpoint("GET", "/v2/billing/transactions", account.transactions, "ledger"),
    _Endpoint("GET", "/v1/billing/balance", account.balance),
    _Endpoint("GET", "/v2/usage", account.usage),
    _Endpoint("GET", "/v1/models", showcase.price_list, needs_key=False),
    _Endpoint("GET", "/models/metrics", showcase.metrics, needs_key=False),
)
_NOWHERE = _Endpoint("*", "/{path:.*}", _unknown, needs_key=False)


def make_application(vendor: Vendor) -> web.Application:
    """The vendor's API and file host as one web application."""
    app = web.Application(client_max_size=_LONGEST_BODY)
    app.router.add_get("/files/{name}", vendor.files.answer)
    for desk in _DESKS:
        app.router.add_route(desk.method, vendor.settings.prefix + desk.path, _Route(vendor, desk).answer)
    app.router.add_route("*", _NOWHERE.path, _Route(vendor, _NOWHERE).answer)
    return app


class _Route:
    """Takes a path's requests: faults first, then the key and the limits, then the desk, then faults again."""

    def __init__(self, vendor: Vendor, desk: _Endpoint) -> None:
        self._vendor = vendor
        self._desk = desk

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, and record it."""
        vendor, desk = self._vendor, self._desk
        exchange = Exchange(request, desk.kind, desk.path, vendor.next_request_id(), vendor.clock())
        exchange.content = await request.read()
        try:
            answer = await self._answer(exchange)
        except DropConnection:
            self._record(exchange, None)
            return hang_up(request)
        self._record(exchange, answer.status)
        return answer.to_response({} if answer.is_gateways else exchange.tracing_headers())

    async def _answer(self, exchange: Exchange) -> Answer:
        lost = await self._vendor.before_handling(exchange.kind)
        if lost is not None:
            return lost
        try:
            self._admit(exchange)
            answer = self._desk.serve(self._vendor, exchange)
        except ErrorResponse as refusal:
            return refusal.to_answer(exchange, self._vendor.timestamp())
        return self._corrupt(exchange, answer)

    def _admit(self, exchange: Exchange) -> None:
        vendor, kind = self._vendor, exchange.kind
        if vendor.fires("server_error", kind):
            status = vendor.pick("server error", 500, 503)
            raise ErrorResponse(status, "Internal server error" if status == 500 else "Service unavailable")  # noqa: PLR2004 - HTTP's own
        if self._desk.needs_key:
            vendor.gate.check_key(exchange.request.headers.get("Authorization"))
        vendor.gate.admit_request(vendor.clock())
        if vendor.fires("rate_limited", kind):
            raise vendor.gate.too_many("Too Many Requests")
        if vendor.fires("forbidden", kind):
            raise ErrorResponse(403, "This key may not ask that")

    def _corrupt(self, exchange: Exchange, answer: Answer) -> Answer:
        """What can go wrong after the vendor has done its part; the client then knows nothing of it."""
        vendor, kind = self._vendor, exchange.kind
        if vendor.fires("drop_after", kind):
            raise DropConnection
        spoiled = answer
        if vendor.fires("gateway_error_after", kind):
            spoiled = gateway_page(vendor.pick("gateway", 502, 504))
        elif vendor.fires("truncated_json", kind):
            spoiled = evolve(answer, text=answer.text[: len(answer.text) // 2])
        elif vendor.fires("malformed_json", kind):
            spoiled = evolve(answer, text="<!-- cached -->\n" + answer.text)
        if spoiled is not answer:
            exchange.said, exchange.final = None, False
        return spoiled

    def _record(self, exchange: Exchange, status: int | None) -> None:
        ledger = self._vendor.ledger
        ledger.record_answer(exchange.kind, status)
        if exchange.kind == "submit":
            ledger.record_submit(_as_submit(exchange, status))
        elif exchange.kind == "poll" and exchange.purchase is not None:
            poll = Poll(at=self._vendor.clock(), status=status, said=exchange.said, final=exchange.final)
            ledger.record_poll(exchange.purchase.generation_id, poll)


def _as_submit(exchange: Exchange, status: int | None) -> Submit:
    return Submit(
        at=exchange.arrived_at,
        endpoint=exchange.path,
        headers=exchange.headers,
        content=exchange.content,
        body=_parsed(exchange.content),
        client_request_id=exchange.client_request_id,
        status=status,
        purchase=exchange.purchase,
    )


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
