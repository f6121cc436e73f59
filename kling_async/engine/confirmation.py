"""A second, different request before one answer stops every job."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from kling_async.api.account.billing import balance_request, read_balance, second_opinion
from kling_async.errors import KlingError, MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kling_async.api.account.billing import Opinion
    from kling_async.errors import APIError
    from kling_async.transport.base import Transport

__all__ = ["Confirmation"]


class Confirmation:
    """Asks for the balance where an answer says that the key is bad, the credits are out, or the address is wrong.

    One request is under way at a time, and whoever comes meanwhile shares what it brings. ``turn`` waits for a place
    among the session's requests.
    """

    def __init__(self, transport: Transport, turn: Callable[[], Awaitable[None]], now: Callable[[], float]) -> None:
        self._transport = transport
        self._turn = turn
        self._now = now
        self._asking = asyncio.Lock()
        self._told_at = -math.inf
        self._told: float | KlingError = MalformedResponse("nobody has asked yet")

    async def opinion(self, refusal: APIError) -> Opinion:
        """What the account's balance, asked for now, says of this refusal."""
        came = self._now()
        async with self._asking:
            if self._told_at < came:
                self._told = await self._balance()
                self._told_at = self._now()
            return second_opinion(refusal, self._told)

    async def _balance(self) -> float | KlingError:
        await self._turn()
        try:
            return read_balance(await self._transport.send(balance_request()))
        except KlingError as error:
            return error
