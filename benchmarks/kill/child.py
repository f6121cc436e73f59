"""A batch as a user would write it: ``child.py FOLDER JOBS THEN`` makes every video there is no file of yet.

It is killed at any instant and started again with the same arguments. It says that it begins, and in the end the key of
each job that may or may not have been bought. The API's address and key are in the environment.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.kill.terms import AFTER, BEGUN, SPEED, key_of
from kling_async import KlingSession, Limits, Polling, Reconciliation, SubmissionUncertain, TextToVideo
from kling_async.pacing import rate

if TYPE_CHECKING:
    from benchmarks.kill.terms import Then


def main() -> None:
    """Do what the arguments ask for."""
    _, folder, jobs, then = sys.argv
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(name)s %(message)s")
    _hurry()
    _say(BEGUN)
    asyncio.run(_batch(Path(folder), int(jobs), cast("Then", then)))


def _hurry() -> None:
    """Shorten the waits that follow a refusal without Retry-After: callers have no say in them."""
    rate._FIRST_PAUSE, rate._LONGEST_PAUSE = 0.02, 0.2  # noqa: SLF001 - see above


async def _batch(folder: Path, jobs: int, then: Then) -> None:
    async with KlingSession(
        journal=folder / "batch.db",
        limits=Limits(requests_per_second=300, burst=20),
        polling=Polling(scale=SPEED, retry_base=0.02, retry_cap=0.2),
        # Any job may be hit by every kill.
        reconciliation=Reconciliation(after=AFTER, then=then, max_resubmits=5, scale=SPEED),
    ) as kling:
        await asyncio.gather(*(_deliver(kling, folder, key_of(number)) for number in range(jobs)))


async def _deliver(kling: KlingSession, folder: Path, key: str) -> None:
    """Have this job's file, or say that nobody knows whether it was bought."""
    file = folder / f"{key}.mp4"
    if file.exists():
        return
    try:
        await kling.download(kling.submit(TextToVideo(f"a white raccoon, take {key}"), key=key), file)
    except SubmissionUncertain:
        _say(key)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
