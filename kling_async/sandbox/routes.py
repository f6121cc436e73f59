"""The table of endpoints, and the steps that every request passes: faults, key, limits, endpoint, faults, record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web
from attrs import evolve, frozen

from kling_async.api.protocol import LEGACY, SANDBOX_PATH, SANDBOX_SPEED, UNIVERSAL
from kling_async.sandbox import account, generations
from kling_async.sandbox.exchange import Answer, DropConnection, ErrorResponse, Exchange, gateway_page, hang_up
from kling_async.sandbox.ledger import Poll, Submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from kling_async.sandbox.faults import Kind
    from kling_async.sandbox.vendor import Vendor

_SERVER_ERRORS = ((500, "Internal server error"), (503, "Service unavailable"))
_LONGEST_BODY = 300 * 1024 * 1024  # files come inside of the JSON, a third longer than they are


def _unknown(_vendor: Vendor, exchange: Exchange) -> Answer:
    raise ErrorResponse(404, f"Cannot {exchange.request.method} {exchange.request.rel_url.path}")


@frozen
class _Endpoint:
    """A path, the function that serves it, and what it asks of a request."""

    method: str
    path: str
    serve: Callable[[Vendor, Exchange], Answer]
    kind: Kind = "account"
    needs_key: bool = True


_ENDPOINTS = (
    *(_Endpoint("POST", path, generations.submit, "submit") for path in (UNIVERSAL, LEGACY)),
    *(_Endpoint("GET", path, generations.poll, "poll") for path in (UNIVERSAL, LEGACY)),
    _Endpoint("GET", "/v2/logs", account.logs),
    _Endpoint("GET", "/v2/billing", account.billing),
    _Endpoint("GET", "/v2/billing/detail", account.billing_detail),
    _Endpoint("GET", "/v2/billing/transactions", account.transactions, "ledger"),
    _Endpoint("GET", "/v1/billing/balance", account.balance),
    _Endpoint("GET", "/v2/usage", account.usage),
    _Endpoint("GET", "/v1/models", account.price_list, needs_key=False),
    _Endpoint("GET", "/models/metrics", account.metrics, needs_key=False),
)
_UNKNOWN_PATH = _Endpoint("*", "/{path:.*}", _unknown, needs_key=False)


def make_application(vendor: Vendor) -> web.Application:
    """Build the web application of the API and the file host."""
    app = web.Application(client_max_size=_LONGEST_BODY)
    app.router.add_get("/files/{name}", vendor.files.answer)
    speed = {SANDBOX_SPEED: repr(float(vendor.settings.speed))}

    async def say_speed(_: web.Request) -> web.Response:
        return web.json_response({"sandbox": True}, headers=speed)

    app.router.add_get(vendor.settings.prefix + SANDBOX_PATH, say_speed)  # which no fault strikes and no limit counts
    for endpoint in _ENDPOINTS:
        app.router.add_route(endpoint.method, vendor.settings.prefix + endpoint.path, _Route(vendor, endpoint).answer)
    app.router.add_route("*", _UNKNOWN_PATH.path, _Route(vendor, _UNKNOWN_PATH).answer)
    return app


class _Route:
    """Handles a path's requests: faults first, then the key and the limits, then the endpoint, then faults again."""

    def __init__(self, vendor: Vendor, endpoint: _Endpoint) -> None:
        self._vendor = vendor
        self._endpoint = endpoint

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, and record it."""
        vendor, endpoint = self._vendor, self._endpoint
        exchange = Exchange(request, endpoint.kind, endpoint.path, vendor.next_request_id(), vendor.clock())
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
            answer = self._endpoint.serve(self._vendor, exchange)
        except ErrorResponse as refusal:
            return refusal.to_answer(exchange, self._vendor.timestamp())
        return self._corrupt(exchange, answer)

    def _admit(self, exchange: Exchange) -> None:
        vendor, kind = self._vendor, exchange.kind
        if vendor.fires("server_error", kind):
            raise ErrorResponse(*vendor.choose("server error", *_SERVER_ERRORS))
        if self._endpoint.needs_key:
            vendor.limits.check_key(exchange.request.headers.get("Authorization"))
        vendor.limits.admit_request(vendor.clock())
        if vendor.fires("rate_limited", kind):
            raise vendor.limits.too_many("Too Many Requests")
        if vendor.fires("forbidden", kind):
            raise ErrorResponse(403, "This key may not ask that")

    def _corrupt(self, exchange: Exchange, answer: Answer) -> Answer:
        """Apply the faults that strike after the vendor has acted; the client then knows nothing of the outcome."""
        vendor, kind = self._vendor, exchange.kind
        if vendor.fires("drop_after", kind):
            raise DropConnection
        corrupted = answer
        if vendor.fires("gateway_error_after", kind):
            corrupted = gateway_page(vendor.choose("gateway", 502, 504))
        elif vendor.fires("truncated_json", kind):
            corrupted = evolve(answer, text=answer.text[: len(answer.text) // 2])
        elif vendor.fires("malformed_json", kind):
            corrupted = evolve(answer, text="<!-- cached -->\n" + answer.text)
        if corrupted is not answer:
            exchange.generation_status, exchange.final = None, False
        return corrupted

    def _record(self, exchange: Exchange, status: int | None) -> None:
        ledger = self._vendor.ledger
        ledger.record_answer(exchange.kind, status, exchange.headers.get("user-agent", ""))
        if exchange.kind == "submit":
            ledger.record_submit(_as_submit(exchange, status))
        elif exchange.kind == "poll" and exchange.purchase is not None:
            poll = Poll(
                at=self._vendor.clock(),
                status=status,
                generation_status=exchange.generation_status,
                final=exchange.final,
            )
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
