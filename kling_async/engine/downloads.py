"""Files on their way to disk: so many at once, counted, told of and recorded."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
from attrs import frozen

from kling_async.engine import events
from kling_async.errors import DownloadError, KlingError, StorageError
from kling_async.files.download import Retries, download_file

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path
    from random import Random

    from kling_async.api.results import Video
    from kling_async.engine.job import Job
    from kling_async.engine.stats import Counters
    from kling_async.engine.store import JobStore
    from kling_async.files.download import Stored
    from kling_async.transport.base import Transport

__all__ = ["AHEAD", "Delivery", "DownloadTasks", "Downloads"]

AHEAD = 64
"""How many files that are not there yet `as_downloaded` waits for, at most, without holding up others."""

_logger = logging.getLogger("kling_async.download")


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


class DownloadTasks:
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


class Downloads:
    """A session's downloads, at most ``at_once`` of them at any moment; the others wait in the order they came.

    One that waits before another try lets others have its turn. While files cannot be written, nothing more is bought.
    """

    def __init__(
        self,
        transport: Transport,
        store: JobStore,
        bus: events.EventBus,
        counters: Counters,
        closing: asyncio.Event,
        *,
        at_once: int,
        give_up_after: float,
        fresh_url: Callable[[str], Awaitable[str]],
        check_open: Callable[[], object],
        rng: Random,
    ) -> None:
        self._transport = transport
        self._store = store
        self._bus = bus
        self._counters = counters
        self._closing = closing  # set once the session closes
        self._turns = asyncio.Semaphore(at_once)
        self._give_up_after = give_up_after
        self._fresh_url = fresh_url
        self._check_open = check_open
        self._rng = rng

    async def fetch(
        self,
        video: Video,
        path: Path,
        *,
        job: Job | None,
        progress: Callable[[int, int | None], object] | None,
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> Path:
        """Fetch a video's file when its turn comes; returns its path once it is there whole.

        ``waiting`` is entered while it waits for another try.

        Raises:
            DownloadError: It could not be had, or not be written.
            SessionClosed: The session has ended meanwhile.
        """
        begun = False

        async def pause(seconds: float) -> None:
            with waiting():
                await self._pause(seconds)

        @asynccontextmanager
        async def turn() -> AsyncGenerator[None]:
            nonlocal begun
            async with self._turn():
                if not begun:
                    self._tell(job, lambda at, job: events.Downloading(at, job, path))
                begun = True
                yield

        try:
            await self._download(video, path, job, progress, turn, pause)
        except BaseException as error:
            told = error if isinstance(error, KlingError) else DownloadError(f"{path}: the download was given up")
            self._hold_submits(told)
            if begun:
                self._tell(job, lambda at, job: events.DownloadFailed(at, job, path, told))
            raise
        return path

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        async with self._turns:
            self._check_open()
            self._counters.downloading += 1
            try:
                yield
            finally:
                self._counters.downloading -= 1

    async def _download(
        self,
        video: Video,
        path: Path,
        job: Job | None,
        progress: Callable[[int, int | None], object] | None,
        turn: Callable[[], AbstractAsyncContextManager[None]],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        def record(stored: Stored) -> None:
            self._store.downloaded(video.generation_id, str(path), stored.size, stored.digest)
            self._counters.downloaded += 1
            self._counters.downloaded_bytes += stored.size
            self._tell(job, lambda at, job: events.Downloaded(at, job, path, stored.size))
            self._go_on_submitting()

        await download_file(
            self._transport,
            video.url,
            path,
            expected_size=video.file_size,
            refresh=partial(self._fresh_url, video.generation_id) if video.generation_id else None,
            progress=progress,
            retries=Retries(self._rng, self._give_up_after, pause),
            turn=turn,
            stored=record,
        )

    def _hold_submits(self, error: KlingError) -> None:
        """Buy nothing more while what it makes could not be stored."""
        if isinstance(error, StorageError) and self._store.halted is None:
            self._store.halt(StorageError(f"nothing is bought while files cannot be written: {error}"))

    def _go_on_submitting(self) -> None:
        if self._store.lift_halt(StorageError):
            _logger.warning("files can be written again; submits go on")

    async def _pause(self, seconds: float) -> None:
        """Wait before another try, which there is none once the session has ended."""
        with anyio.move_on_after(seconds):
            await self._closing.wait()
        self._check_open()

    def _tell(self, job: Job | None, make: Callable[[float, Job], events.Event]) -> None:
        if job is not None:
            self._bus.emit(lambda at: make(at, job))
