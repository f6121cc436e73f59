"""What a submit or a poll asks of the scheduler once it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from kling_async.errors import AuthenticationError, JournalError, OutOfCredits, RateLimited

    Refusal = AuthenticationError | OutOfCredits | JournalError

__all__ = ["Halt", "Step", "Throttled"]


@frozen(eq=False)
class Throttled:
    """The vendor refused the request for asking too much; the job is as it was."""

    error: RateLimited


@frozen(eq=False)
class Halt:
    """Submits cannot go on, nor, under a bad key, can anything else."""

    error: Refusal


Step = float | Throttled | Halt | None
"""A number: take the job up again at this instant, to submit or to poll it, as its state says. None: it has settled."""
