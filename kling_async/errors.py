"""The errors of this library, as one tree.

::

    KlingError
    ├── ConfigurationError         a session was given a setting that it cannot use
    ├── InvalidRequest             refused here, before anything was sent (also a ValueError)
    ├── TransportError             no usable answer came back            retryable
    │   ├── ConnectFailed          nothing was sent: refused, DNS, TLS   retryable, unless TLS said no
    │   ├── RequestTimeout         no answer in time                     retryable
    │   └── MalformedResponse      an answer that cannot be read         retryable
    ├── APIError                   the vendor answered with an error status
    │   ├── BadRequest             400, 422
    │   ├── AuthenticationError    401
    │   ├── OutOfCredits           403, and the account is out of credits or over a spending limit
    │   ├── PermissionDenied       403, for any other reason
    │   ├── NotFound               404
    │   ├── RateLimited            429                                   retryable
    │   ├── ServerError            5xx                                   retryable
    │   └── GatewayError           any other status that is not the vendor's own word: the address is wrong,
    │                              or a gateway answers      retryable, but not a proxy's 407
    ├── GenerationFailed           the vendor could not make the video
    ├── SpendLimitReached          the session's own limit on spending keeps a job from being submitted
    ├── DeadlineExceeded           this side stopped waiting (also a TimeoutError)
    ├── SubmissionUncertain        it is unknown whether a submit was accepted
    ├── JobAbandoned               the caller stopped watching the job
    ├── DownloadError              the file could not be fetched whole   retryable where it says so
    │   └── StorageError           no file can be written: no room, ...  retryable
    ├── JournalError               the job's state could not be recorded
    └── SessionClosed              the session ended before the job did

Whether an error is worth another try is its own ``retryable``, and is read from nowhere else.

An error that settles a job also says which job: ``key``, ``generation_id``, ``last_status`` and ``polls``. Every error
pickles, and none ever holds the API key.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class KlingError(Exception):
    """The root of every error this library raises.

    Attributes:
        message: The error in a sentence.
        key: The key of the job this settles, if it settles one.
        generation_id: The vendor's id of that job's generation, once known: enough to resume it anywhere.
        last_status: The last status the vendor gave for that generation.
        polls: The number of polls for it that were answered.
    """

    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message: str = message
        self.key: str | None = None
        self.generation_id: str | None = None
        self.last_status: str | None = None
        self.polls: int = 0

    def about(self, *, key: str, generation_id: str | None, last_status: str | None, polls: int) -> Self:
        """Say which job this settles; returns the error itself."""
        self.key = key
        self.generation_id = generation_id
        self.last_status = last_status
        self.polls = polls
        return self


_E = TypeVar("_E", bound=KlingError)


def copied(error: _E) -> _E:
    """Copy an error, for another job to settle with."""
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin


class ConfigurationError(KlingError):
    """A session was given a setting that it cannot use, such as no API key."""


class InvalidRequest(KlingError, ValueError):
    """A request was refused on this side, before anything was sent or spent.

    The message states every problem, ``problems`` has them one by one, and the attributes are those of the first.

    Attributes:
        field: The vendor's name of the offending field, dotted for nested ones.
        value: The value it had.
        allowed: The values that the field takes, in words.
    """

    __slots__ = ("_parts",)  # not among the attributes that a journal keeps

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        value: object = None,
        allowed: str = "",
        parts: Sequence[InvalidRequest] = (),
    ) -> None:
        super().__init__(message)
        self.field = field
        self.value = value
        self.allowed = allowed
        self._parts = tuple(parts)

    @property
    def problems(self) -> tuple[InvalidRequest, ...]:
        """Each problem by itself, in order; an error with one problem is its own."""
        return self._parts or (self,)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**vars(self), "_parts": self._parts}


class TransportError(KlingError):
    """No usable answer came back.

    Attributes:
        sent: False if none of the request has left this machine. A submit with ``sent=False`` bought nothing.
    """

    retryable = True

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class ConnectFailed(TransportError):
    """No connection was made, so nothing was sent: refused, unknown host, or TLS.

    Attributes:
        tls: True if TLS failed, as for a certificate that is refused; not worth another try.
    """

    def __init__(self, message: str, *, sent: bool = False, tls: bool = False) -> None:
        super().__init__(message, sent=sent)
        self.tls = tls
        self.retryable: bool = not tls


class RequestTimeout(TransportError):
    """No answer came in time; ``sent`` is False if the request never left."""


class MalformedResponse(TransportError):
    """An answer came that cannot be read: cut short, not JSON, too large, about something else.

    Attributes:
        status: Its HTTP status.
        excerpt: The beginning of its body.
    """

    def __init__(self, message: str, *, status: int = 0, excerpt: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.excerpt = excerpt


class APIError(KlingError):
    """The vendor answered with an error status.

    Attributes:
        status: The HTTP status.
        path: The path of the request, as the vendor states it.
        request_id: The vendor's id of the exchange, for its support.
        body: The answer as parsed JSON, or as text where it was not JSON; bounded in size.
        enveloped: True if it came in the vendor's own JSON envelope, rather than from a gateway.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        path: str | None = None,
        request_id: str | None = None,
        body: object = None,
        enveloped: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.path = path
        self.request_id = request_id
        self.body = body
        self.enveloped = enveloped


