"""A journal in PostgreSQL: submits beside those in memory, statements, what followers cost, a leader that is killed."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from contextlib import AsyncExitStack
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from benchmarks import sharing
from benchmarks.figure import Figure
from benchmarks.fresh import fresh
from benchmarks.instant_vendor import InstantVendor
from benchmarks.journal import LATER, UNLIMITED, accepted
from benchmarks.postgres import execute, own_schema, server
from benchmarks.raw_server import Accepting, serving
from kling_async import KlingSession, TextToVideo
from kling_async.journal.open import open_shared
from kling_async.session import boot_clock

if TYPE_CHECKING:
    from benchmarks.figure import Size

__all__ = ["measure"]

_WARM = 100  # jobs before the clock starts
_FOLLOWERS = 3
_LEADS = "leads"  # what the process says that is to be killed


def measure(size: Size) -> list[Figure]:
    """On a server of its own, on this machine; ratios are of turns in one process."""
    with server("postgresql") as url, own_schema(url) as large, own_schema(url) as small:
        return [
            *_throughput(size, url),
            *_followed(size, url),
            *sharing.figures(size, large, small, "PostgreSQL"),
            _killed(size.lease, url),
            _idle(size, url),
        ]


def _throughput(size: Size, url: str) -> list[Figure]:
    with serving(Accepting) as vendor:
        turns = fresh(_turns, vendor, size, url)
    ratios = [database / memory for memory, database, _ in turns]
    memory, database, statements = (median(side) for side in zip(*turns, strict=True))
    raw = {
        "postgresql_per_s": database,
        "memory_per_s": memory,
        "rounds": size.submit_rounds,
        "submits_a_round": size.submits,
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
    }
    name = "Submits per second, PostgreSQL ÷ in memory"
    return [
        Figure(name, median(ratios), 0.7, raw=raw, at_least=True),
        Figure("Statements a job, from submit to acceptance, amortised", statements, 6.0),
    ]


def _turns(vendor: str, size: Size, url: str) -> list[tuple[float, float, float]]:
    return [
        (asyncio.run(_submits(vendor, size.submits, None))[0], *_on_database(vendor, size.submits, url))
        for _ in range(size.submit_rounds)
    ]


def _on_database(vendor: str, jobs: int, url: str) -> tuple[float, float]:
    with own_schema(url) as journal:
        return asyncio.run(_submits(vendor, jobs, journal))


async def _submits(vendor: str, jobs: int, journal: str | None) -> tuple[float, float]:
    """The submits a second, and the statements a submit."""
    async with KlingSession("k", base_url=vendor, journal=journal, limits=UNLIMITED, polling=LATER) as kling:
        await accepted(kling, _WARM)
        gc.collect()
        before, begun = _statements(journal), perf_counter()
        await accepted(kling, jobs)
        seconds = perf_counter() - begun
        return jobs / seconds, (_statements(journal) - before) / jobs


def _statements(url: str | None) -> int:
    """The statements that the database has carried out until now, each of which is a transaction."""
    if url is None:
        return 0
    # Figures of transactions are published once a second at most, except by a connection that ends.
    execute(url, "SELECT pg_sleep(1.1)")
    done = execute(url, "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    return int(done[0][0])


def _followed(size: Size, url: str) -> list[Figure]:
    turns = [
        fresh(_leader_cost, size.submits, url, followers)
        for _ in range(size.followed_rounds)
        for followers in (0, _FOLLOWERS)
    ]
    alone, followed = median(turns[::2]), median(turns[1::2])
    raw = {"alone_ms": 1e3 * alone, "followed_ms": 1e3 * followed}
    return [Figure(f"The leader's CPU a job with {_FOLLOWERS} followers ÷ alone", followed / alone, 1.3, raw=raw)]


def _leader_cost(jobs: int, url: str, followers: int) -> float:
    with own_schema(url) as journal:
        return asyncio.run(_cost(jobs, journal, followers))


async def _cost(jobs: int, journal: str, followers: int) -> float:
    """The seconds of this process a job, while others that only watch are processes of their own."""
    session = KlingSession(transport=InstantVendor(), journal=journal, limits=UNLIMITED, polling=LATER)
    async with AsyncExitStack() as stack:
        kling = await stack.enter_async_context(session)
        await accepted(kling, _WARM)
        others = [_process("watch", journal) for _ in range(followers)]
        for other in others:
            stack.callback(other.wait)
            stack.callback(other.kill)
            await asyncio.to_thread(_line, other)
        begun = process_time()
        await accepted(kling, jobs)
        return (process_time() - begun) / jobs


def _killed(lease: float, url: str) -> Figure:
    with own_schema(url) as journal:
        seconds = asyncio.run(_replaced(lease, journal))
    name = f"From the kill of a leader with a lease of {lease:g} s to the next one's first submit"
    return Figure(name, seconds, lease + 2.0, "s")


async def _replaced(lease: float, journal: str) -> float:
    leader = _process("lead", journal, str(lease))
    await asyncio.to_thread(_line, leader)
    async with _member(journal, lease) as kling:
        await asyncio.sleep(0.4 * lease)
        leader.kill()
        begun = perf_counter()
        leader.wait()
        job = kling.submit(TextToVideo("a white raccoon"))
        await job.accepted()
        return perf_counter() - begun


def _idle(size: Size, url: str) -> Figure:
    with own_schema(url) as journal:
        counted = asyncio.run(_counted(size.lease, size.idle_leases * size.lease, journal))
        return Figure(f"Statements a second of an idle member, lease of {size.lease:g} s", counted, 10.0 / size.lease)


async def _counted(lease: float, seconds: float, journal: str) -> float:
    async with _member(journal, lease) as leader:
        while not leader.is_leader:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.1)
        alone = await _in_a_while(seconds, journal)
        async with AsyncExitStack() as stack:
            for _ in range(_FOLLOWERS):
                await stack.enter_async_context(_member(journal, lease))
            return (await _in_a_while(seconds, journal) - alone) / seconds / _FOLLOWERS


async def _in_a_while(seconds: float, journal: str) -> int:
    before = await asyncio.to_thread(_statements, journal)
    await asyncio.sleep(seconds)
    return await asyncio.to_thread(_statements, journal) - before


# Processes of their own


def _member(journal: str, lease: float, *, hold: bool = False) -> KlingSession:
    shared = open_shared(journal, boot_clock, length=lease)
    return KlingSession(transport=InstantVendor(), journal=shared, shared=True, hold=hold)


def _process(deed: str, journal: str, lease: str = "10") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.database", deed, journal, lease]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own


def _line(process: subprocess.Popen[str]) -> None:
    if process.stdout is None or process.stdout.readline().strip() != _LEADS:
        raise RuntimeError("it has ended without a word")


async def _run(deed: str, journal: str, lease: str) -> None:
    async with _member(journal, float(lease), hold=deed == "watch") as kling:
        while deed == "lead" and not kling.is_leader:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        if deed == "watch":
            kling.submit(TextToVideo("one that is never done"), key="open")
        sys.stdout.write(f"{_LEADS}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:]))
