"""Looks for submits whose outcome nobody knows in the account's log of requests."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import define, field

from kling_async.api.account.logs import LogEntry, LogReading, are_one_model
from kling_async.api.account.usage import span
from kling_async.errors import (
    AuthenticationError,
    GenerationFailed,
    JournalError,
    KlingError,
)
from kling_async.journal.base import JobState
from kling_async.pacing.absence import FAR, NEAR, Shown, elapsed_at_vendor, stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kling_async.engine.account import Account
    from kling_async.engine.confirmation import Confirmation
    from kling_async.engine.job import ActiveJob
    from kling_async.engine.queue import JobQueue
    from kling_async.engine.store import JobStore
    from kling_async.pacing.absence import PostOrder
    from kling_async.settings import Reconciliation

__all__ = ["Reconciler"]

_logger = logging.getLogger("kling_async.reconcile")

_TICK = 0.01  # seconds: a wall clock's time, counted from 1970, is not as exact as the loop's
_TRIES = 8  # of one page, about a minute in all: as long as the log refuses whoever has asked too often


@define(eq=False)
class _Doubt:
    """A job whose submit is looked for.

    Attributes:
        watch: The job.
        since: When its POST was begun, or, if another process did that, when this one took it up. The loop's time.
        inherited: Whether another process did.
    """

    active: ActiveJob
    since: float
    inherited: bool

    @property
    def is_open(self) -> bool:
        """Whether it is still to be looked for."""
        return not self.active.settled and self.active.record.state is JobState.UNCERTAIN

    @property
    def names(self) -> tuple[str, ...]:
        """What its POSTs were sent under, oldest first."""
        record = self.active.record
        return (*record.former_request_ids, *((record.client_request_id,) if record.client_request_id else ()))

    @property
    def posted_from(self) -> float | None:
        """Since when it may have been POSTed, by the wall clock as it was then; None if nobody knows."""
        record = self.active.record
        earlier = record.former_request_ids or record.submitted_at is None
        return (record.queued_at or None) if earlier else record.submitted_at


@define(eq=False)
class _Look:
    """One look through the log, from before the oldest doubtful POST to now.

    Attributes:
        begun: When it was begun, in the loop's time.
        wall: The same by the wall clock.
        skew: How far it reaches beyond that time on both sides, in seconds.
        rows: What it has found under the names that it is for, by these and by ids, newest first.
        shown: What it has found of this journal's POSTs, by name.
        nameless: Rows that bear no name and belong to no job of this journal.
        complete: Whether its pages leave nothing out.
        broke_off: Whether it could not be read to its end.
        sent_at: When its first page was sent, by the vendor's clock, in seconds since the epoch.
        ahead: How far that clock was ahead of the wall clock, in seconds.
    """

    begun: float
    wall: float
    skew: float
    rows: dict[str, dict[str | None, LogEntry]]
    shown: dict[str, Shown] = field(factory=dict[str, Shown])
    nameless: list[LogEntry] = field(factory=list[LogEntry])
    complete: bool = True
    broke_off: bool = False
    sent_at: float | None = None
    ahead: float | None = None

    def compare(self, sent_at: datetime | None, wall: float) -> None:
        """Compare the clocks, once: a page was sent when the vendor's, and received when the wall clock showed this."""
        if self.sent_at is None and sent_at is not None:
            self.sent_at = sent_at.timestamp()
            self.ahead = self.sent_at - wall

    def under(self, names: Sequence[str]) -> list[LogEntry]:
        """The rows under these names, oldest first."""
        return [row for name in names for row in reversed(tuple(self.rows[name].values()))]

    def covers(self, doubt: _Doubt) -> bool:
        """Whether it saw every row that may be this job's."""
        posted_from, submitted_at = doubt.posted_from, doubt.active.record.submitted_at
        if self.broke_off or not self.complete or self.skew < FAR or posted_from is None or submitted_at is None:
            return False
        # A time that is yet to come shows that the clock was set since, and nobody knows by how much.
        return max(posted_from, submitted_at) <= self.wall + NEAR


