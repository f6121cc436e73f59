"""The calls of a session that download videos' files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kling_async.api.arguments import PATH, check_callable, refused
from kling_async.api.reprs import show
from kling_async.api.results import Video
from kling_async.engine.as_completed import Window
from kling_async.engine.job import Job
from kling_async.job_calls import JobCalls

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
    from contextlib import AbstractContextManager

    from kling_async.api.requests import Request
    from kling_async.api.requests.base import Submission
    from kling_async.engine.downloads import Delivery


class FileCalls(JobCalls):
    """The part of `KlingSession` that is about files."""

    async def download(
        self,
        video: Video | Job,
        path: str | os.PathLike[str] | None = None,
        *,
        into: str | os.PathLike[str] | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Path:
        """Fetch a video's file, and return its path once the file is there whole.

        The file grows in a hidden partial file beside its path, which one download among all processes may write, and
        is renamed at the end; that replaces a file which was there at the beginning, and none that has appeared since.
        A file that is not there yet, and errors on the way, are retried from where the file broke off until nothing new
        has come for ``Timeouts.download``; an expired URL is asked for anew. At most ``Limits.max_downloads`` files
        come in at once; one that waits for its next try lets others go first.

        Args:
            video: The video, or its job, which is awaited.
            path: The file to write. Missing folders are made.
            into: The folder to write to, instead, under a name that the prompt and the job's key make, or that its tag
                asks for (see `from_row`); for what this session's journal does not know, under the generation's id. One
                of the two is needed.
            progress: Called with the bytes there are so far, and the file's size if known. What it raises ends it.

        Raises:
            DownloadError: The file could not be fetched or not be written; nothing was left under its name. Where it
                is ``retryable``, another download may bring it.
            StorageError: No file can be written. Submits stop until one is, or until `resume_submissions`.
            KlingError: The job's own failure.
            InvalidRequest: An argument cannot be used, or neither or both of ``path`` and ``into`` were given.
            SessionClosed: The session has not been entered, or has ended.
        """
        return await self._download(video, path, into, progress, nullcontext)

    async def _download(
        self,
        video: Video | Job,
        path: str | os.PathLike[str] | None,
        into: str | os.PathLike[str] | None,
        progress: Callable[[int, int | None], object] | None,
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> Path:
        engine = self._running_engine()
        if not isinstance(video, Video | Job):
            raise refused("video", video, "a video or a job")
        _check_place(path, into)
        if path is not None:
            PATH.check("path", path)
        check_callable("progress", progress, "a function of the bytes there are and the size, or None")
        job = video if isinstance(video, Job) else engine.downloads.job_of(video)
        video = await video if isinstance(video, Job) else video
        target = Path(path) if path is not None else engine.downloads.place(video, Path(into or ""))
        return await engine.downloads.fetch(video, target, job=job, progress=progress, waiting=waiting)

    def as_downloaded(
        self,
        source: Iterable[Request | Submission | Job] | AsyncIterable[Request | Submission | Job],
        *,
        path: Callable[[Job], str | os.PathLike[str]] | None = None,
        into: str | os.PathLike[str] | None = None,
        max_in_flight: int | None = None,
    ) -> AsyncGenerator[Delivery, None]:
        """Yield the jobs of a source with their files, in the order in which these are complete, failures included.

        As `as_completed`, with files, which are not fetched again if they are there with the size and SHA-256 that the
        journal has: up to ``Limits.max_downloads`` of them come in at once while other jobs go on,
        and up to 64 that are not there yet wait beside those. A consumer that takes no deliveries holds up the
        downloads, and in the end the source. Leaving early cancels the downloads under way, each of which can be
        resumed later, and leaves no task behind. While files cannot be written nothing is bought: waiting jobs come
        out with `StorageError`, and stay queued.

        Args:
            source: As for `as_completed`.
            path: Called for each job's file path, once the job has its video.
            into: The folder to write to, instead, under names as `download` makes them. One of the two is needed.
            max_in_flight: The most jobs from being read to their download; by default ``Limits.max_in_flight``.

        Raises:
            Exception: The source's own error, after every job read before it has been handed out; or one of ``path``.
            InvalidRequest: An argument cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        from kling_async.engine.downloads import MAX_WAITING, DownloadTasks  # noqa: PLC0415 - few programs need it

        _check_place(path, into)
        check_callable("path", path, "a function that gives a job's path")
        engine = self._running_engine()
        window = Window(engine.downloads.at_once, MAX_WAITING)

        async def download(job: Job) -> Path:
            video = job.result()
            named = engine.downloads.place(video, Path(into or "")) if path is None else path(job)
            PATH.check("path", named)
            if await engine.downloads.is_there(video, Path(named)):
                return Path(named)
            return await self._download(job, named, None, None, window.waiting)

        tasks = DownloadTasks(download)
        jobs = self.as_completed(source, max_in_flight=max_in_flight)
        return tasks.deliveries(engine.as_completed(jobs, tasks.begin, window))


def _check_place(path: object, into: object) -> None:
    if path is None and into is None:
        raise refused("path", None, "a path, or else into a folder")
    if path is not None and into is not None:
        raise refused("into", into, f"nothing beside path ({show(path)}): one of the two")
    if into is not None:
        PATH.check("into", into)
