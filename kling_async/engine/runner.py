"""A task of one's own, started from one task and ended from any."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Runner"]


class Runner:
    """Runs ``main(ready, stop)``: it calls ``ready()`` when it has started, and ends soon after ``stop`` is set.

    Task groups and cancel scopes belong to the task that opens them. A session is entered and left by its callers from
    tasks of all sorts, so it opens none of its own there, but keeps them in here.
    """

    def __init__(self, main: Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        self._main = main
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it has started; raise what kept it from starting. Cancelled, it leaves nothing running."""
        self._task = asyncio.create_task(self._run(), name="kling_async session")
        try:
            await self._ready.wait()
        except asyncio.CancelledError:
            self._task.cancel()
            await self.stop()
            raise
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Have it end, and return once it has; cancelled, it has it end at once, and still returns only then."""
        self._stop.set()
        interruption: asyncio.CancelledError | None = None
        while self._task is not None and not self._task.done():
            try:
                await asyncio.wait({self._task})
            except asyncio.CancelledError as cancellation:
                if interruption is None:
                    self._task.cancel()
                interruption = cancellation
        if interruption is not None:
            raise interruption

    async def _run(self) -> None:
        try:
            await self._main(self._ready.set, self._stop)
        finally:
            # A start that failed must not wait for ever; a turn of the loop later the task is done.
            asyncio.get_running_loop().call_soon(self._ready.set)