class Reconciler:
    """Adopts what was bought after all, and gives up only on what a whole look, late enough, does not show.

    One look through the log serves every doubtful job. A row is a job's only if it bears the exact name that the job's
    POST was sent under, which no other POST of any program ever was, and the job's model.
    """

    def __init__(
        self,
        account: Callable[[], Account],
        confirmation: Confirmation,
        store: JobStore,
        queue: JobQueue,
        settings: Reconciliation,
        *,
        order: PostOrder,
    ) -> None:
        self._account = account
        self._confirmation = confirmation
        self._store = store
        self._queue = queue
        self._settings = settings
        self._order = order
        self._clock = store.clock
        self._gap = settings.first_gap
        self._look_at = math.inf
        self._doubtful: dict[str, _Doubt] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            now = await self._queue.uncertain_added.sleep_until(self._look_at)
            self._take(now)
            if now < self._look_at:
                continue
            self._look_at = math.inf  # what is taken meanwhile asks for another look
            if self._still_doubtful():
                await self._look(now)
            if self._still_doubtful():
                self._plan(self._clock.now())

    def _take(self, now: float) -> None:
        """Look for what has become uncertain, soon and then ever more slowly."""
        for active in self._queue.take_uncertain():
            inherited = active.begun_at == -math.inf
            self._doubtful[active.record.key] = _Doubt(active, now if inherited else active.begun_at, inherited)
            self._gap = self._settings.first_gap
            self._look_at = min(self._look_at, now + self._gap)

    def _still_doubtful(self) -> list[_Doubt]:
        self._doubtful = {key: doubt for key, doubt in self._doubtful.items() if doubt.is_open}
        return list(self._doubtful.values())

    # When

    def _plan(self, now: float) -> None:
        """The next look: after a growing gap, or as soon as one may be the last for some job."""
        self._gap = self._settings.gap_after(self._gap)
        turns = [at for doubt in self._doubtful.values() for at in self._turns(doubt, now) if at > now]
        self._look_at = min(self._look_at, now + self._gap, *turns)

    def _turns(self, doubt: _Doubt, now: float) -> tuple[float, ...]:
        """The instants from which on a look may be the last one for a job."""
        patience = self._patience(doubt)
        late_at = doubt.since + patience
        by_wall = now + patience - self._age_by_wall(doubt, self._clock.wall()) + _TICK if doubt.inherited else late_at
        return (late_at, by_wall, late_at + self._settings.longest_gap, late_at + self._settings.log_grace)

    def _patience(self, doubt: _Doubt) -> float:
        return self._settings.give_up_after(doubt.active.model, doubt.active.duration)

    def _age_by_wall(self, doubt: _Doubt, wall: float) -> float:
        submitted_at = doubt.active.record.submitted_at
        return 0.0 if submitted_at is None else wall - submitted_at

    # Looking

    async def _look(self, begun: float) -> None:
        """Look for every doubtful job once. Trouble on the way makes the look incomplete, which proves nothing."""
        doubts, wall = self._still_doubtful(), self._clock.wall()
        may_prove = any(self._may_be_late(doubt, begun, wall) for doubt in doubts)
        names = {name: dict[str | None, LogEntry]() for doubt in doubts for name in doubt.names}
        look = _Look(begun, wall, FAR if may_prove else NEAR, names)
        try:
            for start, end in self._stretches(doubts, look):
                await self._read(look, start, end)
        except Exception as error:  # noqa: BLE001 - a mistake in here must not leave jobs waiting for ever
            if isinstance(error, AuthenticationError) and await self._confirmation.confirms(error):
                self._store.halt(error)
                return
            _logger.warning("the account's log could not be read to its end: %r", error)
            look.broke_off = True
        for doubt in doubts:
            await self._conclude(doubt, look)

    def _may_be_late(self, doubt: _Doubt, begun: float, wall: float) -> bool:
        patience = self._patience(doubt)
        return begun >= doubt.since + patience or self._age_by_wall(doubt, wall) >= patience

    def _stretches(self, doubts: Sequence[_Doubt], look: _Look) -> Iterator[tuple[float, float]]:
        """From before the oldest POST to after the newest, by the times recorded and by how long ago they were here.

        The two differ if the clock was set or the machine slept; to take both only makes the look longer.
        """
        recorded = [at for doubt in doubts if (at := doubt.posted_from) is not None]
        measured = [look.wall - (look.begun - doubt.since) for doubt in doubts]
        times = [look.wall, *recorded, *measured]
        return stretches(min(times) - look.skew, max(times) + look.skew)

    async def _read(self, look: _Look, start: float, end: float) -> None:
        """Read a stretch of the log to its end; pages overlap by a row, so that none is lost between them."""
        reading, stretch = LogReading(overlap=1), span(None, _moment(start), _moment(end))
        while not reading.ended:
            rows = await self._account().read_log(reading, stretch, tries=_TRIES)
            look.compare(reading.began, self._clock.wall())
            for row in rows:
                self._sort(look, row, row.client_request_id or "")
        look.complete = look.complete and reading.complete

    def _sort(self, look: _Look, row: LogEntry, name: str) -> None:
        """Keep what is wanted of a row that was sent under this name; the log is the whole account's."""
        if name in look.rows:
            look.rows[name].setdefault(row.inference_id, row)
        if not name and not (row.inference_id and self._store.owns(row.inference_id)):
            look.nameless.append(row)
        record = self._store.recorded(name.rpartition(":")[0])
        if record is not None and record.client_request_id == name and record.submitted_at is not None:
            created = None if row.created is None else row.created.timestamp()
            look.shown.setdefault(name, Shown(record.submitted_at, created))

    # What came of it

    async def _conclude(self, doubt: _Doubt, look: _Look) -> None:
        try:
            await self._judge(doubt, look)
        except Exception:  # one job's trouble is its own
            _logger.exception("job %s could not be looked for", doubt.active.record.key)
        # One that contradicts itself may do so again: another look is taken, and then that is reported.
        grace = self._settings.log_grace if look.broke_off else self._settings.longest_gap
        if doubt.is_open and self._clock.now() >= doubt.since + self._patience(doubt) + grace:
            self._settle(doubt)

    async def _judge(self, doubt: _Doubt, look: _Look) -> None:
        named = look.under(doubt.names)
        found = [row for row in named if await self._fits(doubt.active, row)]
        if not doubt.is_open:
            return
        if found:
            await self._adopt(doubt.active, found)
        elif look.covers(doubt):
            later = self._shown_later(doubt, look)
            if self._is_late(doubt, look, later):
                # Whatever a row under its name says, it is a sign that something was bought.
                proven = bool(later) and not named and not await self._may_have_lost_its_name(doubt, look)
                await self._give_up(doubt, proven=proven)

    def _shown_later(self, doubt: _Doubt, look: _Look) -> list[Shown]:
        """Those of our POSTs in the log that were certainly begun after this job's.

        With any, the log bears the names of submits, and has caught up with that one.
        """
        submitted_at = doubt.active.record.submitted_at or math.inf
        later = (shown for shown in look.shown.values() if self._order.is_later(shown.submitted_at, submitted_at))
        return [shown for shown in later if shown.was_timed_rightly(look.ahead)]

    def _is_late(self, doubt: _Doubt, look: _Look, later: Sequence[Shown]) -> bool:
        """Whether the look was begun late enough after the POST for the log to show it, if there is anything to show.

        What is to be bought again needs a clock that cannot have been set: the loop's, or the vendor's alone.
        """
        patience = self._patience(doubt)
        if look.begun >= doubt.since + patience or elapsed_at_vendor(later, look.sent_at) >= patience:
            return True
        trusted = doubt.inherited and abs(look.ahead or 0.0) <= NEAR and not self._may_again(doubt)
        return trusted and self._age_by_wall(doubt, look.wall) >= patience

    async def _may_have_lost_its_name(self, doubt: _Doubt, look: _Look) -> bool:
        """Return whether the log shows something bought without a name, of this job's model and when it was POSTed."""
        submitted_at, model = doubt.active.record.submitted_at or 0.0, doubt.active.model
        for row in look.nameless:
            made = Shown(submitted_at, None if row.created is None else row.created.timestamp())
            if row.status == "failed" or not made.was_timed_rightly(look.ahead):
                continue
            if not (row.model and model) or await self._is_of_model(model, row.model):
                return True
        return False

    async def _fits(self, active: ActiveJob, row: LogEntry) -> bool:
        name = row.client_request_id
        if row.inference_id is None:
            _logger.error("%s is in the log without a usable id: %r", name, row.raw.get("inference_id"))
            return False
        if row.model is not None and active.model and not await self._is_of_model(active.model, row.model):
            _logger.error("%s is in the log for model %s, not %s", name, row.model, active.model)
            return False
        if self._store.owns(row.inference_id):
            _logger.error("%s is in the log as %s, which another job has", name, row.inference_id)
            return False
        return True

    async def _is_of_model(self, model: str, told: str) -> bool:
        if are_one_model(model, told):
            return True
        try:  # it may have been renamed, or be told by another of its names
            return any(are_one_model(name, told) for name in await self._account().names_of(model))
        except KlingError as error:
            _logger.warning("the other names of model %s could not be asked for: %s", model, error)
            return False

    async def _adopt(self, active: ActiveJob, found: Sequence[LogEntry]) -> None:
        """Go on with what was bought; of several, with the oldest that has not failed."""
        key = active.record.key
        row = next((row for row in found if row.status != "failed"), found[0])
        generation_id = row.inference_id
        assert generation_id is not None  # noqa: S101 - it would not have fitted
        if len(found) > 1:
            ids = ", ".join(str(row.inference_id) for row in found)
            _logger.error("job %s is in the log %d times, as %s; going on with %s", key, len(found), ids, generation_id)
        _logger.info("job %s was accepted after all, as %s", key, generation_id)
        self._doubtful.pop(key, None)
        if row.status == "failed":
            error = GenerationFailed("generation failed: so says the account's log, without a reason")
            await self._store.finish(active, JobState.FAILED, generation_id=generation_id, error=error)
            return
        await self._store.accept(active, generation_id, late=True)

    def _may_again(self, doubt: _Doubt) -> bool:
        """Whether it is to be submitted again once it is proven that it was not accepted."""
        record, settings = doubt.active.record, self._settings
        chosen = settings.then == "resubmit" and len(record.former_request_ids) < settings.max_resubmits
        # What was posted elsewhere, and is known here by its token alone, is never posted here.
        return chosen and record.attempts > 0

    async def _give_up(self, doubt: _Doubt, *, proven: bool) -> None:
        if not (proven and self._may_again(doubt)):
            self._settle(doubt)
            return
        active, record = doubt.active, doubt.active.record
        self._doubtful.pop(record.key, None)
        _logger.warning("job %s is not in the account's log, and is submitted again", record.key)
        former = (*record.former_request_ids, record.client_request_id or "")
        try:
            await self._store.commit(active, JobState.QUEUED, former_request_ids=former)
        except JournalError as error:
            self._store.settle(active, error)
        else:
            self._store.enqueue(active)

    def _settle(self, doubt: _Doubt) -> None:
        self._doubtful.pop(doubt.active.record.key, None)
        self._store.settle(doubt.active, doubt.active.uncertain_error())


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(wall, UTC)
