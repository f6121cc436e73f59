"""As much of HTTP as the clients need: heads, bodies with a length, connections that stay open, answers held back."""

from __future__ import annotations

import asyncio
import json
import math
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.virtual_time import SharedClock

__all__ = ["Answer", "Connection", "Dropped", "Held", "HeldRequests", "Reply", "Request"]


_END = b"\r\n\r\n"


@frozen
class Request:
    """A request.

    Attributes:
        method: Such as ``GET``.
        target: The path, and the query if there is one, as they were sent.
        headers: By their names in lower case.
        body: The bytes.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@frozen
class Answer:
    """An answer of JSON."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """Return the answer in one piece."""
        body = json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} -", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode() + _END + body


@frozen
class Held:
    """An answer that is made only later."""

    until: float
    answer: Callable[[], Answer]


@frozen
class Dropped:
    """No answer: the connection is closed instead."""


Reply = Answer | Held | Dropped


class Connection(asyncio.Protocol):
    """A client's connection. Requests come one after the other."""

    def __init__(self, reply: Callable[[Request], Reply], hold: Callable[[Held, Connection], None]) -> None:
        self._reply = reply
        self._hold = hold
        self._transport: asyncio.Transport | None = None
        self._come = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Reply to each request that has come whole."""
        self._come += data
        while (request := self._taken()) is not None:
            reply = self._reply(request)
            if isinstance(reply, Held):
                self._hold(reply, self)
            elif isinstance(reply, Answer):
                self.send(reply)
            elif self._transport is not None:
                self._transport.close()

    def send(self, answer: Answer) -> None:
        """Answer, if the client is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer.encode())

    def _taken(self) -> Request | None:
        head, end, rest = self._come.partition(_END)
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return None
        self._come = rest[length:]
        method, target, _ = first.split(" ")
        return Request(method, target, headers, rest[:length])


_LOOK = 0.002  # real seconds between looks at the clock, which a client may move at any time


class HeldRequests:
    """Answers each held request at its instant, and tells the client's clock how many are held until when."""

    def __init__(self, shared: SharedClock) -> None:
        self._shared = shared
        self._waiting: list[tuple[float, int, Held, Connection]] = []
        self._numbers = count()
        self._task: asyncio.Task[None] | None = None

    def hold(self, held: Held, connection: Connection) -> None:
        """Take a request in."""
        heappush(self._waiting, (held.until, next(self._numbers), held, connection))
        self._tell()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while self._waiting:
            if self._waiting[0][0] <= self._shared.now():
                _, _, held, connection = heappop(self._waiting)
                self._tell()  # first, so that the client's clock waits for the answer
                connection.send(held.answer())
            else:
                await asyncio.sleep(_LOOK)
        self._task = None

    def _tell(self) -> None:
        self._shared.hold(len(self._waiting), self._waiting[0][0] if self._waiting else math.inf)
