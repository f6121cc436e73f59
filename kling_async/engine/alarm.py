"""Sleeping until an instant, or until there is a reason to look again."""

from __future__ import annotations

import asyncio
import math

__all__ = ["Alarm", "sleep_until"]


class Alarm:
    """One sleeper that others may wake. Instants are the loop's time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sleeper: asyncio.Future[None] | None = None
        self._until = -math.inf  # asleep until then; minus infinity while awake
        self._rung = False  # woken while awake, so that the next sleep ends at once

    async def sleep_until(self, instant: float) -> float:
        """Sleep until the instant, for ever if it is infinite, or until woken; returns the time.

        The time returned is never before an instant that was slept through: a loop may fire a timer a clock tick early,
        and whoever compares instants must not be sent back to sleep for it.
        """
        if not self._rung:
            await self._sleep(instant)
        woken, self._rung = self._rung, False
        return self._loop.time() if woken else max(self._loop.time(), instant)

    async def _sleep(self, instant: float) -> None:
        self._sleeper = self._loop.create_future()
        self._until = instant
        timer = None if instant == math.inf else self._loop.call_at(instant, self._ring)
        try:
            await self._sleeper
        finally:
            self._until = -math.inf
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Wake the sleeper now, or keep it from its next sleep."""
        self._rung = True
        self._ring()

    def wake_by(self, instant: float) -> None:
        """Wake the sleeper if it would otherwise sleep past this instant."""
        if instant < self._until or self._until == -math.inf:
            self.wake()

    def _ring(self) -> None:
        if self._sleeper is not None:
            _awaken(self._sleeper)


async def sleep_until(instant: float) -> None:
    """Sleep until an instant of the loop's time; not at all if it has passed."""
    loop = asyncio.get_running_loop()
    if instant <= loop.time():
        return
    future: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(instant, _awaken, future)
    try:
        await future
    finally:
        timer.cancel()


def _awaken(sleeper: asyncio.Future[None]) -> None:
    # It may have been cancelled in this very turn of the loop, too late for its timer to be.
    if not sleeper.done():
        sleeper.set_result(None)
