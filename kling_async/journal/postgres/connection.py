"""A connection to PostgreSQL that is made anew once it is lost, and gives up on a server that is silent."""

from __future__ import annotations

import json
import math
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from kling_async.errors import JournalError
from kling_async.journal.postgres.address import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from psycopg.abc import PQGen

    from kling_async.journal.postgres.address import Address
    from kling_async.journal.shared import Token
    from kling_async.journal.sql.tables import Cursor

_T = TypeVar("_T")

_OLDEST = 130000  # of the server's versions
_LONGEST_CONNECT = 10  # seconds to connect, unless the URL has others
_INTERVAL = 0.1  # seconds between looks whether a server is silent

# A text that PostgreSQL cannot have, or that has a character that means something here, is kept as JSON behind a mark.
_MARK, SEPARATOR, NULL = "\x01", "\x1e", "\x1f"
_SPECIAL = re.compile("[\0\x01\x1e\x1f\ud800-\udfff]").search


def as_text(text: str) -> str:
    """Return a text as a column has it."""
    return text if _SPECIAL(text) is None else _MARK + json.dumps(text)


class Joined(str):
    """Texts as columns have them, joined by separators."""

    __slots__ = ()


def _as_parameter(value: object) -> object:
    if isinstance(value, Joined):
        return str(value)
    if isinstance(value, str):
        return as_text(value)
    return (
        as_text(value.decode("utf-8", "surrogatepass")) if isinstance(value, bytes) else value
    )  # as `as_column` has it


def _as_value(value: object) -> object:
    return json.loads(value[1:]) if isinstance(value, str) and value.startswith(_MARK) else value


def _row(_: object) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    def read(values: Sequence[Any]) -> tuple[Any, ...]:
        for value in values:
            if value.__class__ is str and value.startswith(_MARK):
                return tuple(map(_as_value, values))
        return tuple(values)

    return read


class _Silent(psycopg.OperationalError):
    """The server has not said anything for too long."""


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    patience: float = 5.0  # seconds of silence amid a statement after which it is given up

    def wait(self, gen: PQGen[_T], interval: float = _INTERVAL, *others: Any, **more: Any) -> _T:  # noqa: ANN401 - the driver's own
        del interval
        return super().wait(self._patient(gen), _INTERVAL, *others, **more)

    def _patient(self, gen: PQGen[_T]) -> PQGen[_T]:
        silent = 0.0
        try:
            state = next(gen)
            while True:
                ready = yield state
                silent = 0.0 if ready else silent + _INTERVAL
                if silent >= self.patience:
                    raise _Silent(f"the server has said nothing for {self.patience:g} s")
                state = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return] # of the generator


