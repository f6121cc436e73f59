"""The least a server can do: one fixed answer to every GET, in a process of its own, so that the client is slower."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection

__all__ = ["GENERATION", "serving"]

GENERATION = "6f1c5d9e-0d3b-4c55-9a50-0c8c5f8f2d11"
"""The id every answer is about. The vendor may shorten ids, so that fits ``GENERATION:anything``."""

_BODY = f'{{"id":"{GENERATION}","status":"generating","video":null}}'.encode()
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode()
_ANSWER = _HEAD + _BODY
_END = b"\r\n\r\n"


class _Generating(asyncio.Protocol):
    """Answers each head of a request with "generating". It never looks at what is asked."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._begun = b""  # of a head whose end has not come yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._begun = (self._begun + data).split(_END)
        if heads and self._transport is not None:
            self._transport.write(_ANSWER * len(heads))


async def _serve(port: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(_Generating, "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    # It never sleeps: waking it costs the client, and the more often the slower the client is.
    while True:  # noqa: ASYNC110 - nothing is waited for
        await asyncio.sleep(0)


def _main(port: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this also ends it
    asyncio.run(_serve(port))


@contextmanager
def serving() -> Generator[str]:
    """Serve until the context is left; gives the base URL."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
        here.close()
