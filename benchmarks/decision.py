"""What it costs to decide which of many pending generations is asked about next, and to learn from the answer."""

from __future__ import annotations

import gc
from random import Random
from time import process_time
from typing import TYPE_CHECKING

from attrs import frozen

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from kling_async import GenerationStatus, Polling
from kling_async.pacing.queues import PollQueue
from kling_async.pacing.tracking import DurationLearner

if TYPE_CHECKING:
    from benchmarks.figure import Size
    from kling_async.pacing.tracking import GenerationTracker

__all__ = ["measure"]

_MODEL = "klingai/v2.1-master-text-to-video"
_RATE = 200.0  # polls per second
_SPREAD = 600.0  # seconds over which the generations were accepted


def measure(size: Size) -> list[Figure]:
    """Microseconds of CPU per decision, and the longest step of a review in milliseconds, at each number of jobs."""
    figures: list[Figure] = []
    for jobs in size.decision_jobs:
        decision, step = fresh(_timed, jobs, size.decisions)
        figures += [
            Figure(f"CPU per decision, {jobs:,} pending", decision, None, "µs"),
            Figure(f"Longest step of a review, {jobs:,} pending", step, None, "ms"),
        ]
    return figures


@frozen(eq=False)
class _Pending:
    course: GenerationTracker


def _timed(jobs: int, decisions: int) -> tuple[float, float]:
    rng, polling = Random(1), Polling()  # noqa: S311 - to be drawn again
    learner, price = DurationLearner(polling.experience()), polling.price()
    rota: PollQueue[_Pending] = PollQueue(polling.asking(price), price)
    for _ in range(jobs):
        course = learner.track(_MODEL, 5, rng.uniform(-_SPREAD, 0.0))
        rota.put(course, _Pending(course))
    gc.collect()
    gc.disable()  # what a full collection costs is told apart, where stalls are measured
    longest = _review(rota, 0.0)
    begun, taken, now = process_time(), 0, 0.0
    while taken < decisions:
        now = max(now + 1.0 / _RATE, rota.next_at())
        pending = rota.take(now)
        if pending is None:
            continue
        taken += 1
        learner.running(pending.course, now, GenerationStatus.GENERATING, rng)
        rota.put(pending.course, pending)
    return (process_time() - begun) / decisions * 1e6, max(longest, _review(rota, now)) * 1e3


def _review(rota: PollQueue[_Pending], now: float) -> float:
    """Look at everybody once; returns the longest step, in seconds."""
    longest, done = 0.0, False
    while not done:
        begun = process_time()
        done = rota.review(now, _RATE)
        longest = max(longest, process_time() - begun)
    return longest
