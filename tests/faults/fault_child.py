"""A program that uses the library, and meets its end, or a full disk, at an instant that a test chose.

It is told what to do in one argument, in JSON; what it has seen it prints, a line of JSON each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kling_async import JobState, KlingError, KlingSession, Limits, Polling, Retrying, TextToVideo, Timeouts, settings
from kling_async.engine import downloads as downloads_module
from kling_async.journal.open import open_shared
from kling_async.journal.sql.term import DatabaseTerm
from kling_async.journal.sqlite.journal import SQLiteJournal
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kling_async import Record
    from kling_async.files.download import StoredFile

TOLD: dict[str, Any] = json.loads(sys.argv[1])
END: str = TOLD["end"]


def die() -> None:
    """End at once, as by a power cut: nothing is written, closed or said any more."""
    if sys.platform == "win32":
        os._exit(9)
    os.kill(os.getpid(), signal.SIGKILL)


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def fill_the_disk(*, full: bool) -> None:
    """Have the system refuse every further byte of every file, or take them again."""
    import resource  # noqa: PLC0415 - not every system has it

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (TOLD.get("room", 0) if full else hard, hard))


class Mortal(SQLiteJournal):
    """A journal at whose commits things happen."""

    async def commit(self, record: Record) -> None:
        if f"before {record.state.value}" == END:
            await self.flush()
            die()
        await super().commit(record)
        if f"after {record.state.value}" == END:
            die()
        if f"full after {record.state.value} {record.key}" == f"{END} k":
            fill_the_disk(full=True)


class Longest(random.Random):
    """Draws the end of every range, so that each back-off is as long as it may be."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the name that is overridden
        return b


def new_session() -> KlingSession:
    settings._FIRST_GAP = 0.02
    backoff = TOLD.get("backoff")
    quick = Polling.fixed(0.01, min_gap=0.01, retry_base=backoff or 0.01, retry_cap=backoff or 0.05)
    return KlingSession(
        base_url=TOLD["url"],
        journal=Mortal(TOLD["journal"]),
        polling=quick,
        timeouts=Timeouts(close=TOLD.get("close", 1)),
        limits=Limits(requests_per_second=1000, burst=1000),
        rng=Longest() if backoff else None,
    )


async def downloads() -> None:
    """Generate one video and fetch its file, and die on the way."""
    module: Any = downloads_module
    usual = module.download_file

    async def and_dies(*args: Any, **kwargs: Any) -> StoredFile:
        if END == "after the download":
            kwargs["on_stored"] = lambda _: die()
        stored: StoredFile = await usual(*args, **kwargs)
        return stored

    module.download_file = and_dies

    def progress(size: int, _whole: int | None) -> None:
        if END == "amid the download" and size:
            die()

    async with new_session() as kling:
        said = kling.subscribe()
        job = kling.submit(TextToVideo("a raccoon"), key="k", tag={"row": 1})
        if END.startswith("between attempts"):
            async for event in said:
                if isinstance(event, Retrying):
                    break
            if END == "between attempts, recorded":
                await job.recorded()
            die()
        await kling.download(job, TOLD["path"], progress=progress)
        say(finished=True)


async def waits() -> None:
    """Generate a video that is never done, and say when it is accepted."""
    async with new_session() as kling:
        job = kling.submit(TextToVideo("a raccoon"), key="k")
        if END == "interrupt":
            await job
        say(accepted=await job.accepted())
        await job


async def opens() -> None:
    """Open a journal that another process has."""
    try:
        async with new_session():
            say(opened=True)
    except KlingError as error:
        say(error=type(error).__name__, text=str(error))


async def buys() -> None:
    """Buy the same six videos as another process, if the journal is to be had."""
    try:
        async with new_session() as kling:
            jobs = [kling.submit(TextToVideo("a raccoon"), key=f"k{number}") for number in range(6)]
            say(bought=[await job.accepted() for job in jobs])
    except KlingError as error:
        say(error=type(error).__name__, text=str(error))


