"""A stretch of time to report on, as the vendor takes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kling_async.api.arguments import check_moment, refused
from kling_async.api.moments import stamp

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["check_span", "span"]

_PERIOD = re.compile(r"[1-9][0-9]{0,5}[hd]")


def span(period: str | None, start: datetime | None, end: datetime | None) -> dict[str, str]:
    """The query for a stretch of time: a period up to now, or from a start to an end ("API Key Usage").

    Raises:
        InvalidRequest: It is both or half of one, a period is not of the vendor's form, or the end is not after the
            start.
    """
    if start is None and end is None:
        wanted = "24h" if period is None else period
        if not (isinstance(wanted, str) and _PERIOD.fullmatch(wanted)):
            raise refused("period", period, "a whole number followed by h or d, such as '24h' or '7d'")
        return {"period": wanted}
    if period is not None:
        raise refused("period", period, "either a period, or start and end")
    if start is None or end is None:
        raise refused("start" if start is None else "end", None, "start and end together")
    check_span(start, end)
    return {"start": stamp(start), "end": stamp(end)}


def check_span(start: datetime | None, end: datetime | None) -> None:
    """Two moments in their order, as far as they are given.

    Raises:
        InvalidRequest: One is none, or the end is not after the start.
    """
    check_moment("start", start)
    check_moment("end", end)
    if start is not None and end is not None and end.timestamp() <= start.timestamp():
        raise refused("end", end, "a moment after start")
