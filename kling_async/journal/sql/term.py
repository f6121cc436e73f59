"""The leader's view of a shared journal: whatever it writes is fenced by its token."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kling_async.errors import JournalError
from kling_async.journal.base import Choices, JobState
from kling_async.journal.shared import Fenced, News, late_answer
from kling_async.journal.sql import queries
from kling_async.journal.sql.journal import DatabaseJournal
from kling_async.journal.sql.tables import Learned, Parking, Settling, Trusting
from kling_async.journal.sql.write_queue import Write
from kling_async.journal.sql.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kling_async.errors import KlingError
    from kling_async.journal.base import Record
    from kling_async.journal.shared import Entry, Instruction, LateAnswer, Token
    from kling_async.journal.sql.tables import OfLeader, Own, Tables

_T = TypeVar("_T")

_REPLACED = "another member leads by now"
_USUAL = Choices()


class TermWriter(Writer):
    """Writes what its term commits; see `DatabaseTerm`."""

    def __init__(self, is_fenced: Callable[[], bool], *writer: Any, **others: Any) -> None:  # noqa: ANN401 - the writer's own
        super().__init__(*writer, **others)
        self._is_fenced = is_fenced

    def _notify(self, writes: list[Write]) -> None:
        """Tell that writes are done, and that nothing must be sent whose submit could not be recorded."""
        begun = [write for write in writes if self._is_fenced() and _is_begin(write)]
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._on_written, begun, _REPLACED)
        super()._notify([write for write in writes if write not in begun])

    def _give_up(self, writes: list[Write]) -> None:
        """Keep all writes for the next transaction: while they cannot be written, nothing is submitted."""
        if self._is_fenced():
            super()._give_up(writes)
        else:
            self._retained = writes


class DatabaseTerm(DatabaseJournal):
    """The leader's journal; see `TermJournal`. What cannot be written is tried again.

    Once its token is fenced, what the writes say about POSTs is kept as late answers.
    """

    def __init__(
        self,
        *database: Any,  # noqa: ANN401 - as for `Database`
        tables: Tables,
        token: Token,
        on_fenced: Callable[[], object],
        on_change: Callable[[], object],
    ) -> None:
        super().__init__(*database)
        self._tables = tables
        self._on_change = on_change
        self._token = token
        self._on_fenced = on_fenced
        self._is_fenced = False
        self._kind = partial(TermWriter, lambda: self._is_fenced)
        self._choices: dict[str, Choices] = {}  # of open jobs, where they are not the usual ones
        self._first_parked: dict[int, Parking] = {}  # by the number of the halt
        self._lost_at: float | None = None  # when commits were found to be lost
        self._least_change = 0  # which changes began after then
        self._last_job = 0  # the number of the job that was inserted last, as far as is known

    @property
    def is_fenced(self) -> bool:
        """True once another member has taken the lease, as far as is known here."""
        return self._is_fenced

    def _commit(self, writes: list[Write], connection: Own) -> None:
        works: list[Any] = [write.work for write in writes if write.work is not None]
        if works and not self._is_fenced:
            try:
                self._tables.write_of_leader(connection, self._token, works)
            except Fenced:
                self._is_fenced = True
                self._loop.call_soon_threadsafe(self._on_fenced)
        if works and self._is_fenced:
            told = [late_answer(one.record, is_begin=_is_begin(one)) for one in writes if one.record is not None]
            self._tables.keep_late(connection, [answer for answer in told if answer is not None])

    async def _ask(self, question: Callable[[Any], _T]) -> _T:
        try:
            return await super()._ask(question)
        except Fenced as error:
            self._on_fenced()
            raise JournalError(f"journal {self._place}: {_REPLACED}") from error

    async def load_open(self) -> Sequence[Record]:
        """Return the open jobs that are not parked, in the order they were queued."""
        await self._try_flush()
        self._lost_at, self._least_change = await self._ask(self._tables.restored)
        self._choices = await self._ask(queries.all_choices)
        records: list[Record] = []
        after: int | None = 0
        while after is not None:
            entries, after, self._last_job = await self._ask(partial(self._led, after=after))
            records += map(self._take, entries)
        return records

    def _led(self, connection: Own, after: int) -> tuple[list[Entry], int | None, int]:
        return self._tables.led(connection, self._token, after)

    def _take(self, entry: Entry) -> Record:
        if entry.choices != _USUAL:
            self._choices[entry.record.key] = entry.choices
        if entry.record.key not in self._keys:
            self._keys.add(entry.record.key)
        return self._unflushed.load(entry.record)

    async def news(self) -> News:
        """Return what is new for the leader."""
        news, self._last_job = await self._ask(partial(self._read_news, after=self._last_job))
        for entry in news.entries:
            self._take(entry)
        return news

    def _read_news(self, connection: Own, after: int) -> tuple[News, int]:
        """Return what is new, and the number of the newest job among it."""
        entries, newest = self._tables.inserted(connection, self._token, after)
        return News(entries, queries.instructions(connection), queries.late_answers(connection)), newest

    def park(self, record: Record, error: KlingError, halt: int = 0) -> None:
        """Keep a job from being worked on."""
        parking = Parking(record.key, error)
        self._first_parked.setdefault(halt, parking)
        self._put(parking)

    def was_seen(self, halt: int, seen: float) -> bool:
        """Return whether this halt had parked something, if it ever did, by the change of this number."""
        first = self._first_parked.get(halt)
        return first is None or first.change <= seen

    def settle(self, item: Instruction | LateAnswer, *, keep: bool = False) -> None:
        """Drop what was acted on, or keep it for people alone."""
        self._put(Settling(item, keep))

    async def parked(self) -> Sequence[Record]:
        """Return the queued jobs that are parked."""
        return await self._ask(queries.parked)

    def lost_at(self, record: Record) -> float | None:
        """Return when commits were lost, if this record has not been written since its job was last sent."""
        written_at = max(record.queued_at, record.submitted_at or 0.0)
        return self._lost_at if self._lost_at is not None and written_at <= self._lost_at else None

    def trust(self, seen: float = math.inf) -> None:
        """Take it that nothing was lost, if that was said by one who could know that commits were."""
        if seen > self._least_change:
            self._lost_at = None
            self._put(Trusting())

    def keep(self, records: Iterable[Record]) -> None:
        """Do nothing: no commits are lost here while a term goes on."""

    def choices(self, key: str) -> Choices:
        """Return what the caller chose for an open job."""
        return self._choices.get(key, _USUAL)

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        super()._on_written(writes, reason)
        self._on_change()

    async def save_learned(self, text: str) -> None:
        """Save a text in place of the one before, soon: the end of a term does not wait for it."""
        self._put(Learned(text))

    def _put(self, work: OfLeader) -> None:
        self._opened().put(Write(next(self._numbers), None, work, None))
        self._opened().put(Write(next(self._numbers), None, None, asyncio.get_running_loop().create_future()))  # soon


def _is_begin(write: Write) -> bool:
    """Return whether a POST waits for this write, as it does for no note of a record whose POST is on its way."""
    begins = write.record is not None and write.record.state is JobState.SUBMITTING
    return begins and write.waiter is not None
