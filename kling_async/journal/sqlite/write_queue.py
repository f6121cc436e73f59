"""What waits for the journal's thread: reads and writes, and how long writes may wait for company."""

from __future__ import annotations

from threading import Condition
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from kling_async.errors import JournalError

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Callable
    from concurrent.futures import Future

    from kling_async.journal.base import Record
    from kling_async.journal.sqlite.rows import Row

__all__ = ["Batch", "Read", "Write", "WriteQueue"]

_T = TypeVar("_T")

_LINGER = 0.05  # seconds that writes nobody waits for are held back: one fsync is as good for a thousand as for one


@frozen(eq=False)
class Write:
    """Something to be written.

    Attributes:
        number: Its place in the order of all writes.
        record: The record; None to learn only that everything before it is written.
        row: The record as a row.
        waiter: Who waits for it: gets None once it is written, or the reason why it is not, and then it is given up.
            A write that nobody waits for is kept until it can be written.
    """

    number: int
    record: Record | None
    row: Row | None
    waiter: asyncio.Future[str | None] | None


@frozen(eq=False)
class Read(Generic[_T]):
    """Something to be asked of the file by itself: a function of the connection, and where its result goes."""

    ask: Callable[[sqlite3.Connection], _T]
    answer: Future[_T]


@frozen
class Batch:
    """What is to be done at once: first the reads, whose askers may be holding up the event loop."""

    reads: list[Read[Any]]
    writes: list[Write]
    last: bool


class WriteQueue:
    """Filled by any thread, emptied by one."""

    def __init__(self) -> None:
        self._bell = Condition()
        self._reads: list[Read[Any]] = []
        self._writes: list[Write] = []
        self._awaited = 0  # how many of the writes somebody waits for
        self._rung = False  # whether those are to be written now
        self._closed = False

    def put(self, write: Write) -> bool:
        """Leave a write. One that is awaited is taken soon after `ring`.

        Returns:
            Whether `ring` has to be called for it in a while.

        Raises:
            JournalError: The inbox is closed.
        """
        with self._bell:
            self._refuse_if_closed()
            self._writes.append(write)
            if write.waiter is None:
                return len(self._writes) == 1
            self._awaited += 1
            return self._awaited == 1

    def flush_now(self) -> None:
        """Have what is awaited taken now, with all that waits then; or have what is not linger from now on."""
        with self._bell:
            self._rung = self._awaited > 0
            if self._writes:
                self._bell.notify()

    def ask(self, read: Read[Any]) -> None:
        """Leave a read.

        Raises:
            JournalError: The inbox is closed.
        """
        with self._bell:
            self._refuse_if_closed()
            self._reads.append(read)
            self._bell.notify()

    def close(self) -> None:
        """Take nothing more; what is left here is still taken out."""
        with self._bell:
            self._closed = True
            self._bell.notify()

    def take(self) -> Batch:
        """Wait for something to do, and take it out. Writes nobody waits for linger while there is only reading."""
        with self._bell:
            self._bell.wait_for(lambda: self._writes or self._reads or self._closed)
            called = self._bell.wait_for(lambda: self._rung or self._reads or self._closed, _LINGER)
            batch = Batch(self._reads, [], self._closed)
            self._reads = []
            if self._rung or self._closed or not called:
                batch.writes.extend(self._writes)
                self._writes.clear()
                self._awaited, self._rung = 0, False
            return batch

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")
