"""Progress as plain lines, for pipes and log files."""

from __future__ import annotations

from contextlib import nullcontext
from textwrap import shorten
from typing import TYPE_CHECKING

from kling_async.cli.text import clock, count, dollars

if TYPE_CHECKING:
    from kling_async.cli.progress.tracker import Snapshot
    from kling_async.cli.terminal import Terminal

_LONGEST = 80  # characters of a reason; a warning has it in full


class LineDisplay(nullcontext[None]):
    """Prints a line of progress at intervals, without control characters.

    Args:
        terminal: The output streams.
        interval: Seconds between lines.
    """

    rows = 0
    """Single jobs are not shown."""
    shown: str = ""
    """The line that was printed last."""

    def __init__(self, terminal: Terminal, interval: float) -> None:
        super().__init__()
        self.interval = interval
        self._terminal = terminal

    def show(self, snapshot: Snapshot) -> None:
        """Print a line."""
        self.shown = render_line(snapshot)
        self._terminal.message(self.shown)


def render_line(snapshot: Snapshot) -> str:
    """Format a snapshot in one line."""
    counts = ", ".join(f"{number:,} {stage}" for stage, number in snapshot.counts)
    sent = f"{count(snapshot.requests, 'request')}, {snapshot.per_second:.1f}/s"
    if snapshot.throttled:
        sent += f", {snapshot.throttled:,} refused (429)"
    parts = [f"{clock(snapshot.elapsed)}  {snapshot.finished:,} of {snapshot.total:,}", counts, sent]
    if snapshot.ledger:
        parts.append(snapshot.ledger)
    if snapshot.spent:
        parts.append(f"{dollars(snapshot.spent)} spent")
    if snapshot.halted is not None:
        parts.append(f"no more submits: {shorten(snapshot.halted, _LONGEST, placeholder='...')}")
    elif snapshot.left is not None and snapshot.finished < snapshot.total:
        parts.append(f"about {clock(snapshot.left)} left")
    return "; ".join(filter(None, parts))
