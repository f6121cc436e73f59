"""What a durable journal costs: submits per second beside the journal in memory, and opening a large one."""

from __future__ import annotations

import asyncio
import gc
import math
import tracemalloc
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from benchmarks.instant_vendor import InstantVendor
from benchmarks.raw_server import Accepting, serving
from kling_async import KlingSession, Limits, Polling, TextToVideo

if TYPE_CHECKING:
    from benchmarks.figure import Size

__all__ = ["LATER", "UNLIMITED", "Place", "accepted", "fill", "measure"]

Place: TypeAlias = Path | str
"""A file, or the URL of a database."""

_STATUS = Path("/proc/self/status")
_POSTS = 100  # under way at once
_WARM = 100  # jobs before the clock starts
UNLIMITED = Limits(requests_per_second=math.inf, max_in_flight=1_000_000, max_submits=_POSTS)
LATER = Polling().at_speed(1e-3)  # generations are expected to take so long that none is polled meanwhile


def measure(size: Size) -> list[Figure]:
    """Return the throughput with SQLite as a multiple of that without, and the time and memory that opening takes."""
    with TemporaryDirectory(prefix="journal-") as folder:
        small, large = Path(folder, "small.db"), Path(folder, "large.db")
        fresh(fill, small, size.resumed_jobs)
        fresh(fill, large, size.opened_jobs)
        return [_throughput(size, Path(folder)), *_openings(size, small, large)]


# Submits


def _throughput(size: Size, folder: Path) -> Figure:
    with serving(Accepting) as url:
        turns = fresh(_turns, url, size, folder)
    ratios = [sqlite / memory for memory, sqlite in turns]
    memory, sqlite = (median(side) for side in zip(*turns, strict=True))
    raw = {
        "sqlite_per_s": sqlite,
        "memory_per_s": memory,
        "rounds": size.submit_rounds,
        "submits_a_round": size.submits,
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
    }
    return Figure("Submits per second, SQLite journal ÷ in memory", median(ratios), 0.85, raw=raw, at_least=True)


def _turns(url: str, size: Size, folder: Path) -> list[tuple[float, float]]:
    """Submits per second with the journal in memory and with SQLite's, turn by turn, in one process."""
    return [
        (
            asyncio.run(_submits(url, size.submits, None)),
            asyncio.run(_submits(url, size.submits, folder / f"{turn}.db")),
        )
        for turn in range(size.submit_rounds)
    ]


async def _submits(url: str, jobs: int, journal: Path | None) -> float:
    async with KlingSession("k", base_url=url, journal=journal, limits=UNLIMITED, polling=LATER) as kling:
        await accepted(kling, _WARM)
        gc.collect()
        begun = perf_counter()
        await accepted(kling, jobs)
        return jobs / (perf_counter() - begun)


async def accepted(kling: KlingSession, jobs: int) -> None:
    """Submit that many, and return once each is accepted and recorded as such."""
    prompts = (f"a white raccoon in a sequoia forest, take {number}" for number in range(jobs))
    submitted = [kling.submit(TextToVideo(prompt)) for prompt in prompts]
    for job in submitted:
        await job.accepted()


# Opening


def _openings(size: Size, small: Path, large: Path) -> list[Figure]:
    name = "Opening a journal, {:,} jobs pending"
    peak = fresh(_peak, large) / 1e6
    return [
        Figure(name.format(size.resumed_jobs), fresh(_seconds, small), 2.0, "s", {"file_mb": _megabytes(small)}),
        Figure(name.format(size.opened_jobs), fresh(_seconds, large), None, "s", {"file_mb": _megabytes(large)}),
        Figure(f"Peak memory for that, {size.opened_jobs:,} jobs", peak, None, "MB"),
    ]


def fill(path: Place, jobs: int) -> None:
    """Leave that many pending jobs in a new journal."""

    async def fill() -> None:
        async with KlingSession(transport=InstantVendor(), journal=path, limits=UNLIMITED, polling=LATER) as kling:
            await accepted(kling, jobs)

    asyncio.run(fill())


def _seconds(path: Path) -> float:
    """Return the seconds until a session has read what is in the journal."""
    return asyncio.run(_opened(path))


def _peak(path: Path) -> float:
    """Return the most bytes in use meanwhile: resident ones, or Python's where the system does not tell."""
    if _STATUS.exists():
        before = _status("VmRSS")
        asyncio.run(_opened(path))
        return _status("VmHWM") - before
    tracemalloc.start()
    asyncio.run(_opened(path))
    return tracemalloc.get_traced_memory()[1]


async def _opened(path: Path) -> float:
    begun = perf_counter()
    async with KlingSession(transport=InstantVendor(), journal=path, polling=LATER) as kling:
        if not kling.pending:
            raise AssertionError(f"nothing is pending in {path}")
        return perf_counter() - begun


def _status(name: str) -> int:
    """Return a line of what Linux tells about this process, in bytes."""
    lines = dict(line.split(":", 1) for line in _STATUS.read_text("ascii").splitlines())
    return int(lines[name].split()[0]) * 1024


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6
