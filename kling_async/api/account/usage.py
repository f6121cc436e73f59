"""The spending of an API key in a span of time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.arguments import MOMENT, refused
from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import dollars, format_moment, is_object, read_moment, text
from kling_async.api.protocol import malformed, read_answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse

_PERIOD = re.compile(r"[1-9][0-9]{0,5}[hd]")


def span_query(period: str | None, start: datetime | None, end: datetime | None) -> dict[str, str]:
    """Return the query for a span of time: a period up to now, or from a start to an end ("API Key Usage").

    Raises:
        InvalidRequest: It is both or half of one, a period is not of the vendor's form, or the end is not later.
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
    return {"start": format_moment(start), "end": format_moment(end)}


def check_span(start: datetime | None, end: datetime | None) -> None:
    """Refuse an end that is not after its start; either may be None.

    Raises:
        InvalidRequest: One is no moment, or the end is not after the start.
    """
    MOMENT.check("start", start)
    MOMENT.check("end", end)
    if start is not None and end is not None and end.timestamp() <= start.timestamp():
        raise refused("end", end, "a moment after start")


@frozen
class AccountUsage:
    """The spending of the session's key ("API Key Usage"): an analytics figure, which may lag behind the ledger.

    Attributes:
        usd: The sum, in US dollars.
        requests: The number of requests that were charged; failed ones are not.
        start: The beginning of the span, as the vendor understood it.
        end: Its end.
        currency: The vendor's word for the currency.
        raw: The answer as it came.
    """

    usd: Decimal
    requests: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    currency: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


def usage_request(span: Mapping[str, str]) -> HttpRequest:
    """Return the GET for what was spent in a span of time."""
    return HttpRequest("GET", f"/v2/usage?{urlencode(span)}")


def read_usage(response: HttpResponse) -> AccountUsage:
    """Read how much was spent."""
    answer = read_answer(response)
    spend = answer.get("spend")
    usd = dollars(spend.get("usd") if is_object(spend) else spend)
    if usd is None:
        raise malformed(response, "the answer does not say what was spent")
    requests = answer.get("requests")
    return AccountUsage(
        usd=usd,
        requests=requests if isinstance(requests, int) and not isinstance(requests, bool) else None,
        start=read_moment(answer.get("start")),
        end=read_moment(answer.get("end")),
        currency=text(answer.get("currency")),
        raw=answer,
    )
