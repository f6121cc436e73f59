"""Every kind of journal, and the SQLite one in every mode of its file."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from postgres import own_schema

from kling_async.journal.memory import MemoryJournal
from kling_async.journal.postgres.shared import SharedPostgres
from kling_async.journal.sqlite import file
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.journal.sqlite.shared import SharedSQLite
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from kling_async.journal.base import Journal
    from kling_async.journal.shared import SharedJournal


@asynccontextmanager
async def _memory(_: Path) -> AsyncGenerator[Journal]:
    yield MemoryJournal()


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncGenerator[Journal]:
    yield SQLiteJournal(folder / "batch.db")


@asynccontextmanager
async def _of_leader(member: SharedJournal) -> AsyncGenerator[Journal]:
    await member.open()
    token = await member.take()
    assert token is not None
    yield member.term(token, lambda: None)
    await member.close()


@asynccontextmanager
async def _shared_sqlite(folder: Path) -> AsyncGenerator[Journal]:
    async with _of_leader(SharedSQLite(folder / "batch.db", now=boot_clock)) as journal:
        yield journal


@asynccontextmanager
async def _postgres(_: Path) -> AsyncGenerator[Journal]:
    with own_schema() as url:
        async with _of_leader(SharedPostgres(url, now=boot_clock)) as journal:
            yield journal


KINDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Journal]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "shared sqlite": _shared_sqlite,
    "postgres": _postgres,
}
"""How each kind of journal is made, given a folder of its own. A journal of another kind is added here."""


@pytest_asyncio.fixture(params=KINDS)
async def any_journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """An open journal of each kind; one that is shared is its leader's."""
    async with KINDS[request.param](tmp_path) as journal:
        await journal.open()
        yield journal
        await journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal's file may be made."""
    return tmp_path / "batch.db"


@pytest.fixture(params=["TRUNCATE", "WAL"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the file makes transactions whole, whatever SQLite is linked."""
    monkeypatch.setattr(file, "journal_mode", lambda _: request.param)
    return str(request.param)


@pytest_asyncio.fixture
async def journal(path: Path, mode: str) -> AsyncIterator[SQLiteJournal]:
    """An open SQLite journal in each mode."""
    assert mode
    journal = SQLiteJournal(path)
    await journal.open()
    yield journal
    await journal.close()
