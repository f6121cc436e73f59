"""A pool of workers that grows with the work under way and is then reused: jobs are not tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from kling_async.engine.watch import Watch

__all__ = ["Workers"]


class Workers:
    """Runs one piece of work per watch; whoever gives the work bounds how much of it is under way."""

    def __init__(
        self,
        group: TaskGroup,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[Watch], Awaitable[None]],
    ) -> None:
        self._group = group
        self._loop = loop
        self._work = work
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
        while True:
            await self._work(watch)
            call: asyncio.Future[Watch] = self._loop.create_future()
            self._idle.append(call)
            watch = await call
