"""Validators for attrs fields of settings: each raises `ConfigurationError` with field, value and what is allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from kling_async.api.arguments import COUNT, DURATION, bad_setting, is_count, is_number, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from attrs import Attribute

__all__ = [
    "count",
    "flag",
    "is_rate",
    "non_negative_duration",
    "non_negative_number",
    "positive_duration",
    "positive_number",
    "seconds",
    "share",
    "takes",
    "times",
]


Validator: TypeAlias = "Callable[[object, Attribute[Any], object], None]"
_SLOWEST = 0.001  # requests per second


def takes(fits: Callable[[Any], bool], allowed: str) -> Validator:
    """Return a validator that raises `ConfigurationError`, with field, value and ``allowed``, for what does not fit."""

    def validate(_: object, attribute: Attribute[Any], value: object) -> None:
        if not fits(value):
            raise bad_setting(attribute.name, value, allowed)

    return validate


def _fits_rate(value: object) -> bool:
    return (is_number(value) and value >= _SLOWEST) or (isinstance(value, float) and value == math.inf)


positive_duration: Validator = takes(lambda value: is_number(value) and value > 0, DURATION.allowed)
non_negative_duration: Validator = takes(
    lambda value: is_number(value) and value >= 0, "seconds or a timedelta, 0 s or more"
)
share: Validator = takes(lambda value: is_number(value) and 0 <= value < 1, "a number from 0 up to, not including, 1")
positive_number: Validator = takes(lambda value: is_number(value) and value > 0, "a finite number, more than 0")
non_negative_number: Validator = takes(lambda value: is_number(value) and value >= 0, "a number from 0 up")
is_rate: Validator = takes(_fits_rate, f"a number per second, {_SLOWEST} or more, or math.inf")
count: Validator = takes(is_count, COUNT.allowed)
times: Validator = takes(lambda value: is_count(value, 0), "a whole number, 0 or more")
flag: Validator = takes(lambda value: isinstance(value, bool), "True or False")
