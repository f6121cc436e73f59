"""Journals by their path. SQLite is imported only by those who keep one: most of an import's time is worth saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from kling_async.journal.base import Journal
    from kling_async.journal.reader import JournalReader

__all__ = ["open_journal", "read_journal"]


def open_journal(path: str | os.PathLike[str]) -> Journal:
    """A journal in this file, which is made when a session opens it, if there is none."""
    from kling_async.journal.sqlite import SQLiteJournal  # noqa: PLC0415 - see above

    return SQLiteJournal(path)


def read_journal(path: str | os.PathLike[str]) -> JournalReader:
    """A journal to be read only: whoever owns it goes on meanwhile, and nothing is ever spent."""
    from kling_async.journal.reader import JournalReader  # noqa: PLC0415 - see above

    return JournalReader(path)
