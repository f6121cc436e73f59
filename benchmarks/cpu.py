"""CPU time per poll: a session with many pending jobs, beside a bare loop on the same server."""

from __future__ import annotations

import asyncio
import gc
import json
import math
from statistics import median
from time import process_time, time
from typing import TYPE_CHECKING

from aiohttp import ClientSession  # noqa: TID251 - what the library is compared with
from attrs import evolve

from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from benchmarks.raw_server import GENERATION, serving
from kling_async import UNIVERSAL, JobState, KlingSession, Limits, MemoryJournal, Polling, Record, TextToVideo

if TYPE_CHECKING:
    from benchmarks.figure import Size

__all__ = ["measure"]

_TASKS = 50  # requests under way at once, on either side
_WARM = 500  # polls before the clock starts: connections, caches, specialised bytecode
_LOOK = 0.01  # seconds between looks at how far the session is
_CADENCES = {
    # Either way every job is due again as soon as it was asked about.
    "at intervals": (Polling.fixed(1e-6), 1.30),
    "learned schedule": (Polling(seconds_per_poll=1e-12, min_gap=1e-6), 1.40),
}


def measure(size: Size) -> list[Figure]:
    """Return the session's CPU time per poll as a multiple of the bare loop's just before: the median of all rounds."""
    with serving() as url:
        return [_figure(schedule, fresh(_turns, url, size, schedule), size) for schedule in _CADENCES]


def _figure(schedule: str, turns: list[tuple[float, float]], size: Size) -> Figure:
    ratios = [session / bare for bare, session in turns]
    bare, session = (median(side) * 1e6 for side in zip(*turns, strict=True))
    raw = {
        "session_us": session,
        "bare_us": bare,
        "rounds": size.rounds,
        "polls_a_round": size.polls,
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
    }
    name = f"CPU per poll, {schedule}, {size.cpu_jobs:,} pending ÷ bare loop"
    return Figure(name, median(ratios), _CADENCES[schedule][1], raw=raw)


def _turns(url: str, size: Size, schedule: str) -> list[tuple[float, float]]:
    """Seconds per poll of the bare loop and of the session, turn by turn, in one process."""
    ids = [f"{GENERATION}:{number}" for number in range(size.cpu_jobs)]
    polling = _CADENCES[schedule][0]
    return [
        (asyncio.run(_bare(url, ids, size.polls)), asyncio.run(_session(url, ids, size.polls, polling)))
        for _ in range(size.rounds)
    ]


async def _bare(url: str, ids: list[str], polls: int) -> float:
    async with ClientSession() as http:
        await _ask(http, url, ids, _WARM)
        gc.collect()
        begun = process_time()
        await _ask(http, url, ids, polls)
        return (process_time() - begun) / polls


async def _ask(http: ClientSession, url: str, ids: list[str], polls: int) -> None:
    numbers = iter(range(polls))  # shared, so that the tasks divide the polls among them

    async def loop() -> None:
        for number in numbers:
            async with http.get(url + UNIVERSAL, params={"generation_id": ids[number % len(ids)]}) as answer:
                json.loads(await answer.read())

    await asyncio.gather(*(loop() for _ in range(_TASKS)))


async def _session(url: str, ids: list[str], polls: int, polling: Polling) -> float:
    limits = Limits(requests_per_second=math.inf, max_polls=_TASKS, max_in_flight=len(ids))
    async with KlingSession("k", base_url=url, journal=_bought(ids), limits=limits, polling=polling) as kling:
        await _polled(kling, len(ids) + _WARM)
        gc.collect()
        first, begun = kling.stats().polls, process_time()
        await _polled(kling, first + polls)
        spent, counted = process_time() - begun, kling.stats().polls - first
        if kling.stats().pending != len(ids):
            raise AssertionError(f"jobs were lost on the way: {kling.stats()}")
        return spent / counted


def _bought(ids: list[str]) -> MemoryJournal:
    """Return a journal by which all of these are pending, of one model."""
    journal, request, now = MemoryJournal(), TextToVideo("a white raccoon", duration=5), time()
    for generation_id in ids:
        record = Record(generation_id, JobState.PENDING, request, endpoint=UNIVERSAL, queued_at=now)
        journal.append(evolve(record, generation_id=generation_id, accepted_at=now))
    return journal


async def _polled(kling: KlingSession, polls: int) -> None:
    """Return soon after that many polls were begun."""
    while kling.stats().polls < polls:  # noqa: ASYNC110 - events would cost what is being measured
        await asyncio.sleep(_LOOK)
