"""The live price list: what models cost, in which unit, and on what that depends ("Complete Model List")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kling_async.api.loose import is_list, is_object, text
from kling_async.api.money import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

__all__ = ["Pricing", "Rate", "read_pricing"]


@frozen
class Rate:
    """A price for so many units of something.

    Attributes:
        price: What ``per`` units cost, in US dollars. Prices can only be compared together with their ``per``.
        per: How many units that is for; 1 for seconds of video, and as much as 1,000,000 for tokens.
        unit: What is counted, such as ``second``.
        measure: Which side is counted, such as ``output``, where the vendor says so.
        when: What a request has to say for this rate to hold, by field; empty if it always does.
    """

    price: Decimal
    per: Decimal
    unit: str
    measure: str | None = None
    when: Mapping[str, object] = field(factory=dict[str, object], hash=False)

    @property
    def each(self) -> Decimal:
        """What one unit costs, in US dollars."""
        return self.price / self.per


@frozen
class Pricing:
    """What a model costs.

    Attributes:
        kind: ``fixed``: all rates hold, and are added up. ``variants``: the one rate holds that fits the request.
            ``variable``: nothing can be said before the request was made.
        rates: The prices; those that cannot be read are left out.
        dimensions: The fields of a request that the price depends on, for ``variants``.
        currency: The vendor's word for the currency; it says that prices are in US dollars.
        is_whole: Whether every price could be read.
        raw: The block as it came.
    """

    kind: str
    rates: tuple[Rate, ...] = ()
    dimensions: tuple[str, ...] = ()
    currency: str | None = None
    is_whole: bool = True
    raw: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)


def read_pricing(block: object) -> Pricing | None:
    """A model's pricing; None if there is none, or none that says of which kind it is."""
    kind = text(block.get("kind")) if is_object(block) else None
    if kind is None or not is_object(block):
        return None
    listed = block.get("units" if kind == "fixed" else "variants")
    entries: list[Any] = listed if is_list(listed) else [block] if "price" in block else []
    rates = [_read_rate(entry, block) for entry in entries]
    dimensions = block.get("dimensions")
    return Pricing(
        kind=kind,
        rates=tuple(rate for rate in rates if rate is not None),
        dimensions=tuple(_strings(dimensions)),
        currency=text(block.get("currency")),
        is_whole=None not in rates,
        raw=block,
    )


def _read_rate(entry: object, block: Mapping[str, Any]) -> Rate | None:
    if not is_object(entry):
        return None
    # A fixed price names its unit "name", a variant "unit"; what all variants share may stand beside them.
    unit = text(entry.get("unit")) or text(entry.get("name")) or text(block.get("unit"))
    price, per, when = dollars(entry.get("price")), dollars(entry.get("per", block.get("per"))), entry.get("when", {})
    if unit is None or price is None or price < 0 or per is None or per <= 0 or not is_object(when):
        return None
    return Rate(price, per, unit, text(entry.get("measure")), when)


def _strings(values: object) -> Iterable[str]:
    return [value for value in values if isinstance(value, str)] if is_list(values) else []
