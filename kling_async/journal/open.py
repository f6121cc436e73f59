"""Journals by their path. SQLite is imported only by those who keep one: most of an import's time is worth saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.api.arguments import check_path
from kling_async.errors import ConfigurationError
from kling_async.journal.paths import absolute, strangeness

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from kling_async.journal.base import Journal
    from kling_async.journal.sqlite.reader import JournalReader

__all__ = ["open_journal", "read_journal"]


def open_journal(path: str | os.PathLike[str]) -> Journal:
    """A journal in this file, which is made when a session opens it, if there is none.

    Raises:
        ConfigurationError: No journal can be there.
    """
    from kling_async.journal.sqlite.journal import SQLiteJournal  # noqa: PLC0415 - see above

    return SQLiteJournal(_usable(path))


def read_journal(path: str | os.PathLike[str]) -> JournalReader:
    """A journal to be read only: whoever owns it goes on meanwhile, and nothing is ever spent.

    Raises:
        InvalidRequest: That is no path.
        ConfigurationError: No journal can be there.
        JournalError: There is none, or it is unreadable: of another version, or no journal.
    """
    from kling_async.journal.sqlite.reader import JournalReader  # noqa: PLC0415 - see above

    check_path("path", path)
    return JournalReader(_usable(path))


def _usable(path: str | os.PathLike[str]) -> Path:
    file = absolute(path)
    strange = strangeness(file)
    if strange:
        raise ConfigurationError(f"journal {strange}")
    return file
