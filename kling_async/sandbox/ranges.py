"""Which part of a file a request asks for (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["asked_range"]

_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def asked_range(headers: Mapping[str, str], size: int, etag: str) -> range | None:
    """The bytes asked for: None for the file as a whole, an empty range for what lies outside it.

    Several ranges at once, an unreadable one, and one whose ``If-Range`` names another file count as none.
    """
    match = _ONE_RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first:
        return None if last and int(last) < int(first) else range(size)[int(first) : int(last) + 1 if last else size]
    return range(size)[max(0, size - int(last)) :] if last else None
