"""The thread with the one connection that writes: all writes that wait are one transaction."""

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
from kling_async.journal.sql.write_queue import Read, WriteQueue

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from kling_async.journal.sql.tables import Own
    from kling_async.journal.sql.write_queue import Batch, Write

_logger = logging.getLogger("kling_async.journal")

_T = TypeVar("_T")

# Iterations of the loop for which a write waits for others: the answer to a submit is recorded, which lets the next
# submit begin, which is recorded two or three iterations later. An idle loop iterates in microseconds. On a busy one
# the thread would not be sooner done, and would slow it down by contending for the interpreter lock.
_TURNS = 4

_RETRY_AFTER = 1.0  # seconds until what could not be written is tried again, if nothing else is written before

_MOST_NAMED = 20  # jobs, in a message


class Writer:
    """Has a journal's connection that writes, from `start` to `stop`.

    The thread is a daemon, so that a session that was never closed cannot keep the process from ending; it is joined
    when the interpreter exits, so that nothing queued is lost then.
    """

    def __init__(
        self,
        place: object,
        loop: AbstractEventLoop,
        on_written: Callable[[Sequence[Write], str | None], None],
        opened: Callable[[], AbstractContextManager[Any]],
        errors: Callable[[], AbstractContextManager[None]],
        commit: Callable[[list[Write], Own], object],
        *,
        patience: float | None = None,
    ) -> None:
        self._place = place  # what messages call the journal
        self._loop = loop
        self._on_written = on_written  # called on the loop, once a transaction, with the reason of a failure
        self._open = opened  # to be entered on the thread
        self._errors = errors  # turns the database's errors into a `JournalError`
        self._commit = commit  # writes everything, in its order
        self._patience = patience  # seconds for which the event loop may be blocked by `answer`
        self._queue = WriteQueue()
        self._retained: list[Write] = []  # what could not be written yet
        self._retry_at = 0.0  # when that is tried again, by the clock of the loop
        self._failure: str | None = None  # why it could not
        self._opened: Future[None] = Future()
        self._ended: Future[str | None] = Future()
        self._process = os.getpid()
        self._thread = Thread(target=self._run, name=f"kling_async journal {place}", daemon=True)

    async def start(self) -> None:
        """Open the journal. `stop` has to follow, also after an error or a cancellation.

        Raises:
            JournalError: It cannot be used, or there is no thread to be had.
        """
        for future in (self._opened, self._ended):
            future.set_running_or_notify_cancel()  # a waiter may be cancelled, the future cannot
        try:
            self._thread.start()
        except RuntimeError as error:
            self._ended.set_result(None)
            raise JournalError(f"journal {self._place}: there is no thread to write it in: {error}") from error
        atexit.register(self._finish)
        await wrap_future(self._opened)

    async def stop(self) -> str | None:
        """Write what is left, and close the journal; returns the reason if something could not be written.

        Cancelled, it raises that only then, so that others can open it at once.
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
        """Queue a write; called on the loop.

        Raises:
            JournalError: The journal is closed.
        """
        if self._queue.put(write):
            self._flush_after(_TURNS)

    def _flush_after(self, turns: int) -> None:
        if turns:
            self._loop.call_soon(self._flush_after, turns - 1)
        else:
            self._queue.flush_now()

    def answer(self, question: Callable[[Any], _T]) -> _T:
        """Return the answer to a query, blocking the loop meanwhile.

        Raises:
            JournalError: It fails, or takes too long.
        """
        asked = self.ask(question)
        try:
            return asked.result(self._patience)
        except TimeoutError:
            if asked.done():
                raise
            raise JournalError(f"journal {self._place}: it does not answer") from None

    def ask(self, question: Callable[[Any], _T]) -> Future[_T]:
        """Queue a query, which goes before the writes that wait; the future raises `JournalError` if it fails.

        Raises:
            JournalError: The journal is closed.
        """
        answer: Future[_T] = Future()
        self._queue.ask(Read(question, answer))
        return answer

    # On the thread

    def _run(self) -> None:
        try:
            with self._open() as connection:
                self._opened.set_result(None)
                while self._run_batch(connection):
                    pass
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
        finally:
            self._queue.close()
            self._reject(self._queue.take())
            self._ended.set_result(self._lost())

    def _lost(self) -> str | None:
        """Return why not everything was written, and of which jobs; None if it was."""
        if not self._retained:
            return None
        told: list[Any] = [write.record or getattr(write.work, "record", write.work) for write in self._retained]
        keys = list(dict.fromkeys(str(one.key) for one in told if getattr(one, "key", "")))
        more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
        return f"{self._failure}; lost is what was told last of: {', '.join(keys[:_MOST_NAMED])}{more}"

    def _run_batch(self, connection: Own) -> bool:
        batch = self._queue.take(max(0.0, self._retry_at - self._loop.time()) if self._retained else None)
        for read in batch.reads:
            self._answer(read, connection)
        if batch.writes or (self._retained and (batch.last or self._loop.time() >= self._retry_at)):
            self._write(batch.writes, connection)
        return not batch.last

    def _reject(self, batch: Batch) -> None:
        """Fail what was queued while an error ended the thread; at an ordinary end there is nothing."""
        ended = f"journal {self._place}: its thread has ended"
        for read in batch.reads:
            if read.answer.set_running_or_notify_cancel():
                read.answer.set_exception(JournalError(ended))
        if batch.writes:
            self._set_failure(self._failure or ended)
            self._give_up(self._retained + batch.writes)

    def _give_up(self, writes: list[Write]) -> None:
        """Fail the writes with waiters, and keep the others for the next transaction."""
        self._retained = [write for write in writes if write.waiter is None]
        self._notify([write for write in writes if write.waiter is not None])

    def _answer(self, read: Read[Any], connection: Own) -> None:
        if not read.answer.set_running_or_notify_cancel():
            return
        try:
            with self._errors():
                read.answer.set_result(read.query(connection))
        except Exception as error:  # noqa: BLE001 - the future raises it
            read.answer.set_exception(error)

    def _write(self, writes: list[Write], connection: Own) -> None:
        """Write everything in one transaction; on failure, writes without waiters are kept for a next one, soon."""
        writes = self._retained + writes
        try:
            with self._errors():
                self._commit(writes, connection)
        except Exception as error:  # noqa: BLE001 - the waiters get it, and this thread goes on
            place = f"journal {self._place}: "
            self._set_failure(place + str(error).removeprefix(place))
            self._retry_at = self._loop.time() + _RETRY_AFTER
            self._give_up(writes)
        else:
            self._set_failure(None)
            self._retained = []
            self._notify(writes)

    def _set_failure(self, reason: str | None) -> None:
        if reason != self._failure:
            _logger.warning(reason or f"journal {self._place}: everything is written again")
        self._failure = reason

    def _notify(self, writes: list[Write]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nothing waits any more
            self._loop.call_soon_threadsafe(self._on_written, writes, self._failure)
