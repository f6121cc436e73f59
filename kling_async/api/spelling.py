"""Guesses at what a misspelt name was meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["close_names", "did_you_mean"]


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """The up to three known names most like this one, best first; none where nothing is close."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only once something is misspelt

    return get_close_matches(name[:200], list(known), n=3, cutoff=0.7)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message that offers the closest known name; empty where nothing is close."""
    close = close_names(name, known)
    return f" (did you mean {close[0]}?)" if close else ""
