"""What a session asks about its account: money, requests and models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime

    from kling_async.api.account.billing import Balance, BillingDetail, Transaction
    from kling_async.api.account.estimates import Cost
    from kling_async.api.account.logs import LogEntry
    from kling_async.api.account.metrics import Metrics
    from kling_async.api.account.models import CatalogueChanges, ModelList
    from kling_async.api.account.usage import AccountUsage
    from kling_async.api.requests import Request
    from kling_async.engine.account import Account
    from kling_async.engine.cost_report import CostReport
    from kling_async.engine.job import Job
    from kling_async.journal.base import Record

__all__ = ["AccountCalls"]


class AccountCalls(ABC):
    """The part of `KlingSession` that is about the account.

    Every call costs nothing, waits for a place among the session's requests, and is tried up to three more times, some
    seconds apart, where an error may pass.
    """

    @property
    @abstractmethod
    def _account(self) -> Account:
        """The open session's account.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
        """

    async def balance(self) -> Balance:
        """What is left on the account.

        This and the other questions about the account cost nothing and take their turns with the polls. Trouble that
        may pass is met with up to three more tries, some seconds apart.

        Raises:
            APIError: The vendor answered with an error.
            TransportError: No usable answer came.
            SessionClosed: The session has not been entered, or has ended.
        """
        return await self._account.balance()

    async def billing_detail(self) -> BillingDetail:
        """What is left on the account, whose it is, and how it is topped up. Raises as `balance` does."""
        return await self._account.billing_detail()

    def transactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        type: str | None = None,  # noqa: A002 - the vendor's name
    ) -> AsyncGenerator[Transaction]:
        """Every movement of the account's money, newest first, read a page at a time while it is iterated.

        This is what balances are made of; a generation's charge appears some time after it has completed.

        Args:
            start: From when on.
            end: Until before when.
            direction: ``CHARGE`` for money going out, ``TOPUP`` for money coming in; by default both.
            type: Such as ``MODEL_USAGE``, ``PAYMENT``, ``BONUS``, ``REFUND`` or ``ADJUSTMENT``; by default any.

        Raises:
            KlingError: From the iteration, as `balance` does.
            SessionClosed: The session has not been entered, or has ended.
        """
        return self._account.transactions(start=start, end=end, direction=direction, type=type)

    async def usage(
        self, period: str | None = None, *, start: datetime | None = None, end: datetime | None = None
    ) -> AccountUsage:
        """What the session's key has spent over a stretch of time of at most 92 days.

        Args:
            period: Up to now: a number followed by h or d, such as ``7d``. By default ``24h``.
            start: From when on, instead of a period, together with ``end``.
            end: Until when.

        Raises:
            InvalidRequest: The arguments do not make a stretch of time.
            KlingError: As `balance` does.
        """
        return await self._account.usage(period, start, end)

    def logs(
        self,
        period: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        models: str | Iterable[str] = (),
        statuses: str | Iterable[str] = (),
    ) -> AsyncGenerator[LogEntry]:
        """The requests made with the session's key, newest first, read a page at a time while it is iterated.

        Rows appear late, a generation's once it has ended. Each comes once, even if others push it to a later page.

        Args:
            period: As for `usage`, as are ``start`` and ``end``.
            start: From when on.
            end: Until when.
            models: Only requests for these models, by id.
            statuses: Only requests that ``succeeded``, or that ``failed``; by default both.

        Raises:
            InvalidRequest: The arguments do not make a stretch of time.
            KlingError: From the iteration, as `balance` does.
            SessionClosed: The session has not been entered, or has ended.
        """
        return self._account.logs(period, start, end, models=models, statuses=statuses)

    async def metrics(self, models: str | Iterable[str] = ()) -> Metrics:
        """How fast models are at the moment, by what the vendor measured in the last minutes.

        Args:
            models: Their ids or aliases; by default all. One that completed nothing lately is missing.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._account.metrics(models)

    async def list_models(
        self,
        *,
        include: str | Iterable[str] = ("pricing", "capabilities", "modalities"),
        ids: str | Iterable[str] = (),
    ) -> ModelList:
        """The vendor's live list of all its models, those of other makers included.

        The same question is asked again by its ETag, and answered from memory if nothing has changed.

        Args:
            include: Which sections to have: any of ``pricing``, ``capabilities`` and ``modalities``.
            ids: Only these models, by id or alias.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._account.list_models(include, ids)

    async def list_kling_models(self) -> ModelList:
        """Kling's video models as the vendor serves them now, with their aliases and prices.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._account.list_kling_models()

    async def catalogue_changes(self) -> CatalogueChanges:
        """Which models are new, gone or renamed at the vendor, held against the catalogue of this library.

        The catalogue itself stays as it is: what it does not know can be used all the same, unchecked.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._account.catalogue_changes()

    async def estimate(self, requests: Request | Iterable[Request]) -> Cost:
        """What one or several requests would cost by the vendor's price list, without sending any.

        The list is read at the first question, and asked for changes at most once an hour. What it does not tell is
        said to be unknown, and what a request leaves to the vendor makes the cost a range.

        Raises:
            InvalidRequest: A request cannot be submitted.
            KlingError: As `balance` does.
        """
        return await self._account.estimate(requests)

    async def reconcile_costs(self, jobs: Iterable[Job | Record], *, start: datetime | None = None) -> CostReport:
        """Hold jobs against the account's ledger, by generation id.

        Args:
            jobs: Jobs, or records such as those of `history`. Those without a generation are left out.
            start: From when on the ledger is read. By default from an hour before the first of the jobs was submitted.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._account.reconcile_costs(jobs, start)
