"""Calls about the account: money, requests, models and prices; each waits for a place among the requests."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from kling_async.api.account.billing import (
    balance_request,
    detail_request,
    read_balance,
    read_detail,
    read_transactions,
    transactions_request,
)
from kling_async.api.account.estimates import Cost, Estimate, estimate
from kling_async.api.account.logs import LogReading, logs_request, read_logs
from kling_async.api.account.models import ModelList, changes, models_request, read_models
from kling_async.api.account.usage import (
    check_span,
    metrics_request,
    read_metrics,
    read_usage,
    span_query,
    usage_request,
)
from kling_async.api.arguments import MOMENT, Wanted, check_items, is_text, names, refused
from kling_async.api.catalogue.problems import either
from kling_async.api.protocol import answers, malformed
from kling_async.api.requests import Request
from kling_async.engine.cost_report import billable, match_charges
from kling_async.engine.tasks import sleep_until
from kling_async.errors import KlingError, MalformedResponse, RateLimited
from kling_async.journal.base import JobState
from kling_async.pacing.backoff import Backoff
from kling_async.pacing.rate_limiter import Gcra

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from decimal import Decimal
    from random import Random

    from kling_async.api.account.billing import Balance, BillingDetail, Transaction
    from kling_async.api.account.logs import LogEntry
    from kling_async.api.account.models import CatalogueChanges
    from kling_async.api.account.usage import AccountUsage, Metrics
    from kling_async.api.messages import HttpRequest, HttpResponse
    from kling_async.engine.cost_report import CostReport
    from kling_async.engine.job import Job
    from kling_async.engine.limiter import RequestLimiter
    from kling_async.engine.tasks import Clock
    from kling_async.journal.base import Record
    from kling_async.transport.base import Transport

_T = TypeVar("_T")

_TRIES = 4
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds before a call is made again
_PRICES_FRESH = 3600.0  # seconds for which a list of prices is used without asking again
_PRICED = ("pricing",)
_SECTIONS = ("pricing", "capabilities", "modalities")
_DIRECTIONS, _STATUSES = ("CHARGE", "TOPUP"), ("succeeded", "failed")
_NOT_MODIFIED = 304
_CLOCK_SKEW = timedelta(hours=1)  # by which this machine's clock and the vendor's may differ

# "Usage Logs" allows 200 requests in 60 s; this leaves room in every window.
_PAGES_PER_SECOND, _PAGES_AT_ONCE = 2.0, 40


@frozen(eq=False)
class _CachedList:
    """A list of models as it was last read."""

    models: ModelList
    etag: str | None
    read_at: float


class Account:
    """Makes the calls about the account. They cost nothing, so errors that may pass are retried."""

    def __init__(
        self,
        transport: Transport,
        limiter: RequestLimiter,
        clock: Clock,
        *,
        rng: Random,
        check_open: Callable[[], object],
        seen_charges: Callable[[str], Sequence[Transaction]],
    ) -> None:
        self._transport = transport
        self._limiter = limiter
        self._now = clock.now
        self._backoff = Backoff(base=_FIRST_WAIT, cap=_LONGEST_WAIT, rng=rng)
        self._check_open = check_open  # raises once the session has ended
        self._seen_charges = seen_charges  # of a generation, as the completion feed has met them
        self._log_rate = Gcra(_PAGES_PER_SECOND, _PAGES_AT_ONCE)
        self._cached: dict[str, _CachedList] = {}  # lists of models by their targets
        self._list_lock = asyncio.Lock()  # a call that comes while a list is being read takes that one

    # Money

    async def balance(self) -> Balance:
        """Return the balance."""
        return await self._ask(balance_request(), read_balance)

    async def billing_detail(self) -> BillingDetail:
        """Return the balance and the top-up settings."""
        return await self._ask(detail_request(), read_detail)

    async def usage(self, period: str | None, start: datetime | None, end: datetime | None) -> AccountUsage:
        """Return the key's spending over a span of time."""
        return await self._ask(usage_request(span_query(period, start, end)), read_usage)

    def transactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        type: str | None = None,  # noqa: A002 - the vendor's name
    ) -> AsyncGenerator[Transaction]:
        """Yield the ledger, newest first; entries made meanwhile are neither repeated nor missed."""
        check_span(start, end)
        if direction is not None and direction not in _DIRECTIONS:
            raise refused("direction", direction, either([*map(repr, _DIRECTIONS)]))
        if type is not None:
            Wanted("a type of the vendor's, such as 'MODEL_USAGE'", is_text).check("type", type)
        return self._transactions(start, end, direction, type)

    async def _transactions(
        self, start: datetime | None, end: datetime | None, direction: str | None, kind: str | None
    ) -> AsyncGenerator[Transaction]:
        cursor: str | None = None
        used = set[str]()
        while True:
            message = transactions_request(start=start, end=end, direction=direction, type=kind, cursor=cursor)
            page = await self._ask(message, read_transactions)
            for row in page.rows:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in used:
                raise MalformedResponse("the pages of the ledger lead in a circle")
            used.add(cursor)

    async def reconcile_costs(self, jobs: Iterable[Job | Record], start: datetime | None) -> CostReport:
        """Match jobs with the ledger's charges."""
        check_items("jobs", jobs, "jobs, or records of them")
        MOMENT.check("start", start)
        known = billable(jobs)
        if not known:
            return match_charges(known, (), {})
        if start is None and (seen := self._seen(known)) is not None:
            return match_charges(known, seen, await self._prices(known))
        if start is None and (begun := [job.submitted_at for job in known if job.submitted_at is not None]):
            start = datetime.fromtimestamp(min(begun), UTC) - _CLOCK_SKEW
        charges = self.transactions(start=start, direction="CHARGE", type="MODEL_USAGE")
        ledger = [entry async for entry in charges]
        return match_charges(known, ledger, await self._prices(known))

    def _seen(self, jobs: list[Record]) -> list[Transaction] | None:
        """Return the charges of these jobs that the completion feed has met; None if one may be missing."""
        seen = {job.key: self._seen_charges(job.generation_id or "") for job in jobs}
        if any(not seen[job.key] and job.state is not JobState.FAILED for job in jobs):
            return None
        return [charge for charges in seen.values() for charge in charges]

    async def _prices(self, jobs: list[Record]) -> dict[str, Decimal | None]:
        return {job.key: (await self.price(job.request)).usd for job in jobs if job.request is not None}

    # Requests

    def logs(
        self,
        period: str | None,
        start: datetime | None,
        end: datetime | None,
        *,
        models: str | Iterable[str],
        statuses: str | Iterable[str],
    ) -> AsyncGenerator[LogEntry]:
        """Yield the log of requests, newest first."""
        return self._logs(
            span_query(period, start, end), names("models", models), names("statuses", statuses, _STATUSES)
        )

    async def _logs(
        self, period_query: Mapping[str, str], models: tuple[str, ...], statuses: tuple[str, ...]
    ) -> AsyncGenerator[LogEntry]:
        reading = LogReading()
        while not reading.ended:
            for row in await self.read_log(reading, period_query, models=models, statuses=statuses):
                yield row

    async def read_log(
        self,
        reading: LogReading,
        period_query: Mapping[str, str],
        *,
        models: tuple[str, ...] = (),
        statuses: tuple[str, ...] = (),
        tries: int = _TRIES,
    ) -> list[LogEntry]:
        """Return the rows of a reading's next page; a refused page is asked for again, ``tries`` times in all."""
        name = f"log:{secrets.token_hex(8)}"
        message = logs_request(period_query, reading.offset, models=models, statuses=statuses, name=name)
        read = partial(read_logs, offset=reading.offset)
        return reading.take(await self._ask(message, read, tries=tries, limit=self._log_rate))

    async def metrics(self, models: str | Iterable[str]) -> Metrics:
        """Return the speed of models."""
        return await self._ask(metrics_request(names("models", models)), read_metrics)

    # Models and their prices

    async def list_models(self, include: str | Iterable[str], ids: str | Iterable[str]) -> ModelList:
        """Return the live list of models."""
        return await self._model_list(names("include", include, _SECTIONS), names("ids", ids))

    async def _model_list(self, include: tuple[str, ...], ids: tuple[str, ...], *, fresh: float = 0.0) -> ModelList:
        """Return the list as it was at most ``fresh`` seconds ago, asked for by its ETag once it is known."""
        message = models_request(include, ids)
        async with self._list_lock:
            cached = self._cached.get(message.target)
            if cached is not None and self._now() - cached.read_at < fresh:
                return cached.models
            etag = None if cached is None else cached.etag
            latest = await self._ask(models_request(include, ids, etag), partial(self._read_list, cached))
            self._cached[message.target] = latest
            return latest.models

    def _read_list(self, cached: _CachedList | None, response: HttpResponse) -> _CachedList:
        now = self._now()
        if cached is not None and response.status == _NOT_MODIFIED:
            return evolve(cached, read_at=now)
        return _CachedList(read_models(response), response.headers.get("etag"), now)

    async def list_kling_models(self) -> ModelList:
        """Return Kling's video models as the vendor lists them now, with their prices."""
        listing = await self._model_list(_PRICED, ())
        return ModelList(tuple(model for model in listing if model.is_kling_video))

    async def catalogue_changes(self) -> CatalogueChanges:
        """Return the differences between the vendor's list and the catalogue."""
        return changes(await self._model_list(_PRICED, ()))

    async def estimate(self, requests: Request | Iterable[Request]) -> Cost:
        """Return the cost of these requests by the vendor's price list."""
        one = "a request, such as TextToVideo(...), or several"
        if not isinstance(requests, Request):
            check_items("requests", requests, one)
        asked = [requests] if isinstance(requests, Request) else list(requests)
        for request in asked:
            if not isinstance(request, Request):
                raise refused("requests", request, one)
            request.check()
        listing = await self._model_list(_PRICED, (), fresh=_PRICES_FRESH)
        return Cost.of(estimate(request, listing) for request in asked)

    async def model_names(self, model: str) -> tuple[str, ...]:
        """Return the id and the aliases of the model of this name; only this name if the vendor does not list it."""
        found = (await self._model_list(_PRICED, (), fresh=_PRICES_FRESH)).find(model)
        return (model,) if found is None else found.names

    async def price(self, request: Request) -> Estimate:
        """Return the cost of this request by the vendor's price list."""
        return estimate(request, await self._model_list(_PRICED, (), fresh=_PRICES_FRESH))

    # Asking

    async def _ask(
        self,
        message: HttpRequest,
        read: Callable[[HttpResponse], _T],
        *,
        tries: int = _TRIES,
        limit: Gcra | None = None,
    ) -> _T:
        """Send until there is an answer, or an error that will not pass. Every try counts towards ``limit``, if any."""
        for attempt in range(tries - 1):
            try:
                return await self._ask_once(message, read, limit)
            except KlingError as error:
                if not error.retryable:
                    raise
                await sleep_until(self._now() + self._wait_after(attempt, error))
        return await self._ask_once(message, read, limit)

    async def _ask_once(self, message: HttpRequest, read: Callable[[HttpResponse], _T], limit: Gcra | None) -> _T:
        if limit is not None:
            await sleep_until(limit.reserve(self._now()))
        await self._limiter.acquire()
        self._check_open()
        response = await self._transport.send(message)
        if not answers(response, message):
            raise malformed(response, "the answer to another request")
        return read(response)

    def _wait_after(self, attempt: int, error: KlingError) -> float:
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(max(error.retry_after, 0.0), _LONGEST_WAIT)
        return self._backoff.wait(attempt)
