"""A stretch of time to report on, as the vendor takes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kling_async.api.arguments import refused
from kling_async.api.moments import stamp

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["span"]

_PERIOD = re.compile(r"[1-9][0-9]{0,5}[hd]")


def span(period: str | None, start: datetime | None, end: datetime | None) -> dict[str, str]:
    """The query for a stretch of time: a period up to now, or from a start to an end ("API Key Usage").

    Raises:
        InvalidRequest: It is both or half of one, a period is not of the vendor's form, or the end is not after the
            start.
    """
    if start is None and end is None:
        wanted = period or "24h"
        if not _PERIOD.fullmatch(wanted):
            raise refused("period", period, "a whole number followed by h or d, such as '24h' or '7d'")
        return {"period": wanted}
    if period is not None:
        raise refused("period", period, "either a period, or start and end")
    if start is None or end is None:
        raise refused("start" if start is None else "end", None, "start and end together")
    if end.timestamp() <= start.timestamp():
        raise refused("end", end, "a moment after start")
    return {"start": stamp(start), "end": stamp(end)}
