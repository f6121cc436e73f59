"""A shared journal: how long a new leader takes, and how soon others know what it knows."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from benchmarks.instant_vendor import InstantVendor
from benchmarks.journal import LATER, UNLIMITED, Place, fill
from benchmarks.stall import Watcher
from kling_async import HttpResponse, KlingSession, Polling, TextToVideo

if TYPE_CHECKING:
    from benchmarks.figure import Size
    from kling_async import HttpRequest

__all__ = ["figures", "measure"]

_SPREAD = 0.2  # seconds between those: a file takes some hundred commits a second, and each job several


class _Finishing(InstantVendor):
    """Finishes a generation with its first poll, and knows when it said so."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, float] = {}

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer, a poll with the video."""
        answer = await super().send(request)
        body = json.loads(answer.body)
        if body["status"] != "generating":
            return answer
        self.told[body["id"]] = perf_counter()
        body |= {"status": "completed", "video": {"url": "https://cdn.example/video.mp4"}}
        return HttpResponse(200, {}, json.dumps(body).encode())


def measure(size: Size) -> list[Figure]:
    """Times in seconds and milliseconds, on a file in SQLite."""
    with TemporaryDirectory(prefix="sharing-") as folder:
        return figures(size, Path(folder, "large.db"), Path(folder, "small.db"), "SQLite")


def figures(size: Size, large: Place, small: Place, kind: str) -> list[Figure]:
    """The same for two journals of any kind."""
    fresh(fill, large, size.opened_jobs)
    taken, busy, stall = fresh(_take_over, large)
    released = fresh(_release, small)
    noticed = fresh(_notice, small, size.noticed_jobs)
    name = f"{size.opened_jobs:,} open jobs taken over, {kind}"
    return [
        Figure(name, taken, 5.0, "s", {"processor_s": busy}),
        Figure(f"Longest stall of the loop while {name}", stall, 100.0, "ms"),
        Figure(f"From a release to the next leader, {kind}", released, 1.0, "s"),
        Figure(f"What watching adds to a follower's notice, median, {kind}", noticed, 50.0, "ms"),
    ]


def _member(path: Place, vendor: InstantVendor, polling: Polling) -> KlingSession:
    return KlingSession(transport=vendor, journal=path, shared=True, polling=polling, limits=UNLIMITED)


async def _led(kling: KlingSession) -> float:
    while not kling.is_leader:  # noqa: ASYNC110 - an event would come no sooner, and this looks at the clock as well
        await asyncio.sleep(0.001)
    return perf_counter()


def _take_over(path: Place) -> tuple[float, float, float]:
    return asyncio.run(_taken(path))


async def _taken(path: Place) -> tuple[float, float, float]:
    """The seconds until what is open is worked on, those of the processor, and the longest stall in milliseconds.

    Full collections are left out of the stall.
    """
    async with _member(path, InstantVendor(), LATER) as kling:
        watcher, begun, used = Watcher(asyncio.get_running_loop()), perf_counter(), process_time()
        gc.callbacks.append(watcher.collection)
        watcher.look()
        seconds = await _led(kling) - begun
        gc.callbacks.remove(watcher.collection)
        return seconds, process_time() - used, 1e3 * max(gap.wall for gap in watcher.gaps)


def _release(path: Place) -> float:
    return asyncio.run(_released(path))


async def _released(path: Place) -> float:
    async with _member(path, InstantVendor(), LATER) as second:
        async with _member(path, InstantVendor(), LATER) as first:
            while not first.is_leader:  # the one that is to leave
                if second.is_leader:
                    return await _released_by(second, first)
                await asyncio.sleep(0.001)
            begun = perf_counter()
        return await _led(second) - begun


async def _released_by(leader: KlingSession, other: KlingSession) -> float:
    begun = perf_counter()
    await leader.aclose()
    return await _led(other) - begun


def _notice(path: Place, jobs: int) -> float:
    return asyncio.run(_noticed(path, jobs))


async def _noticed(path: Place, jobs: int) -> float:
    """The median of the milliseconds from the answer of a job's last poll to its caller, in a session that follows."""
    vendor, delays = _Finishing(), list[float]()
    async with _member(path, vendor, Polling.fixed(0.1, jitter=0.2)) as leader:
        await _led(leader)
        async with _member(path, vendor, Polling.fixed(0.1)) as follower:

            async def follow(number: int) -> None:
                video = await follower.submit(TextToVideo(f"a white raccoon, take {number}"))
                delays.append(perf_counter() - vendor.told[video.generation_id])

            async with asyncio.TaskGroup() as group:
                for number in range(jobs):
                    group.create_task(follow(number))
                    await asyncio.sleep(_SPREAD)
    return 1e3 * median(delays)
