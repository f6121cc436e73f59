"""What a session asks about its account: each call takes its turn with the polls."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from kling_async.api.account.billing import (
    balance_request,
    detail_request,
    read_detail,
    read_statement,
    read_transactions,
    transactions_request,
)
from kling_async.api.account.estimates import Cost, Estimate, estimate
from kling_async.api.account.logs import LogReading, logbook_request, read_logbook
from kling_async.api.account.metrics import metrics_request, read_metrics
from kling_async.api.account.models import ModelList, changes, models_request, read_models
from kling_async.api.account.usage import check_span, read_usage, span, usage_request
from kling_async.api.arguments import check_items, check_moment, check_text, names, refused
from kling_async.api.catalogue.spec import either
from kling_async.api.requests import Request
from kling_async.engine.cost_report import bought, join
from kling_async.engine.tasks import sleep_until
from kling_async.errors import KlingError, MalformedResponse, RateLimited
from kling_async.journal.base import JobState
from kling_async.pacing.backoff import full_jitter
from kling_async.pacing.rate_limiter import Gcra

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from decimal import Decimal
    from random import Random

    from kling_async.api.account.billing import Balance, BillingDetail, Transaction
    from kling_async.api.account.logs import LogEntry
    from kling_async.api.account.metrics import Metrics
    from kling_async.api.account.models import CatalogueChanges
    from kling_async.api.account.usage import AccountUsage
    from kling_async.api.messages import HttpRequest, HttpResponse
    from kling_async.engine.cost_report import BillableJob, CostReport
    from kling_async.engine.job import Job
    from kling_async.engine.limiter import RequestLimiter
    from kling_async.engine.tasks import Clock
    from kling_async.journal.base import Record
    from kling_async.transport.base import Transport

__all__ = ["Account"]

_T = TypeVar("_T")

_TRIES = 4
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds before a call is made again
_FRESH = 3600.0  # how long prices are taken for the present ones without asking, in seconds
_PRICED = ("pricing",)
_SECTIONS = ("pricing", "capabilities", "modalities")
_DIRECTIONS, _STATUSES = ("CHARGE", "TOPUP"), ("succeeded", "failed")
_NOT_MODIFIED = 304
_BEFORE = timedelta(hours=1)  # how far this machine's clock and the vendor's may be apart

# "Usage Logs" allows 200 requests in 60 s; this leaves room in every window.
_PAGES_PER_SECOND, _PAGES_AT_ONCE = 2.0, 40


@frozen(eq=False)
class _Kept:
    """A list of models as it was last heard of."""

    listing: ModelList
    etag: str | None
    at: float


class Account:
    """Asks about money, models and what was done. All of it costs nothing, so that passing trouble is tried again."""

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
        self._rng = rng
        self._check_open = check_open  # raises once the session has ended
        self._seen_charges = seen_charges  # of a generation, as the completion feed has met them
        self._log_rate = Gcra(_PAGES_PER_SECOND, _PAGES_AT_ONCE)
        self._kept: dict[str, _Kept] = {}  # lists of models, by what was asked for
        self._asking = asyncio.Lock()  # who comes while a list is on its way takes that one

    # Money

    async def balance(self) -> Balance:
        """What is left."""
        return await self._ask(balance_request(), read_statement)

    async def billing_detail(self) -> BillingDetail:
        """What is left, and how it is topped up."""
        return await self._ask(detail_request(), read_detail)

    async def usage(self, period: str | None, start: datetime | None, end: datetime | None) -> AccountUsage:
        """What was spent over a stretch of time."""
        return await self._ask(usage_request(span(period, start, end)), read_usage)

    def transactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        type: str | None = None,  # noqa: A002 - the vendor's name
    ) -> AsyncGenerator[Transaction]:
        """The ledger, newest first. Entries that are made meanwhile do not disturb it."""
        check_span(start, end)
        if direction is not None and direction not in _DIRECTIONS:
            raise refused("direction", direction, either([*map(repr, _DIRECTIONS)]))
        if type is not None:
            check_text("type", type, "a type of the vendor's, such as 'MODEL_USAGE'")
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
        """Jobs beside the ledger."""
        check_items("jobs", jobs, "jobs, or records of them")
        check_moment("start", start)
        known = bought(jobs)
        if not known:
            return join(known, (), {})
        if start is None and (seen := self._seen(known)) is not None:
            return join(known, seen, await self._prices(known))
        if start is None and (begun := [job.since for job in known if job.since is not None]):
            start = datetime.fromtimestamp(min(begun), UTC) - _BEFORE
        charges = self.transactions(start=start, direction="CHARGE", type="MODEL_USAGE")
        ledger = [entry async for entry in charges]
        return join(known, ledger, await self._prices(known))

    def _seen(self, jobs: list[BillableJob]) -> list[Transaction] | None:
        """What the completion feed has met of these jobs' charges; None if one may have a charge that it has not."""
        seen = {job.generation_id: self._seen_charges(job.generation_id) for job in jobs}
        if any(not seen[job.generation_id] and job.state is not JobState.FAILED for job in jobs):
            return None
        return [charge for charges in seen.values() for charge in charges]

    async def _prices(self, jobs: list[BillableJob]) -> dict[str, Decimal | None]:
        return {job.key: (await self.price(job.request)).usd for job in jobs if job.request is not None}

    # What was done

    def logs(
        self,
        period: str | None,
        start: datetime | None,
        end: datetime | None,
        *,
        models: str | Iterable[str],
        statuses: str | Iterable[str],
    ) -> AsyncGenerator[LogEntry]:
        """The log, newest first."""
        return self._logs(span(period, start, end), names("models", models), names("statuses", statuses, _STATUSES))

    async def _logs(
        self, stretch: Mapping[str, str], models: tuple[str, ...], statuses: tuple[str, ...]
    ) -> AsyncGenerator[LogEntry]:
        reading = LogReading()
        while not reading.ended:
            for row in await self.read_log(reading, stretch, models=models, statuses=statuses):
                yield row

    async def read_log(
        self,
        reading: LogReading,
        stretch: Mapping[str, str],
        *,
        models: tuple[str, ...] = (),
        statuses: tuple[str, ...] = (),
        tries: int = _TRIES,
    ) -> list[LogEntry]:
        """The rows of a reading's next page. One that is refused is asked for again where it stood, ever later."""
        message = logbook_request(stretch, reading.offset, models=models, statuses=statuses)
        read = partial(read_logbook, offset=reading.offset)
        return reading.take(await self._ask(message, read, tries=tries, limit=self._log_rate))

    async def metrics(self, models: str | Iterable[str]) -> Metrics:
        """How fast models are."""
        return await self._ask(metrics_request(names("models", models)), read_metrics)

    # Models and their prices

    async def catalogue(self, include: str | Iterable[str], ids: str | Iterable[str]) -> ModelList:
        """The live list of models."""
        return await self._listing(names("include", include, _SECTIONS), names("ids", ids))

    async def _listing(self, include: tuple[str, ...], ids: tuple[str, ...], *, fresh: float = 0.0) -> ModelList:
        """The list as it was at most so many seconds ago; asked for by its ETag once it is known."""
        plain = models_request(include, ids)
        async with self._asking:
            kept = self._kept.get(plain.target)
            if kept is not None and self._now() - kept.at < fresh:
                return kept.listing
            etag = None if kept is None else kept.etag
            newest = await self._ask(models_request(include, ids, etag), partial(self._newest, kept))
            self._kept[plain.target] = newest
            return newest.listing

    def _newest(self, kept: _Kept | None, response: HttpResponse) -> _Kept:
        now = self._now()
        if kept is not None and response.status == _NOT_MODIFIED:
            return evolve(kept, at=now)
        return _Kept(read_models(response), response.headers.get("etag"), now)

    async def models(self) -> ModelList:
        """Kling's video models as the vendor lists them now, with their prices."""
        listing = await self._listing(_PRICED, ())
        return ModelList(tuple(model for model in listing if model.is_kling_video))

    async def refresh_models(self) -> CatalogueChanges:
        """How the vendor's list differs from the catalogue."""
        return changes(await self._listing(_PRICED, ()))

    async def estimate(self, requests: Request | Iterable[Request]) -> Cost:
        """What these requests would cost."""
        one = "a request, such as TextToVideo(...), or several"
        if not isinstance(requests, Request):
            check_items("requests", requests, one)
        asked = [requests] if isinstance(requests, Request) else list(requests)
        for request in asked:
            if not isinstance(request, Request):
                raise refused("requests", request, one)
            request.check()
        listing = await self._listing(_PRICED, (), fresh=_FRESH)
        return Cost.of(estimate(request, listing) for request in asked)

    async def names_of(self, model: str) -> tuple[str, ...]:
        """The id and the aliases of the model of this name; only that name if the vendor lists no such model."""
        found = (await self._listing(_PRICED, (), fresh=_FRESH)).find(model)
        return (model,) if found is None else found.names

    async def price(self, request: Request) -> Estimate:
        """What this request would cost."""
        return estimate(request, await self._listing(_PRICED, (), fresh=_FRESH))

    # Asking

    async def _ask(
        self,
        message: HttpRequest,
        read: Callable[[HttpResponse], _T],
        *,
        tries: int = _TRIES,
        limit: Gcra | None = None,
    ) -> _T:
        """Ask until there is an answer, or trouble that does not pass. Every try counts towards the limit, if any."""
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
        return read(await self._transport.send(message))

    def _wait_after(self, attempt: int, error: KlingError) -> float:
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(max(error.retry_after, 0.0), _LONGEST_WAIT)
        return full_jitter(attempt, base=_FIRST_WAIT, cap=_LONGEST_WAIT, rng=self._rng)
