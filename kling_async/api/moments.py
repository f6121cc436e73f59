"""Moments of wall-clock time, as the vendor writes them and as it takes them."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["read_moment", "stamp"]


def read_moment(value: object) -> datetime | None:
    """An ISO 8601 text, or seconds since the epoch, as a moment that knows its zone; None where it is unreadable.

    What has no offset is taken for UTC, as the vendor takes it ("API Key Usage").
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def stamp(moment: datetime) -> str:
    """A moment as the vendor takes it: ISO 8601 in UTC. One without a zone is this machine's time, as Python has it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
