"""A session's downloads: so many at once, counted, recorded, and told as events."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from attrs import frozen

from kling_async.api.labels import label_of
from kling_async.engine import events
from kling_async.errors import DownloadError, JournalError, KlingError, MalformedResponse, StorageError
from kling_async.files.download import Retries, download_file
from kling_async.files.names import safe_name, suffix_of
from kling_async.files.partial import has_content
from kling_async.files.video_names import free_path, name_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from random import Random

    from kling_async.api.results import Generation, Video
    from kling_async.engine.event_bus import EventBus
    from kling_async.engine.job import Job, JobEvent
    from kling_async.engine.stats import Counters
    from kling_async.engine.store import JobStore
    from kling_async.files.download import StoredFile
    from kling_async.transport.base import Transport

MAX_WAITING = 64
"""The most files that are not there yet for which `as_downloaded` waits without holding up others."""

_logger = logging.getLogger("kling_async.download")


@frozen
class Delivery:
    """A job and its file, or the error instead.

    Attributes:
        job: The job, which has settled.
        path: Its file; None with an error.
        error: The job's failure, or the download's; None with a file.
    """

    job: Job
    path: Path | None = None
    error: KlingError | None = None

    def result(self) -> Path:
        """Return the file's path.

        Raises:
            KlingError: The job's failure, or the download's.
        """
        if self.path is not None:
            return self.path
        raise self.error.with_traceback(None) if self.error is not None else AssertionError(repr(self))


class DownloadTasks:
    """Downloads each job's file in a task of its own, and leaves none running."""

    def __init__(self, download: Callable[[Job], Awaitable[Path]]) -> None:
        self._download = download
        self._tasks: set[asyncio.Task[Delivery]] = set()

    def begin(self, job: Job) -> asyncio.Task[Delivery]:
        """Begin a job's download."""
        task = asyncio.get_running_loop().create_task(self._deliver(job), name=f"kling_async download {job.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _deliver(self, job: Job) -> Delivery:
        try:
            return Delivery(job, await self._download(job))
        except KlingError as error:
            return Delivery(job, error=error)

    async def deliveries(self, ended: AsyncGenerator[asyncio.Task[Delivery], None]) -> AsyncGenerator[Delivery, None]:
        """Yield the results of downloads as they end. However this is left, no download runs any more."""
        try:
            async for download in ended:
                yield download.result()
        finally:
            try:
                await ended.aclose()
            finally:
                await self._cancel_all()

    async def _cancel_all(self) -> None:
        running = tuple(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Downloads:
    """Downloads files, at most ``at_once`` at any moment; the others wait in the order they came.

    A download that waits for its next try gives its slot to another. While files cannot be written, submits halt.
    """

    def __init__(
        self,
        transport: Transport,
        store: JobStore,
        bus: EventBus,
        counters: Counters,
        closing: asyncio.Event,
        *,
        at_once: int,
        give_up_after: float,
        fetch: Callable[[str], Awaitable[Generation]],
        check_open: Callable[[], object],
        rng: Random,
    ) -> None:
        self._transport = transport
        self._store = store
        self._bus = bus
        self._counters = counters
        self._closing = closing  # set once the session closes
        self.at_once = at_once
        self._slots = asyncio.Semaphore(at_once)
        self._places: dict[tuple[str, Path], Path] = {}
        self._taken: set[str] = set()  # folded
        self._give_up_after = give_up_after
        self._fetch = fetch  # asks the vendor about a generation
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
        """Download a video's file once a slot is free; return its path once it is complete.

        ``waiting`` is entered while it waits for its next try.

        Raises:
            DownloadError: It could not be fetched or not be written.
            SessionClosed: The session has ended meanwhile.
        """
        begun = False

        async def wait(seconds: float) -> None:
            with waiting():
                await self._wait(seconds)

        @asynccontextmanager
        async def slot() -> AsyncGenerator[None]:
            nonlocal begun
            async with self._slot():
                if not begun:
                    self._emit(job, events.Downloading, path=path)
                begun = True
                yield

        try:
            await self._download(video, path, job, progress, slot, wait)
        except BaseException as error:
            failure = error if isinstance(error, KlingError) else DownloadError(f"{path}: the download was given up")
            self._halt_submits(failure)
            if begun:
                self._emit(job, events.DownloadFailed, path=path, error=failure)
            raise
        return path

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        async with self._slots:
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
        slot: Callable[[], AbstractAsyncContextManager[None]],
        wait: Callable[[float], Awaitable[None]],
    ) -> None:
        async def record(stored: StoredFile) -> None:
            with suppress(JournalError):  # the file is worth more than its record
                await self._store.downloaded(video.generation_id, str(path), stored.size, stored.digest)

        def count(stored: StoredFile) -> None:
            self._counters.downloaded += 1
            self._counters.downloaded_bytes += stored.size
            self._emit(job, events.Downloaded, path=path, size=stored.size)
            self._resume_submits()

        # A journal that was pruned has no URLs.
        url = video.url if video.url or not video.generation_id else await self._fresh_url(video.generation_id)
        await download_file(
            self._transport,
            url,
            path,
            expected_size=video.file_size,
            refresh=partial(self._fresh_url, video.generation_id) if video.generation_id else None,
            progress=progress,
            retries=Retries(self._rng, self._give_up_after, wait),
            slot=slot,
            on_complete=record,
            on_stored=count,
        )

    def job_of(self, video: Video) -> Job | None:
        """Return the job whose events tell of a video's download, if anybody gets them."""
        record = self._store.find_record(video.generation_id)
        if record is None or not self._bus.is_watched(record.key):
            return None
        return self._store.find(record.key)

    async def is_there(self, video: Video, path: Path) -> bool:
        """Return whether a video's file was stored before, and is still what was written."""
        record = self._store.find_record(video.generation_id)
        if record is None or record.file_size is None:
            return False
        return await to_thread.run_sync(has_content, path, record.file_size, record.file_digest or "")

    def place(self, video: Video, folder: Path) -> Path:
        """Return the path in a folder for a video's file: named by its job, or by its id if that is not known here.

        A name that was asked for may be another file's: then it is numbered, the same for the same video.
        """
        record = self._store.find_record(video.generation_id)
        if record is None:
            return folder / safe_name(video.generation_id, video)
        key = record.key if record.request is not None else video.generation_id
        path = folder / name_of(record.request, key, record.tag, suffix_of(video))
        if label_of(record.tag).output is None:
            return path
        if record.file is not None and Path(record.file).absolute().is_relative_to(folder.absolute()):
            return Path(record.file)
        if (place := self._places.get((video.generation_id, folder))) is None:
            place = self._places[video.generation_id, folder] = free_path(path, self._taken)
        return place

    async def _fresh_url(self, generation_id: str) -> str:
        generation = await self._fetch(generation_id)
        if generation.video is None:
            raise MalformedResponse(f"the vendor no longer gives a url for generation {generation_id}")
        return generation.video.url

    def _halt_submits(self, error: KlingError) -> None:
        """Halt submits while the videos they buy could not be stored."""
        if isinstance(error, StorageError) and self._store.halted is None:
            self._store.halt(StorageError(f"nothing is bought while files cannot be written: {error}"))

    def _resume_submits(self) -> None:
        if self._store.lift_halt(StorageError):
            _logger.warning("files can be written again; submits go on")

    async def _wait(self, seconds: float) -> None:
        """Wait before another try; raise `SessionClosed` once the session has ended."""
        with anyio.move_on_after(seconds):
            await self._closing.wait()
        self._check_open()

    def _emit(self, job: Job | None, kind: type[JobEvent], **values: object) -> None:
        if job is not None:
            self._bus.emit(kind, job.key, job=job, **values)
