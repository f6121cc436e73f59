"""The calls of a session about its account: money, requests and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.job_calls import JobCalls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from datetime import datetime

    from kling_async.api.account.billing import Balance, BillingDetail, Transaction
    from kling_async.api.account.estimates import Cost
    from kling_async.api.account.logs import LogEntry
    from kling_async.api.account.models import CatalogueChanges, ModelList
    from kling_async.api.account.usage import AccountUsage, Metrics
    from kling_async.api.requests import Request
    from kling_async.engine.account import Account
    from kling_async.engine.cost_report import CostReport
    from kling_async.engine.job import Job
    from kling_async.journal.base import Record


class AccountCalls(JobCalls):
    """The part of `KlingSession` that is about the account.

    Every call costs nothing, waits for a place among the session's requests, and is tried up to three more times, some
    seconds apart, where an error may pass.
    """

    @property
    def _account(self) -> Account:
        return self._running_engine().account

    async def balance(self) -> Balance:
        """Return the account's balance.

        Raises:
            APIError: The vendor answered with an error.
            TransportError: No usable answer came.
            SessionClosed: The session has not been entered, or has ended.
        """
        return await self._account.balance()

    async def billing_detail(self) -> BillingDetail:
        """Return the balance, the account's owner, and the top-up settings. Raises as `balance` does."""
        return await self._account.billing_detail()

    def transactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        type: str | None = None,  # noqa: A002 - the vendor's name
    ) -> AsyncGenerator[Transaction]:
        """Yield every movement of the account's money, newest first, read a page at a time.

        Arguments are checked at the call; the iteration raises as `balance` does. A generation's charge appears some
        time after its end.

        Args:
            start: The first moment.
            end: The moment after the last.
            direction: ``CHARGE`` for money going out, ``TOPUP`` for money coming in; by default both.
            type: Such as ``MODEL_USAGE``, ``PAYMENT``, ``BONUS``, ``REFUND`` or ``ADJUSTMENT``; by default any.
        """
        return self._account.transactions(start=start, end=end, direction=direction, type=type)

    async def usage(
        self, period: str | None = None, *, start: datetime | None = None, end: datetime | None = None
    ) -> AccountUsage:
        """Return the spending of the session's key over a span of at most 92 days. Raises as `balance` does.

        Args:
            period: The time up to now: a number followed by h or d, such as ``7d``. By default ``24h``.
            start: The first moment, instead of a period, together with ``end``.
            end: The last moment.

        Raises:
            InvalidRequest: The arguments do not make a span of time.
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
        """Yield the requests made with the session's key, newest first, read a page at a time.

        Rows appear late, a generation's once it has ended. Each comes once, even if others push it to a later page.
        The iteration raises as `balance` does.

        Args:
            period: As for `usage`, as are ``start`` and ``end``.
            start: The first moment.
            end: The last moment.
            models: Only requests for these models, by id.
            statuses: Only requests that ``succeeded``, or that ``failed``; by default both.

        Raises:
            InvalidRequest: The arguments do not make a span of time.
            SessionClosed: The session has not been entered, or has ended.
        """
        return self._account.logs(period, start, end, models=models, statuses=statuses)

    async def metrics(self, models: str | Iterable[str] = ()) -> Metrics:
        """Return the present speed of models, as the vendor measured it just now. Raises as `balance` does.

        Args:
            models: Their ids or aliases; by default all. One that completed nothing lately is missing.
        """
        return await self._account.metrics(models)

    async def list_models(
        self, *, include: str | Iterable[str] = ("pricing", "capabilities", "modalities"), ids: str | Iterable[str] = ()
    ) -> ModelList:
        """Return the vendor's live list of all its models, those of other makers included.

        The same list is asked for again by its ETag, and comes from memory if unchanged. Raises as `balance` does.

        Args:
            include: The sections to have: any of ``pricing``, ``capabilities`` and ``modalities``.
            ids: Only these models, by id or alias.
        """
        return await self._account.list_models(include, ids)

    async def list_kling_models(self) -> ModelList:
        """Return Kling's video models as served now, with aliases and prices. Raises as `balance` does."""
        return await self._account.list_kling_models()

    async def catalogue_changes(self) -> CatalogueChanges:
        """Return the models that are new, gone or renamed at the vendor, compared with this library's catalogue.

        The catalogue itself stays as it is; others can be used all the same, unchecked. Raises as `balance` does.
        """
        return await self._account.catalogue_changes()

    async def estimate(self, requests: Request | Iterable[Request]) -> Cost:
        """Return the cost of one or several requests by the vendor's price list, without submitting any.

        The list is read at the first call, and asked for changes at most once an hour. A price that it does not have is
        unknown, and a field that a request leaves to the vendor makes the cost a range. Raises as `balance` does.

        Raises:
            InvalidRequest: A request cannot be submitted.
        """
        return await self._account.estimate(requests)

    async def reconcile_costs(self, jobs: Iterable[Job | Record], *, start: datetime | None = None) -> CostReport:
        """Match jobs with the charges in the account's ledger, by generation id. Raises as `balance` does.

        Args:
            jobs: Jobs, or records such as those of `history`. Those without a generation are left out.
            start: The moment from which the ledger is read. By default an hour before the first job's submit.
        """
        return await self._account.reconcile_costs(jobs, start)
