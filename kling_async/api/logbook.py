"""The account's log of requests, in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.loose import amount, first_id, is_object, text
from kling_async.api.messages import HttpRequest
from kling_async.api.moments import read_moment
from kling_async.api.money import dollars
from kling_async.api.pages import read_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse

__all__ = ["LogEntry", "LogbookPage", "logbook_request", "read_logbook"]

_PAGE = 100  # the most rows a page may have


@frozen
class LogEntry:
    """One request made with the session's key ("Usage Logs"). Rows appear late: a generation's, once it has ended.

    Attributes:
        created: When it was made.
        status: ``succeeded`` or ``failed``; a failed one costs nothing.
        origin: Where it came from, such as ``api``.
        model: The model's id.
        usd: What it was charged, in US dollars.
        credits: The same in the vendor's credits.
        tokens: How many tokens it took, input and output together; 0 for what is not billed by them.
        inference_id: The vendor's id of what it was for; of a submit, the generation id.
        request_id: The vendor's id of the exchange.
        client_request_id: What it was sent under.
        raw: The row as it came.
    """

    created: datetime | None
    status: str | None
    origin: str | None = None
    model: str | None = None
    usd: Decimal | None = None
    credits: float | None = None
    tokens: float | None = None
    inference_id: str | None = None
    request_id: str | None = None
    client_request_id: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def key(self) -> str | None:
        """The key of the job it was made for, if it was sent under a name as this library gives them."""
        return (self.client_request_id or "").rpartition(":")[0] or None


@frozen(eq=False)
class LogbookPage:
    """Some rows, newest first, and whether there are more behind them."""

    rows: tuple[LogEntry, ...]
    size: int  # rows in it, those included that are none
    has_more: bool


def logbook_request(
    stretch: Mapping[str, str],
    offset: int,
    *,
    models: Sequence[str] = (),
    statuses: Sequence[str] = (),
) -> HttpRequest:
    """The GET for a page. A filter of several values is a parameter for each: commas would not part them."""
    query = [*stretch.items(), *(("model", model) for model in models), *(("status", status) for status in statuses)]
    return HttpRequest("GET", f"/v2/logs?{urlencode([*query, ('limit', _PAGE), ('offset', offset)])}")


def read_logbook(response: HttpResponse) -> LogbookPage:
    """What a page says.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer is not a page.
    """
    rows, pagination = read_page(response, "log")
    has_more = pagination.get("has_more") is True and bool(rows)
    return LogbookPage(tuple(map(_read_row, filter(is_object, rows))), len(rows), has_more)


def _read_row(row: dict[str, Any]) -> LogEntry:
    cost, tokens = row.get("cost"), row.get("tokens")
    charged: Mapping[str, Any] = cost if is_object(cost) else {}
    return LogEntry(
        created=read_moment(row.get("created")),
        status=text(row.get("status")),
        origin=text(row.get("origin")),
        model=text(row.get("model")),
        usd=dollars(charged.get("usd")),
        credits=amount(charged.get("credits")),
        tokens=amount(tokens.get("total")) if is_object(tokens) else None,
        inference_id=first_id(row.get("inference_id")),
        request_id=first_id(row.get("request_id")),
        client_request_id=text(row.get("client_request_id")),
        raw=row,
    )
