r"""Metrics for Prometheus, made of a session's events and numbers, and served beside its work.

The text format is simple enough to write by hand. Run it with an AI/ML API key in AIMLAPI_API_KEY::

    printf '%s\n' "a fox in the snow" "a lighthouse in a storm" | python examples/metrics.py videos 9000
    curl localhost:9000/metrics
"""

import asyncio
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from aiohttp import web

from kling_async import (
    Accepted,
    Completed,
    Event,
    Failed,
    Interrupted,
    Job,
    KlingSession,
    Stats,
    Subscription,
    TextToVideo,
)

FORMAT = {"Content-Type": "text/plain; version=0.0.4"}
BOUNDS = (15, 30, 60, 120, 240, 480, 960)  # of generation times, in seconds


class Metrics:
    """What has happened so far, in numbers fit for Prometheus."""

    def __init__(self) -> None:
        self._events: Counter[str] = Counter()
        self._accepted_at: dict[Job, float] = {}
        self._slots = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    async def follow(self, events: Subscription[Event]) -> None:
        """Count until the session closes."""
        async for event in events:
            self.count(event)

    def count(self, event: Event) -> None:
        """Count one event."""
        self._events[type(event).__name__] += 1
        match event:
            case Accepted(at=at, job=job):
                self._accepted_at[job] = at
            case Completed(at=at, job=job) if job in self._accepted_at:
                seconds = at - self._accepted_at.pop(job)
                self._seconds += seconds
                self._slots[bisect_left(BOUNDS, seconds)] += 1
            case Failed(job=job) | Interrupted(job=job):
                self._accepted_at.pop(job, None)
            case _:
                pass

    def exposition(self, stats: Stats) -> str:
        """Everything in Prometheus's text format, version 0.0.4."""
        return "".join(f"{line}\n" for line in self._lines(stats))

    def _lines(self, stats: Stats) -> Iterator[str]:
        yield "# HELP kling_events_total What happened to jobs, by kind."
        yield "# TYPE kling_events_total counter"
        for name, count in sorted(self._events.items()):
            yield f'kling_events_total{{event="{name}"}} {count}'
        yield "# HELP kling_jobs Open jobs, by state."
        yield "# TYPE kling_jobs gauge"
        for state in ("queued", "submitting", "pending", "uncertain"):
            yield f'kling_jobs{{state="{state}"}} {getattr(stats, state)}'
        yield "# HELP kling_downloaded_bytes_total The bytes of files that came in whole."
        yield "# TYPE kling_downloaded_bytes_total counter"
        yield f"kling_downloaded_bytes_total {stats.downloaded_bytes}"
        yield "# HELP kling_generation_seconds From acceptance until the video was there."
        yield "# TYPE kling_generation_seconds histogram"
        yield from self._histogram()

    def _histogram(self) -> Iterator[str]:
        total = 0
        for bound, count in zip((*BOUNDS, "+Inf"), self._slots, strict=True):
            total += count
            yield f'kling_generation_seconds_bucket{{le="{bound}"}} {total}'
        yield f"kling_generation_seconds_sum {self._seconds}"
        yield f"kling_generation_seconds_count {total}"


async def serve(metrics: Metrics, kling: KlingSession, port: int) -> web.AppRunner:
    """Answer ``GET /metrics`` until cleaned up."""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=metrics.exposition(kling.stats()), headers=FORMAT)

    app = web.Application()
    app.router.add_get("/metrics", show)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def main(session: KlingSession, folder: str, port: int, prompts: Iterable[str] = ()) -> str:
    """Make a video of every prompt, with metrics meanwhile; returns what they were in the end."""
    metrics = Metrics()
    async with session as kling:
        counting = asyncio.create_task(metrics.follow(kling.subscribe()))
        runner = await serve(metrics, kling, port)
        try:
            async for delivery in kling.as_downloaded(map(TextToVideo, prompts), into=folder):
                print(delivery.path or delivery.error)
        finally:
            await runner.cleanup()
    await counting
    return metrics.exposition(kling.stats())


if __name__ == "__main__":
    lines = filter(None, map(str.strip, sys.stdin))
    print(asyncio.run(main(KlingSession(), sys.argv[1], int(sys.argv[2]), lines)))
