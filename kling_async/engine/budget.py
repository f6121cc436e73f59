"""The spend limit: no submit goes out that could take the sum of all costs past it."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import define

from kling_async.api.parsing import format_usd
from kling_async.engine.job import Milestone
from kling_async.errors import KlingError, SpendLimitReached
from kling_async.journal.base import JobState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from kling_async.api.account.estimates import Estimate
    from kling_async.api.requests import Request
    from kling_async.engine.job import ActiveJob
    from kling_async.journal.base import Record

_logger = logging.getLogger("kling_async.budget")

_ZERO = Decimal(0)


@define(eq=False)
class _Reservation:
    """The most a generation under way may cost."""

    active: ActiveJob
    usd: Decimal


class Budget:
    """Sums up the costs of ended generations and of those under way, in US dollars.

    Generations bought by the journal's earlier sessions count as well. A completed generation counts with the cost the
    vendor stated, or else with its estimate; a failed or refused one costs nothing ("Errors and status codes"); an
    abandoned one counts in full, as its charge may stand. Estimates are upper bounds by the live price list.
    """

    def __init__(
        self,
        limit: Decimal,
        *,
        allow_unpriced: bool,
        price: Callable[[Request], Awaitable[Estimate]],
        history: Callable[[], AsyncIterator[Record]],
        open_jobs: Callable[[], Iterable[ActiveJob]],
    ) -> None:
        self._limit = limit
        self._allow_unpriced = allow_unpriced
        self._price = price
        self._history = history
        self._open_jobs = open_jobs
        self._spent = _ZERO
        self._reservations: dict[str, _Reservation] = {}
        self._reserved = _ZERO  # their sum
        self._is_loaded = False
        self._loading = asyncio.Lock()

    @property
    def spent(self) -> Decimal:
        """The cost of the generations that have ended, in US dollars."""
        return self._spent

    @property
    def reserved(self) -> Decimal:
        """The most that generations under way may cost, in US dollars."""
        return self._reserved

    async def reserve(self, active: ActiveJob) -> KlingError | None:
        """Set aside the cost of a queued job; return the error if it must not be submitted.

        A second call for the same job, as when its submit is retried, replaces the first.
        """
        request = active.record.request
        assert request is not None  # noqa: S101 - only what was requested is submitted
        try:
            await self._load_history()
            price = await self._price(request)
        except KlingError as error:
            return error
        if price.usd is None and not self._allow_unpriced:
            return self._unpriced(price)
        return self._reserve(active, price.usd or _ZERO)

    def _reserve(self, active: ActiveJob, usd: Decimal) -> SpendLimitReached | None:
        self._release(active.record.key)
        active.reserved = self._spent + self._reserved + usd <= self._limit
        if not active.reserved:
            return self._refusal(usd)
        self._set_aside(active, usd)
        return None

    def _set_aside(self, active: ActiveJob, usd: Decimal) -> None:
        """Set an amount aside until the job has settled."""
        self._reservations[active.record.key] = _Reservation(active, usd)
        self._reserved += usd
        settled = active.waiter(Milestone.SETTLED, asyncio.get_running_loop())
        settled.add_done_callback(lambda _: self._settle_up(active))

    def _settle_up(self, active: ActiveJob) -> None:
        """Count the cost of a job that has settled."""
        reservation = self._reservations.get(active.record.key)
        if reservation is not None and reservation.active is active:
            self._release(active.record.key)
            self._spent += _final_cost(active.record, reservation.usd)

    def _release(self, key: str) -> None:
        reservation = self._reservations.pop(key, None)
        if reservation is not None:
            self._reserved -= reservation.usd

    def _refusal(self, usd: Decimal) -> SpendLimitReached:
        message = (
            f"the limit of {format_usd(self._limit)} would be passed: {format_usd(self._spent)} is spent,"
            f" {format_usd(self._reserved)} set aside for what is under way, and the next submit costs up to"
            f" {format_usd(usd)}; nothing was bought for it"
        )
        return SpendLimitReached(
            message,
            limit_usd=self._limit,
            committed_usd=self._spent + self._reserved,
            price_usd=usd,
        )

    def _unpriced(self, price: Estimate) -> SpendLimitReached:
        message = (
            f"with a limit on spending, what is submitted must have a known price: {price.note}; nothing was bought"
        )
        return SpendLimitReached(message, limit_usd=self._limit, committed_usd=self._spent + self._reserved)

    # Earlier sessions

    async def _load_history(self) -> None:
        """Add up the journal's history, once, before anything is bought."""
        async with self._loading:
            if not self._is_loaded:
                self._spent, unknown = await self._count()
                self._is_loaded = True
                if unknown:
                    _logger.warning("generations of earlier sessions whose cost is unknown do not count: %d", unknown)

    async def _count(self) -> tuple[Decimal, int]:
        """Return the sum spent and the number of generations of unknown cost; set open jobs' costs aside."""
        spent, unknown = _ZERO, 0
        active_jobs = {active.record.key: active for active in self._open_jobs()}
        async for record in self._history():
            if not _may_be_bought(record):
                continue
            cost, active = await self._cost(record), active_jobs.get(record.key)
            if active is not None and not active.settled:
                self._release(record.key)
                self._set_aside(active, cost or _ZERO)
            elif cost is None:
                unknown += 1
            else:
                spent += cost
        return spent, unknown

    async def _cost(self, record: Record) -> Decimal | None:
        actual = _actual(record)
        if actual is not None:
            return actual
        return None if record.request is None else (await self._price(record.request)).usd


def _may_be_bought(record: Record) -> bool:
    """Return whether a submit of this journal's may have been accepted without its generation having failed."""
    return record.attempts > 0 and record.state not in (JobState.QUEUED, JobState.REJECTED, JobState.FAILED)


def _actual(record: Record) -> Decimal | None:
    return None if record.video is None else record.video.usage.usd_spent


def _final_cost(record: Record, estimate: Decimal) -> Decimal:
    """Return the cost of a job that has settled; of one that may still be charged, its estimate."""
    sent = record.attempts > 0 and record.state is not JobState.QUEUED
    if not sent or record.state in (JobState.FAILED, JobState.REJECTED):
        return _ZERO
    actual = _actual(record)
    return estimate if actual is None else actual
