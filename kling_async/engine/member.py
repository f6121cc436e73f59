"""Runs a session on a shared journal: it watches its jobs always, and acts for all members while it leads."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio

from kling_async.api.account.billing import balance_request, read_balance
from kling_async.engine.account_wide import read_stats, stricter, strictest, with_own, write_limits
from kling_async.engine.engine import Engine
from kling_async.engine.events import LeadershipChanged
from kling_async.engine.leadership import IDLE_LOOK_EVERY, LOOK_EVERY, Leadership, LeadingEngine, Term
from kling_async.engine.member_store import MemberStore
from kling_async.engine.results import stops_all
from kling_async.engine.tasks import Wakeup
from kling_async.errors import JournalError, KlingError, copied

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kling_async.engine.stats import Stats
    from kling_async.engine.tasks import Clock
    from kling_async.journal.base import Choices, Journal
    from kling_async.journal.shared import SharedJournal
    from kling_async.pacing.completion_feed import CompletionFeed
    from kling_async.settings import Limits
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.shared")

_HOPELESS_AFTER = 2  # lengths of the lease without a leader, after which a member that must not lead gives up


class _JournalOfMember:
    """The calls of a `Journal` that an engine makes while its session does not lead."""

    def __init__(
        self, shared: SharedJournal, on_change: Callable[[], object], on_free: Callable[[], object], limits: Limits
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._on_change = on_change
        self._on_free = on_free
        self.close = shared.close
        self.history = shared.history

    async def open(self) -> None:
        await self._shared.open(self._on_change, limits=write_limits(self._limits), on_free=self._on_free)
        with suppress(JournalError):  # what holds is told, too, whenever it changes
            for said in stricter(self._limits, (await self._shared.lease()).members):
                _logger.warning("%s", said)

    async def load_learned(self) -> None:
        """Return None: the leader loads what was learned."""


class MemberEngine(Engine):
    """Watches this session's jobs, and stands for leader unless ``hold`` says that it submits nothing by itself."""

    def __init__(
        self,
        transport: Transport,
        shared: SharedJournal,
        *,
        limits: Limits,
        hold: bool,
        **settings: Any,  # noqa: ANN401 - the engine's other ones
    ) -> None:
        self._shared = shared
        journal = cast("Journal", _JournalOfMember(shared, self._wake, self._look, limits))
        super().__init__(transport, journal, limits=limits, hold=hold, **settings)
        self._changed = Wakeup(self.store.clock)
        self._leadership = Leadership(
            shared,
            partial(_make_leading, transport, **settings),
            self._prove_key,
            self._tell_change,
            on_loss=self._insert_again,
            limits=partial(strictest, limits),
            may_lead=not hold,
        )
        self._was_leading = False

    def _make_store(
        self,
        journal: Journal,
        clock: Clock,
        feed: CompletionFeed | None,
        choices: Callable[[str], Choices],
        term: object,
    ) -> MemberStore:
        del term
        return MemberStore(
            self._shared, self._stand_again, journal, self.queue, self.events, clock, feed, choices=choices
        )

    def _stand_again(self) -> None:
        self._leadership.stand_again()

    def _insert_again(self) -> None:
        self.member_store.insert_again()

    def _look(self) -> None:
        self._leadership.look()

    def _wake(self) -> None:
        """Look for changes at once, as this process has written."""
        self._changed.wake()
        if self._leadership.engine is not None:
            self._leadership.engine.news.wake()

    def close(self) -> None:
        """Take no more jobs, and begin to leave."""
        super().close()
        self._shared.leave()

    # Leading

    @property
    def is_leader(self) -> bool:
        """True while this session acts for all members."""
        return self._leadership.engine is not None

    def _tell_change(self) -> None:
        if self.is_leader is not self._was_leading:
            self._was_leading = self.is_leader
            _logger.info("this session %s", "leads" if self.is_leader else "does not lead any more")
            self.events.emit(LeadershipChanged, leads=self.is_leader)

    async def _prove_key(self) -> KlingError | None:
        """Ask for the balance once; return the error if the key is refused, or if this host's proxy wants a login."""
        await self.limiter.acquire()
        try:
            read_balance(await self._transport.send(balance_request()))
        except KlingError as error:
            if stops_all(error):
                return error
            _logger.info("the balance cannot be had: %s", error)
        return None

    def snapshot(self, *, own: bool = False) -> Stats:
        """Return the numbers of the whole account, some seconds old if another one leads; its own if nobody has yet."""
        engine, mine = self._leadership.engine, super().snapshot()
        account = read_stats(self._leadership.lease.stats) if engine is None else engine.snapshot()
        return with_own(account or mine, mine, jobs=own)

    # Running

    async def _reopen(self) -> None:
        """Continue nothing: each member watches its own jobs."""

    async def _work(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._watch, name="kling_async watch")
            group.start_soon(self._expire, name="kling_async deadlines")
            group.start_soon(self._leadership.run, name="kling_async leadership")
            ready()
            try:
                await stop.wait()
            finally:
                self.close()
            await self._leadership.end()
            group.cancel_scope.cancel()

    async def _watch(self) -> None:
        while True:
            now = self.store.clock.now()
            await self._changed.sleep_until(now + (LOOK_EVERY if self.store.open else IDLE_LOOK_EVERY))
            try:
                for entry in await self._shared.changes(self.store.open):
                    self.member_store.observe(entry)
            except JournalError as error:
                _logger.debug("the shared journal cannot be read: %s", error)
            self._give_up_if_hopeless()

    async def _expire(self) -> None:
        while True:
            now = await self.queue.changed.sleep_until(self.queue.next_deadline)
            while self.queue.next_deadline <= now:
                active = self.queue.take_expired(now)
                if active is not None:
                    self.member_store.expire(active, now)

    @property
    def member_store(self) -> MemberStore:
        """The store, as what it is here."""
        return cast("MemberStore", self.store)

    def _give_up_if_hopeless(self) -> None:
        """Settle this session's jobs if it must not lead any more, and nobody else does."""
        error, free_for = self._leadership.resigned, self._shared.now() - self._leadership.free_since
        if error is None or free_for < _HOPELESS_AFTER * self._shared.lease_length:
            return
        for active in self.store.active_jobs():
            self.store.settle(active, copied(error))


def _make_leading(transport: Transport, term: Term, **settings: Any) -> LeadingEngine:  # noqa: ANN401 - the engine's own
    return LeadingEngine(transport, term.journal, term=term, limits=term.limits, hold=False, **settings)
