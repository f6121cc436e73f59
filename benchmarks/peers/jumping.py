"""An event loop whose time runs as usual while a request is under way, and jumps when all sleep."""

from __future__ import annotations

import asyncio
import math
import selectors
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.peers.shared import SharedClock

__all__ = ["jumping_loop"]

_LOOK = 0.02  # real seconds between looks at whether the vendor has begun to hold what it was sent

_Ready = list[tuple[selectors.SelectorKey, int]]


def jumping_loop(shared: SharedClock) -> asyncio.AbstractEventLoop:
    """An event loop that does all its waiting by this clock. From now on, every socket of the process is watched."""
    return asyncio.SelectorEventLoop(JumpingSelector(shared, _watched_sockets()))


class JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets while one has a request under way; otherwise moves the clock to the loop's next timer."""

    def __init__(self, shared: SharedClock, asked: set[int]) -> None:
        super().__init__()
        self._shared = shared
        self._asked = asked

    def select(self, timeout: float | None = None) -> _Ready:
        """What is ready, at once if anything is."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        span = self._span(math.inf if timeout is None else timeout)
        if span <= 0 or span == math.inf:
            return super().select(min(_LOOK, math.inf if timeout is None else timeout))
        self._shared.jump(span)
        return []

    def _span(self, timeout: float) -> float:
        """How far time may jump; not at all while the vendor has not answered all that it does not hold."""
        held = self._shared.held
        if len(self._asked) > held:
            return 0.0
        return min(timeout, self._shared.release - self._shared.now()) if held else timeout


def _watched_sockets() -> set[int]:
    """Which sockets wait for an answer, by number: those connecting, and those written to and not read from since.

    The vendor writes each answer in one piece, which comes in as one.
    """
    clients: set[int] = set()  # those that connected, and not, for one, the pair a loop wakes itself with
    asked: set[int] = set()
    kind: Any = socket.socket
    connect, receive, close = kind.connect, kind.recv, kind.close

    def watched_connect(self: socket.socket, address: object) -> None:
        clients.add(self.fileno())
        asked.add(self.fileno())
        connect(self, address)

    def watched_receive(self: socket.socket, *arguments: Any) -> bytes:  # noqa: ANN401 - passed on as they are
        data: bytes = receive(self, *arguments)
        asked.discard(self.fileno())
        return data

    def watched_close(self: socket.socket) -> None:
        clients.discard(self.fileno())
        asked.discard(self.fileno())
        close(self)

    kind.connect, kind.recv, kind.close = watched_connect, watched_receive, watched_close
    for name in ("send", "sendmsg"):
        if hasattr(kind, name):  # not every system has both
            setattr(kind, name, _asking(getattr(kind, name), clients, asked))
    return asked


def _asking(write: Any, clients: set[int], asked: set[int]) -> Any:  # noqa: ANN401 - passed on as it is
    def watched(self: socket.socket, *arguments: Any) -> Any:  # noqa: ANN401 - passed on as they are
        if (number := self.fileno()) in clients:
            asked.add(number)
        return write(self, *arguments)

    return watched
