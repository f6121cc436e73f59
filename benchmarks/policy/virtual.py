"""An event loop whose clock jumps to the next timer whenever everything sleeps: hours are played in seconds."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from kling_async import session

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["play"]


class _Jumping(selectors.SelectSelector):
    """Never waits for anything but what is there already."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: _VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - whatever the standard library's returns
        ready = super().select(0)
        if not ready and timeout != 0:
            assert self.loop is not None  # noqa: S101 - set as soon as there is a loop
            self.loop.jump(timeout)
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _Jumping()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self._now

    def jump(self, timeout: float | None) -> None:
        """Go on to the next timer.

        Raises:
            RuntimeError: There is none, so that nothing would ever happen.
        """
        if timeout is None:
            raise RuntimeError("everything waits, and nothing is scheduled")
        self._now += timeout


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, in virtual time, which is a session's calendar as well: the same each time it is played."""
    with (
        asyncio.Runner(loop_factory=_VirtualLoop) as runner,
        patch.object(session, "wall_clock", runner.get_loop().time),
    ):
        runner.run(scene)
