"""A PostgreSQL database that sessions of any number of hosts share."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kling_async.errors import JournalError
from kling_async.journal.postgres import lease
from kling_async.journal.postgres.address import Address, read_url
from kling_async.journal.postgres.connection import Link, connected, postgres_errors
from kling_async.journal.postgres.prune import drop_unused_media
from kling_async.journal.postgres.schema import bring_up_to_date
from kling_async.journal.shared import LEASE, News
from kling_async.journal.sql import queries
from kling_async.journal.sql.member import SharedDatabase
from kling_async.journal.sql.rows import write_row
from kling_async.journal.sql.term import DatabaseTerm
from kling_async.journal.sql.unflushed import AnyKeySet, HashedKeySet
from kling_async.journal.sql.write_queue import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Iterable, Sequence

    from kling_async.journal.base import Record
    from kling_async.journal.shared import Entry, Token

_T = TypeVar("_T")

_TELL_EVERY = 0.05  # seconds between two notifications of a kind
_LOOK_EVERY = 5.0  # seconds between looks for changes of which nobody has told
_LOOK_EVERY_UNTOLD = 1.0  # likewise where nobody can tell
_NEWEST = 100_000  # jobs
_LEAST_PATIENCE = 2.0  # seconds of silence amid a statement, for a server that is just busy
_PATIENCE = 3.0  # seconds at most for which the event loop is blocked by a look-up


class SharedPostgres(SharedDatabase):
    """One member's journal in a PostgreSQL database; see `SharedJournal`.

    Args:
        url: ``postgresql://user@host/database``, with any of libpq's parameters, such as ``sslmode=verify-full``, and
            ``schema``, by which accounts are told apart.
        now: This process's clock, which goes on while the machine sleeps.
        length: The seconds for which a leader may act without renewing its lease.
        account: What tells the account apart, such as the API's URL; all members have to have the same.

    Raises:
        ConfigurationError: The URL cannot be used.
    """

    def __init__(
        self, url: str, *, now: Callable[[], float], length: float = LEASE, account: str | None = None
    ) -> None:
        self.address: Address = read_url(url)
        self._link = _link(self.address, length, on_connect=self._has_connected, on_notify=self._heard)
        waits = min(_PATIENCE, max(_LEAST_PATIENCE / 2, length / 3))
        place = (self.address, partial(_joined, self._link), partial(postgres_errors, self.address), waits)
        super().__init__(*place, tables=lease, now=now, length=length, account=account, is_local=False)
        self._feed = Feed()
        self._term: PostgresTerm | None = None
        self._socket: int | None = None  # which can be read once there is something new
        self._telling: dict[str, float] = {}  # channels, with the time of the last notification

    def wall(self) -> float | None:
        """Return the time by the database's clock, which goes on by this machine's between two looks."""
        return None if self._link.epoch is None else self.now() + self._link.epoch

    async def open(self, *on_change: Any, **others: Any) -> None:  # noqa: ANN401 - as in `SharedDatabase`
        """Join; see `SharedJournal`."""
        self._link.is_last = False
        await super().open(*on_change, **others)

    def leave(self) -> None:
        """Take note that a server that is silent is not to be tried again."""
        self._link.is_last = True

    async def close(self) -> None:
        """Write what was inserted and instructed, and leave."""
        self.leave()
        try:
            await super().close()
        finally:
            self._watch(None)

    # What is told by others, and to them

    def _has_connected(self, descriptor: int | None) -> None:
        self._on_loop(self._watch, descriptor)

    def _heard(self, channel: str) -> None:
        self._on_loop(self._take_note, channel)

    def _on_loop(self, call: Callable[[_T], object], given: _T) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, given)

    def _watch(self, descriptor: int | None) -> None:
        """Watch a new connection, in place of the one before, from which something may have been missed."""
        if self._socket is not None:
            self._unwatch()
            os.close(self._socket)
        self._socket = descriptor if self._writer is not None else None
        if descriptor is not None and self._writer is None:
            os.close(descriptor)
        self._rewatch()
        self._feed.every = _LOOK_EVERY_UNTOLD if self._socket is None else _LOOK_EVERY
        self._take_note(self.address.changes)
        self._take_note(self.address.news)

    def _rewatch(self) -> None:
        if self._socket is not None:
            try:
                self._loop.add_reader(self._socket, self._look)
            except NotImplementedError:  # as on Windows
                os.close(self._socket)
                self._socket = None

    def _unwatch(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)

    def _look(self) -> None:
        """Have the thread take what the server has said; until then it can be read, which is no news."""
        self._unwatch()
        if self._writer is not None:
            looked = asyncio.wrap_future(self._writer.ask(Link.look))
            looked.add_done_callback(self._has_looked)

    def _has_looked(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled():
            done.exception()  # the journal is closed
        self._rewatch()

    def _take_note(self, channel: str) -> None:
        if channel == self.address.lease:
            self._on_free()
            return
        if channel == self.address.changes:
            self._feed.is_stale = True
        elif self._term is not None:
            self._term.feed.is_stale = True
        self._on_change()

    def _tell(self, channel: str) -> None:
        """Notify the others, soon; not more than twenty times a second, as that wakes all of them."""
        loop = asyncio.get_running_loop()
        told = self._telling.get(channel, -math.inf)
        if told <= loop.time():
            at = max(loop.time(), told + _TELL_EVERY)
            self._telling[channel] = at
            loop.call_at(at, self._notify, channel)

    def _notify(self, channel: str) -> None:
        if self._writer is not None:
            with suppress(JournalError):
                self._writer.ask(lambda link: link.execute("SELECT pg_notify(?, '')", (channel,)))

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        super()._on_written(writes, reason)
        if reason is None and any(write.work is not None for write in writes):
            self._tell(self.address.news)
            self._take_note(self.address.news)

    async def changes(self, wanted: Container[str]) -> Sequence[Entry]:
        """Return the wanted jobs that have changed since the last call; nothing is asked until there may be some."""
        if not self._feed.is_due(self._loop.time()):
            return []
        try:
            return await super().changes(wanted)
        except BaseException:
            self._feed.is_stale = True
            raise

    # Leading

    async def release(self, token: Token, *, crashed: bool = False) -> None:
        """Let another member take the lease."""
        await super().release(token, crashed=crashed)
        self._tell(self.address.lease)

    def term(self, token: Token, on_fenced: Callable[[], object]) -> PostgresTerm:
        """Return the journal to lead with, which has a connection of its own."""
        link = _link(self.address, self.lease_length)
        place = (self.address, partial(connected, link), self._errors, self._patience)
        given = {"token": token, "on_fenced": on_fenced, "on_change": self._term_has_written}
        self._term = PostgresTerm(*place, tables=lease, link=link, told=self._feed, **given)
        return self._term

    def _term_has_written(self) -> None:
        self._tell(self.address.changes)
        self._take_note(self.address.changes)


class Feed:
    """Decides when to look for something new: once that was told, and every few seconds."""

    def __init__(self) -> None:
        self.every = _LOOK_EVERY_UNTOLD
        self.is_stale: bool = True
        self._looked_at = -math.inf

    def is_due(self, now: float) -> bool:
        """Return whether to look now; if so, the look is counted as made."""
        if not self.is_stale and now < self._looked_at + self.every:
            return False
        self.is_stale, self._looked_at = False, now
        return True


class PostgresTerm(DatabaseTerm):
    """The leader's view of the database."""

    def __init__(self, *database: Any, link: Link, told: Feed, **term: Any) -> None:  # noqa: ANN401 - the term's own
        super().__init__(*database, **term)
        self._told = told  # of the member, which hears for it
        self.feed: Feed = Feed()
        self._is_another = False  # whether another database has taken over in this term
        self._link = link

    def _commit(self, writes: list[Write], connection: Link) -> None:
        super()._commit(writes, connection)
        if connection.is_another and not self.is_fenced:  # it may not know the jobs
            self._loop.call_soon_threadsafe(self._find_another)
            whole = [write_row(write.record) for write in writes if write.record is not None]
            lease.write_of_leader(connection, self._token, whole)

    def _find_another(self) -> None:
        """End the term: the next one finds that commits were lost, and does what follows from it."""
        self._is_another = True
        self._on_fenced()

    def keep(self, records: Iterable[Record]) -> None:
        """Write records as a whole if another database has taken over, which may not have heard of them."""
        for record in records if self._is_another else ():
            self._opened().put(Write(next(self._numbers), None, write_row(record), None))

    async def close(self) -> None:
        """Write what was appended, and release the database."""
        self._link.is_last = True
        await super().close()

    def _drop_unused_media(self, connection: Link) -> object:
        return drop_unused_media(connection)

    def _known(self, connection: Link) -> tuple[HashedKeySet, HashedKeySet]:
        """Know the newest generations, so that it need not be asked for each new one; there may be millions of jobs."""
        return AnyKeySet(), queries.generations(connection, _NEWEST)

    async def news(self) -> News:
        """Return what is new for the leader; nothing is asked until there may be something."""
        self.feed.every = self._told.every
        if not self.feed.is_due(asyncio.get_running_loop().time()):
            return News()
        try:
            news = await super().news()
        except BaseException:
            self.feed.is_stale = True
            raise
        if news.entries or news.instructions or news.late:  # there may be more than one page
            self.feed.is_stale = True
        return news


def _link(address: Address, length: float, **told: Any) -> Link:  # noqa: ANN401 - the link's own
    return Link(address, patience=max(_LEAST_PATIENCE, length / 2), **told)


@contextmanager
def _joined(link: Link) -> Generator[Link]:
    with connected(link):
        with postgres_errors(link.address):
            bring_up_to_date(link)
        yield link
