"""Ends a halt of submits once the account has credits again, or once the vendor answers again."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from kling_async.api.account.billing import Opinion
from kling_async.errors import GatewayError, OutOfCredits

if TYPE_CHECKING:
    from kling_async.engine.confirmation import Confirmation
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.tasks import Clock

_logger = logging.getLogger("kling_async.credit")

_FIRST_GAP, _LONGEST_GAP = 60.0, 600.0  # seconds between checks of the balance; it doubles


class CreditMonitor:
    """Checks the balance at growing gaps while `OutOfCredits` or `GatewayError` halts submits; lets them go on."""

    def __init__(self, confirmation: Confirmation, queue: JobQueue, clock: Clock) -> None:
        self._confirmation = confirmation
        self._queue = queue
        self._clock = clock

    async def run(self) -> None:
        """Wait for halts, until cancelled."""
        while True:
            await self._queue.halts.sleep_until(math.inf)
            await self._wait_for_credit()

    async def _wait_for_credit(self) -> None:
        gap = _FIRST_GAP
        due = self._clock.now() + gap
        while isinstance(refusal := self._queue.halted, OutOfCredits | GatewayError):
            now = await self._queue.halts.sleep_until(due)
            if now < due:  # woken early: another submit was refused as well
                continue
            gap = min(2 * gap, _LONGEST_GAP)
            due = now + gap
            opinion = await self._confirmation.opinion(refusal)
            if opinion is Opinion.DENIED and self._queue.halted is refusal:
                _logger.warning("the vendor answers, and the account can pay; submits go on")
                self._queue.resume()
