"""Prices and aliases of models: made up, but of the vendor's kinds and magnitudes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kling_async.api.catalogue.lookup import find_model

if TYPE_CHECKING:
    from collections.abc import Mapping

CREDITS_PER_USD = 100
"""A made-up rate, easy to reckon with."""

_TIERS = {"master": Decimal("0.28"), "pro": Decimal("0.1"), "1080p": Decimal("0.1")}  # US dollars per second of video
_BASE_TIER = Decimal("0.06")
_SILENT = Decimal("0.7")  # the share of the price that is paid without sound
_DEFAULT_SECONDS = 5
_SECONDS = re.compile(r"[1-9][0-9]{0,3}")


@frozen
class Price:
    """The cost of one generation."""

    usd: Decimal
    credits: float


def price_of(model: str, body: Mapping[str, Any]) -> Price:
    """Return the cost of a request if it succeeds."""
    rate = _rate(model)
    if _has_sound(model) and body.get("generate_audio") is False:
        rate *= _SILENT
    usd = rate * video_seconds(body)
    return Price(usd, float(usd * CREDITS_PER_USD))


def video_seconds(body: Mapping[str, Any]) -> int:
    """Return the requested length of the video, also when it is given as a string."""
    return int(asked) if _SECONDS.fullmatch(asked := str(body.get("duration"))) else _DEFAULT_SECONDS


def price_list_entry(model: str) -> dict[str, Any]:
    """Return a model's ``pricing`` as "Complete Model List" has it: fixed, by variant, or unknown beforehand."""
    rate = _rate(model)
    if find_model(model) is None:
        return {"kind": "variable", "currency": "USD"}
    if not _has_sound(model):
        unit = {"name": "second", "measure": "output", "price": float(rate), "per": 1}
        return {"kind": "fixed", "currency": "USD", "units": [unit]}
    variants = [
        {"when": {"generate_audio": True}, "price": float(rate), "unit": "second", "per": 1},
        {"when": {"generate_audio": False}, "price": float(rate * _SILENT), "unit": "second", "per": 1},
    ]
    return {"kind": "variants", "currency": "USD", "dimensions": ["generate_audio"], "variants": variants}


def _rate(model: str) -> Decimal:
    return next((rate for tier, rate in _TIERS.items() if tier in model), _BASE_TIER)


def _has_sound(model: str) -> bool:
    known = find_model(canonical(model))
    return known is not None and "generate_audio" in known.fields


_MAKER = "klingai/"


def aliases(model: str) -> list[str]:
    """Return a model's other names: the bare one, for models named after their maker."""
    return [model.removeprefix(_MAKER)] if model.startswith(_MAKER) else []


def canonical(name: str) -> str:
    """Return the id of the model of this name, or the name itself."""
    full = _MAKER + name
    return full if find_model(full) is not None else name
