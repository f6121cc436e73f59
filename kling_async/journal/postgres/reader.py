"""Reading a journal in PostgreSQL without being a member."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.postgres import lease
from kling_async.journal.postgres.address import read_url
from kling_async.journal.postgres.connection import Link, connected, postgres_errors
from kling_async.journal.postgres.schema import STEPS, version_of
from kling_async.journal.sql.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kling_async.journal.base import Record
    from kling_async.journal.shared import Sharing

_PATIENCE = 60.0  # seconds of silence after which a server is given up


def exists(url: str) -> bool:
    """Return whether there is a journal, of any version.

    Raises:
        ConfigurationError: The URL cannot be used.
        JournalError: The database cannot be reached.
    """
    address = read_url(url)
    link = Link(address, patience=_PATIENCE, writes=False)
    with connected(link), postgres_errors(address):
        return version_of(link) > 0


class PostgresReader(JournalReader):
    """Reads a journal in PostgreSQL, also on a standby.

    Args:
        url: As for `SharedPostgres`.

    Raises:
        ConfigurationError: The URL cannot be used.
        JournalError: There is no journal, or it is unreadable.
    """

    def __init__(self, url: str) -> None:
        self._address = read_url(url)
        with self._connection():
            pass  # it can be read

    def records(self) -> Iterator[Record]:
        """Yield the newest record of every key, in the order they were queued, over one connection."""
        with self._connection() as link:
            yield from self._records(lambda: nullcontext(link))

    @contextmanager
    def _connection(self) -> Generator[Link]:
        link = Link(self._address, patience=_PATIENCE, writes=False)
        with connected(link), postgres_errors(self._address):
            version = version_of(link)
            if version != len(STEPS):
                found = f"of version {version}, until a session opens it once" if version else "no journal"
                raise JournalError(f"its schema {self._address.schema!r} is {found}")
            yield link

    def _sharing(self, connection: Link, now: float) -> Sharing | None:
        return lease.sharing(connection, now)

    def __repr__(self) -> str:
        return f"<PostgresReader {str(self._address)!r}>"
