"""A database by the thread that writes it: how it is opened and asked, and how writes are waited for."""

from __future__ import annotations

import asyncio
from asyncio import wrap_future
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from kling_async.errors import JournalError
from kling_async.journal.sql import queries
from kling_async.journal.sql.write_queue import Write
from kling_async.journal.sql.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractContextManager

    from kling_async.journal.base import Record
    from kling_async.journal.sql.tables import Own

_T = TypeVar("_T")


class Database:
    """What a session's own journal and one that is shared have in common.

    Args:
        place: What messages call it.
        opened: Makes the connection that writes, on the thread.
        errors: Turns the database's errors into a `JournalError`.
        patience: The seconds for which the event loop may be blocked by a look-up; None for as long as it takes.
    """

    _kind: Callable[..., Writer] = Writer
    _loop: asyncio.AbstractEventLoop  # since it was opened

    def __init__(
        self,
        place: object,
        opened: Callable[[], AbstractContextManager[Own]],
        errors: Callable[[], AbstractContextManager[None]],
        patience: float | None = None,
    ) -> None:
        self._place = place
        self._connected = opened
        self._errors = errors
        self._patience = patience
        self._writer: Writer | None = None
        self._numbers = count(1)

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        raise NotImplementedError

    def _commit(self, writes: list[Write], connection: Own) -> None:
        raise NotImplementedError

    async def _begin(self, read: Callable[[], Awaitable[object]]) -> None:
        """Start the thread, and read what has to be known before anything else.

        Raises:
            JournalError: It is open already, cannot be used, or there is no thread to write it in.
        """
        if self._writer is not None:
            raise JournalError(f"journal {self._place}: it is open already")
        self._loop = asyncio.get_running_loop()
        given = (self._connected, self._errors, self._commit)
        self._writer = writer = self._kind(self._place, self._loop, self._on_written, *given, patience=self._patience)
        try:
            await writer.start()
            await read()
        except BaseException:
            self._writer = None
            await writer.stop()
            raise

    async def history(self) -> AsyncIterator[Record]:
        """Yield the record of every key, in the order they were queued, read a few hundred at a time.

        A job queued meanwhile may be among them or not.

        Raises:
            JournalError: They cannot be read.
        """
        place: int | None = 0
        while place is not None:
            records, place = await self._ask(partial(queries.page, after=place))
            for record in records:
                yield record

    async def load_learned(self) -> str | None:
        """Return the text that was last saved, in any session.

        Raises:
            JournalError: It cannot be read.
        """
        return await self._ask(queries.load_learned)

    async def flush(self) -> None:
        """Return once a crash cannot lose anything handed over until now.

        Raises:
            JournalError: Something could not be written; it will be tried again.
        """
        waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._opened().put(Write(next(self._numbers), None, None, waiter))
        await written(waiter)

    def _opened(self) -> Writer:
        if self._writer is None:
            raise JournalError(f"journal {self._place}: it is not open")
        return self._writer

    async def _ask(self, question: Callable[[Any], _T]) -> _T:
        return await wrap_future(self._opened().ask(question))


async def written(waiter: asyncio.Future[str | None]) -> None:
    """Wait for a write.

    Raises:
        JournalError: It could not be written.
    """
    reason = await waiter
    if reason is not None:
        raise JournalError(reason)
