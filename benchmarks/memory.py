"""Bytes per pending job, beyond the request objects the caller made."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from benchmarks.instant_vendor import InstantVendor
from kling_async import KlingSession, Limits, Polling, TextToVideo

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.figure import Size

__all__ = ["measure"]

_STATM = Path("/proc/self/statm")
_WARM = 100  # jobs before the first look: what is made once is not counted
_LOOK = 0.02  # seconds between looks at how far the submits are
_TARGET = 1500.0


def measure(size: Size) -> list[Figure]:
    """Resident bytes per job for each number of jobs; where the system does not tell, only what the allocator says."""
    allocated = fresh(_traced, size.traced_jobs)
    raw = {"allocated_bytes": allocated, "allocated_jobs": size.traced_jobs}
    if not _STATM.exists():
        return [Figure(f"Allocated bytes per job, {size.traced_jobs:,} pending", allocated, _TARGET, "B", raw)]
    return [
        Figure(f"Resident bytes per job, {jobs:,} pending", fresh(_resident, jobs), _TARGET, "B", raw)
        for jobs in size.memory_jobs
    ]


def _resident(jobs: int) -> float:
    return asyncio.run(_per_job(jobs, _resident_bytes))


def _traced(jobs: int) -> float:
    tracemalloc.start()
    try:
        return asyncio.run(_per_job(jobs, lambda: tracemalloc.get_traced_memory()[0]))
    finally:
        tracemalloc.stop()


def _resident_bytes() -> int:
    return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _per_job(jobs: int, used: Callable[[], int]) -> float:
    """Return the bytes used per job once all are pending, the caller's list of them included."""
    requests = [TextToVideo(f"a white raccoon in a sequoia forest, take {number}") for number in range(jobs + _WARM)]
    limits = Limits(requests_per_second=math.inf, max_in_flight=len(requests))
    # Generations are expected to take long enough that none is polled meanwhile.
    async with KlingSession(transport=InstantVendor(), limits=limits, polling=Polling().at_speed(1e-3)) as kling:
        warm = [kling.submit(request) for request in requests[:_WARM]]
        await _pending(kling, len(warm))
        gc.collect()
        before = used()
        kept = [kling.submit(request) for request in requests[_WARM:]]
        await _pending(kling, len(requests))
        gc.collect()
        return (used() - before) / len(kept)


async def _pending(kling: KlingSession, jobs: int) -> None:
    """Return once that many jobs are pending."""
    while kling.stats().pending < jobs:  # noqa: ASYNC110 - waiters would take up what is being measured
        await asyncio.sleep(_LOOK)
