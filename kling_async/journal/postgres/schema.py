"""The schema of a journal in PostgreSQL in each version, and the steps between versions."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from kling_async.errors import JournalError
from kling_async.journal.sql.queries import OPEN
from kling_async.journal.sql.rows import COLUMNS

if TYPE_CHECKING:
    from kling_async.journal.postgres.connection import Link

TYPES = {
    name: {
        "digest": "bytea",
        "priority": "bigint",
        "attempts": "bigint",
        "polls": "bigint",
        "file_size": "bigint",
        "queued_at": "float8",  # seconds since the epoch, as are the others
        "submitted_at": "float8",
        "accepted_at": "float8",
        "deadline": "float8",
        "settled_at": "float8",
    }.get(name, "text")  # also what is JSON: jsonb refuses texts that a prompt may have
    for name in COLUMNS
}
"""The types of a job's columns."""

_OPTIONAL = "request tag group client_request_id generation_id submitted_at accepted_at deadline settled_at last_status"
_MAY_BE_NULL = frozenset(f"{_OPTIONAL} video error file file_size file_digest".split())
_JOBS = ", ".join(f'"{name}" {kind}{"" if name in _MAY_BE_NULL else " NOT NULL"}' for name, kind in TYPES.items())

STEPS = (
    f"""
    CREATE SEQUENCE main.job_numbers;
    CREATE TABLE main.jobs (
        number bigint PRIMARY KEY,  -- the order in which they were queued
        {_JOBS},
        change bigint,  -- the number of the change that wrote the row last; NULL until the leader has seen it
        parked text,    -- JSON
        choices text,   -- JSON
        UNIQUE (key)
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
    CREATE INDEX open_jobs ON main.jobs (number) WHERE state IN ({OPEN});
    CREATE INDEX new_jobs ON main.jobs (number) WHERE change IS NULL;
    CREATE INDEX jobs_by_generation ON main.jobs (generation_id) WHERE generation_id IS NOT NULL;
    CREATE INDEX jobs_by_change ON main.jobs (change, number);
    CREATE TABLE main.media (
        digest text PRIMARY KEY,
        content bytea NOT NULL,
        used timestamptz NOT NULL DEFAULT now()  -- when a job last came that needs it
    );
    CREATE TABLE main.learned (number int PRIMARY KEY CHECK (number = 1), content text NOT NULL);
    CREATE TABLE main.lease (
        number int PRIMARY KEY CHECK (number = 1),
        version int NOT NULL,      -- of this schema
        term bigint NOT NULL,
        holder text NOT NULL,      -- random; empty if nobody leads
        writer bigint NOT NULL,    -- the leader's writing connections, counted
        owner text NOT NULL,       -- for people
        since timestamptz NOT NULL,
        renewed timestamptz NOT NULL,
        length float8 NOT NULL,    -- seconds
        crashes int NOT NULL,
        stats text NOT NULL,
        system text NOT NULL,      -- the database and its timeline at the last taking
        restored_at timestamptz,   -- when it was found to be another one, until somebody trusts it
        least_change bigint NOT NULL  -- the number that changes begin after: higher than any that was lost
    ) WITH (fillfactor = 20);
    INSERT INTO main.lease VALUES (1, 1, 0, '', 0, '', now(), now(), 0, 0, '', '', NULL, 0);
    CREATE TABLE main.members (
        name text PRIMARY KEY, owner text NOT NULL, seen timestamptz NOT NULL, limits text NOT NULL, account text
    );
    CREATE TABLE main.instructions (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        kind text NOT NULL,
        key text NOT NULL,
        data text NOT NULL
    );
    CREATE TABLE main.late_answers (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key text NOT NULL,
        name text NOT NULL,
        generation_id text UNIQUE,
        kept int NOT NULL DEFAULT 0  -- 1 for one that was acted on, which people should know of
    );
    """,
    # By hashes, as an id may be longer than a B-tree takes.
    """
    DROP INDEX main.jobs_by_generation;
    CREATE INDEX jobs_by_generation ON main.jobs USING hash (generation_id);
    ALTER TABLE main.late_answers
        DROP CONSTRAINT late_answers_generation_id_key, ADD EXCLUDE USING hash (generation_id WITH =)
    """,
)
"""The statements that make each version of the one before, from nothing. Steps are added, never changed."""


def bring_up_to_date(link: Link) -> None:
    """Create or upgrade the schema, in one transaction that nobody leads in.

    Raises:
        JournalError: It is of a newer version, or of something else.
        psycopg.Error: It cannot be done.
    """
    version = version_of(link)
    if version > len(STEPS):
        raise JournalError(
            f"it is of version {version}, and this version of kling_async knows them only up to {len(STEPS)};"
            " a newer one wrote it"
        )
    if version == len(STEPS):
        return
    schema = link.address.schema
    (is_there,) = link.execute("SELECT to_regnamespace(?) IS NOT NULL", (schema,)).fetchone()
    begin = [f"SELECT pg_advisory_xact_lock(hashtextextended('kling_async {schema}', 0))"]
    begin += [] if is_there else [f'CREATE SCHEMA IF NOT EXISTS "{schema}"']
    begin += ["UPDATE main.lease SET term = term + 1, holder = ''"] if version else []  # shuts out the leader
    # One message of many statements is one transaction, which no loss of the connection can leave half done.
    script = ";".join((*begin, *STEPS[version:], f"UPDATE main.lease SET version = {len(STEPS)}"))
    with suppress(psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
        link.execute(script)
    if version_of(link) != len(STEPS):
        raise JournalError(f"its schema {link.address.schema!r} has tables of something else")


def version_of(link: Link) -> int:
    """Return the version of the schema; 0 if there is none."""
    (is_there,) = link.execute("SELECT to_regclass('main.lease') IS NOT NULL").fetchone()
    return int(link.execute("SELECT version FROM main.lease").fetchone()[0]) if is_there else 0
