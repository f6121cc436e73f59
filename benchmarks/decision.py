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
    tracker: GenerationTracker


def _timed(jobs: int, decisions: int) -> tuple[float, float]:
    rng, polling = Random(1), Polling()  # noqa: S311 - to be drawn again
    learner, price = DurationLearner(polling.duration_models()), polling.poll_cost()
    poll_queue: PollQueue[_Pending] = PollQueue(polling.make_schedule(price), price)
    for _ in range(jobs):
        tracker = learner.track(_MODEL, 5, rng.uniform(-_SPREAD, 0.0))
        poll_queue.put(tracker, _Pending(tracker))
    gc.collect()
    gc.disable()  # what a full collection costs is told apart, where stalls are measured
    longest = _review(poll_queue, 0.0)
    begun, taken, now = process_time(), 0, 0.0
    while taken < decisions:
        now = max(now + 1.0 / _RATE, poll_queue.next_at())
        pending = poll_queue.take(now)
        if pending is None:
            continue
        taken += 1
        learner.running(pending.tracker, now, GenerationStatus.GENERATING, rng)
        poll_queue.put(pending.tracker, pending)
    return (process_time() - begun) / decisions * 1e6, max(longest, _review(poll_queue, now)) * 1e3


def _review(poll_queue: PollQueue[_Pending], now: float) -> float:
    """Look at everybody once; returns the longest step, in seconds."""
    longest, done = 0.0, False
    while not done:
        begun = process_time()
        done = poll_queue.review(now, _RATE)
        longest = max(longest, process_time() - begun)
    return longest
