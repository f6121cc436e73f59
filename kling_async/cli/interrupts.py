"""Ctrl-C: once to end in order, twice to end now."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, TypeVar

from kling_async.cli.exits import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["run"]

_T = TypeVar("_T")


def run(work: Coroutine[object, object, _T], last_words: Callable[[], None]) -> _T:
    """Run a command's work on an event loop of its own.

    The first Ctrl-C cancels it, so that it ends in order. The second ends the process where it stands: what a journal
    has is safe against that.

    Args:
        work: What to run.
        last_words: Called before the process ends at the second Ctrl-C.

    Raises:
        KeyboardInterrupt: It was cancelled by Ctrl-C, and has ended.
    """
    interrupts = _Interrupts(last_words)
    try:
        return asyncio.run(interrupts.guard(work))
    except asyncio.CancelledError:
        if interrupts.count:
            raise KeyboardInterrupt from None
        raise


class _Interrupts:
    """What happens at a Ctrl-C."""

    def __init__(self, last_words: Callable[[], None]) -> None:
        self.count = 0
        self._last_words = last_words
        self._cancel: Callable[[], object] = lambda: None

    async def guard(self, work: Coroutine[object, object, _T]) -> _T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        usual = signal.getsignal(signal.SIGINT)
        # Elsewhere than in the main thread there are no signals; and who ignores them has a reason.
        if usual is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
            return await work
        signal.signal(signal.SIGINT, self._take)
        try:
            return await work
        finally:
            signal.signal(signal.SIGINT, usual)

    def _take(self, _number: int, _frame: object) -> None:
        self.count += 1
        if self.count == 1:
            self._cancel()
            return
        self._last_words()
        os._exit(Exit.INTERRUPTED)
