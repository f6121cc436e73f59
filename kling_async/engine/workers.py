"""A pool of workers that grows with the work under way and is then reused: jobs are not tasks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from kling_async.engine.watch import Watch

__all__ = ["Workers"]


_STRIDE = 64  # pieces of work in a row before a worker lets others have the loop


class Workers:
    """Runs one piece of work per watch; whoever gives the work bounds how much of it is under way.

    A worker that has become free asks for more at once, which saves a turn of the loop, and waits if there is none.
    """

    def __init__(
        self,
        group: TaskGroup,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[Watch], Awaitable[None]],
        more: Callable[[], Watch | None],
    ) -> None:
        self._group = group
        self._loop = loop
        self._work = work
        self._more = more
        self._idle: list[asyncio.Future[Watch]] = []  # the last to become idle is the first to work

    def give(self, watch: Watch) -> None:
        """Have a worker take this up: an idle one, or else a new one."""
        while self._idle:
            call = self._idle.pop()
            if not call.done():  # its worker may have been cancelled, as when the session closes
                call.set_result(watch)
                return
        self._group.start_soon(self._serve, watch, name="kling_async worker")

    async def _serve(self, watch: Watch) -> None:
        served = 0
        while True:
            await self._work(watch)
            served += 1
            if served % _STRIDE == 0:
                await asyncio.sleep(0)
            watch = self._more() or await self._called()

    def _called(self) -> asyncio.Future[Watch]:
        call: asyncio.Future[Watch] = self._loop.create_future()
        self._idle.append(call)
        return call
