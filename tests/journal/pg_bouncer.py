"""A real PgBouncer that pools transactions, where one is installed; KLING_REQUIRE_PGBOUNCER says that it has to be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import define, field
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from typing import Any

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(
    _PROGRAM is None and "KLING_REQUIRE_PGBOUNCER" not in os.environ, reason="there is no pgbouncer"
)

_CONFIGURATION = """
[databases]
postgres = host={host} port={port} user=postgres {connect_query}
[pgbouncer]
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
server_lifetime = 1
"""


@define
class PgBouncer:
    """Between its own socket and the server of this URL, from `start` to `stop`.

    Attributes:
        server: The URL of the server, which may name a schema.
        folder: For its socket and its files.
        pool: How many connections to the server all clients share.
        connect_query: What each of those begins with.
    """

    server: str
    folder: Path
    pool: int = 2
    connect_query: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The URL of the journal by way of it."""
        schema = self.server.rpartition("schema=")[2]
        return f"postgresql://postgres@/postgres?host={self.folder}&port=6432&schema={schema}"

    def start(self) -> None:
        """Have it take connections."""
        parts: dict[str, Any] = conninfo_to_dict(self.server.replace("schema=", "application_name="))
        begin = f"connect_query='{self.connect_query}'" if self.connect_query else ""
        given = {"host": parts["host"], "port": parts.get("port") or 5432, "connect_query": begin}
        file = self.folder / "pgbouncer.ini"
        file.write_text(_CONFIGURATION.format(folder=self.folder, pool=self.pool, **given))
        self.folder.chmod(0o777)
        assert _PROGRAM is not None
        place = Path(str(parts["host"]))  # it refuses to run as root, and has to reach the server's socket
        user = ["-u", place.owner() if place.is_dir() else "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [_PROGRAM, *user, str(file)], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if b"process up" in line:
                return
        raise RuntimeError("it has ended")

    def kill(self) -> None:
        """Kill it outright."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
            (self.folder / ".s.PGSQL.6432").unlink(missing_ok=True)
