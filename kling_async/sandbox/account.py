"""The endpoints about the account and the models: log, balance, transactions, usage; prices and metrics."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import models, typical_seconds
from kling_async.sandbox.capacity import CREDITS_PER_USD, aliases, canonical, price_list_entry
from kling_async.sandbox.exchange import Answer, ErrorResponse, Exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kling_async.sandbox.ledger import Entry, Purchase
    from kling_async.sandbox.vendor import Vendor


_ENDLESS_CREDITS = 1_000_000.0  # what the balance starts from if credits have no end, which JSON cannot say
_LOW_BALANCE = 1_000
_MOST_ROWS, _USUAL_ROWS = 100, 50
_PERIOD = re.compile(r"([1-9][0-9]{0,5})([hd])")
_COUNT = re.compile(r"[0-9]{1,10}")
_UNIT_SECONDS = {"h": 3600, "d": 86_400}
_LONGEST_RANGE = 92 * 86_400
_DIRECTIONS = ("TOPUP", "CHARGE")
_TYPES = ("PAYMENT", "BONUS", "REFUND", "ADJUSTMENT", "MODEL_USAGE", "CREDITS_EXPIRED", "INIT")


def logs(vendor: Vendor, exchange: Exchange) -> Answer:
    """Serve one page of the log, newest first. A row appears when its generation has ended, or ``log_lag`` later."""
    vendor.limits.admit_log_call(vendor.clock())
    query = exchange.request.query
    limit = _count(query, "limit", least=1, most=_MOST_ROWS, default=_USUAL_ROWS)
    offset = _count(query, "offset", least=0, most=10**9, default=0)
    models_asked, statuses = query.getall("model", ()), query.getall("status", ())
    rows = [
        purchase
        for purchase in _logged(vendor, query)
        if (not models_asked or purchase.model in models_asked) and (not statuses or _outcome(purchase) in statuses)
    ]
    rows.sort(key=lambda purchase: purchase.created, reverse=True)
    page = rows[offset : offset + limit]
    has_more = offset + limit < len(rows)
    pagination = {"limit": limit, "offset": offset, "total": len(rows), "has_more": has_more}
    return Answer.json({"data": [_row(purchase) for purchase in page], "pagination": pagination})


def _logged(vendor: Vendor, query: Mapping[str, str]) -> list[Purchase]:
    start, end = _time_range(query, vendor.time_of_day())
    lag = vendor.real_seconds(vendor.settings.faults.log_lag)
    now = vendor.clock()
    return [
        purchase
        for purchase in vendor.ledger.purchases.values()
        if purchase.completed_at + lag <= now and start <= purchase.created <= end
    ]


def _outcome(purchase: Purchase) -> str:
    return "succeeded" if purchase.failure is None else "failed"


def _row(purchase: Purchase) -> dict[str, Any]:
    is_charged = purchase.failure is None
    cost = {"usd": float(purchase.usd), "credits": purchase.credits} if is_charged else {"usd": 0.0, "credits": 0.0}
    return {
        "created": _timestamp(purchase.created),
        "status": _outcome(purchase),
        "origin": "api",
        "model": purchase.model,
        "cost": cost,
        "tokens": {"input": 0, "output": 0, "total": 0},
        "request_id": None,
        "inference_id": purchase.generation_id,
        "client_request_id": purchase.client_request_id,
    }


def _time_range(query: Mapping[str, str], now: float) -> tuple[float, float]:
    """Parse the time range, in seconds since the epoch: ``start`` and ``end``, or a period up to now."""
    is_absolute = "start" in query and "end" in query
    if is_absolute == ("period" in query) or ("start" in query) != ("end" in query):
        raise ErrorResponse(400, "Query validation error: either period, or both start and end")
    start, end = (
        (_instant(query["start"]), _instant(query["end"])) if is_absolute else (now - _period_seconds(query), now)
    )
    if not 0 <= end - start <= _LONGEST_RANGE:
        raise ErrorResponse(400, "Query validation error: end is not earlier than start, and at most 92 days later")
    return start, end


def _period_seconds(query: Mapping[str, str]) -> float:
    match = _PERIOD.fullmatch(query["period"])
    if match is None:
        raise ErrorResponse(400, "Query validation error: period is a number followed by h or d, such as 24h")
    return float(int(match[1]) * _UNIT_SECONDS[match[2]])


def _instant(text: str) -> float:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ErrorResponse(400, "Query validation error: moments are in ISO 8601") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _count(query: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    text = query.get(name, str(default))
    if not _COUNT.fullmatch(text) or not least <= int(text) <= most:
        raise ErrorResponse(400, f"Query validation error: {name} is a whole number from {least} to {most}")
    return int(text)


def billing(vendor: Vendor, _exchange: Exchange) -> Answer:
    """Serve the balance in US dollars."""
    return Answer.json({"current_balance": round(_credits_left(vendor) / CREDITS_PER_USD, 4), "currency": "USD"})


def billing_detail(vendor: Vendor, _exchange: Exchange) -> Answer:
    """Serve the balance with the account's details; there is no automatic top-up."""
    detail = {
        "user_id": 1,
        "email": "sandbox@example.com",
        "current_balance": round(_credits_left(vendor) / CREDITS_PER_USD, 4),
        "currency": "USD",
        "autotopup_settings": {"is_enabled": False, "threshold": 0, "amount": 0, "currency": "USD"},
    }
    return Answer.json(detail)


