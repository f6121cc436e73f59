"""A PostgreSQL for the tests: the server that KLING_TEST_POSTGRES names by its URL, or one of their own."""

from __future__ import annotations

import os
import secrets
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import postgres
from benchmarks.postgres import execute, start_server

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["execute", "own_schema", "schema_of", "server_url", "start_server"]

_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)


@cache
def server_url() -> str:
    """The URL of a server that all tests of a run share."""
    given = os.environ.get("KLING_TEST_POSTGRES")
    if given:
        return given
    folder = Path(tempfile.gettempdir()) / f"kling-{_RUN}"
    url: str = start_server(folder).get_uri()  # the last process that uses it removes the folder as it ends
    return url


def own_schema(url: str = "") -> AbstractContextManager[str]:
    """The URL of a journal that nobody else has, and that is dropped at the end of the block."""
    return postgres.own_schema(url or server_url())


def schema_of(url: str) -> str:
    """The schema of a journal."""
    return url.rpartition("schema=")[2]
