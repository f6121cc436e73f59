"""Virtual time for two processes: it runs as usual while a request is under way, and jumps when all sleep."""

from __future__ import annotations

import asyncio
import math
import mmap
import selectors
import socket
import threading
import time
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["SharedClock", "SleepingThreads", "install", "jumping_loop"]


_OFFSET, _HELD, _RELEASE = 0, 1, 2  # places of eight bytes each, which are read and written whole


class SharedClock:
    """Instants in seconds, the same in every process that has the file open.

    The client moves it, and the vendor reads it. The other way round, the vendor tells which requests it holds on
    purpose, so that the client need not wait for those at the pace of real time.

    Args:
        path: A file, empty at first. The process that comes first makes it.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists() or not path.stat().st_size:
            path.write_bytes(bytes(24))
        with path.open("r+b") as file:
            self._places = memoryview(mmap.mmap(file.fileno(), 24)).cast("d")
        self._monotonic = monotonic  # the real one, whatever is put in its place later

    def now(self) -> float:
        """Return the instant it is."""
        return self._monotonic() + self._places[_OFFSET]

    @property
    def offset(self) -> float:
        """The seconds jumped over so far."""
        return self._places[_OFFSET]

    def jump(self, seconds: float) -> None:
        """Be so much later at once, in every process."""
        self._places[_OFFSET] += seconds

    def hold(self, requests: int, release: float) -> None:
        """Say how many requests the vendor holds, and the instant at which it answers the first of them."""
        self._places[_RELEASE] = release
        self._places[_HELD] = requests

    @property
    def held(self) -> int:
        """The number of requests that the vendor holds."""
        return int(self._places[_HELD])

    @property
    def release(self) -> float:
        """The instant at which it answers the first of them."""
        return self._places[_RELEASE]


_CLOCKS = ("monotonic", "perf_counter", "time")  # the processor's clocks stay as they are: they are measured with


def install(shared: SharedClock, sleep: Callable[[Any], None]) -> None:
    """Let the module ``time`` tell the shared clock's time, and sleep by it. Dates (``datetime.now``) stay real."""
    for name in _CLOCKS:
        told = _moved(getattr(time, name), shared)
        setattr(time, name, told)
        setattr(time, f"{name}_ns", _in_nanoseconds(told))
    time.sleep = sleep


def _moved(real: Callable[[], float], shared: SharedClock) -> Callable[[], float]:
    return lambda: real() + shared.offset


def _in_nanoseconds(told: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(told() * 1e9)


class SleepingThreads:
    """The threads of a program, as far as they sleep. A thread that waits for an answer is awake."""

    def __init__(self, shared: SharedClock) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, threading.Event]] = []  # by the instant of waking
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
        """Sleep by the shared clock, in place of ``time.sleep``."""
        wake_at, called = self._shared.now() + seconds, threading.Event()
        with self._lock:
            heappush(self._waiting, (wake_at, next(self._numbers), called))
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
        if self._awake <= 0 and self._waiting:
            self._shared.jump(max(0.0, self._waiting[0][0] - self._shared.now()))
            self._wake()

    def _wake(self) -> None:
        """Wake the threads that are due; each counts as awake from here on."""
        now = self._shared.now()
        while self._waiting and self._waiting[0][0] <= now:
            heappop(self._waiting)[2].set()
            self._awake += 1


_LOOK = 0.02  # real seconds between looks at whether the vendor has begun to hold what it was sent

_Ready = list[tuple[selectors.SelectorKey, int]]


def jumping_loop(shared: SharedClock) -> asyncio.AbstractEventLoop:
    """Return an event loop that waits by this clock alone. From now on every socket of the process is watched."""
    return asyncio.SelectorEventLoop(JumpingSelector(shared, _watched_sockets()))


class JumpingSelector(selectors.DefaultSelector):
    """Waits for sockets while one has a request under way; otherwise moves the clock to the loop's next timer."""

    def __init__(self, shared: SharedClock, asked: set[int]) -> None:
        super().__init__()
        self._shared = shared
        self._asked = asked

    def select(self, timeout: float | None = None) -> _Ready:
        """Return what is ready, at once if anything is."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        span = self._span(math.inf if timeout is None else timeout)
        if span <= 0 or span == math.inf:
            return super().select(min(_LOOK, math.inf if timeout is None else timeout))
        self._shared.jump(span)
        return []

    def _span(self, timeout: float) -> float:
        """Return how far time may jump: 0 while the vendor still works on a request that it does not hold."""
        held = self._shared.held
        if len(self._asked) > held:
            return 0.0
        return min(timeout, self._shared.release - self._shared.now()) if held else timeout


def _watched_sockets() -> set[int]:
    """Track the sockets that wait for an answer: those connecting, and those written to and not read from since.

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
