"""The account's endpoints: the log, the balance, what was used, the models and how long they take."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue import models, typical_seconds
from kling_async.sandbox.exchange import Answer, Exchange, Refusal
from kling_async.sandbox.prices import CREDITS_PER_USD, price_list_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kling_async.sandbox.ledger import Purchase
    from kling_async.sandbox.vendor import Vendor

__all__ = ["balance", "billing", "billing_detail", "logs", "metrics", "price_list", "usage"]

_ENDLESS_CREDITS = 1_000_000.0  # what the balance starts from if credits have no end, which JSON cannot say
_LOW_BALANCE = 1_000
_MOST_ROWS = 100
_PERIOD = re.compile(r"([1-9][0-9]{0,3})([mhd])")
_COUNT = re.compile(r"[0-9]{1,10}")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}


def logs(vendor: Vendor, exchange: Exchange) -> Answer:
    """One page of what the account bought, newest first. A row appears when its generation has ended, or even later."""
    vendor.gate.admit_log_call(vendor.clock())
    query = exchange.request.query
    limit = _count(query, "limit", least=1, most=_MOST_ROWS, default=_MOST_ROWS)
    offset = _count(query, "offset", least=0, most=10**9, default=0)
    is_asked = _filter(query.getall("model", ()), query.getall("status", ()))
    rows = [purchase for purchase in _logged(vendor, query) if is_asked(purchase)]
    rows.sort(key=lambda purchase: purchase.created, reverse=True)
    page = rows[offset : offset + limit]
    has_more = offset + limit < len(rows)
    pagination = {"limit": limit, "offset": offset, "total": len(rows), "has_more": has_more}
    return Answer.json({"data": [_row(purchase) for purchase in page], "pagination": pagination})


def _logged(vendor: Vendor, query: Mapping[str, str]) -> list[Purchase]:
    start, end = _stretch(query, vendor.time_of_day())
    lag = vendor.real_seconds(vendor.settings.faults.log_lag)
    now = vendor.clock()
    return [
        purchase
        for purchase in vendor.sold()
        if purchase.completed_at + lag <= now and start <= purchase.created <= end
    ]


def _filter(asked_models: Iterable[str], asked_statuses: Iterable[str]) -> Callable[[Purchase], bool]:
    models_asked, statuses_asked = frozenset(asked_models), frozenset(asked_statuses)

    def is_asked(purchase: Purchase) -> bool:
        return (not models_asked or purchase.model in models_asked) and (
            not statuses_asked or _outcome(purchase) in statuses_asked
        )

    return is_asked


def _outcome(purchase: Purchase) -> str:
    return "succeeded" if purchase.failure is None else "failed"


def _row(purchase: Purchase) -> dict[str, Any]:
    is_charged = purchase.failure is None
    cost = {"usd": purchase.usd, "credits": purchase.credits} if is_charged else {"usd": 0.0, "credits": 0.0}
    return {
        "created": datetime.fromtimestamp(purchase.created, UTC).isoformat().replace("+00:00", "Z"),
        "status": _outcome(purchase),
        "origin": "api",
        "model": purchase.model,
        "cost": cost,
        "tokens": {},
        "request_id": None,
        "inference_id": purchase.generation_id,
        "client_request_id": purchase.client_request_id,
    }


def _stretch(query: Mapping[str, str], now: float) -> tuple[float, float]:
    """From when to when, in seconds since the epoch: ``start`` and ``end``, or a period up to now."""
    if "start" in query or "end" in query:
        return _instant(query.get("start", "1970-01-02")), _instant(query.get("end", "9999-12-30"))
    match = _PERIOD.fullmatch(query.get("period", "24h"))
    if match is None:
        raise Refusal(400, "Query validation error: period is a number and m, h or d, such as 24h")
    return now - int(match[1]) * _UNIT_SECONDS[match[2]], now


def _instant(text: str) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, "Query validation error: start and end are ISO 8601 instants") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _count(query: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    text = query.get(name, str(default))
    if not _COUNT.fullmatch(text) or not least <= int(text) <= most:
        raise Refusal(400, f"Query validation error: {name} is a whole number from {least} to {most}")
    return int(text)


def billing(vendor: Vendor, _exchange: Exchange) -> Answer:
    """The balance."""
    return Answer.json({"current_balance": round(_credits_left(vendor) / CREDITS_PER_USD, 4), "currency": "USD"})


def billing_detail(vendor: Vendor, _exchange: Exchange) -> Answer:
    """The balance, and what is spoken for."""
    now = vendor.clock()
    reserved = vendor.till.committed(now) - vendor.till.charged(now)
    detail = {
        "current_balance": round(_credits_left(vendor) / CREDITS_PER_USD, 4),
        "reserved": round(reserved / CREDITS_PER_USD, 4),
        "spent": round(vendor.till.charged(now) / CREDITS_PER_USD, 4),
        "currency": "USD",
    }
    return Answer.json(detail)


def balance(vendor: Vendor, _exchange: Exchange) -> Answer:
    """The balance, in the older form and in credits."""
    left = _credits_left(vendor)
    answer = {
        "balance": left,
        "lowBalance": left < _LOW_BALANCE,
        "lowBalanceThreshold": _LOW_BALANCE,
        "lastUpdated": vendor.timestamp(),
        "autoDebitStatus": "disabled",
        "status": "current",
        "statusExplanation": "Balance is current and up to date",
    }
    return Answer.json(answer)


def _credits_left(vendor: Vendor) -> float:
    had = _ENDLESS_CREDITS if vendor.settings.credits is None else vendor.settings.credits
    return round(had - vendor.till.charged(vendor.clock()), 2)


def usage(vendor: Vendor, exchange: Exchange) -> Answer:
    """What was spent, and on how many generations."""
    rows = _logged(vendor, exchange.request.query)
    usd = sum(purchase.usd for purchase in rows if purchase.failure is None)
    return Answer.json(
        {"spend": {"usd": round(usd, 4), "credits": round(usd * CREDITS_PER_USD, 2)}, "requests": len(rows)}
    )


def price_list(vendor: Vendor, exchange: Exchange) -> Answer:
    """The models, with their prices if ``include`` asks for them; 304 to a client that has this very list."""
    query = exchange.request.query
    wanted = frozenset(query.getall("id", ()))
    included = frozenset(",".join(query.getall("include", ())).split(","))
    ids = [model.id for model in models()] + sorted(vendor.settings.other_models)
    data = [_model(model, included) for model in ids if not wanted or model in wanted]
    etag = f'W/"{blake2b(json.dumps(data).encode(), digest_size=12).hexdigest()}"'
    if exchange.request.headers.get("If-None-Match") == etag:
        return Answer(304, headers={"ETag": etag})
    return Answer.json({"object": "list", "data": data}, headers={"ETag": etag})


def _model(model: str, included: frozenset[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model,
        "aliases": [],
        "type": "video",
        "info": {"name": model, "developer": "Kling AI"},
        "tags": [],
    }
    if "pricing" in included:
        entry["pricing"] = price_list_entry(model)
    return entry


def metrics(vendor: Vendor, exchange: Exchange) -> Answer:
    """How long each model's generations take, in the vendor's time, not divided by the speed."""
    wanted = exchange.request.query.getall("aliases", ())
    served = [model for model in wanted if vendor.serves(model)] if wanted else [model.id for model in models()]
    return Answer.json({"data": [{"id": model, "duration_ms": _quantiles(vendor, model)} for model in served]})


def _quantiles(vendor: Vendor, model: str) -> dict[str, int]:
    median, sigma = typical_seconds(model, None), vendor.settings.sigma
    return {name: round(1000 * median * exp(sigma * NormalDist().inv_cdf(share))) for name, share in _QUANTILES.items()}
