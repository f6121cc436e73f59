"""Files on their way to disk: so many at once, counted, told of and recorded."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import anyio

from kling_async.engine import events
from kling_async.engine.download import download_file
from kling_async.errors import DownloadError, KlingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from random import Random

    from kling_async.api.results import Video
    from kling_async.engine.download import Stored
    from kling_async.engine.engine import Engine
    from kling_async.engine.job import Job
    from kling_async.transport.base import Transport

__all__ = ["Downloads"]


class Downloads:
    """A session's downloads, at most ``at_once`` of them at any moment; the others wait in the order they came."""

    def __init__(
        self,
        transport: Transport,
        engine: Engine,
        *,
        at_once: int,
        fresh_url: Callable[[str], Awaitable[str]],
        check_open: Callable[[], object],
        rng: Random,
    ) -> None:
        self._transport = transport
        self._engine = engine
        self._turns = asyncio.Semaphore(at_once)
        self._fresh_url = fresh_url
        self._check_open = check_open
        self._rng = rng

    async def fetch(
        self, video: Video, path: Path, *, job: Job | None, progress: Callable[[int, int | None], object] | None
    ) -> Path:
        """Fetch a video's file when its turn comes; returns its path once it is there whole.

        Raises:
            DownloadError: It could not be had, or not be written.
            SessionClosed: The session has ended meanwhile.
        """
        async with self._turns:
            self._check_open()
            self._engine.tally.downloading += 1
            self._tell(job, lambda at, job: events.Downloading(at, job, path))
            try:
                await self._store(video, path, job, progress)
            except BaseException as error:
                told = error if isinstance(error, KlingError) else DownloadError(f"{path}: the download was given up")
                self._tell(job, lambda at, job: events.DownloadFailed(at, job, path, told))
                raise
            finally:
                self._engine.tally.downloading -= 1
        return path

    async def _store(
        self, video: Video, path: Path, job: Job | None, progress: Callable[[int, int | None], object] | None
    ) -> None:
        def record(stored: Stored) -> None:
            self._engine.roster.downloaded(video.generation_id, str(path), stored.size, stored.digest)
            self._engine.tally.downloaded += 1
            self._engine.tally.downloaded_bytes += stored.size
            self._tell(job, lambda at, job: events.Downloaded(at, job, path, stored.size))

        await download_file(
            self._transport,
            video.url,
            path,
            expected_size=video.file_size,
            refresh=partial(self._fresh_url, video.generation_id) if video.generation_id else None,
            progress=progress,
            rng=self._rng,
            sleep=self._pause,
            stored=record,
        )

    async def _pause(self, seconds: float) -> None:
        """Wait before another try, which there is none once the session has ended."""
        self._check_open()
        await anyio.sleep(seconds)
        self._check_open()

    def _tell(self, job: Job | None, make: Callable[[float, Job], events.Event]) -> None:
        if job is not None:
            self._engine.events.emit(lambda at: make(at, job))
