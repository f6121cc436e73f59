"""The session for code without an event loop: scripts, threads, views of web frameworks.

::

    from kling_async import TextToVideo
    from kling_async.sync import KlingSession

    with KlingSession() as kling:
        job = kling.submit(TextToVideo("a white raccoon in a sequoia forest"))
        print(kling.download(job.result(), into="out"))

It has the names of `kling_async.KlingSession` and `kling_async.Job`, and what is told there holds here: what is awaited
there, waits here; what is iterated there with ``async for``, is iterated here with ``for``.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from functools import partial, wraps
from operator import attrgetter
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from anyio import CancelScope
from anyio.from_thread import BlockingPortal

from kling_async.api.arguments import check_callable, check_items
from kling_async.engine.job import Job as _Job
from kling_async.engine.job import active_job
from kling_async.errors import ConfigurationError, SessionClosed
from kling_async.session import KlingSession as _Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
    from types import TracebackType

    from kling_async.api.requests import Request
    from kling_async.api.requests.base import Submission
    from kling_async.api.results import Video
    from kling_async.engine.downloads import Delivery
    from kling_async.engine.event_bus import Event
    from kling_async.engine.job import ExpectedCompletion, JobEvent, Progress
    from kling_async.errors import KlingError

__all__ = ["Job", "KlingSession"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")
_END: Final = object()


class _SessionThread:
    """Runs a session in a thread of its own, from the first call on, for any number of other threads."""

    def __init__(self, session: _Session) -> None:
        self._session = session
        self._lock = Lock()
        self._running = ExitStack()
        self._portal: BlockingPortal | None = None
        self._process = 0
        self._closed = False
        self._released = False
        self._pumps: set[asyncio.Event] = set()

    def open(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                if self._closed:
                    raise SessionClosed("the session is closed")
                with ExitStack() as opening:
                    portal = _begin_portal(opening)
                    opening.callback(portal.call, self._release)
                    opening.enter_context(portal.wrap_async_context_manager(self._session))
                    self._running, self._portal, self._process = opening.pop_all(), portal, os.getpid()
                atexit.register(self.close)
            if self._process != os.getpid():
                raise ConfigurationError("a session is used in the process that opened it; make one after each fork")
            return self._portal

    def close(self, *error: Any) -> None:  # noqa: ANN401 - as `__exit__` takes it
        atexit.unregister(self.close)
        if self._portal is not None and self._process != os.getpid():
            return  # its thread did not come along when this process was forked
        with self._lock:
            self._closed, running = True, self._running.pop_all()
        try:
            running.__exit__(*(error or (None, None, None)))
        finally:
            self._portal = None

    def wait(self, work: Callable[[], Awaitable[_T]], timeout: float | None = None) -> _T:
        """Have something awaited in the thread; it is cancelled if the waiting ends before it."""
        future = self._start(work)
        try:
            return _outcome(future, timeout)
        finally:
            future.cancel()

    def call(self, work: Callable[[], _T]) -> _T:
        """Have a function called in the thread."""

        async def call() -> _T:  # a portal would await a job that is returned to it
            return work()

        return self.wait(call)

    def values(
        self, results: AsyncIterator[_T], source: Iterator[Any] | None = None, asked: SimpleQueue[Any] | None = None
    ) -> Generator[_T, None, None]:
        """Yield what an async iterator gives; meanwhile read the source for what asks in the queue for its items."""
        messages = SimpleQueue[Any]() if asked is None else asked

        async def pump() -> None:
            taken, loop = asyncio.Event(), asyncio.get_running_loop()
            self._pumps.add(taken)
            try:
                async for value in results:
                    taken.clear()
                    messages.put((value, partial(loop.call_soon_threadsafe, taken.set)))
                    if not self._released:
                        await taken.wait()
            finally:
                self._pumps.discard(taken)
                with CancelScope(shield=True):
                    if (close := getattr(results, "aclose", None)) is not None:
                        await close()
                messages.put(_END)

        pumping = self._start(pump)
        try:
            while (message := messages.get()) is not _END:
                if isinstance(message, Future):
                    _answer(cast("Any", message), partial(next, cast("Iterator[Any]", source), _END))
                else:
                    value, take = message
                    yield value
                    with suppress(RuntimeError):  # the loop has ended
                        take()
            _outcome(pumping)
        finally:
            pumping.cancel()
            getattr(source, "close", lambda: None)()

    def _release(self) -> None:
        """Have what the session still gives to iterators put into their queues, as perhaps nobody iterates any more."""
        self._released = True
        for taken in self._pumps:
            taken.set()

    def _start(self, work: Callable[[], Awaitable[_T]]) -> Future[_T]:
        portal = self.open()
        try:
            return portal.start_task_soon(work)
        except RuntimeError as error:  # anyio's
            if self._closed:
                raise SessionClosed("the session is closed") from None
            raise ConfigurationError(f"a session cannot be used from the functions that it calls ({error})") from None


def _begin_portal(stack: ExitStack) -> BlockingPortal:
    """Begin a loop in a thread that takes calls, until the stack is left.

    anyio's `start_blocking_portal` is a generator, which would wait for that thread when a forked process ends.
    """
    opened = Future[BlockingPortal]()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            opened.set_result(portal)
            await portal.sleep_until_stopped()

    thread = Thread(target=partial(asyncio.run, serve()), name="kling_async", daemon=True)
    thread.start()
    stack.callback(thread.join)
    portal = opened.result()
    stack.callback(lambda: portal.call(portal.stop))
    return portal


def _outcome(future: Future[_T], timeout: float | None = None) -> _T:
    try:
        return future.result(timeout)
    except CancelledError:
        raise SessionClosed("the session is closed") from None


def _answer(asked: Future[Any], answer: Callable[[], object]) -> None:
    """Answer a question from the session's thread, unless nobody waits for it any more."""
    if asked.set_running_or_notify_cancel():
        try:
            asked.set_result(answer())
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            asked.set_exception(error)


