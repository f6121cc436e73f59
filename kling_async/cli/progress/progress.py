"""Feed a session's events to the tracker, and refresh the display."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from kling_async import GenerationFailed, Retrying
from kling_async.cli.progress.lines import LineDisplay, render_line
from kling_async.cli.progress.live import LiveDisplay
from kling_async.cli.progress.tracker import ProgressTracker
from kling_async.cli.tags import described, label_for
from kling_async.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from kling_async import Event, KlingSession, Subscription
    from kling_async.cli.progress.tracker import Snapshot
    from kling_async.cli.terminal import Terminal

_SHORTEST = 0.1  # seconds
_BUFFER = 100_000  # events: as many as a whole batch that is submitted in one go


@asynccontextmanager
async def show_progress(
    kling: KlingSession, terminal: Terminal, total: int, *, interval: float = 5.0
) -> AsyncGenerator[ProgressTracker]:
    """Show the progress of a session until the context is left.

    On a terminal this is a live display, of which one line stays; elsewhere a line at intervals, and a last one. What
    `Retry` buys again is told.

    Args:
        kling: The session, entered.
        terminal: The output streams.
        total: The number of jobs.
        interval: Seconds between lines.
    """
    loop = asyncio.get_running_loop()
    tracker = ProgressTracker(total, started=loop.time())
    display = LiveDisplay(terminal) if terminal.is_live else LineDisplay(terminal, interval)

    def snapshot() -> Snapshot:
        return tracker.snapshot(kling.stats(own=True), loop.time(), rows=display.rows)

    async def redraw() -> None:
        while True:
            display.show(snapshot())
            await asyncio.sleep(display.interval)

    last: Snapshot | None = None
    try:
        with display:
            follow = _follow(kling.subscribe(buffer=_BUFFER), tracker, terminal)
            async with _alongside(follow), _alongside(redraw()):
                try:
                    yield tracker
                finally:
                    await asyncio.sleep(0)  # the last events are delivered only now
                    last = snapshot()
    finally:
        if last is not None:  # as it stands when it ends, also by Ctrl-C; the summary says why submits have halted
            mean = last.requests / max(last.elapsed, _SHORTEST)
            line = render_line(evolve(last, per_second=mean, halted=None, left=None))
            if line != display.shown:
                terminal.message(line)


async def _follow(events: Subscription[Event], tracker: ProgressTracker, terminal: Terminal) -> None:
    async for event in events:
        tracker.handle(event)
        if isinstance(event, Retrying) and isinstance(event.error, GenerationFailed):
            label = described(label_for(event.job), event.job.request)
            terminal.message(f"{label}: made again, as its {one_line(event.error.message)}", "yellow")


@asynccontextmanager
async def _alongside(work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    """Run a task while the context lasts; its error is raised at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
