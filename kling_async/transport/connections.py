"""aiohttp's requests and responses, which know their connection and whether anything was sent; its errors, translated.

The library's own errors hold nothing of aiohttp's and the system's that may be secret.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import aiohttp

from kling_async.errors import ConnectFailed, MalformedResponse, RequestTimeout, TransportError
from kling_async.transport.urls import unusable

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import SimpleNamespace

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection


CLIENT_ERRORS = (aiohttp.ClientError, OSError, ValueError)
"""What aiohttp raises where nothing is wrong with this program."""

PROXY_WANTS_LOGIN = 407


class SpokeFirstError(aiohttp.ServerDisconnectedError):
    """The connection had unread bytes. A subclass of aiohttp's reason to retry on another connection."""


def translated(error: Exception, place: str, *, sent: bool) -> TransportError:
    """Translate an error of aiohttp's or the system's; of its text, only parts that cannot hold a secret are kept."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError):
        if isinstance(error, aiohttp.ClientHttpProxyError) and error.status == PROXY_WANTS_LOGIN:
            return unusable(f"{place}: the proxy wants a user name and a password (407)")
        broke_off = isinstance(error.__cause__, ssl.SSLEOFError)  # during the handshake: TLS itself did not fail
        tls = isinstance(error, aiohttp.ClientSSLError) and not broke_off
        return ConnectFailed(f"{place}: no connection: {_connect_reason(error)}", tls=tls)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return RequestTimeout(f"{place}: no connection in time", sent=False)
    if isinstance(error, TimeoutError):
        return RequestTimeout(f"{place}: no answer in time", sent=sent)
    if isinstance(error, aiohttp.ClientResponseError):
        is_long = error.message.startswith(("Got more than", "Too many headers"))
        return MalformedResponse(
            f"{place}: {'the header of the answer is too long' if is_long else 'the answer is not HTTP'}"
        )
    return TransportError(f"{place}: {_describe(error)}", sent=sent)


def _connect_reason(error: aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {error.host} was refused: {error.certificate_error}"
    where = f"the proxy {error.host}:{error.port}: " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
    return f"{where}{error.os_error}"


def _describe(error: Exception) -> str:
    if isinstance(error, SpokeFirstError):
        return "the host answered before it was asked"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the host closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, OSError) and error.strerror:
        return f"the connection broke: {error.strerror}"
    return f"it cannot be sent ({type(error).__name__})"


class Response(aiohttp.ClientResponse):
    """A response that still knows its connection after the last byte, when aiohttp has returned it to the pool."""

    used: ResponseHandler | None = None

    def start(  # pyright: ignore[reportIncompatibleMethodOverride] - it returns the coroutine it is to have
        self, connection: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        """Keep the connection, and read the head."""
        self.used = connection.protocol
        return super().start(connection)


class Request(aiohttp.ClientRequest):
    """A request that is not sent on a connection with unread bytes, which aiohttp would take for its response."""

    def send(  # pyright: ignore[reportIncompatibleMethodOverride] - it returns the coroutine it is to have
        self, conn: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        """Send it; raise `SpokeFirstError`, upon which aiohttp takes another connection, if that has unread bytes."""
        protocol = conn.protocol
        if protocol is None or protocol.should_close:
            raise SpokeFirstError
        return super().send(conn)


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
