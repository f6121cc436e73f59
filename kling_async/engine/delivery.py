"""From requests to files: jobs and their downloads overlap, and each is handed out once its file is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from attrs import frozen

from kling_async.errors import KlingError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from kling_async.engine.job import Job

__all__ = ["Courier", "Delivery"]


@frozen
class Delivery:
    """A job and its file, or why there is none.

    Attributes:
        job: The job, which has settled.
        path: Its file; None if there is none.
        error: Why there is none: the job's own failure, or that of the download. None if all went well.
    """

    job: Job
    path: Path | None = None
    error: KlingError | None = None

    def result(self) -> Path:
        """The file's path.

        Raises:
            KlingError: Why there is none.
        """
        if self.path is not None:
            return self.path
        raise self.error.with_traceback(None) if self.error is not None else AssertionError(repr(self))


class Courier:
    """Begins a download for each job, each in a task of its own, and leaves none behind."""

    def __init__(self, download: Callable[[Job], Awaitable[Path]]) -> None:
        self._download = download
        self._under_way: set[asyncio.Task[Delivery]] = set()

    def begin(self, job: Job) -> asyncio.Task[Delivery]:
        """Begin this job's download."""
        task = asyncio.get_running_loop().create_task(self._deliver(job), name=f"kling_async download {job.key}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _deliver(self, job: Job) -> Delivery:
        try:
            return Delivery(job, await self._download(job))
        except KlingError as error:
            return Delivery(job, error=error)

    async def hand_out(self, downloads: AsyncGenerator[asyncio.Task[Delivery], None]) -> AsyncGenerator[Delivery, None]:
        """Hand out deliveries as they come. However this is left, no download is under way any more."""
        try:
            async for download in downloads:
                yield download.result()
        finally:
            try:
                await downloads.aclose()
            finally:
                await self._give_up()

    async def _give_up(self) -> None:
        under_way = tuple(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
