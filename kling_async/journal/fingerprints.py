"""Which texts are known, at eight bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fingerprints"]


class Fingerprints:
    """A set of texts that remembers only their hashes: it never denies one that it was given.

    With 100,000 texts it takes 0.8 MB where a set of them takes 15, and once in 10¹⁴ times it finds a strange one.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._early = array("q", sorted(map(hash, texts)))
        self._late: set[int] = set()

    def add(self, text: str) -> None:
        """Remember a text."""
        self._late.add(hash(text))

    def __contains__(self, text: str) -> bool:
        mark = hash(text)
        place = bisect_left(self._early, mark)
        return (place < len(self._early) and self._early[place] == mark) or mark in self._late
