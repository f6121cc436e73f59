"""Jobs in the order in which they settle, from a source that is read only as far ahead as allowed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from anyio import CancelScope

from kling_async.api.arguments import refused
from kling_async.engine.tasks import was_asked_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["SourceReader", "Window", "in_completion_order"]

_STRIDE = 32  # items drawn from a plain iterable in a row before other tasks get the loop
_CLOSING = 10.0  # how long a source may take to close, in seconds
_END: Any = object()


class Settling(Protocol):
    """What says when it is over, such as a job or a task."""

    def add_done_callback(self, callback: Callable[[Any], object], /) -> object:
        """Have this called by the loop once it is over."""
        ...


T = TypeVar("T", bound=Settling)


async def in_completion_order(
    pump: SourceReader[T], start: Callable[[SourceReader[T]], None]
) -> AsyncGenerator[T, None]:
    """Hand out what a pump holds as it settles. However this is left, the pump has ended and its source is closed."""
    start(pump)
    try:
        while (settled := await pump.next_settled()) is not None:
            yield settled
        if pump.failure is not None:
            raise pump.failure
    finally:
        pump.stop()
        if pump.task is not None:  # a loop that ends may cancel the pump before it has begun
            await pump.ended.wait()


class Window:
    """How many items may be between being drawn and being handed out.

    A place whose item only waits may be lent to another, so that a few that wait do not hold up all others.

    Args:
        size: How many, places that are lent not counted.
        most_lent: The most places that are lent at once.
    """

    def __init__(self, size: int, most_lent: int = 0) -> None:
        self.changed = asyncio.Event()
        self._size = size
        self._most_lent = most_lent
        self._waiting = 0

    @property
    def places(self) -> int:
        """How many there are now."""
        return self._size + min(self._waiting, self._most_lent)

    @contextmanager
    def lent(self) -> Generator[None]:
        """Lend an item's place while it waits."""
        self._waiting += 1
        self.changed.set()
        try:
            yield
        finally:
            self._waiting -= 1


class SourceReader(Generic[T]):
    """Draws items from a source and begins a job or the like for each, as many as its window has places for.

    It runs in a task of its own, so that neither the source nor the consumer waits for the other, and so that the
    source is read and closed in one and the same task.
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
        self.failure: BaseException | None = None  # what the source raised, or why it was not read to its end
        self.ended = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None  # in which it runs, once it does
        self._source = source
        self._enter = start
        self._window = window
        self._closed = closed
        self._held = 0  # drawn, and not handed out
        self._closing = False
        self._ready: deque[T] = deque()
        self._news = asyncio.Event()
        self._stopped = False
        self._scope = CancelScope(shield=True)

    async def next_settled(self) -> T | None:
        """The next to settle; None once the source has ended and everything was handed out."""
        while not self._ready:
            if self.ended.is_set() and not self._held:
                return None
            self._news.clear()
            await self._news.wait()
        self._held -= 1
        self._window.changed.set()
        return self._ready.popleft()

    def stop(self) -> None:
        """Draw nothing more. What was begun goes on.

        The source is cancelled once, so that it can clean up, and again without end only if that takes too long. The
        cancellation of a scope, such as that of the session's group, would fail whatever it awaits for cleaning up.
        """
        if self._stopped or self.ended.is_set():
            return
        self._stopped = True
        if self.task is not None and not self._closing and not self.task.cancelling():
            self._scope.deadline = asyncio.get_running_loop().time() + _CLOSING
            self.task.cancel()

    async def run(self) -> None:
        """Draw until the source ends, or until stopped; then close the source."""
        self.task = asyncio.current_task()
        try:
            with self._scope:
                await self._draw_all()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is the consumer's to see
            # What the source raised, or that it was not read to its end.
            self.failure = self._closed() if was_asked_for(error) else error
        finally:
            self.ended.set()
            self._news.set()

    async def _draw_all(self) -> None:
        source = self._source
        iterator = aiter(source) if isinstance(source, AsyncIterable) else _unhurried(iter(source))
        try:
            while await self._has_room():
                item = await anext(iterator, _END)
                if item is _END:
                    return
                self._hold(self._enter(item))
        finally:
            self._closing = True
            await _close(iterator)

    async def _has_room(self) -> bool:
        """Wait until there is; False once stopped, as what is drawn is bought."""
        while self._held >= self._window.places:
            self._window.changed.clear()
            await self._window.changed.wait()
        return not self._stopped

    def _hold(self, begun: T) -> None:
        self._held += 1
        begun.add_done_callback(self._settled)

    def _settled(self, begun: T) -> None:
        self._ready.append(begun)
        self._news.set()


async def _unhurried(iterator: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """A plain iterator's items; it never waits, so others get the loop now and then, and it is closed if it can be."""
    try:
        for drawn, item in enumerate(iterator, start=1):
            yield item
            if drawn % _STRIDE == 0:
                await asyncio.sleep(0)
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


async def _close(iterator: AsyncIterator[Any]) -> None:
    """Close a source in the task that reads it, even while that is being cancelled."""
    if isinstance(iterator, AsyncGenerator):
        with CancelScope(shield=True, deadline=asyncio.get_running_loop().time() + _CLOSING):
            await iterator.aclose()
