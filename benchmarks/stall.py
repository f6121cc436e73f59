"""The longest time the event loop hears nothing else, with many jobs pending and polling going on."""

from __future__ import annotations

import asyncio
import gc
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from benchmarks.instant_vendor import InstantVendor
from kling_async import KlingSession, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.figure import Size

__all__ = ["Watcher", "measure"]

_RATE = 200.0  # polls per second
_LATENCY = 0.05  # seconds an answer takes
_TICK = 0.001  # seconds between looks at the clock
_OLDEST = 2  # the generation of a full garbage collection
_FAR = 0.999


@frozen
class _Span:
    """A stretch of time, in seconds, on the wall's clock and on this thread's processor clock."""

    wall: float = 0.0
    busy: float = 0.0

    def __sub__(self, other: _Span) -> _Span:
        return _Span(self.wall - other.wall, self.busy - other.busy)

    def __add__(self, other: _Span) -> _Span:
        return _Span(self.wall + other.wall, self.busy + other.busy)


def _now() -> _Span:
    return _Span(perf_counter(), thread_time())


@define
class Watcher:
    """Looks at the clock every millisecond, and keeps what went by between looks, full collections taken out.

    A look that comes late on the wall's clock alone was held up by the machine; the processor's clock tells what this
    thread itself was busy with.
    """

    _loop: asyncio.AbstractEventLoop
    gaps: list[_Span] = field(factory=list["_Span"])
    collections: list[_Span] = field(factory=list["_Span"])
    _seen: _Span = field(factory=_now)
    _collecting: _Span = field(factory=_Span)  # when the full collection under way began
    _collected: _Span = field(factory=_Span)  # full collections since the last look

    def look(self) -> None:
        """Look, and again after a millisecond."""
        now = _now()
        self.gaps.append(now - self._seen - self._collected - _Span(wall=_TICK))
        self._seen, self._collected = now, _Span()
        self._loop.call_later(_TICK, self.look)

    def collection(self, phase: str, info: Mapping[str, int]) -> None:
        """Record a garbage collection; called by ``gc.callbacks``."""
        if info["generation"] != _OLDEST:
            return
        if phase == "start":
            self._collecting = _now()
        else:
            self.collections.append(_now() - self._collecting)
            self._collected += self.collections[-1]


def measure(size: Size) -> list[Figure]:
    """For how long this thread was busy between two looks, in milliseconds, with the wall's clock beside it."""
    longest, raw = fresh(_watched, size.stall_jobs, size.stall_seconds)
    return [
        Figure(f"Longest stall of the loop, {size.stall_jobs:,} pending", longest, 20.0, "ms", raw),
        Figure(f"Stall of the loop, p99.9, {size.stall_jobs:,} pending", raw["busy_p999_ms"], 10.0, "ms", raw),
    ]


def _watched(jobs: int, seconds: float) -> tuple[float, dict[str, float]]:
    return asyncio.run(_active_of(jobs, seconds))


async def _active_of(jobs: int, seconds: float) -> tuple[float, dict[str, float]]:
    limits = Limits(requests_per_second=_RATE, max_in_flight=jobs)
    async with KlingSession(transport=InstantVendor(_LATENCY), limits=limits) as kling:
        for number in range(jobs):
            kling.resume(f"{number:032x}:kling-video/v2.1/master/text-to-video")
        await asyncio.sleep(2 * _LATENCY)
        gc.collect()
        watcher, before = Watcher(asyncio.get_running_loop()), kling.stats().polls
        gc.callbacks.append(watcher.collection)
        watcher.look()
        await asyncio.sleep(seconds)
        gaps, polls = watcher.gaps[1:], kling.stats().polls - before
        gc.collect()
        gc.callbacks.remove(watcher.collection)
    return _figures(gaps, watcher.collections, polls / seconds)


def _figures(gaps: list[_Span], collections: list[_Span], rate: float) -> tuple[float, dict[str, float]]:
    busy, wall = (sorted(side) for side in zip(*((gap.busy, gap.wall) for gap in gaps), strict=True))
    far = int(len(gaps) * _FAR)
    raw = {
        "busy_p999_ms": busy[far],
        "wall_max_ms": wall[-1],
        "wall_p999_ms": wall[far],
        "full_gc_max_ms": max(pause.busy for pause in collections),
    }
    return busy[-1] * 1e3, {name: seconds * 1e3 for name, seconds in raw.items()} | {
        "full_gcs": len(collections) - 1,  # the last was asked for, so that there is one
        "looks": len(gaps),
        "polls_per_s": rate,
    }
