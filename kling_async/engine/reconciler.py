"""Looks for submits whose outcome nobody knows in the account's log of requests."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kling_async.api.logs import logs_request, read_logs
from kling_async.engine.alarm import Alarm, sleep_until
from kling_async.engine.doubt import doubt
from kling_async.errors import (
    AuthenticationError,
    GenerationFailed,
    JournalError,
)
from kling_async.journal.base import State
from kling_async.pacing.rate import Gcra

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from kling_async.api.logs import LogRow
    from kling_async.engine.roster import Roster
    from kling_async.engine.scheduler import Scheduler
    from kling_async.engine.watch import Watch
    from kling_async.pacing.reconciliation import Reconciliation
    from kling_async.transport.base import Transport

__all__ = ["Reconciler"]

_logger = logging.getLogger("kling_async.reconcile")

# "Request logs" allows 200 requests in 60 s; this stays below that in every window.
_LOOKS_PER_SECOND, _LOOKS_AT_ONCE = 2.5, 40

_LONGEST_SPAN = 92 * 86_400.0 - 7200.0  # seconds: the vendor shows 92 days at once ("Logs")
_SKEW = 3600.0  # how far this machine's clock and the vendor's may be apart, in seconds


class Reconciler:
    """Adopts what was bought after all, and gives up only on what a whole look, late enough, does not show.

    One look through the log serves every doubtful job. A row is a job's only if it bears the exact name that the job's
    POST was sent under, which no other POST of any program ever was, and the job's model.
    """

    def __init__(
        self,
        transport: Transport,
        roster: Roster,
        scheduler: Scheduler,
        settings: Reconciliation,
        *,
        wall: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._roster = roster
        self._scheduler = scheduler
        self._settings = settings
        self._wall = wall
        self._now = roster.loop.time
        self._rate = Gcra(_LOOKS_PER_SECOND, _LOOKS_AT_ONCE)
        self._alarm = Alarm(roster.loop)
        self._gap = settings.first_gap
        self._look_at = math.inf
        self._doubtful: dict[str, Watch] = {}

    def take(self, watch: Watch) -> None:
        """Look for a job's submit, soon and then ever more slowly."""
        self._doubtful[watch.record.key] = watch
        self._gap = self._settings.first_gap
        self._look_at = min(self._look_at, self._now() + self._gap)
        self._alarm.wake_by(self._look_at)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            now = await self._alarm.sleep_until(self._look_at)
            if now < self._look_at:
                continue
            self._look_at = math.inf  # what is taken meanwhile asks for another look
            if self._still_doubtful():
                await self._look(now)
            if self._still_doubtful():
                self._plan(self._now())

    def _still_doubtful(self) -> list[Watch]:
        for key, watch in tuple(self._doubtful.items()):
            if watch.settled or watch.record.state is not State.UNCERTAIN:
                del self._doubtful[key]
        return list(self._doubtful.values())

    def _plan(self, now: float) -> None:
        """The next look: after a growing gap, or as soon as one may be the last for some job."""
        self._gap = self._settings.gap_after(self._gap)
        last = min(
            (at for watch in self._doubtful.values() if (at := self._hopeless_at(watch)) > now), default=math.inf
        )
        self._look_at = min(self._look_at, last, now + self._gap)

    def _hopeless_at(self, watch: Watch) -> float:
        """From when on a look that does not show a job's submit means that it is not there."""
        return watch.begun_at + self._settings.patience(watch.model, watch.duration)

    async def _look(self, begun: float) -> None:
        """Look for every doubtful job once. Trouble on the way makes the look incomplete, which proves nothing."""
        doubtful = self._still_doubtful()
        rows: dict[str, dict[str, LogRow]] = {}  # by name and id; pages that shift may show a row twice
        trouble: Exception | None = None
        try:
            async for row in self._rows(doubtful):
                rows.setdefault(row.client_request_id, {})[row.inference_id] = row
        except AuthenticationError as error:
            self._scheduler.halt(error)
            return
        except Exception as error:  # noqa: BLE001 - a mistake in here must not leave jobs waiting for ever
            _logger.warning("the account's log could not be read to its end: %r", error)
            trouble = error
        await self._conclude(doubtful, rows, begun, trouble)

    async def _rows(self, doubtful: Sequence[Watch]) -> AsyncIterator[LogRow]:
        """The log from before the oldest doubtful POST to now, newest first; rows that come meanwhile only shift it."""
        age = self._now() - min(watch.begun_at for watch in doubtful)
        wall = self._wall()
        start, end = _moment(wall - min(age + _SKEW, _LONGEST_SPAN)), _moment(wall + _SKEW)
        offset, has_more = 0, True
        while has_more:
            await sleep_until(self._rate.reserve(self._now()))
            await self._scheduler.turn()
            page = read_logs(await self._transport.send(logs_request(start, end, offset)))
            for row in page.rows:
                yield row
            offset, has_more = offset + page.size, page.has_more

    async def _conclude(
        self,
        doubtful: Sequence[Watch],
        rows: Mapping[str, Mapping[str, LogRow]],
        begun: float,
        trouble: Exception | None,
    ) -> None:
        shown = self._newest_of_ours(rows)
        for watch in doubtful:
            if watch.settled or watch.record.state is not State.UNCERTAIN:
                continue
            named = [row for name in _names(watch) for row in reversed(tuple(rows.get(name, {}).values()))]
            found = [row for row in named if self._fits(watch, row)]
            if found:
                await self._adopt(watch, found)
            elif trouble is None and begun >= self._hopeless_at(watch):
                # A row under its name that is not fit to be adopted is all the same a sign that something was bought.
                absent = not named and shown > (watch.record.submitted_at or math.inf)
                await self._give_up(watch, proven=absent)
            elif begun >= self._hopeless_at(watch) + self._settings.log_grace:
                self._roster.settle(watch, doubt(watch))

    def _newest_of_ours(self, names: Iterable[str]) -> float:
        """When the newest POST was begun that this journal knows and the log shows under its name.

        The log bears the names of submits, then, and has caught up with that one.
        """
        newest = -math.inf
        for name in names:
            record = self._roster.recorded(name.rpartition(":")[0])
            if record is not None and record.client_request_id == name and record.submitted_at is not None:
                newest = max(newest, record.submitted_at)
        return newest

    def _fits(self, watch: Watch, row: LogRow) -> bool:
        if row.model not in (None, watch.model) and watch.model:
            _logger.error("%s is in the log for model %s, not %s", row.client_request_id, row.model, watch.model)
            return False
        if self._roster.owns(row.inference_id):
            _logger.error("%s is in the log as %s, which another job has", row.client_request_id, row.inference_id)
            return False
        return True

    async def _adopt(self, watch: Watch, found: Sequence[LogRow]) -> None:
        """Go on with what was bought; of several, with the oldest."""
        row, key = found[0], watch.record.key
        if len(found) > 1:
            ids = ", ".join(row.inference_id for row in found)
            _logger.error("job %s is in the log %d times, as %s; going on with the first", key, len(found), ids)
        _logger.info("job %s was accepted after all, as %s", key, row.inference_id)
        self._doubtful.pop(key, None)
        if row.succeeded is False:
            error = GenerationFailed("generation failed: so says the account's log, without a reason")
            await self._roster.finish(watch, State.FAILED, generation_id=row.inference_id, error=error)
            return
        await self._roster.accept(watch, row.inference_id, begun_at=watch.begun_at)
        self._scheduler.take_up(watch)

    async def _give_up(self, watch: Watch, *, proven: bool) -> None:
        self._doubtful.pop(watch.record.key, None)
        record, settings = watch.record, self._settings
        # What was posted elsewhere, and is known here by its token alone, is never posted here.
        ours = record.attempts > 0
        may_again = settings.then == "resubmit" and len(record.former_request_ids) < settings.max_resubmits
        if may_again and proven and ours:
            _logger.warning("job %s is not in the account's log, and is submitted again", record.key)
            former = (*record.former_request_ids, record.client_request_id or "")
            try:
                await self._roster.commit(watch, State.QUEUED, former_request_ids=former)
            except JournalError as error:
                self._roster.settle(watch, error)
            else:
                self._scheduler.take_up(watch)
            return
        self._roster.settle(watch, doubt(watch))


def _names(watch: Watch) -> tuple[str, ...]:
    """What its POSTs were sent under, oldest first."""
    record = watch.record
    return (*record.former_request_ids, *((record.client_request_id,) if record.client_request_id else ()))


def _moment(wall: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, wall), UTC)
