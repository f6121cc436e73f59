"""Progress as plain lines, for pipes and log files."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from kling_async.cli.text import clock, count, dollars

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kling_async.cli.progress.tracker import Snapshot
    from kling_async.cli.terminal import Terminal

__all__ = ["LineDisplay", "line"]

_LONGEST = 80  # characters of a reason that is told in full elsewhere


class LineDisplay:
    """Says now and then how far it is: one line each time, without control characters.

    Args:
        terminal: Where to.
        interval: The time from one line to the next, in seconds.
    """

    rows = 0
    """A line has no room for single jobs."""

    def __init__(self, terminal: Terminal, interval: float) -> None:
        self.interval = interval
        self._terminal = terminal

    def show(self, view: Snapshot) -> None:
        """Say it."""
        self._terminal.say(line(view))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def line(view: Snapshot) -> str:
    """How far it is, in one line."""
    counts = ", ".join(f"{number:,} {stage}" for stage, number in view.counts)
    sent = f"{count(view.requests, 'request')}, {view.per_second:.1f}/s, {view.throttled:,} refused (429)"
    parts = [f"{clock(view.elapsed)}  {view.finished:,} of {view.total:,}", counts, sent]
    if view.told_first:
        parts.append(f"{view.told_first:,} told by the ledger")
    if view.spent:
        parts.append(f"{dollars(view.spent)} spent")
    if view.halted is not None:
        parts.append(f"no more submits: {shorten(view.halted, _LONGEST, placeholder='...')}")
    elif view.left is not None and view.finished < view.total:
        parts.append(f"about {clock(view.left)} left")
    return "; ".join(parts)
