"""The least a server can do, in a process of its own, so that the client is slower: a fixed answer, or one more id."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.server_process import serving_apart

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection

__all__ = ["GENERATION", "Accepting", "Generating", "serving"]

GENERATION = "6f1c5d9e-0d3b-4c55-9a50-0c8c5f8f2d11"
"""The id every answer is about. The vendor may shorten ids, so that fits ``GENERATION:anything``."""

_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


def _answer(body: str) -> bytes:
    return (_HEAD.format(len(body)) + body).encode()


_STILL_GENERATING = _answer(f'{{"id":"{GENERATION}","status":"generating","video":null}}')


class Generating(asyncio.Protocol):
    """Answers each head of a request with "generating". It never looks at what is asked."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._begun = b""  # of a head whose end has not come yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the heads that have come."""
        *heads, self._begun = (self._begun + data).split(_END)
        if heads and self._transport is not None:
            self._transport.write(_STILL_GENERATING * len(heads))


class Accepting(asyncio.Protocol):
    """Accepts each POST, under an id that no other has, once its body has come. One POST a connection."""

    _numbers = count()

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._come = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once all has come."""
        self._come += data
        head, end, body = self._come.partition(_END)
        if not end or self._transport is None:
            return
        _, _, length = head.lower().partition(_LENGTH)
        if len(body) >= int(length.partition(b"\r")[0] or 0):
            generation_id = f"{next(self._numbers):032x}:kling-video/v2.1/master/text-to-video"
            self._transport.write(_answer(f'{{"id":"{generation_id}","status":"queued"}}'))


async def _serve(port: Connection, protocol: type[asyncio.Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, backlog=1000)
    port.send(server.sockets[0].getsockname()[1])
    if protocol is not Generating:  # time passes on the wall: a core that is kept busy would be missing elsewhere
        await server.serve_forever()
    # It never sleeps: waking it costs the client, and the more often the slower the client is.
    while True:  # noqa: ASYNC110 - nothing is waited for
        await asyncio.sleep(0)


def serving(protocol: type[asyncio.Protocol] = Generating) -> AbstractContextManager[str]:
    """Serve by this protocol until the context is left; gives the base URL."""
    return serving_apart(_main, protocol)


def _main(port: Connection, protocol: type[asyncio.Protocol]) -> None:
    asyncio.run(_serve(port, protocol))
