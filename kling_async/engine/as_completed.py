"""Yields jobs in the order in which they settle, from a source that is read only so far ahead."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from anyio import CancelScope

from kling_async.api.arguments import refused
from kling_async.engine.tasks import is_own_cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_STRIDE = 32  # items read from a plain iterable in a row before other tasks get the loop
_CLOSING = 10.0  # how long a source may take to close, in seconds
_END: Any = object()


class Settling(Protocol):
    """An object that calls back when it is done, such as a job or a task."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """Have a function called by the loop once it is done."""
        ...


T = TypeVar("T", bound=Settling)


async def in_completion_order(
    reader: SourceReader[T], start: Callable[[SourceReader[T]], None]
) -> AsyncGenerator[T, None]:
    """Yield a reader's jobs as they settle. However this is left, the reader has ended and its source is closed."""
    start(reader)
    try:
        while (settled := await reader.next_settled()) is not None:
            yield settled
        if reader.failure is not None:
            raise reader.failure
    finally:
        reader.stop()
        if reader.task is not None:  # a loop that ends may cancel the reader before it has begun
            await reader.ended.wait()


class Window:
    """Limits the items between being read and being handed out; some that only wait do not count.

    Args:
        size: The most items that count.
        max_waiting: The most waiting items that do not count.
    """

    def __init__(self, size: int, max_waiting: int = 0) -> None:
        self.changed: asyncio.Event = asyncio.Event()
        self._size = size
        self._max_waiting = max_waiting
        self._waiting = 0

    @property
    def capacity(self) -> int:
        """The most items that are allowed now."""
        return self._size + min(self._waiting, self._max_waiting)

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Count one of its items as waiting."""
        self._waiting += 1
        self.changed.set()
        try:
            yield
        finally:
            self._waiting -= 1


class SourceReader(Generic[T]):
    """Reads items from a source and starts a job or the like for each.

    Its window limits those between being read and being handed out. It runs in a task of its own, so that neither the
    source nor the consumer waits for the other, and so that one task reads and closes the source.
    """

    def __init__(
        self,
        source: Iterable[Any] | AsyncIterable[Any],
        start: Callable[[Any], T],
        window: Window,
        closed: Callable[[], Exception],
    ) -> None:
        if isinstance(source, str | bytes) or not isinstance(source, Iterable | AsyncIterable):
            raise refused("source", source, "an iterable or an async iterable of requests and jobs")
        self.failure: BaseException | None = None  # the source's error, or why it was not read to its end
        self.ended: asyncio.Event = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None  # in which it runs, once it does
        self._source = source
        self._start = start
        self._window = window
        self._closed = closed
        self._in_flight = 0  # read and not handed out
        self._closing = False
        self._ready: deque[T] = deque()
        self._changed = asyncio.Event()
        self._stopped = False
        self._scope = CancelScope(shield=True)

    async def next_settled(self) -> T | None:
        """Wait for the next to settle; None once the source has ended and everything was handed out."""
        while not self._ready:
            if self.ended.is_set() and not self._in_flight:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._in_flight -= 1
        self._window.changed.set()
        return self._ready.popleft()

    def stop(self) -> None:
        """Read nothing more; jobs that were started go on.

        The source is cancelled once, so that it can clean up, and then repeatedly only if that takes too long. A
        cancelled scope, such as that of the session's task group, would cancel every await of its cleaning up.
        """
        if self._stopped or self.ended.is_set():
            return
        self._stopped = True
        if self.task is not None and not self._closing and not self.task.cancelling():
            self._scope.deadline = asyncio.get_running_loop().time() + _CLOSING
            self.task.cancel()

    async def run(self) -> None:
        """Read until the source ends, or until stopped; then close the source."""
        self.task = asyncio.current_task()
        try:
            with self._scope:
                await self._read_all()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised to the consumer
            self.failure = self._closed() if is_own_cancellation(error) else error
        finally:
            self.ended.set()
            self._changed.set()

    async def _read_all(self) -> None:
        source = self._source
        iterator = aiter(source) if isinstance(source, AsyncIterable) else _as_async(iter(source))
        try:
            while await self._has_room():
                item = await anext(iterator, _END)
                if item is _END:
                    return
                self._track(self._start(item))
        finally:
            self._closing = True
            await _close(iterator)

    async def _has_room(self) -> bool:
        """Wait for room; return False once stopped, as every item that is read is bought."""
        while self._in_flight >= self._window.capacity:
            self._window.changed.clear()
            await self._window.changed.wait()
        return not self._stopped

    def _track(self, begun: T) -> None:
        self._in_flight += 1
        begun.add_done_callback(self._on_settled)

    def _on_settled(self, begun: T) -> None:
        self._ready.append(begun)
        self._changed.set()


async def _as_async(iterator: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """Yield a plain iterator's items, giving other tasks the loop now and then; close it at the end if possible."""
    try:
        for drawn, item in enumerate(iterator, start=1):
            yield item
            if drawn % _STRIDE == 0:
                await asyncio.sleep(0)
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


async def _close(iterator: AsyncIterator[Any]) -> None:
    """Close a source in the task that reads it, even while that task is being cancelled."""
    if isinstance(iterator, AsyncGenerator):
        with CancelScope(shield=True, deadline=asyncio.get_running_loop().time() + _CLOSING):
            await iterator.aclose()
