"""Durations as callers give them: seconds or a ``timedelta``; inside, always seconds."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard

from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["not_negative", "positive", "seconds"]


def seconds(value: float | timedelta) -> float:
    """A converter: a ``timedelta`` becomes its seconds. What is neither is left for the validator to refuse."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def positive(_: object, attribute: Attribute[Any], value: object) -> None:
    """A validator for a duration that must be finite and more than 0 s.

    Raises:
        ConfigurationError: Naming the setting, the value and what is allowed.
    """
    if not _is_finite(value) or value <= 0:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes seconds or a timedelta, more than 0 s")


def not_negative(_: object, attribute: Attribute[Any], value: object) -> None:
    """A validator for a duration that must be finite and 0 s or more.

    Raises:
        ConfigurationError: Naming the setting, the value and what is allowed.
    """
    if not _is_finite(value) or value < 0:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes seconds or a timedelta, 0 s or more")


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
