"""Journals by their path or URL. Databases are imported on use, as that takes longer than most sessions need."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kling_async.api.arguments import PATH
from kling_async.errors import ConfigurationError
from kling_async.journal.paths import absolute, unusable_reason
from kling_async.journal.shared import LEASE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_async.journal.base import Journal
    from kling_async.journal.shared import SharedJournal
    from kling_async.journal.sql.prune import Pruned
    from kling_async.journal.sql.reader import JournalReader


def open_journal(path: str | os.PathLike[str]) -> Journal:
    """Return the journal in this file, which is created when a session first opens it.

    Raises:
        ConfigurationError: No journal can be there.
    """
    from kling_async.journal.sqlite.journal import SQLiteJournal  # noqa: PLC0415 - SQLite is imported on use

    return SQLiteJournal(_usable(path))


def is_url(place: object) -> bool:
    """Return whether this is the URL of a journal in PostgreSQL rather than the path of a file."""
    return isinstance(place, str) and place.partition("://")[0].lower() in ("postgresql", "postgres") and "://" in place


def open_shared(
    place: str | os.PathLike[str], now: Callable[[], float], account: str | None = None, *, length: float = LEASE
) -> SharedJournal:
    """Return the journal in this file or database, to be shared; see `SharedSQLite` and `SharedPostgres`.

    Raises:
        ConfigurationError: No journal can be there, or what it takes is not installed.
    """
    if isinstance(place, str) and is_url(place):
        shared: SharedJournal = _postgres("shared").SharedPostgres(place, now=now, length=length, account=account)
        return shared
    from kling_async.journal.sqlite.shared import SharedSQLite  # noqa: PLC0415 - SQLite is imported on use

    return SharedSQLite(_usable(place), now=now, length=length, account=account)


def prune_journal(path: str | os.PathLike[str], before: float, *, forget_keys: bool = False) -> Pruned:
    """Cut down jobs of this journal that were over before this time, in seconds since the epoch; see `prune`.

    Raises:
        InvalidRequest: The argument is no path or URL.
        ConfigurationError: No journal can be there.
        JournalError: There is none, it cannot be used, or a session owns it.
    """
    from kling_async.journal.sqlite.prune import prune_file  # noqa: PLC0415 - SQLite is imported on use

    PATH.check("path", path)
    if is_url(path):
        pruned: Pruned = _postgres("prune").prune_postgres(path, before, forget_keys=forget_keys)
        return pruned
    return prune_file(_usable(path), before, forget_keys=forget_keys)


def _postgres(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(f"kling_async.journal.postgres.{name}")
    except ImportError as error:
        if error.name not in ("psycopg", None):
            raise
        needed = "pip install 'kling_async[postgres]'"
        raise ConfigurationError(f"a journal in PostgreSQL needs psycopg, as installed by: {needed}") from error


def read_journal(path: str | os.PathLike[str]) -> JournalReader:
    """Return a reader of the journal in this file or database, which sessions may be writing meanwhile.

    Raises:
        InvalidRequest: The argument is no path or URL.
        ConfigurationError: No journal can be there.
        JournalError: There is none, or it is unreadable: of another version, or no journal.
    """
    from kling_async.journal.sqlite.reader import SQLiteReader  # noqa: PLC0415 - SQLite is imported on use

    PATH.check("path", path)
    if is_url(path):
        reader: JournalReader = _postgres("reader").PostgresReader(path)
        return reader
    return SQLiteReader(_usable(path))


def journal_exists(place: str | os.PathLike[str]) -> bool:
    """Return whether there is a journal to read: a file that is not empty, or the tables in a database.

    Raises:
        ConfigurationError: The URL cannot be used.
        JournalError: The database cannot be reached.
    """
    if is_url(place):
        found: bool = _postgres("reader").exists(place)
        return found
    return os.path.exists(place) and os.path.getsize(place) > 0  # noqa: PTH110, PTH202 - Path's raises for some names


def _usable(path: str | os.PathLike[str]) -> Path:
    file = absolute(path)
    reason = unusable_reason(file)
    if reason:
        raise ConfigurationError(f"journal {reason}")
    return file