def stop_once_submitting() -> None:
    """Have the journal stop the process right after a submit is recorded, once."""
    commit = DatabaseTerm.commit

    async def commit_and_stop(self: DatabaseTerm, record: Record) -> None:
        await commit(self, record)
        if record.state is JobState.SUBMITTING:
            os.kill(os.getpid(), signal.SIGSTOP)

    patched: Any = DatabaseTerm
    patched.commit = commit_and_stop


async def shares() -> None:
    """Be one of several members, which submits its keys and tells how they end."""
    settings._FIRST_GAP = 0.02
    if END == "stop after submitting":
        stop_once_submitting()
    async with KlingSession(
        base_url=TOLD["url"],
        journal=open_shared(TOLD["journal"], boot_clock, length=TOLD["lease"]),
        shared=True,
        hold=TOLD.get("hold", False),
        polling=Polling.fixed(0.01, min_gap=0.01, retry_base=0.01, retry_cap=0.05),
        timeouts=Timeouts(close=TOLD.get("close", 1), submit=TOLD.get("submit", 60)),
        limits=Limits(requests_per_second=1000, burst=1000),
        reconciliation=settings.Reconciliation(after=TOLD.get("after", 0.2)),
    ) as kling:
        while TOLD.get("leads") and not kling.is_leader:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        say(joined=True)
        jobs = [kling.submit(TextToVideo("a raccoon"), key=key) for key in TOLD.get("keys", ())]
        for job in jobs:
            await job.settled()
        say(ended={job.key: job.generation_id or type(job.exception()).__name__ for job in jobs})
        if TOLD.get("stays"):
            await asyncio.Event().wait()


async def fills() -> None:
    """Meet a full disk before a POST, or right after one, and go on when there is room again."""
    async with new_session() as kling:
        if END == "full before":
            fill_the_disk(full=True)
        before = kling.submit(TextToVideo("a raccoon"), key="k")
        with suppress(KlingError):
            await before
        fill_the_disk(full=True)
        late = await kling.submit(TextToVideo("too late"), key="late").settled()
        error = before.exception()
        say(
            first=[before.state.value, before.generation_id, error and type(error).__name__],
            late=[late.state.value, type(late.exception()).__name__],
        )
        fill_the_disk(full=False)
        kling.resume_submissions()
        again = [kling.submit(TextToVideo("a raccoon"), key="k"), kling.submit(TextToVideo("too late"), key="late")]
        await asyncio.gather(*again)
        assert [job.state for job in again] == [JobState.COMPLETED] * 2
        say(finished=True)


async def stays_full() -> None:
    """Buy a video that can never be recorded."""
    try:
        async with new_session() as kling:
            say(first=(await kling.submit(TextToVideo("a raccoon"), key="k")).generation_id)
    except KlingError as error:
        say(error=type(error).__name__)


async def full_download() -> None:
    """Fetch a file for which there is no room."""
    async with new_session() as kling:
        video = await kling.submit(TextToVideo("a raccoon"), key="k")
        fill_the_disk(full=True)
        try:
            await kling.download(video, TOLD["path"])
        except KlingError as error:
            say(error=type(error).__name__, text=str(error))
        fill_the_disk(full=False)
        await kling.download(video, TOLD["path"])
        say(finished=True)


def loses_its_loop() -> None:
    """Close the loop under an open session, and end as any program does."""

    async def begin() -> None:
        kling = await new_session().__aenter__()
        job = kling.submit(TextToVideo("a raccoon"), key="k")
        say(accepted=await job.accepted())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    if TOLD["act"] == "loses_its_loop":
        loses_its_loop()
        return
    act: Coroutine[Any, Any, None] = globals()[TOLD["act"]]()
    if END == "interrupt":  # also where Ctrl-C is ignored, as in the background of a shell
        signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.run(act)


main()
