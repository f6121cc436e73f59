"""What a request asks of the session once it is answered, and the halt of submits."""

from __future__ import annotations

from enum import Enum
from typing import TypeGuard

from attrs import frozen

from kling_async.errors import (
    AuthenticationError,
    GatewayError,
    JournalError,
    OutOfCredits,
    RateLimited,
    SpendLimitReached,
    StorageError,
)
from kling_async.journal.base import JobState

_PROXY_WANTS_LOGIN = 407

Halt = AuthenticationError | GatewayError | JournalError | OutOfCredits | SpendLimitReached | StorageError
"""An error that halts submits."""


class Requeue(Enum):
    """The vendor answered; the job waits for its next request."""

    ON = "on"


ON = Requeue.ON  # looked up at every poll: a member of its Enum takes five times as long


@frozen(eq=False)
class RetryAt:
    """The request failed without an outcome: it is tried again, at this instant or later."""

    at: float


@frozen(eq=False)
class RateLimitHit:
    """The vendor refused the request because of a rate limit (429); the job is as it was."""

    error: RateLimited


@frozen(eq=False)
class HaltSubmits:
    """Submits cannot go on; under a bad key, or without a proxy's login, nor can any other request."""

    error: Halt


RequestResult = Requeue | RetryAt | RateLimitHit | HaltSubmits | None
"""None: nothing is left to do, as the job has settled or is in the queue."""


def stops_all(error: object) -> TypeGuard[AuthenticationError | GatewayError]:
    """Return whether no request can pass: under a bad key, or by a proxy that wants a login (407)."""
    return isinstance(error, AuthenticationError) or (
        isinstance(error, GatewayError) and error.status == _PROXY_WANTS_LOGIN
    )


def halted_states(error: Halt) -> tuple[JobState, ...]:
    """Return the states of the jobs that this error stops; those being submitted are handled with their answers."""
    if stops_all(error):
        return (JobState.QUEUED, JobState.PENDING, JobState.UNCERTAIN)
    return (JobState.QUEUED,)
