"""Validators of settings: each judges one value, and says what is allowed."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kling_async.api.arguments import bad_setting, is_count, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from attrs import Attribute

__all__ = [
    "above_zero",
    "amount",
    "count",
    "factor",
    "flag",
    "is_rate",
    "not_negative",
    "positive",
    "seconds",
    "share",
    "takes",
    "times",
]


def seconds(value: float | timedelta) -> float:
    """A converter: a ``timedelta`` becomes its seconds. What is neither is left for the validator to refuse."""
    return value.total_seconds() if isinstance(value, timedelta) else value


_SLOWEST = 0.001  # requests per second


def takes(fits: Callable[[Any], bool], allowed: str) -> Callable[[object, Attribute[Any], object], None]:
    """A validator for what fits; of anything else it raises `ConfigurationError` with field, value and allowed."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        if not fits(value):
            raise bad_setting(attribute.name, value, allowed)

    return validate


def _fits_rate(value: object) -> bool:
    return (is_number(value) and value >= _SLOWEST) or (isinstance(value, float) and value == math.inf)


positive = takes(lambda value: is_number(value) and value > 0, "seconds or a timedelta, more than 0 s")
not_negative = takes(lambda value: is_number(value) and value >= 0, "seconds or a timedelta, 0 s or more")
share = takes(lambda value: is_number(value) and 0 <= value < 1, "a number from 0 up to, not including, 1")
"""A share of a whole that is never all of it."""
factor = takes(lambda value: is_number(value) and value > 0, "a finite number, more than 0")
"""What something is multiplied or divided by."""
above_zero = takes(lambda value: is_number(value) and value > 0, "a number above 0")
amount = takes(lambda value: is_number(value) and value >= 0, "a number from 0 up")
is_rate = takes(_fits_rate, f"a number per second, {_SLOWEST} or more, or math.inf")
count = takes(is_count, "a whole number, 1 or more")
times = takes(lambda value: is_count(value, 0), "a whole number, 0 or more")
flag = takes(lambda value: isinstance(value, bool), "True or False")
