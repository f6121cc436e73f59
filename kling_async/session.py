"""The session: where requests become jobs, and jobs become videos."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack, nullcontext
from functools import cached_property
from pathlib import Path
from random import Random
from time import time as wall_clock
from typing import TYPE_CHECKING, Any, Self

from kling_async.api.arguments import (
    bad_setting,
    check_callable,
    check_count,
    check_endpoint,
    check_id,
    check_key,
    check_methods,
    check_path,
    check_text,
    checked_api_key,
    patience,
    refused,
    setting,
)
from kling_async.api.protocol import UNIVERSAL, fetch_request, read_generation
from kling_async.api.reprs import show
from kling_async.api.requests import Request
from kling_async.api.results import Video
from kling_async.engine.as_completed import Window
from kling_async.engine.engine import Engine
from kling_async.engine.job import Job
from kling_async.engine.tasks import BackgroundTask
from kling_async.errors import ConfigurationError, InvalidRequest, MalformedResponse, SessionClosed
from kling_async.files.names import safe_name
from kling_async.files.uploads import anchored, check_files
from kling_async.journal.base import JobState
from kling_async.journal.memory import MemoryJournal
from kling_async.journal.open import open_journal
from kling_async.journal.token import is_token, read_token
from kling_async.settings import Limits, Polling, Reconciliation, Timeouts
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from types import TracebackType

    from kling_async.api.account.billing import Balance, BillingDetail, Transaction
    from kling_async.api.account.estimates import Cost
    from kling_async.api.account.logs import LogEntry
    from kling_async.api.account.metrics import Metrics
    from kling_async.api.account.models import CatalogueChanges, ModelList
    from kling_async.api.account.usage import AccountUsage
    from kling_async.api.results import Generation
    from kling_async.engine.cost_report import CostReport
    from kling_async.engine.downloads import Delivery, Downloads
    from kling_async.engine.events import Subscription
    from kling_async.engine.stats import Stats
    from kling_async.journal.base import Journal, Record
    from kling_async.transport.base import Transport

__all__ = ["KlingSession"]

_logger = logging.getLogger("kling_async.session")

_BASE_URL = "https://api.aimlapi.com"
_KEY_VARIABLES = ("AIMLAPI_API_KEY", "AIML_API_KEY")
_BASE_VARIABLE = "AIMLAPI_BASE_URL"


class KlingSession:
    """Runs any number of generations at once, under one account's limits.

    ::

        async with KlingSession() as kling:
            video = await kling.submit(TextToVideo("a white raccoon in a sequoia forest"))
            await kling.download(video, into="out")

    A session belongs to the event loop it is entered on, and is used from that loop's thread alone. It may be entered
    in one task and left in another, and closed any number of times. Leaving it does not wait for jobs (`drain` does):
    it lets submits under way finish for up to ``Timeouts.close``, settles every open job with `SessionClosed`, leaves
    nothing running, and raises what the caller raised, if anything.

    Args:
        api_key: The AI/ML API key. By default that of the environment, in ``AIMLAPI_API_KEY`` or ``AIML_API_KEY``.
        base_url: Where the API is, with a path prefix if a proxy needs one. By default that of the environment, in
            ``AIMLAPI_BASE_URL``, or else the vendor's.
        journal: Where jobs are recorded: the path of a file, which is made if there is none, or a journal. What an
            earlier session left open there goes on, and is in `pending` at once. By default jobs are recorded in
            memory: what is promised of keys then holds within one session.
        limits: How much is done at once, and how fast.
        polling: When generations are asked about.
        timeouts: How long things may take.
        reconciliation: What becomes of jobs whose submit may or may not have been accepted.
        hold: Whether jobs that an earlier session left queued in the journal wait for `resume_submissions`; by default
            they are submitted.
        transport: What sends the requests, instead of HTTP; it is not closed by the session, and needs no key here.
        rng: Where jitter comes from; pass a seeded one to make a run repeatable. Keys and names never come from it.

    Raises:
        ConfigurationError: There is no API key, or a setting cannot be used.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        journal: Journal | str | os.PathLike[str] | None = None,
        limits: Limits | None = None,
        polling: Polling | None = None,
        timeouts: Timeouts | None = None,
        reconciliation: Reconciliation | None = None,
        hold: bool = False,
        transport: Transport | None = None,
        rng: Random | None = None,
    ) -> None:
        self._limits = setting("limits", limits, Limits)
        self._polling = setting("polling", polling, Polling)
        self._timeouts = setting("timeouts", timeouts, Timeouts)
        self._reconciliation = setting("reconciliation", reconciliation, Reconciliation)
        if not isinstance(hold, bool):
            raise bad_setting("hold", hold, "True or False")
        self._hold = hold
        self._journal = _journal(journal)
        self._rng = setting("rng", rng, Random)
        self._base_url = _base(base_url)
        self._own: HttpTransport | None = None
        if transport is None:
            transport = self._own = HttpTransport(_key(api_key), base_url=self._base_url, timeouts=self._timeouts)
        check_methods(
            "transport", transport, ("send", "stream"), "None or a Transport, with the methods send and stream"
        )
        self._transport: Transport = transport
        self._engine: Engine | None = None
        self._runner: BackgroundTask | None = None

    # Its life

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise ConfigurationError("a session is entered once; make another one")
        if _running_loop() is None:
            raise ConfigurationError("a session runs on asyncio's event loop, and here is none, as under trio")
        self._runner = BackgroundTask(self._run)
        await self._runner.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        crash = await self._close()
        if crash is None:
            return
        # What the caller raised comes out as it is, unless it only tells of the crash.
        if error is None or (isinstance(error, SessionClosed) and error.__cause__ is crash):
            raise crash
        if self._engine is not None and crash is not self._engine.crash:  # which was logged
            _logger.error("the session could not be closed in order: %s", crash)

    async def aclose(self) -> None:
        """Close the session, as leaving it does; closing it again does nothing.

        Raises:
            Exception: What the scheduler crashed with, if it did.
            JournalError: The journal could not be closed.
            ConfigurationError: Called on another event loop than the session's, or by a source the session reads.
        """
        await self.__aexit__(None, None, None)

    async def _close(self) -> BaseException | None:
        """Close it, and return what it has failed with."""
        if self._runner is None:
            return None
        engine = self._engine
        if engine is None:
            await self._runner.stop()
            return None
        if engine.awaits(asyncio.current_task()):
            raise ConfigurationError("a session is not closed by a source that it reads; end the source instead")
        if _running_loop() is engine.store.clock.loop:
            engine.close()
        await self._runner.stop()
        return engine.crash or self._runner.failure

    async def _run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            if self._own is not None:
                await stack.enter_async_context(self._own)
            engine = Engine(
                self._transport,
                self._journal,
                limits=self._limits,
                polling=self._polling,
                timeouts=self._timeouts,
                reconciliation=self._reconciliation,
                hold=self._hold,
                rng=self._rng,
                wall=wall_clock,
            )

            def opened() -> None:
                self._engine = engine
                ready()

            await engine.run(opened, stop)

    def _working(self) -> Engine:
        """The engine, for a caller who may use it now.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
            ConfigurationError: The caller is in another thread or event loop.
        """
        engine = self._engine
        if engine is None:
            raise SessionClosed("the session has not been entered; use it inside `async with`")
        if _running_loop() is not engine.store.clock.loop:
            raise ConfigurationError("a session is used from the thread and event loop it was entered on")
        if engine.closing:
            raise engine.closed("the session is closed")
        return engine

    # Jobs

    def submit(
        self,
        request: Request,
        *,
        tag: object = None,
        key: str | None = None,
        deadline: float | timedelta | None = None,
    ) -> Job:
        """Queue a request, and return its job at once. Nothing is sent unless the request is valid.

        Args:
            request: What to generate. Of files given by their paths the beginnings are looked at now; they are read
                when their turn to be sent has come. To a key they count by their absolute paths, and contents by what
                they are (hashing them here takes a millisecond for every megabyte or two). A file that cannot be sent
                by then settles the job with `InvalidRequest`, nothing bought; the job stays queued under its key, to be
                submitted again.
            tag: A label of the caller's own, found again as ``job.tag``.
            key: The job's identity, 1 to 110 characters of ``A-Za-z0-9._:-``; by default a random one. The same key
                with the same request is the same job: nothing is bought again, and what is known of it, up to its
                outcome, is there at once. Without a journal that lasts longer, this holds within this session.
            deadline: How long to wait for the video, from now, in seconds or as a ``timedelta``; time in the queue
                counts. It never cuts a generation off that ``Timeouts.generation`` would not.

        Raises:
            InvalidRequest: The request, the key or the deadline cannot be used, the key stands for another request, or
                the journal cannot keep the tag.
            JournalError: The journal cannot be read.
            SessionClosed: The session has not been entered, or has ended.
            ConfigurationError: Called from another thread or event loop than the session's.
        """
        engine = self._working()
        if not isinstance(request, Request):
            raise refused("request", request, "a request, such as TextToVideo(...)")
        request.check()
        check_key(key)
        request = anchored(request)
        limit, digest = patience(deadline), request.digest()
        if key is not None and (job := engine.store.find_key(key, digest)) is not None:
            return job
        if self._is_unsent(key):  # what was sent needs its files no more
            check_files(request)
        return engine.store.create(request, digest=digest, key=key, tag=tag, deadline=limit)

    def _is_unsent(self, key: str | None) -> bool:
        record = None if key is None else self._journal.get(key)
        return record is None or record.state is JobState.QUEUED

    def resume(
        self,
        generation_id: str,
        *,
        tag: object = None,
        key: str | None = None,
        deadline: float | timedelta | None = None,
        endpoint: str = UNIVERSAL,
    ) -> Job:
        """Watch a generation that was bought already, by whomever, and return its job at once.

        Args:
            generation_id: The vendor's id, or what `Job.token` gave, here or elsewhere. What this session or its
                journal knows is that job, or gives its outcome at once. A token without an id is looked for in the
                account's log, and never submitted.
            tag: As for `submit`.
            key: As for `submit`; a token brings its own. If its job here may have been bought and has no id, as after
                `SubmissionUncertain`, it goes on with this one.
            deadline: As for `submit`; ``Timeouts.generation`` counts from now.
            endpoint: The endpoint it was submitted to, universal or legacy.

        Raises:
            InvalidRequest: An argument cannot be used, the key stands for something else, or the generation is another
                key's.
            SessionClosed: The session has not been entered, or has ended.
            ConfigurationError: Called from another thread or event loop than the session's.
        """
        engine = self._working()
        check_id(generation_id)
        check_endpoint(endpoint)
        check_key(key)
        limit = patience(deadline)
        if is_token(generation_id):
            return self._resume_token(engine, generation_id, tag=tag, deadline=limit)
        if (job := engine.store.find_generation(generation_id, key)) is not None:
            return job
        record = engine.store.record_of(generation_id, endpoint, key)
        return engine.store.attach(record, tag=tag, deadline=limit)

    def _resume_token(self, engine: Engine, token: str, *, tag: object, deadline: float | None) -> Job:
        record = read_token(token)
        check_key(record.key)
        if record.generation_id is None:
            job = engine.store.find_key(record.key, record.digest)
        else:
            job = engine.store.find_generation(record.generation_id, record.key)
        return job or engine.store.attach(record, tag=tag, deadline=deadline)

    def as_completed(
        self,
        source: Iterable[Request | Job] | AsyncIterable[Request | Job],
        *,
        max_in_flight: int | None = None,
    ) -> AsyncGenerator[Job, None]:
        """The jobs of a source of requests and jobs, in the order in which they settle, failures included.

        The source is read only as far ahead as allowed, so it may be endless, and is closed however the iteration ends.
        Requests are submitted as they are read; an invalid one comes out as a job that has settled with its error.
        Leaving early leaves no task behind; jobs that were begun go on, and are in `pending`.

        Args:
            source: An iterable or an async iterable.
            max_in_flight: How many jobs may be between being read and being handed out, 1 or more. By default
                ``Limits.max_in_flight``.

        Raises:
            Exception: Whatever the source raised, after every job read before it has been handed out.
            InvalidRequest: An argument cannot be used, or the source gave something else than requests and jobs.
            SessionClosed: The session has not been entered, or has ended.
        """
        window = self._limits.max_in_flight if max_in_flight is None else max_in_flight
        check_count("max_in_flight", window)
        return self._working().as_completed(source, self._enter, Window(window))

    def _enter(self, item: Request | Job) -> Job:
        if isinstance(item, Job):
            return item
        if not isinstance(item, Request):
            raise refused("source", item, "only requests and jobs in it")
        try:
            return self.submit(item)
        except InvalidRequest as error:
            return self._working().store.invalid(item, None, error)

    async def drain(self) -> None:
        """Wait until no job is open, those included that are submitted meanwhile."""
        if self._engine is not None:
            await self._engine.store.idle()

    @property
    def pending(self) -> tuple[Job, ...]:
        """The jobs that have not settled, in the order they came."""
        return () if self._engine is None else tuple(self._engine.store.open.values())

    def history(self) -> AsyncIterator[Record]:
        """What the journal knows of every job, finished ones included, in the order they were queued.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
            JournalError: From the iteration: it cannot be read.
        """
        self._working()
        return self._journal.history()

    def find(self, key: str) -> Job | None:
        """The job of a key, as when a client asks about it whom its key was given: open, or with its recorded outcome.

        None if the key is not known, or if its job has settled here although its generation's life goes on, as after
        `DeadlineExceeded`; submitting the key again goes on with it.

        Raises:
            InvalidRequest: There can be no such key.
            JournalError: The journal cannot be read.
            SessionClosed: The session has not been entered, or has ended.
        """
        engine = self._working()
        check_text("key", key, "the key of a job")
        check_key(key)
        record = engine.store.recorded(key)
        return None if record is None else engine.store.find_key(key, record.digest)

    def resume_submissions(self) -> None:
        """Go on submitting after it was stopped, as when credits were bought or a gateway is out of the way.

        Jobs that settled with the refusal have settled; submit them again, under their keys.

        Raises:
            SessionClosed: The session has not been entered, or has ended.
        """
        self._working().store.resume_submissions()

    # Asking

    async def fetch(self, generation_id: str, *, endpoint: str = UNIVERSAL) -> Generation:
        """Ask the vendor about a generation, once; the request takes its turn with the polls.

        Raises:
            APIError: The vendor answered with an error; `NotFound` if it does not know the id. With `GatewayError`
                it was not the vendor that answered.
            TransportError: No usable answer came.
            InvalidRequest: An argument cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        engine = self._working()
        check_id(generation_id)
        check_endpoint(endpoint)
        await engine.limiter.acquire()
        self._working()
        response = await self._transport.send(fetch_request(endpoint, generation_id))
        return read_generation(response, generation_id)

    def stats(self) -> Stats:
        """What the session has done so far and is doing, in numbers.

        Raises:
            SessionClosed: The session has not been entered.
        """
        if self._engine is None:
            raise SessionClosed("the session has not been entered; use it inside `async with`")
        return self._engine.snapshot()

    def learned(self) -> dict[str, Any]:
        """How long generations take, by what this session has seen, as data fit for ``json.dumps``.

        A later session begins with it as ``Polling(learned=…)``. A durable journal keeps it by itself.

        Raises:
            SessionClosed: The session has not been entered.
        """
        if self._engine is None:
            raise SessionClosed("the session has not been entered; use it inside `async with`")
        return self._engine.learned.to_data()

    def subscribe(self, *, buffer: int = 1000) -> Subscription:
        """An async iterator over what happens from now on, as `Event`s, until the session ends.

        Args:
            buffer: How many events are kept for a reader that is behind, 1 or more. When it is full, the oldest is
                dropped and counted in ``missed``.

        Raises:
            InvalidRequest: ``buffer`` cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        check_count("buffer", buffer)
        return self._working().events.subscribe(buffer)

    # The account

    async def balance(self) -> Balance:
        """What is left on the account.

        This and the other questions about the account cost nothing and take their turns with the polls. Trouble that
        may pass is met with up to three more tries, some seconds apart.

        Raises:
            APIError: The vendor answered with an error.
            TransportError: No usable answer came.
            SessionClosed: The session has not been entered, or has ended.
        """
        return await self._working().account.balance()

    async def billing_detail(self) -> BillingDetail:
        """What is left on the account, whose it is, and how it is topped up. Raises as `balance` does."""
        return await self._working().account.billing_detail()

    def transactions(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        type: str | None = None,  # noqa: A002 - the vendor's name
    ) -> AsyncGenerator[Transaction]:
        """Every movement of the account's money, newest first, read a page at a time while it is iterated.

        This is what balances are made of; a generation's charge appears some time after it has completed.

        Args:
            start: From when on.
            end: Until before when.
            direction: ``CHARGE`` for money going out, ``TOPUP`` for money coming in; by default both.
            type: Such as ``MODEL_USAGE``, ``PAYMENT``, ``BONUS``, ``REFUND`` or ``ADJUSTMENT``; by default any.

        Raises:
            KlingError: From the iteration, as `balance` does.
            SessionClosed: The session has not been entered, or has ended.
        """
        return self._working().account.transactions(start=start, end=end, direction=direction, type=type)

    async def usage(
        self, period: str | None = None, *, start: datetime | None = None, end: datetime | None = None
    ) -> AccountUsage:
        """What the session's key has spent over a stretch of time of at most 92 days.

        Args:
            period: Up to now: a number followed by h or d, such as ``7d``. By default ``24h``.
            start: From when on, instead of a period, together with ``end``.
            end: Until when.

        Raises:
            InvalidRequest: The arguments do not make a stretch of time.
            KlingError: As `balance` does.
        """
        return await self._working().account.usage(period, start, end)

    def logs(
        self,
        period: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        models: str | Iterable[str] = (),
        statuses: str | Iterable[str] = (),
    ) -> AsyncGenerator[LogEntry]:
        """The requests made with the session's key, newest first, read a page at a time while it is iterated.

        Rows appear late, a generation's once it has ended. Each comes once, even if others push it to a later page.

        Args:
            period: As for `usage`, as are ``start`` and ``end``.
            start: From when on.
            end: Until when.
            models: Only requests for these models, by id.
            statuses: Only requests that ``succeeded``, or that ``failed``; by default both.

        Raises:
            InvalidRequest: The arguments do not make a stretch of time.
            KlingError: From the iteration, as `balance` does.
            SessionClosed: The session has not been entered, or has ended.
        """
        return self._working().account.logs(period, start, end, models=models, statuses=statuses)

    async def metrics(self, models: str | Iterable[str] = ()) -> Metrics:
        """How fast models are at the moment, by what the vendor measured in the last minutes.

        Args:
            models: Their ids or aliases; by default all. One that completed nothing lately is missing.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._working().account.metrics(models)

    async def list_models(
        self,
        *,
        include: str | Iterable[str] = ("pricing", "capabilities", "modalities"),
        ids: str | Iterable[str] = (),
    ) -> ModelList:
        """The vendor's live list of all its models, those of other makers included.

        The same question is asked again by its ETag, and answered from memory if nothing has changed.

        Args:
            include: Which sections to have: any of ``pricing``, ``capabilities`` and ``modalities``.
            ids: Only these models, by id or alias.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._working().account.catalogue(include, ids)

    async def list_kling_models(self) -> ModelList:
        """Kling's video models as the vendor serves them now, with their aliases and prices.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._working().account.models()

    async def catalogue_changes(self) -> CatalogueChanges:
        """Which models are new, gone or renamed at the vendor, held against the catalogue of this library.

        The catalogue itself stays as it is: what it does not know can be used all the same, unchecked.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._working().account.refresh_models()

    async def estimate(self, requests: Request | Iterable[Request]) -> Cost:
        """What one or several requests would cost by the vendor's price list, without sending any.

        The list is read at the first question, and asked for changes at most once an hour. What it does not tell is
        said to be unknown, and what a request leaves to the vendor makes the cost a range.

        Raises:
            InvalidRequest: A request cannot be submitted.
            KlingError: As `balance` does.
        """
        return await self._working().account.estimate(requests)

    async def reconcile_costs(self, jobs: Iterable[Job | Record], *, start: datetime | None = None) -> CostReport:
        """Hold jobs against the account's ledger, by generation id.

        Args:
            jobs: Jobs, or records such as those of `history`. Those without a generation are left out.
            start: From when on the ledger is read. By default from an hour before the first of the jobs was submitted.

        Raises:
            KlingError: As `balance` does.
        """
        return await self._working().account.reconcile_costs(jobs, start)

    # Files

    async def download(
        self,
        video: Video | Job,
        path: str | os.PathLike[str] | None = None,
        *,
        into: str | os.PathLike[str] | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Path:
        """Fetch a video's file, and return its path once the file is there whole.

        It grows in a hidden neighbour, which one download has at a time, among all processes, and is put under its name
        at the end; that replaces a file which was there at the beginning, and none that has appeared meanwhile. A file
        that is not there yet, and trouble on the way, are tried again where the file broke off for as long as
        ``Timeouts.download`` goes by with nothing new, and an address that has expired is asked for anew. At most
        ``Limits.max_downloads`` files come in at once; one that waits for another try lets others go first.

        Args:
            video: The video, or its job, which is awaited.
            path: The file to write. Missing folders are made.
            into: The folder to write to, instead, under a name made of the generation's id. One of the two is needed.
            progress: Called with the bytes there are so far, and the file's size if known. What it raises ends the
                download.

        Raises:
            DownloadError: The file could not be fetched or not be written; nothing was left under its name. Where it
                is ``retryable``, another download may bring it.
            StorageError: Nor could any other file be written. Submits stop until one is, or `resume_submissions`.
            KlingError: The job's own failure.
            InvalidRequest: An argument cannot be used, or neither or both of ``path`` and ``into`` were given.
            SessionClosed: The session has not been entered, or has ended.
        """
        return await self._file_of(video, path, into, progress, nullcontext)

    async def _file_of(
        self,
        video: Video | Job,
        path: str | os.PathLike[str] | None,
        into: str | os.PathLike[str] | None,
        progress: Callable[[int, int | None], object] | None,
        waiting: Callable[[], AbstractContextManager[object]],
    ) -> Path:
        self._working()
        if not isinstance(video, Video | Job):
            raise refused("video", video, "a video or a job")
        _check_place(path, into)
        if path is not None:
            check_path("path", path)
        check_callable("progress", progress, "a function of the bytes there are and the size, or None")
        job = video if isinstance(video, Job) else None
        video = await video if isinstance(video, Job) else video
        target = Path(path) if path is not None else Path(into or "") / safe_name(video.generation_id, video)
        return await self._downloads.fetch(video, target, job=job, progress=progress, waiting=waiting)

    def as_downloaded(
        self,
        source: Iterable[Request | Job] | AsyncIterable[Request | Job],
        *,
        path: Callable[[Job], str | os.PathLike[str]] | None = None,
        into: str | os.PathLike[str] | None = None,
        max_in_flight: int | None = None,
    ) -> AsyncGenerator[Delivery, None]:
        """The jobs of a source with their files, in the order in which these are there, failures included.

        What `as_completed` is to jobs, this is to their files: ``Limits.max_downloads`` of them come in side by side
        while other jobs go on, and up to 64 that are not there yet wait beside those. Deliveries nobody takes hold up
        the downloads, and so in the end the source. Leaving early gives up the downloads under way, each to be gone on
        with later, and leaves no task behind. While files cannot be written nothing is bought: what waits comes out
        with `StorageError`, queued as before.

        Args:
            source: As for `as_completed`.
            path: Asked for each job's file, once the job has its video.
            into: The folder to write to, instead, under names made of the generations' ids. One of the two is needed.
            max_in_flight: How many jobs may be between being read and having their download begun, 1 or more. By
                default ``Limits.max_in_flight``.

        Raises:
            Exception: Whatever the source raised, after every job read before it has been handed out; or what
                ``path`` raised.
            InvalidRequest: An argument cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        from kling_async.engine.downloads import AHEAD, DownloadTasks  # noqa: PLC0415 - not every program has use for it

        _check_place(path, into)
        check_callable("path", path, "a function that gives a job's path")
        window = Window(self._limits.max_downloads, AHEAD)

        async def download(job: Job) -> Path:
            job.result()
            return await self._file_of(job, None if path is None else path(job), into, None, window.lent)

        tasks = DownloadTasks(download)
        jobs = self.as_completed(source, max_in_flight=max_in_flight)
        return tasks.hand_out(self._working().as_completed(jobs, tasks.begin, window))

    @cached_property
    def _downloads(self) -> Downloads:
        from kling_async.engine.downloads import Downloads  # noqa: PLC0415 - not every program has use for it

        engine = self._working()
        return Downloads(
            self._transport,
            engine.store,
            engine.events,
            engine.counters,
            engine.stopping,
            at_once=self._limits.max_downloads,
            give_up_after=self._timeouts.download,
            fresh_url=self._fresh_url,
            check_open=self._working,
            rng=self._rng,
        )

    async def _fresh_url(self, generation_id: str) -> str:
        generation = await self.fetch(generation_id)
        if generation.video is None:
            raise MalformedResponse(f"the vendor no longer gives a url for generation {generation_id}")
        return generation.video.url

    def __repr__(self) -> str:
        if self._engine is None:
            state = "not entered"
        elif self._engine.closing:
            state = "closed"
        else:
            state = repr(self._engine.store)[len("<JobStore ") : -1]
        return f"<KlingSession {self._base_url} {state}>"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _journal(journal: Journal | str | os.PathLike[str] | None) -> Journal:
    if journal is None:
        return MemoryJournal()
    if isinstance(journal, str | os.PathLike):
        return open_journal(journal)
    check_methods("journal", journal, ("open", "get", "commit", "close"), "None, the path of a file, or a Journal")
    return journal


def _check_place(path: object, into: object) -> None:
    if path is None and into is None:
        raise refused("path", None, "a path, or else into a folder")
    if path is not None and into is not None:
        raise refused("into", into, f"nothing beside path ({show(path)}): one of the two")
    if into is not None:
        check_path("into", into)


def _base(base_url: object) -> str:
    if not (base_url is None or isinstance(base_url, str)):
        raise bad_setting("base_url", base_url, "None or a URL, as a text")
    return base_url or os.environ.get(_BASE_VARIABLE) or _BASE_URL


def _key(api_key: str | None) -> str:
    if api_key is not None and api_key != "":
        return checked_api_key(api_key, "api_key")
    for name in _KEY_VARIABLES:
        if value := os.environ.get(name):
            return checked_api_key(value, f"the API key in {name}")
    raise ConfigurationError(f"there is no API key: pass api_key, or set {' or '.join(_KEY_VARIABLES)}")
