"""Puts the shared clock in the place of Python's own, for all that is imported later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.shared import SharedClock

__all__ = ["install"]

_CLOCKS = ("monotonic", "perf_counter", "time")  # the processor's clocks stay as they are: they are measured with


def install(shared: SharedClock, sleep: Callable[[Any], None]) -> None:
    """Let the module ``time`` tell the shared clock's time, and sleep by it. Dates (``datetime.now``) stay real."""
    for name in _CLOCKS:
        told = _moved(getattr(time, name), shared)
        setattr(time, name, told)
        setattr(time, f"{name}_ns", _in_nanoseconds(told))
    time.sleep = sleep


def _moved(real: Callable[[], float], shared: SharedClock) -> Callable[[], float]:
    return lambda: real() + shared.offset


def _in_nanoseconds(told: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(told() * 1e9)
