"""The endpoints that need no key: the models with their prices, and their metrics."""

from __future__ import annotations

import json
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from kling_async.api.catalogue.lookup import models, typical_seconds
from kling_async.sandbox.exchange import Answer, ErrorResponse, Exchange
from kling_async.sandbox.prices import aliases, canonical, price_list_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kling_async.sandbox.vendor import Vendor

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
