"""A raw HTTP server on loopback that answers byte for byte what a test tells it to, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    Answer = Callable[["Exchange"], Awaitable[None]]
    Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]


@define
class Exchange:
    """One request as it came, and the means to answer it."""

    raw: bytes
    number: int
    connection: int
    _reader: asyncio.StreamReader = field(repr=False)
    _writer: asyncio.StreamWriter = field(repr=False)

    @property
    def method(self) -> str:
        return self.raw.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.raw.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        await self.send(response(status, body, **headers))

    async def gone(self) -> None:
        """Return once the client has closed the connection."""
        await self._reader.read()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        self._writer.transport.abort()


def response(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """A whole answer; ``content_length`` and the like replace what is usual, and an empty value leaves it out."""
    fields = {"content_type": "application/json", "content_length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-').title()}: {value}\r\n" for name, value in fields.items() if value]
    return f"HTTP/1.1 {status} Whatever\r\n{''.join(lines)}\r\n".encode() + body


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.decode().lower().split("\r\n"):
        if line.startswith("content-length:"):
            length = int(line.partition(":")[2])
    return head + await reader.readexactly(length)


@define
class Loopback:
    """The server: where it is, and every request it got, in order."""

    answer: Answer
    scheme: str = "http"
    port: int = 0
    read: Read = field(default=read_request)  # raises ConnectionError to break off
    requests: list[Exchange] = field(factory=list)
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(factory=set, repr=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                exchange = Exchange(await self.read(reader), len(self.requests), number, reader, writer)
                self.requests.append(exchange)
                await self.answer(exchange)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    async def hang_up(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def loopback(answer: Answer, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncGenerator[Loopback]:
    """Serve while the context is open. An answer that returns keeps the connection open for the next request."""
    server = Loopback(answer, scheme="http" if tls is None else "https")
    listening = await asyncio.start_server(server.serve, "127.0.0.1", port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await server.hang_up()
        await listening.wait_closed()


# Signed by itself, so refused by every client; its key guards nothing.
UNTRUSTED_CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgl8bQjnvODFU4DQxa
qFmiXeKBRBUS/R7nXzEJbdJANBehRANCAAQ/PQUnTZL1tnpDbbTAlCV5B0Rt1An/
u1S1zUBdNR1FvzIN3y8dwAbKRUaZhRQz3GMmBdsOj3jr2K356fHXvahF
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjzCCATSgAwIBAgIUJKrn8LIlWBU4ob786npgj5m5l0AwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIbG9vcGJhY2swIBcNMjYxMTIwMDgxNjE3WhgPMjEyNjEwMjcw
ODE2MTdaMBMxETAPBgNVBAMMCGxvb3BiYWNrMFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEPz0FJ02S9bZ6Q220wJQleQdEbdQJ/7tUtc1AXTUdRb8yDd8vHcAGykVG
mYUUM9xjJgXbDo9469it+enx172oRaNkMGIwHQYDVR0OBBYEFHaAuYrpniTMcBI0
zHVxVPLUxzIXMB8GA1UdIwQYMBaAFHaAuYrpniTMcBI0zHVxVPLUxzIXMA8GA1Ud
EwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjOPQQDAgNJADBGAiEA
gY82lvzkXbfOz1C0tHEI8RCMg8HB3feSG8pz5V260qQCIQDX4l0la7w7uYrvgBov
WnGAjPKNs2PwEUB621kzDOMH8g==
-----END CERTIFICATE-----
"""
