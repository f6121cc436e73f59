"""A batch as a user would write it: ``child.py FOLDER JOURNAL JOBS THEN [TROUBLE…]`` makes the files that are missing.

It is killed at any instant and started again with the same arguments. It says that it begins, and in the end the key of
each job that may or may not have been bought. What stops jobs without ending them has it run again. The API's address
and key are in the environment.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from contextlib import suppress
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, cast

from benchmarks.kill.constants import AFTER, JOBS, LEASE, REFUSED, RESTART, STARTED, key_of
from kling_async import (
    JobState,
    JournalError,
    KlingError,
    KlingSession,
    Limits,
    Polling,
    Reconciliation,
    SubmissionUncertain,
    TextToVideo,
    Timeouts,
    session,
)
from kling_async.journal.open import open_shared
from kling_async.pacing import rate_limiter as rate

if TYPE_CHECKING:
    from benchmarks.kill.constants import Then


def main() -> None:
    """Do what the arguments ask for."""
    _, folder, journal, jobs, then, *troubles = sys.argv
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(name)s %(message)s")
    _shorten_pauses()
    _shift_clock(Path(folder) / "clock", int(jobs), troubles)
    _print(STARTED)
    try:
        is_done = asyncio.run(_batch(Path(folder), journal, int(jobs), cast("Then", then), troubles))
    except JournalError as error:
        sys.exit(REFUSED if "in use" in str(error) else str(error))
    sys.exit(0 if is_done else RESTART)


def _shorten_pauses() -> None:
    """Shorten the waits that follow a refusal without Retry-After: callers have no say in them."""
    rate._FIRST_PAUSE, rate._LONGEST_PAUSE = 0.02, 0.2  # noqa: SLF001 - see above


def _shift_clock(file: Path, jobs: int, troubles: list[str]) -> None:
    """Have the wall clock jump with the vendor's, as suspends do it, or be wrong by hours.

    Where further jobs are to prove something, it is ahead of all before it: one that was set back proves nothing.
    """
    hours = (3.0,) if jobs > JOBS else (-3.0, -1.0, 0.0, 1.0, 3.0)
    wrong_by = random.choice(hours) * 3600.0 if "skew" in troubles else 0.0  # noqa: S311
    if "suspend" in troubles or wrong_by:
        session.wall_clock = lambda: time() + wrong_by + (float(file.read_text()) if file.exists() else 0.0)  # type: ignore[attr-defined]


async def _read_own(folder: Path) -> None:
    """Copy the journal now and then, as a program does that backs itself up."""
    while True:
        await asyncio.to_thread(_copy, folder)
        await asyncio.sleep(0.02)


def _copy(folder: Path) -> None:
    for file in folder.glob("batch.db*"):
        with suppress(OSError):
            file.read_bytes()


async def _batch(folder: Path, journal: str, jobs: int, then: Then, troubles: list[str]) -> bool:
    """Make it; returns whether every job came to its end."""
    async with KlingSession(
        journal=open_shared(journal, session.boot_clock, length=LEASE) if "members" in troubles else journal,
        shared="members" in troubles,
        limits=Limits(requests_per_second=300, burst=20),
        polling=Polling(retry_base=0.02, retry_cap=0.2),
        timeouts=Timeouts(),  # in real time, which troubles take
        # Any job may be hit by every kill.
        reconciliation=Reconciliation(after=AFTER, then=then, max_resubmits=5),
    ) as kling:
        reading = asyncio.create_task(_read_own(folder)) if "reader" in troubles else None
        ends = await asyncio.gather(*(_deliver(kling, folder, key_of(number)) for number in range(jobs)))
        if reading is not None:
            reading.cancel()
    return all(ends)


async def _deliver(kling: KlingSession, folder: Path, key: str) -> bool:
    """Have this job's file, or say that nobody knows whether it was bought; False if it was only stopped.

    Raises:
        KlingError: It has come to a bad end.
    """
    file = folder / f"{key}.mp4"
    if file.exists():
        return True
    job = kling.submit(TextToVideo(f"a white raccoon, take {key}"), key=key)
    try:
        await kling.download(job, file)
    except SubmissionUncertain:
        _print(key)
    except KlingError:
        if job.state.is_terminal and job.state is not JobState.COMPLETED:
            raise
        return False
    return True


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
