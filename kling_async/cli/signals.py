"""Handle Ctrl-C, SIGTERM and SIGHUP: the first ends the work in order, Ctrl-C after that at once."""

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

_T = TypeVar("_T")

_EXITS = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}
if hasattr(signal, "SIGHUP"):  # which Windows has not
    _EXITS[signal.SIGHUP] = Exit.HUNG_UP


class Interrupted(KeyboardInterrupt):
    """Raised at a signal that ends the process.

    Attributes:
        exit: The exit code for this signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit: Exit = _EXITS[signal.Signals(number)]


def exit_code(interrupt: KeyboardInterrupt) -> Exit:
    """Return the exit code of an interrupt."""
    return interrupt.exit if isinstance(interrupt, Interrupted) else Exit.INTERRUPTED


@contextmanager
def termination_signals() -> Generator[None]:
    """Raise ``Interrupted`` at SIGTERM and SIGHUP, as Ctrl-C does.

    By default they end a process without a message, and leave a terminal without its cursor; the first process of a
    container ignores them.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handled(_EXITS.keys() - {signal.SIGINT}, interrupt):
        yield


@asynccontextmanager
async def announced_stop(terminal: Terminal) -> AsyncGenerator[None]:
    """Print a message when the work in the context is cancelled: ending may take some seconds."""
    try:
        yield
    except asyncio.CancelledError:
        terminal.message("stopping, and saving what is under way; Ctrl-C again stops at once", "yellow")
        raise


def run(work: Coroutine[object, object, _T], before_exit: Callable[[], None]) -> _T:
    """Run a command's work on an event loop of its own.

    The first signal cancels it, so that it ends in order. A Ctrl-C after that ends the process at once, which loses
    nothing that is in a journal. Other signals do not, since a closing terminal or a supervisor sends them repeatedly.

    Args:
        work: The coroutine.
        before_exit: Called before the process ends at the second Ctrl-C.

    Raises:
        Interrupted: It was cancelled by a signal, and has ended.
    """
    received: list[int] = []

    async def interruptible() -> _T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a coroutine runs in a task

        def handle(number: int, _frame: FrameType | None) -> None:
            received.append(number)
            if len(received) == 1:
                loop.call_soon_threadsafe(task.cancel)
            elif number == signal.SIGINT:
                before_exit()
                os._exit(Exit.INTERRUPTED)

        with _handled(_EXITS, handle):
            return await work

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise


def run_told(
    work: Coroutine[object, object, _T], terminal: Terminal, told: Callable[[str], str] = lambda what: what
) -> _T | Exit:
    """Run like ``run``; where a signal ends it, print a message, and return the exit code.

    Args:
        work: The coroutine.
        terminal: For the message.
        told: Makes it of a first word or two, such as "interrupted".
    """
    try:
        return run(work, lambda: terminal.final_message(told("interrupted at once")))
    except KeyboardInterrupt as interrupt:
        terminal.message(told("interrupted"), "yellow")
        return exit_code(interrupt)


@contextmanager
def _handled(signals: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Install a handler for signals, except ignored ones: ``nohup`` and the like ignore them for a reason."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may install handlers
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
