"""The balance as second opinion: whether an answer concerns every job, and when a halt of submits is over."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from kling_async.api.account.billing import Opinion, balance_request, read_balance, second_opinion
from kling_async.errors import GatewayError, KlingError, MalformedResponse, OutOfCredits

if TYPE_CHECKING:
    from decimal import Decimal

    from kling_async.engine.limiter import RequestLimiter
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.tasks import Clock
    from kling_async.errors import APIError
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.credit")

_FIRST_GAP, _LONGEST_GAP = 60.0, 600.0  # seconds between checks of the balance; it doubles


class Confirmation:
    """Asks for the balance when an answer says that the key is bad, the credits are out, or the address is wrong.

    One request is under way at a time; callers that come before it was begun share its answer.
    """

    def __init__(self, transport: Transport, limiter: RequestLimiter, clock: Clock) -> None:
        self._transport = transport
        self._limiter = limiter
        self._now = clock.now
        self._asking = asyncio.Lock()
        self._answered_at = -math.inf
        self._balance_answer: Decimal | KlingError = MalformedResponse("the balance was not asked for yet")

    async def opinion(self, refusal: APIError) -> Opinion:
        """Ask for the balance, and return what it says about this refusal."""
        asked_at = self._now()
        async with self._asking:
            if self._answered_at < asked_at:
                self._balance_answer = await self._balance()
                self._answered_at = self._now()
            return second_opinion(refusal, self._balance_answer)

    async def confirms(self, refusal: APIError) -> bool:
        """Return whether the balance confirms this refusal, so that it concerns every job."""
        return await self.opinion(refusal) is Opinion.CONFIRMED

    async def _balance(self) -> Decimal | KlingError:
        await self._limiter.acquire()
        try:
            return read_balance(await self._transport.send(balance_request())).usd
        except KlingError as error:
            return error


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
