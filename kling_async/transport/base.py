"""The seam between deciding and sending: two methods, and how long each exchange may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from kling_async.pacing.validators import positive, seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from kling_async.api.messages import HttpRequest, HttpResponse

__all__ = ["StreamedResponse", "Timeouts", "Transport"]


@frozen(kw_only=True)
class Timeouts:
    """How long things may take. Every field takes seconds or a ``timedelta``.

    Attributes:
        connect: Making a connection, TLS included. 10 s: a host that has not answered by then is not there.
        submit: One POST, whole. 60 s: the vendor answers within a few seconds, and giving up early leaves the job
            uncertain, the most expensive outcome there is. One that carries files has 10 s more for each megabyte.
        call: One poll or account call, whole. 30 s.
        file: The longest silence while a file comes in. 30 s. A file as a whole has no limit.
        download: How long a file is tried again while nothing new of it comes. 600 s: hosts were seen to have a file
            minutes after its generation was said to be completed.
        submission: How long one job's submit is tried while nothing is bought, as with no connection. 900 s: outlasts a
            passing outage, and a wrong host name still surfaces.
        generation: How long a job is watched, from acceptance. 3600 s: four times the slowest published run.
        close: How long leaving a session lets POSTs in flight finish. 10 s: shorter than most supervisors' patience.
    """

    connect: float = field(default=10.0, converter=seconds, validator=positive)
    submit: float = field(default=60.0, converter=seconds, validator=positive)
    call: float = field(default=30.0, converter=seconds, validator=positive)
    file: float = field(default=30.0, converter=seconds, validator=positive)
    download: float = field(default=600.0, converter=seconds, validator=positive)
    submission: float = field(default=900.0, converter=seconds, validator=positive)
    generation: float = field(default=3600.0, converter=seconds, validator=positive)
    close: float = field(default=10.0, converter=seconds, validator=positive)


class StreamedResponse(Protocol):
    """An answer whose body is read piece by piece."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with lower-case names or a mapping that ignores case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes, in order, once.

        Raises:
            TransportError: The body broke off, or nothing came for ``Timeouts.file``.
        """
        ...


class Transport(Protocol):
    """What sends requests. Implement it to record, to script, or to send by other means.

    Both methods raise ``TransportError`` and nothing else of their own; an answer with an error status is an answer.
    """

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send once, and return the whole answer. Cancelling it closes the connection."""
        ...

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send once, and hand out the answer as it comes; leaving the context closes the connection."""
        ...
