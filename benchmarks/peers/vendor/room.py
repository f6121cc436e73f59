"""Where requests wait that are held on purpose."""

from __future__ import annotations

import asyncio
import math
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.peers.shared import SharedClock
    from benchmarks.peers.vendor.http import Connection, Held

__all__ = ["WaitingRoom"]

_LOOK = 0.002  # real seconds between looks at the clock, which a client may move at any time


class WaitingRoom:
    """Answers each held request at its instant, and tells the client's clock how many are held until when."""

    def __init__(self, shared: SharedClock) -> None:
        self._shared = shared
        self._waiting: list[tuple[float, int, Held, Connection]] = []
        self._numbers = count()
        self._doorman: asyncio.Task[None] | None = None

    def hold(self, held: Held, connection: Connection) -> None:
        """Take a request in."""
        heappush(self._waiting, (held.until, next(self._numbers), held, connection))
        self._tell()
        if self._doorman is None:
            self._doorman = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while self._waiting:
            if self._waiting[0][0] <= self._shared.now():
                _, _, held, connection = heappop(self._waiting)
                self._tell()  # first, so that the client's clock waits for the answer
                connection.send(held.answer())
            else:
                await asyncio.sleep(_LOOK)
        self._doorman = None

    def _tell(self) -> None:
        self._shared.hold(len(self._waiting), self._waiting[0][0] if self._waiting else math.inf)
