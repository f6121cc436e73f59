"""Single values out of answers whose every part may be of any type."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard

__all__ = [
    "amount",
    "dollars",
    "first_id",
    "is_list",
    "is_object",
    "parse_json",
    "read_moment",
    "shown",
    "stamp",
    "text",
]

_LARGEST = 1e300  # a whole number may be larger than any float
_decode = json.JSONDecoder(strict=False).decode
_DAMAGE = re.compile("[\ud800-\udfff\ufffd]")  # half a character, which no encoding takes, or one that was not read


def parse_json(body: bytes) -> object:
    """What a body says as JSON: UTF-8, with a byte order mark or none, UTF-16 or UTF-32.

    A byte that is no UTF-8 costs the character, not the answer; nor does a raw line break within a text.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It nests too deep.
    """
    try:
        said = body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        said = body.decode("utf-8", "replace")
    return _decode(said)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def text(value: object) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None


def first_id(*values: object) -> str | None:
    """The first usable id. Ids are opaque, and one made of digits may come as a number; but it must fit into a URL."""
    for value in values:
        name = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
        if name is not None and not name.isspace() and (name.isascii() or _DAMAGE.search(name) is None):
            return name
    return None


def amount(value: object) -> float | None:
    """A number that may be a count or a cost: finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LARGEST:
        return None
    return float(value)


def read_moment(value: object) -> datetime | None:
    """An ISO 8601 text, or seconds since the epoch, as a moment that knows its zone; None where it is unreadable.

    What has no offset is taken for UTC, as the vendor takes it ("API Key Usage").
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def stamp(moment: datetime) -> str:
    """A moment as the vendor takes it: ISO 8601 in UTC. One without a zone is this machine's time, as Python has it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
