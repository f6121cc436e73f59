"""What child processes do with a journal, until they end or are killed: ``journal_child.py DEED PATH MODE``."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING

from attrs import evolve
from records import job

from kling_async.errors import KlingError
from kling_async.journal.base import JobState
from kling_async.journal.sqlite import file
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.reader import SQLiteReader
from kling_async.journal.sqlite.shared import SharedSQLite
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

NOTES = 500


def tell(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def commit(path: str) -> None:
    """Commit job after job, several at once, and tell the number of each that is durable; until killed."""
    journal = SQLiteJournal(path)
    await journal.open()
    numbers = count()
    await asyncio.gather(*(_commit_each(journal, numbers) for _ in range(8)))


async def _commit_each(journal: SQLiteJournal, numbers: Iterator[int]) -> None:
    for number in numbers:
        record = job(f"{number}", tag=number)
        journal.append(record)
        await journal.commit(evolve(record, state=JobState.SUBMITTING))
        tell(number)


async def hold(path: str) -> None:
    """Own the journal until killed."""
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    tell(os.getpid())
    await asyncio.Event().wait()


async def lead(path: str) -> None:
    """Lead those that share the journal until killed."""
    shared = SharedSQLite(path, now=boot_clock, length=600)
    await shared.open()
    assert await shared.take() is not None
    tell("leads")
    await asyncio.Event().wait()


async def fork(path: str) -> None:
    """Own the journal until killed, with a forked child that outlives it until it is killed."""
    journal = SQLiteJournal(path)
    await journal.open()
    await journal.commit(job())
    forked = os.fork()
    if not forked:
        signal.pause()
    tell(forked)
    await asyncio.Event().wait()


async def attempt(path: str) -> None:
    """Try to own the journal, and tell what comes of it."""
    journal = SQLiteJournal(path)
    try:
        await journal.open()
        tell("owned")
        await journal.close()
    except KlingError as error:
        tell(error)


async def write(path: str) -> None:
    """Try to write into the file as somebody who knows nothing of owners, and tell what comes of it."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
            tell("writing")
        except sqlite3.OperationalError as error:
            tell(error)


async def count_jobs(path: str) -> None:
    """Tell how many jobs there are, whoever writes."""
    tell("looking")
    tell(SQLiteReader(path).counts().total())


async def leave(path: str) -> None:
    """Note many records, and end without closing anything."""
    journal = SQLiteJournal(path)
    await journal.open()
    for number in range(NOTES):
        journal.append(job(f"{number}"))


async def stumble(path: str) -> None:
    """Note many records, and end by an error."""
    await leave(path)
    raise SystemExit(3)


async def tear(path: str) -> None:
    """Die amid a transaction that has half reached the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE jobs SET state = 'queued'")
    rows = ((f"{number}", "x" * 500) for number in range(3000))
    connection.executemany("INSERT INTO media VALUES (?, ?)", rows)
    os._exit(9)


DEEDS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    deed.__name__: deed for deed in (commit, hold, lead, fork, attempt, write, count_jobs, leave, stumble, tear)
}

if __name__ == "__main__":
    _, deed, path, mode = sys.argv
    patched: Any = file
    patched.journal_mode = lambda _: mode
    asyncio.run(DEEDS[deed](path))
