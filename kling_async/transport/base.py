"""The interface between deciding and sending: two methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from kling_async.api.messages import HttpRequest, HttpResponse


class StreamedResponse(Protocol):
    """A response whose body is read piece by piece."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with lower-case names or a mapping that ignores case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes, in order, once.

        Raises:
            TransportError: The body broke off, or nothing came for ``Timeouts.file``.
        """
        ...


class Transport(Protocol):
    """Sends requests. Implement it to record, to script, or to send by other means than HTTP.

    Both methods raise ``TransportError`` and no other errors; a response with an error status is returned like any.
    """

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send once, and return the whole response. Cancelling it closes the connection."""
        ...

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send once, and give the response as it comes; leaving the context closes the connection."""
        ...
