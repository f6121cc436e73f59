"""Builds the parts of a session, and runs them from its start to its end."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

import anyio

from kling_async.api.protocol import UNIVERSAL, fetch_request, read_generation
from kling_async.engine.account import Account
from kling_async.engine.as_completed import Settling, SourceReader, Window, in_completion_order
from kling_async.engine.budget import Budget
from kling_async.engine.completion_feed import LedgerReader
from kling_async.engine.credit import Confirmation, CreditMonitor
from kling_async.engine.downloads import Downloads
from kling_async.engine.event_bus import EventBus
from kling_async.engine.learning import LearnedDurations
from kling_async.engine.limiter import RequestLimiter
from kling_async.engine.poller import Poller
from kling_async.engine.published import PublishedDurations
from kling_async.engine.queue import JobQueue
from kling_async.engine.reconciler import Reconciler
from kling_async.engine.scheduler import Scheduler
from kling_async.engine.stats import Counters, snapshot
from kling_async.engine.store import JobStore
from kling_async.engine.submitter import Submitter
from kling_async.engine.tasks import Clock
from kling_async.errors import SessionClosed
from kling_async.journal.base import Choices
from kling_async.pacing.absence import PostOrder
from kling_async.pacing.admission import AdmissionControl
from kling_async.pacing.backoff import Backoff
from kling_async.pacing.queues import PollQueue
from kling_async.pacing.tracking import DurationLearner

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
    from random import Random

    from anyio.abc import TaskGroup

    from kling_async.api.results import Generation
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.stats import Stats
    from kling_async.errors import KlingError
    from kling_async.journal.base import Journal, Record
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.settings import Limits, Polling, Reconciliation, Retry, Timeouts
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.session")

_CHUNK = 256  # jobs settled in a row before other tasks get the loop

T = TypeVar("T", bound=Settling)


class Term(Protocol):
    """What an engine needs to know that acts only for as long as its session leads."""

    def may_post(self) -> bool:
        """Return whether a POST may be begun now."""
        ...

    def park(self, queue: JobQueue, record: Record, error: KlingError) -> None:
        """Keep a job from being worked on that has settled before its generation's life has ended."""
        ...

    def choices(self, key: str, /) -> Choices:
        """Return what the caller chose for a job."""
        ...

    def lost_at(self, record: Record, /) -> float | None:
        """Return when what may have told that a job was bought was lost, by the wall clock; None if it was not."""
        ...


def choices_of(reconciliation: Reconciliation, retry: Retry, timeouts: Timeouts) -> Choices:
    """Return what a session's settings choose for each of its jobs."""
    resubmits = reconciliation.max_resubmits if reconciliation.then == "resubmit" else 0
    return Choices(resubmits, reconciliation.after, retry.failed, timeouts.generation, timeouts.submission)


