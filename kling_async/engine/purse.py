"""Notices when an account that was out of credits can pay again."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from kling_async.api.account import balance_request, read_balance
from kling_async.errors import KlingError, OutOfCredits

if TYPE_CHECKING:
    from kling_async.engine.alarm import Alarm
    from kling_async.engine.scheduler import Scheduler
    from kling_async.transport.base import Transport

__all__ = ["Purse"]

_logger = logging.getLogger("kling_async.credit")

_FIRST_GAP, _LONGEST_GAP = 60.0, 600.0  # seconds between looks at the balance; it doubles


class Purse:
    """While submits are stopped for want of credits, looks at the balance now and then; once it rises, they go on."""

    def __init__(self, transport: Transport, scheduler: Scheduler, alarm: Alarm) -> None:
        self._transport = transport
        self._scheduler = scheduler
        self._alarm = alarm

    def is_empty(self) -> None:
        """Submits have been stopped: begin to look."""
        self._alarm.wake()

    async def run(self) -> None:
        """Wait for such times, until cancelled."""
        while True:
            await self._alarm.sleep_until(math.inf)
            if isinstance(self._scheduler.halted, OutOfCredits):
                await self._watch(await self._balance())

    async def _watch(self, lowest: float) -> None:
        gap = _FIRST_GAP
        now = self._scheduler.now()
        while isinstance(self._scheduler.halted, OutOfCredits):
            now = await self._alarm.sleep_until(now + gap)
            gap = min(2 * gap, _LONGEST_GAP)
            balance = await self._balance()
            if lowest < balance < math.inf and isinstance(self._scheduler.halted, OutOfCredits):
                _logger.warning("the account has credits again; submits go on")
                self._scheduler.resume()
            lowest = min(lowest, balance)

    async def _balance(self) -> float:
        """The balance; infinite, which is never a rise nor a low, if it cannot be known."""
        await self._scheduler.turn()
        try:
            return read_balance(await self._transport.send(balance_request()))
        except KlingError as error:
            _logger.info("the balance cannot be known: %s", error)
            return math.inf
