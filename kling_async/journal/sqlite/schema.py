"""The schema of a journal's file in each version, and the steps between versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kling_async.errors import JournalError
from kling_async.journal.sqlite.connection import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

APPLICATION = 0x4B4C4E47
"""The application id of a journal's file, "KLNG" in ASCII."""

STEPS: Sequence[Sequence[str]] = (
    (
        """
        CREATE TABLE jobs (
            number INTEGER PRIMARY KEY,  -- the order in which they were queued
            key TEXT NOT NULL UNIQUE,
            request TEXT,                -- JSON, with references to media in place of data URIs
            digest BLOB NOT NULL,
            tag TEXT,                    -- JSON
            endpoint TEXT NOT NULL,
            queued_at REAL NOT NULL,     -- seconds since the epoch, as are the other times
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            client_request_id TEXT,
            former_request_ids TEXT NOT NULL,  -- JSON
            generation_id TEXT,
            submitted_at REAL,
            accepted_at REAL,
            deadline REAL,
            settled_at REAL,
            last_status TEXT,
            polls INTEGER NOT NULL,
            video TEXT,                  -- JSON
            error TEXT,                  -- JSON
            file TEXT,
            file_size INTEGER,
            file_digest TEXT
        )
        """,
        "CREATE INDEX open_jobs ON jobs (number) WHERE state IN ('queued', 'submitting', 'pending', 'uncertain')",
        "CREATE INDEX jobs_by_generation ON jobs (generation_id) WHERE generation_id IS NOT NULL",
        "CREATE TABLE media (digest TEXT PRIMARY KEY, content TEXT NOT NULL)",
    ),
    ("CREATE TABLE learned (number INTEGER PRIMARY KEY CHECK (number = 1), content TEXT NOT NULL)",),  # JSON
    ("ALTER TABLE jobs ADD COLUMN former_generation_ids TEXT NOT NULL DEFAULT '[]'",),  # JSON
    (
        "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        'ALTER TABLE jobs ADD COLUMN "group" TEXT',
    ),
)
"""The statements that make each version of the one before, from an empty file. Steps are added, never changed."""


def identify(connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> int:
    """Return the version of a journal's file; 0 for an empty file.

    Raises:
        JournalError: It is of a newer version, or the file of something else.
    """
    application = _pragma(connection, "application_id")
    version = version_of(connection)
    if application == APPLICATION and 0 < version <= len(steps):
        return version
    if application == APPLICATION:
        raise JournalError(
            f"journal {path}: it is of version {version}, and this version of kling_async knows them only up to"
            f" {len(steps)}; a newer one wrote it"
        )
    if application or version or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise JournalError(f"journal {path}: the file is the database of something else")
    return 0


def bring_up_to_date(connection: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]] = STEPS) -> None:
    """Upgrade an older or empty file to the newest version, in one transaction."""
    with transaction(connection):
        version = identify(connection, path, steps)
        for statement in (statement for step in steps[version:] for statement in step):
            connection.execute(statement)
        if version < len(steps):
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {len(steps)}")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file, whatever it is."""
    return _pragma(connection, "user_version")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
