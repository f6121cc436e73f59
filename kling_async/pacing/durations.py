"""Durations as callers give them: seconds or a ``timedelta``; inside, always seconds as a float."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["seconds"]


def seconds(name: str, *, zero: bool = False) -> Callable[[float | timedelta], float]:
    """A converter for the setting of this name: positive and finite, or with ``zero`` not negative.

    Raises:
        ConfigurationError: From the converter, naming the setting, the value and what is allowed.
    """

    def convert(value: float | timedelta) -> float:
        length = value.total_seconds() if isinstance(value, timedelta) else value
        allowed = "0 s or more" if zero else "more than 0 s"
        if isinstance(length, bool) or not isinstance(length, int | float) or not math.isfinite(length):
            raise ConfigurationError(f"{name} is {value!r}; it takes seconds or a timedelta, {allowed}")
        if length < 0 or (length == 0 and not zero):
            raise ConfigurationError(f"{name} is {value!r}; it takes {allowed}")
        return float(length)

    return convert