class BadRequest(APIError):
    """The vendor refused the request's content (400 or 422); ``body`` says which field, where the vendor did."""


class AuthenticationError(APIError):
    """The API key is missing, unknown or revoked (401)."""


class OutOfCredits(APIError):
    """The account has no credits left, or the key has reached its spending limit (403)."""


class PermissionDenied(APIError):
    """The account may not do this (403), for a reason other than credits."""


class NotFound(APIError):
    """The vendor knows no such generation, model or endpoint (404)."""


class RateLimited(APIError):
    """Too many requests, or too many generations at once (429).

    Attributes:
        retry_after: The wait that the vendor asked for, in seconds; None if it did not.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:  # noqa: ANN401 - APIError's own keywords, passed on
        super().__init__(message, **details)
        self.retry_after = retry_after


class ServerError(APIError):
    """The vendor, or a gateway in front of it, failed (5xx)."""

    retryable = True


class GatewayError(APIError):
    """Something other than the vendor's API answered: a gateway before it, or another server at a wrong address.

    It is no evidence of the vendor's: neither that a request was refused, nor that a key or an id is bad.

    Attributes:
        location: The target of its redirect, without query and credentials; None if it is none.
    """

    retryable = True

    def __init__(self, message: str, *, location: str | None = None, **details: Any) -> None:  # noqa: ANN401 - APIError's own keywords, passed on
        super().__init__(message, **details)
        self.location = location


class GenerationFailed(KlingError):
    """The vendor accepted the request but could not make the video.

    Attributes:
        reason: The vendor's error object as it came, whatever its shape.
        moderated: Whether it says that the content was refused, so that another try would be, too.
        charged: Whether the vendor says that it was charged all the same.
    """

    def __init__(self, message: str, *, reason: object = None, moderated: bool = False, charged: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.moderated = moderated
        self.charged = charged


class SpendLimitReached(KlingError):
    """Submitting the job could have passed ``Limits.max_spend_usd``; nothing was bought for it, and it stays queued.

    Attributes:
        limit_usd: The limit, in US dollars.
        committed_usd: The sum that is spent, or set aside for generations under way.
        price_usd: The most the job may cost; None if that is unknown, which refuses this job alone.
    """

    def __init__(
        self,
        message: str,
        *,
        limit_usd: Decimal = Decimal(0),
        committed_usd: Decimal = Decimal(0),
        price_usd: Decimal | None = None,
    ) -> None:
        super().__init__(message)
        self.limit_usd = limit_usd
        self.committed_usd = committed_usd
        self.price_usd = price_usd


class DeadlineExceeded(KlingError, TimeoutError):
    """This side stopped waiting. The generation may still finish: resume it by its id."""


class SubmissionUncertain(KlingError):
    """A submit was sent, and it is unknown whether it was accepted, so it is not sent again.

    Attributes:
        client_request_id: The ``X-Client-Request-Id`` it was sent under; the account's log shows it, if accepted.
    """

    def __init__(self, message: str, *, client_request_id: str | None = None) -> None:
        super().__init__(message)
        self.client_request_id = client_request_id


class JobAbandoned(KlingError):
    """The caller stopped watching this job. What was bought stays bought."""


class DownloadError(KlingError):
    """A file could not be fetched whole; nothing was left under its final name.

    Attributes:
        url: The URL it was fetched from, without its query, which may hold a signature.
    """

    def __init__(self, message: str, *, url: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.url = url
        if retryable is not None:
            self.retryable = retryable


class StorageError(DownloadError):
    """A file could not be written, nor could any other: the disk is full, over its quota, read-only or broken.

    Submits stop, since their videos could not be stored, and jobs that wait settle with this; they stay queued. Once
    a file has been written again, or after ``resume_submissions()``, submit them again under their keys.
    """

    retryable = True


class JournalError(KlingError):
    """A job's state could not be recorded, so nothing was bought for it."""


class SessionClosed(KlingError):
    """The session ended before the job did; ``key`` and ``generation_id`` say what to resume."""


_BY_STATUS: Mapping[int, type[APIError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    422: BadRequest,
    429: RateLimited,
}


def error_class(status: int) -> type[APIError]:
    """Return the class for an HTTP error status (any that is not 2xx) which the vendor itself has given."""
    return ServerError if status >= 500 else _BY_STATUS.get(status, APIError)  # noqa: PLR2004 - HTTP's own border
