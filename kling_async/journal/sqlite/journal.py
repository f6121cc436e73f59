"""The journal that outlives the process: one SQLite file."""

from __future__ import annotations

import asyncio
import math
from asyncio import wrap_future
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from kling_async.errors import JournalError
from kling_async.journal.paths import absolute
from kling_async.journal.sqlite import statements as table
from kling_async.journal.sqlite.rows import write_row
from kling_async.journal.sqlite.unflushed import HashedKeySet, UnflushedRecords
from kling_async.journal.sqlite.write_queue import Write
from kling_async.journal.sqlite.writer import Writer

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Sequence

    from kling_async.journal.base import Record

__all__ = ["SQLiteJournal"]

_T = TypeVar("_T")


class SQLiteJournal:
    """Records in a SQLite file, durable once committed: neither a crash nor a power cut loses them.

    One session at a time owns the file, by whatever name it is met, on one machine; `JournalReader` reads it meanwhile.
    Nothing that its program does with the file takes that away, but to open and close it takes SQLite's own locks from
    the writer, so that what writes into it and is no session may then destroy it. Beside it stands ``<name>-owner``,
    which tells who the owner is, and while a session is open the files that SQLite needs to undo what a crash leaves
    half done. It finds them by the name: a copy, a hard link or a new name of the file alone is whole only while no
    session has it, and none was killed with it.

    What is waiting to be written is written together, so that thousands of jobs share one wait for the disk. Nothing of
    that happens on the event loop; only ``get`` and ``find`` stop it, for some tenths of a millisecond or until the
    disk has finished a write, for a job that was over before or was over long ago: those are not kept in memory.

    The file holds requests, tags, outcomes and the URLs of finished videos, and never the API key. Of the media in
    requests, data URIs and files' contents are kept here once each, by their digests, however many requests share them;
    of a file given by its path only that path is kept, so the file has to stay where it is until it was sent.

    Tags come back as JSON has them: tuples as lists. A request or tag is recorded as it is when the job is first
    recorded. Errors come back with their attributes, without their causes.

    Args:
        path: The file; it is made if there is none, its directory is not.

    Raises:
        ConfigurationError: No file has such a path.
    """

    lease = math.inf

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = absolute(path)
        self._writer: Writer | None = None
        self._newest = UnflushedRecords()
        self._keys = HashedKeySet(())  # of the jobs in the file, and likewise the generations
        self._generations = HashedKeySet(())
        self._numbers = count(1)
        self._lost: str | None = None  # why the last session could not write everything

    async def open(self) -> None:
        """Own the file, check it whole, and learn which jobs it holds.

        The check reads the whole file: with 100,000 finished jobs in 150 MB, opening takes 0.2 s if the system has them
        cached, and otherwise as long as the disk takes.

        Raises:
            JournalError: It is owned by another session, corrupt, of a newer version, or no journal; or there is no
                thread to write it in.
        """
        if self._writer is not None:
            raise JournalError(f"journal {self.path}: it is open already")
        writer = self._writer = Writer(self.path, asyncio.get_running_loop(), self._reported)
        try:
            await writer.start()
            self._keys = await wrap_future(writer.ask(table.keys))
            self._generations = await wrap_future(writer.ask(table.generations))
        except BaseException:
            self._writer = None
            await writer.stop()
            raise
        self._newest, self._lost = UnflushedRecords(), None

    async def load_open(self) -> Sequence[Record]:
        """Every record that is not terminal, in the order they were queued; all are this session's until it ends."""
        await self._settle()
        claimed = [self._newest.read(record) for record in await self._ask(table.open_records)]
        return [record for record in claimed + self._unwritten() if not record.state.is_terminal]

    async def renew(self) -> None:
        """Nobody else can take what is held."""

    async def release(self, keys: Sequence[str]) -> None:
        """Nobody else can take what is let go of before this session ends."""

    def get(self, key: str) -> Record | None:
        """The newest record under this key.

        Raises:
            JournalError: It is only in the file, and cannot be read there.
        """
        record = self._newest.get(key)
        if record is not None or key not in self._keys:
            return record
        return self._opened().ask(partial(table.by_key, key=key)).result()

    def find(self, generation_id: str) -> Record | None:
        """The newest record of this generation.

        Raises:
            JournalError: It is only in the file, and cannot be read there.
        """
        record = self._newest.find(generation_id)
        if record is not None or generation_id not in self._generations:
            return record
        return self._opened().ask(partial(table.by_generation, generation_id=generation_id)).result()

    async def history(self) -> AsyncIterator[Record]:
        """The newest record of every key, in the order they were queued, read a few hundred at a time.

        A job queued meanwhile may be among them or not.

        Raises:
            JournalError: They cannot be read.
        """
        await self._settle()
        records, place = await self._ask(partial(table.page, after=0))
        while records:
            for record in records:
                yield await self._current(record)
            records, place = await self._ask(partial(table.page, after=place))
        for record in self._unwritten():
            yield record

    def append(self, record: Record) -> None:
        """Take a record that is written a fraction of a second later, given that the loop turns and the disk takes it.

        Raises:
            InvalidRequest: Its tag or its request is not JSON.
            JournalError: The journal is not open.
        """
        write = self._write(record, None)
        self._newest.noted(record, write.number)

    async def commit(self, record: Record) -> None:
        """Take a record, and return once a crash cannot lose it, nor any noted or begun to be committed before it.

        Until then ``get`` returns what it returned before. Cancelled, the record may or may not be written.

        Raises:
            InvalidRequest: Its tag or its request is not JSON.
            JournalError: It could not be written, and will not be; ``get`` returns what it returned before.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._write(record, waiter)
        await _written(waiter)

    async def flush(self) -> None:
        """Return once a crash cannot lose anything noted until now.

        Raises:
            JournalError: Something could not be written; it will be tried again with whatever is written next.
        """
        if self._writer is not None:
            waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self._writer.put(Write(next(self._numbers), None, None, waiter))
            await _written(waiter)
        elif self._lost is not None:
            raise JournalError(self._lost)

    async def load_learned(self) -> str | None:
        """The text that was last retained, in any session.

        Raises:
            JournalError: It cannot be read.
        """
        return await self._ask(table.load_learned)

    async def save_learned(self, text: str) -> None:
        """Keep a text in place of the one before, and return once a crash cannot lose it.

        Raises:
            JournalError: It could not be written.
        """
        await self._ask(partial(table.save_learned, text=text))

    async def close(self) -> None:
        """Write what was noted, and let go of the file. Cancelled, it still returns only then.

        Raises:
            JournalError: Something could not be written, and is lost.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            self._lost = await writer.stop()
            await self.flush()

    def _opened(self) -> Writer:
        if self._writer is None:
            raise JournalError(f"journal {self.path}: it is not open")
        return self._writer

    def _write(self, record: Record, waiter: asyncio.Future[str | None] | None) -> Write:
        writer = self._opened()
        row = write_row(record, before=self._newest.get(record.key))
        write = Write(next(self._numbers), record, row, waiter)
        writer.put(write)
        return write

    def _reported(self, writes: Sequence[Write], reason: str | None) -> None:
        for write in writes:
            if write.record is not None and reason is None and self._newest.written(write.record, write.number):
                self._keys.add(write.record.key)
                if write.record.generation_id is not None:
                    self._generations.add(write.record.generation_id)
            if write.waiter is not None and not write.waiter.done():
                write.waiter.set_result(reason)

    async def _ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        return await wrap_future(self._opened().ask(question))

    async def _current(self, record: Record) -> Record:
        """The newest record of a job of which the file told this one a while ago."""
        newest = self._newest.get(record.key)
        if newest is not None or record.state.is_terminal:
            return newest or record
        return await self._ask(partial(table.by_key, key=record.key)) or record

    def _unwritten(self) -> list[Record]:
        """The records of the jobs of which the file knows nothing yet."""
        return [record for record in self._newest.unwritten() if record.key not in self._keys]

    async def _settle(self) -> None:
        """Have the file catch up; what it cannot take yet is in mind."""
        with suppress(JournalError):
            await self.flush()

    def __repr__(self) -> str:
        state = "closed" if self._writer is None else f"open, {len(self._newest)} jobs in mind"
        return f"<SQLiteJournal {str(self.path)!r} {state}>"


async def _written(waiter: asyncio.Future[str | None]) -> None:
    reason = await waiter
    if reason is not None:
        raise JournalError(reason)
