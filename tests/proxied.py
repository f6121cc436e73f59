"""A proxy that tunnels (CONNECT), and certificates of a CA of one's own for hosts behind it."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

API_HOST, FILE_HOST = "api.kling.test", "files.kling.test"

# A CA made for these tests, and what it has signed for both hosts and 127.0.0.1; the keys guard nothing.
CA = """\
-----BEGIN CERTIFICATE-----
MIIBpDCCAUmgAwIBAgIURKgIpzxuKZaUv7Q4ufhOKxY4mDkwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTa2xpbmdfYXN5bmMgdGVzdCBDQTAgFw0yNjExMjgwMTE0MzJa
GA8yMTI2MTEwNDAxMTQzMlowHjEcMBoGA1UEAwwTa2xpbmdfYXN5bmMgdGVzdCBD
QTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABA3L5kSa+C6RBMC2Hs3yqotoAN+a
Tk03H7Z13k6X4DeJ64wAVm3Xpln3TfM2g18qNyYMfFmwQGar+4ubO4+aiZKjYzBh
MB0GA1UdDgQWBBQAObfJ1fCF45350qnjWjxm8hD6ADAfBgNVHSMEGDAWgBQAObfJ
1fCF45350qnjWjxm8hD6ADAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIB
BjAKBggqhkjOPQQDAgNJADBGAiEAmvhsoFUTngIxa08l3vh7Pd0xb7LsUk9e7Wac
BribJgICIQDVl0YTluNxXHH5BiOYOEjwrfy8+AW7lsQ1IinJ40LnnQ==
-----END CERTIFICATE-----
"""
SIGNED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQ8X7BOivWEgFKmo4
pnIRHNQk9+sUooPrJfM/6quMTiuhRANCAASAZPFON9nSlPDl6kNPlDpmsmpe+stB
3whm37+E18WtaWpE3B6oEney3E6Ea1zve8UGJfhRUJO9I3zdGsIPC+a3
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIB5TCCAYugAwIBAgIUWEOTCDzy8I9zdDjo/YxoZox5GxAwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTa2xpbmdfYXN5bmMgdGVzdCBDQTAgFw0yNjExMjgwMTE0MzJa
GA8yMTI2MTEwNDAxMTQzMlowGTEXMBUGA1UEAwwOYXBpLmtsaW5nLnRlc3QwWTAT
BgcqhkjOPQIBBggqhkjOPQMBBwNCAASAZPFON9nSlPDl6kNPlDpmsmpe+stB3whm
37+E18WtaWpE3B6oEney3E6Ea1zve8UGJfhRUJO9I3zdGsIPC+a3o4GpMIGmMDEG
A1UdEQQqMCiCDmFwaS5rbGluZy50ZXN0ghBmaWxlcy5rbGluZy50ZXN0hwR/AAAB
MAwGA1UdEwEB/wQCMAAwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUF
BwMBMB8GA1UdIwQYMBaAFAA5t8nV8IXjnfnSqeNaPGbyEPoAMB0GA1UdDgQWBBTj
mq7A3SSNw7yIog7Q5DSVT+U45TAKBggqhkjOPQQDAgNIADBFAiBtcc1SmpeWWRIc
WDnZO6Xe+vdV6NKsb2qziBAAk9qMOAIhANMGHjMa0xHQZISGtgnr3BPUQ042KRQ6
/j1JWE6WpHU4
-----END CERTIFICATE-----
"""


def write_ca(folder: Path) -> Path:
    """Write the CA's certificate, and return its path."""
    path = folder / "ca.pem"
    path.write_text(CA, encoding="ascii")
    return path


def server_tls(folder: Path) -> ssl.SSLContext:
    """What a server of these hosts shows."""
    pair = folder / "signed.pem"
    pair.write_text(SIGNED, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    return context


@define
class ConnectProxy:
    """A proxy that tunnels to this machine, whatever the host's name."""

    status: int = 0
    login: str = ""  # "name:password", if it wants them
    port: int = 0
    scheme: str = "http"
    heads: list[str] = field(factory=list)
    _tasks: set[asyncio.Task[None]] = field(factory=set, repr=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.login and f'{self.login}@'}127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What it was asked to connect to."""
        return [head.split(" ")[1] for head in self.heads]

    def refusal(self, head: str) -> int:
        wants = b64encode(self.login.encode()).decode()
        return self.status or (407 if self.login and f"Proxy-Authorization: Basic {wants}" not in head else 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._tunnel(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if status := self.refusal(head):
            writer.write(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
            return
        there, onward = await asyncio.open_connection("127.0.0.1", int(self.targets[-1].rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pipe(reader, onward))
                both.create_task(_pipe(there, writer))
        finally:
            onward.close()

    async def hang_up(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def connect_proxy(
    *, status: int = 0, login: str = "", tls: ssl.SSLContext | None = None
) -> AsyncGenerator[ConnectProxy]:
    """Tunnel while the context is open; or refuse with this status, or without this login with 407."""
    proxy = ConnectProxy(status, login, scheme="http" if tls is None else "https")
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.hang_up()
        await listening.wait_closed()
