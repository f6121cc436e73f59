"""When a generation is expected to be done, in the calendar's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["ExpectedCompletion"]


@frozen
class ExpectedCompletion:
    """When a generation will be done, by what earlier ones of its model and length took. Both are in UTC.

    Attributes:
        median: As likely before as after.
        p90: Nine in ten times before.
    """

    median: datetime
    p90: datetime
