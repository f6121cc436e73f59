"""The account's log of requests: its pages, and whether those that were read leave nothing out."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import define, field, frozen

from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import amount, dollars, is_object, part, read_id, read_moment, text
from kling_async.api.protocol import CLIENT_REQUEST_ID, PAGE, read_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse


@frozen
class LogEntry:
    """One request made with the session's key ("Usage Logs"). Rows appear late: a generation's, once it has ended.

    Attributes:
        created: The time it was made.
        status: ``succeeded`` or ``failed``; a failed one costs nothing.
        origin: Its origin, such as ``api``.
        model: The model's id.
        usd: Its charge, in US dollars.
        credits: The same in the vendor's credits.
        tokens: The number of tokens, input and output together; 0 for models that are not billed by them.
        inference_id: The vendor's id of its result; of a submit, the generation id.
        request_id: The vendor's id of the exchange.
        client_request_id: The ``X-Client-Request-Id`` it was sent under.
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

    @property
    def identity(self) -> tuple[object, ...]:
        """The values that tell it from other rows, as far as rows can be told apart."""
        return (self.inference_id, self.request_id, self.client_request_id, self.created, self.status)


@frozen(eq=False)
class LogRows:
    """A page of the log, newest first, as it was read.

    Attributes:
        rows: The rows.
        size: The number of entries, those included that are no rows.
        has_more: True if there are further pages.
        sound: True if every entry is readable, and the page's place, limit and total agree with its size.
        at: The time the vendor sent it, by the vendor's clock; None where there is no ``Date``.
    """

    rows: tuple[LogEntry, ...]
    size: int
    has_more: bool
    sound: bool
    at: datetime | None = None


def logs_request(
    span: Mapping[str, str], offset: int, *, models: Sequence[str] = (), statuses: Sequence[str] = (), name: str = ""
) -> HttpRequest:
    """Return the GET for a page. A filter of several values is one parameter each: the vendor splits no commas.

    The name, if given, tells its response from others: a page does not say which span it is of nor when it was made, so
    that one of an earlier reading, left over on a connection, could be taken for it.
    """
    query = [*span.items(), *(("model", model) for model in models), *(("status", status) for status in statuses)]
    target = f"/v2/logs?{urlencode([*query, ('limit', PAGE), ('offset', offset)])}"
    return HttpRequest("GET", target, headers={CLIENT_REQUEST_ID: name} if name else {})


def read_logs(response: HttpResponse, offset: int = 0) -> LogRows:
    """Read the page that was asked for at this offset."""
    rows, pagination = read_page(response, "log")
    total = amount(pagination.get("total"))
    readable = all(is_object(row) and isinstance(row.get("client_request_id"), str | None) for row in rows)
    follows = total is not None and total > offset + len(rows)
    return LogRows(
        rows=tuple(map(_read_entry, filter(is_object, rows))),
        size=len(rows),
        has_more=bool(rows) and (pagination.get("has_more") is True or follows),
        sound=readable and _agrees(pagination, offset, len(rows), total),
        at=_sent_at(response),
    )


def _agrees(pagination: Mapping[str, Any], offset: int, size: int, total: float | None) -> bool:
    """Return whether a page of this size can be all that there is from its offset up to where the next page begins."""
    if pagination.get("offset", offset) not in (None, offset):
        return False
    if any(pagination.get(name) is not None and amount(pagination[name]) is None for name in ("total", "limit")):
        return False
    has_more, limit = pagination.get("has_more"), amount(pagination.get("limit"))
    ends = total is not None and total <= offset + size
    if has_more is True:
        return size > 0 and not ends and (limit is None or size >= limit)
    return ends or (has_more is False and total is None)


def _sent_at(response: HttpResponse) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _read_entry(row: dict[str, Any]) -> LogEntry:
    charged = part(row, "cost")
    return LogEntry(
        created=read_moment(row.get("created")),
        status=text(row.get("status")),
        origin=text(row.get("origin")),
        model=text(row.get("model")),
        usd=dollars(charged.get("usd")),
        credits=amount(charged.get("credits")),
        tokens=amount(part(row, "tokens").get("total")),
        inference_id=read_id(row.get("inference_id")),
        request_id=read_id(row.get("request_id")),
        client_request_id=text(row.get("client_request_id")),
        raw=row,
    )


@define(eq=False)
class LogReading:
    """A reading of a span of the log, page by page, each row once: new rows only push others to later pages.

    A row that vanished meanwhile pulls another back over the edge of a page, unread; where pages overlap by a row, that
    is noticed.

    Attributes:
        overlap: The number of rows by which a page overlaps the one before: 1 if a missed row has to be noticed.
        offset: The offset of the next page.
        ended: True if there is no further page.
        complete: False if a row may have been missed; final once the reading has ended.
        began: The time the first page was sent, by the vendor's clock; None where there is no ``Date``.
    """

    overlap: int = 0
    offset: int = field(default=0, init=False)
    ended: bool = field(default=False, init=False)
    complete: bool = field(default=True, init=False)
    began: datetime | None = field(default=None, init=False)
    _seen: set[tuple[object, ...]] = field(factory=set[tuple[object, ...]], init=False)
    _last: tuple[object, ...] | None = field(default=None, init=False)

    def take(self, page: LogRows) -> list[LogEntry]:
        """Return the rows of the next page that were on none before; those without an id are taken for new."""
        names = [row.identity for row in page.rows]
        joined = not self.overlap or self._last is None or self._last in names
        # A page that was promised and shows nothing new is another one's: of an offset that was not heeded, say.
        circles = bool(self.overlap) and bool(self.offset) and self._seen.issuperset(names)
        new = [row for row in page.rows if row.inference_id is None or row.identity not in self._seen]
        self.complete = self.complete and page.sound and joined and not circles
        self.ended = not page.has_more or circles
        self.began = self.began or page.at
        self.offset += max(1, page.size - self.overlap)
        self._seen.update(names)
        self._last = names[-1] if names else self._last
        return new


def are_one_model(one: str, other: str) -> bool:
    """Return whether two names may be of one model: the log has ``source/alias`` where either part may be asked for."""
    return not _spellings(one).isdisjoint(_spellings(other))


def _spellings(name: str) -> set[str]:
    whole = name.casefold()
    return {whole, whole.partition("/")[2] or whole}