def transactions(vendor: Vendor, exchange: Exchange) -> Answer:
    """Serve one page of transactions, newest first: the charges that are recorded by now."""
    query = exchange.request.query
    if not query.keys() <= {"from", "to", "direction", "type", "limit", "cursor"}:
        raise ErrorResponse(400, "Query validation error: unknown parameter")
    limit = _count(query, "limit", least=1, most=_MOST_ROWS, default=_USUAL_ROWS)
    entries = _entries(vendor, query)
    shifts = vendor.settings.recording.shifts
    # Counted from the oldest, so that what comes at the head does not shift it, unless `Recording.shifts` says so.
    place = _position(query["cursor"]) if "cursor" in query else 0 if shifts else len(entries)
    end = max(0, len(entries) - place) if shifts else place
    page, rest = entries[max(0, end - limit) : end], max(0, end - limit)
    pagination = {"next_cursor": _cursor(place + limit if shifts else rest) if rest else None, "has_more": rest > 0}
    return Answer.json({"data": [_entry(vendor, one) for one in reversed(page)], "pagination": pagination})


def _entries(vendor: Vendor, query: Mapping[str, str]) -> list[Entry]:
    """Return the recorded charges that match the query, oldest first."""
    direction, kind = query.get("direction", "CHARGE"), query.get("type", "MODEL_USAGE")
    if direction not in _DIRECTIONS or kind not in _TYPES:
        raise ErrorResponse(400, "Query validation error: unknown direction or type")
    start, end = _instant(query.get("from", "1970-01-02")), _instant(query.get("to", "9999-12-30"))
    if end <= start:
        raise ErrorResponse(400, "Query validation error: to is later than from")
    if (direction, kind) != ("CHARGE", "MODEL_USAGE"):
        return []
    return [one for one in vendor.billing.entries(vendor.clock()) if start <= _created_at(vendor, one) < end]


def _created_at(vendor: Vendor, entry: Entry) -> float:
    """Return when it was recorded, in seconds since the epoch."""
    return vendor.time_of_day() - (vendor.clock() - entry.at)


def _entry(vendor: Vendor, entry: Entry) -> dict[str, Any]:
    return {
        "created_at": _timestamp(_created_at(vendor, entry)),
        "direction": "CHARGE",
        "type": "MODEL_USAGE",
        "amount": {"usd": float(entry.usd), "credits": entry.credits},
        "model": entry.model,
        "reference_id": entry.generation_id,
    }


def _cursor(place: int) -> str:
    return urlsafe_b64encode(f"v1:{place}".encode()).decode()


