"""Single values out of answers, of which every part may be of any type."""

from __future__ import annotations

import json
import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST = 1e300  # a whole number may be larger than any float
_MOST_DIGITS = 1000  # of an amount, before its point or after: nobody can reckon with "1e999999"
_decoder = json.JSONDecoder(strict=False)
_decode_huge = json.JSONDecoder(strict=False, parse_int=float).decode
_DAMAGE = re.compile("[\ud800-\udfff\ufffd]")  # half a character, which no encoding takes, or one that was not read


def parse_json(body: bytes) -> object:
    """Decode a body as JSON in UTF-8, with or without a byte order mark, UTF-16 or UTF-32.

    Bytes that are no UTF-8 become U+FFFD, raw control characters within texts are taken, and whole numbers may be of
    any length: an answer that a video was paid for is not lost for them.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It nests too deep.
    """
    is_usual = body.startswith(b'{"')  # nothing around an object, and no encoding by 16 or 32 bits begins so
    try:
        said = body.decode("utf-8" if is_usual else json.detect_encoding(body))
    except UnicodeDecodeError:
        said = body.decode("utf-8", "replace")
    try:
        if is_usual and (found := _decoder.raw_decode(said))[1] == len(said):
            return found[0]
        return _decoder.decode(said)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a whole number of thousands of digits
        return _decode_huge(said)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether it is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether it is a JSON array."""
    return isinstance(value, list)


def part(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object under a name; an empty one if there is none."""
    found = value.get(name)
    return found if is_object(found) else {}


def text(value: object) -> str | None:
    """Return a text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def read_id(value: object) -> str | None:
    """Return an id: a text that fits into a URL, or a whole number as such a text; None for anything else."""
    name = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(name, str) and name.strip() and (name.isascii() or _DAMAGE.search(name) is None):
        return name
    return None


def number(value: object) -> float | None:
    """Return a finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return None
    return float(value)


def amount(value: object) -> float | None:
    """Return a number that may be a count or a cost, finite and not negative; None for anything else."""
    found = number(value)
    return None if found is None or found < 0 else found


def read_moment(value: object) -> datetime | None:
    """Read an ISO 8601 text, or seconds since the epoch, as a moment with a zone; None where it is unreadable.

    What has no offset is taken for UTC, as the vendor takes it ("API Key Usage").
    """
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    if moment.year in (MINYEAR, MAXYEAR):  # in which other zones may be beyond the calendar
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def format_moment(moment: datetime) -> str:
    """Write a moment as the vendor takes it, ISO 8601 in UTC; one without a zone is this machine's time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dollars(value: object) -> Decimal | None:
    """Return an amount of US dollars, of either sign, as it was written; None where there is none.

    JSON numbers come here as floats, whose shortest form is what was written for up to 15 digits: more than a million
    dollars to the nano-dollar, in which the vendor reckons.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and abs(amount.adjusted()) <= _MOST_DIGITS else None


def format_usd(amount: Decimal) -> str:
    """Write an amount of US dollars for people: every digit, at least two decimals."""
    whole, _, parts = f"{amount:f}".partition(".")
    return f"${whole}.{parts.rstrip('0'):0<2}"
