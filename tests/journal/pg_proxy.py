"""A TCP proxy before a PostgreSQL: it cuts connections, holds their bytes, and may play one that pools transactions."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from attrs import define, field
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@define
class Proxy:
    """Passes bytes on, in both directions.

    Attributes:
        url: Where it listens, as a URL of the database behind it.
        open: Cleared while bytes to the server are held back.
        renumbers: Whether it tells process numbers of its own, as proxies that pool transactions do.
        passed: How many connections there were.
    """

    server: str
    url: str = ""
    open: asyncio.Event = field(factory=asyncio.Event)
    renumbers: bool = False
    passed: int = 0
    _writers: set[asyncio.StreamWriter] = field(factory=set)
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    def cut(self) -> None:
        """Close all connections towards the clients; what is held goes on to the server once it may."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.passed += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        parts = conninfo_to_dict(self.server)
        host, port = str(parts["host"]), int(parts.get("port") or 5432)
        if host.startswith("/"):
            back, forth = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            back, forth = await asyncio.open_connection(host, port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, forth, held=True))
                group.create_task(self._pass(back, writer, held=False))
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            for each in (writer, forth):
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool) -> None:
        is_first = self.renumbers and not held
        while True:
            with suppress(OSError):
                data = await reader.read(65536)
                if held:
                    await self.open.wait()
                if is_first and (place := data.find(b"K\x00\x00\x00\x0c")) >= 0:  # BackendKeyData
                    data, is_first = data[: place + 5] + struct.pack("!I", 7) + data[place + 9 :], False
                writer.write(data)
                await writer.drain()
                if data:
                    continue
            with suppress(OSError):
                writer.write_eof()
            return


@asynccontextmanager
async def proxy(server: str, *, renumbers: bool = False) -> AsyncGenerator[Proxy]:
    """A proxy before the server of this URL."""
    made = Proxy(server, renumbers=renumbers)
    made.open.set()
    listening = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    parts = conninfo_to_dict(server.replace("schema=", "application_name="))
    port = listening.sockets[0].getsockname()[1]
    made.url = f"postgresql://{parts['user']}@127.0.0.1:{port}/{parts['dbname']}?sslmode=disable&gssencmode=disable"
    made.url += f"&schema={parts['application_name']}" if "schema=" in server else ""
    made.server = server.replace("schema=", "application_name=")
    try:
        yield made
    finally:
        listening.close()
        made.open.set()
        made.cut()
        await asyncio.gather(*made._tasks, return_exceptions=True)
        await listening.wait_closed()
