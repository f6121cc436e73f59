"""The clock, sleeping and waking, and tasks: the background task of a session, and a pool of workers."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from anyio import CancelScope

from kling_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from anyio.abc import TaskGroup


T = TypeVar("T")


def is_own_cancellation(error: BaseException) -> bool:
    """Return whether this is a cancellation of the current task, not of something it awaited, such as a shared future.

    The cancellation of an awaited object is a failure like any other, and must not end this task.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


class Clock:
    """The loop's clock, by which a session acts, and the wall clock, by which it records.

    Attributes:
        loop: The loop the session was entered on.
        now: The loop's time as an instant in seconds; it never goes back.
        wall: The time as a POSIX timestamp in seconds; it may be set at any time.
    """

    __slots__ = ("loop", "now", "wall")

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: Callable[[], float]) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.now: Callable[[], float] = loop.time
        self.wall: Callable[[], float] = wall

    def to_instant(self, wall: float) -> float:
        """Convert a POSIX timestamp to an instant, as the two clocks stand now."""
        return self.now() + (wall - self.wall())

    def to_wall(self, instant: float) -> float:
        """Convert an instant to a POSIX timestamp, as the two clocks stand now."""
        return self.wall() + (instant - self.now())

    def to_datetime(self, instant: float) -> datetime:
        """Convert an instant to a moment in UTC, as the two clocks stand now."""
        return datetime.fromtimestamp(self.to_wall(instant), UTC)


class Wakeup:
    """Lets one task sleep until an instant of the loop's time, or until another wakes it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleeper: asyncio.Future[None] | None = None
        self._until = -math.inf  # minus infinity while awake
        self._woken = False  # woken while awake, so that the next sleep ends at once

    async def sleep_until(self, instant: float) -> float:
        """Sleep until the instant, for ever if it is infinite, or until woken; return the time.

        The time returned is never before an instant that was slept through: a loop may fire a timer a clock tick early,
        and a caller that compares instants would go back to sleep.
        """
        if not self._woken:
            await self._sleep(instant)
        woken, self._woken = self._woken, False
        return self._clock.now() if woken else max(self._clock.now(), instant)

    async def _sleep(self, instant: float) -> None:
        self._sleeper = self._clock.loop.create_future()
        self._until = instant
        timer = None if instant == math.inf else self._clock.loop.call_at(instant, self._resolve)
        try:
            await self._sleeper
        finally:
            self._until = -math.inf
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Wake the sleeper now, or have its next sleep end at once."""
        self._woken = True
        self._resolve()

    def wake_by(self, instant: float) -> None:
        """Wake the sleeper if it would sleep past this instant."""
        if instant < self._until or self._until == -math.inf:
            self.wake()

    def _resolve(self) -> None:
        if self._sleeper is not None:
            _resolve(self._sleeper)


async def sleep_until(instant: float) -> None:
    """Sleep until an instant of the loop's time; not at all if it has passed."""
    loop = asyncio.get_running_loop()
    if instant <= loop.time():
        return
    future: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(instant, _resolve, future)
    try:
        await future
    finally:
        timer.cancel()


def _resolve(sleeper: asyncio.Future[None]) -> None:
    # The sleeper may have been cancelled in this turn of the loop, too late to cancel its timer.
    if not sleeper.done():
        sleeper.set_result(None)


class BackgroundTask:
    """Runs ``main(ready, stop)``: it calls ``ready()`` when it has started, and ends soon after ``stop`` is set.

    Task groups and cancel scopes belong to the task that opens them. A session may be entered in one task and left in
    another, so it opens its task groups in this one.
    """

    def __init__(self, main: Callable[[Callable[[], None], asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        self.failure: BaseException | None = None  # what it ended with, if start() did not raise it
        self._main = main
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it has started; raise what kept it from starting. If cancelled, it leaves nothing running."""
        self._task = asyncio.create_task(self._run(), name="kling_async session")
        # If the start fails, `ready` is never called.
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
        """Have it end, and return once it has. If cancelled, it cancels the task, and still returns only at its end.

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
                # A cancelled scope cancels every await in it, again and again. The task still ends in order; only a
                # cancellation that comes now hastens it.
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
        except Exception as failure:  # noqa: BLE001 - start() or stop() raises it
            self.failure = failure
        except BaseExceptionGroup as group:
            # An interrupt of a task in here is raised by the event loop itself.
            rest = group.split((KeyboardInterrupt, SystemExit))[1]
            self.failure = None if rest is None else _first(rest)


def _first(error: BaseException) -> BaseException:
    """Return the first exception in a group that is not a group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


Wait: TypeAlias = "Callable[[], Awaitable[T]]"
"""What a worker awaits, while it has nothing to do, for its next item."""


class WorkerPool(Generic[T]):
    """Runs workers in tasks that are made as needed and then reused; the caller of `give` bounds their number.

    A worker is a coroutine function of its first item: it works on one item after another until it is cancelled, and
    waits for those that it does not find itself by what it is given as its second argument.
    """

    def __init__(
        self,
        group: TaskGroup,
        loop: asyncio.AbstractEventLoop,
        worker: Callable[[T, Wait[T]], Coroutine[Any, Any, None]],
    ) -> None:
        self._group = group
        self._loop = loop
        self._worker = worker
        self._idle: list[asyncio.Future[T]] = []  # the last to become idle is the first to work

    def give(self, item: T) -> None:
        """Hand an item to an idle worker, or else to a new one."""
        while self._idle:
            future = self._idle.pop()
            if not future.done():  # its worker may have been cancelled, as when the session closes
                future.set_result(item)
                return
        self._group.start_soon(self._worker, item, self._next_item, name="kling_async worker")

    def _next_item(self) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        self._idle.append(future)
        return future
