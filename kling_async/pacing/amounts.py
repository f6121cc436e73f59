"""Plain numbers as callers give them: shares of something, and factors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeGuard

from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["factor", "share"]


def share(_: object, attribute: Attribute[Any], value: object) -> None:
    """A validator for a share of a whole that is never all of it.

    Raises:
        ConfigurationError: Naming the setting, the value and what is allowed.
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a number from 0 up to, not including, 1")


def factor(_: object, attribute: Attribute[Any], value: object) -> None:
    """A validator for what something is multiplied or divided by.

    Raises:
        ConfigurationError: Naming the setting, the value and what is allowed.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(f"{attribute.name} is {value!r}; it takes a finite number, more than 0")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
