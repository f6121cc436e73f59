"""What is added to aiohttp's requests and responses: which connection they use, and whether anything was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from kling_async.transport.failures import SpokeFirstError

if TYPE_CHECKING:
    from types import SimpleNamespace

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection


class Response(aiohttp.ClientResponse):
    """A response that still knows its connection after the last byte, when aiohttp has returned it to the pool."""

    used: ResponseHandler | None = None


class Request(aiohttp.ClientRequest):
    """A request that is not sent on a connection with unread bytes, which aiohttp would take for its response."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Send it; raise `SpokeFirstError`, upon which aiohttp takes another connection, if that has unread bytes."""
        protocol = conn.protocol
        if protocol is None or protocol.should_close:
            raise SpokeFirstError
        response = await super().send(conn)
        if isinstance(response, Response):
            response.used = protocol
        return response


def drop_connection(response: aiohttp.ClientResponse) -> None:
    """Close the connection that a response came over."""
    if isinstance(response, Response) and response.used is not None:
        response.used.close()


class Progress:
    """The progress of one request: whether any byte may have been sent."""

    __slots__ = ("sent",)

    def __init__(self, *, sent: bool) -> None:
        self.sent: bool = sent


FREE = Progress(sent=True)
"""The progress of what costs nothing: it need not be known whether it left."""


def sending_trace() -> aiohttp.TraceConfig:
    """Return a trace that marks a request as sent just before its first byte may leave."""
    trace = aiohttp.TraceConfig()

    async def mark(_session: object, context: SimpleNamespace, _sent: object) -> None:
        context.trace_request_ctx.sent = True

    trace.on_request_headers_sent.append(mark)
    return trace
