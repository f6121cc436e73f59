"""What a submit or a poll asks of the scheduler once it is over."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from kling_async.errors import (
        AuthenticationError,
        GatewayError,
        JournalError,
        OutOfCredits,
        RateLimited,
        SpendLimitReached,
        StorageError,
    )

    Refusal = AuthenticationError | GatewayError | JournalError | OutOfCredits | SpendLimitReached | StorageError

__all__ = ["Go", "Halt", "Retry", "Step", "Throttled"]


class Go(Enum):
    """The vendor answered."""

    ON = "on"  # the job goes on, as its state asks


@frozen(eq=False)
class Retry:
    """Nothing was learned, and nothing bought: the job is to be tried again, not before this instant."""

    at: float


@frozen(eq=False)
class Throttled:
    """The vendor refused the request for asking too much; the job is as it was."""

    error: RateLimited


@frozen(eq=False)
class Halt:
    """Submits cannot go on, nor, under a bad key, can anything else."""

    error: Refusal


Step = Go | Retry | Throttled | Halt | None
"""None: the job has settled."""
