"""Who meets the limit: the library's session, and the loops that most people write."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

from kling_async import KlingSession, Limits, TextToVideo
from kling_async.pacing.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.limits.vendor import LimitedVendor
    from kling_async import Job

__all__ = ["MODEL", "loops", "session"]

MODEL: Final = "klingai/v2-master-text-to-video"

_INTERVAL: Final = 10.0  # seconds: the vendor's samples'
_FIRST_WAIT: Final = 1.0  # seconds after a refusal
_LONGEST_WAIT: Final = 60.0


async def session(vendor: LimitedVendor, pending: int, until: float | None, seed: int) -> None:
    """Keep so many pending until then, whatever ends; or with None, ask about the first ones until all have ended."""
    limits = Limits(max_in_flight=pending)
    async with KlingSession(transport=vendor, limits=limits, rng=Random(seed)) as kling:  # noqa: S311 - to be repeated
        source = _source(kling, vendor, pending, endless=until is not None)
        try:
            async with asyncio.timeout_at(until):
                async for _ in kling.as_completed(source, max_in_flight=pending):
                    pass
        except TimeoutError:
            return


async def _source(
    kling: KlingSession, vendor: LimitedVendor, pending: int, *, endless: bool
) -> AsyncIterator[Job | TextToVideo]:
    for _ in range(pending):
        yield kling.resume(f"g{vendor.begin()}:{MODEL}")
    while endless:
        yield TextToVideo("take one", model=MODEL, duration=5)


async def loops(vendor: LimitedVendor, pending: int, until: float | None, seed: int) -> None:
    """Do the same with a loop a generation."""
    rng = Random(seed)  # noqa: S311 - to be repeated
    try:
        async with asyncio.timeout_at(until), asyncio.TaskGroup() as group:
            for _ in range(pending):
                group.create_task(_loop(vendor, rng, endless=until is not None))
    except TimeoutError:
        return


async def _loop(vendor: LimitedVendor, rng: Random, *, endless: bool) -> None:
    await _watch(vendor, vendor.begin(), rng)
    while endless:
        refusals = 0
        while (number := await vendor.submit()) is None:
            await _back_off(refusals, rng)
            refusals += 1
        await _watch(vendor, number, rng)


async def _watch(vendor: LimitedVendor, number: int, rng: Random) -> None:
    refusals = 0
    await asyncio.sleep(_INTERVAL)
    while not (ended := await vendor.poll(number)):
        if ended is None:
            await _back_off(refusals, rng)
            refusals += 1
        else:
            refusals = 0
            await asyncio.sleep(_INTERVAL)


async def _back_off(refusals: int, rng: Random) -> None:
    await asyncio.sleep(Backoff(base=_FIRST_WAIT, cap=_LONGEST_WAIT, rng=rng).wait(refusals))
