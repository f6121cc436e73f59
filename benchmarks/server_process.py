"""A server in a process of its own, so that its work is not counted as the client's."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from multiprocessing.connection import Connection

__all__ = ["serving_apart"]

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


def _main(serve: Callable[[Connection, _Served], None], port: Connection, served: _Served) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this also ends it
    serve(port, served)
