"""Work in an interpreter of its own, which nothing measured before has warmed, filled or fragmented."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from benchmarks.server_process import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fresh"]

P = ParamSpec("P")
T = TypeVar("T")


def fresh(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the work in a new process; returns, or raises, what it did there."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        return pool.submit(work, *args, **kwargs).result()