class _Feed:
    """A source whose items are asked for in a queue, one by one."""

    def __init__(self, asked: SimpleQueue[Any]) -> None:
        self._asked = asked

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> object:
        wanted = Future[Any]()
        self._asked.put(wanted)
        item = await asyncio.wrap_future(wanted)
        if item is _END:
            raise StopAsyncIteration
        return _job_in(item) if isinstance(item, Job) else item


# Each call below is made of the asynchronous one, and has its parameters, for type checkers and for `help`, too.


def _made_like(
    _: Callable[_P, _Session],
) -> Callable[[Callable[..., None]], Callable[Concatenate[KlingSession, _P], None]]:
    return wraps(_Session.__init__)


def _passed_on(
    method: Callable[Concatenate[_Session, _P], _R], carry: Callable[[_SessionThread, Callable[[], _R]], _T]
) -> Callable[Concatenate[KlingSession, _P], _T]:
    @wraps(method)
    def call(kling: KlingSession, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return carry(_thread_of(kling), partial(method, _session_of(kling), *args, **kwargs))

    return call


def _waiting(method: Callable[Concatenate[_Session, _P], Awaitable[_T]]) -> Callable[Concatenate[KlingSession, _P], _T]:
    return _passed_on(method, lambda thread, act: thread.wait(act))


def _at_once(method: Callable[Concatenate[_Session, _P], _T]) -> Callable[Concatenate[KlingSession, _P], _T]:
    return _passed_on(method, lambda thread, act: thread.call(act))


def _giving_a_job(method: Callable[Concatenate[_Session, _P], _Job]) -> Callable[Concatenate[KlingSession, _P], Job]:
    return _passed_on(method, lambda thread, act: Job(thread.call(act), thread))


def _iterating(
    method: Callable[Concatenate[_Session, _P], AsyncIterator[_T]],
) -> Callable[Concatenate[KlingSession, _P], Generator[_T, None, None]]:
    return _passed_on(method, lambda thread, act: thread.values(thread.call(act)))


class KlingSession:
    """`kling_async.KlingSession` for code without an event loop: with its settings, its calls and its errors.

    It runs in a thread of its own from ``with`` or the first call on, until it is closed or the program ends. It may be
    used by any number of threads, but not by the functions that it calls, such as ``progress`` and callbacks: these run
    in its own. Each process needs one: if made before a fork, it is opened after that. Ctrl-C ends the call that waits,
    and no job.
    """

    @_made_like(_Session)
    def __init__(self, *args: Any, **settings: Any) -> None:  # noqa: ANN401 - as said above
        self._session = _Session(*args, **settings)
        self._thread = _SessionThread(self._session)

    def __enter__(self) -> Self:
        self._thread.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.close(kind, error, traceback)

    def close(self) -> None:
        """Close the session, as leaving ``with`` does; closing it again does nothing.

        Raises:
            JournalError: The journal could not be closed.
        """
        self._thread.close()

    submit: Final = _giving_a_job(_Session.submit)
    resume: Final = _giving_a_job(_Session.resume)
    download: Final = _waiting(_Session.download)
    fetch: Final = _waiting(_Session.fetch)
    drain: Final = _waiting(_Session.drain)
    history: Final = _iterating(_Session.history)
    resume_submissions: Final = _at_once(_Session.resume_submissions)

    def find(self, key: str) -> Job | None:
        """Return the job of a key, or None: see `kling_async.KlingSession.find`."""
        found = self._thread.call(partial(self._session.find, key))
        return None if found is None else Job(found, self._thread)

    @property
    def pending(self) -> tuple[Job, ...]:
        """The jobs that have not settled, in the order they came."""
        return tuple(Job(job, self._thread) for job in self._thread.call(lambda: self._session.pending))

    def as_completed(
        self, source: Iterable[Request | Submission | _Job], *, max_in_flight: int | None = None
    ) -> Generator[Job, None, None]:
        """Yield the jobs of a source as they settle: see `kling_async.KlingSession.as_completed`.

        The source is read by the thread that iterates, while it waits for the next job. So it may block, which holds up
        that thread alone, and use what belongs to the thread, such as a cursor of a database.
        """
        begin = partial(self._session.as_completed, max_in_flight=max_in_flight)
        return (Job(job, self._thread) for job in self._fed(source, begin))

    def as_downloaded(
        self,
        source: Iterable[Request | Submission | _Job],
        *,
        path: Callable[[_Job], str | os.PathLike[str]] | None = None,
        into: str | os.PathLike[str] | None = None,
        max_in_flight: int | None = None,
    ) -> Generator[Delivery, None, None]:
        """Yield the jobs of a source with their files: see `kling_async.KlingSession.as_downloaded`.

        The source is read as by `as_completed`.
        """
        return self._fed(
            source, partial(self._session.as_downloaded, path=path, into=into, max_in_flight=max_in_flight)
        )

    def _fed(
        self, source: Iterable[Any], begin: Callable[[AsyncIterable[Any]], AsyncIterator[_T]]
    ) -> Generator[_T, None, None]:
        check_items("source", source, "an iterable of requests and jobs")
        asked = SimpleQueue[Any]()
        return self._thread.values(self._thread.call(partial(begin, _Feed(asked))), iter(source), asked)

    stats: Final = _at_once(_Session.stats)
    learned: Final = _at_once(_Session.learned)

    def subscribe(self, *, job: _Job | None = None, buffer: int = 1000) -> Generator[Event, None, None]:
        """Yield the events from now on: see `kling_async.KlingSession.subscribe`."""
        arguments: dict[str, Any] = {"buffer": buffer} if job is None else {"buffer": buffer, "job": job}
        return self._thread.values(self._thread.call(lambda: self._session.subscribe(**arguments)))

    @property
    def is_leader(self) -> bool:
        """Whether this session sends requests: see `kling_async.KlingSession.is_leader`."""
        return self._session.is_leader

    @property
    def vendor_speed(self) -> float:
        """How many times as fast a sandbox's time passes: see `kling_async.KlingSession.vendor_speed`."""
        return self._session.vendor_speed

    balance: Final = _waiting(_Session.balance)
    billing_detail: Final = _waiting(_Session.billing_detail)
    transactions: Final = _iterating(_Session.transactions)
    usage: Final = _waiting(_Session.usage)
    logs: Final = _iterating(_Session.logs)
    metrics: Final = _waiting(_Session.metrics)
    list_models: Final = _waiting(_Session.list_models)
    list_kling_models: Final = _waiting(_Session.list_kling_models)
    catalogue_changes: Final = _waiting(_Session.catalogue_changes)
    estimate: Final = _waiting(_Session.estimate)
    reconcile_costs: Final = _waiting(_Session.reconcile_costs)

    def __repr__(self) -> str:
        return f"<sync {repr(self._session)[1:]}"


class Job(_Job):
    """`kling_async.Job` for code without an event loop: any threads may wait for it. It is equal for the same job."""

    __slots__ = ("_job", "_thread")

    def __init__(self, job: _Job, thread: _SessionThread) -> None:
        super().__init__(active_job(job), _owner_of(job))
        self._job = job
        self._thread = thread

    def result(self, timeout: float | None = None) -> Video:
        """Wait for the video, and return it.

        Args:
            timeout: The longest time to wait, in seconds; by default without end.

        Raises:
            KlingError: What the job settled with.
            TimeoutError: It has not settled in that time. It goes on.
        """
        self._settle(timeout)
        return super().result()

    def exception(self, timeout: float | None = None) -> KlingError | None:
        """Wait until it has settled, and return the error it settled with; None if it has a video.

        Args:
            timeout: As for `result`.

        Raises:
            TimeoutError: It has not settled in that time. It goes on.
        """
        self._settle(timeout)
        return super().exception()

    def settled(self) -> Job:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait until it has settled, with any outcome; return the job itself, and never raise its failure."""
        self._settle(None)
        return self

    def accepted(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait until the vendor has accepted it; return the generation id: see `kling_async.Job.accepted`."""
        return self._thread.wait(self._job.accepted)

    def recorded(self) -> Job:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait until the journal has it durably, and return the job: see `kling_async.Job.recorded`."""
        self._thread.wait(self._job.recorded)
        return self

    def events(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> Generator[JobEvent, None, None]:
        """Yield its events from now on, until it has settled: see `kling_async.Job.events`."""
        return self._thread.values(self._thread.call(self._job.events))

    def watch(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, every: float = 1.0
    ) -> Generator[Progress, None, None]:
        """Yield how far it is, until it has settled: see `kling_async.Job.watch`."""
        return self._thread.values(self._thread.call(partial(self._job.watch, every)))

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Have ``callback(job)`` called by the session's thread, where it cannot wait, once the job has settled.

        Raises:
            InvalidRequest: It cannot be called.
        """
        check_callable("callback", callback, "a function of the job")
        self._thread.call(partial(self._job.add_done_callback, lambda _: callback(self)))

    def abandon(self) -> None:
        """Stop watching for good: see `kling_async.Job.abandon`."""
        self._thread.call(self._job.abandon)

    @property
    def expected_completion(self) -> ExpectedCompletion | None:
        """The time at which it is expected to be done, as known now; None unless it is being polled."""
        return None if self.done() else self._thread.call(lambda: self._job.expected_completion)

    @property
    def progress(self) -> Progress:
        """How far it is: see `kling_async.Job.progress`."""
        return super().progress if self.done() else self._thread.call(lambda: self._job.progress)

    def _settle(self, timeout: float | None) -> None:
        if not self.done():
            self._thread.wait(self._job.settled, timeout)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Job) and active_job(other) is active_job(self)

    def __hash__(self) -> int:
        return id(active_job(self))


_thread_of: Callable[[KlingSession], _SessionThread] = attrgetter("_thread")
_session_of: Callable[[KlingSession], _Session] = attrgetter("_session")
_job_in: Callable[[Job], _Job] = attrgetter("_job")
_owner_of: Callable[[_Job], Any] = attrgetter("_owner")
