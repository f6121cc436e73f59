"""Requests and files, counted."""

from __future__ import annotations

from attrs import define

__all__ = ["Tally"]


@define(eq=False)
class Tally:
    """Requests counted as they are begun, and files that come in."""

    submits: int = 0
    polls: int = 0
    throttled: int = 0
    calls: int = 0
    downloading: int = 0
    downloaded: int = 0
    downloaded_bytes: int = 0
