"""Every kind of journal, and the SQLite one in every mode of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from kling_async.journal.memory import MemoryJournal
from kling_async.journal.sqlite import file
from kling_async.journal.sqlite.journal import SQLiteJournal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kling_async.journal.base import Journal

KINDS: dict[str, Callable[[Path], Journal]] = {
    "memory": lambda _: MemoryJournal(),
    "sqlite": lambda folder: SQLiteJournal(folder / "batch.db"),
}
"""How each kind of journal is made, given a folder of its own. A journal of another kind is added here."""


@pytest_asyncio.fixture(params=KINDS)
async def any_journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    """An open journal of each kind."""
    journal = KINDS[request.param](tmp_path)
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
