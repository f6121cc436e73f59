"""Reads the account's ledger when the completion feed asks for it, and has what it shows polled at once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kling_async.api.account.billing import read_transactions, transactions_request
from kling_async.api.protocol import bare_id
from kling_async.engine.stats import FeedStats
from kling_async.errors import KlingError, MalformedResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kling_async.api.account.billing import Transaction, TransactionPage
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.limiter import RequestLimiter
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.tasks import Clock
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.pacing.tracking import GenerationTracker
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.feed")

_KEPT = 10_000  # generations whose charges are remembered


class LedgerReader:
    """Makes the requests for which `CompletionFeed` says when. At most one is under way.

    A charge only ever has its generation polled sooner: a job ends by what its poll says, whatever the ledger shows.
    Whatever goes wrong here switches the feed off for a while, and concerns no job.

    Attributes:
        feed: Decides when to look, and what an entry means.
    """

    def __init__(
        self, feed: CompletionFeed, transport: Transport, limiter: RequestLimiter, queue: JobQueue, clock: Clock
    ) -> None:
        self.feed = feed
        self._pages = 0  # asked for
        self._transport = transport
        self._limiter = limiter
        self._queue = queue
        self._now = clock.now
        self._charges: dict[str, list[Transaction]] = {}  # of this session's generations, the oldest first

    def begin(self, now: float) -> None:
        """Count a look as under way, so that `look` is called only once."""
        self.feed.begin_look(now)

    async def look(self) -> None:
        """Read what is new in the ledger; to be called after `begin`. Raises nothing but a cancellation."""
        try:
            await self._read_pages()
        except Exception as error:  # a mistake in here must not end the session either
            is_mistake = not isinstance(error, KlingError)
            if self.feed.failed(self._now()) or is_mistake:
                _logger.warning(
                    "the account's ledger cannot be read, so each generation is asked about by itself: %s",
                    error,
                    exc_info=error if is_mistake else None,
                )
        finally:
            self._queue.changed.wake()

    async def _read_pages(self) -> None:
        cursor: str | None = None
        used = set[str]()
        while True:
            page = await self._ask(cursor)
            self._take(page)
            cursor = page.next_cursor
            if cursor is None or not self.feed.goes_on:
                return
            if cursor in used:
                raise MalformedResponse("the pages of the ledger lead in a circle")
            used.add(cursor)

    async def _ask(self, cursor: str | None) -> TransactionPage:
        await self._limiter.acquire()
        self._pages += 1
        request = transactions_request(direction="CHARGE", type="MODEL_USAGE", cursor=cursor)
        return read_transactions(await self._transport.send(request))

    def _take(self, page: TransactionPage) -> None:
        charged = [(bare_id(row.reference_id), row) for row in page.rows if row.is_charge and row.reference_id]
        for generation_id, row in charged:
            if self._queue.find(generation_id) is not None or self.feed.awaits(generation_id):
                self._keep(generation_id, row)
        ids = dict.fromkeys(generation_id for generation_id, _ in charged)
        for generation_id in self.feed.page(ids, self._find, last=page.next_cursor is None):
            self._queue.show(generation_id)

    def _find(self, generation_id: str) -> GenerationTracker | None:
        active = self._queue.find(generation_id)
        return None if active is None else active.tracker

    def _keep(self, generation_id: str, row: Transaction) -> None:
        kept = self._charges.setdefault(generation_id, [])
        if row not in kept:  # a page is read again as long as nothing pushes it down
            kept.append(row)
        if len(self._charges) > _KEPT:
            del self._charges[next(iter(self._charges))]

    def ended(self, active: ActiveJob, begun: float, *, completed: bool) -> None:
        """Count a generation that a poll begun at that instant found completed or failed."""
        if active.tracker is not None and active.record.generation_id is not None:
            self.feed.polled(active.tracker, bare_id(active.record.generation_id), begun, completed=completed)

    def charges(self, generation_id: str) -> Sequence[Transaction]:
        """Return what the ledger was seen to have for a generation of this session; empty if nothing was seen."""
        return self._charges.get(bare_id(generation_id), ())

    def stats(self) -> FeedStats:
        """Return what was learned of the ledger, in numbers."""
        lag = self.feed.lag
        return FeedStats(
            leads=lag.leads,
            lag=lag.mean,
            told_first=self.feed.told_first,
            unrecorded=lag.unrecorded,
            pages=self._pages,
        )
