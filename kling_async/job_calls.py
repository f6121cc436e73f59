"""The calls of a session about its jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from attrs import asdict

from kling_async.api.arguments import COUNT, ENDPOINT, GROUP, ID, KEY, PRIORITY, deadline_seconds, refused
from kling_async.api.protocol import UNIVERSAL
from kling_async.api.requests import Request
from kling_async.api.requests.base import Submission
from kling_async.engine.as_completed import Window
from kling_async.engine.identity import record_of_generation
from kling_async.engine.job import Job
from kling_async.errors import InvalidRequest
from kling_async.files.uploads import with_absolute_paths
from kling_async.journal.token import is_token, read_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
    from datetime import timedelta

    from kling_async.engine.engine import Engine
    from kling_async.journal.base import Journal, Record
    from kling_async.journal.shared import SharedJournal
    from kling_async.settings import Limits


class JobCalls(ABC):
    """The part of `KlingSession` that is about jobs."""

    _limits: Limits
    _journal: Journal
    _shared: SharedJournal | None  # the journal, if sessions share it
    _engine: Engine | None  # None until the session is entered

    @abstractmethod
    def _running_engine(self) -> Engine:
        """Return the engine of the open session.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
            ConfigurationError: The caller is in another thread or event loop.
        """

    def submit(
        self,
        request: Request | Submission,
        *,
        tag: object = None,
        key: str | None = None,
        deadline: float | timedelta | None = None,
        priority: int = 0,
        group: str | None = None,
        retry_failed: bool | Literal["all"] = False,
    ) -> Job:
        """Queue a request, and return its job at once. Nothing is sent unless the request is valid.

        Submits wait in lines, one for each priority, group and model. The highest priority goes first; groups of one
        priority take turns, and within a group its models; in a line, who came first goes first.

        Args:
            request: The request. The beginnings of files given by path are checked now; the files are read when their
                job is submitted. A key's request is compared by files' absolute paths, and by given bytes' contents
                (hashing them takes a millisecond for every megabyte or two). A file that cannot be sent by then settles
                the job with `InvalidRequest`; nothing is bought, and the job stays queued under its key. A `Submission`
                brings its own arguments along; what is given here counts before those.
            tag: A label of the caller's own, available as ``job.tag``.
            key: The job's identity, 1 to 110 characters of ``A-Za-z0-9._:-``; by default a random one. The same key
                with the same request is the same job: nothing is bought again, and its state or outcome is there at
                once. Without a durable journal, this holds within this session.
            deadline: The time to wait for the video, from now, in seconds or as a ``timedelta``, including the time in
                the queue. ``Timeouts.generation`` holds as well.
            priority: A whole number from -1000 to 1000. A priority that was not served for 10 min counts as one higher,
                after 20 min as two, and so on, so that no job waits for ever. Polls have none.
            group: On whose behalf it is, such as a user; jobs without one are a group of their own.
            retry_failed: Whether a key whose generation has failed, uncharged, is bought again, once with each call;
                otherwise its failure is its outcome. Not one whose content was refused, and no refused submit, unless
                this is ``"all"``.

        Raises:
            InvalidRequest: An argument cannot be used, the key is another request's, or no journal can keep the tag.
            JournalError: The journal cannot be read.
            SessionClosed: The session has not been entered, or has ended.
            ConfigurationError: Called from another thread or event loop than the session's.
        """
        engine = self._running_engine()
        if isinstance(request, Submission):
            beside = Submission(request.request, tag=tag, key=key, deadline=deadline, priority=priority, group=group)
            arguments = asdict(request, recurse=False) | asdict(
                beside, recurse=False, filter=lambda part, given: given is not part.default
            )
            return self.submit(**arguments, retry_failed=retry_failed)
        if not isinstance(request, Request):
            raise refused("request", request, "a request, such as TextToVideo(...)")
        request.check()
        KEY.check("key", key)
        PRIORITY.check("priority", priority)
        GROUP.check("group", group)
        if not isinstance(retry_failed, bool) and retry_failed != "all":
            raise refused("retry_failed", retry_failed, 'True, False or "all"')
        request = with_absolute_paths(request)
        return engine.store.submit(
            request,
            deadline=deadline_seconds(deadline),
            key=key,
            tag=tag,
            priority=priority,
            group=group,
            retry_failed=retry_failed,
        )

    def resume(
        self,
        generation_id: str,
        *,
        tag: object = None,
        key: str | None = None,
        deadline: float | timedelta | None = None,
        endpoint: str = UNIVERSAL,
    ) -> Job:
        """Watch a generation that was bought already, by any program, and return its job at once.

        Args:
            generation_id: The vendor's id, or a token from `Job.token`. If this session or its journal knows the job,
                that job is returned, with its outcome if it has one. The job of a token without an id is searched for
                in the account's log, and never submitted.
            tag: As for `submit`.
            key: As for `submit`; a token brings its own. If the key's job may have been bought and has no id, as after
                `SubmissionUncertain`, it continues with this generation.
            deadline: As for `submit`; ``Timeouts.generation`` counts from now.
            endpoint: The endpoint it was submitted to, universal or legacy.

        Raises:
            InvalidRequest: An argument cannot be used, or the key or the generation stands for something else.
            SessionClosed: The session has not been entered, or has ended.
            ConfigurationError: Called from another thread or event loop than the session's.
        """
        engine = self._running_engine()
        ID.check("generation_id", generation_id)
        ENDPOINT.check("endpoint", endpoint)
        KEY.check("key", key)
        limit = deadline_seconds(deadline)
        if is_token(generation_id):
            record = read_token(generation_id)
            KEY.check("key", key := record.key)
        else:
            record = record_of_generation(generation_id, endpoint=endpoint, key=key, now=engine.store.clock.wall())
        return engine.store.resume(record, key=key, tag=tag, deadline=limit)

    def as_completed(
        self,
        source: Iterable[Request | Submission | Job] | AsyncIterable[Request | Submission | Job],
        *,
        max_in_flight: int | None = None,
    ) -> AsyncGenerator[Job, None]:
        """Yield the jobs of a source of requests, submissions and jobs as they settle, failures included.

        The source is read only so far ahead, so it may be endless, and is closed however the iteration ends. Requests
        are submitted as they are read; what cannot be submitted, whatever it is, comes out as a job that has settled
        with `InvalidRequest`. Leaving early leaves no task behind; jobs that were begun go on, and are in `pending`.

        Args:
            source: An iterable or an async iterable.
            max_in_flight: The most jobs from being read to being handed out; by default ``Limits.max_in_flight``.

        Raises:
            Exception: The source's own error, after every job read before it has been handed out.
            InvalidRequest: An argument cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        most = self._limits.max_in_flight if max_in_flight is None else max_in_flight
        COUNT.check("max_in_flight", most)
        return self._running_engine().as_completed(source, self._as_job, Window(most))

    def _as_job(self, item: Request | Submission | Job) -> Job:
        if isinstance(item, Job):
            return item
        given = item if isinstance(item, Submission) else Submission(item)
        try:
            return self.submit(given)
        except InvalidRequest as error:
            request = given.request if isinstance(given.request, Request) else None
            return self._running_engine().store.invalid(request, given.tag, error)

    async def drain(self) -> None:
        """Wait until no job is open, including those submitted meanwhile."""
        if self._engine is not None:
            await self._engine.store.idle()

    @property
    def pending(self) -> tuple[Job, ...]:
        """The jobs that have not settled, in the order they came."""
        return () if self._engine is None else tuple(self._engine.store.open.values())

    def history(self) -> AsyncIterator[Record]:
        """Yield the journal's record of every job, finished ones included, in the order they were queued.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
            JournalError: From the iteration: it cannot be read.
        """
        self._running_engine()
        return (self._shared or self._journal).history()

    def find(self, key: str) -> Job | None:
        """Return the job of a key, open or with its recorded outcome.

        None if the key is not known, or if its job has settled here although its generation's life goes on, as after
        `DeadlineExceeded`; submitting the key again continues it.

        Raises:
            InvalidRequest: There can be no such key.
            JournalError: The journal cannot be read.
            SessionClosed: The session has not been entered, or has ended.
        """
        engine = self._running_engine()
        if key is None:
            raise refused("key", key, "the key of a job")
        KEY.check("key", key)
        return engine.store.find(key)

    def resume_submissions(self) -> None:
        """End a halt of submits, as after buying credits, and submit jobs on hold.

        Jobs that have settled because of the halt stay settled; submit them again, under their keys.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
        """
        self._running_engine().store.resume_submissions()
