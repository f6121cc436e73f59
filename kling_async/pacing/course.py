"""One generation on its way, as far as polls have told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from kling_async.pacing.table import Table

__all__ = ["Course"]


@define(eq=False, weakref_slot=False)
class Course:
    """One generation, as far as polls have told. Instants are the loop's, in seconds.

    Attributes:
        waiting: What is known of how long its kind waits.
        working: What is known of how long its kind then takes.
        since: When its present phase began, as far as is known.
        seen: When it was last found running; its acceptance before that.
        latest: When it is to be asked about at the latest, as its time is up then.
        polls: How many polls have found it running.
        queued: Whether it was waiting then.
        swing: Where within its jitter its present sleep lies, from -1 to 1; the first sleep has none.
        held: When to ask whatever the cadence says, as after an error; None otherwise.
        ticket: Which entry on the rota is its, None if none is. The rota's own, as is ``ripe``.
        ripe: Whether it is worth a poll if there is one to spare.
    """

    waiting: Table
    working: Table
    since: float
    seen: float
    latest: float = math.inf
    polls: int = 0
    queued: bool = False
    swing: float = 0.0
    held: float | None = None
    ticket: int | None = None
    ripe: bool = False
