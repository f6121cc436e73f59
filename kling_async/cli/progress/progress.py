"""Feed a session's events to the tracker, and refresh the display."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from kling_async.cli.progress.lines import LineDisplay
from kling_async.cli.progress.live import LiveDisplay
from kling_async.cli.progress.tracker import ProgressTracker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from kling_async import Event, KlingSession, Subscription
    from kling_async.cli.progress.tracker import Snapshot
    from kling_async.cli.terminal import Terminal

_BUFFER = 100_000  # events: as many as a whole batch that is submitted in one go


@asynccontextmanager
async def show_progress(
    kling: KlingSession, terminal: Terminal, total: int, *, time_scale: float = 1.0, interval: float = 5.0
) -> AsyncGenerator[ProgressTracker]:
    """Show the progress of a session until the context is left.

    On a terminal this is a live display, removed at the end; elsewhere a line at intervals, and a last one.

    Args:
        kling: The session, entered.
        terminal: The output streams.
        total: The number of jobs.
        time_scale: The factor on the catalogue's durations.
        interval: Seconds between lines.
    """
    loop = asyncio.get_running_loop()
    tracker = ProgressTracker(total, started=loop.time(), time_scale=time_scale)
    display = LiveDisplay(terminal) if terminal.is_live else LineDisplay(terminal, interval)

    def snapshot() -> Snapshot:
        return tracker.snapshot(kling.stats(own=True), loop.time(), rows=display.rows)

    async def redraw() -> None:
        while True:
            display.show(snapshot())
            await asyncio.sleep(display.interval)

    with display:
        async with _alongside(_follow(kling.subscribe(buffer=_BUFFER), tracker)), _alongside(redraw()):
            yield tracker
            await asyncio.sleep(0)  # the last events are delivered only now
            display.show(evolve(snapshot(), halted=None, left=None))  # the summary says why submits have halted


async def _follow(events: Subscription[Event], tracker: ProgressTracker) -> None:
    async for event in events:
        tracker.handle(event)


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
