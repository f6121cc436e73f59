"""A task of one's own, started from one task and ended from any."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from anyio import CancelScope

from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Runner"]


class Runner:
    """Runs ``main(ready, stop)``: it calls ``ready()`` when it has started, and ends soon after ``stop`` is set.

    Task groups and cancel scopes belong to the task that opens them. A session is entered and left by its callers from
    tasks of all sorts, so it opens none of its own there, but keeps them in here.
    """

    def __init__(self, main: Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        self.failure: BaseException | None = None  # what it ended with, if start() did not raise it
        self._main = main
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it has started; raise what kept it from starting. Cancelled, it leaves nothing running."""
        self._task = asyncio.create_task(self._run(), name="kling_async session")
        # A start that failed must not wait for ever.
        self._task.add_done_callback(lambda _: self._ready.set())
        try:
            await self._ready.wait()
        except asyncio.CancelledError:
            self._task.cancel()
            await self.stop()
            raise
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    async def stop(self) -> None:
        """Have it end, and return once it has; cancelled, it has it end at once, and still returns only then.

        Raises:
            ConfigurationError: It runs on another event loop.
        """
        if self._task is None or self._task.done():
            return
        if self._task.get_loop() is not asyncio.get_running_loop():
            raise ConfigurationError("a session is closed on the event loop it was entered on")
        self._stop.set()
        interruption: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                # A cancelled scope cancels whatever is awaited in it, again and again. Who got here through one still
                # wants an end in good order; only a cancellation that comes now hastens it.
                with CancelScope(shield=True):
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
        except Exception as failure:  # noqa: BLE001 - whoever starts or stops it is to have it
            self.failure = failure
        except BaseExceptionGroup as group:
            # An interrupt that struck a task in here has come out of the loop itself.
            rest = group.split((KeyboardInterrupt, SystemExit))[1]
            self.failure = None if rest is None else _first(rest)


def _first(error: BaseException) -> BaseException:
    """The first exception in a group that is not a group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
