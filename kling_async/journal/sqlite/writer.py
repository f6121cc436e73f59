"""One thread with the one connection that writes, where whatever waits is written in one transaction."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from asyncio import wrap_future
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CancelScope

from kling_async.errors import JournalError
from kling_async.journal.sqlite import statements as table
from kling_async.journal.sqlite.connection import journal_errors
from kling_async.journal.sqlite.file import owned_file
from kling_async.journal.sqlite.write_queue import Read, WriteQueue

if TYPE_CHECKING:
    import sqlite3
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kling_async.journal.sqlite.connection import Connection
    from kling_async.journal.sqlite.write_queue import Batch, Write

__all__ = ["Writer"]

_logger = logging.getLogger("kling_async.journal")

_T = TypeVar("_T")

# Turns of the loop for which a write waits for company: an answer to a submit is recorded, and that lets the next one
# begin, which is recorded two or three turns later. An idle loop turns in microseconds. On a busy one the thread would
# not get on any sooner, and would slow it down: each time the loop lets go of the interpreter lock for a moment, as in
# every system call, it would wake the thread, only to have the lock back before that is up.
_TURNS = 4


class Writer:
    """Owns a journal's file, from `start` to `stop`.

    The thread is a daemon, so that a session nobody closed cannot keep a process from ending; and it is joined when the
    interpreter exits, so that nothing left with it is lost then.
    """

    def __init__(
        self,
        path: Path,
        loop: AbstractEventLoop,
        report: Callable[[Sequence[Write], str | None], None],
    ) -> None:
        self._path = path
        self._loop = loop
        self._report = report  # called on the loop, once for all writes of a transaction
        self._queue = WriteQueue()
        self._kept: list[Write] = []  # what could not be written yet
        self._reason: str | None = None  # why it could not
        self._opened: Future[None] = Future()
        self._ended: Future[str | None] = Future()
        self._process = os.getpid()
        self._thread = Thread(target=self._run, name=f"kling_async journal {path.name}", daemon=True)

    async def start(self) -> None:
        """Open the file; whatever comes of it, even a cancellation, `stop` is to follow.

        Raises:
            JournalError: It cannot be used, or there is no thread to be had.
        """
        for future in (self._opened, self._ended):
            future.set_running_or_notify_cancel()  # those who wait for it may be cancelled, it cannot
        try:
            self._thread.start()
        except RuntimeError as error:
            self._ended.set_result(None)
            raise JournalError(f"journal {self._path}: there is no thread to write it in: {error}") from error
        atexit.register(self._finish)
        await wrap_future(self._opened)

    async def stop(self) -> str | None:
        """Write what is left, and close the file; the reason if something could not be written.

        Cancelled, it still returns only then, and the cancellation comes out: the file can be had by others at once.
        """
        self._queue.close()
        ended = wrap_future(self._ended)
        interruption: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                with CancelScope(shield=True):  # a cancelled scope would cancel this wait again and again
                    await asyncio.wait({ended})
            except asyncio.CancelledError as cancellation:
                interruption = cancellation
        self._finish()
        if interruption is not None:
            raise interruption
        return ended.result()

    def _finish(self) -> None:
        if self._process != os.getpid():  # a fork has no such thread, and may have its locks as that one left them
            return
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join()
        atexit.unregister(self._finish)

    def put(self, write: Write) -> None:
        """Have this written; called on the loop.

        Raises:
            JournalError: The journal is closed.
        """
        if self._queue.put(write):
            self._ring_after(_TURNS)

    def _ring_after(self, turns: int) -> None:
        if turns:
            self._loop.call_soon(self._ring_after, turns - 1)
        else:
            self._queue.flush_now()

    def ask(self, question: Callable[[sqlite3.Connection], _T]) -> Future[_T]:
        """Have this read, before the writes that wait; the future raises `JournalError` if it cannot be.

        Raises:
            JournalError: The journal is closed.
        """
        answer: Future[_T] = Future()
        self._queue.ask(Read(question, answer))
        return answer

    # On the thread

    def _run(self) -> None:
        try:
            with owned_file(self._path) as connection:
                self._opened.set_result(None)
                while self._turn(connection):
                    pass
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
        finally:
            self._queue.close()
            self._turn_away(self._queue.take())
            self._ended.set_result(self._reason if self._kept else None)

    def _turn(self, connection: Connection) -> bool:
        batch = self._queue.take()
        for read in batch.reads:
            self._answer(read, connection)
        if batch.writes or (batch.last and self._kept):
            self._write(batch.writes, connection)
        return not batch.last

    def _turn_away(self, batch: Batch) -> None:
        """Answer those who came while an error ended the thread; there are none at an ordinary end."""
        ended = f"journal {self._path}: its thread has ended"
        for read in batch.reads:
            if read.answer.set_running_or_notify_cancel():
                read.answer.set_exception(JournalError(ended))
        if batch.writes:
            self._became(self._reason or ended)
            self._give_up(self._kept + batch.writes)

    def _give_up(self, writes: list[Write]) -> None:
        """Tell those who wait that nothing is written, and keep the rest."""
        self._kept = [write for write in writes if write.waiter is None]
        self._tell([write for write in writes if write.waiter is not None])

    def _answer(self, read: Read[Any], connection: sqlite3.Connection) -> None:
        if not read.answer.set_running_or_notify_cancel():
            return
        try:
            with journal_errors(self._path):
                read.answer.set_result(read.ask(connection))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            read.answer.set_exception(error)

    def _write(self, writes: list[Write], connection: Connection) -> None:
        """Write everything in one transaction; what nobody waits for is tried again with the next."""
        writes = self._kept + writes
        try:
            self._commit(writes, connection)
        except Exception as error:  # noqa: BLE001 - it is told to those who wait, and this thread goes on
            self._became(f"journal {self._path}: {error}")
            self._give_up(writes)
        else:
            self._became(None)
            self._kept = []
            self._tell(writes)

    def _became(self, reason: str | None) -> None:
        if reason != self._reason:
            _logger.warning(reason or f"journal {self._path}: everything is written again")
        self._reason = reason

    def _commit(self, writes: list[Write], connection: Connection) -> None:
        rows = [write.row for write in writes if write.row is not None]
        if rows:
            connection.check_place()
            table.write(connection, rows)

    def _tell(self, writes: list[Write]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._report, writes, self._reason)
