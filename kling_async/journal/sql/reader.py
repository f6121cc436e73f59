"""Reading a journal without owning it, whatever database it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.sql import queries

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from kling_async.journal.base import JobState, Record
    from kling_async.journal.shared import Sharing
    from kling_async.journal.sql.tables import Own


class JournalReader:
    """Reads a journal that sessions may be writing, or that a crash left behind; it changes and creates nothing.

    A call blocks its thread, which may be any; nothing is open between two calls.

    Attributes:
        damaged: Why records could not be read that `records` has left out, when it was last called.
    """

    damaged: Sequence[JournalError] = ()

    def records(self) -> Iterator[Record]:
        """Yield the newest record of every key, in the order they were queued, those queued meanwhile included.

        Raises:
            JournalError: They cannot be read; for a record that is damaged, see ``damaged``.
        """
        yield from self._records(self._connection)

    def _records(self, connected: Callable[[], AbstractContextManager[Own]]) -> Iterator[Record]:
        self.damaged = damaged = list[JournalError]()
        place: int | None = 0
        while place is not None:
            with connected() as connection:
                records, place = queries.page(connection, place, damaged.append)
            yield from records

    def counts(self) -> Counter[JobState]:
        """Count the jobs in each state, all at one moment.

        Raises:
            JournalError: They cannot be read.
        """
        with self._connection() as connection:
            return queries.counts(connection)

    def sharing(self, now: float) -> Sharing | None:
        """Return how sessions share it, by the clock of ``now``; None if they never did.

        Raises:
            JournalError: It cannot be read.
        """
        with self._connection() as connection:
            return self._sharing(connection, now)

    def has_owner(self) -> bool | None:
        """Return whether a session has it for itself; None where that cannot be told."""
        return None

    def _connection(self) -> AbstractContextManager[Own]:
        raise NotImplementedError

    def _sharing(self, connection: Own, now: float) -> Sharing | None:
        raise NotImplementedError
