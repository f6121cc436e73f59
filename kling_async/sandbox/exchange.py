"""One HTTP exchange, and the ways to answer it: an answer, an error in the vendor's envelope, a dropped connection."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import define, field, frozen

from kling_async.api.protocol import CLIENT_REQUEST_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kling_async.sandbox.faults import Kind
    from kling_async.sandbox.ledger import Purchase

# "Request tracing": anything else is silently dropped.
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

_REASONS = {502: "Bad Gateway", 504: "Gateway Time-out"}


@define(eq=False)
class Exchange:
    """A request on its way, and what is known of it so far.

    Attributes:
        request: The request.
        kind: Its kind.
        path: Its path, without the prefix.
        request_id: This sandbox's own id of the exchange.
        arrived_at: When it arrived.
        content: Its body.
        body: Its body as JSON; None if it is not JSON, or was not read yet.
        inference_id: The generation it is about, as the client named it or as it was made.
        purchase: That generation, if it exists.
        generation_status: The status in the answer.
        final: Whether the answer tells the generation's outcome.
    """

    request: web.Request
    kind: Kind
    path: str
    request_id: str
    arrived_at: float
    content: bytes = b""
    body: Any = None
    inference_id: str | None = None
    purchase: Purchase | None = None
    generation_status: str | None = None
    final: bool = False

    @property
    def client_request_id(self) -> str | None:
        """The ``X-Client-Request-Id``, or None if it is missing or invalid."""
        name = self.request.headers.get(CLIENT_REQUEST_ID, "")
        return name if _CLIENT_REQUEST_ID.fullmatch(name) else None

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case."""
        return {name.lower(): value for name, value in self.request.headers.items()}

    def tracing_headers(self) -> dict[str, str]:
        """Return the headers that the vendor adds to every answer ("Request tracing")."""
        # Absent only on a poll whose id is malformed, as was seen.
        inference_id = self.inference_id or (None if self.kind == "poll" else self.request_id)
        named = {"x-client-request-id": self.client_request_id, "x-inference-id": inference_id}
        return {"x-request-id": self.request_id} | {name: value for name, value in named.items() if value}


@frozen
class Answer:
    """An answer before the faults that corrupt it.

    Attributes:
        status: The HTTP status.
        text: The body.
        headers: Headers beyond those every answer has.
        content_type: The body's type.
    """

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(factory=dict[str, str])
    content_type: str = "application/json"

    @property
    def is_gateways(self) -> bool:
        """True for a gateway's answer, which has none of the vendor's headers."""
        return self.content_type == "text/html"

    @classmethod
    def json(cls, payload: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        """Return an answer of JSON."""
        return cls(status, json.dumps(payload), headers or {})

    def to_response(self, tracing: Mapping[str, str]) -> web.Response:
        """Return the response that aiohttp sends."""
        headers = {**tracing, **self.headers}
        if not self.text:
            return web.Response(status=self.status, headers=headers)
        return web.Response(status=self.status, text=self.text, headers=headers, content_type=self.content_type)


def gateway_page(status: int) -> Answer:
    """Return a gateway's own error in HTML, without the vendor's envelope."""
    title = f"{status} {_REASONS[status]}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return Answer(status, page, content_type="text/html")


@define(eq=False)
class ErrorResponse(Exception):
    """An error status in the vendor's envelope.

    Attributes:
        status: The HTTP status.
        message: The envelope's message.
        details: What the envelope holds beyond the usual.
        headers: Headers beyond those every answer has.
    """

    status: int
    message: str
    details: Mapping[str, Any] = field(kw_only=True, factory=dict[str, Any])
    headers: Mapping[str, str] = field(kw_only=True, factory=dict[str, str])

    def to_answer(self, exchange: Exchange, timestamp: str) -> Answer:
        """Return the envelope of "Errors and status codes"."""
        envelope = {
            "message": self.message,
            "path": exchange.request.rel_url.path,
            "requestId": exchange.request_id,
            "statusCode": self.status,
            "timestamp": timestamp,
            **self.details,
        }
        return Answer.json(envelope, status=self.status, headers=self.headers)


class DropConnection(Exception):
    """The connection is to be dropped without an answer."""


def hang_up(request: web.Request) -> web.Response:
    """Drop the request's connection; the response exists only because a handler must return one."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
