"""Checks of the arguments of public calls and of settings, before anything is begun.

A ``check_`` function raises `InvalidRequest` with the argument's name, its value and what is allowed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeGuard, TypeVar, cast

from kling_async.api.catalogue.problems import Problem, either, refusal
from kling_async.api.media import is_path
from kling_async.api.protocol import LEGACY, UNIVERSAL
from kling_async.api.reprs import show
from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from kling_async.errors import InvalidRequest

COUNT = "a whole number, 1 or more"
PRIORITY = "a whole number from -1000 to 1000"
GROUP = "None, or a text of 1 to 200 characters"
DURATION = "seconds or a timedelta, more than 0 s"

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
    """Return a setting of this class as it was given, or the default one for None.

    Raises:
        ConfigurationError: It is something else.
    """
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


def check_key(key: object) -> None:
    """Refuse a key that an ``X-Client-Request-Id``, of which it becomes a part, cannot hold ("Request tracing")."""
    if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise refused("key", key, "1 to 110 characters of A-Z a-z 0-9 . _ : -")


def check_line(priority: object, group: object) -> None:
    """Refuse a priority or a group that cannot be used."""
    if not is_priority(priority):
        raise refused("priority", priority, PRIORITY)
    if not is_group(group):
        raise refused("group", group, GROUP)


def is_priority(value: object) -> TypeGuard[int]:
    """Return whether it is a whole number from -1000 to 1000."""
    return isinstance(value, int) and not isinstance(value, bool) and value in range(-1000, 1001)


def is_group(value: object) -> TypeGuard[str | None]:
    """Return whether it is None, or a text of up to 200 characters."""
    return value is None or (is_text(value) and len(value) in range(201))


def check_id(generation_id: object) -> None:
    """Refuse an id that is no text, or blank; ids are opaque, so any other text may be one."""
    check_text("generation_id", generation_id, "the vendor's id of a generation")


def check_text(field: str, value: object, allowed: str) -> None:
    """Refuse a text that is blank or cannot be encoded."""
    if not is_text(value):
        raise refused(field, value, allowed)


def check_endpoint(endpoint: object) -> None:
    """Refuse a path other than the two that generations are submitted to and polled at."""
    if endpoint not in (UNIVERSAL, LEGACY):
        raise refused("endpoint", endpoint, f"{UNIVERSAL} or {LEGACY}")


def check_count(field: str, value: object) -> None:
    """Refuse a number of things that is no whole number, or less than 1."""
    if not is_count(value):
        raise refused(field, value, COUNT)


def check_callable(field: str, value: object, allowed: str) -> None:
    """Refuse a value that can neither be called nor is None."""
    if value is not None and not callable(value):
        raise refused(field, value, allowed)


def check_path(field: str, value: object) -> None:
    """Refuse a path that is neither a text nor a ``Path``; the file system has its say when it is used."""
    if not value or not (isinstance(value, str) or is_path(value)):
        raise refused(field, value, "a path, as a text or a Path")


def check_moment(field: str, value: object) -> None:
    """Refuse a moment that the vendor cannot be asked about; None is taken."""
    allowed = "a datetime; without a zone it is this machine's time"
    if value is None:
        return
    if not isinstance(value, datetime):
        raise refused(field, value, allowed)
    try:
        value.astimezone(UTC)
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        raise refused(field, value, allowed) from None


def check_items(field: str, value: object, allowed: str) -> None:
    """Refuse a text, and anything else that is not iterable."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise refused(field, value, allowed)


def names(field: str, value: object, choices: Collection[str] = ()) -> tuple[str, ...]:
    """Return names as a tuple, a single one given by itself included; each of ``choices``, if there are any.

    Raises:
        InvalidRequest: It is something else.
    """
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
        raise refused("deadline", deadline, DURATION)
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
    """Return the key unless it cannot be one, as a blank or quoted text.

    Raises:
        ConfigurationError: It cannot be one; the message says why, and never shows it.
    """
    if not isinstance(key, str):
        raise ConfigurationError(f"{what} is of the type {type(key).__name__}; it takes a text")
    for is_wrong, told in _NOT_OF_A_KEY:
        if is_wrong(key):
            raise ConfigurationError(f"{what} {told}")
    return key
