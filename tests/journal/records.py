"""Records for the journal's tests."""

from __future__ import annotations

import sqlite3
from asyncio import wrap_future
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from kling_async.api.requests import TextToVideo
from kling_async.journal.base import JobState, Record

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from kling_async.journal.base import Journal
    from kling_async.journal.sqlite.journal import SQLiteJournal

REQUEST = TextToVideo("a raccoon")
GENERATION = "ce81dc29:kling-video/v2.1/master/text-to-video"


def job(key: str = "a", state: JobState = JobState.QUEUED, **changes: Any) -> Record:
    """A record with a request."""
    given: dict[str, Any] = {"request": REQUEST, "digest": REQUEST.digest(), "tag": {"row": 1}, "queued_at": 1.5}
    given |= {"priority": -3, "group": "ann"}
    return Record(key, state, **(given | changes))


async def history(journal: Journal) -> list[Record]:
    """Everything a journal holds."""
    return [record async for record in journal.history()]


async def reopened(journal: SQLiteJournal) -> SQLiteJournal:
    """The journal after its session has ended and another has begun."""
    await journal.close()
    await journal.open()
    return journal


async def run(journal: SQLiteJournal, statement: str) -> Any:
    """Run a statement on the connection that writes."""
    return await wrap_future(journal._opened().ask(lambda connection: connection.execute(statement).fetchall()))


@contextmanager
def blocked(path: Path) -> Generator[None]:
    """Have somebody else's transaction on the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
