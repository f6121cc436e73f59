"""The spending of an API key in a span of time, and the current performance of models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from attrs import field, frozen

from kling_async.api.arguments import MOMENT, refused
from kling_async.api.messages import HttpRequest
from kling_async.api.parsing import amount, dollars, format_moment, is_list, is_object, part, read_moment, text
from kling_async.api.protocol import malformed, read_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from kling_async.api.messages import HttpResponse

_PERIOD = re.compile(r"[1-9][0-9]{0,5}[hd]")


def span_query(period: str | None, start: datetime | None, end: datetime | None) -> dict[str, str]:
    """Return the query for a period up to now, or from a start to an end ("API Key Usage"); refuse both, or half."""
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
    """Refuse what is no moment, and an end that is not after its start; either may be None."""
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


@frozen
class Quantiles:
    """Percentiles of a figure: half of all requests are at or below ``p50``, and so on."""

    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


@frozen
class ModelMetrics:
    """The performance of one model.

    Attributes:
        model: The model's id, or an alias of it.
        duration_ms: The time its requests take from end to end, in milliseconds, as the vendor counts them.
        endpoint: The path that was measured.
        raw: The entry as it came.
    """

    model: str
    duration_ms: Quantiles | None = None
    endpoint: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


@frozen
class Metrics:
    """The performance of models ("Model Performance Metrics"): only successful requests of the last minutes count.

    Attributes:
        models: Those that completed something within the window; what is missing there did not.
        window_seconds: The length of the window.
        generated_at: The time of the measurement.
    """

    models: tuple[ModelMetrics, ...]
    window_seconds: float | None = None
    generated_at: datetime | None = None

    def find(self, model: str) -> ModelMetrics | None:
        """Return the entry of a model, by the name it was asked for under; None if there is none."""
        return next((entry for entry in self.models if entry.model == model), None)


def metrics_request(models: Sequence[str]) -> HttpRequest:
    """Return the GET for some models, one parameter for each, or for all of them."""
    query = urlencode([("aliases", model) for model in models])
    return HttpRequest("GET", f"/models/metrics?{query}" if query else "/models/metrics")


def read_metrics(response: HttpResponse) -> Metrics:
    """Read the answer; entries without a name are left out."""
    answer = read_answer(response)
    entries = answer.get("models")
    if not is_list(entries):
        raise malformed(response, "the answer lists no models")
    return Metrics(
        tuple(entry for entry in map(_read_entry, filter(is_object, entries)) if entry is not None),
        amount(answer.get("window_seconds")),
        read_moment(answer.get("generated_at")),
    )


def _read_entry(entry: dict[str, Any]) -> ModelMetrics | None:
    name = text(entry.get("alias")) or text(entry.get("id"))
    if name is None:
        return None
    spread = (part(entry, "metrics") or entry).get("duration_ms")
    parts = ("p50", "p75", "p90", "p99")
    quantiles = Quantiles(*(amount(spread.get(part)) for part in parts)) if is_object(spread) else None
    return ModelMetrics(name, quantiles, text(entry.get("endpoint")), entry)
