"""The account's log of requests: how to ask for a page of it, and what a page says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from attrs import frozen

from kling_async.api.loose import is_object, text
from kling_async.api.messages import HttpRequest
from kling_async.api.moments import read_moment, stamp
from kling_async.api.pages import read_page

if TYPE_CHECKING:
    from datetime import datetime

    from kling_async.api.messages import HttpResponse

__all__ = ["PAGE", "LogPage", "LogRow", "logs_request", "read_logs"]

PAGE = 100
"""The most rows a page may have ("Request logs")."""


@frozen
class LogRow:
    """One request of the account's.

    Attributes:
        inference_id: The vendor's id of what it was for; of a submit, the generation id.
        client_request_id: What it was sent under.
        model: The model's id.
        succeeded: Whether it went well; None where the log does not say.
        created: When it was made; None where that is unreadable.
    """

    inference_id: str
    client_request_id: str
    model: str | None
    succeeded: bool | None
    created: datetime | None


@frozen(eq=False)
class LogPage:
    """Some rows, newest first, and whether there are more behind them."""

    rows: tuple[LogRow, ...]
    size: int  # rows in it, those left out included
    has_more: bool


def logs_request(start: datetime, end: datetime, offset: int) -> HttpRequest:
    """The GET for the rows of a window of time, from this offset on."""
    window = {"start": stamp(start), "end": stamp(end), "limit": PAGE, "offset": offset}
    return HttpRequest("GET", f"/v2/logs?{urlencode(window)}")


def read_logs(response: HttpResponse) -> LogPage:
    """What a page says; rows that were sent under no name, or are unreadable, are left out.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer is not a page.
    """
    rows, pagination = read_page(response, "log")
    read = tuple(row for row in map(_read_row, rows) if row is not None)
    return LogPage(read, len(rows), has_more=pagination.get("has_more") is True and bool(rows))


def _read_row(row: object) -> LogRow | None:
    if not is_object(row):
        return None
    inference_id, client_request_id = text(row.get("inference_id")), text(row.get("client_request_id"))
    if inference_id is None or client_request_id is None:
        return None
    status = text(row.get("status"))
    return LogRow(
        inference_id,
        client_request_id,
        model=text(row.get("model")),
        succeeded={"succeeded": True, "failed": False}.get(status or ""),
        created=read_moment(row.get("created")),
    )
