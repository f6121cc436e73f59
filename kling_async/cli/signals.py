"""Ctrl-C, SIGTERM and SIGHUP: any of them to end in order, Ctrl-C after that to end now."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from kling_async.cli.exit_codes import Exit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
    from types import FrameType

    from kling_async.cli.terminal import Terminal

__all__ = ["Interrupted", "exit_of", "heeded", "run", "told"]

_T = TypeVar("_T")

_EXITS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}
if hasattr(signal, "SIGHUP"):  # which Windows has not
    _EXITS[signal.SIGHUP] = Exit.HUNG_UP


class Interrupted(KeyboardInterrupt):
    """A signal came that asks for the end.

    Attributes:
        exit: The exit code that tells which.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit = _EXITS[signal.Signals(number)]


def exit_of(interrupt: KeyboardInterrupt) -> Exit:
    """The exit code that tells of an interrupt."""
    return interrupt.exit if isinstance(interrupt, Interrupted) else Exit.INTERRUPTED


@contextmanager
def heeded() -> Generator[None]:
    """Have SIGTERM and SIGHUP raise an exception, as Ctrl-C does.

    Left to the system they end a process without a word, and leave a terminal without its cursor; and the first process
    of a container would not even notice them.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handled(_EXITS.keys() - {signal.SIGINT}, interrupt):
        yield


@asynccontextmanager
async def told(terminal: Terminal) -> AsyncGenerator[None]:
    """Say so when the work in here is interrupted: what is under way may take some seconds."""
    try:
        yield
    except asyncio.CancelledError:
        terminal.say("stopping, and saving what is under way; Ctrl-C again stops at once", "yellow")
        raise


def run(work: Coroutine[object, object, _T], last_words: Callable[[], None]) -> _T:
    """Run a command's work on an event loop of its own.

    The first signal cancels it, so that it ends in order. A Ctrl-C after that ends the process where it stands: what a
    journal has is safe against that. Other signals are not counted, since a closing terminal or a supervisor sends them
    more than once.

    Args:
        work: What to run.
        last_words: Called before the process ends at the second Ctrl-C.

    Raises:
        Interrupted: It was cancelled by a signal, and has ended.
    """
    interrupts = _Interrupts(last_words)
    try:
        return asyncio.run(interrupts.guard(work))
    except asyncio.CancelledError:
        if interrupts.first is not None:
            raise Interrupted(interrupts.first) from None
        raise


class _Interrupts:
    """What happens at a signal."""

    def __init__(self, last_words: Callable[[], None]) -> None:
        self.first: int | None = None
        self._last_words = last_words
        self._cancel: Callable[[], object] = lambda: None

    async def guard(self, work: Coroutine[object, object, _T]) -> _T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        with _handled(_EXITS, self._take):
            return await work

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.first is None:
            self.first = number
            self._cancel()
        elif number == signal.SIGINT:
            self._last_words()
            os._exit(Exit.INTERRUPTED)


@contextmanager
def _handled(signals: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Have signals handled so, those apart that are ignored: who has that done has a reason, as ``nohup`` has."""
    if threading.current_thread() is not threading.main_thread():  # elsewhere there are no signals
        yield
        return
    usual = {number: signal.getsignal(number) for number in signals}
    heeded = {number: usually for number, usually in usual.items() if usually not in (signal.SIG_IGN, None)}
    for number in heeded:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, usually in heeded.items():
            signal.signal(number, usually)
