"""Money out of answers: US dollars as exact decimals."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

__all__ = ["dollars", "shown"]


def dollars(value: object) -> Decimal | None:
    """An amount of US dollars, of either sign, as it was written; None where there is none.

    JSON numbers come here as floats, whose shortest form is what was written for up to 15 digits: more than a million
    dollars to the nano-dollar, in which the vendor reckons.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() else None


def shown(amount: Decimal) -> str:
    """An amount for people: in full, with cents at least."""
    whole, _, parts = f"{amount:f}".partition(".")
    return f"${whole}.{parts.rstrip('0'):0<2}"
