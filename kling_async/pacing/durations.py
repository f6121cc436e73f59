"""Durations as callers give them: seconds or a ``timedelta``; inside, always seconds."""

from __future__ import annotations

from datetime import timedelta

from kling_async.api.arguments import is_number
from kling_async.pacing.amounts import takes

__all__ = ["not_negative", "positive", "seconds"]


def seconds(value: float | timedelta) -> float:
    """A converter: a ``timedelta`` becomes its seconds. What is neither is left for the validator to refuse."""
    return value.total_seconds() if isinstance(value, timedelta) else value


positive = takes(lambda value: is_number(value) and value > 0, "seconds or a timedelta, more than 0 s")
not_negative = takes(lambda value: is_number(value) and value >= 0, "seconds or a timedelta, 0 s or more")