class Engine:
    """Builds the parts, and runs them in one task until told to stop, or until the scheduler crashes."""

    def __init__(  # noqa: PLR0913 - a session's settings, by name
        self,
        transport: Transport,
        journal: Journal,
        *,
        limits: Limits,
        polling: Polling,
        timeouts: Timeouts,
        reconciliation: Reconciliation,
        retry: Retry,
        hold: bool,
        rng: Random,
        wall: Callable[[], float],
        term: Term | None = None,
    ) -> None:
        clock = Clock(asyncio.get_running_loop(), wall)
        chosen = choices_of(reconciliation, retry, timeouts)
        choices: Callable[[str], Choices] = (lambda _: chosen) if term is None else term.choices
        self.events: EventBus = EventBus(clock)
        self.counters: Counters = Counters()
        self.admission: AdmissionControl = AdmissionControl(
            rng,
            requests_per_second=limits.requests_per_second,
            submits_per_second=limits.submits_per_second,
            burst=limits.burst,
            max_in_flight=limits.max_in_flight,
            max_submits=limits.max_submits,
            per_group=limits.per_group,
            per_model=limits.per_model,
        )
        self.limiter: RequestLimiter = RequestLimiter(self.admission, self.counters, clock)
        self.learner: DurationLearner = DurationLearner(polling.duration_models())
        cost = polling.poll_cost()
        feed = polling.completion_feed(cost, lambda: self.counters.requests)
        self.learned: LearnedDurations = LearnedDurations(self.learner, journal, polling, feed)
        polls: PollQueue[ActiveJob] = PollQueue(polling.make_schedule(cost, feed), cost, feed)
        self.queue: JobQueue = JobQueue(polls, self.admission, self.learner, clock)
        self._published: PublishedDurations | None = None
        if polling.reads_metrics:
            self._published = PublishedDurations(self.learner, transport, self.limiter, self.queue, scale=polling.scale)
        ledger = None if feed is None else LedgerReader(feed, transport, self.limiter, self.queue, clock)
        self._ledger = ledger
        self.store: JobStore = self._make_store(journal, clock, feed, choices, term)
        self._transport = transport
        self._rng = rng
        self._journal = journal
        confirmation = Confirmation(transport, self.limiter, clock)
        backoff = Backoff(base=polling.retry_base, cap=polling.retry_cap, rng=rng)
        order = PostOrder()
        self._submitter = Submitter(
            transport,
            self.store,
            backoff,
            confirmation,
            choices,
            order=order,
            budget=self._budget(limits),
            leads=None if term is None else term.may_post,
        )
        self._scheduler = Scheduler(
            self.store,
            self.queue,
            self._submitter,
            Poller(
                transport, self.store, confirmation, polling, self.learner, backoff, choices, ledger=ledger, rng=rng
            ),
            self.admission,
            self.counters,
            backoff,
            ledger=ledger,
            max_polls=limits.max_polls,
            review_every=polling.review_every,
        )
        self._reconciler = Reconciler(
            lambda: self.account,
            confirmation,
            self.store,
            self.queue,
            reconciliation,
            order=order,
            choices=choices,
            before_resubmit=None if term is None else self._before_resubmit,
        )
        self._credit = CreditMonitor(confirmation, self.queue, clock)
        self.crash: Exception | None = None
        self.closing: bool = False
        self.stopping: asyncio.Event = asyncio.Event()  # set once it closes
        self._limits = limits
        self._timeouts = timeouts
        self._hold = hold
        self._group: TaskGroup | None = None  # tasks that end as soon as the session does
        self._readers: WeakSet[SourceReader[Any]] = WeakSet()

    def _make_store(
        self,
        journal: Journal,
        clock: Clock,
        feed: CompletionFeed | None,
        choices: Callable[[str], Choices],
        term: Term | None,
    ) -> JobStore:
        shared: dict[str, Any] = {}
        if term is not None:
            shared = {"park": partial(term.park, self.queue), "lost_at": term.lost_at}
        return JobStore(journal, self.queue, self.events, clock, feed, choices=choices, **shared)

    async def _before_resubmit(self) -> None:
        """Learn what others may know of a POST whose outcome is unknown here."""

    async def run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; then let POSTs under way finish for ``Timeouts.close``, and settle open jobs."""
        async with AsyncExitStack() as closing:  # every step is taken, even if one before it fails
            await self._journal.open()
            closing.push_async_callback(self._journal.close)
            closing.push_async_callback(self.learned.save)
            closing.callback(self.events.close)
            closing.callback(self._settle_all)  # the rest, if settling in turns was cancelled
            closing.push_async_callback(self._settle_in_turns)
            closing.callback(self.close)
            await self.learned.load()
            await self._reopen()
            await self._work(ready, stop)

    async def _reopen(self) -> None:
        """Continue the jobs that an earlier session on this journal left open."""
        for record in await self._journal.load_open():
            self.store.reopen(record, hold=self._hold)

    def close(self) -> None:
        """Take no more jobs, read no more from sources, and begin no more POSTs."""
        self.closing = True
        self._submitter.stop()
        self.stopping.set()
        for reader in tuple(self._readers):
            reader.stop()

    async def _work(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        async with anyio.create_task_group() as submits:
            async with anyio.create_task_group() as group:
                self._group = group
                self._start_acting(group, submits, stop)
                ready()
                try:
                    await stop.wait()
                finally:
                    self.close()
                group.cancel_scope.cancel()
            submits.cancel_scope.deadline = anyio.current_time() + self._timeouts.close

    def _start_acting(self, group: TaskGroup, submits: TaskGroup, stop: asyncio.Event) -> None:
        group.start_soon(self._schedule, group, submits, stop, name="kling_async scheduler")
        group.start_soon(self._reconciler.run, name="kling_async reconciler")
        group.start_soon(self._credit.run, name="kling_async credit monitor")
        group.start_soon(self.learned.run, name="kling_async learned durations")
        if self._published is not None:
            group.start_soon(self._published.run, name="kling_async published durations")

    async def _schedule(self, polls: TaskGroup, submits: TaskGroup, stop: asyncio.Event) -> None:
        try:
            await self._scheduler.run(polls, submits)
        except Exception as crash:
            _logger.exception("the scheduler crashed; the session ends")
            self.crash = crash
            stop.set()

    async def _settle_in_turns(self) -> None:
        """Settle every open job, some at a time, so that other tasks get the loop in between."""
        active_jobs = self.store.active_jobs()
        for first in range(0, len(active_jobs), _CHUNK):
            self._settle(active_jobs[first : first + _CHUNK])
            await asyncio.sleep(0)

    def _settle_all(self) -> None:
        self._settle(self.store.active_jobs())

    def _settle(self, active_jobs: list[ActiveJob]) -> None:
        for active in active_jobs:
            self.store.settle(
                active, self.closed(f"job {active.record.key}: the session was closed before it was done")
            )

    def closed(self, message: str) -> SessionClosed:
        """Return the error for calls and jobs that cannot go on because the session has ended."""
        error = SessionClosed(message)
        error.__cause__ = self.crash
        return error

    def as_completed(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        start: Callable[[Any], T],
        window: Window,
    ) -> AsyncGenerator[T, None]:
        """Start each of the source's items, and yield what `start` returns in the order in which it settles."""
        reader = SourceReader(source, start, window, lambda: self.closed("the session is closed"))
        return in_completion_order(reader, self._start_reader)

    @property
    def is_leader(self) -> bool:
        """True: nobody else acts on this journal."""
        return True

    def snapshot(self, *, own: bool = False) -> Stats:  # noqa: ARG002 - nobody else has any
        """Return the session's numbers as they are now; ``own`` leaves out other sessions' jobs."""
        feed = None if self._ledger is None else self._ledger.stats()
        return snapshot(self.store, self.queue, self.admission, self.learner.models, self.counters, feed)

    async def fetch(self, generation_id: str, endpoint: str = UNIVERSAL) -> Generation:
        """Ask the vendor about a generation, once, as soon as there is a place among the session's requests."""
        await self.limiter.acquire()
        self._check_open()
        return read_generation(await self._transport.send(fetch_request(endpoint, generation_id)), generation_id)

    @cached_property
    def downloads(self) -> Downloads:
        """The session's downloads, made when the first is asked for."""
        return Downloads(
            self._transport,
            self.store,
            self.events,
            self.counters,
            self.stopping,
            at_once=self._limits.max_downloads,
            give_up_after=self._timeouts.download,
            fetch=self.fetch,
            check_open=self._check_open,
            rng=self._rng,
        )

    @cached_property
    def account(self) -> Account:
        """The calls about the account, made when the first is asked for."""
        return Account(
            self._transport,
            self.limiter,
            self.store.clock,
            rng=self._rng,
            check_open=self._check_open,
            seen_charges=(lambda _: ()) if self._ledger is None else self._ledger.charges,
        )

    def _budget(self, limits: Limits) -> Budget | None:
        if limits.max_spend_usd is None:
            return None
        return Budget(
            limits.max_spend_usd,
            allow_unpriced=limits.allow_unpriced,
            price=self.account.price,
            history=self._journal.history,
            open_jobs=self.store.active_jobs,
        )

    def _check_open(self) -> None:
        if self.closing:
            raise self.closed("the session is closed")

    def waits_for(self, task: asyncio.Task[Any] | None) -> bool:
        """Return whether the session's end waits for this task, as it reads a source."""
        return any(reader.task is task and not reader.ended.is_set() for reader in self._readers)

    def _start_reader(self, reader: SourceReader[Any]) -> None:
        if self.closing or self._group is None:
            raise self.closed("the session is closed")
        self._readers.add(reader)
        self._group.start_soon(reader.run, name="kling_async source")
