"""Shared journals in real databases, in virtual time: it stands still while a journal's thread is at work."""

from __future__ import annotations

import selectors
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from attrs import define, evolve, field
from postgres import execute, own_schema, schema_of, server_url
from virtual import VirtualLoop

from kling_async import JournalError, read_journal
from kling_async.journal.open import open_shared
from kling_async.journal.postgres.connection import Link
from kling_async.journal.sql import queries, writer
from kling_async.journal.sql.member import SharedDatabase
from kling_async.journal.sql.term import DatabaseTerm
from kling_async.journal.sql.write_queue import Batch, WriteQueue

if TYPE_CHECKING:
    from kling_async.journal.base import Record
    from kling_async.journal.shared import LateAnswer, SharedJournal

_EPOCH = 1_800_000_000.0  # at which virtual time begins by the database's clock
_CLOCK = "virtual_clock"  # a schema with functions in the place of PostgreSQL's own
_BLINK = 0.0005  # seconds of real time


class _Waiting(selectors.SelectSelector):
    def __init__(self, loop: EngineLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        while True:
            is_busy = self._loop.is_busy  # asked first: a thread tells what it has done before it rests
            ready = super().select(0)
            if ready or timeout == 0:
                return ready
            if not is_busy:
                if timeout is None:
                    raise RuntimeError("everything waits, and nothing is scheduled")
                self._loop.jump()
                return ready
            super().select(_BLINK)


class EngineLoop(VirtualLoop):
    """A virtual loop that waits for the threads of journals before its clock jumps."""

    selector = _Waiting

    def __init__(self) -> None:
        self.writers: list[writer.Writer] = []
        super().__init__()

    @property
    def is_busy(self) -> bool:
        """Whether a thread has something to do now."""
        return any(map(self._is_busy, self.writers))

    def _is_busy(self, one: writer.Writer) -> bool:
        if not one._thread.is_alive():
            return False
        queue: Any = one._queue
        with queue._condition:
            is_due = bool(one._retained) and self.time() >= one._retry_at
            return not queue.waits and bool(queue.works or queue._closed or queue._reads or queue._writes or is_due)


@define(eq=False)
class Engine:
    """A database that members of one process share, and what may befall it; one at a time.

    Attributes:
        kind: ``sqlite`` or ``postgresql``.
        delay: What a leader's write takes, in seconds.
        away: Whether nothing can be read or written.
        unanswered: How many of the next writes are carried out, though their answers are lost.
    """

    kind: str
    loop: EngineLoop = field(factory=EngineLoop)
    delay: float = 0.0
    away: bool = False
    unanswered: int = 0
    _place: str = ""
    _schema: str = ""
    _stack: ExitStack = field(factory=ExitStack)

    def __attrs_post_init__(self) -> None:
        if self.kind == "sqlite":
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kling-"))
            self._place = str(Path(folder, "journal.db"))
        else:
            _make_clock()
            url = self._stack.enter_context(own_schema())
            self._schema = schema_of(url)
            self._place = f"{url}&options=-csearch_path%3D{_CLOCK},pg_catalog"
            self.patch(Link, "execute", self._execute(Link.execute))
        self.patch(writer, "WriteQueue", lambda: _Queue(self))
        self.patch(writer.Writer, "start", self._start(writer.Writer.start))
        self.patch(SharedDatabase, "_commit", self._commit(SharedDatabase._commit))
        self.patch(DatabaseTerm, "_commit", self._commit(DatabaseTerm._commit))

    def patch(self, target: Any, name: str, by: Any) -> None:
        """Put something in the place of an attribute until it is closed."""
        self._stack.enter_context(mock.patch.object(target, name, by))

    def member(self) -> SharedJournal:
        """A member's journal."""
        return open_shared(self._place, self.loop.time)

    def close(self) -> None:
        """Remove it."""
        self._stack.close()

    # What is in it

    def steal(self) -> None:
        """Free the lease, of which its holder hears nothing."""
        if self.kind == "sqlite":
            self._ask(lambda connection: connection.execute("UPDATE main.lease SET holder = ''"))
        else:
            execute(
                self._place, f"UPDATE {self._place.partition('schema=')[2].partition('&')[0]}.lease SET holder = ''"
            )

    @property
    def records(self) -> list[Record]:
        """All records."""
        return list(read_journal(self._place).records())

    @property
    def late(self) -> list[LateAnswer]:
        """The late answers that nobody has acted on."""
        found: list[LateAnswer] = self._ask(queries.late_answers)
        return found

    @property
    def kept(self) -> list[LateAnswer]:
        """Those that are kept for people."""
        found: list[LateAnswer] = self._ask(lambda connection: queries.late_answers(connection, kept=True))
        return found

    def _ask(self, question: Any) -> Any:
        async def answer() -> Any:
            joined: Any = self.member()
            await joined.open()
            try:
                return await joined._ask(question)
            finally:
                await joined.close()

        away, self.away = self.away, False
        try:
            return self.loop.run_until_complete(answer())
        finally:
            self.away = away

    # What is put in the way

    def _start(self, start: Any) -> Any:
        async def started(one: writer.Writer) -> None:
            self.loop.writers.append(one)
            await start(one)

        return started

    def _commit(self, commit: Any) -> Any:
        def committed(one: Any, writes: Any, connection: Any) -> None:
            self._check()
            if isinstance(one, DatabaseTerm):
                writers = [each for each in self.loop.writers if getattr(each._commit, "__self__", None) is one]
                self._put_off(writers[-1]._queue)
            commit(one, writes, connection)
            if self.unanswered and any(write.work is not None for write in writes):
                self.unanswered -= 1
                if isinstance(connection, Link):
                    connection.close()
                raise JournalError("the answer was lost")

        return committed

    def _check(self, *_: object) -> None:
        if self.away:
            raise JournalError("the database is away")

    def _put_off(self, queue: Any) -> None:
        until, queue.waits = self.loop.time() + self.delay, True
        while self.delay and self.loop.time() < until and not queue._closed:
            time.sleep(_BLINK)
        queue.waits = False

    def _execute(self, execute_it: Any) -> Any:
        """Have the database's clock show virtual time."""

        def executed(link: Link, statement: str, given: Any = (), /) -> Any:
            connection = link._connection or link.connect()
            now = str(_EPOCH + self.loop.time())
            connection.execute("SELECT set_config('virtual.now', %s, false)", (now,))
            return execute_it(link, statement, given)

        return executed


class _Queue(WriteQueue):
    """Knows whether its thread is at work."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self.works = True
        self.waits = False  # for virtual time to pass

    def take(self, timeout: float | None = None) -> Batch:
        with self._condition:
            self.works = False
            batch = super().take(None if timeout is None else _BLINK)
            self.works = True
        if self._engine.away:
            return Batch([evolve(read, query=self._engine._check) for read in batch.reads], batch.writes, batch.last)
        return batch


def _make_clock() -> None:
    told = "RETURNS timestamptz LANGUAGE sql VOLATILE AS"
    now = "$$ SELECT pg_catalog.to_timestamp(pg_catalog.current_setting('virtual.now')::float8) $$"
    execute(
        server_url(),
        f"CREATE SCHEMA IF NOT EXISTS {_CLOCK};"
        f"CREATE OR REPLACE FUNCTION {_CLOCK}.clock_timestamp() {told} {now};"
        f"CREATE OR REPLACE FUNCTION {_CLOCK}.now() {told} {now}",
    )
