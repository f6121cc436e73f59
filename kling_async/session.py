"""The session, the library's facade: its settings, its life, its events and its numbers."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import AsyncExitStack
from random import Random
from threading import get_ident
from time import time as wall_clock
from typing import TYPE_CHECKING, Any, Self, cast, overload

from kling_async.account_calls import AccountCalls
from kling_async.api.arguments import COUNT, ENDPOINT, ID, bad_setting, check_methods, checked_api_key, refused, setting
from kling_async.api.protocol import UNIVERSAL
from kling_async.engine.job import Job
from kling_async.engine.tasks import BackgroundTask
from kling_async.errors import ConfigurationError, SessionClosed
from kling_async.file_calls import FileCalls
from kling_async.journal.memory import MemoryJournal
from kling_async.journal.open import is_url, open_journal, open_shared
from kling_async.settings import Limits, Polling, Reconciliation, Retry, Timeouts
from kling_async.transport.http import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ssl import SSLContext
    from types import TracebackType

    from kling_async.api.results import Generation
    from kling_async.engine.engine import Engine
    from kling_async.engine.event_bus import Event, Subscription
    from kling_async.engine.job import JobEvent
    from kling_async.engine.stats import Stats
    from kling_async.journal.base import Journal
    from kling_async.journal.shared import SharedJournal
    from kling_async.transport.base import Transport

_logger = logging.getLogger("kling_async.session")

_BASE_URL = "https://api.aimlapi.com"
_KEY_VARIABLES = ("AIMLAPI_API_KEY", "AIML_API_KEY")
_BASE_VARIABLE = "AIMLAPI_BASE_URL"
_WRONG_THREAD = (
    "a session is used from the thread and event loop it was entered on; another thread may use"
    " asyncio.run_coroutine_threadsafe"
)


class KlingSession(AccountCalls, FileCalls):
    """Runs any number of generations at once, under one account's limits.

    ::

        async with KlingSession() as kling:
            video = await kling.submit(TextToVideo("a white raccoon in a sequoia forest"))
            await kling.download(video, into="out")

    A session belongs to the event loop it is entered on, and is used from that loop's thread alone: from another, by
    `kling_async.sync` or ``asyncio.run_coroutine_threadsafe``. While the loop rests, as between cells of IPython in a
    terminal, jobs do, too. It may be entered in one task and left in another, and closed repeatedly. Leaving it does
    not wait for jobs (`drain` does): it lets submits under way finish for up to ``Timeouts.close``, settles every open
    job with `SessionClosed`, and leaves nothing running.

    Args:
        api_key: The AI/ML API key. By default that of the environment, in ``AIMLAPI_API_KEY`` or ``AIML_API_KEY``.
        base_url: The API's URL, with a path prefix if a proxy needs one. By default that of the environment, in
            ``AIMLAPI_BASE_URL``, or else the vendor's.
        journal: The record of jobs: the path of a file, which is made if there is none, or a journal. Jobs that an
            earlier session left open there continue, and are in `pending` at once. The URL of a PostgreSQL database,
            ``postgresql://user@host/database``, is a journal that sessions of any hosts share, as with ``shared``; it
            needs the extra ``postgres``. By default jobs are recorded in memory, so a key is known within one session.
        limits: Limits on concurrency, rates and spending.
        polling: The times of polls.
        timeouts: Limits on durations.
        reconciliation: The treatment of jobs whose submit may or may not have been accepted.
        retry: Whether failed generations, which are not charged, are bought again, and how often. By default never.
        hold: Whether jobs that an earlier session left queued in the journal wait for `resume_submissions`; by default
            they are submitted. With ``shared``, True keeps this session from leading: others do.
        shared: Whether the journal's file is shared with other sessions on this machine, of any processes, that are
            made like this. One of them at a time *leads*: it sends the requests of all. If it ends, is killed or
            stops, another goes on within seconds. ``pending`` has this session's own jobs, and what its settings say
            of a job's fate (``reconciliation``, ``retry``, ``Timeouts.generation`` and ``.submission``) holds for
            those, whichever leads. Of ``limits`` on rates, on generations at once and on spending the strictest of all
            sessions holds for all, defaults included. Files in requests count by their contents: they are read by
            `submit`, and a key with the same content from another path is the same job.
        transport: A transport to send with, instead of HTTP; the session does not close it, needs no key with it, and
            leaves what follows here to it.
        proxy: The URL of the proxy for all requests, ``http://`` or ``https://``, as
            ``http://user:password@proxy.example.com:3128``. By default the environment's.
        trust_env: Whether to use the proxies that the environment names (``HTTPS_PROXY``, ``ALL_PROXY``, but not for
            the hosts in ``NO_PROXY`` nor for this machine), and to check that ``SSL_CERT_FILE`` can be used, which
            OpenSSL reads in any case.
        ssl: The path of a PEM file with the CAs to trust, and no others, or an ``ssl.SSLContext``. By default the
            system's, and those in ``SSL_CERT_FILE``.
        headers: Additional headers of requests to the API. Files' hosts do not get them, and a header that the library
            sets itself, such as ``Authorization``, is refused.
        user_agent: The value of ``User-Agent``; by default this library and its version.
        allow_http: Whether ``base_url`` may be ``http://`` on another machine, such as a sandbox in another container,
            and its files, too. **The key is then sent in plain text.**
        rng: The source of jitter; pass a seeded one to make a run repeatable. Keys and names never come from it.

    Raises:
        ConfigurationError: There is no API key, or a setting cannot be used.
    """

    def __init__(  # noqa: PLR0913 - all but the key by name, each with a default
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        journal: Journal | SharedJournal | str | os.PathLike[str] | None = None,
        limits: Limits | None = None,
        polling: Polling | None = None,
        timeouts: Timeouts | None = None,
        reconciliation: Reconciliation | None = None,
        retry: Retry | None = None,
        hold: bool = False,
        shared: bool = False,
        transport: Transport | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        ssl: SSLContext | str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        user_agent: str | None = None,
        allow_http: bool = False,
        rng: Random | None = None,
    ) -> None:
        self._limits = setting("limits", limits, Limits)
        self._polling = setting("polling", polling, Polling)
        self._timeouts = setting("timeouts", timeouts, Timeouts)
        self._reconciliation = setting("reconciliation", reconciliation, Reconciliation)
        self._retry = setting("retry", retry, Retry)
        self._usual = {"limits": self._limits == Limits(), "timeouts": self._timeouts == Timeouts()}
        for name, flag in (("hold", hold), ("shared", shared)):
            if not isinstance(flag, bool):
                raise bad_setting(name, flag, "True or False")
        self._hold = hold
        shared = shared or is_url(journal)
        self._journal = MemoryJournal() if shared else _journal(journal)
        self._rng = setting("rng", rng, Random)
        self._base_url = _base(base_url)
        account = self._base_url if transport is None else None
        self._shared = _shared(journal, account) if shared else None
        self._own: HttpTransport | None = None
        self._speed = 1.0
        if transport is None:
            transport = self._own = HttpTransport(
                _key(api_key),
                base_url=self._base_url,
                timeouts=self._timeouts,
                proxy=proxy,
                trust_env=trust_env,
                ssl=ssl,
                headers=headers,
                user_agent=user_agent,
                allow_http=allow_http,
            )
        check_methods(
            "transport", transport, ("send", "stream"), "None or a Transport, with the methods send and stream"
        )
        self._transport: Transport = transport
        self._engine: Engine | None = None
        self._runner: BackgroundTask | None = None
        self._thread: int | None = None  # the one it was entered in

    # Life

    async def __aenter__(self) -> Self:
        if self._runner is not None:
            raise ConfigurationError("a session is entered once; make another one")
        if _running_loop() is None:
            raise ConfigurationError("a session runs on asyncio's event loop, and here is none, as under trio")
        self._thread = get_ident()
        self._runner = BackgroundTask(self._run)
        await self._runner.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        crash = await self._close()
        if crash is None:
            return
        # The caller's own exception goes on, unless it only reports the crash.
        if error is None or (isinstance(error, SessionClosed) and error.__cause__ is crash):
            raise crash
        if self._engine is not None and crash is not self._engine.crash:  # which was logged
            _logger.error("the session could not be closed in order: %s", crash)

    async def aclose(self) -> None:
        """Close the session, as leaving it does; closing it again does nothing.

        Raises:
            Exception: The error the scheduler crashed with, if it did.
            JournalError: The journal could not be closed.
            ConfigurationError: Called on another event loop than the session's, or by a source the session reads.
        """
        await self.__aexit__(None, None, None)

    async def _close(self) -> BaseException | None:
        """Close it, and return the error it failed with, if any."""
        if self._runner is None:
            return None
        engine = self._engine
        if engine is None:
            await self._runner.stop()
            return None
        if engine.waits_for(asyncio.current_task()):
            raise ConfigurationError("a session is not closed by a source that it reads; end the source instead")
        if _running_loop() is engine.store.clock.loop:
            engine.close()
        await self._runner.stop()
        return engine.crash or self._runner.failure

    async def _run(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            if self._own is not None:
                await stack.enter_async_context(self._own)
                self._go_by(await self._own.sandbox_speed())
            engine = self._make_engine()

            def opened() -> None:
                self._engine = engine
                ready()

            await engine.run(opened, stop)

    def _go_by(self, speed: float) -> None:
        """Take a sandbox's time for the vendor's; limits and timeouts only where the caller has chosen none."""
        self._speed = speed
        if speed == 1:
            return
        self._polling, self._reconciliation = self._polling.at_speed(speed), self._reconciliation.at_speed(speed)
        if self._usual["limits"]:
            self._limits = self._limits.at_speed(speed)
        if self._usual["timeouts"]:
            self._timeouts = self._timeouts.at_speed(speed)

    def _make_engine(self) -> Engine:
        settings: dict[str, Any] = {
            "limits": self._limits,
            "polling": self._polling,
            "timeouts": self._timeouts,
            "reconciliation": self._reconciliation,
            "retry": self._retry,
            "hold": self._hold,
            "rng": self._rng,
            "wall": self._wall,
        }
        if self._shared is None:
            from kling_async.engine.engine import Engine  # noqa: PLC0415 - half of the package, which only sessions need

            return Engine(self._transport, self._journal, **settings)
        from kling_async.engine.member import MemberEngine  # noqa: PLC0415 - few share

        return MemberEngine(self._transport, self._shared, **settings)

    def _wall(self) -> float:
        """Return the time for records: by the database's clock where members of several machines share one."""
        return (None if self._shared is None else self._shared.wall()) or wall_clock()

    def _running_engine(self) -> Engine:
        engine = self._entered_engine()
        running, loop = _running_loop(), engine.store.clock.loop
        # Between cells of a terminal's IPython no loop runs, and nothing that could be disturbed.
        rests = running is None and get_ident() == self._thread and not (loop.is_running() or loop.is_closed())
        if running is not loop and not rests:
            raise ConfigurationError(_WRONG_THREAD)
        if engine.closing:
            raise engine.closed("the session is closed")
        return engine

    def _entered_engine(self) -> Engine:
        if self._engine is None:
            raise SessionClosed("the session has not been entered; use it inside `async with`")
        return self._engine

    # One generation, and the session's numbers

    async def fetch(self, generation_id: str, *, endpoint: str = UNIVERSAL) -> Generation:
        """Ask the vendor about a generation, once, as soon as there is a place among the session's requests.

        Raises:
            APIError: The vendor answered with an error; `NotFound` if it does not know the id. With `GatewayError`
                it was not the vendor that answered.
            TransportError: No usable answer came.
            InvalidRequest: An argument cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        engine = self._running_engine()
        ID.check("generation_id", generation_id)
        ENDPOINT.check("endpoint", endpoint)
        return await engine.fetch(generation_id, endpoint)

    def stats(self, *, own: bool = False) -> Stats:
        """Return the numbers of the session: its jobs by state, its requests, its rate.

        On a shared journal they are those of the account, as the session that leads has counted them since it began,
        and some seconds old in the others; with ``own``, those of jobs are this session's alone, as files' always are.

        Raises:
            InvalidRequest: ``own`` is neither True nor False.
            SessionClosed: The session has not been entered.
        """
        if not isinstance(own, bool):
            raise refused("own", own, "True or False")
        return self._entered_engine().snapshot(own=own)

    @property
    def is_leader(self) -> bool:
        """True while this session sends requests: always, unless it shares its journal and another one leads."""
        return self._engine is not None and self._engine.is_leader

    @property
    def vendor_speed(self) -> float:
        """How many times as fast as the vendor's a sandbox's time passes; 1.0 with the vendor, or before it is entered.

        A session with a sandbox's own key, which begins with ``sandbox-``, asks for it when it is entered, and divides
        by it whatever is counted in the vendor's time: expected durations, gaps between polls and searches, and, where
        these are the defaults, ``limits`` and ``timeouts``.
        """
        return self._speed

    def learned(self) -> dict[str, Any]:
        """Return the durations this session has learned, as data for ``json.dumps``.

        A later session begins with them as ``Polling(learned=…)``. A durable journal keeps them by itself.

        Raises:
            SessionClosed: The session has not been entered.
        """
        return self._entered_engine().learned.to_data()

    @overload
    def subscribe(self, *, buffer: int = 1000) -> Subscription[Event]: ...
    @overload
    def subscribe(self, *, job: Job, buffer: int = 1000) -> Subscription[JobEvent]: ...
    def subscribe(self, *, job: Job | None = None, buffer: int = 1000) -> Subscription[Event]:
        """Return an async iterator over the events from now on, until the session ends.

        Args:
            job: The only job whose events are wanted, downloads included; by default all events. Nobody pays for
                others' jobs. `Job.events` ends once its job has settled.
            buffer: The most events kept for a reader that is behind, 1 or more; ``missed`` counts older ones, dropped.

        Raises:
            InvalidRequest: An argument cannot be used.
            SessionClosed: The session has not been entered, or has ended.
        """
        COUNT.check("buffer", buffer)
        if not (job is None or isinstance(job, Job)):
            raise refused("job", job, "None or a job")
        return self._running_engine().events.subscribe(buffer, None if job is None else job.key)

    def __repr__(self) -> str:
        if self._engine is None:
            state = "not entered"
        elif self._engine.closing:
            state = "closed"
        else:
            state = self._engine.store.summary
        return f"<KlingSession {self._base_url} {state}>"


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _journal(journal: Journal | SharedJournal | str | os.PathLike[str] | None) -> Journal:
    if journal is None:
        return MemoryJournal()
    if isinstance(journal, str | os.PathLike):
        return open_journal(journal)
    check_methods("journal", journal, ("open", "get", "commit", "close"), "None, the path of a file, or a Journal")
    return cast("Journal", journal)


def _shared(journal: Journal | SharedJournal | str | os.PathLike[str] | None, account: str | None) -> SharedJournal:
    if isinstance(journal, str | os.PathLike):
        return open_shared(journal, boot_clock, account)
    check_methods("journal", journal, ("open", "take", "term", "close"), "with shared=True, the path of a file")
    return cast("SharedJournal", journal)


def boot_clock() -> float:
    """Return the seconds since the machine was started, the same in all processes, its sleep included.

    Where the system has no such clock it is the wall clock, which may be set; that costs at most a change of leader.
    """
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if boot is None else time.clock_gettime(boot)


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
