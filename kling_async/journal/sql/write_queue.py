"""Reads and writes on their way to the journal's thread, and the delay for which writes are gathered."""

from __future__ import annotations

from threading import Condition
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from kling_async.errors import JournalError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Future

    from kling_async.journal.base import Record

_T = TypeVar("_T")

_BATCH_DELAY = 0.05  # seconds for which appended records are gathered: a thousand of them share one fsync

_MOST_PUT_OFF = 4  # takings for reads alone, after which writes wait no longer: reads may come more often than it lasts


@frozen(eq=False)
class Write:
    """A record to be written.

    Attributes:
        number: Its number in the order of all writes.
        record: The record; None for what is no record, or for a flush, which only waits for the writes before it.
        work: The record as a row, or what else is to be written; None for a flush.
        waiter: Gets None once it is written, or the reason why it was not; such a write is then given up. A write
            without a waiter is tried again until it is written.
    """

    number: int
    record: Record | None
    work: object
    waiter: asyncio.Future[str | None] | None


@frozen(eq=False)
class Read(Generic[_T]):
    """A query by itself: a function of the connection, and the future of its result."""

    query: Callable[[Any], _T]
    answer: Future[_T]


@frozen
class Batch:
    """Work to be done at once: first the reads, for which the event loop may be waiting."""

    reads: list[Read[Any]]
    writes: list[Write]
    last: bool


class WriteQueue:
    """A queue that any thread fills and one empties."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._reads: list[Read[Any]] = []
        self._writes: list[Write] = []
        self._awaited = 0  # writes with a waiter
        self._flush_requested = False  # the writes are to be taken now
        self._put_off = 0  # how many takings for reads alone have begun the delay of the writes anew
        self._closed = False

    def put(self, write: Write) -> bool:
        """Add a write. One with a waiter is taken soon after `flush_now`.

        Returns:
            True if `flush_now` has to be called for it in a while.

        Raises:
            JournalError: The queue is closed.
        """
        with self._condition:
            self._refuse_if_closed()
            self._writes.append(write)
            if write.waiter is None:
                return len(self._writes) == 1
            self._awaited += 1
            return self._awaited == 1

    def flush_now(self) -> None:
        """Let all writes be taken now if any has a waiter; otherwise start the delay of the others."""
        with self._condition:
            self._flush_requested = self._awaited > 0
            if self._writes:
                self._condition.notify()

    def ask(self, read: Read[Any]) -> None:
        """Add a read.

        Raises:
            JournalError: The queue is closed.
        """
        with self._condition:
            self._refuse_if_closed()
            self._reads.append(read)
            self._condition.notify()

    def close(self) -> None:
        """Refuse further work; what is queued is still taken."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def take(self, timeout: float | None = None) -> Batch:
        """Wait for work, and take it; after ``timeout`` seconds without any there is none.

        Writes without a waiter are gathered for a while, which reads do not end.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: self._writes or self._reads or self._closed, timeout):
                return Batch([], [], last=False)
            is_woken = self._condition.wait_for(self._is_urgent, _BATCH_DELAY)
            self._put_off = self._put_off + 1 if self._writes else 0
            batch = Batch(self._reads, [], self._closed)
            self._reads = []
            if self._flush_requested or self._closed or not is_woken or self._put_off > _MOST_PUT_OFF:
                self._put_off = 0
                batch.writes.extend(self._writes)
                self._writes.clear()
                self._awaited, self._flush_requested = 0, False
            return batch

    def _is_urgent(self) -> bool:
        return self._flush_requested or bool(self._reads) or self._closed

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")
