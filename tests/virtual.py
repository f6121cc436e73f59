"""An event loop whose clock jumps to the next timer whenever everything sleeps: tests wait for nothing."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is scheduled")
        self._loop.jump()
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0.0 s and never waits."""

    selector: Callable[[Any], selectors.BaseSelector] = _Jumping
    _scheduled: list[asyncio.TimerHandle]  # asyncio's own, by instant

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(type(self).selector(self))

    def time(self) -> float:
        return self.now

    def jump(self) -> None:
        self.now = max(self.now, self._scheduled[0].when())


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test in virtual time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
