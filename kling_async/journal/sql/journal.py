"""A journal in a database that one session writes, by a thread: what it has not written yet is in memory."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from kling_async.errors import JournalError
from kling_async.journal.sql import queries
from kling_async.journal.sql.database import Database, written
from kling_async.journal.sql.rows import write_row
from kling_async.journal.sql.unflushed import HashedKeySet, UnflushedRecords
from kling_async.journal.sql.write_queue import Write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from kling_async.journal.base import Record
    from kling_async.journal.sql.tables import Own


_TIDY_EVERY = 600.0  # seconds between removals of media that are not needed any more


class DatabaseJournal(Database):
    """Records in a database: see `Journal`; what a kind of database promises beyond that, its own class says.

    Args:
        database: As for `Database`.
    """

    def __init__(self, *database: Any) -> None:  # noqa: ANN401 - as said
        super().__init__(*database)
        self._unflushed = UnflushedRecords()
        self._keys = HashedKeySet(())  # of the jobs in the database; `_generations`: generation ids
        self._generations = HashedKeySet(())
        self._lost_reason: str | None = None  # why the last session could not write everything

    async def open(self) -> None:
        """Own the database, and read which jobs it holds.

        Raises:
            JournalError: It cannot be used, or there is no thread to write it in.
        """
        await self._begin(self._read_known)
        self._unflushed, self._lost_reason = UnflushedRecords(), None
        self._tidying = asyncio.get_running_loop().call_later(_TIDY_EVERY, self._tidy)

    def _tidy(self) -> None:
        """Remove media that are not needed any more, now and every few minutes."""
        self._tidying = asyncio.get_running_loop().call_later(_TIDY_EVERY, self._tidy)
        with suppress(JournalError):  # its thread has ended
            self._opened().ask(self._drop_unused_media)  # if that fails, the next one may not

    def _drop_unused_media(self, connection: Own) -> object:
        raise NotImplementedError

    async def _read_known(self) -> None:
        self._keys, self._generations = await self._ask(self._known)

    def _known(self, connection: Own) -> tuple[HashedKeySet, HashedKeySet]:
        """Return the keys and the generation ids that are worth looking for."""
        return queries.keys(connection), queries.generations(connection)

    async def load_open(self) -> Sequence[Record]:
        """Return every record that is not terminal, in the order they were queued."""
        await self._try_flush()
        found = [self._unflushed.load(record) for record in await self._ask(queries.open_records)]
        return [record for record in found + self._never_written() if not record.state.is_terminal]

    def get(self, key: str) -> Record | None:
        """Return the newest record under this key.

        Raises:
            JournalError: It is only in the database, and cannot be read there.
        """
        record = self._unflushed.get(key)
        if record is not None or key not in self._keys:
            return record
        return self._opened().answer(partial(queries.by_key, key=key))

    def find(self, generation_id: str) -> Record | None:
        """Return the newest record of this generation.

        Raises:
            JournalError: It is only in the database, and cannot be read there.
        """
        record = self._unflushed.find(generation_id)
        if record is not None or generation_id not in self._generations:
            return record
        return self._opened().answer(partial(queries.by_generation, generation_id=generation_id))

    async def history(self) -> AsyncIterator[Record]:
        """Yield the newest record of every key, in the order they were queued, read a few hundred at a time.

        A job queued meanwhile may be among them or not.

        Raises:
            JournalError: They cannot be read.
        """
        await self._try_flush()
        async for record in super().history():
            yield await self._newest(record)
        for record in self._never_written():
            yield record

    def append(self, record: Record) -> None:
        """Take a record to be written within a fraction of a second; a failed write is tried again with the next.

        Raises:
            InvalidRequest: Its tag or its request is not JSON.
            JournalError: The journal is not open.
        """
        write = self._write(record, None)
        self._unflushed.append(record, write.number)

    async def commit(self, record: Record) -> None:
        """Write a record, and return once a crash cannot lose it, nor any appended or being committed before it.

        Until then ``get`` returns what it returned before. Cancelled, the record may or may not be written.

        Raises:
            InvalidRequest: Its tag or its request is not JSON.
            JournalError: It could not be written, and will not be; ``get`` returns what it returned before.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._write(record, waiter)
        await written(waiter)

    async def flush(self) -> None:
        """Return once a crash cannot lose anything appended until now.

        Raises:
            JournalError: Something could not be written; it will be tried again with whatever is written next.
        """
        if self._writer is not None:
            await super().flush()
        elif self._lost_reason is not None:
            raise JournalError(self._lost_reason)

    async def close(self) -> None:
        """Write what was appended, and release the database. Cancelled, it still returns only then.

        Raises:
            JournalError: Something could not be written, and is lost.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            self._tidying.cancel()
            self._lost_reason = await writer.stop()
            await self.flush()

    def _write(self, record: Record, waiter: asyncio.Future[str | None] | None) -> Write:
        writer = self._opened()
        row = write_row(record, before=self._unflushed.get(record.key))
        write = Write(next(self._numbers), record, row, waiter)
        writer.put(write)
        return write

    def _on_written(self, writes: Sequence[Write], reason: str | None) -> None:
        for write in writes:
            if write.record is not None and reason is None and self._unflushed.mark_written(write.record, write.number):
                self._keys.add(write.record.key)
                if write.record.generation_id is not None:
                    self._generations.add(write.record.generation_id)
            if write.waiter is not None and not write.waiter.done():
                write.waiter.set_result(reason)

    async def _newest(self, record: Record) -> Record:
        """Return the newest record of a job, given one that was read from the file a while ago."""
        newest = self._unflushed.get(record.key)
        if newest is not None or record.state.is_terminal:
            return newest or record
        return await self._ask(partial(queries.by_key, key=record.key)) or record

    def _never_written(self) -> list[Record]:
        """Return the records of the jobs that are not in the file yet."""
        return [record for record in self._unflushed.never_written() if record.key not in self._keys]

    async def _try_flush(self) -> None:
        """Write what waits; what cannot be written yet stays in memory."""
        with suppress(JournalError):
            await self.flush()

    def __repr__(self) -> str:
        state = "closed" if self._writer is None else f"open, {len(self._unflushed)} jobs in memory"
        return f"<{type(self).__name__} {str(self._place)!r} {state}>"
