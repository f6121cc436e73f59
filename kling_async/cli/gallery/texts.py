"""Texts, sizes and JSON made safe to show on the page."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 20_000  # characters: several times the longest prompt a model takes
_UNSHOWABLE = (
    {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}  # the pictures of control characters
    | {0x7F: "\u2421"}
    | dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
)


def visible(text: str) -> str:
    """Make control characters visible and replace what no file or browser takes; the result is not escaped."""
    return text.replace("\r\n", "\n").translate(_UNSHOWABLE)


def without_media(value: object) -> Any:  # noqa: ANN401 - JSON data has no narrower type
    """Replace every file in JSON data by a short description."""
    if isinstance(value, dict):
        return {str(name): without_media(member) for name, member in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [without_media(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, bytes):
        return _described("a file", value)
    if isinstance(value, PurePath):
        return str(value)
    return _without_uri(value) if isinstance(value, str) else value


def _without_uri(text: str) -> str:
    if text[:5].lower() == "data:":
        head, _, content = text[5:].partition(",")
        kind, *marks = head.split(";")
        return _described(kind or "a file", content.encode("utf-8", "surrogatepass"), is_base64="base64" in marks)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def _described(kind: str, content: bytes, *, is_base64: bool = False) -> str:
    length = len(content) * 3 // 4 if is_base64 else len(content)
    return f"<{kind[:60]}, {size(length)} inline, sha256 {hashlib.sha256(content).hexdigest()[:12]}>"


def flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the members of JSON data by dotted names, as texts."""
    if isinstance(value, dict):
        for part, member in cast("dict[object, object]", value).items():
            yield from flat(member, f"{name}.{part}" if name else str(part))
    else:
        yield name, label(value)


def label(value: object) -> str:
    """Format JSON data in one line: a text as it is, nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def as_json(value: object) -> str:
    """Format JSON data with indentation."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def finite(value: float | None) -> float | None:
    """Return the number, or None for one that JSON has not."""
    return value if value is not None and math.isfinite(value) else None


def size(number: float) -> str:
    """Format a number of bytes: ``512 B``, ``38 KB``, ``1.2 MB`` or ``3.4 GB``, by thousands."""
    for unit in ("B", "KB", "MB"):
        if number < 999.5:  # noqa: PLR2004 - what would be shown as 1000
            return f"{number:.1f} {unit}" if unit == "MB" and number < 10 else f"{number:.0f} {unit}"  # noqa: PLR2004 - one or two figures
        number /= 1000
    return f"{number:.1f} GB"
