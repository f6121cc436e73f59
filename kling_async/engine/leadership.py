"""Leads a shared journal's members while it has the lease: then an engine of its own acts for the whole account.

A promotion is what opening the journal after a crash is: an engine is made that reads everything anew. It ends with the
term, and whatever it learns after that changes no record. A demotion settles nobody: the jobs that callers wait for are
another store's, which watches the records.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from kling_async.engine.account_wide import changed, write_stats
from kling_async.engine.engine import Engine
from kling_async.engine.news import act_on_late, carry_out
from kling_async.engine.results import stops_all
from kling_async.engine.tasks import Wakeup
from kling_async.errors import JournalError, KlingError, SessionClosed
from kling_async.journal.shared import Lease, Token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from anyio.abc import TaskGroup

    from kling_async.engine.queue import JobQueue
    from kling_async.engine.stats import Stats
    from kling_async.journal.base import Choices, Record
    from kling_async.journal.shared import Instruction, LateAnswer, Member, News, SharedJournal, TermJournal
    from kling_async.settings import Limits

_logger = logging.getLogger("kling_async.shared")

LOOK_EVERY, IDLE_LOOK_EVERY = 0.025, 1.0  # seconds between looks for changes: while jobs are open, and while none is
_IDLE_NEWS_EVERY = 0.1  # seconds between looks of the leader for what others ask for, while it has no job
_RELEASE_WITHIN = 5.0  # seconds; a lease that is not released ends by itself
_REMEMBERED = 1000  # instructions and late answers that were acted on, whose end may not be written yet
_CHUNK = 256  # jobs opened in a row before other tasks get the loop


class Term:
    """One taking of the lease, from then to its loss."""

    def __init__(self, shared: SharedJournal, token: Token, begun: float, limits: Limits) -> None:
        self.limits = limits  # the strictest of all members'
        self._shared = shared
        self._token = token
        self.number: int = token.term
        self._held_until = begun + shared.lease_length  # as counted from before the lease was taken or renewed
        self.journal: TermJournal = shared.term(token, self.end)
        self.choices: Callable[[str], Choices] = self.journal.choices
        self.lost_at: Callable[[Record], float | None] = self.journal.lost_at
        self.over: asyncio.Event = asyncio.Event()
        self.resigned: KlingError | None = None  # why this member does not lead again

    def end(self) -> None:
        """Begin no more POSTs."""
        self.over.set()

    def may_post(self) -> bool:
        """Return whether a third of the lease is left, as far as is known, so that a POST may be begun.

        If less is left, the term is over, even if the lease could still be renewed; the next leader begins what was not
        begun.
        """
        if self.journal.is_fenced or not self._is_safe():
            self.end()
        return not self.over.is_set()

    def _is_safe(self) -> bool:
        return self._shared.now() < self._held_until - self._shared.lease_length / 3

    def park(self, queue: JobQueue, record: Record, error: KlingError) -> None:
        """Keep a job from being worked on, and tell its watchers.

        A key that is refused is this member's trouble, and so is a proxy that wants a login.
        """
        if stops_all(error):
            self.resigned = error
            self.end()
        elif not isinstance(error, SessionClosed) and not self.over.is_set():
            self.journal.park(record, error, 0 if queue.halted is None else queue.halt_number)

    async def hold(self, stats: Callable[[], Stats], limits: Callable[[Lease], Limits]) -> None:
        """Renew the lease until it is lost, or until cancelled; while renewals fail, the term ends before the lease."""
        while True:
            await asyncio.sleep(self._shared.lease_length / 3 if self._is_safe() else 0)
            sent_at, wanted = self._shared.now(), self.limits
            try:
                is_held = await self._shared.renew(self._token, write_stats(stats()))
                wanted = limits(await self._shared.lease())
            except JournalError as error:
                _logger.warning("the lease could not be renewed: %s", error)
                if self._is_safe():
                    await asyncio.sleep(self._shared.lease_length / 30)
                    continue
                is_held = False
            if not is_held:
                self.end()
                return
            self._held_until = sent_at + self._shared.lease_length
            if wanted != self.limits and not self.over.is_set():
                told = ", ".join(f"{name} is {now}" for name, (_, now) in changed(self.limits, wanted).items())
                _logger.warning("other limits hold for the account from now on: %s", told)
                self.end()  # the next term, which begins soon, has it

    async def release(self, *, crashed: bool) -> None:
        """Let another member lead at once."""
        with suppress(JournalError):
            await self._shared.release(self._token, crashed=crashed)


class LeadingEngine(Engine):
    """Acts for all members, for one term."""

    def __init__(self, *args: Any, term: Term, **settings: Any) -> None:  # noqa: ANN401 - the engine's own
        super().__init__(*args, term=term, **settings)
        self._term = term
        self._acting = asyncio.Lock()
        self.news: Wakeup = Wakeup(self.store.clock)  # wakes the look for what members have left
        self._done: deque[Instruction | LateAnswer] = deque(maxlen=_REMEMBERED)
        for _ in range(self._limits.burst):  # the leader before may just have used what the account allows at once
            self.admission.take(self.store.clock.now())

    async def _reopen(self) -> None:
        for number, record in enumerate(await self._term.journal.load_open()):
            self.store.reopen(record, hold=False)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        await self._act_on_news()

    def _start_acting(self, group: TaskGroup, submits: TaskGroup, stop: asyncio.Event) -> None:
        super()._start_acting(group, submits, stop)
        group.start_soon(self._listen, name="kling_async news")

    async def _work(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        await super()._work(ready, stop)
        self._term.journal.keep(active.record for active in self.store.active_jobs())
        with suppress(JournalError):  # what was asked for until now need not wait for the next one
            await self._act_on_news()

    async def _listen(self) -> None:
        told = ""  # once, and not with every look
        while True:
            await self.news.sleep_until(self.store.clock.now() + (LOOK_EVERY if self.store.open else _IDLE_NEWS_EVERY))
            trouble = ""
            try:
                await self._act_on_news()
            except JournalError as error:
                trouble = str(error)
            if trouble not in ("", told):
                _logger.warning("what members have asked for cannot be read: %s", trouble)
            told = trouble

    async def _before_resubmit(self) -> None:
        await self._act_on_news()

    async def _act_on_news(self) -> None:
        async with self._acting:  # what two looks see at once is to be acted on by one of them
            await self._act_on(await self._term.journal.news())

    async def _act_on(self, news: News) -> None:
        for entry in news.entries:
            if entry.record.key not in self.store.open:
                self.store.reopen(entry.record, hold=False)
        for late in news.late:
            if late not in self._done and (is_done := self._act_on_late(late)) is not False:
                self._drop(late, keep=is_done is None)
        for instruction in news.instructions:
            if instruction not in self._done and await self._carry_out(instruction):
                self._drop(instruction)

    def _act_on_late(self, late: LateAnswer) -> bool | None:
        try:
            return act_on_late(self.store, late)
        except JournalError as error:
            _logger.warning("%r has to wait: %s", late, error)
            return False
        except Exception:  # likewise
            _logger.exception("%r cannot be acted on", late)
            return None

    async def _carry_out(self, instruction: Instruction) -> bool:
        """Carry out an instruction; returns whether that is over, one way or the other."""
        try:
            await carry_out(self.store, self._term.journal, instruction, self.queue)
        except JournalError as error:
            _logger.warning("%r has to wait: %s", instruction, error)
            return False
        except KlingError as error:
            _logger.warning("%r cannot be carried out: %s", instruction, error)
        except Exception:  # whatever it is: each leader would crash with it in turn, and nobody would be left
            _logger.exception("%r cannot be carried out", instruction)
        return True

    def _drop(self, item: Instruction | LateAnswer, *, keep: bool = False) -> None:
        self._done.append(item)
        self._term.journal.settle(item, keep=keep)


class Leadership:
    """Stands for leader whenever nobody leads, until it is ended.

    Attributes:
        engine: The engine that acts while this member leads; None while it does not.
        lease: Who leads, as it was last read, or as it was before this member began to.
        resigned: Why this member does not lead any more: its key is refused, or its scheduler crashed.
        free_since: Since when nobody is known to lead, by the members' clock; infinity while somebody does.
    """

    def __init__(
        self,
        shared: SharedJournal,
        lead: Callable[[Term], LeadingEngine],
        prove: Callable[[], Awaitable[KlingError | None]],
        on_change: Callable[[], object],
        *,
        on_loss: Callable[[], object],
        limits: Callable[[Sequence[Member]], Limits],
        may_lead: bool,
    ) -> None:
        self._shared = shared
        self._lead = lead
        self._prove = prove  # asks whether this member's key works; returns why it does not
        self._on_change = on_change  # called when this member begins or ceases to lead
        self._on_loss = on_loss  # called when the journal is seen to have lost commits
        self._lost_at: float | None = None  # when it last did
        self._limits = limits  # of the account, given what its members bring
        self._may_lead = may_lead
        self._is_proven = False
        self._proving = anyio.CancelScope()
        self._ended = asyncio.Event()
        self._told = asyncio.Event()  # that it is time to look who leads
        self._has_left = asyncio.Event()
        self._term: Term | None = None
        self._trouble = ""
        self.engine: LeadingEngine | None = None
        self.lease: Lease = Lease(Token(0, ""))
        self.resigned: KlingError | None = None
        self.free_since: float = math.inf

    async def end(self) -> None:
        """Let POSTs under way finish, if this member leads, and let another lead; return once that is done."""
        self._ended.set()
        self._proving.cancel()
        self.look()
        if self._term is not None:
            self._term.end()
        await self._has_left.wait()

    def stand_again(self) -> None:
        """Stand for leader again if the key was refused, as it may have been for a while only."""
        if stops_all(self.resigned):
            self.resigned, self._is_proven = None, False
            self.look()

    def look(self) -> None:
        """Look at once whether anybody leads."""
        self._told.set()

    async def run(self) -> None:
        """Stand and lead, until ended."""
        try:
            while not self._ended.is_set():
                try:
                    await self._stand()
                except JournalError as error:
                    self._tell(str(error))
                length = self._shared.lease_length
                with anyio.move_on_after(min(IDLE_LOOK_EVERY, length / 20) if self._shared.is_local else length / 6):
                    await self._told.wait()
                self._told.clear()
        finally:
            self._has_left.set()

    async def _stand(self) -> None:
        lease, now = await self._shared.lease(), self._shared.now()
        self.lease = lease
        self._limits_by(lease)
        self.free_since = math.inf if lease.is_held(now) else min(self.free_since, now)
        if not self._may_lead or self.resigned is not None or not lease.may_be_taken(now):
            return
        if not self._is_proven:
            with anyio.CancelScope() as self._proving:
                self.resigned = await self._prove()
                self._is_proven = self.resigned is None
            if self.resigned is not None:
                self._tell(f"this session leaves leading to others: {self.resigned}")
        if self._is_proven and not self._ended.is_set():
            begun = self._shared.now()
            token = await self._shared.take()
            if token is not None:
                await self._serve(Term(self._shared, token, begun, self._limits(lease.members)))

    def _limits_by(self, lease: Lease) -> Limits:
        """Return the limits that hold for the account, and see whether anything was lost, which a taking finds."""
        if lease.lost_at not in (None, self._lost_at):
            self._on_loss()
        self._lost_at = lease.lost_at or self._lost_at
        return self._limits(lease.members)

    async def _serve(self, term: Term) -> None:
        self._term, engine = term, self._lead(term)
        _logger.info("this session leads, for term %d", term.number)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(term.hold, engine.snapshot, self._limits_by, name="kling_async lease")
                await self._act(engine, term)
                group.cancel_scope.cancel()
        finally:
            self._term = self.engine = None
            self._on_change()
            with anyio.move_on_after(_RELEASE_WITHIN, shield=True):
                await term.release(crashed=engine.crash is not None)
        self.resigned = term.resigned or _crash_error(engine.crash)

    async def _act(self, engine: LeadingEngine, term: Term) -> None:
        def begin() -> None:
            self.engine = engine
            self._on_change()

        if self._ended.is_set():
            return
        try:
            await engine.run(begin, term.over)
        except JournalError as error:
            self._tell(str(error))
        except Exception as error:
            _logger.exception("leading has failed")
            engine.crash = engine.crash or error

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            _logger.warning("the shared journal: %s", trouble)
        self._trouble = trouble


def _crash_error(crash: Exception | None) -> KlingError | None:
    if crash is None:
        return None
    error = KlingError(f"this session does not lead any more, as its scheduler crashed: {crash!r}")
    error.__cause__ = crash
    return error
