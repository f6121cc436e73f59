"""What the vendor shows to everybody: its models, what they cost, and how fast they are."""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async.api.catalogue.lookup import find_model, models, typical_seconds
from kling_async.sandbox.exchange import Answer, ErrorResponse, Exchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kling_async.sandbox.vendor import Vendor

__all__ = [
    "CREDITS_PER_USD",
    "Price",
    "aliases",
    "canonical",
    "metrics",
    "price_list",
    "price_list_entry",
    "price_of",
    "video_seconds",
]

CREDITS_PER_USD = 100
"""A made-up rate, easy to reckon with."""

_TIERS = {"master": 0.28, "pro": 0.10, "1080p": 0.10}  # US dollars per second of video
_BASE_TIER = 0.06
_SILENT = 0.7  # the share of the price that is paid without sound
_DEFAULT_SECONDS = 5
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")


@frozen
class Price:
    """What one generation costs."""

    usd: float
    credits: float


def price_of(model: str, body: Mapping[str, Any]) -> Price:
    """What this request costs if it succeeds."""
    rate = _rate(model)
    if _has_sound(model) and body.get("generate_audio") is False:
        rate *= _SILENT
    usd = round(rate * video_seconds(body), 4)
    return Price(usd, round(usd * CREDITS_PER_USD, 2))


def video_seconds(body: Mapping[str, Any]) -> int:
    """The length of the video that is asked for, also when it is given as a string."""
    return int(asked) if _SECONDS.fullmatch(asked := str(body.get("duration"))) else _DEFAULT_SECONDS


def price_list_entry(model: str) -> dict[str, Any]:
    """A model's ``pricing`` as "Complete Model List" has it: one rate, one for each variant, or none beforehand."""
    rate = _rate(model)
    if find_model(model) is None:
        return {"kind": "variable", "currency": "USD"}
    if not _has_sound(model):
        unit = {"name": "second", "measure": "output", "price": rate, "per": 1}
        return {"kind": "fixed", "currency": "USD", "units": [unit]}
    variants = [
        {"when": {"generate_audio": True}, "price": rate, "unit": "second", "per": 1},
        {"when": {"generate_audio": False}, "price": round(rate * _SILENT, 4), "unit": "second", "per": 1},
    ]
    return {"kind": "variants", "currency": "USD", "dimensions": ["generate_audio"], "variants": variants}


def _rate(model: str) -> float:
    return next((rate for tier, rate in _TIERS.items() if tier in model), _BASE_TIER)


def _has_sound(model: str) -> bool:
    known = find_model(canonical(model))
    return known is not None and "generate_audio" in known.fields


_MAKER = "klingai/"


def aliases(model: str) -> list[str]:
    """Other names of a model: the bare one, as the vendor gives it to models named after their maker."""
    return [model.removeprefix(_MAKER)] if model.startswith(_MAKER) else []


def canonical(name: str) -> str:
    """The id of the model that goes by this name; the name itself if none does."""
    full = _MAKER + name
    return full if find_model(full) is not None else name


_QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_WINDOW = 300  # seconds
_MOST_ALIASES = 100
_ALL = "all"


def price_list(vendor: Vendor, exchange: Exchange) -> Answer:
    """The models, with the sections that ``include`` asks for; 304 to a client that has this very list."""
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
    """Names in lower case: several are parted by commas, or given one by one, or both."""
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
    """How long each model's generations take, in the vendor's time, not divided by the speed."""
    query = exchange.request.query
    wanted = query.getall("aliases", ())
    if not query.keys() <= {"aliases"} or len(wanted) > _MOST_ALIASES:
        raise ErrorResponse(
            400, f"Query validation error: only aliases may be given, and at most {_MOST_ALIASES} of them"
        )
    served = [model for model in wanted if vendor.serves(model)] if wanted else [model.id for model in models()]
    return Answer.json(
        {
            "window_seconds": _WINDOW,
            "generated_at": vendor.timestamp(),
            "models": [_figures(vendor, model) for model in served],
        }
    )


def _figures(vendor: Vendor, model: str) -> Mapping[str, Any]:
    median, sigma = typical_seconds(canonical(model), None), vendor.settings.sigma
    spread = {
        name: round(1000 * median * exp(sigma * NormalDist().inv_cdf(share))) for name, share in _QUANTILES.items()
    }
    return {"alias": model, "endpoint": "/v2/video/generations", "metrics": {"duration_ms": spread}}
