"""Shows how far a session is, while it works."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kling_async.cli.progress.lines import LineDisplay
from kling_async.cli.progress.live import LiveDisplay
from kling_async.cli.progress.tracker import ProgressTracker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

    from kling_async import KlingSession, Subscription
    from kling_async.cli.terminal import Terminal

__all__ = ["progress"]

_BUFFER = 100_000  # events: as many as a whole batch that is submitted in one go


@asynccontextmanager
async def progress(
    kling: KlingSession, terminal: Terminal, total: int, *, pace: float = 1.0, interval: float = 5.0
) -> AsyncGenerator[ProgressTracker]:
    """Show how far a session is with its jobs and their files, until the context is left.

    On a terminal that is one picture, wiped away at the end; elsewhere a line now and then, and a last one.

    Args:
        kling: The session, entered.
        terminal: Where to show it.
        total: How many jobs there will be.
        pace: How long generations take here, as a share of what the catalogue says.
        interval: The time from one line to the next, in seconds.
    """
    loop = asyncio.get_running_loop()
    board = ProgressTracker(total, started=loop.time(), pace=pace)
    surface = LiveDisplay(terminal) if terminal.is_live else LineDisplay(terminal, interval)

    def show() -> None:
        surface.show(board.view(kling.stats(), loop.time(), rows=surface.rows))

    async def redraw() -> None:
        while True:
            show()
            await asyncio.sleep(surface.interval)

    with surface:
        async with _alongside(_follow(kling.subscribe(buffer=_BUFFER), board)), _alongside(redraw()):
            yield board
            await asyncio.sleep(0)  # what happened last is still to be heard of
            show()


async def _follow(events: Subscription, board: ProgressTracker) -> None:
    async for event in events:
        board.take(event)


@asynccontextmanager
async def _alongside(work: Coroutine[object, object, None]) -> AsyncGenerator[None]:
    """Have something run while the context lasts; what it raises comes out at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
