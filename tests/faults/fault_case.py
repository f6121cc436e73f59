"""One fault: a vendor to break, sessions to survive it, and the check of everything they leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attrs import define, field
from fault_vendor import KEY, OTHER_KEY, FaultVendor
from invariants import Evidence, uphold

from kling_async import KlingSession, Limits, Polling, Reconciliation, Timeouts, read_journal

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator
    from types import TracebackType

    import pytest

    from kling_async import Job

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # either ends it at once on Windows
_PROGRAM = Path(__file__).with_name("fault_child.py")
_TIMEOUT = 50  # seconds: nothing hangs
QUICK: dict[str, Any] = {
    "interval": 0.01,
    "min_gap": 0.01,
    "retry_base": 0.01,
    "retry_cap": 0.05,
    "not_found_grace": 0.2,
}


class Watched(KlingSession):
    """A session that shows its case every job it hands out, and everything it says."""

    def __init__(self, case: Case, **settings: Any) -> None:
        super().__init__(**settings)
        self._case = case

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._said = self.subscribe(buffer=100_000)
        self._case.jobs += self.pending
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._case.texts += [repr(self), repr(self.stats()), repr(self._own)]
        await super().__aexit__(kind, error, trace)
        self._case.texts += [repr(event) async for event in self._said]

    def submit(self, *args: Any, **kwargs: Any) -> Job:
        return self._noticed(super().submit(*args, **kwargs))

    def resume(self, *args: Any, **kwargs: Any) -> Job:
        return self._noticed(super().resume(*args, **kwargs))

    def _noticed(self, job: Job) -> Job:
        if job not in self._case.jobs:
            self._case.jobs.append(job)
        return job


@define
class Child:
    """A program of its own that uses the library, and what it printed."""

    process: asyncio.subprocess.Process
    said: list[dict[str, Any]] = field(factory=list)
    log: str = ""

    async def listen(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, f"it has ended without a word: {await self.end()} {self.log}"
        self.said.append(json.loads(line))
        return self.said[-1]

    def signal(self, number: int) -> None:
        """Signal it, if it still lives. Not as asyncio does, which may take its end from the loop's watcher."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def end(self) -> int:
        """Wait for its end; returns its exit code."""
        out, err = await self.process.communicate()
        self.said += [json.loads(line) for line in out.splitlines()]
        self.log += err.decode()
        assert self.process.returncode is not None
        return self.process.returncode


@define
class Case:
    """A vendor while it is entered; leaving it asserts that every promise was kept."""

    folder: Path
    log: pytest.LogCaptureFixture
    vendor: FaultVendor = field(factory=FaultVendor)
    jobs: list[Job] = field(factory=list)
    texts: list[str] = field(factory=list)
    opted_in: set[str] = field(factory=set)
    tls: ssl.SSLContext | None = None
    database: str = ""  # the URL of the journal, unless it is a file
    _open: AsyncExitStack = field(factory=AsyncExitStack)

    @property
    def path(self) -> Path:
        return self.folder / "batch.db"

    @property
    def place(self) -> Path | str:
        """Where the journal is."""
        return self.database or self.path

    @property
    def url(self) -> str:
        return self.vendor.url

    def session(self, **settings: Any) -> Watched:
        """A session on the case's journal that makes haste; some settings can be given as keywords of their own."""
        polling = settings.pop("polling", {})
        usual: dict[str, Any] = {
            "api_key": KEY,
            "base_url": settings.get("base_url") or self.url,
            "journal": self.place,
            "polling": polling if isinstance(polling, Polling) else Polling.fixed(**QUICK | polling),
            "timeouts": Timeouts(**{"close": 0.2, "generation": 20} | settings.pop("timeouts", {})),
            "reconciliation": Reconciliation(after=0.2),
            "limits": Limits(requests_per_second=1000, burst=1000),
            "rng": random.Random(1),
        }
        return Watched(self, **usual | settings)

    @asynccontextmanager
    async def child(self, act: str, *, end: str = "", **told: Any) -> AsyncGenerator[Child]:
        """A child process on the case's journal; it is made to end, and what it has printed is evidence."""
        settings = {"act": act, "end": end, "url": self.url, "journal": str(self.place)} | told
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(_PROGRAM),
            json.dumps(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"AIMLAPI_API_KEY": KEY},
        )
        child = Child(process)
        try:
            yield child
        finally:
            if process.returncode is None:
                child.signal(KILL)
            await child.end()
            self.texts += [child.log, json.dumps(child.said)]

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(asyncio.timeout(_TIMEOUT))
        await self._open.enter_async_context(self.vendor.open(tls=self.tls))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.__aexit__(kind, error, trace)
        if error is None:
            self._check_what_was_sent()
            uphold(self._evidence())

    def _check_what_was_sent(self) -> None:
        """The key goes to the vendor, in its header, and nowhere else."""
        for exchange in self.vendor.server.requests:
            shown = sum(exchange.raw.count(key.encode()) for key in (KEY, OTHER_KEY))
            authorized = "authorization" in exchange.headers
            assert (shown, authorized) == ((0, False) if exchange.target.startswith("/files/") else (1, True))

    def _evidence(self) -> Evidence:
        return Evidence(
            jobs=self.jobs,
            records=list(read_journal(self.place).records()) if self.database or self.path.exists() else [],
            books=self.vendor.bought(),
            opted_in=self.opted_in,
            texts=self.texts,
            secrets=[KEY, OTHER_KEY],
            folder=self.folder,
            log=self.log,
        )