def _position(cursor: str) -> int:
    """Return the position that a cursor encodes; anything but the exact form that was given out is refused."""
    try:
        place = int(urlsafe_b64decode(cursor).removeprefix(b"v1:"))
    except ValueError:
        place = -1
    if place < 0 or _cursor(place) != cursor:
        raise ErrorResponse(400, "Query validation error: the cursor is malformed")
    return place


def balance(vendor: Vendor, _exchange: Exchange) -> Answer:
    """Serve the balance in the older form, in credits."""
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
    return round(had - vendor.account.charged(vendor.clock()), 2)


def usage(vendor: Vendor, exchange: Exchange) -> Answer:
    """Serve the amount spent, and the number of generations charged."""
    query = exchange.request.query
    start, end = _time_range(query, vendor.time_of_day())
    charged = [purchase.usd for purchase in _logged(vendor, query) if purchase.failure is None]
    answer = {
        "api_key_prefix": None,
        "start": _timestamp(start),
        "end": _timestamp(end),
        "spend": float(sum(charged)),
        "currency": "USD",
        "requests": len(charged),
    }
    return Answer.json(answer)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


_PERCENTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_WINDOW = 300  # seconds
_MOST_ALIASES = 100
_ALL = "all"


def price_list(vendor: Vendor, exchange: Exchange) -> Answer:
    """Serve the models, with the sections that ``include`` asks for; 304 if ``If-None-Match`` is current."""
    query = exchange.request.query
    wanted = _split(query.getall("id", ()))
    included = _split(query.getall("include", ()))
    ids = [model.id for model in models()] + sorted(vendor.settings.other_models)
    data = [_model(model, included) for model in ids if not wanted or wanted & {model.lower(), *aliases(model)}]
    etag = f'W/"{blake2b(json.dumps(data).encode(), digest_size=12).hexdigest()}"'
    if exchange.request.headers.get("If-None-Match") == etag:
        return Answer(304, headers={"ETag": etag})
    return Answer.json({"object": "list", "data": data}, headers={"ETag": etag})


def _split(values: Iterable[str]) -> frozenset[str]:
    """Parse names, separated by commas or repeated, into lower case."""
    return frozenset(name.strip().lower() for name in ",".join(values).split(",") if name.strip())


def _model(model: str, included: frozenset[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": model,
        "aliases": aliases(model),
        "type": "internal/video-generations/submit",
        "info": {"name": model, "developer": "Kling AI"},
        "tags": ["playground:video"],
    }
    sections = {
        "pricing": price_list_entry(model),
        "modalities": {"input": ["text"], "output": ["video"]},
        "capabilities": ["video_generation"],
    }
    return entry | {name: section for name, section in sections.items() if included & {name, _ALL}}


def metrics(vendor: Vendor, exchange: Exchange) -> Answer:
    """Serve the quantiles of each model's durations, in the vendor's time, not divided by the speed.

    They are those of videos of the usual length, times `Settings.published`.
    """
    query = exchange.request.query
    wanted = query.getall("aliases", ())
    if not query.keys() <= {"aliases"} or len(wanted) > _MOST_ALIASES:
        raise ErrorResponse(
            400, f"Query validation error: only aliases may be given, and at most {_MOST_ALIASES} of them"
        )
    times = vendor.settings.published
    served = [model for model in wanted if vendor.serves(model)] if wanted else [model.id for model in models()]
    return Answer.json(
        {
            "window_seconds": _WINDOW,
            "generated_at": vendor.timestamp(),
            "models": [] if times is None else [_model_metrics(vendor, model, times) for model in served],
        }
    )


def _model_metrics(vendor: Vendor, model: str, times: float) -> Mapping[str, Any]:
    median, sigma = times * typical_seconds(canonical(model), None), vendor.settings.sigma
    spread = {
        name: round(1000 * median * exp(sigma * NormalDist().inv_cdf(share))) for name, share in _PERCENTILES.items()
    }
    return {"alias": model, "endpoint": "/v2/video/generations", "metrics": {"duration_ms": spread}}
