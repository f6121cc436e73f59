"""What it costs to decide whose submit is next, beside a queue without lines."""

from __future__ import annotations

import gc
from random import Random
from statistics import median
from time import process_time
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from kling_async.pacing.admission import AdmissionControl
from kling_async.pacing.fair_queue import FairQueue, Line
from kling_async.pacing.queues import DelayQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.figure import Size

__all__ = ["measure"]

_LINES = (1, 100, 10_000)
_WAITING = 10_000  # jobs
_TARGET = 10.0  # microseconds: a twentieth of what a submit costs without any waiting


def measure(size: Size) -> list[Figure]:
    """Microseconds of CPU to put in one job and take the next, and how many times that without lines."""
    turns = [fresh(_turn, size.decisions) for _ in range(size.rounds)]
    plain = median(turn[0] for turn in turns)
    figures: list[Figure] = []
    for place, lines in enumerate(_LINES, start=1):
        cost = median(turn[place] for turn in turns)
        ratio = median(turn[place] / turn[0] for turn in turns)
        raw = {"plain_us": plain, "ratio": ratio, "rounds": size.rounds}
        name = f"CPU per submit's decision, {lines:,} line{'s' if lines > 1 else ''} ({ratio:.2f} times without lines)"
        figures.append(Figure(name, cost, _TARGET, "µs", raw))
    return figures


def _turn(decisions: int) -> list[float]:
    delays: DelayQueue[int] = DelayQueue()
    costs = [_timed(lambda number, now: delays.put(now, number), delays.take_due, decisions)]
    for lines in _LINES:
        queue: FairQueue[int] = FairQueue(AdmissionControl(Random(1)).obstacle)  # noqa: S311 - nothing is drawn
        names = [Line(0, f"group {number % max(1, lines // 10)}", f"model {number}") for number in range(lines)]

        def put(number: int, now: float, queue: FairQueue[int] = queue, names: list[Line] = names) -> None:
            queue.put(names[number % len(names)], number, now, now)

        costs.append(_timed(put, queue.take, decisions))
    return costs


def _timed(put: Callable[[int, float], object], take: Callable[[float], object], decisions: int) -> float:
    for number in range(_WAITING):
        put(number, 0.0)
    gc.collect()
    begun = process_time()
    for number in range(decisions):
        now = float(number)
        put(number, now)
        if take(now) is None:
            raise AssertionError("what waits can be taken")
    return (process_time() - begun) / decisions * 1e6
