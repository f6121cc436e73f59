"""What is played against a limit, and what came of it."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.limits.clients import MODEL, loops, session
from benchmarks.limits.limiters import LIMITERS
from benchmarks.limits.vendor import LimitedVendor, LoggedRequest
from benchmarks.policy.durations import Lognormal
from benchmarks.policy.session import run_virtual
from kling_async import Limits, TextToVideo
from kling_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from typing import Any

    from kling_async import KlingSession

    Client = Callable[[LimitedVendor, int, float | None, int], Coroutine[Any, Any, None]]

__all__ = ["FULL", "LOOPS", "OURS", "QUICK", "Hidden", "Size", "Stepped", "play_hidden", "play_real", "play_stepped"]

OURS: Final = "kling_async"
LOOPS: Final = "10 s loops, full jitter"
_CLIENTS: Final[dict[str, Client]] = {OURS: session, LOOPS: loops}

_LIMITS: Final = (5.0, 2.0, 10.0)  # requests per second
_DURATIONS: Final = Lognormal(300.0)
_BIN: Final = 20.0  # seconds of a plot's point
_REAL_SPEED: Final = 10.0
_REAL_PENDING: Final = 100


@frozen
class Size:
    """The size of a run of the benchmark.

    Attributes:
        seeds: What runs are drawn from.
        pending: Generations at a time.
        phase: How long a limit holds, in seconds.
        settling: How much of that is not called steady.
        limiters: The ways to count.
        loops: Those of them that the loops are played against.
        real: Seconds of real time against the sandbox.
    """

    seeds: Sequence[int] = range(1000, 1008)
    pending: int = 500
    phase: float = 1200.0
    settling: float = 400.0
    limiters: Sequence[str] = tuple(LIMITERS)
    loops: Sequence[str] = ("sliding window of 1 s", "bucket of 5")
    real: float = 90.0


FULL: Final = Size()
QUICK: Final = Size(
    seeds=(1000,),
    pending=300,
    phase=200.0,
    settling=100.0,
    limiters=("the sandbox's", "bucket of 5"),
    loops=("the sandbox's",),
    real=0.0,
)


@frozen
class Stepped:
    """The result under a limit that moved.

    Attributes:
        client: Who met it.
        limiter: How it counts.
        refused: The share of 429s in all requests.
        refused_steady: The same where it was steady.
        refused_worst: The same in the worst phase.
        goodput: What was let in, as a share of what could have been, where it was steady, phase by phase.
        rates: Requests let in and refused per second, one pair every 20 s, of the first run.
    """

    client: str
    limiter: str
    refused: float
    refused_steady: float
    refused_worst: float
    goodput: Sequence[float]
    rates: Sequence[tuple[float, float]]


@frozen
class Hidden:
    """The result of many generations under one limit that did not move.

    Attributes:
        client: Who met it.
        limiter: How it counts.
        requests: How many a generation took, refused ones and all.
        delay: Mean seconds from a generation's end until that was noticed; NaN where nobody can tell.
        refused: The share of 429s in all requests.
        goodput: What was let in, as a share of what could have been; None where polls were not always wanted.
    """

    client: str
    limiter: str
    requests: float
    delay: float
    refused: float
    goodput: float | None = None


def play_stepped(size: Size) -> list[Stepped]:
    """Always so many pending, while the limit goes up and down."""
    cases = [(OURS, limiter) for limiter in size.limiters] + [(LOOPS, limiter) for limiter in size.loops]
    return [_stepped(client, limiter, size) for client, limiter in cases]


def _stepped(client: str, limiter: str, size: Size) -> Stepped:
    steps = [(number * size.phase, limit) for number, limit in enumerate(_LIMITS)]
    end = size.phase * len(_LIMITS)
    logs: list[list[LoggedRequest]] = []
    for seed in size.seeds if client == OURS else size.seeds[:1]:
        vendor = _vendor(limiter, steps, seed)
        run_virtual(_CLIENTS[client](vendor, size.pending, end, seed))
        logs.append(vendor.log)
    windows = [(since + size.settling, since + size.phase) for since, _ in steps]
    steady = [[each for log in logs for each in log if low <= each.at < high] for low, high in windows]
    possible = [limit * (size.phase - size.settling) * len(logs) for limit in _LIMITS]
    return Stepped(
        client,
        limiter,
        _refused([each for log in logs for each in log]),
        _refused([each for asked in steady for each in asked]),
        max(map(_refused, steady)),
        [sum(each.passed for each in asked) / most for asked, most in zip(steady, possible, strict=True)],
        _rates(logs[0], end),
    )


def play_hidden(size: Size) -> list[Hidden]:
    """So many at once under 5 requests per second, until all are noticed."""
    limiter = size.loops[0]
    found: list[Hidden] = []
    for name, client in _CLIENTS.items():
        vendors = [_vendor(limiter, [(0.0, _LIMITS[0])], seed) for seed in size.seeds]
        for seed, vendor in zip(size.seeds, vendors, strict=True):
            run_virtual(client(vendor, size.pending, None, seed))
        delays = [delay for vendor in vendors for delay in vendor.delays.values()]
        if len(delays) != size.pending * len(vendors):
            raise AssertionError(f"{name} noticed {len(delays)} ends of {size.pending * len(vendors)}")
        log = [each for vendor in vendors for each in vendor.log]
        found.append(Hidden(name, limiter, len(log) / len(delays), fmean(delays), _refused(log)))
    return found


def play_real(size: Size) -> list[Hidden]:
    """Play 90 s of real time and real HTTP, against the sandbox with a limit of 5 requests per second."""
    return [asyncio.run(_real(size.real))] if size.real else []


async def _real(seconds: float) -> Hidden:
    """Goodput is counted once the first third is over."""
    limits = Limits(max_in_flight=_REAL_PENDING)
    async with (
        Sandbox(speed=_REAL_SPEED, requests_per_second=_LIMITS[0], seed=1) as sandbox,
        sandbox.session(limits=limits) as kling,
    ):
        work = asyncio.create_task(_keep_busy(kling))
        await asyncio.sleep(seconds / 3.0)
        early = kling.stats()
        await asyncio.sleep(seconds * 2.0 / 3.0)
        late = kling.stats()
        work.cancel()
        await asyncio.wait([work])
    asked = late.submits + late.polls
    passed = asked - early.submits - early.polls - (late.throttled - early.throttled)
    goodput = passed / (_LIMITS[0] * seconds * 2.0 / 3.0)
    return Hidden(OURS, "the sandbox's, real HTTP", asked / late.completed, math.nan, late.throttled / asked, goodput)


async def _keep_busy(kling: KlingSession) -> None:
    async for _ in kling.as_completed(_endless(), max_in_flight=_REAL_PENDING):
        pass


def _endless() -> Iterable[TextToVideo]:
    while True:
        yield TextToVideo("take one", model=MODEL, duration=5)


def _vendor(limiter: str, steps: Sequence[tuple[float, float]], seed: int) -> LimitedVendor:
    rng = Random(seed)  # noqa: S311 - to be repeated
    return LimitedVendor(LIMITERS[limiter](), steps, lambda: _DURATIONS.draw(rng), rng)


def _refused(log: Sequence[LoggedRequest]) -> float:
    return sum(not each.passed for each in log) / max(1, len(log))


def _rates(log: Sequence[LoggedRequest], end: float) -> list[tuple[float, float]]:
    edges = [number * _BIN for number in range(int(end / _BIN) + 1)]
    sums = {low: [0, 0] for low, _ in pairwise(edges)}
    for each in log:
        place = int(each.at / _BIN) * _BIN
        if place in sums:
            sums[place][each.passed] += 1
    return [(passed / _BIN, refused / _BIN) for refused, passed in sums.values()]
