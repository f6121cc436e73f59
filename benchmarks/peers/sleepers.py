"""``time.sleep`` for a program of many threads: time runs as usual while one is awake, and jumps when all sleep."""

from __future__ import annotations

import threading
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.peers.shared import SharedClock

__all__ = ["Sleepers"]


class Sleepers:
    """The threads of a program, as far as they sleep. A thread that waits for an answer is awake."""

    def __init__(self, shared: SharedClock) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._beds: list[tuple[float, int, threading.Event]] = []  # by the instant of waking
        self._numbers = count()
        self._awake = 0

    def run(self, works: Iterable[Callable[[], None]]) -> None:
        """Do each of these in a thread of its own; returns once all are done."""
        threads = [threading.Thread(target=self._work, args=(work,)) for work in works]
        self._awake += len(threads)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def sleep(self, seconds: float) -> None:
        """What stands in for ``time.sleep``."""
        wake_at, called = self._shared.now() + seconds, threading.Event()
        with self._lock:
            heappush(self._beds, (wake_at, next(self._numbers), called))
            self._awake -= 1
            self._jump()
        # Others may be at work, and then this sleep may also end by itself.
        while not called.wait(max(0.0, wake_at - self._shared.now())):
            with self._lock:
                self._wake()

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._awake -= 1
                self._jump()

    def _jump(self) -> None:
        if self._awake <= 0 and self._beds:
            self._shared.jump(max(0.0, self._beds[0][0] - self._shared.now()))
            self._wake()

    def _wake(self) -> None:
        """Wake whoever is due; each counts as awake from here on."""
        now = self._shared.now()
        while self._beds and self._beds[0][0] <= now:
            heappop(self._beds)[2].set()
            self._awake += 1
