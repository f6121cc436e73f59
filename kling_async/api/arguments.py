"""The arguments of a session's methods, checked before anything is begun."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, TypeGuard

from kling_async.api.fields import Problem, refusal
from kling_async.api.protocol import LEGACY, UNIVERSAL

if TYPE_CHECKING:
    from kling_async.errors import InvalidRequest

__all__ = ["check_count", "check_endpoint", "check_id", "check_key", "patience", "refused"]

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,110}")


def refused(field: str, value: object, allowed: str) -> InvalidRequest:
    """The error for an argument that cannot be used."""
    return refusal([Problem(field, value, allowed)])


def check_key(key: object) -> None:
    """A job's key becomes part of an ``X-Client-Request-Id``, which takes only these characters ("Request tracing")."""
    if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise refused("key", key, "1 to 110 characters of A-Z a-z 0-9 . _ : -")


def check_id(generation_id: object) -> None:
    """Generation ids are opaque: any text may be one."""
    if not (isinstance(generation_id, str) and generation_id.strip()):
        raise refused("generation_id", generation_id, "the vendor's id of a generation")


def check_endpoint(endpoint: object) -> None:
    """Generations are asked about where they were submitted."""
    if endpoint not in (UNIVERSAL, LEGACY):
        raise refused("endpoint", endpoint, f"{UNIVERSAL} or {LEGACY}")


def check_count(field: str, value: object) -> None:
    """A number of things."""
    if isinstance(value, bool) or not (isinstance(value, int) and value >= 1):
        raise refused(field, value, "a whole number, 1 or more")


def patience(deadline: object) -> float | None:
    """How long a caller waits at most, in seconds; None for no limit."""
    if deadline is None:
        return None
    seconds = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
    if not (_is_number(seconds) and 0 < seconds < float("inf")):
        raise refused("deadline", deadline, "seconds or a timedelta, more than 0 s")
    return float(seconds)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
