"""Suggestions for misspelt names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 200  # of a name that is looked at


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the up to three known names most like this one, best first; none where nothing is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only once something is misspelt

    return get_close_matches(name[:_LONGEST], list(known), n=3, cutoff=0.7)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that offers the closest known name; empty where nothing is close."""
    close = close_names(name, known)
    return f" (did you mean {close[0]}?)" if close else ""


@lru_cache(maxsize=256)  # ten thousand rows may have one and the same typing error
def misspelt(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name from which this one differs only in letters of similar words, or in case; else None."""
    parts = _parts(name[:_LONGEST])
    return next((other for other in close_names(name.lower(), known) if _are_alike(parts, _parts(other))), None)


def _parts(name: str) -> list[str]:
    """Return a name's words, and what stands between them."""
    return re.findall(r"[a-z]+|[^a-z]+", name.lower())


def _are_alike(parts: list[str], others: list[str]) -> bool:
    pairs = [(part, other) for part, other in zip(parts, others, strict=False) if part != other]
    return len(parts) == len(others) and all(part.isalpha() and close_names(part, [other]) for part, other in pairs)
