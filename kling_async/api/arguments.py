"""What arguments of public calls and settings take; they are checked before anything is begun.

A check raises `InvalidRequest` with the argument's name, its value and what is allowed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeGuard, TypeVar, cast

from attrs import frozen

from kling_async.api.catalogue.problems import Problem, either, refusal
from kling_async.api.media import is_path
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from kling_async.errors import InvalidRequest

_T = TypeVar("_T")

_UNSENDABLE = re.compile(r"[\ud800-\udfff]")  # lone surrogates, as JSON may hold them
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,110}")


def refused(field: str, value: object, allowed: str) -> InvalidRequest:
    """Return the error for an argument that cannot be used."""
    return refusal([Problem(field, value, allowed)])


def bad_setting(field: str, value: object, allowed: str) -> ConfigurationError:
    """Return the error for a setting that cannot be used."""
    return ConfigurationError(f"{field} is {show(value)}; it takes {allowed}")


def setting(field: str, value: _T | None, kind: type[_T]) -> _T:
    """Return a setting of this class, or the default one for None; raise `ConfigurationError` for anything else."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise bad_setting(field, value, f"None or {kind.__name__}(...)")
    return value


def check_methods(field: str, value: object, methods: tuple[str, ...], allowed: str) -> None:
    """Refuse a setting that lacks one of these methods."""
    if not all(callable(getattr(value, name, None)) for name in methods):
        raise bad_setting(field, value, allowed)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether it is a finite number, no boolean, within the range of a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Return whether it is a whole number from ``least`` up."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= sys.maxsize


def is_text(value: object) -> TypeGuard[str]:
    """Return whether it is a text that is not blank and that can be encoded."""
    return isinstance(value, str) and bool(value.strip()) and _UNSENDABLE.search(value) is None


@frozen
class Wanted:
    """What an argument takes: in words, and by a test of its values."""

    allowed: str
    fits: Callable[[object], bool]

    def check(self, field: str, value: object) -> None:
        """Refuse a value that does not fit."""
        if not self.fits(value):
            raise refused(field, value, self.allowed)


def is_priority(value: object) -> TypeGuard[int]:
    """Return whether it is a whole number from -1000 to 1000."""
    return is_count(value, -1000) and value <= 1000  # noqa: PLR2004 - as said


def _is_moment(value: object) -> bool:
    try:
        return value is None or (isinstance(value, datetime) and bool(value.astimezone(UTC)))
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        return False


COUNT = Wanted("a whole number, 1 or more", is_count)
DURATION = Wanted("seconds or a timedelta, more than 0 s", lambda value: is_number(value) and value > 0)
PRIORITY = Wanted("a whole number from -1000 to 1000", is_priority)
GROUP = Wanted(
    "None, or a text of 1 to 200 characters",
    lambda value: value is None or (is_text(value) and len(value) in range(201)),
)
KEY = Wanted(  # becomes a part of an ``X-Client-Request-Id`` ("Request tracing")
    "1 to 110 characters of A-Z a-z 0-9 . _ : -",
    lambda value: value is None or (isinstance(value, str) and _KEY.fullmatch(value) is not None),
)
ID = Wanted("the vendor's id of a generation", is_text)  # opaque
ENDPOINT = Wanted(f"{UNIVERSAL} or {LEGACY}", lambda value: value in (UNIVERSAL, LEGACY))
PATH = Wanted("a path, as a text or a Path", lambda value: bool(value) and (isinstance(value, str) or is_path(value)))
MOMENT = Wanted("a datetime; without a zone it is this machine's time", _is_moment)


def check_callable(field: str, value: object, allowed: str) -> None:
    """Refuse a value that can neither be called nor is None."""
    if value is not None and not callable(value):
        raise refused(field, value, allowed)


def check_items(field: str, value: object, allowed: str) -> None:
    """Refuse a text, and anything else that is not iterable."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise refused(field, value, allowed)


def names(field: str, value: object, choices: Collection[str] = ()) -> tuple[str, ...]:
    """Return one name or several as a tuple, each of ``choices`` if there are any; refuse anything else."""
    allowed = either([repr(choice) for choice in choices]) if choices else "a name, or several in a list"
    if not isinstance(value, str):
        check_items(field, value, allowed)
    several = [value] if isinstance(value, str) else cast("Iterable[object]", value)
    found: list[str] = []
    for name in several:
        if not is_text(name) or (choices and name not in choices):
            raise refused(field, name, allowed)
        found.append(name)
    return tuple(found)


def seconds(value: float | timedelta) -> float:
    """Convert a ``timedelta`` to its seconds; return anything else as it is, for the validator."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def deadline_seconds(deadline: object) -> float | None:
    """Return a deadline, given in seconds or as a ``timedelta``, in seconds; None for no limit."""
    length = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
    if length is None:
        return None
    if not (is_number(length) and length > 0):
        raise refused("deadline", deadline, DURATION.allowed)
    return float(length)


_NOT_OF_A_KEY: tuple[tuple[Callable[[str], object], str], ...] = (
    (lambda key: not key.strip(), "is empty"),
    (lambda key: "\0" in key or "\ufeff" in key or "\ufffd" in key, "is of UTF-16 or no text; save it as plain UTF-8"),
    (
        lambda key: not key.isascii() or not key.isprintable() or " " in key,
        "holds a space, a line break or a character that no key has",
    ),
    (re.compile(r"[\"'`]").search, "is in quotes; give it without them"),
    (re.compile(r"#").search, "holds a comment (#); give the key alone"),
    (re.compile(r"[A-Za-z_]\w*=[^=]").match, "is a setting, NAME=value; give the value alone"),
)


def checked_api_key(key: object, what: str = "the API key") -> str:
    """Return the key; raise `ConfigurationError` if it cannot be one, which says why and never shows it."""
    if not isinstance(key, str):
        raise ConfigurationError(f"{what} is of the type {type(key).__name__}; it takes a text")
    for is_wrong, told in _NOT_OF_A_KEY:
        if is_wrong(key):
            raise ConfigurationError(f"{what} {told}")
    return key
