"""What a key has spent over a stretch of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.loose import is_object, text
from kling_async.api.messages import HttpRequest
from kling_async.api.moments import read_moment
from kling_async.api.money import dollars
from kling_async.api.protocol import read_answer
from kling_async.errors import MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse

__all__ = ["AccountUsage", "read_usage", "usage_request"]


@frozen
class AccountUsage:
    """What the session's key has spent ("API Key Usage"): an analytics figure, which may lag behind the ledger.

    Attributes:
        usd: How much, in US dollars.
        requests: How many requests were charged; failed ones are not.
        start: From when, as the vendor understood it.
        end: Until when.
        currency: The vendor's word for the currency.
        raw: The answer as it came.
    """

    usd: Decimal
    requests: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    currency: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


def usage_request(stretch: Mapping[str, str]) -> HttpRequest:
    """The GET for what was spent over a stretch of time."""
    return HttpRequest("GET", f"/v2/usage?{urlencode(stretch)}")


def read_usage(response: HttpResponse) -> AccountUsage:
    """What was spent.

    Raises:
        APIError: The vendor answered with an error status.
        MalformedResponse: The answer does not say.
    """
    answer = read_answer(response)
    spend = answer.get("spend")
    usd = dollars(spend.get("usd") if is_object(spend) else spend)
    if usd is None:
        raise MalformedResponse(f"{response.status}: the answer does not say what was spent", status=response.status)
    requests = answer.get("requests")
    return AccountUsage(
        usd=usd,
        requests=requests if isinstance(requests, int) and not isinstance(requests, bool) else None,
        start=read_moment(answer.get("start")),
        end=read_moment(answer.get("end")),
        currency=text(answer.get("currency")),
        raw=answer,
    )
