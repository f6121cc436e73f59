"""A server in a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from multiprocessing.connection import Connection

__all__ = ["end_with_parent", "serving_apart"]

_Served = TypeVar("_Served")


@contextmanager
def serving_apart(serve: Callable[[Connection, _Served], None], served: _Served) -> Generator[str]:
    """Run ``serve`` until the context is left; gives the base URL.

    ``serve`` is a module's function, which sends its port on 127.0.0.1 through the connection once it listens there.
    """
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_main, args=(serve, there, served), daemon=True)
    process.start()
    there.close()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
        here.close()


def end_with_parent() -> None:
    """Have this process end once the one that started it has, however that ended."""
    Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _main(serve: Callable[[Connection, _Served], None], port: Connection, served: _Served) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one also ends it
    end_with_parent()
    serve(port, served)
