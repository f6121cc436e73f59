"""Estimates of what requests cost by the live list of prices: exact, within bounds, or unknown with a reason."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.api.catalogue.lookup import find_model
from kling_async.api.catalogue.spec import Integer, whole
from kling_async.api.parsing import format_usd, is_list
from kling_async.api.reprs import show
from kling_async.api.requests.serialize import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kling_async.api.account.models import ModelList, Pricing, UnitPrice
    from kling_async.api.catalogue.model import Model
    from kling_async.api.catalogue.spec import Field
    from kling_async.api.requests import Request

_ZERO = Decimal(0)
_SECONDS = frozenset({"second", "seconds", "sec", "s"})
_PIECES = frozenset({"video", "videos", "generation", "generations", "request", "requests"})


@frozen(eq=False)
class Estimate:
    """The cost of one request if it succeeds; a failed one costs nothing.

    Attributes:
        request: The request.
        usd: The most it may cost, in US dollars; None where that cannot be known beforehand.
        at_least: The least it may cost. Less than ``usd`` where the price depends on something that the request leaves
            to the vendor, whose choice is not published.
        note: The reason why the cost is unknown, or only known within bounds; empty where it is exact.
    """

    request: Request
    usd: Decimal | None
    at_least: Decimal | None = None
    note: str = ""

    @property
    def is_exact(self) -> bool:
        """True where the cost is known without bounds."""
        return self.usd is not None and self.usd == self.at_least


@frozen(eq=False)
class Cost:
    """The cost of several requests, added up. ``str`` gives it in words.

    Attributes:
        estimates: The single requests, in their order.
        usd: The most that those of known cost may come to, in US dollars.
        at_least: The least they may come to.
        unknown: The number of others, whose cost is unknown.
    """

    estimates: tuple[Estimate, ...]
    usd: Decimal
    at_least: Decimal
    unknown: int

    @classmethod
    def of(cls, estimates: Iterable[Estimate]) -> Cost:
        """Add estimates up."""
        single = tuple(estimates)
        most = sum((one.usd for one in single if one.usd is not None), _ZERO)
        least = sum((one.at_least for one in single if one.at_least is not None), _ZERO)
        return cls(single, most, least, sum(one.usd is None for one in single))

    def __str__(self) -> str:
        known = len(self.estimates) - self.unknown
        most, least = format_usd(self.usd), format_usd(self.at_least)
        amount = most if self.usd == self.at_least else f"{least} to {most}"
        said = f"{amount} for {known} request{'' if known == 1 else 's'}"
        return f"{said}; the cost of {self.unknown} more is unknown" if self.unknown else said


class _Unknown(Exception):
    """A cost cannot be known; the message says why."""


def estimate(request: Request, listing: ModelList) -> Estimate:
    """Estimate the cost of a request by this list of models with their prices; nothing is guessed."""
    try:
        amounts = _amounts(request, listing)
    except _Unknown as why:
        return Estimate(request, None, note=str(why))
    least, most = min(amounts), max(amounts)
    note = "" if least == most else "the price depends on what the request leaves to the vendor"
    return Estimate(request, most, least, note)


def _amounts(request: Request, listing: ModelList) -> list[Decimal]:
    """Return every cost the request may have, as far as it and the published defaults determine it."""
    live = listing.find(request.model)
    if live is None:
        raise _Unknown(f"the vendor's list has no model {show(request.model)}")
    if live.pricing is None:
        raise _Unknown(f"the vendor's list has no readable price for {show(request.model)}")
    stated = _Stated(request.body(), find_model(request.model) or find_model(live.id))
    return [amount for rates in _choices(live.pricing, stated) for amount in _totals(rates, stated)]


def _choices(pricing: Pricing, stated: _Stated) -> list[tuple[UnitPrice, ...]]:
    """Return the sets of unit prices that may apply."""
    if pricing.kind not in ("fixed", "variants"):
        raise _Unknown(f"the vendor states no price beforehand: it calls it {pricing.kind!r}")
    if not pricing.is_whole or not pricing.rates:
        raise _Unknown("the vendor's price is in a form this library does not know")
    if pricing.kind == "fixed":
        return [pricing.rates]
    fitting: list[tuple[UnitPrice, ...]] = [(rate,) for rate in pricing.rates if stated.may_fit(rate.when)]
    if not fitting:
        raise _Unknown("none of the vendor's prices is for such a request")
    return fitting


def _totals(rates: tuple[UnitPrice, ...], stated: _Stated) -> list[Decimal]:
    """Return the least and the most that prices which apply together may come to."""
    counted = [(rate.each, stated.count(rate)) for rate in rates]
    return [sum((each * count[end] for each, count in counted), _ZERO) for end in (0, 1)]


@frozen(eq=False)
class _Stated:
    """The fields that a request states, and the vendor's published defaults where it states none."""

    body: Mapping[str, object]
    model: Model | None

    def may_fit(self, when: Mapping[str, object]) -> bool:
        """Return whether the request may meet a price's conditions."""
        pairs = ((self._value(name), wanted) for name, wanted in when.items())
        return all(stated is None or _normalised(stated) == _normalised(wanted) for stated, wanted in pairs)

    def _field(self, name: str) -> Field | None:
        return None if self.model is None else self.model.fields.get(name)

    def _value(self, name: str) -> object:
        stated, field = self.body.get(name), self._field(name)
        return field.default if stated is None and field is not None else stated

    def count(self, rate: UnitPrice) -> tuple[int, int]:
        """Return the fewest and the most units of a rate that the request may take."""
        unit = rate.unit.lower()
        if unit in _PIECES:
            return 1, 1
        if unit not in _SECONDS or rate.measure not in (None, "output"):
            raise _Unknown(f"it is paid by the {rate.unit}, of which the number is not known beforehand")
        scenes, field = self.body.get("multi_prompt"), self._field("duration")
        if self.body.get("duration") is None and is_list(scenes) and any(map(is_mapping, scenes)):
            raise _Unknown("it is paid by the second, and the request states only how long its scenes are")
        length = whole(self._value("duration"))
        if length is not None and length > 0:
            return length, length
        if self._value("duration") is not None or field is None:
            raise _Unknown("it is paid by the second, and how long the video will be is not known beforehand")
        if isinstance(field.spec, Integer) and field.spec.choices:
            return min(field.spec.choices), max(field.spec.choices)
        raise _Unknown("it is paid by the second, and the lengths the model makes are not published")


def _normalised(value: object) -> str:
    """Return a value in the form that is compared, in which "5" equals 5 and "true" equals True."""
    number = whole(value)
    return str(value).strip().lower() if number is None else str(number)