class Link:
    """One member's or leader's connection, for one thread; statements are in the dialect of `Connection`.

    Attributes:
        system: Which database a leader's statements go to, and its timeline.
        is_another: Whether that is not the one that it took the lease in, which may know less than this leader wrote.
        fence: What a leader's writes have to name beside its token: a number that is new with every connection, so that
            what the one before may still have under way cannot come after it; None until it is asked for.
        change: The number of the last change that was written.
        numbered: The changes that new jobs were numbered with, of which it is not known that the leader was told.
        seen: The renewal of the lease that was seen last, and when that was seen first, by the members' clock.
        member_seen: When it was last noted that the member lives.
        epoch: What to add to the members' clock for the time by the database's; None until it is known.
        is_direct: False behind a proxy that pools transactions.
        is_last: Set, by any thread, once a server that is silent is not to be tried again, as its user leaves.
    """

    def __init__(
        self,
        address: Address,
        *,
        patience: float,
        writes: bool = True,
        on_connect: Callable[[int | None], object] = lambda _: None,
        on_notify: Callable[[str], object] | None = None,
    ) -> None:
        self.address = address
        self._patience = patience
        self._writes = writes
        self._on_connect = on_connect  # gets a descriptor to be closed by it, readable once there is news; None if lost
        self._on_notify = on_notify  # gets the name of a channel on which somebody else has told something
        self._connection: _Connection | None = None
        self.system: str = ""
        self.is_another: bool = False
        self.fence: int | None = None
        self.fenced_token: Token | None = None
        self.change = 0
        self.numbered: list[int] = []
        self.seen: tuple[str, float] = ("", 0.0)
        self.member_seen: float = -math.inf
        self.epoch: float | None = None
        self.is_direct: bool = True
        self.is_last: bool = False
        self._silence: psycopg.Error | None = None  # as the server was met last

    def execute(self, statement: str, given: Sequence[Any] = (), /) -> Cursor:
        """Run a statement, which is a transaction of its own, on a connection that is made first if there is none.

        Raises:
            psycopg.Error: It failed; whether it was carried out is unknown if the connection is lost.
        """
        if self.is_last and self._silence is not None:
            raise self._silence
        known = self._connection
        connection = known or self.connect()
        try:
            return connection.execute(self.address.translated(statement), [*map(_as_parameter, given)] or None)
        except _Silent as error:
            self._silence = error
            self.close()
            raise
        except psycopg.Error as error:
            if connection.broken or isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                self.close()
            if connection.broken and known is not None and statement.startswith("SELECT"):
                return self.execute(statement, given)  # it was lost long ago, maybe, and to read twice is to read
            raise

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect, and make sure that what is committed here lasts.

        Raises:
            psycopg.Error: There is no connection to be had.
            JournalError: The server cannot keep a journal.
        """
        longest = {"connect_timeout": min(max(2, int(self._patience)), _LONGEST_CONNECT)}
        given = make_conninfo("", **(longest | conninfo_to_dict(self.address.conninfo)))
        try:
            connection = _Connection.connect(given, autocommit=True, row_factory=_row)
        except psycopg.errors.ConnectionTimeout as error:
            self._silence = error
            raise
        self._silence = None
        try:
            connection.patience = self._patience
            self._check(connection)
            if not self.is_direct:
                connection.prepare_threshold = None
            elif self._on_notify is not None:
                connection.add_notify_handler(lambda note: self._hear(note.channel, note.pid))
                for channel in (self.address.news, self.address.changes, self.address.lease):
                    connection.execute(f'LISTEN "{channel}"'.encode())
        except BaseException:
            connection.close()
            raise
        self._connection, self.fence = connection, None
        self._on_connect(os.dup(connection.fileno()) if self.is_direct and self._on_notify is not None else None)
        return connection

    def _check(self, connection: _Connection) -> None:
        row = connection.execute(
            "SELECT pg_backend_pid(), current_setting('server_version_num')::int, pg_is_in_recovery(),"
            " current_setting('default_transaction_read_only'), current_setting('synchronous_commit'),"
            " current_setting('default_transaction_isolation'), current_setting('server_encoding')"
        ).fetchone()
        assert row is not None  # noqa: S101 - there is one
        process, version, is_standby, is_read_only, commits, isolation, encoding = row
        self.is_direct = process == connection.info.backend_pid  # a proxy that pools makes its own numbers up
        troubles = {
            f"the server is of version {version // 10000}; allowed: 13 or later": version < _OLDEST,
            "the server is a standby, which cannot be written": is_standby,
            "this database or role is read-only": is_read_only == "on",
            "synchronous_commit is off, so that a crash could lose what was committed": commits == "off",
            f"default_transaction_isolation is {isolation!r}; allowed: 'read committed'": isolation != "read committed",
            f"the database's encoding is {encoding}; allowed: UTF8": encoding != "UTF8",
        }
        for trouble, is_so in troubles.items():
            if is_so and self._writes:
                raise JournalError(trouble)

    def _hear(self, channel: str, process: int) -> None:
        own = None if self._connection is None else self._connection.info.backend_pid
        if self._on_notify is not None and process != own:
            self._on_notify(channel)

    def look(self) -> None:
        """Take what the server has said by itself, without asking it anything."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.pgconn.consume_input()
            while (note := connection.pgconn.notifies()) is not None:
                self._hear(note.relname.decode(), note.be_pid)
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Close the connection, whatever it has under way; another statement makes a new one."""
        connection, self._connection = self._connection, None
        self.fence = None
        if connection is not None:
            self._on_connect(None)
            with suppress(psycopg.Error):
                if connection.info.transaction_status is TransactionStatus.ACTIVE:
                    connection.pgconn.finish()  # closing it would wait for the server
                connection.close()


@contextmanager
def connected(link: Link) -> Generator[Link]:
    """Have the connection within the block."""
    with postgres_errors(link.address):
        link.connect()
    try:
        yield link
    finally:
        link.close()


@contextmanager
def postgres_errors(address: Address) -> Generator[None]:
    """Turn errors of the driver into a `JournalError` that names the journal, and no secret."""
    try:
        yield
    except psycopg.Error as error:
        said = error.diag.message_primary or " ".join(str(error).partition("\nMultiple connection attempts")[0].split())
        said = without_secrets(said, address)
        raise JournalError(f"journal {address}: {said}") from None
    except JournalError as error:
        place = f"journal {address}: "
        raise JournalError(place + str(error).removeprefix(place)) from error.__cause__
