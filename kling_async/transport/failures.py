"""Errors of aiohttp's and the system's, as the library's own: with nothing in them that may be secret."""

from __future__ import annotations

import ssl

import aiohttp

from kling_async.errors import ConnectFailed, MalformedResponse, RequestTimeout, TransportError
from kling_async.transport.urls import unusable

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
        return ConnectFailed(f"{place}: no connection: {_connect_reason(error)}", tls=_is_tls(error))
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


def _is_tls(error: Exception) -> bool:
    """Return whether TLS itself failed, other than by a connection that broke off during the handshake."""
    broke_off = isinstance(error.__cause__, ssl.SSLEOFError)
    return isinstance(error, aiohttp.ClientSSLError) and not broke_off


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
