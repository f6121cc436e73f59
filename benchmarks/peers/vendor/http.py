"""As much of HTTP as the clients need: heads, bodies with a length, and connections that stay open."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answer", "Connection", "Dropped", "Held", "Reply", "Request"]

_END = b"\r\n\r\n"


@frozen
class Request:
    """What came.

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
    """What is said, as JSON."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """The answer in one piece."""
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
